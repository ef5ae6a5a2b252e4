"""--status: what a running filter knows of itself, as plain values and as text. Pure.

The names of the JSON form are stable: `FIELDS` documents each, and `examples/json.md` is made from
it. A name may be added; none changes its meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .. import __version__
from ..authorisation.pipeline import Pipeline
from ..commands.report import moment
from ..model import Reason
from ..syslog import records
from ..terminal import Span, ansi, safe
from .warnings import Warnings

SHOWN = 30
"""Rows of a kind that the text shows; the JSON has all."""
EXAMPLE_CHARACTERS = 160

FIELDS = {
    "version": "the version of the running filter",
    "now": "the filter's clock",
    "since": "when it was started",
    "last_input": "when the last lines came; null: none yet",
    "newest_stamp": "the stamp of the newest line; null: it has none",
    "lag_seconds": "how long after its stamp that line came; null: unknown",
    "lines": "lines that were read",
    "logins": "logins that authorised: number by server",
    "logins_per_minute": "the same by the minute, the last hour, oldest first; the last minute has "
    "only begun",
    "logouts": "ends of sessions whose login had been seen",
    "reasons": "lines that authorised nobody, by reason: count, text, the newest example",
    "unread": "lines of known programs that no rule reads, by program: count, the newest example",
    "forged": "lines whose sender's uid may not write them: uid, program, count",
    "crowded": "addresses that several users logged in from, each with some of their names",
    "warnings": "what an operator should hear of: kind, since, sentence, todo",
    "authorised": "addresses that may relay",
    "open_sessions": "sessions that hold an address",
    "half_sessions": "connections whose login has not come yet",
    "trouble": "what is wrong with the store; null: nothing",
    "troubles": "the same by part of the store, journal or map",
    "map": "what a map in Redis has not taken yet: waiting (addresses; null: all), away_since, "
    "trouble; null: it has everything",
    "journal": "the journal: position (file and length) and bytes; null: nothing is written",
}
"""Times are whole seconds since the epoch, durations seconds."""


class Run(NamedTuple):
    """What the feed knows and the filter does not. Times are seconds since the epoch."""

    since: int
    last_input: int
    """0: none yet."""
    troubles: Mapping[str, str]
    """What is wrong, by part of the store."""
    journal: str | None
    """`Journal.position`; None: there is no journal."""
    behind: Mapping[str, Any] | None
    """The fields of `store.Behind`."""


def collect(pipeline: Pipeline, warnings: Warnings, run: Run, now: int) -> dict[str, Any]:
    """The values of `FIELDS`."""
    counts = pipeline.counts
    newest = warnings.newest
    return {
        "version": __version__,
        "now": now,
        "since": run.since,
        "last_input": run.last_input or None,
        "newest_stamp": None if newest is None else int(newest.epoch),
        "lag_seconds": warnings.lag_seconds,
        "lines": counts.lines,
        "logins": dict(counts.logins),
        "logins_per_minute": warnings.logins.counts(),
        "logouts": counts.logouts,
        "reasons": {
            reason.name.lower(): {
                "count": number,
                "text": reason.value,
                "example": counts.examples.get(reason, b"").decode("utf-8", "backslashreplace"),
            }
            for reason, number in sorted(
                counts.by_reason().items(), key=lambda item: item[1], reverse=True
            )
        },
        "unread": {
            program: {"count": number, "example": counts.unread_examples[program]}
            for program, number in counts.unread.items()
        },
        "forged": [
            {"uid": uid, "program": program, "count": number}
            for (uid, program), number in counts.forged.items()
        ],
        "crowded": {address: sorted(users) for address, users in pipeline.crowded.items()},
        "warnings": [warned._asdict() for warned in warnings.warned.values()],
        "authorised": len(pipeline.ledger.authorisations),
        "open_sessions": len(pipeline.ledger.sessions),
        "half_sessions": len(pipeline.correlator.pending),
        "trouble": "; ".join(run.troubles.values()) or None,
        "troubles": dict(run.troubles),
        "map": run.behind,
        "journal": None
        if run.journal is None
        else {"position": run.journal, "bytes": int(run.journal.rpartition("-")[2])},
    }


def text(values: Mapping[str, Any], *, colour: bool = False) -> str:
    """`values` for people."""
    return "".join(f"{ansi(row, colour=colour)}\n" for row in _rows(values))


def _rows(values: Mapping[str, Any]) -> Iterator[list[Span]]:
    journal = values["journal"]
    for name, said, style in (
        ("running since", f"{moment(values['since'])}, version {values['version']}", ""),
        ("last line", _last_line(values), ""),
        ("lines", str(values["lines"]), ""),
        (
            "authorised now",
            f"{values['authorised']} addresses, {values['open_sessions']} open sessions, "
            f"{values['half_sessions']} half-finished",
            "",
        ),
        ("store", values["trouble"] or "ok", "red" if values["trouble"] else "green"),
        *([("map", _behind(values["map"]), "yellow")] if values["map"] else []),
        (
            "journal",
            f"{size(journal['bytes'])}, position {journal['position']}"
            if journal
            else "none: --nowrite",
            "",
        ),
        ("logins", _by_server(values), ""),
        ("logouts", str(values["logouts"]), ""),
    ):
        yield [Span(f"{name:<17}", "dim"), Span(said, style)]
    yield from _section("warnings", map(_warning, values["warnings"]), "yellow")
    yield from _section("nothing came of", map(_reason, values["reasons"].values()))
    yield from _section(
        "lines of known programs that no rule reads (a new version?)",
        (
            [f"{item['count']:>10}  {program}: {item['example'][:EXAMPLE_CHARACTERS]!r}"]
            for program, item in values["unread"].items()
        ),
    )
    yield from _section(
        "addresses that many users logged in from (a proxy?)",
        ([f"{address}: {', '.join(users)}, ..."] for address, users in values["crowded"].items()),
    )
    yield from _section(
        "forged lines",
        (
            [f"{item['count']:>10}  uid {item['uid']} as {item['program']}"]
            for item in values["forged"]
        ),
    )


def _behind(values: Mapping[str, Any]) -> str:
    waiting = (
        "all of the state waits"
        if values["waiting"] is None
        else (f"{values['waiting']} addresses wait")
    )
    if values["away_since"] is None:
        return f"{waiting} to be sent"
    return f"away since {moment(values['away_since'])}, {waiting}: {values['trouble']}"


def _last_line(values: Mapping[str, Any]) -> str:
    last, lag = values["last_input"], values["lag_seconds"]
    if not last:
        return "none yet: does the syslog daemon feed us?"
    behind = "" if lag is None else f", {lag} s behind the syslog daemon"
    return f"{moment(last)}, {max(values['now'] - last, 0)} s ago{behind}"


def _by_server(values: Mapping[str, Any]) -> str:
    named = ", ".join(f"{name} {number}" for name, number in sorted(values["logins"].items()))
    return f"{named or 'none'}; {sum(values['logins_per_minute'])} in the last hour"


def _warning(warned: Mapping[str, Any]) -> list[str]:
    return [f"{moment(warned['since'])}  {warned['sentence']}", f"    {warned['todo']}"]


def _reason(item: Mapping[str, Any]) -> list[str]:
    rows = [f"{item['count']:>10}  {item['text']}"]
    if item["example"]:
        rows.append(f"            e.g. {_example(item['example'])[:EXAMPLE_CHARACTERS]!r}")
    return rows


def _example(line: str) -> str:
    """A line as people know it: program and message, not what the feed puts around them."""
    record = records.reader()(line.encode())
    return line if isinstance(record, Reason) else f"{record.program}: {record.message}"


def _section(title: str, items: Iterable[list[str]], style: str = "") -> Iterator[list[Span]]:
    number = 0
    for number, rows in enumerate(items, 1):
        if number == 1:
            yield [Span(title, "bold")]
        if number <= SHOWN:
            yield from ([Span(f"  {safe(row)}", style)] for row in rows)
    if number > SHOWN:
        yield [Span(f"  and {number - SHOWN} more: see --json")]


def size(number: int) -> str:
    """Bytes for people."""
    if number < 1 << 10:
        return f"{number} bytes"
    return f"{number / (1 << 20):.1f} MiB" if number >= 1 << 20 else f"{number / (1 << 10):.1f} KiB"
