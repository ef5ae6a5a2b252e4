"""The monitor shows what can be seen of a running filter (edge): warnings to the log, --status, the
metrics file.

Called once a second. The decisions are in `warnings`, the texts in `status` and `metrics`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ..log import Log
from ..monitor import status
from ..monitor.usage import ANSWERS, Totals
from ..monitor.warnings import Warnings
from .feed import Feed
from .hooks import Hooks
from .lookup_counts import LookupCounts
from .metrics_file import MetricsFile
from .usage_file import UsageFile


class Monitor:
    """The monitor looks at one running filter."""

    def __init__(
        self,
        log: Log,
        metrics_file: MetricsFile,
        hooks: Hooks,
        usage_file: UsageFile,
        lookup_counts: LookupCounts | None = None,
        members: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
        stale: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._log = log
        self._hooks = hooks
        self._metrics_file = metrics_file
        self._usage_file = usage_file
        self._lookup_counts = lookup_counts
        self._members = members
        self._stale = stale
        self._warnings = Warnings()
        self._newest = b""

    def tick(self, feed: Feed, now: int) -> None:
        """`now` is seconds since the epoch. Does not raise."""
        uptime = int(now - feed.clock.offset)
        self._take_usage(feed, now)
        self._usage_file.save(uptime)
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

    def _take_usage(self, feed: Feed, now: int) -> None:
        counts, lookups = feed.pipeline.counts, self._lookup_counts
        used = {} if lookups is None else lookups.take()
        answers = dict.fromkeys(ANSWERS, 0)
        for protocols in () if lookups is None else lookups.by_mta.values():
            for numbers in protocols.values():
                for answer, number in numbers.items():
                    answers[answer] += number
        reasons = {reason.name.lower(): number for reason, number in counts.by_reason().items()}
        self._usage_file.usage.take(
            now,
            datetime.fromtimestamp(now).date().isoformat(),
            counts.take_logins(),
            used,
            Totals(reasons, answers, len(feed.pipeline.ledger.authorisations)),
        )
        for login, last in counts.tried:
            self._usage_file.usage.leave_out(login, last, now)
        counts.tried.clear()

    def erase(self, feed: Feed, who: Mapping[str, Any], now: int) -> None:
        """Take the address or user of `who` out of what has been counted, the last second's, too.

        Raises:
            StoreBusy: the file cannot be written.
        """
        self._take_usage(feed, now)
        self._usage_file.erase(who, now)

    def close(self, feed: Feed, now: int) -> None:
        """The end: what has been counted is written."""
        self._take_usage(feed, now)
        self._usage_file.save(0, last=True)

    def tell(self, feed: Feed, do: object, now: int) -> dict[str, Any]:
        """What --status or --report (`do`) shows of it; `now` as above."""
        if do == "status":
            self.tick(feed, now)
            return {"status": self._values(feed, now)}
        if do == "report":
            self._take_usage(feed, now)
            return {"report": self._usage_file.usage.as_object()}
        return {}

    def _values(self, feed: Feed, now: int) -> dict[str, Any]:
        position = None if feed.persister.journal is None else feed.persister.journal.position
        behind = feed.persister.map.behind()
        run = status.Run(
            os.getpid(),
            feed.since_epoch,
            feed.last_input_epoch,
            feed.persister.troubles,
            position,
            None if behind is None else behind._asdict(),
            {} if self._lookup_counts is None else self._lookup_counts.by_mta,
            self._members(),
            self._stale(),
        )
        return status.collect(feed.pipeline, self._warnings, run, now)
