"""--retire: a person says that a filter which shared the map is gone for good (edge)."""

from __future__ import annotations

import argparse

from ..config.options import Config
from ..errors import StoreBusy, UsageError
from ..map_format.redis_members import RETIRED, SILENT_MS, Mark, decode, spelled
from ..map_format.redis_url import is_redis
from ..service.storage import redis_map_of
from ..text import counted
from .request import request

WAIT_SECONDS = 2.0


def run(config: Config, options: argparse.Namespace) -> int:
    """Retire the filter, so that lookups no longer wait for it; return 0.

    What it has sent stays until its end. If it writes again it is a member again. One that Redis
    and its filters have forgotten is retired all the same: lookups may remember it.

    Raises:
        UsageError: the map is not in Redis, or that filter lives.
        StoreBusy: Redis cannot be used now.
    """
    if not is_redis(config.map):
        raise UsageError("--retire is for the filters that share a map in Redis")
    shared_map = redis_map_of(config)
    name = options.retire
    try:
        seen = shared_map.see()
        mark = decode(seen.marks.get(name, b""))
        if mark is None:
            known = ", ".join(sorted(each for each in seen.marks if not each.startswith("!")))
            print(f"{name}: no filter of that name is known there; there are: {known or 'none'}")
            mark = Mark(spelled(name), end=seen.millis // 1000 + config.longest_seconds)
        if mark.is_retired:
            print(f"{name}: is retired")
            return 0
        if mark.millis > seen.millis - SILENT_MS:
            raise UsageError(f"the filter {name} writes there: stop it, then retire it")
        gone = Mark(spelled(name), seen.millis, mark.end, RETIRED)
        # First the journal: Redis may forget it.
        request(config, {"do": "retire", "name": name, "at": gone.millis, "until": gone.end + 3600})
        have, replicas = shared_map.retire(name, gone.encode(), WAIT_SECONDS)
    finally:
        shared_map.close()
    if have < replicas:
        raise StoreBusy(
            f"{name}: retired on the master, and on {have} of {counted(replicas, 'replica')}"
        )
    print(f"{name}: retired; lookups no longer wait for it")
    return 0
