"""The clock (edge): whole seconds that never go back, and notice that somebody set the clock.

The machine's own clock (CLOCK_BOOTTIME: it also counts while suspended, and nobody sets it) tells
how much time really goes by; `offset` is what the wall clock had beside it. All of the filter's
times are the machine's clock plus that offset, so that a clock that is set changes nothing
until `step` is called, and then every time moves with it, at once.
"""

from __future__ import annotations

import time

STEP_SECONDS = 1.0
"""A wall clock that is this far from where it should be was set. (NTP's slewing moves both clocks
alike.)"""
READ_SECONDS = 0.05
"""A look at both clocks that took longer tells nothing."""
STAMP = "t"
"""What a journal payload of this module begins with."""


class Clock:
    """The clock tells the wall clock's time, and notices when that is set."""

    def __init__(self) -> None:
        self.offset = _offset()
        """Seconds from the machine's clock to the wall clock, as the filter's times have it."""

    def now(self) -> int:
        """Whole seconds since the epoch; a wall clock that was set shows only after `step`."""
        return int(time.clock_gettime(time.CLOCK_BOOTTIME) + self.offset)

    def step(self) -> int:
        """Whole seconds by which the wall clock was set since the last call, mostly 0.

        What is left over (always less than `STEP_SECONDS`) is remembered for the next call: many
        small steps must not add up behind our back.
        """
        # The quick look may be wrong (a process that was stopped between the two); the careful one
        # is for when something seems to have happened.
        moved = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) - self.offset
        if -STEP_SECONDS < moved < STEP_SECONDS:
            return 0
        moved = _offset() - self.offset
        if abs(moved) < STEP_SECONDS:
            return 0
        whole = round(moved)
        self.offset += whole
        return whole

    def resume(self, stamp: str) -> int:
        """Go on by the times of an earlier run, whose last `stamp` this is; return by how many
        whole seconds the wall clock was set since.

        What is left over is remembered as in `step`. 0 where it cannot be known, see `between`.
        """
        moved = _moved(stamp, self.stamp())
        whole = _whole(moved)
        self.offset += whole - moved
        return whole

    def stamp(self) -> str:
        """Return a journal payload: by which offset the times behind it are told."""
        return f"{STAMP}\t{self.offset:.3f}\t{boot_id()}"


def _offset() -> float:
    """Read both clocks at one moment: a process that was stopped between two reads sees a step."""
    while True:
        before = time.clock_gettime(time.CLOCK_BOOTTIME)
        wall = time.time()
        after = time.clock_gettime(time.CLOCK_BOOTTIME)
        if after - before < READ_SECONDS:
            return wall - before


def boot_id() -> str:
    """Return the id of this start of the machine; empty where it cannot be known."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def is_of_another_boot(stamp: str) -> bool:
    """Return whether a stamp is of an earlier start of the machine: it says nothing of this one's
    clock."""
    return bool(stamp) and stamp.rpartition("\t")[2] != boot_id()


def between(before: str, after: str) -> int:
    """By how many seconds the wall clock was set between two stamps.

    0 also where it cannot be known: another start of the machine, or a stamp that is not one.
    """
    return _whole(_moved(before, after))


def _moved(before: str, after: str) -> float:
    try:
        _, first, boot = before.split("\t")
        _, second, boot_then = after.split("\t")
        moved = float(second) - float(first)
    except ValueError:
        return 0
    return moved if boot and boot == boot_then else 0


def _whole(moved: float) -> int:
    return round(moved) if abs(moved) >= STEP_SECONDS else 0
