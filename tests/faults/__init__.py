"""Faults, floods, forgeries: what SECURITY.md promises, and a test that tries to break each.

    tests/run tests/faults              the short form, for continuous integration
    python -m tests.faults --long       the full numbers
    python -m tests.faults --long kills damages

One module for each promise. What a run did (kills, states, lines) is printed at its end.
"""

from __future__ import annotations

import os

LONG = bool(os.environ.get("PBS_FILTER_LONG_TESTS"))
FIGURES: dict[str, int | str] = {}
"""What was done, by name: printed at the end of a run."""


def number(short: int, long: int) -> int:
    """How many of something this run does."""
    return long if LONG else short


def figure(name: str, value: int | str) -> None:
    """Let the end of the run say `name`: `value`; numbers of the same name are added up."""
    before = FIGURES.get(name)
    if isinstance(before, int) and isinstance(value, int):
        value += before
    FIGURES[name] = value
