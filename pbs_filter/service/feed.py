"""The feed (edge): stdin to filter to store to acknowledgement, until end of input.

A block of input is what one read gave, cut at its last newline. For each block, in this order: the
clock is asked, the lines go through the filter, the `persister` makes durable what changed, and the
lines are acknowledged; where that is not possible now, a syslog daemon that waits for
acknowledgements sends the line again; it is recognised and not counted twice.

A clock that was set: every time of the ledger moves with it before the next line is read.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from ..authorisation.counters import line_count
from ..authorisation.failures import place_of
from ..authorisation.pipeline import Pipeline
from ..clock import Clock
from ..log import Log
from ..model import Reason
from ..text import counted
from . import omprog, requests
from .collector import calm_collector
from .control import Control
from .persister import Persister
from .waiting import HOLD_SECONDS
from .watchdog import LineTooSlow, Watchdog

READ_BYTES = 1 << 16
"""A mebibyte costs each read three system calls more, for the memory."""
PIPE_BYTES = 16_384
"""Without acknowledgements what is in the pipe is lost when we are killed. So it is made smaller:
the rest waits in the daemon, which keeps it for the next filter."""
LOOK_SECONDS = 0.5
"""How often the clock is looked at without lines: a readers' yes may be late by as much."""
CLOSE_SECONDS = 4.0
"""At the end of input a store in trouble gets this long; rsyslog kills us after five seconds."""


