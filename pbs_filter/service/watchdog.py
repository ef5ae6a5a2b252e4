"""The watchdog (edge): a line that takes too long is given up."""

from __future__ import annotations

import signal
from types import FrameType

from ..authorisation.pipeline import Pipeline

HANG_SECONDS = 1.0
"""A line that is worked on longer than this is given up."""


class LineTooSlow(BaseException):
    """Raised by the alarm inside the filter: this line is given up.

    Not an `Exception`, which the pipeline takes for a fault of its own.
    """


class Watchdog:
    """The watchdog ends the work on a line that hangs a rule; it is counted and acknowledged.

    The alarm rings after each second that the processor works for us (a process that was stopped,
    or has a busy machine, must not give a login up). If it finds the filter at the same line of the
    same block as a second before, it raises `LineTooSlow` there (`re` looks for signals while it
    matches). It rings between blocks too, and is not heard: to set it for each block would cost
    more than most blocks.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._filter = pipeline
        self._working = False
        self._seen = -1

    def start(self) -> None:
        """Listen from now on."""
        signal.signal(signal.SIGVTALRM, self._ring)
        signal.setitimer(signal.ITIMER_VIRTUAL, HANG_SECONDS, HANG_SECONDS)

    def stop(self) -> None:
        """No more alarms: an ending interpreter takes the handler away, and one would kill us."""
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def __enter__(self) -> None:
        self._seen = -1
        self._working = True

    def __exit__(self, *_: object) -> None:
        self._working = False

    def _ring(self, _number: int, _frame: FrameType | None) -> None:
        if not self._working:
            return
        at = self._filter.counts.candidates
        if at == self._seen:
            raise LineTooSlow
        self._seen = at
