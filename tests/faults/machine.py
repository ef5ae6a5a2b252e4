"""The clocks and the disk of a machine, shared by a test and the filters that it forks.

`Machine` replaces `time.time` and `time.clock_gettime(CLOCK_BOOTTIME)`, in this process and, with
`run_on`, in its forks: a test can set the wall clock and let time go by while a filter runs.
`time.monotonic` stays: waiting is real.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

_NUMBERS = struct.Struct("dd")
_DISK_AT = 16
_SEED_AT = 20
_STOPS_AT = 24
_AT_CALL_AT = 25
_real_time = time.time
_real_gettime = time.clock_gettime


class Machine:
    """Seconds that went by, and how the wall clock was set: in memory that forks share."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._stopping = threading.Lock()
        self._write(0.0, 0.0)

    def _read(self) -> tuple[float, float]:
        passed, offset = _NUMBERS.unpack_from(self._memory)
        return passed, offset

    def _write(self, passed: float, offset: float) -> None:
        _NUMBERS.pack_into(self._memory, 0, passed, offset)

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

    @staticmethod
    def stop() -> None:
        """Let this process see the real clocks again."""
        functions: Any = time
        functions.time, functions.clock_gettime = _real_time, _real_gettime

    @property
    def disk(self) -> int:
        """The error of whatever changes a file; 0: none."""
        return self._memory[_DISK_AT]

    @disk.setter
    def disk(self, error: int) -> None:
        self._memory[_DISK_AT] = error

    @property
    def seed(self) -> int:
        """Chooses what a power cut leaves."""
        return int.from_bytes(self._memory[_SEED_AT : _SEED_AT + 4], "big")

    @seed.setter
    def seed(self, seed: int) -> None:
        self._memory[_SEED_AT : _SEED_AT + 4] = seed.to_bytes(4, "big")

    @property
    def stops(self) -> bool:
        """Whether a process stops (SIGSTOP) before each call that changes a file."""
        return bool(self._memory[_STOPS_AT])

    @stops.setter
    def stops(self, stops: bool) -> None:
        self._memory[_STOPS_AT] = stops

    @property
    def may_stop(self) -> bool:
        """Whether a process has begun to look at `stops`, and stops or goes on."""
        return bool(self._memory[_AT_CALL_AT])

    def _stop(self) -> None:
        with self._stopping:  # by one thread at a time
            self._memory[_AT_CALL_AT] = 1
            if self._memory[_STOPS_AT]:
                signal.raise_signal(signal.SIGSTOP)  # before this thread goes on
            self._memory[_AT_CALL_AT] = 0

    def be_the_disk(self) -> None:
        """Let calls of this process that change a file fail while `disk` says so."""
        functions: Any = os
        for name in ("pwrite", "posix_fallocate", "rename", "link", "unlink", "ftruncate"):
            functions.__dict__[name] = self._failing(getattr(os, name))
        real_open, room = os.open, os.statvfs

        def opened(path: Any, flags: int, *more: Any, **named: Any) -> int:
            if self.disk and flags & os.O_CREAT:
                raise OSError(self.disk, os.strerror(self.disk))
            return real_open(path, flags, *more, **named)

        def statvfs(path: Any) -> Any:
            if self.disk:
                return os.statvfs_result((4096, 4096, 0, 0, 0, 0, 0, 0, 0, 255))
            return room(path)

        functions.open, functions.statvfs = opened, statvfs

    def _failing(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self._stop()
            if self.disk:
                raise OSError(self.disk, os.strerror(self.disk))
            return function(*arguments, **named)

        return call

    @contextlib.contextmanager
    def here(self) -> Iterator[None]:
        """Let this process see these clocks for a while."""
        self.run_on()
        try:
            yield
        finally:
            self.stop()
