"""Plots show sums by the day as stacked bars, in SVG. Pure.

A bar stands for one day, the vertical axis begins at 0, and every text is escaped. Colours are
classes (`s0` ... `s7`) of the page's style sheet, which has dark ones, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import count
from typing import NamedTuple

from ..terminal import safe

WIDTH, HEIGHT = 720, 230
LEFT, RIGHT, TOP, BOTTOM = 56, 28, 24, 34
"""Room for the labels, in units of the view box, of which a character has about 7."""
SERIES = 6
"""Most series of a plot; further ones are added up as "others"."""
DATE_WIDTH = 64
"""Width of the label of a day, in units of the view box."""
OTHERS = "others"
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


class Series(NamedTuple):
    """Day -> number, under a name that may be a stranger's text."""

    name: str
    values: Mapping[str, int]

    @property
    def total(self) -> int:
        """The sum of all days."""
        return sum(self.values.values())


def largest(series: Iterable[Series]) -> list[Series]:
    """Return the largest of `series`, and the sum of the rest as one more."""
    found = sorted(
        (each for each in series if each.total), key=lambda each: (-each.total, each.name)
    )
    if len(found) <= SERIES + 1:
        return found
    rest: dict[str, int] = {}
    for each in found[SERIES:]:
        for day, number in each.values.items():
            rest[day] = rest.get(day, 0) + number
    return [*found[:SERIES], Series(f"{len(found) - SERIES} {OTHERS}", rest)]


def ticks(highest: int) -> list[int]:
    """Return the values of the lines on the vertical axis: whole numbers from 0 to `highest` or
    above."""
    steps = (factor * 10**power for power in count() for factor in (1, 2, 5))
    step = next(step for step in steps if step * 5 >= highest)
    return list(range(0, max(highest, 1) + step, step))


def number_label(number: int) -> str:
    """Return `number`, a value of `ticks`, as `1,500`, `150k` or `15M`."""
    if number >= 10_000_000 and number % 1_000_000 == 0:
        return f"{number // 1_000_000}M"
    return f"{number // 1000:,}k" if number >= 10_000 and number % 1000 == 0 else f"{number:,}"


def day_label(day: str) -> str:
    """Return `28 Nov` for `2026-11-28`."""
    return f"{int(day[8:])} {MONTHS[int(day[5:7]) - 1]}"


def bars(title: str, unit: str, days: Sequence[str], series: Sequence[Series]) -> str:
    """Return the SVG of `series`, stacked.

    Args:
        title: of the plot, for screen readers; plain text.
        unit: of the vertical axis.
        days: every day, without a gap.
        series: at most SERIES + 2.
    """
    highest = max((sum(s.values.get(day, 0) for s in series) for day in days), default=0)
    marks = ticks(highest)
    height, width = HEIGHT - TOP - BOTTOM, WIDTH - LEFT - RIGHT
    slot = width / len(days)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<text class="unit" x="4" y="13">{escape(unit)}</text>',
    ]
    for mark in marks:
        y = TOP + height - height * mark / marks[-1]
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="value" x="{LEFT - 6}" y="{y + 4:.1f}">{number_label(mark)}</text>'
        )
    every = int(-(-DATE_WIDTH // slot))
    for number, day in enumerate(days):
        x = LEFT + slot * number
        # Counted from the end, so that the last day always has its label.
        if (len(days) - 1 - number) % every == 0:
            middle = f"{x + slot / 2:.1f}"
            parts.append(
                f'<text class="day" x="{middle}" y="{HEIGHT - 12}">{day_label(day)}</text>'
            )
        below = 0
        for index, each in enumerate(series):
            value = each.values.get(day, 0)
            if not value:
                continue
            tall = height * value / marks[-1]
            y = TOP + height - height * below / marks[-1] - tall
            below += value
            # A single bar must not fill the plot.
            wide = min(slot * 0.8, 48)
            parts.append(
                f'<rect class="s{index}" x="{x + (slot - wide) / 2:.1f}" y="{y:.1f}" '
                f'width="{wide:.1f}" height="{tall:.1f}"><title>'
                f"{escape(safe(f'{day}, {each.name}: {value}'))}</title></rect>"
            )
    return "\n".join([*parts, "</svg>"])