class Feed:
    """One run over one input."""

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        persister: Persister,
        log: Log,
        confirm: bool,
        greet: bool = True,
        unanswered: bytes = b"",
        clock_: Clock,
        control: Control | None = None,
        on_hangup: Callable[[], None] = lambda: None,
        every_second: Callable[[int], None] = lambda _now: None,
        on_taken: Callable[[bytes], None] = lambda _block: None,
        tell: Callable[[object, int], dict[str, Any]] = lambda _do, _now: {},
        stdin: int = 0,
        stdout: int = 1,
    ) -> None:
        self.pipeline = pipeline
        self.state = pipeline.state
        self.persister = persister
        self.log = log
        self.confirm = confirm
        self.greet = greet
        """Say OK when ready; not where it has been said before we were started."""
        self.unanswered = unanswered
        """What was read before there was a feed."""
        self.clock = clock_
        self.control = control
        self.on_hangup = on_hangup
        self.every_second = every_second
        self.on_taken = on_taken
        """Told of each block whose lines are in the journal."""
        self.tell = tell
        """Tells what --status and --report show."""
        self.stdin = stdin
        self.stdout = stdout
        self.splitter = omprog.Splitter()
        self.last_input_epoch = 0
        self.newest = b""
        """The block of lines that came then."""
        self._pipe_is_wide = not confirm
        self._unacknowledged: bytes | None = None
        self._asked_at: float | None = None
        """When the daemon asked whether it may send a line, if that is not answered yet."""
        self.clean = False
        """The store was up to date when the input ended."""
        self.since_epoch = clock_.now()
        self._last_second = 0
        self._hangups = 0
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    # ------------------------------------------------------------------ the loop

    def run(self) -> None:
        """Work until end of input. Everything that was read is in the store afterwards, or the log
        says that it is not."""
        self._listen_to_signals()
        calm_collector()
        watchdog = Watchdog(self.pipeline)
        watchdog.start()
        try:
            self._work(watchdog)
        finally:
            watchdog.stop()
        self._finish()

    def _work(self, watchdog: Watchdog) -> None:
        """The loop."""
        poller = select.poll()
        poller.register(self.stdin, select.POLLIN)
        poller.register(self._wake_read, select.POLLIN)
        if self.control is not None:
            poller.register(self.control.fileno(), select.POLLIN)
        if self.confirm and self.greet:
            self._reply(omprog.OK)
        if self.unanswered:
            self._input(self.unanswered, watchdog)
        while True:
            ready = [descriptor for descriptor, _ in poller.poll(self._timeout_ms())]
            if self._wake_read in ready:
                self._woken()
            if self.stdin in ready:
                data = os.read(self.stdin, READ_BYTES)
                if not data:
                    break
                if self._pipe_is_wide:
                    self._narrow_pipe()
                self._input(data, watchdog)
            if self.control is not None and self.control.fileno() in ready:
                self._serve_control()
            self._housekeeping(quiet=self.stdin not in ready)

    def _narrow_pipe(self) -> None:
        try:
            fcntl.fcntl(self.stdin, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except OSError as error:
            if error.errno == errno.EBUSY:
                return  # more than that is in it just now: try again at the next read
        self._pipe_is_wide = False

    def _listen_to_signals(self) -> None:
        """SIGTERM and SIGHUP come with every stop and log rotation of the syslog daemon, sent to
        its whole control group: they are heard, and we stay until end of input."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.signal(signal.SIGHUP, self._hang_up)

    def _hang_up(self, _number: int, _frame: FrameType | None) -> None:
        self._hangups += 1

    def _woken(self) -> None:
        try:
            os.read(self._wake_read, 512)
        except BlockingIOError:
            pass
        if self._hangups:
            self._hangups = 0
            self.log.reopen()
            self.on_hangup()

    def _timeout_ms(self) -> float:
        seconds = self.persister.wait_seconds()
        if seconds is not None:
            return seconds * 1000
        due = self.state.next_due()
        if due is not None and due <= self._last_second:
            return 1
        return LOOK_SECONDS * 1000

    # ------------------------------------------------------------------ lines

    def _input(self, data: bytes, watchdog: Watchdog) -> None:
        block, overlong = self.splitter.feed(data)
        if overlong:
            self.pipeline.counts.lines += overlong
            self.pipeline.counts.add(Reason.TOO_LONG, overlong)
        if not block:
            if overlong:
                self._acknowledge(overlong)
            return
        if block == omprog.QUESTION and self.confirm:
            self._asked_at = time.monotonic()
            self._answer_question()
            return
        self._look_at_clock()
        now = self.clock.now()
        self.last_input_epoch = now
        self.newest = block
        if block != self._unacknowledged:
            self._filter(block, now, watchdog)
        if self.persister.commit():
            self._unacknowledged = None
            self._acknowledge(line_count(block) + overlong)
            self.on_taken(block)
        else:
            # Remembered so that the daemon's second try is not counted as a second line.
            self._unacknowledged = block
            if self.confirm:
                self._reply(omprog.trouble(self.persister.trouble))

    def _filter(self, block: bytes, now: int, watchdog: Watchdog) -> None:
        with watchdog:
            self.pipeline.take(block)
            while True:
                try:
                    self.pipeline.work(now)
                    break
                except LineTooSlow:
                    self.pipeline.counts.add(Reason.TOO_SLOW)
                    self.log.say("a line took longer than a second to read; it is given up")
        failures = self.pipeline.failures
        while failures:
            failure = failures.pop()
            self.log.once(
                f"failure {failure.where}",
                f"failed on a line ({failure.error} at {failure.where}); it is counted, and leads "
                "to nothing; please report this with the line, which may hold a user's name: "
                f"{failure.line!r}",
            )

    def _answer_question(self) -> None:
        """Answer the daemon's question, unless there is trouble that may be over soon."""
        assert self._asked_at is not None
        if not self.persister.troubles or self.persister.commit():
            reply = omprog.OK
        elif time.monotonic() - self._asked_at < HOLD_SECONDS:
            self._reply(omprog.KEEP_ALIVE)
            return
        else:
            reply = omprog.trouble(self.persister.trouble)
        self._asked_at = None
        self._reply(reply)

    def _acknowledge(self, lines: int) -> None:
        if self.confirm:
            self._reply(omprog.OK * lines)

    def _reply(self, reply: bytes) -> None:
        try:
            while reply:
                reply = reply[os.write(self.stdout, reply) :]
        except BrokenPipeError:
            # The daemon is gone; what is left in the pipe is still read.
            self.confirm = False
            self.persister.nobody_waits()
            self.log.say("the syslog daemon no longer reads our replies; reading on without them")

    # ------------------------------------------------------------------ between blocks

    def _look_at_clock(self) -> None:
        step = self.clock.step()
        if not step:
            return
        self.log.say(f"the clock was set by {counted(step, 'second')}; every end moves with it")
        self.state.shift(step)
        self.persister.clock_was_set()

    def _housekeeping(self, *, quiet: bool) -> None:
        try:
            self._keep_house(quiet=quiet)
        except Exception as error:  # any: lines must go on being taken
            self._failed("housekeeping", error)

    def _failed(self, what: str, error: Exception) -> None:
        where = place_of(error)
        self.log.once(
            f"failure {where}",
            f"{what} failed ({error!r} at {where}); going on; please report this",
        )

    def _keep_house(self, *, quiet: bool) -> None:
        if quiet:  # where a line came, it was looked at a moment ago
            self._look_at_clock()
        now = self.clock.now()
        if now != self._last_second:
            self._last_second = now
            self._each_second(now)
        persister = self.persister
        due = self.state.next_due()
        if due is not None and due <= now and not persister.troubles:
            self.state.tick(now)
            persister.commit()
        persister.step(quiet=quiet)

    def _each_second(self, now: int) -> None:
        if self.control is not None:
            self.control.expire()
        self.state.tick(now)
        if not self.persister.troubles:
            self.persister.commit()
            self.persister.begin_what_is_worth_it()
        if self._asked_at is not None:
            self._answer_question()
        self.every_second(now)

    def _serve_control(self) -> None:
        assert self.control is not None
        self.control.serve(self._request)

    def _request(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a person asks for (`--forget`, `--authorise`, `--status` of a running filter)."""
        try:
            return self._answer(request)
        except Exception as error:  # any: a request must not stop the lines
            self._failed(f"the request {request.get('do')!r}", error)
            return {"error": f"the filter failed on this request: {error!r}"}

    def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """A change is answered when it is durable and in the map. So is a --forget that changes
        nothing: the map may still lack one that was made before."""
        now = self.clock.now()
        answer = requests.handle(self.pipeline, request, now)
        persister = self.persister
        must_be_in_map = answer.get("changed") or request.get("do") == "forget"
        if must_be_in_map and not (persister.commit() and persister.write_map()):
            return {"error": persister.trouble, "busy": True}
        if answer.get("erased") and (trouble := persister.erase({**request, **answer})):
            return {"error": trouble, "busy": True}
        return answer | self.tell(request.get("do"), now)

    # ------------------------------------------------------------------ the end

    def _finish(self) -> None:
        """End of input: everything that was read goes into the store."""
        unfinished = self.splitter.unfinished()
        if unfinished:
            self.log.say(
                f"the input ended inside a line; {counted(unfinished, 'byte')} of it dropped"
            )
        give_up = time.monotonic() + CLOSE_SECONDS
        while not (clean := self.persister.finish(give_up)) and time.monotonic() < give_up:
            time.sleep(0.05)
        self.clean = clean
        if not self.clean:
            self.log.say(f"leaving although the store is not up to date: {self.persister.trouble}")
