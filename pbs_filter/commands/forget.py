"""--forget: a person ends the authorisation of an address, of a user, or of everybody (edge)."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from ..authorisation.user_names import user_key
from ..config.options import Config
from ..errors import StoreBusy, StoreDamaged, UsageError
from ..map_format.entry import Entry, decode
from ..map_format.redis_merge import last_login, merge
from ..map_format.redis_url import is_redis
from ..service.storage import map_of
from ..store.redis_map import RedisMap
from .request import request


def run(config: Config, options: argparse.Namespace) -> int:
    """End the authorisation; return 0 if there was one, 1 if not.

    Raises:
        UsageError: nothing says whose.
        ConfigError, StoreBusy: see `request`.
    """
    question: dict[str, Any] = {"do": "forget"}
    chosen = [bool(options.forget), bool(options.forget_user), options.all]
    if sum(chosen) != 1:
        raise UsageError("--forget needs an ADDRESS, --user NAME or --all, and only one of them")
    if options.forget:
        question["address"] = options.forget
    elif options.forget_user:
        question["user"] = options.forget_user
    else:
        question["all"] = True
    answer = request(config, question)
    count = answer["count"]
    whose = answer.get("address") or options.forget_user or "everybody"
    if is_redis(config.map):
        count = max(count, _forget_elsewhere(config, answer.get("address", ""), options))
    if not count:
        print(f"{whose}: was not authorised")
        return 1
    addresses = "" if options.forget else f" ({count} address{'es' if count > 1 else ''})"
    print(f"{whose}: forgotten{addresses}")
    return 0


def _forget_elsewhere(config: Config, address: str, options: argparse.Namespace) -> int:
    """Revoke every login until now, whichever filter saw it, from each address that is meant.

    Of a user's addresses the other users' logins are revoked, too. Return how many addresses there
    were, when this second is over, so that the next login counts.

    Raises:
        StoreBusy: Redis cannot be used now.
    """
    shared_map = map_of(config)
    assert isinstance(shared_map, RedisMap), "a map on this host has one filter"
    is_meant = _is_meant(options)
    now = int(time.time())
    found: dict[str, int] = {}
    was_authorised = False
    try:
        for key, fields in shared_map.everybodys(address):
            entries = (decode(key, value) for value in fields.values())
            if address or any(is_meant(entry) for entry in entries if entry is not None):
                owner = key.partition("#")[0]
                # Another host's clock may be a little ahead of ours.
                found[owner] = max(now, last_login(key, fields), found.get(owner, 0))
                was_authorised = was_authorised or _counts(key, fields, now)
        if address:
            found.setdefault(address, now)
        for each, at in found.items():
            shared_map.forget(each, at, at + config.longest_seconds)
    except StoreBusy as error:
        raise StoreBusy(
            f"{address or options.forget_user or 'everybody'} is forgotten on this host alone: "
            f"{error}; then forget it once more"
        ) from None
    finally:
        shared_map.close()
    time.sleep(min(max(max(found.values(), default=0) + 1 - time.time(), 0), 2))
    return int(was_authorised) if address else len(found)


def _is_meant(options: argparse.Namespace) -> Callable[[Entry], bool]:
    if not options.forget_user:
        return lambda _entry: True
    key = user_key(options.forget_user)
    return lambda entry: user_key(entry.user) == key


def _counts(address: str, fields: dict[str, bytes], now: int) -> bool:
    try:
        return merge(address, fields, now) is not None
    except (StoreBusy, StoreDamaged):
        return True
