"""What people read: --list and --explain. Pure: values in, text out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..map_format.entry import Entry
from ..model import Reason, Record
from ..terminal import Span, ansi, table

if TYPE_CHECKING:  # what --list need not import
    from ..authorisation.pipeline import Outcome
    from ..grammar.matcher import NearMiss

NEAR_MISSES = 3
"""Rules whose near miss --explain shows, the one that read furthest first."""

COLUMNS = ("ADDRESS", "LEFT", "UNTIL", "LAST LOGIN", "OPEN", "USER", "PROTO", "SERVER")


def left(seconds: int) -> str:
    """A duration for people: `29:41`, `2:03:00`, or `ended`."""
    if seconds <= 0:
        return "ended"
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def moment(epoch: int) -> str:
    """A time for people, in the local zone."""
    return datetime.fromtimestamp(epoch).strftime("%Y-%m-%d %H:%M:%S")


def select(
    entries: Iterable[tuple[str, Entry]], now: int, *, ended: bool
) -> list[tuple[str, Entry]]:
    """The entries to show: the living (all of them with `ended`), the first to end first."""
    shown = [item for item in entries if ended or (item[1].until > now >= item[1].renewed - 1)]
    return sorted(shown, key=lambda item: (item[1].until, item[0]))


def as_table(
    entries: Sequence[tuple[str, Entry]],
    now: int,
    *,
    colour: bool = False,
    filters: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """One row an address, aligned; columns as `COLUMNS`, and `filters` of each address if given."""
    more = ["FILTERS"] if filters is not None else []
    rows = [[Span(name, "bold") for name in (*COLUMNS, *more)]]
    for address, entry in entries:
        by = [Span(" ".join(filters[address]))] if filters is not None else []
        rows.append(
            [
                Span(address),
                Span(left(entry.until - now), urgency(entry.until - now)),
                Span(moment(entry.until)),
                Span(moment(entry.last)),
                Span(str(entry.sessions), "green" if entry.sessions else "dim"),
                Span(entry.user or "-"),
                Span(entry.protocol or "-"),
                Span(entry.server or "-"),
                *by,
            ]
        )
    return "".join(f"{ansi(line, colour=colour)}\n" for line in table(rows))


def urgency(seconds: int) -> str:
    """The style of a time left."""
    return "dim" if seconds <= 0 else "red" if seconds < 60 else "yellow" if seconds < 300 else ""


def as_objects(
    entries: Sequence[tuple[str, Entry]],
    now: int,
    *,
    filters: Mapping[str, Sequence[str]] | None = None,
) -> list[dict[str, Any]]:
    """One object an address, for --json: times in seconds since the epoch, durations in seconds;
    `filters` where they are given."""
    return [
        {
            "address": address,
            "left_seconds": max(entry.until - now, 0),
            "until": entry.until,
            "since": entry.since,
            "last_login": entry.last,
            "open_sessions": entry.sessions,
            "user": entry.user,
            "protocol": entry.protocol or None,
            "server": entry.server,
            **({} if filters is None else {"filters": list(filters[address])}),
        }
        for address, entry in entries
    ]


# ---------------------------------------------------------------------- --explain


LOGINS_WITHOUT_EFFECT = frozenset(
    {
        Reason.LOCAL_NETWORK,
        Reason.OWN_ADDRESS,
        Reason.PROXY,
        Reason.DENIED_NETWORK,
        Reason.DENIED_USER,
        Reason.TOO_LATE,
        Reason.TOO_MANY,
    }
)
"""Somebody logged in, and the site's policy is that it authorises nobody."""


UNPROVEN = (
    ", if the server itself or root wrote this: the feed tells the running filter who did, a log "
    "file does not (require_vouched is on)"
)
"""What --explain says of a line that it cannot judge as the filter does."""


def story_object(number: int, outcome: Outcome) -> dict[str, Any]:
    """The object of one line for `--explain --json`.

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
    }


def story(
    number: int,
    line: bytes,
    record: Record | Reason,
    outcome: Outcome,
    near: Sequence[NearMiss] = (),
) -> str:
    """Everything about one line, for people."""
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
    """An observation with what it has."""
    fields = [
        f"{name}={getattr(observation, name)!r}"
        for name in getattr(observation, "__dataclass_fields__", ())
        if getattr(observation, name) is not None
    ]
    return f"{type(observation).__name__}({', '.join(fields)})"


def decision(outcome: Outcome) -> str:
    """What was decided, in one sentence."""
    condition = UNPROVEN if outcome.reason is Reason.NOT_VOUCHED else ""
    if outcome.event == "login":
        return f"login: {outcome.address} may relay{condition}"
    if outcome.event == "logout":
        return f"logout: a session of {outcome.address} ended{condition}"
    assert outcome.reason is not None
    detail = f" ({outcome.detail})" if outcome.detail else ""
    return f"nothing: {outcome.reason.value}{detail}"


def to_json(value: Any) -> str:
    """One line of JSON."""
    return json.dumps(value, ensure_ascii=True) + "\n"
