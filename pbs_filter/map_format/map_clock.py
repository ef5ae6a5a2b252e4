"""Tells the time by which the entries of a map file end (edge)."""

from __future__ import annotations

import time

from .completeness import boot_id, read_words


class MapClock:
    """The wall clock, unless somebody has set it back since the filter wrote `PATH.clock`.

    The times in a map are told by the filter's clock. A clock that was set back would make every
    entry live longer: until a running filter has moved them all, or for good where none runs. So
    the filter notes how far its clock is from the machine's own, which nobody can set.
    """

    def __init__(self, path: str) -> None:
        self._path = path + ".clock"
        self._boot = b""

    def now(self) -> float:
        """Return seconds since the epoch; the later of both clocks."""
        now = time.time()
        try:
            offset, boot = read_words(self._path)
            self._boot = self._boot or boot_id()
            if boot == self._boot:
                return max(now, time.clock_gettime(time.CLOCK_BOOTTIME) + float(offset))
        except ValueError:
            pass  # no filter, or one of a machine that has been started anew since
        return now
