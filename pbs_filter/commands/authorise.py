"""What a person changed on one of several hosts that share a map in Redis (edge)."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..config.options import Config
from ..errors import StoreBusy
from ..map_format.redis_merge import last_login, merge
from ..service import control
from ..service.storage import map_of
from ..store.redis_map import RedisMap


def forget(config: Config, address: str) -> bool:
    """Let no login from `address` before now count any more, whichever filter saw it; whether one
    did.

    Returns when this second is over, so that the next login counts.

    Raises:
        StoreBusy: Redis cannot be used now.
    """
    stored = map_of(config)
    assert isinstance(stored, RedisMap), "a map on this host has one filter"
    try:
        fields = dict(stored.everybodys(address)).get(address, {})
        now = int(time.time())
        # Another host's clock may be a little ahead of ours.
        at = max(now, last_login(address, fields))
        stored.forget(address, at, at + config.max_session_seconds + config.grace_seconds)
    except StoreBusy as error:
        raise StoreBusy(
            f"{address} is forgotten on this host alone: {error}; then forget it once more"
        ) from None
    finally:
        stored.close()
    time.sleep(min(max(at + 1 - time.time(), 0), 2))
    return merge(address, fields, now) is not None


def say_if_late(config: Config, say: Callable[[str], None]) -> None:
    """Tell whether the running filter still has to send its latest changes."""
    answer = control.ask(config.control, {"do": "status"}) or {}
    behind = answer.get("status", {}).get("map")
    if behind and behind["trouble"]:
        say(f"lookups do not see it yet: {behind['trouble']}")
