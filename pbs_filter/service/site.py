"""Lets the journal and the other filters of a map in Redis know of each other (edge)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ..authorisation.state import State
from ..config.options import Config
from ..map_format.redis_site import FORGOTTEN, Word
from ..map_format.redis_url import is_redis
from ..store.address_map import AddressMap

if TYPE_CHECKING:
    from ..store.redis_map import RedisMap

AGREE_SECONDS = 5
"""Clocks that differ by no more agree: that of Redis was read some time ago."""


def shared(config: Config, address_map: AddressMap) -> RedisMap | None:
    """Return the map of `config` if it is one that several filters share."""
    if not is_redis(config.map):
        return None  # without the library, which need not be there
    from ..store.redis_map import RedisMap

    return address_map if isinstance(address_map, RedisMap) else None


def _forget(state: State, words: Mapping[str, Word], ours: int, ahead: int) -> None:
    """Forget what was revoked elsewhere: no clock that is set may make it a later login.

    Args:
        state: of this filter.
        words: that came from elsewhere.
        ours: the time by our own clock, seconds since the epoch.
        ahead: so many seconds our clock is ahead of that by which they were said.
    """
    ahead = ahead if abs(ahead) > AGREE_SECONDS else 0
    authorisations = state.ledger.authorisations
    for key, (at, _) in words.items():
        address = key.removeprefix(FORGOTTEN)
        auth = authorisations.get(address) if key != address else None
        if auth is not None and auth.last - ahead <= at:
            state.ledger.forget(address, ours)


def exchange(state: State, shared_map: RedisMap, commit: Callable[[], bool], ours: int) -> None:
    """Put what the others said into the journal, and tell them what that has had since.

    `ours` is the time by our own clock, seconds since the epoch.
    """
    state.site.rename(shared_map.instance)
    now, words = shared_map.heard()
    if now:
        state.site.expire(now)
        state.site.hear(words, now)
        _forget(state, words, ours, ours - now)
    if commit():
        shared_map.tell(state.site.news())
