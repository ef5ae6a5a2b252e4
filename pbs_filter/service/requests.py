"""The requests of a person to a running filter, as plain tables. Pure.

    {"do": "forget", "address": A}                             -> {"changed": bool, "count": N}
    {"do": "forget", "user": U}                                -> the same; N addresses
    {"do": "forget", "all": true}                              -> the same
    {"do": "forget", "address" or "user": ..., "erase": true}  -> and "erased": true
    {"do": "authorise", "address": A, "seconds": N, "note": T} -> {"changed": true, "until": E}
    {"do": "revoke", "addresses": {A: T}, "until": U}          -> and "addresses": {A: T}
    {"do": "revoke", ..., "own_clock": true}                   -> the same; Redis is away
    {"do": "retire", "name": N, "at": T, "until": U}           -> {"changed": true}
    {"do": "status"}                                           -> {"status": {...}} (by the feed)
    {"do": "report"}                                           -> {"report": {...}} (by the feed)
    {"do": "tried", "address": A}             -> {"changed": true} (--doctor, of its own login)
    {"do": "test", "token": T}                -> {"test": {...} or null, "version": V} (--doctor)
    {"do": "trace"}                           -> {"logins": [{...}, ...]} (--doctor)

`revoke` and `retire` are for all filters that share a map in Redis, see `redis_site`. Every answer
to a request that makes no sense is {"error": why}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import __version__
from ..addresses import canonical, widen
from ..authorisation.authorisations import MANUAL, clean
from ..authorisation.counters import Login
from ..authorisation.erasure import erase
from ..authorisation.pipeline import Pipeline
from ..map_format.redis_site import FORGOTTEN, RETIRED
from ..model import Record

MAX_SECONDS = 366 * 86400
"""The longest that somebody can authorise by hand. An end that no calendar has could be shown by
nothing."""
MAX_NOTE = 48


def handle(pipeline: Pipeline, request: Mapping[str, Any], now: int) -> dict[str, Any]:
    """Do what `request` asks for; the answer. `uid` in it is told by the kernel, for the log."""
    answer = _handle(pipeline, request, now)
    if request.get("erase") is True and request.get("do") == "forget" and "error" not in answer:
        who = {key: str({**request, **answer}.get(key, "")) for key in ("user", "address")}
        if not any(who.values()):
            return {"error": "erase needs a user or an address"}
        erase(pipeline, **who)
        answer["erased"] = True
    changed = answer.get("changed") or answer.get("erased")
    if changed and request["do"] in ("forget", "authorise"):
        is_authorised = request["do"] == "authorise"
        pipeline.ledger.events.add(
            "authorised" if is_authorised else "forgotten",
            answer.get("address", ""),
            str(request.get("user", "")) or clean(str(request.get("note", "")))[:MAX_NOTE],
            MANUAL if is_authorised else "",
            answer.get("until", 0),
            "everybody" if request.get("all") is True else "erased" if "erased" in answer else "",
            request.get("uid"),
        )
    return answer


def _handle(pipeline: Pipeline, request: Mapping[str, Any], now: int) -> dict[str, Any]:
    do = request.get("do")
    if do in ("status", "report"):
        return {}
    if do == "test":
        found = pipeline.noticed.tests.get(str(request.get("token")))
        return {"test": None if found is None else found._asdict(), "version": __version__}
    if do == "trace":
        return {"logins": _logins(pipeline, now)}
    if do in ("revoke", "retire"):
        return _tell_site(pipeline, request, now)
    if do not in ("forget", "authorise", "tried"):
        return {"error": f"unknown request {do!r}"}
    if do == "forget" and "address" not in request:
        return _forget(pipeline, request, now)
    text = request.get("address")
    address = canonical(text) if isinstance(text, str) else None
    if address is None:
        return {"error": f"{text!r} is not an address"}
    if pipeline.logins.ipv6_prefix != 128:
        address = widen(address, pipeline.logins.ipv6_prefix)
    if do == "forget":
        changed = pipeline.ledger.forget(address, now)
        return {"changed": changed, "count": int(changed), "address": address}
    if do == "tried":
        return _tried(pipeline, address)
    seconds, note = request.get("seconds"), request.get("note", "")
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 1 <= seconds <= MAX_SECONDS:
        return {
            "error": f"{seconds!r} is not a number of seconds from 1 to {MAX_SECONDS} (a year); an "
            "address that may always relay belongs into the mail server's own networks"
        }
    if not isinstance(note, str):
        return {"error": f"{note!r} is not a text"}
    pipeline.ledger.authorise(address, seconds, clean(note)[:MAX_NOTE], now)
    return {
        "changed": True,
        "address": address,
        "until": pipeline.ledger.authorisations[address].until,
    }


def _tried(pipeline: Pipeline, address: str) -> dict[str, Any]:
    """Let the newest login of `address` be one that --report leaves out."""
    known = pipeline.ledger.authorisations.get(address)
    if known is None:
        return {"error": f"{address} is not authorised"}
    login = Login(address, known.user, known.server, known.protocol)
    pipeline.counts.tried.append((login, known.last))
    return {"changed": True}


def _logins(pipeline: Pipeline, now: int) -> list[dict[str, Any]]:
    """Return the newest logins, the oldest first."""
    read = [(login, pipeline.read_record(login.line)) for login in pipeline.trace.ask(now)]
    return [login.as_object(record) for login, record in read if isinstance(record, Record)]


def _forget(pipeline: Pipeline, request: Mapping[str, Any], now: int) -> dict[str, Any]:
    user = request.get("user")
    if request.get("all") is True:
        count = pipeline.ledger.forget_all(now)
    elif isinstance(user, str) and user:
        count = pipeline.ledger.forget_user(user, now)
    else:
        return {"error": f"{user!r} is not the name of a user"}
    return {"changed": count > 0, "count": count}


def _tell_site(pipeline: Pipeline, request: Mapping[str, Any], now: int) -> dict[str, Any]:
    until = request.get("until")
    if request["do"] == "retire":
        times = {RETIRED + str(request.get("name")): request.get("at")}
    else:
        addresses = request.get("addresses")
        times = {
            FORGOTTEN + address: at
            for address, at in (addresses if isinstance(addresses, dict) else {}).items()
        }
    words = {key: (at, until) for key, at in times.items()}
    for key, word in words.items():
        if not all(type(each) is int and each > 0 for each in word) or not key.isprintable():
            return {"error": f"{key!r}: {word!r} are not two times"}
    site = pipeline.state.site
    if request["do"] == "retire":
        site.hear(words)  # type: ignore[arg-type]
        return {"changed": True}
    # A second more: a part of one is lost, and nothing may be revoked too little.
    ahead = int(site.ahead) - 1 if request.get("own_clock") is True else 0
    told: dict[str, int] = {}
    for key, at in times.items():
        address = key.removeprefix(FORGOTTEN)
        pipeline.ledger.forget(address, now)
        told[address] = site.revoke(address, at - ahead, until - ahead)  # type: ignore[operator]
    return {"changed": True, "addresses": told}
