"""The table gives the few rules that can fit a message, by the message's first characters."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .observe import Builder
from .reading import Reading, TextMatch, among, can_begin_alike, compiled
from .rules import Rule, Server


class Candidate(NamedTuple):
    """A rule, ready to run for one program."""

    server: Server
    rule: Rule
    reading: Reading
    build: Builder


class Choice:
    """A candidate for messages that begin alike, with its rivals."""

    __slots__ = ("build", "match", "reading", "rival_fits", "rivals", "rule", "server")

    def __init__(self, candidate: Candidate, rivals: tuple[Candidate, ...]) -> None:
        self.server = candidate.server
        self.rule = candidate.rule
        self.build = candidate.build
        self.reading = candidate.reading
        self.rivals = rivals
        """Later candidates that can fit the same message."""
        self.match: Callable[[str], TextMatch | None] = self._first_time
        """Reads a message, to its end."""
        self.rival_fits = 0
        """The group of the match that is set where a rival fits the message, too."""

    def _first_time(self, message: str) -> TextMatch | None:
        # Compiled when first needed: of all choices an installation needs a few.
        text, self.rival_fits = among(self.reading, (each.reading for each in self.rivals))
        self.match = compiled(text).match
        return self.match(message)


class Table(NamedTuple):
    """Chooses candidates by a message's first characters."""

    width: int
    """The number of characters that choose."""
    table: dict[str, Table | tuple[Choice, ...]]
    others: tuple[Choice, ...]
    """The candidates for a message that begins like none in the table."""


def dispatch(candidates: list[Candidate]) -> Table:
    """Return the table of all `candidates`, which are in the order of the server files."""
    table = _table(tuple(candidates), "")
    return table if isinstance(table, Table) else Table(0, {}, table)


def _table(candidates: tuple[Candidate, ...], start: str) -> Table | tuple[Choice, ...]:
    """Return the table of `candidates` for messages that begin with `start`, or their choices,
    where more characters do not separate them."""
    prefixes = [_possible(candidate, start) for candidate in candidates]
    # The narrowest first: a wider one would leave more candidates together in `others`.
    for width in sorted({len(p) for possible in prefixes for p in possible if len(p) > len(start)}):
        table, others = _split(candidates, prefixes, width)
        if min(map(len, table.values())) < len(candidates):
            deeper = {key: _table(some, key) for key, some in table.items()}
            return Table(width, deeper, _choices(others, start))
    return _choices(candidates, start)


def _possible(candidate: Candidate, start: str) -> frozenset[str]:
    """Return the prefixes that a message which begins with `start` can have."""
    return frozenset(
        p for p in candidate.reading.begins if p.startswith(start) or start.startswith(p)
    )


def _choices(candidates: tuple[Candidate, ...], start: str) -> tuple[Choice, ...]:
    prefixes = [_possible(candidate, start) for candidate in candidates]
    return tuple(
        Choice(
            candidate,
            tuple(
                other
                for other, others in zip(candidates[i:], prefixes[i:], strict=True)
                if can_begin_alike(prefixes[i - 1], others)
            ),
        )
        for i, candidate in enumerate(candidates, 1)
    )


def _split(
    candidates: tuple[Candidate, ...], prefixes: list[frozenset[str]], width: int
) -> tuple[dict[str, tuple[Candidate, ...]], tuple[Candidate, ...]]:
    """Return the candidates for each beginning of that width, and those for any other."""
    keyed = [{p[:width] for p in possible if len(p) >= width} for possible in prefixes]
    short = [tuple(p for p in possible if len(p) < width) for possible in prefixes]
    table = {
        key: tuple(
            c
            for c, keys, shorter in zip(candidates, keyed, short, strict=True)
            if key in keys or (shorter and key.startswith(shorter))
        )
        for key in set().union(*keyed)
    }
    return table, tuple(c for c, shorter in zip(candidates, short, strict=True) if shorter)
