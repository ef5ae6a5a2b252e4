"""--explain: what each line of stdin leads to, and why (edge)."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any

from ..authorisation.outcome import Outcome
from ..authorisation.state import State
from ..config.options import Config
from ..errors import PbsFilterError
from ..grammar.matcher import Matcher, NearMiss
from ..model import Reason, Record
from ..service.build import pipeline_of
from ..store import journal_lines
from ..terminal import json_line
from ..text import counted
from .arguments import complain

NEAR_MISSES = 3
"""Rules whose near miss --explain shows, the one that read furthest first."""

REMEMBERED = frozenset({"a\t", "d\t", "u\t", "v\t", "k\t"})
"""How payloads of the journal begin that tell of addresses, their users, and countries."""
LOGINS_WITHOUT_EFFECT = frozenset(
    {
        Reason.LOCAL_NETWORK,
        Reason.OWN_ADDRESS,
        Reason.PROXY,
        Reason.DENIED_NETWORK,
        Reason.DENIED_USER,
        Reason.NOT_AN_ALLOWED_NETWORK,
        Reason.NOT_AN_ALLOWED_USER,
        Reason.TOLD_TWICE,
        Reason.TOO_LATE,
        Reason.TOO_MANY,
        Reason.USER_HAS_TOO_MANY,
        Reason.WITHOUT_TLS,
        Reason.NEW_COUNTRY,
    }
)
"""Somebody logged in, and the site's policy is that it authorises nobody."""


UNPROVEN = (
    ", if the server itself or root wrote this: the feed tells the running filter who did, a log "
    "file does not (require_vouched is on)"
)
"""What --explain says of a line that it cannot judge as the filter does."""


def run(config: Config, options: argparse.Namespace) -> int:
    """Explain every line of stdin; return 0."""
    pipeline = pipeline_of(config, complain)
    now = int(time.time())
    remember(config, pipeline.state, now)
    for number, raw in enumerate(sys.stdin.buffer if sys.stdin else (), 1):
        line = raw.removesuffix(b"\n")
        record = pipeline.read_record(line)
        # A log file cannot say who wrote its lines, as the feed does: they are explained all the
        # same, and it is said.
        unproven = config.require_vouched and not line.startswith(b"{")
        pipeline.policy.require_vouched = config.require_vouched and not unproven
        outcome = pipeline.read(record, now)
        if unproven and outcome.event != "none":
            outcome = outcome._replace(reason=Reason.NOT_VOUCHED)
        if options.json:
            sys.stdout.write(json_line(story_object(number, outcome)))
        else:
            outcome, near = closer(pipeline.matcher, record, outcome)
            sys.stdout.write(story(number, line, record, outcome, near))
    sys.stdout.flush()
    return 0


def remember(config: Config, state: State, now: int) -> None:
    """Let `state` have what decides over a login beside its line: the addresses that each user has
    let in, and the countries that each user has come from, as the filter's journal knows them.

    Open sessions stay away: the lines to explain are mostly some that the filter has taken already.
    """
    try:
        for payload in journal_lines.read(config.journal):
            if payload[:2] in REMEMBERED:
                state.apply(payload)
    except PbsFilterError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return
        complain(
            f"{error}; so max_addresses, max_addresses_per_user and geoip_database are judged as "
            "if nobody had logged in before"
        )
    state.restored(now)


def closer(
    matcher: Matcher, record: Record | Reason, outcome: Outcome
) -> tuple[Outcome, Sequence[NearMiss]]:
    """Return the outcome with its user's name, if that keeps every rule from the line; the near
    misses."""
    if not isinstance(record, Record) or outcome.reason is not Reason.NO_RULE:
        return outcome, ()
    user = matcher.explain_user(record)
    if user is not None:
        outcome = outcome._replace(detail=odd(user))
    return outcome, matcher.explain(record)


def story_object(number: int, outcome: Outcome) -> dict[str, Any]:
    """Return the object of one line for `--explain --json`.

    `event` is what happened, `reason` why it authorises nobody: a login authorises if its reason is
    null.
    """
    return {
        "line": number,
        "event": "login" if outcome.reason in LOGINS_WITHOUT_EFFECT else outcome.event,
        "address": outcome.address,
        "user": outcome.user,
        "protocol": outcome.protocol,
        "server": outcome.server or None,
        "reason": None if outcome.reason is None else outcome.reason.value,
        "detail": outcome.detail or None,
    }


def story(
    number: int,
    line: bytes,
    record: Record | Reason,
    outcome: Outcome,
    near: Sequence[NearMiss] = (),
) -> str:
    """Return the explanation of one line, for people."""
    text = line[:400].decode("utf-8", "backslashreplace")
    rows = [f"line {number}: {text if text.isprintable() else repr(text)}"]
    if isinstance(record, Record):
        where = " ".join(
            f"{name} {value!r}"
            for name, value in (
                ("program", record.program),
                ("pid", record.pid),
                ("host", record.host),
                ("uid", record.uid),
                ("peer", record.peer),
            )
            if value not in ("", None)
        )
        rows.append(f"  record       {where}")
        rows.append(f"  message      {record.message[:400]!r}")
    if outcome.server:
        rows.append(f"  server       {outcome.server}, rule {outcome.rule}")
    if outcome.observation is not None:
        rows.append(f"  observation  {observed(outcome.observation)}")
    rows += [
        f"  near miss    {miss.server.name}, rule {miss.rule.name}: read up to "
        f"{record.message[max(miss.position - 24, 0) : miss.position]!r}, stopped at "
        f"{record.message[miss.position : miss.position + 40]!r}"
        for miss in near[:NEAR_MISSES]
        if isinstance(record, Record) and miss.position
    ]
    rows.append(f"  decision     {decision(outcome)}")
    return "\n".join(rows) + "\n"


def observed(observation: object) -> str:
    """Return an observation with its fields."""
    fields = [
        f"{name}={getattr(observation, name)!r}"
        for name in getattr(observation, "__dataclass_fields__", ())
        if getattr(observation, name) is not None
    ]
    return f"{type(observation).__name__}({', '.join(fields)})"


def odd(user: str) -> str:
    """Return what in a user's name keeps every rule from reading the line."""
    signs = sorted({char for char in user if not (char.isalnum() or char in "._@+-")})
    if not signs:
        return f"the user name has {counted(len(user), 'character')}"
    return f"the user name holds {' '.join(map(repr, signs))}"


def decision(outcome: Outcome) -> str:
    """Return the decision, in one sentence."""
    condition = UNPROVEN if outcome.reason is Reason.NOT_VOUCHED else ""
    detail = f" ({outcome.detail})" if outcome.detail else ""
    if outcome.event == "login":
        return f"login: {outcome.address} may relay{detail}{condition}"
    if outcome.event == "logout":
        return f"logout: a session of {outcome.address} ended{condition}"
    assert outcome.reason is not None
    if outcome.reason is Reason.NO_RULE and outcome.detail:
        return f"nothing: {outcome.detail}: {outcome.reason.value}"
    return f"nothing: {outcome.reason.value}{detail}"
