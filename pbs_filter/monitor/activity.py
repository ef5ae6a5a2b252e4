"""The activity of the feed is watched here: how many a minute, since when none any more, and
stamped in which zone. Pure.

Looked at once a second with counters; nothing is asked for each line. `uptime` is seconds of a
clock that nobody sets.
"""

from __future__ import annotations

from collections import deque
from datetime import tzinfo
from typing import NamedTuple

from ..model import Record
from ..syslog import records
from ..syslog.headers import OwnLog
from ..syslog.timestamps import Stamps

SILENT_SECONDS = 900
"""A shorter silence is never told."""
LEARNING_SECONDS = 86_400
"""Until lines were seen over so long nobody knows how quiet the nights are."""
UNKNOWN_SILENT_SECONDS = 43_200
"""The shortest silence that is told until then."""
REMEMBERED_DAYS = 8
"""How long a silence counts as usual: over a weekend and the next."""
USUAL_LINES = 20
"""Fewer lines than this are no custom."""
HALF_HOUR = 1800
ZONE_SAMPLES = 20
ZONE_SECONDS = 1800
"""Stamps that are so often, over so long, off by the same time are not late: they are another
zone's."""
ZONE_SLACK_SECONDS = 60
MAX_ZONE_SECONDS = 15 * 3600
"""Zones are at most 14 hours from UTC; two may be further apart, which is not told."""
MAX_HOSTS = 100
MINUTES = 60


class LoginRate:
    """The rate has the number of logins in each of the last `MINUTES` minutes."""

    def __init__(self) -> None:
        self._counts: deque[int] = deque([0], maxlen=MINUTES)
        self._minute: int | None = None
        self._total = 0

    def look(self, total: int, uptime: int) -> None:
        """`total` there are now, at `uptime` seconds of a clock that is never set."""
        minute = uptime // 60
        if self._minute is not None:
            for _ in range(min(minute - self._minute, MINUTES)):
                self._counts.append(0)
        self._minute = minute
        self._counts[-1] += total - self._total
        self._total = total

    def counts(self) -> list[int]:
        """Return the numbers, the oldest first; the last is the minute that has begun."""
        return list(self._counts)


class SilenceDetector:
    """The detector tells whether lines have stopped that used to come, by the longest pause of the
    last days."""

    def __init__(self) -> None:
        self._count = 0
        self._first = 0
        self._last = 0
        self._longest: dict[int, int] = {}
        """By day of the uptime: the longest pause that ended on it, in seconds."""

    def look(self, count: int, uptime: int) -> None:
        """`count` lines have come so far."""
        if count == self._count:
            return
        if not self._count:
            self._first = self._last = uptime
        self._count = count
        day = uptime // 86_400
        self._longest[day] = max(self._longest.get(day, 0), uptime - self._last)
        for old in [known for known in self._longest if known <= day - REMEMBERED_DAYS]:
            del self._longest[old]
        self._last = uptime

    def longest(self) -> int:
        """Return the longest pause that is remembered, in seconds."""
        return max(self._longest.values(), default=0)

    def lasts(self, uptime: int) -> int:
        """Return how long the silence has lasted, in seconds, if that is unusual; else 0."""
        known = self._last - self._first >= LEARNING_SECONDS
        least = SILENT_SECONDS if known else UNKNOWN_SILENT_SECONDS
        lasted = uptime - self._last
        unusual = self._count >= USUAL_LINES and lasted >= max(least, 2 * self.longest())
        return lasted if unusual else 0


class ZoneDetector:
    """Hosts whose stamps are off by whole half hours, always the same number of them."""

    def __init__(self) -> None:
        self._hosts: dict[str, tuple[int, int, int]] = {}
        """Half hours, since when (uptime), samples."""

    def look(self, host: str, ahead_seconds: float, uptime: int) -> int:
        """A line of `host` was stamped so far ahead of when it came; how far ahead its zone is
        known to be, in half hours, 0 where it is right or not known."""
        half_hours = round(ahead_seconds / HALF_HOUR)
        known, since, samples = self._hosts.pop(host, (0, uptime, 0))
        if not half_hours or abs(ahead_seconds - half_hours * HALF_HOUR) > ZONE_SLACK_SECONDS:
            return 0
        if known != half_hours:
            since, samples = uptime, 0
        if len(self._hosts) >= MAX_HOSTS:
            del self._hosts[next(iter(self._hosts))]
        self._hosts[host] = half_hours, since, samples + 1
        is_sure = samples + 1 >= ZONE_SAMPLES and uptime - since >= ZONE_SECONDS
        return half_hours if is_sure else 0


class Stamped(NamedTuple):
    """A line's stamp and host, by its header."""

    host: str
    epoch: float
    """When the line was written, seconds since the epoch."""


def stamped(
    line: bytes, now: int, zone: tzinfo, own_logs: tuple[OwnLog, ...] = ()
) -> Stamped | None:
    """Host and stamp of `line`; None where it has no stamp that can be read.

    `zone` is the local one as it is at `now`: what a stamp without a zone should be in. Up to
    `MAX_ZONE_SECONDS` ahead of `now` a stamp is still this year's.
    """
    record = records.reader(own_logs)(line)
    if not isinstance(record, Record):
        return None
    epoch = record.time_epoch
    if epoch is None and not record.vouched:
        latest = now + MAX_ZONE_SECONDS
        epoch = Stamps(zone=zone, reference_epoch=latest, own_logs=own_logs).read(line)
    return None if epoch is None else Stamped(record.host, epoch)
