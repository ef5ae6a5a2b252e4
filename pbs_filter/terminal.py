"""Text for people: widths on a terminal, printable text, colours, tables, times. Pure.

A line is a list of spans: a text and the name of a style. User names and log lines are anybody's
text, so that every span is made safe on its way out: no control character, no direction mark and
no half of a surrogate pair reaches a terminal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

STYLES = {
    "": "",
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
}
"""Each style's number in ECMA-48's SGR (select graphic rendition)."""


class Span(NamedTuple):
    """A piece of a line, all in one style of `STYLES`."""

    text: str
    style: str = ""


Line = Sequence[Span]


def safe(text: str) -> str:
    """Return `text` with a question mark for whatever is not printable."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def width(text: str) -> int:
    """Return the columns that a safe text needs (Unicode TR 11: wide ones take two)."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0  # stands on the character before it
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, columns: int) -> str:
    """Return the beginning of a safe text that fits; an ellipsis says that there was more."""
    if width(text) <= columns:
        return text
    if columns < 1:
        return ""
    left, end = columns - 1, 0
    while left >= (taken := _columns(text[end])):
        left -= taken
        end += 1
    return text[:end] + "…"


def fit(text: str, columns: int) -> str:
    """Return `text`, made safe, in exactly so many columns: cut, or blanks behind it."""
    shown = cut(safe(text), columns)
    return shown + " " * (columns - width(shown))


def clip(line: Line, columns: int) -> list[Span]:
    """Return the beginning of `line` that fits into so many columns, made safe."""
    clipped = []
    for text, style in line:
        shown = cut(safe(text), columns)
        columns -= width(shown)
        if shown:
            clipped.append(Span(shown, style))
    return clipped


def ansi(line: Line, *, colour: bool) -> str:
    """Return `line` as it is written to a terminal."""
    return "".join(
        f"\x1b[{STYLES[style]}m{safe(text)}\x1b[0m" if colour and style else safe(text)
        for text, style in line
    )


def widths(rows: Iterable[Sequence[Span]]) -> list[int]:
    """Return the columns of the widest cell in each column of `rows`."""
    return [max(width(safe(text)) for text, _ in column) for column in zip(*rows, strict=True)]


def aligned(row: Sequence[Span], columns: Sequence[int]) -> list[Span]:
    """Return a line of the cells in `row`, each as wide as its column, two blanks between them.

    A cell that is wider moves those behind it.
    """
    line = []
    last = len(row) - 1
    for number, (text, style) in enumerate(row):
        shown = safe(text)
        if number < last:
            # Almost every cell is ASCII, and a list may have a million.
            blanks = 0 if shown.isascii() else len(shown) - width(shown)
            shown = shown.ljust(columns[number] + blanks) + "  "
        line.append(Span(shown, style))
    return line


def table(rows: Sequence[Sequence[Span]]) -> list[list[Span]]:
    """Return the lines of a table of `rows`."""
    columns = widths(rows)
    return [aligned(row, columns) for row in rows]


def left(seconds: int) -> str:
    """Return a duration for people: `29:41`, `2:03:00`, or `ended`."""
    if seconds <= 0:
        return "ended"
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@lru_cache(1024)
def moment(epoch: int) -> str:
    """Return a time for people, in the local zone."""
    return datetime.fromtimestamp(epoch).strftime("%Y-%m-%d %H:%M:%S")


def urgency(seconds: int) -> str:
    """Return the style of a time left."""
    return "dim" if seconds <= 0 else "red" if seconds < 60 else "yellow" if seconds < 300 else ""


def json_line(value: Any) -> str:
    """Return one line of JSON."""
    import json

    return json.dumps(value, ensure_ascii=True) + "\n"


def wants_colour(choice: str, environ: Mapping[str, str], *, is_terminal: bool) -> bool:
    """Return whether to write colours, by `--color` (auto, always, never), NO_COLOR and TERM."""
    if choice != "auto":
        return choice == "always"
    return is_terminal and not environ.get("NO_COLOR") and environ.get("TERM", "") not in _BARE


_BARE = ("", "dumb")
"""Terminals of which nothing can be asked."""
