"""Python's search for cycles is calmed here, as long as lines come (edge)."""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 10_000
"""New objects after which Python looks for cycles among them, in half a millisecond."""
NEVER = 1 << 30


def calm_collector() -> None:
    """Let Python's search for cycles look at new objects only: a walk through what a million
    addresses need takes a second, and through the last two million objects a tenth. No line makes
    a cycle that could be found there (held by a test of the floods)."""
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, NEVER, NEVER)
    gc.enable()
