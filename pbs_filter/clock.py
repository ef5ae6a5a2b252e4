"""The clock (edge): whole seconds that never go back, and the news that somebody set it."""

from __future__ import annotations

import time

STEP_SECONDS = 1.0
"""A wall clock that moved this much against the machine's own within one look was set; slower
changes are an NTP daemon slewing, which everybody follows."""


class Clock:
    """The wall clock, watched.

    The machine's own clock (CLOCK_BOOTTIME: it also counts while suspended) tells how much time
    really went by. `step()` gives the seconds by which the wall clock was set since the last call.
    """

    def __init__(self) -> None:
        self._offset = self._read_offset()
        self._now = int(time.time())

    @staticmethod
    def _read_offset() -> float:
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)

    def now(self) -> int:
        """Whole seconds since the epoch; never less than before, but after a `step`."""
        now = int(time.time())
        if now > self._now:
            self._now = now
        return self._now

    def step(self) -> int:
        """Whole seconds by which the wall clock was set since the last call, mostly 0."""
        offset = self._read_offset()
        moved = offset - self._offset
        self._offset = offset
        if abs(moved) < STEP_SECONDS:
            return 0
        self._now = int(time.time())
        return round(moved)


def boot_id() -> str:
    """Which start of this machine this is; empty where it cannot be known."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def stamp_payload() -> str:
    """A journal payload that ties the wall clock to the machine's own."""
    boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    return f"t\t{time.time():.1f}\t{boot:.1f}\t{boot_id()}"


def step_since(payload: str) -> int:
    """By how many seconds the wall clock was set since `stamp_payload` made `payload`.

    0 also where it cannot be known: another start of the machine.
    """
    _, wall, boot, start = payload.split("\t")
    if not start or start != boot_id():
        return 0
    offset = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    moved = offset - (float(wall) - float(boot))
    return round(moved) if abs(moved) >= 2 * STEP_SECONDS else 0
