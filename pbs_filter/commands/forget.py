"""--forget: a person ends the authorisation of an address, of a user, or of everybody (edge)."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..addresses import canonical
from ..authorisation.user_names import user_key
from ..config.options import Config
from ..errors import StoreBusy, StoreDamaged, UsageError
from ..map_format.check import TOTAL_BYTES, USER_AT
from ..map_format.entry import Entry, decode
from ..map_format.redis_fields import is_forgetting, is_unheard
from ..map_format.redis_members import HEARD_MS
from ..map_format.redis_merge import merge
from ..map_format.redis_site import ROUGH_SECONDS, Word
from ..map_format.redis_url import is_redis
from ..service.control import ANSWER_SECONDS
from ..service.storage import redis_map_of
from ..terminal import safe
from ..text import counted, waited
from . import stored
from .arguments import complain
from .request import request

if TYPE_CHECKING:
    from ..store.redis_map import RedisMap

REQUEST_ADDRESSES = 50
"""Addresses in one request: it may have 4 KiB."""
WAIT_SECONDS = 2.0
"""How long replicas get to confirm."""
LOOK_SECONDS = 0.1
"""How often it is asked whether each filter has heard."""
MASTERS = 3
"""So many are told, each of which has taken the place of the one before."""
ERASE_SECONDS = 600.0
"""How long erasing may take: journal and history are written anew."""


def run(config: Config, options: argparse.Namespace) -> int:
    """End the authorisation; return 0 if there was one, 1 if not.

    Raises:
        UsageError: nothing says whose.
        ConfigError, StoreBusy: see `request`.
    """
    question: dict[str, Any] = {"do": "forget"}
    chosen = [bool(options.forget), bool(options.forget_user), options.all, bool(options.erase)]
    if sum(chosen) != 1:
        raise UsageError(
            "--forget needs an ADDRESS, --user NAME, --all or --erase USER|ADDRESS, and only one "
            "of them"
        )
    if options.erase:
        question["erase"] = True
        options.forget = canonical(options.erase) or ""
        options.forget_user = "" if options.forget else options.erase
    if options.forget:
        if canonical(options.forget) is None:
            raise UsageError(
                f"--forget: {options.forget!r} is not an address; if it is a user: --forget --user "
                f"{options.forget}"
            )
        question["address"] = options.forget
    elif options.forget_user:
        question["user"] = options.forget_user
    else:
        question["all"] = True
    if options.erase:
        complain(
            f"journal and history are written anew: at most {waited(ERASE_SECONDS)}; "
            "log lines wait meanwhile"
        )
    answer = request(config, question, ERASE_SECONDS if options.erase else ANSWER_SECONDS)
    count = answer["count"]
    whose = answer.get("address") or options.forget_user or "everybody"
    where = ""
    if is_redis(config.map):
        elsewhere, where = _forget_elsewhere(config, answer.get("address", ""), options)
        count = max(count, elsewhere)
    if options.erase:
        print(
            f"{whose}: erased from journal, map and history "
            f"(authorised: {counted(count, 'address')}){where}"
        )
        print("The log files of mail server, syslog daemon and filter are left as they are.")
        return 0
    if not count:
        print(f"{whose}: was not authorised{_alike(config, options.forget_user)}")
        return 1
    addresses = "" if options.forget else f" ({counted(count, 'address')})"
    print(f"{whose}: forgotten{addresses}{where}")
    return 0


def _alike(config: Config, user: str) -> str:
    """Return a hint at users of the map whose names are `user` with or without its domain."""
    local = user_key(user).partition("@")[0]
    try:
        names = {
            entry.user
            for row in (stored.rows(config, int(time.time())) if user else ())
            for entry in row.by_user()
            if user_key(entry.user).partition("@")[0] == local
        }
    except (StoreBusy, StoreDamaged, PermissionError):
        return ""
    shown = ", ".join(sorted(map(safe, names))[:5])
    return f", but these users have addresses: {shown}" if names else ""


def _forget_elsewhere(config: Config, address: str, options: argparse.Namespace) -> tuple[int, str]:
    """Revoke every login until now, whichever filter saw it, from each address that is meant.

    Of a user's addresses the other users' logins are revoked, too. It is in the journal of this
    host's filter, which tells the others and every new server, before anything is said to Redis.
    Return how many addresses there were, when the next login counts wherever it comes; and who has
    it.

    Raises:
        StoreBusy: not all of Redis has it yet.
    """
    shared_map = redis_map_of(config)
    whose = address or options.forget_user or "everybody"
    try:
        found, count, now = _found(shared_map, address, options)
    except StoreBusy as error:
        shared_map.close()
        if not address:
            raise StoreBusy(
                f"{whose} is forgotten on this host alone: {error}; then forget it once more"
            ) from None
        _keep(config, {address: int(time.time())}, own_clock=True)
        raise StoreBusy(
            f"{whose} is forgotten on this host, and this host's journal has it for the others: "
            f"{error}; then the filter tells them, and lookups may let it in until then"
        ) from None
    words = _keep(config, found)
    try:
        # Other filters hear of it later, and take what came up to the end of its second for
        # revoked; the second of a login may have begun before it.
        rest = min(max(max(found.values(), default=0) + 2 - now, 0), 3)
        have, replicas = _tell(shared_map, words, rest)
    except StoreBusy as error:
        raise StoreBusy(
            f"{whose}: this host's journal has it, and its filter goes on telling the others: "
            f"{error}; see pbs-filter --list {address}".rstrip()
        ) from None
    finally:
        shared_map.close()
    if have < replicas:
        raise StoreBusy(
            f"{whose}: this host's journal and the master have it, and {have} of "
            f"{counted(replicas, 'replica')}: lookups at the others may let it in until they "
            f"have it, too; look why they are behind, and see pbs-filter --list {address}".rstrip()
        )
    copies = f" and {have} of {counted(replicas, 'replica')}" if replicas else ""
    return count, f"; the master{copies} have it" if replicas else "; the master has it"


def _tell(shared_map: RedisMap, words: dict[str, Word], rest_seconds: float) -> tuple[int, int]:
    """Tell the master, and rest; return how many of how many replicas have it.

    Raises: StoreBusy.
    """
    for _ in range(MASTERS):
        server, have, replicas = shared_map.revoke(words, WAIT_SECONDS)
        # In which time the sentinels, too, see that another one has taken its place.
        time.sleep(rest_seconds)
        if shared_map.is_still_master(server):
            _wait_until_heard(shared_map, list(words))
            return have, replicas
    raise StoreBusy("one master after the other has been replaced")


def _wait_until_heard(shared_map: RedisMap, addresses: Sequence[str]) -> None:
    """Wait until lookups say "no", and not "not now"; a filter that is silent is not waited for.

    Raises: StoreBusy.
    """
    give_up = time.monotonic() + HEARD_MS / 1000
    while addresses and time.monotonic() < give_up:
        now = time.time()
        addresses = [
            address
            for address, fields in shared_map.everybodys(addresses)
            if is_unheard(address.encode(), fields.values(), now)
        ]
        if addresses:
            time.sleep(LOOK_SECONDS)


def _found(
    shared_map: RedisMap, address: str, options: argparse.Namespace
) -> tuple[dict[str, int], int, float]:
    """Return each address that is meant and its AT, how many were authorised, and the server's
    clock. Raises: StoreBusy."""
    is_meant = _is_meant(options)
    # The clock by which all hosts are judged.
    clock = shared_map.see().millis / 1000
    now = int(clock)
    found: dict[str, int] = {}
    was_authorised = False
    for key, fields in shared_map.everybodys([address] if address else ()):
        entries = (decode(key, value) for value in fields.values())
        if address or any(is_meant(key, entry) for entry in entries if entry is not None):
            owner = key.partition("#")[0]
            known = (int(value[:10]) for value in fields.values() if is_forgetting(value))
            found[owner] = max(now, max(known, default=0) + 1, found.get(owner, 0))
            was_authorised = was_authorised or _counts(key, fields, now)
    if address:
        found.setdefault(address, now)
    return found, int(was_authorised) if address else len(found), clock


def _keep(config: Config, found: dict[str, int], *, own_clock: bool = False) -> dict[str, Word]:
    """Let the journal have it; return what each filter is told.

    With `own_clock` the filter makes times of Redis's clock of them, as far as it knew that.

    Raises: StoreBusy.
    """
    until = max(found.values(), default=0) + config.longest_seconds + ROUGH_SECONDS
    addresses = iter(found)
    words: dict[str, Word] = {}
    while some := {address: found[address] for address in islice(addresses, REQUEST_ADDRESSES)}:
        question = {"do": "revoke", "addresses": some, "until": until, "own_clock": own_clock}
        told = request(config, question)
        words.update({address: (at, until) for address, at in told["addresses"].items()})
    return words


def _is_meant(options: argparse.Namespace) -> Callable[[str, Entry], bool]:
    """Return whether the entry of a key is one of the user's: with a name that was cut, it may be.

    To forget one too many costs that user a login.
    """
    if not options.forget_user:
        return lambda _key, _entry: True
    wanted = user_key(options.forget_user)

    def is_meant(key: str, entry: Entry) -> bool:
        room = TOTAL_BYTES - USER_AT - len(key)
        if len(entry.user.encode()) < room:
            return user_key(entry.user) == wanted
        return wanted.startswith(user_key(entry.user.rstrip("?")))

    return is_meant


def _counts(address: str, fields: dict[str, bytes], now: int) -> bool:
    try:
        return merge(address, fields, now) is not None
    except (StoreBusy, StoreDamaged):
        return True
