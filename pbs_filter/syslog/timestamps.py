"""The reader computes the time of a text line from its stamp, for --reprocess. Pure.

The running filter does not use these stamps: the daemon's reception time, or the clock, is better.
A log file has nothing else, and most stamps lack the year and the zone:

* The year is the latest that does not put the line into the future, as seen from the reference (the
  clock, or when the file was last written): 31 December read on 1 January is last year's, and
  29 February is that of the last leap year.
* The zone is an argument. In the hour that is repeated when summer time ends, a line belongs to the
  first pass unless the line before it is later: the order of the lines decides. Where the order
  leaves both, the earlier time is taken, since it authorises for a shorter time.

An impossible stamp (31 February) is None: without a time a login authorises nobody. The module
reads no clock and no local zone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, tzinfo
from functools import lru_cache

from .headers import PRI, OwnLog

_TIME = "([0-9]{2}):([0-9]{2}):([0-9]{2})"
_STAMP = (
    "(?:"
    rf"(?:([0-9]{{4}}) )?([A-Z][a-z]{{2}}) ([ 0-9]?[0-9]) (?:([0-9]{{4}}) )?{_TIME}"
    r"(?:[.,][0-9]{1,9})?(?: ([0-9]{4}) \[)?"
    r"|([0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2})"
    "(?:[.,][0-9]{1,9})?(Z|[+-][0-9]{2}:?[0-9]{2})?"
    "|@([0-9a-f]{16})"
    "|([0-9]{10})(?=[. ])"
    ")"
)

_LOOKED_AT = len(" 2026 [")
"""This many characters behind a stamp, and the stamp, decide the time of a line."""

_LONGEST = 100
"""Length of the longest stamp with its prefix, in characters."""

_MONTHS = {
    "JanFebMarAprMayJunJulAugSepOctNovDec"[at : at + 3]: at // 3 + 1 for at in range(0, 36, 3)
}

_FUTURE_SECONDS = 60
"""A stamp this far ahead of the reference is another host's clock; a later one is of last year."""

_LEAP_YEARS_APART = 8
"""The longest time between two leap years: 1896 and 1904, 2096 and 2104."""

_TAI64_EPOCH = (1 << 62) + 10
"""The TAI64 label of 1970-01-01 UTC as multilog counts, without leap seconds."""

_DISORDER_SECONDS = 600
"""Lines of one file may be this far out of order (queues, several hosts)."""

_TEN_DIGITS = range(10**10)
"""The times that a value of the map can hold: 1970 to 2286."""


@lru_cache(16)
def _matcher(own_logs: tuple[OwnLog, ...]) -> Callable[[str], re.Match[str] | None]:
    before = "|".join(log.before_stamp for log in own_logs if log.before_stamp)
    return re.compile(f"{PRI}(?:1 |[A-Z][a-z]{{2}} (?=[A-Z])|{before})?{_STAMP}").match


class Stamps:
    """Reads the stamps of one file's lines, in the order of the file.

    Args:
        zone: of local times.
        reference_epoch: a time at which all the lines had been written, seconds since the epoch.
        own_logs: forms of line that only one server writes.
    """

    def __init__(
        self, *, zone: tzinfo, reference_epoch: float, own_logs: tuple[OwnLog, ...] = ()
    ) -> None:
        self._match = _matcher(own_logs)
        self._zone = zone
        self._latest = reference_epoch + _FUTURE_SECONDS
        self._latest_year = datetime.fromtimestamp(self._latest, zone).year
        self._start = b""
        self._epoch: int | None = None
        self._previous = 0

    def read(self, line: bytes) -> int | None:
        """Return the time of a text line (epoch seconds), None if it has no possible stamp. A line
        of the JSON feed has its time in the record.
        """
        # A busy server writes many lines in a second, and its lines begin alike.
        if self._start and line.startswith(self._start):
            return self._epoch
        found = self._match(line[:_LONGEST].decode("latin-1"))
        if not found:
            return None
        end = found.end() + _LOOKED_AT
        self._start = line[:end] if len(line) >= end else b""
        self._epoch = self._checked(found)
        return self._epoch

    def _checked(self, found: re.Match[str]) -> int | None:
        try:
            epoch = self._epoch_of(found)
        except ValueError:
            return None
        if epoch not in _TEN_DIGITS:
            return None
        if epoch <= self._latest:  # a line from the future says nothing about the next one
            self._previous = epoch
        return epoch

    def _epoch_of(self, found: re.Match[str]) -> int:
        """Return the time of a match, epoch seconds. Raises: ValueError for an impossible stamp."""
        first_year, month, day, year, hour, minute, second, last_year, iso, offset, tai, epoch = (
            found.groups()
        )
        if iso:
            when = datetime.fromisoformat(iso.replace("/", "-") + (offset or ""))
            if offset:
                return int(when.timestamp())
            return self._local(when.replace(tzinfo=self._zone))
        if tai:
            return int(tai, 16) - _TAI64_EPOCH
        if epoch:
            return int(epoch)
        clock = _MONTHS.get(month, 0), int(day), int(hour), int(minute), int(second)
        year = first_year or year or last_year
        if year:
            return self._local(datetime(int(year), *clock, tzinfo=self._zone))
        return self._in_latest_year(clock)

    def _in_latest_year(self, clock: tuple[int, int, int, int, int]) -> int:
        for year in range(self._latest_year, self._latest_year - _LEAP_YEARS_APART - 1, -1):
            try:
                epoch = self._local(datetime(year, *clock, tzinfo=self._zone))
            except ValueError:
                continue  # 29 February, or never
            if epoch <= self._latest:
                return epoch
        raise ValueError

    def _local(self, when: datetime) -> int:
        """Return the epoch seconds of a local time, by the order of lines where there are two."""
        first = int(when.timestamp())
        if first + _DISORDER_SECONDS < self._previous:
            return max(first, int(when.replace(fold=1).timestamp()))
        return first
