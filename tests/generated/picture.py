"""README's picture of `pbs-filter --watch`, drawn by it from fixed data."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from html import escape

from pbs_filter.commands.dashboard import Dashboard
from pbs_filter.map_format.entry import Entry
from pbs_filter.model import Reason
from pbs_filter.monitor.status import Run, collect
from pbs_filter.monitor.warnings import Notice, Warnings
from pbs_filter.terminal import Line, width

from ..pipelines import new

COLUMNS, ROWS = 100, 27
NOW = 1_800_000_000
COLOURS = {
    "": "#d8dee9",
    "bold": "#ffffff",
    "dim": "#7b8597",
    "red": "#ef6b73",
    "green": "#8fce7f",
    "yellow": "#ebcb6b",
    "cyan": "#6fc3df",
}
CELL, LINE = 8.4, 16.5
"""Pixels of a character's width and height, in a font of 14."""

LOGINS = [3, 4, 2, 5, 7, 6, 8, 9, 7, 12, 14, 11, 13, 17, 15, 19, 22, 18, 24, 21, 26, 23, 28, 31, 27]
LOGINS += [25, 29, 33, 30, 26, 24, 27, 22, 19, 21, 18, 16, 20, 17, 14, 15, 13, 16, 12, 11, 13, 10]
LOGINS += [12, 9, 11, 8, 10, 12, 14, 11, 9, 12, 13, 15, 6]
PEOPLE = (
    ("192.0.2.7", 1790, 1, "bob@example.org", "imap", "dovecot"),
    ("198.51.100.23", 1771, 0, "alice@example.org", "pop3", "dovecot"),
    ("2001:db8:5::41", 1725, 2, "王伟@example.org", "imap", "dovecot"),
    ("192.0.2.130", 1502, 0, "scanner-2nd-floor", "pop3", "courier"),
    ("198.51.100.4", 903, 0, "carol", "pop3", "popa3d"),
    ("192.0.2.61", 250, 0, "dave@example.org", "pop3", "courier"),
    ("192.0.2.9", 41, 0, "the new printer", "", "manual"),
)
REASONS = {
    Reason.OTHER_PROGRAM: 1_180_034,
    Reason.REFUSED: 812,
    Reason.LOCAL_NETWORK: 430,
    Reason.NO_RULE: 17,
    Reason.FORGED: 3,
}
LATELY = {Reason.REFUSED: 4, Reason.LOCAL_NETWORK: 1}


def sample() -> Dashboard:
    """A watched filter on a busy morning."""
    made = new()
    made.counts.lines, made.counts.candidates = 1_204_331, 24_297
    made.counts.reasons = dict(REASONS)
    run = Run(4711, NOW - 9 * 3600, NOW - 1, {}, "5f3a9c01-2202009", None)
    out = Warnings()
    out.lag_seconds = 0
    text = "forged: uid 1000 wrote lines as 'dovecot', refused"
    out.warned["forged"] = Notice("forged", NOW, text, "")
    values = collect(made, out, run, NOW)
    values |= {"open_sessions": 311, "logins_per_minute": LOGINS}
    reasons = {
        name: {**item, "count": item["count"] - LATELY.get(Reason[name.upper()], 0)}
        for name, item in values["reasons"].items()
    }
    watched = Dashboard("mx1  /var/lib/pbs-filter/map.gdbm", 1800)
    watched.filter_says({**values, "now": NOW - 60, "lines": 1_197_000, "reasons": reasons})
    watched.filter_says(values)
    watched.map_says(
        [
            (
                address,
                Entry(NOW + left, NOW - 9, NOW - 9, NOW + left - 1800, held, server, proto, user),
            )
            for address, left, held, user, proto, server in PEOPLE
        ],
        NOW,
    )
    return watched


def svg(lines: Sequence[Line]) -> str:
    """`lines` as a terminal shows them."""
    wide, high = round(COLUMNS * CELL + 24), round(len(lines) * LINE + 24)
    rows = []
    for number, line in enumerate(lines):
        column = 0
        for text, style in line:
            # Each word by itself: not every viewer keeps blanks.
            for word in re.finditer(r"[^ ]+", text):
                x = 12 + (column + width(text[: word.start()])) * CELL
                bold = ' font-weight="bold"' if style == "bold" else ""
                rows.append(
                    f'<text x="{x:.1f}" y="{25 + number * LINE:.1f}" fill="{COLOURS[style]}"{bold} '
                    f'textLength="{width(word[0]) * CELL:.1f}" lengthAdjust="spacingAndGlyphs">'
                    f"{escape(word[0])}</text>"
                )
            column += width(text)
    body = "\n".join(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" '
        f'viewBox="0 0 {wide} {high}" font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" '
        'font-size="14">\n'
        "<title>pbs-filter --watch</title>\n"
        f'<rect width="{wide}" height="{high}" rx="8" fill="#20242c"/>\n{body}\n</svg>\n'
    )


def picture() -> str:
    """The SVG of the sample, in UTC."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    try:
        return svg(sample().lines(COLUMNS, ROWS, NOW))
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()
