"""The monitor shows what can be seen of a running filter (edge): warnings to the log, --status, the
metrics file.

Called once a second. The decisions are in `warnings`, the texts in `status` and `metrics`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ..log import Log
from ..monitor import status
from ..monitor.warnings import Warnings
from .feed import Feed
from .hooks import Hooks
from .lookup_counts import LookupCounts
from .metrics_file import MetricsFile


class Monitor:
    """One running filter, looked at."""

    def __init__(
        self,
        log: Log,
        metrics_file: MetricsFile,
        hooks: Hooks,
        lookup_counts: LookupCounts | None = None,
    ) -> None:
        self._log = log
        self._hooks = hooks
        self._metrics_file = metrics_file
        self._lookup_counts = lookup_counts
        self._warnings = Warnings()
        self._newest = b""

    def tick(self, feed: Feed, now: int) -> None:
        """`now` is seconds since the epoch. Does not raise."""
        uptime = int(now - feed.clock.offset)
        if self._lookup_counts is not None:
            self._lookup_counts.take()
        said = self._warnings.look(feed.pipeline, now, uptime)
        if feed.newest is not self._newest:
            self._newest = feed.newest
            came = feed.last_input_epoch
            zone = datetime.fromtimestamp(came).astimezone().tzinfo
            assert zone is not None
            line = self._newest[self._newest.rfind(b"\n", 0, -1) + 1 : -1]
            said += self._warnings.line(line, came, uptime, zone, feed.pipeline.own_logs)
        events, lost = feed.pipeline.ledger.events.take()
        self._log.events(events, lost)
        for sentence in said:
            self._log.say(sentence)
        self._hooks.tick([*events, *(("warning", {"text": sentence}) for sentence in said)])
        self._metrics_file.run(lambda: self._values(feed, now), uptime)

    def status(self, feed: Feed, now: int) -> dict[str, Any]:
        """Return the values that --status shows; `now` as above."""
        self.tick(feed, now)
        return self._values(feed, now)

    def _values(self, feed: Feed, now: int) -> dict[str, Any]:
        position = None if feed.persister.journal is None else feed.persister.journal.position
        behind = feed.persister.map.behind()
        run = status.Run(
            feed.since_epoch,
            feed.last_input_epoch,
            feed.persister.troubles,
            position,
            None if behind is None else behind._asdict(),
            {} if self._lookup_counts is None else self._lookup_counts.by_mta,
        )
        return status.collect(feed.pipeline, self._warnings, run, now)
