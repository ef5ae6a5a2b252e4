"""Lets the journal and the other filters of a map in Redis know of each other (edge)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..authorisation.state import State
from ..config.options import Config
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


def exchange(state: State, shared_map: RedisMap, commit: Callable[[], bool]) -> None:
    """Put what the others said into the journal, and tell them what that has had since."""
    state.site.rename(shared_map.instance)
    now, words = shared_map.heard()
    if now:
        state.site.expire(now)
        state.site.hear(words, now)
    if commit():
        shared_map.tell(state.site.news())
