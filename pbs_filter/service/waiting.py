"""The syslog daemon is kept waiting here while the filter cannot take lines (edge): stdin and
stdout.

That is while it starts, while another filter has the store, and between two attempts to start. A
filter that is not asked for replies leaves its input where it is.
"""

from __future__ import annotations

import os
import select
import time

from . import omprog

READ_BYTES = 1 << 16
HOLD_SECONDS = 12.0
"""How long a question is kept open, with keep-alives. Not longer: rsyslog's worker holds a lock of
omprog meanwhile, and an rsyslogd that ends then waits for that lock until it is killed, which loses
what it has in memory. `queue.timeoutActionCompletion` of rsyslog/pbs-filter.conf is longer."""


class Waiting:
    """The conversation before there is a feed.

    Args:
        confirm: the daemon waits for replies.
        greet: it also waits for the first OK.
        stdin: where its lines come from.
        stdout: where the replies go.
    """

    def __init__(
        self, *, confirm: bool, greet: bool = False, stdin: int = 0, stdout: int = 1
    ) -> None:
        self.confirm = confirm
        self.greet = greet
        self.stdin = stdin
        self.stdout = stdout
        self.unanswered = b""
        """What was read and has no reply yet; the feed begins with it."""
        self.is_over = False
        """There is a feed."""
        self._asked_at = 0.0

    def tick(self, why: str = "it starts, or waits for another pbs-filter") -> None:
        """Say that we are alive; answer what has been open for too long. Call about once a second.

        Args:
            why: the filter cannot take lines.
        """
        if self.confirm:
            self._read()
            self._answer(why)

    def has_ended(self) -> bool:
        """Return whether the input has ended, and no line of it is left to be taken."""
        poller = select.poll()
        poller.register(self.stdin, select.POLLIN)
        events = dict(poller.poll(0)).get(self.stdin, 0)
        return not self.unanswered and bool(events & select.POLLHUP) and not events & select.POLLIN

    def until_end(self, seconds: float, why: str) -> bool:
        """Wait; whether the input ended meanwhile."""
        poller = select.poll()
        # Without confirmation what is in the pipe stays there, and only its end is of interest.
        poller.register(self.stdin, select.POLLIN if self.confirm else 0)
        give_up = time.monotonic() + seconds
        while (left := give_up - time.monotonic()) > 0:
            if poller.poll(min(left, 1.0) * 1000) and not (self.confirm and self._read()):
                return True
            if self.confirm:
                self._answer(why)
        return False

    def _read(self) -> bool:
        """Take what is there; False at the end of the input."""
        while select.select([self.stdin], [], [], 0)[0]:
            data = os.read(self.stdin, READ_BYTES)
            if not data:
                return False
            if not self.unanswered:
                self._asked_at = time.monotonic()
            self.unanswered += data
        return True

    def _answer(self, why: str) -> None:
        lines = self.unanswered.count(b"\n")
        if not lines:
            if self.greet:
                self._write(omprog.KEEP_ALIVE)
            return
        if time.monotonic() - self._asked_at < HOLD_SECONDS:
            self._write(omprog.KEEP_ALIVE)
            return
        # The daemon sends them again.
        self.unanswered = self.unanswered[self.unanswered.rindex(b"\n") + 1 :]
        self._write(omprog.trouble(why) * lines)

    def _write(self, reply: bytes) -> None:
        try:
            os.write(self.stdout, reply)
        except OSError:
            pass  # the daemon is gone: end of input will tell
