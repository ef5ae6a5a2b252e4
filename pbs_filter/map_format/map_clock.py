"""Tells the time by which the entries of a map file end (edge)."""

from __future__ import annotations

import time

from .completeness import boot_id, read_words


class MapClock:
    """The wall clock, unless somebody has set it since the filter wrote `PATH.clock`.

    The times in a map are told by the filter's clock. A clock that was set back would make every
    entry live longer: until a running filter has moved them all, or for good where none runs. So
    the filter notes how far its clock is from the machine's own, which nobody can set: a line
    `OFFSET BOOT INODE` for the map's file, and while a new one takes its place, a line for each.
    """

    def __init__(self, path: str) -> None:
        self._path = path + ".clock"
        self._boot = b""

    def now(self) -> float:
        """Return seconds since the epoch, the latest that it can be."""
        return self.bounds()[1]

    def bounds(self) -> tuple[float, float]:
        """Return seconds since the epoch: the earliest and the latest that it can be.

        That is by the wall clock and by the clock of the filter.
        """
        earliest = latest = time.time()
        words = read_words(self._path)
        try:
            for offset, boot in zip(words[::3], words[1::3], strict=False):
                self._boot = self._boot or boot_id()
                if boot == self._boot:
                    now = time.clock_gettime(time.CLOCK_BOOTTIME) + float(offset)
                    earliest, latest = min(earliest, now), max(latest, now)
        except ValueError:
            pass  # damage
        return earliest, latest
