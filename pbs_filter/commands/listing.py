"""--list: who may relay, until when, and why (edge)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Protocol

from ..config.options import Config
from ..errors import ConfigError, StoreBusy, StoreDamaged
from ..lookup.answer import YES
from ..map_format.entry import Entry
from ..terminal import Span, aligned, ansi, json_line, left, moment, urgency, widths
from . import stored
from .arguments import address_of, colour_of, complain, key_of
from .stored import Row

SORTED_ROWS = 10_000
"""Addresses that are sorted by their ends. Of more than that the map's own order is kept, so that
the first row comes at once, and memory has a bound."""
COLUMNS = ("ADDRESS", "LEFT", "UNTIL", "LAST LOGIN", "OPEN", "USER", "PROTO", "SERVER")


def run(config: Config, options: argparse.Namespace) -> int:
    """List the map; with an address return 0 if it may relay, 1 if not.

    Raises:
        StoreBusy, StoreDamaged: lookups answer "not now".
    """
    now = stored.now(config)
    if not options.list:
        _write(config, options, now, "")
        return 0
    address = address_of("--list", options.list)
    verdict = stored.answer(config, address)
    if verdict == YES or options.all or options.json or options.plain:
        _write(config, options, now, key_of("--list", options.list, config))
    else:
        print(f"{options.list}: not authorised")
    return 0 if verdict == YES else 1


def _write(config: Config, options: argparse.Namespace, now: int, key: str) -> None:
    """Write the rows of `key`, or of all addresses, as they are read."""
    writer: Writer
    if options.json:
        writer = JsonWriter(now, groups_of(config))
    elif options.plain:
        writer = PlainWriter()
    else:
        writer = TableWriter(now, groups_of(config), colour=colour_of(options))
    rows = stored.rows(config, now, key)
    if not options.all:
        rows = (without_ended(row, now) for row in rows if is_shown(row.entry, now))
    first, error = _first(rows)
    if error is not None and not first:
        raise error
    first.sort(key=lambda row: (row.entry.until, row.address))
    writer.begin(first)
    if len(first) == SORTED_ROWS:
        try:
            for number, row in enumerate(rows, 1):
                if number == 1:
                    complain(f"more than {SORTED_ROWS:,} addresses: they are not sorted by end")
                writer.row(row)
        except (StoreBusy, StoreDamaged) as late_error:
            error = late_error
    writer.end()
    if error is not None:
        raise error


GroupOf = Callable[[str, Entry], str]
"""The name of the group that decides for the user of an entry at an address; empty: none does."""


def groups_of(config: Config) -> GroupOf | None:
    """Return how to find the group of an entry; None where the configuration has no groups."""
    if not config.groups:
        return None
    from ..authorisation.authorisations import MANUAL
    from ..authorisation.policy import Policy
    from ..service import build

    try:
        policy = Policy.of(groups=build.groups_of(config))
    except ConfigError as error:
        complain(f"{error}; so no group is shown")
        return None

    def name(address: str, entry: Entry) -> str:
        group = None if entry.server == MANUAL else policy.group_of(entry.user, address)
        return "" if group is None else group.name

    return name


def _first(rows: Iterator[Row]) -> tuple[list[Row], StoreBusy | StoreDamaged | None]:
    """Return the first SORTED_ROWS rows, and what stopped them."""
    first: list[Row] = []
    try:
        first.extend(islice(rows, SORTED_ROWS))
    except (StoreBusy, StoreDamaged) as error:
        return first, error
    return first, None


def is_shown(entry: Entry, now: int) -> bool:
    """Return whether `entry` authorises its address at `now`, epoch seconds."""
    return entry.until > now >= entry.renewed - 1


def without_ended(row: Row, now: int) -> Row:
    """Return `row` without the users whose time has ended."""
    return row._replace(users=tuple(user for user in row.users if is_shown(user, now)))


class Writer(Protocol):
    """A form in which rows are written to stdout."""

    def begin(self, first: list[Row]) -> None:
        """Write the first rows and what stands before them."""

    def row(self, row: Row) -> None:
        """Write one more row."""

    def end(self) -> None:
        """Write what stands behind the rows."""


class PlainWriter:
    """Addresses only, one a line."""

    def begin(self, first: list[Row]) -> None:
        """See `Writer`."""
        sys.stdout.writelines(f"{row.address}\n" for row in first)

    def row(self, row: Row) -> None:
        """See `Writer`."""
        sys.stdout.write(f"{row.address}\n")

    def end(self) -> None:
        """See `Writer`."""


class JsonWriter:
    """One array with one object an address: epoch seconds, durations in seconds."""

    def __init__(self, now: int, group_of: GroupOf | None = None) -> None:
        self._now = now
        self._group_of = group_of
        self._separator = "["

    def begin(self, first: list[Row]) -> None:
        """See `Writer`."""
        for row in first:
            self.row(row)

    def row(self, row: Row) -> None:
        """See `Writer`."""
        sys.stdout.write(self._separator + json_line(self._object(row)).rstrip("\n"))
        self._separator = ", "

    def end(self) -> None:
        """See `Writer`."""
        sys.stdout.write("[]\n" if self._separator == "[" else "]\n")

    def _object(self, row: Row) -> dict[str, Any]:
        return as_object(row, self._now, self._group_of)


class TableWriter:
    """A table whose columns fit the first rows."""

    def __init__(self, now: int, group_of: GroupOf | None, *, colour: bool) -> None:
        self._now = now
        self._group_of = group_of
        self._colour = colour
        self._columns: list[int] = []

    def begin(self, first: list[Row]) -> None:
        """See `Writer`."""
        shared = any(row.filters is not None for row in first)
        names = [*COLUMNS, *(["GROUP"] if self._group_of else []), *(["FILTERS"] if shared else [])]
        head = [Span(name, "bold") for name in names]
        cells = [head, *(line for row in first for line in self._cells(row))]
        self._columns = widths(cells)
        for line in cells:
            self._write(line)

    def row(self, row: Row) -> None:
        """See `Writer`."""
        for line in self._cells(row):
            self._write(line)

    def end(self) -> None:
        """See `Writer`."""

    def _cells(self, row: Row) -> list[list[Span]]:
        return as_cells(row, self._now, self._group_of)

    def _write(self, cells: list[Span]) -> None:
        line = aligned(cells, self._columns)
        sys.stdout.write(f"{ansi(line, colour=self._colour)}\n")


def as_cells(row: Row, now: int, group_of: GroupOf | None = None) -> list[list[Span]]:
    """Return the cells of the lines of an address in the table: one for each user."""
    return [
        [
            Span(row.address),
            Span(left(entry.until - now), urgency(entry.until - now)),
            Span(moment(entry.until)),
            Span(moment(entry.last)),
            Span(str(entry.sessions), "green" if entry.sessions else "dim"),
            Span(entry.user or "-"),
            Span(entry.protocol or "-"),
            Span(entry.server or "-"),
            *([] if group_of is None else [Span(group_of(row.address, entry) or "-")]),
            *([] if row.filters is None else [Span(" ".join(row.filters))]),
        ]
        for entry in row.by_user()
    ]


def as_object(row: Row, now: int, group_of: GroupOf | None = None) -> dict[str, Any]:
    """Return the object of one address for --json."""
    entry = row.entry

    def group(of: Entry) -> str | None:
        return None if group_of is None else group_of(row.address, of) or None

    return {
        "address": row.address,
        "left_seconds": max(entry.until - now, 0),
        "until": entry.until,
        "since": entry.since,
        "last_login": entry.last,
        "open_sessions": entry.sessions,
        "user": entry.user,
        "protocol": entry.protocol or None,
        "server": entry.server,
        "group": group(entry),
        "users": [
            {
                "user": user.user,
                "until": user.until,
                "since": user.since,
                "last_login": user.last,
                "open_sessions": user.sessions,
                "protocol": user.protocol or None,
                "server": user.server,
                "group": group(user),
            }
            for user in row.by_user()
        ],
        **({} if row.filters is None else {"filters": list(row.filters)}),
    }
