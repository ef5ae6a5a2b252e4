"""The clocks of a machine, shared by a test and the filters that it forks.

`Machine` replaces `time.time` and `time.clock_gettime(CLOCK_BOOTTIME)`, in this process and, with
`run_on`, in its forks: a test can set the wall clock and let time go by while a filter runs.
`time.monotonic` stays: waiting is real.
"""

from __future__ import annotations

import contextlib
import mmap
import struct
import time
from collections.abc import Iterator
from typing import Any

_TWO = struct.Struct("dd")
_real_time = time.time
_real_gettime = time.clock_gettime


class Machine:
    """Seconds that went by, and how the wall clock was set: in memory that forks share."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._write(0.0, 0.0)

    def _read(self) -> tuple[float, float]:
        passed, offset = _TWO.unpack_from(self._memory)
        return passed, offset

    def _write(self, passed: float, offset: float) -> None:
        _TWO.pack_into(self._memory, 0, passed, offset)

    def wait(self, seconds: float) -> None:
        """Let time go by, by both clocks."""
        passed, offset = self._read()
        self._write(passed + seconds, offset)

    def set_clock(self, seconds: float) -> None:
        """Set the wall clock, forward or (negative) back."""
        passed, offset = self._read()
        self._write(passed, offset + seconds)

    def now(self) -> float:
        """Real time, which nobody sets: seconds of the machine's own clock."""
        return _real_gettime(time.CLOCK_BOOTTIME) + self._read()[0]

    def run_on(self) -> None:
        """Let this process see these clocks from now on."""

        def wall() -> float:
            return _real_time() + sum(self._read())

        def gettime(which: int) -> float:
            return self.now() if which == time.CLOCK_BOOTTIME else _real_gettime(which)

        functions: Any = time
        functions.time, functions.clock_gettime = wall, gettime

    @contextlib.contextmanager
    def here(self) -> Iterator[None]:
        """Let this process see these clocks for a while."""
        self.run_on()
        try:
            yield
        finally:
            functions: Any = time
            functions.time, functions.clock_gettime = _real_time, _real_gettime
