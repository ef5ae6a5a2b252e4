"""Lets the journal and the other filters of a map in Redis know of each other (edge)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..authorisation.state import State
from ..store.address_map import AddressMap

if TYPE_CHECKING:
    from ..store.redis_map import RedisMap


def shared(address_map: AddressMap) -> RedisMap | None:
    """Return the map if it is one that several filters share."""
    from ..store.redis_map import RedisMap

    return address_map if isinstance(address_map, RedisMap) else None


def exchange(state: State, shared_map: RedisMap, commit: Callable[[], bool]) -> None:
    """Put what the others said into the journal, and tell them what that has had since."""
    now, words = shared_map.heard()
    if now:
        state.site.expire(now)
        state.site.hear(words, now)
    if commit():
        shared_map.tell(state.site.news())
