"""Text for a terminal: how wide it is, what of it may be shown, colours. Pure.

A line is a list of spans: a text and the name of a style. User names and log lines are anybody's
text, so that every span is made safe on its way out: no control character, no direction mark and
no half of a surrogate pair reaches a terminal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

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
    """`text` with a question mark for whatever is not printable."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def width(text: str) -> int:
    """How many columns a terminal needs for a safe text (Unicode TR 11: wide ones take two)."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0  # stands on the character before it
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, columns: int) -> str:
    """As much of a safe text as fits; an ellipsis says that there was more."""
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
    """`text`, made safe, in exactly so many columns: cut, or blanks behind it."""
    shown = cut(safe(text), columns)
    return shown + " " * (columns - width(shown))


def clip(line: Line, columns: int) -> list[Span]:
    """As much of `line` as fits into so many columns, made safe."""
    clipped = []
    for text, style in line:
        shown = cut(safe(text), columns)
        columns -= width(shown)
        if shown:
            clipped.append(Span(shown, style))
    return clipped


def ansi(line: Line, *, colour: bool) -> str:
    """`line` as it is written to a terminal."""
    return "".join(
        f"\x1b[{STYLES[style]}m{safe(text)}\x1b[0m" if colour and style else safe(text)
        for text, style in line
    )


def table(rows: Iterable[Sequence[Span]]) -> list[list[Span]]:
    """Cells to lines: each column as wide as its widest cell, two blanks between columns."""
    cells = [[Span(safe(text), style) for text, style in row] for row in rows]
    widths = [max(width(cell.text) for cell in column) for column in zip(*cells, strict=True)]
    return [
        [
            Span(fit(text, columns) + "  " if number < len(widths) else text, style)
            for number, ((text, style), columns) in enumerate(zip(row, widths, strict=True), 1)
        ]
        for row in cells
    ]


def wants_colour(choice: str, environ: Mapping[str, str], *, is_terminal: bool) -> bool:
    """Whether to write colours, by `--color` (`auto`, `always`, `never`), NO_COLOR and TERM."""
    if choice != "auto":
        return choice == "always"
    return is_terminal and not environ.get("NO_COLOR") and environ.get("TERM", "") not in _BARE


_BARE = ("", "dumb")
"""Terminals of which nothing can be asked."""
