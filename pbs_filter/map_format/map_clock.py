"""Tells the time by which the entries of a map file end (edge)."""

from __future__ import annotations

import time

from .completeness import boot_id, read_file

BOOT_CHARACTERS = 36


class MapClock:
    """The wall clock, unless somebody has set it since the filter wrote `PATH.clock`.

    The times in a map are told by the filter's clock. A clock that was set back would make every
    entry live longer: until a running filter has moved them all, or for good where none runs. So
    the filter notes how far its clock is from the machine's own, which nobody can set: a line
    `OFFSET BOOT INODE SUM` for the map's file, and while a new one takes its place, one for each.
    """

    def __init__(self, path: str) -> None:
        self._path = path + ".clock"
        self._boot = b""

    def now(self) -> float:
        """Return seconds since the epoch, the latest that it can be."""
        bounds = self.bounds()
        return time.time() if bounds is None else bounds[1]

    def bounds(self) -> tuple[float, float] | None:
        """Return seconds since the epoch: the earliest and the latest that it can be, by the wall
        clock and by the clock of the filter; None where nobody knows that one.
        """
        lines = clock_lines(self._path)
        if not lines:
            return None
        earliest = latest = time.time()
        self._boot = self._boot or boot_id()
        for offset, boot, _inode in lines:
            if boot == self._boot:
                now = time.clock_gettime(time.CLOCK_BOOTTIME) + float(offset)
                earliest, latest = min(earliest, now), max(latest, now)
        return earliest, latest


def clock_lines(path: str) -> list[tuple[bytes, bytes, bytes]]:
    """Return offset, boot and inode of each line of a `PATH.clock`; none where it cannot be read,
    or a line is damaged. 0.1.0 wrote one line, without an inode; and before 0.2.0 there was no sum.
    """
    found = []
    for line in read_file(path)[0].splitlines():
        words = line.split()
        offset, boot, inode = (words + [b""] * 3)[:3]
        is_whole = line_with_sum(b" ".join(words[:3])).split() == words
        if not is_whole and (words[3:] or len(boot) != BOOT_CHARACTERS):
            return []
        try:
            float(offset)
        except ValueError:
            return []
        found.append((offset, boot, inode))
    return found


def line_with_sum(line: bytes) -> bytes:
    """Return a whole line of a `PATH.clock`."""
    from binascii import crc32

    return b"%b %08x\n" % (line, crc32(line))
