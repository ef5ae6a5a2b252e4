"""A failure is a fault of our own code on one line. Pure."""

from __future__ import annotations

from typing import NamedTuple

MAX_FAILURES = 20
"""Failures that wait for the log at most."""


class Failure(NamedTuple):
    """A line on which our own code failed: counted, acknowledged, and told to the log."""

    where: str
    """Module and line number of the fault: each is told once."""
    error: str
    line: bytes


def place_of(error: Exception) -> str:
    """Return where in our code `error` was raised: module and line number."""
    trace = error.__traceback__
    place = ""
    while trace is not None:
        place = f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
