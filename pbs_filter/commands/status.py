"""--status: the values that the running filter tells of itself (edge)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..config.options import Config
from ..errors import StoreBusy
from ..held_files import described_holders
from ..monitor.configuration import not_in_use
from ..service import control
from ..terminal import Span, ansi, json_line, moment, safe
from ..text import counted
from .arguments import colour_of

SHOWN = 30
"""Rows of a kind that the text shows; the JSON has all."""
EXAMPLE_CHARACTERS = 160


def run(config: Config, options: argparse.Namespace) -> int:
    """Show the values; return 0, or 1 where the journal or the map does not take what it should.

    Raises:
        StoreBusy: no filter runs, or it does not answer.
    """
    answer = control.ask(config.control, {"do": "status"})
    if answer is None:
        answer = control.ask(config.trial_control, {"do": "status"})
    if answer is None or "status" not in answer:
        holder = described_holders(config.lock)
        if holder:
            raise StoreBusy(
                f"{holder} holds {config.lock!r} and has no socket {config.control!r}: ask again "
                "in a few seconds, when a filter has started; if the socket was removed, restart "
                "the syslog daemon"
            )
        raise StoreBusy(
            f"no filter is running on {config.map!r}: the syslog daemon starts it with "
            "itself; pbs-filter --doctor sends a line, and looks for what is missing"
        )
    values = answer["status"]
    sys.stdout.write(json_line(values) if options.json else text(values, colour=colour_of(options)))
    shared = values["map"]
    return int(bool(values["trouble"] or (shared and shared["trouble"])))


def text(values: Mapping[str, Any], *, colour: bool = False) -> str:
    """Return the lines of `values`, for people."""
    return "".join(f"{ansi(row, colour=colour)}\n" for row in _rows(values))


def _rows(values: Mapping[str, Any]) -> Iterator[list[Span]]:
    journal, old = values["journal"], not_in_use(values)
    for name, said, style in (
        *([] if journal else [("writes", "nothing: --nowrite", "yellow")]),
        (
            "running since",
            f"{moment(values['since'])}, version {values['version']}, pid {values.get('pid', '?')}",
            "",
        ),
        ("configuration", old or "as in the files", "yellow" if old else ""),
        ("last line", _last_line(values), ""),
        ("lines", str(values["lines"]), ""),
        (
            "authorised now",
            f"{counted(values['authorised'], 'address')}, "
            f"{counted(values['open_sessions'], 'open session')}, "
            f"{values['half_sessions']} pending",
            "",
        ),
        ("store", values["trouble"] or "ok", "red" if values["trouble"] else "green"),
        *(
            [("map", _behind(values["map"]), "red" if values["map"]["trouble"] else "yellow")]
            if values["map"]
            else []
        ),
        (
            "journal",
            f"{size(journal['bytes'])}, position {journal['position']}"
            if journal
            else "none: --nowrite",
            "",
        ),
        ("logins", _by_server(values), ""),
        ("logouts", str(values["logouts"]), ""),
        ("lookups", _lookups(values["lookups_by_mta"]), ""),
    ):
        yield [Span(f"{name:<17}", "dim"), Span(said, style)]
    yield from _section("filters that share the map", map(_member, values["members"]))
    yield from _section("warnings", map(_warning, values["warnings"]), "yellow")
    yield from _section(
        "lines that led to nothing, and why", map(_reason, values["reasons"].values())
    )
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
    number = values["waiting"]
    waiting = "all of the state" if number is None else counted(number, "address")
    if values["away_since"] is None:
        return f"{waiting} to be sent"
    since = moment(values["away_since"])
    return f"nothing is taken since {since}, {waiting} to be sent: {values['trouble']}"


def _last_line(values: Mapping[str, Any]) -> str:
    last, lag = values["last_input"], values["lag_seconds"]
    if not last:
        return "none yet: does the syslog daemon feed us?"
    behind = "" if lag is None else f", {lag} s behind the syslog daemon"
    return f"{moment(last)}, {max(values['now'] - last, 0)} s ago{behind}"


def _by_server(values: Mapping[str, Any]) -> str:
    named = ", ".join(f"{name} {number}" for name, number in sorted(values["logins"].items()))
    return f"{named or 'none'}; {sum(values['logins_per_minute'])} in the last hour"


def _lookups(lookups: Mapping[str, Mapping[str, Mapping[str, int]]]) -> str:
    return (
        "; ".join(
            f"{mta} {protocol} {numbers['yes']} yes, {numbers['no']} no, "
            f"{numbers['not_now']} not now"
            for mta, protocols in sorted(lookups.items())
            for protocol, numbers in sorted(protocols.items())
        )
        or "none have been counted"
    )


def _member(member: Mapping[str, Any]) -> list[str]:
    if member["awaited_until"] is None:
        return [f"{member['name']}: retired"]
    seen = "no sign of life is known"
    if member["last_sign"]:
        seen = f"last sign of life {member['silent_seconds']} s ago"
    return [f"{member['name']}: {seen}"]


def _warning(warned: Mapping[str, Any]) -> list[str]:
    return [f"{moment(warned['since'])}  {warned['sentence']}", f"    {warned['todo']}"]


def _reason(item: Mapping[str, Any]) -> list[str]:
    rows = [f"{item['count']:>10}  {item['text']}"]
    if item["example"]:
        rows.append(f"            e.g. {_example(item['example'])[:EXAMPLE_CHARACTERS]!r}")
    return rows


def _example(line: str) -> str:
    """Return a line as people know it: program and message, not what the feed puts around them."""
    from ..model import Reason
    from ..syslog import records

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
    """Return a number of bytes for people."""
    if number < 1 << 10:
        return counted(number, "byte")
    return f"{number / (1 << 20):.1f} MiB" if number >= 1 << 20 else f"{number / (1 << 10):.1f} KiB"
