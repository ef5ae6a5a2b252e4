"""The journey of one login, from its log line to the MTA's answer, as findings. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ..integrations.finding import Finding, note, ok, wrong
from ..integrations.lookups import LookupConfig
from ..text import waited

SHOWN_CHARACTERS = 200
"""A line is shown up to here."""


def lasted(seconds: float) -> str:
    """Return a time that a step took."""
    seconds = max(seconds, 0.0)
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def none_came(waited_seconds: float) -> Finding:
    """Return the finding that nobody logged in."""
    return note(
        "login",
        f"no login came to the filter within {waited(waited_seconds)}",
        "pbs-filter --doctor --login USER   # makes one",
        "pbs-filter --doctor --wait 10m     # waits longer",
    )


def made(user: str, place: str, source: str, protection: str, took_seconds: float) -> Finding:
    """Return the finding that the server at `place` let `user` in."""
    return ok(
        "login",
        f"{user} logged in from {source} to {place}, {protection}, in {lasted(took_seconds)}",
    )


def not_made(user: str, problems: Sequence[str]) -> Finding:
    """Return the finding that no server let `user` in; `problems` has what each place said."""
    return wrong("login", f"{user} could not log in: {'; '.join(problems)}")


def not_seen(user: str, waited_seconds: float) -> Finding:
    """Return the finding that the server let `user` in, and no line of it came."""
    return wrong(
        "line",
        f"the server let {user} in, but no line that says so came to the filter within "
        f"{waited_seconds:.0f} s",
        "pbs-filter --status   # has lines that no rule reads, with an example",
        "see in the mail log whether the server writes a line for a login (Dovecot: auth_verbose "
        "and login_log_format are as shipped?)",
    )


def steps(login: Mapping[str, Any], until_epoch: int | None) -> list[Finding]:
    """Return a finding for each step of a login that the filter tells of (`trace.Login.as_object`).

    `until_epoch` is the end of the authorisation, where the map has one.
    """
    address, user = login["address"] or "an unknown address", login["user"] or "somebody"
    findings = [
        ok("line", _line(login)),
        ok("rule", f"{login['server']}, {login['rule']}: {user} from {address}"),
    ]
    if login["reason"] is not None:
        detail = f" ({login['detail']})" if login["detail"] else ""
        findings.append(
            note(
                "decision",
                f"{address} is not authorised: {login['reason']}{detail}",
                "if it should be: log in from another machine while this waits "
                "(pbs-filter --doctor --wait 10m), or change the option that is named",
            )
        )
        return findings
    end = ""
    if until_epoch is not None:
        end = f" until {datetime.fromtimestamp(until_epoch):%Y-%m-%d %H:%M:%S}"
    findings.append(ok("decision", f"{address} may relay{end}"))
    read, journal, in_map = (login[f"{name}_epoch"] for name in ("read", "journal", "map"))
    if journal is None:
        findings.append(wrong("journal", "the login is not on the disk yet", "see `store` above"))
        return findings
    findings.append(ok("journal", f"on the disk {lasted(journal - read)} after it was read"))
    if in_map is None:
        findings.append(wrong("map", "the login is not in the map yet", "see `store` above"))
    else:
        findings.append(ok("map", f"written {lasted(in_map - journal)} later"))
    return findings


def _line(login: Mapping[str, Any]) -> str:
    pid = f"[{login['pid']}]" if login["pid"] else ""
    host = f" on {login['host']}" if login["host"] else ""
    sender = f", uid {login['uid']}" if login["uid"] is not None else ""
    if login["peer"]:
        sender += f", by way of {login['peer']}"
    text = f"{login['program']}{pid}{host}{sender} wrote {login['line'][:SHOWN_CHARACTERS]!r}"
    written = login["written_epoch"]
    if written is None:
        return f"{text}; the feed does not say when"
    late = login["read_epoch"] - written
    if float(written).is_integer():  # a feed of whole seconds
        return f"{text}; read within {max(int(late), 0) + 1} s"
    return f"{text}; read {lasted(late)} later"


def answer(
    asked: LookupConfig, address: str, reply: str, problem: str, took_seconds: float
) -> Finding:
    """Judge the answer of the MTA's lookups about `address`."""
    place = asked.where or "pbs-lookup"
    if re.search(r"\bOK\b", reply):
        return ok("answer", f"{asked.mta} is told yes at {place}, after {lasted(took_seconds)}")
    said = problem or repr(reply.strip())
    return wrong("answer", f"{asked.mta} asks at {place} about {address}: {said}", *asked.restart)


def relayed(mta: str, source: str, reply: str) -> Finding:
    """Judge the MTA's answer to a recipient elsewhere, for a client at `source`."""
    if reply.startswith("2"):
        return ok("relay", f"{mta} takes mail from {source} to elsewhere: {reply}")
    return wrong(
        "relay",
        f"{mta} does not take mail from {source} to elsewhere, although it may relay: {reply}",
        f"pbs-filter --setup {mta}",
    )


def whole(began_epoch: float, ended_epoch: float, since: str) -> Finding:
    """Return the finding of how long all of it took."""
    return ok("in all", f"{lasted(ended_epoch - began_epoch)} from {since} to the map")
