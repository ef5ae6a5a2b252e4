"""--forget: a person ends the authorisation of an address (edge)."""

from __future__ import annotations

import argparse
import time

from ..config.options import Config
from ..errors import StoreBusy, StoreDamaged
from ..map_format.redis_merge import last_login, merge
from ..map_format.redis_url import is_redis
from ..service.storage import map_of
from ..store.redis_map import RedisMap
from .request import request


def run(config: Config, options: argparse.Namespace) -> int:
    """End the authorisation; return 0 if there was one, 1 if not.

    Raises:
        ConfigError, StoreBusy: see `request`.
    """
    answer = request(config, {"do": "forget", "address": options.forget})
    shared = is_redis(config.map) and _forget_elsewhere(config, answer["address"])
    if answer["changed"] or shared:
        print(f"{answer['address']}: forgotten")
        return 0
    print(f"{options.forget}: was not authorised")
    return 1


def _forget_elsewhere(config: Config, address: str) -> bool:
    """Revoke every login from `address` before now, whichever filter saw it.

    Return whether there was one, when this second is over, so that the next login counts.

    Raises:
        StoreBusy: Redis cannot be used now.
    """
    shared_map = map_of(config)
    assert isinstance(shared_map, RedisMap), "a map on this host has one filter"
    try:
        fields = dict(shared_map.everybodys(address)).get(address, {})
        now = int(time.time())
        # Another host's clock may be a little ahead of ours.
        at = max(now, last_login(address, fields))
        shared_map.forget(address, at, at + config.max_session_seconds + config.grace_seconds)
    except StoreBusy as error:
        raise StoreBusy(
            f"{address} is forgotten on this host alone: {error}; then forget it once more"
        ) from None
    finally:
        shared_map.close()
    time.sleep(min(max(at + 1 - time.time(), 0), 2))
    try:
        return merge(address, fields, now) is not None
    except (StoreBusy, StoreDamaged):
        return True
