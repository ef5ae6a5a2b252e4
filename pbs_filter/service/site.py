"""Lets the journal and the other filters of a map in Redis know of each other (edge)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ..authorisation.state import State
from ..clock import Clock
from ..config.options import Config
from ..map_format.redis_site import FORGOTTEN, Word
from ..map_format.redis_url import is_redis
from ..store.address_map import AddressMap

if TYPE_CHECKING:
    from ..store.redis_map import RedisMap


def shared(config: Config, address_map: AddressMap) -> RedisMap | None:
    """Return the map of `config` if it is one that several filters share."""
    if not is_redis(config.map):
        return None  # without the library, which need not be there
    from ..store.redis_map import RedisMap

    return address_map if isinstance(address_map, RedisMap) else None


def _forget(state: State, words: Mapping[str, Word], ours: int, ahead: float) -> None:
    """Forget what was revoked elsewhere, up to the end of the second AT by the clock of Redis.

    What is left, and what comes from now on, is later than that by the order in which this filter
    learned of it, whatever clocks show.

    Args:
        state: of this filter.
        words: that came from elsewhere.
        ours: the time by our own clock, seconds since the epoch.
        ahead: so many seconds our clock is ahead of that of Redis.
    """
    authorisations = state.ledger.authorisations
    for key, (at, _) in words.items():
        address = key.removeprefix(FORGOTTEN)
        auth = authorisations.get(address) if key != address else None
        if auth is not None and auth.last - ahead < at + 1:
            state.ledger.forget(address, ours)


def _left(state: State, words: Mapping[str, Word]) -> dict[str, bytes | None]:
    """Return the values of the map that are left of the addresses that `words` revoke."""
    values: dict[str, bytes | None] = {}
    for key in words:
        if key.startswith(FORGOTTEN):
            values.update(state.map_entries(key.removeprefix(FORGOTTEN)))
    return values


def exchange(state: State, shared_map: RedisMap, commit: Callable[[], bool], clock: Clock) -> None:
    """Put what the others said into the journal, and tell them what that has had since.

    `clock` is that by which the times of `state` are told.
    """
    state.site.rename(shared_map.instance)
    now, offset, words = shared_map.heard()
    if now:
        state.site.expire(now)
        state.site.ahead = clock.offset - offset
        heard = state.site.hear(words, now)
        _forget(state, {key: words[key] for key in heard}, clock.now(), state.site.ahead)
    if commit():
        news = state.site.news()
        shared_map.tell(news, _left(state, news))
