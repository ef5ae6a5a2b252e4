"""The feed (edge): stdin to filter to store to acknowledgement, until end of input.

A block of input is what one read gave, cut at its last newline. For each block, in this order: the
clock is asked, the lines go through the filter, what changed is appended to the journal and made
durable, and the lines are acknowledged. The map follows at once when no more input is waiting, and
under load at the latest `MAP_LAG_SECONDS` (on a slow disk `MAP_REST_SECONDS`) after a change: it is
an index for readers that the journal can make again, and writing it for every line would cost more
than the line.

Trouble with the store: the lines are not acknowledged, the changes are kept, and every second (and
before any later line is acknowledged) they are tried again. A syslog daemon that waits for
acknowledgements sends the line again; it is recognised and not counted twice. One that does not
wait goes on: then more than `MAX_CHANGES` changes are not kept one by one; the whole state, which
has its own limits, is written when the trouble is over.

A clock that was set: every time of the ledger moves with it before the next line is read. The
journal says so in one line; the map is made again in slices, and meanwhile readers go by the offset
in `PATH.clock`.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import itertools
import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

from . import omprog, requests
from .clock import Clock
from .control import Control
from .errors import StoreBusy, StoreDamaged
from .filter import Filter, line_count
from .log import Log
from .model import Reason
from .store import AddressMap
from .store.journal import Journal

READ_BYTES = 1 << 20
MAP_LAG_SECONDS = 0.005
"""Under load the map may be this far behind the journal."""
QUIET_SECONDS = 0.0005
"""No line for this long is a pause: time to write the map. rsyslog sends the next line within 0.05
ms of an acknowledgement."""
MAP_SHARE = 5
"""While lines keep coming, at most one part in so many of the time goes into writing the map: a
busy disk makes a write take ten times as long."""
MAP_REST_SECONDS = 0.25
"""The longest that the map is left alone for that."""
PIPE_BYTES = 16_384
"""Without acknowledgements what is in the pipe is lost when we are killed. So it is made smaller:
the rest waits in the daemon, which keeps it for the next filter."""
YOUNG_OBJECTS = 50_000
"""New objects after which Python looks for cycles among them, in two milliseconds."""
NEVER = 1 << 30
HANG_SECONDS = 1.0
"""A line that is worked on longer than this is given up (see `Watchdog`)."""
REWRITE_LINES = 500
"""Payloads written to a new journal between two blocks of input: about a millisecond."""
REBUILD_ADDRESSES = 200
"""Entries written to a new map between two blocks of input: about two milliseconds."""
STAMP_SECONDS = 60
RETRY_SECONDS = 1.0
LOOK_SECONDS = 0.5
"""How often the clock is looked at without lines: a readers' yes may be late by as much."""
MAX_CHANGES = 100_000
"""Changes that a store in trouble has not taken and that are kept one by one."""
MAP_BATCH = 500
"""Addresses written to the map at once: some three milliseconds."""
CLOSE_SECONDS = 4.0
"""At the end of input a store in trouble gets this long; rsyslog kills us after five seconds."""


def calm_collector() -> None:
    """Let Python's search for cycles look at new objects only: a walk through what a million
    addresses need takes a second, and through the last two million objects a tenth. No line makes
    a cycle that could be found there (held by a test of the floods)."""
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, NEVER, NEVER)
    gc.enable()


class LineTooSlow(Exception):
    """Raised by the alarm inside the filter: this line is given up."""


class Watchdog:
    """The belt under "time stays linear": a line that hangs a rule is counted and acknowledged.

    The alarm rings after each second that the processor works for us (a process that was stopped,
    or has a busy machine, must not give a login up). If it finds the filter at the same line of the
    same block as a second before, it raises `LineTooSlow` there (`re` looks for signals while it
    matches). It rings between blocks too, and is not heard: to set it for each block would cost
    more than most blocks.
    """

    def __init__(self, filter_: Filter) -> None:
        self._filter = filter_
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


class Feed:
    """One run over one input."""

    def __init__(
        self,
        *,
        filter_: Filter,
        journal: Journal | None,
        address_map: AddressMap,
        log: Log,
        confirm: bool,
        greet: bool = True,
        clock_: Clock,
        control: Control | None = None,
        on_hangup: Callable[[], None] = lambda: None,
        every_second: Callable[[int], None] = lambda _now: None,
        on_taken: Callable[[bytes], None] = lambda _block: None,
        on_clock: Callable[[Clock], None] = lambda _clock: None,
        status: Callable[[int], dict[str, Any]] = lambda _now: {},
        stdin: int = 0,
        stdout: int = 1,
    ) -> None:
        self.filter = filter_
        self.journal = journal
        self.map = address_map
        self.log = log
        self.confirm = confirm
        self.greet = greet
        """Say OK when ready; not where it has been said before we were started."""
        self.clock = clock_
        self.control = control
        self.on_hangup = on_hangup
        self.every_second = every_second
        self.on_taken = on_taken
        """Told of each block whose lines are in the journal."""
        self.on_clock = on_clock
        """Told when the map has the times of a clock that was set."""
        self.status = status
        """Tells what --status shows."""
        self.stdin = stdin
        self.stdout = stdout
        self.splitter = omprog.Splitter()
        self.last_input_epoch = 0
        self.newest = b""
        """The block of lines that came then."""
        self._map_dirty_since: float | None = None
        self._map_rest_until = 0.0
        self._pipe_is_wide = not confirm
        self._unacknowledged: bytes | None = None
        self.clean = False
        """The store was up to date when the input ended."""
        self.troubles: dict[str, str] = {}
        """What is wrong, by part of the store."""
        self.since_epoch = clock_.now()
        self._retry_at = 0.0
        self._last_second = 0
        self._stamped: tuple[float, float] | None = None
        """The offset that the journal was last told, and when."""
        self._journal_anew = False
        """There were too many changes: the journal gets the whole state, not what changed."""
        self._rewrite: Iterator[str] | None = None
        self._rebuild: Iterator[tuple[str, bytes]] | None = None
        self._rebuild_at = 0.0
        self._map_broken = False
        self._map_old_clock = False
        """The map has the times from before the clock was set."""
        self._hangups = 0
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    # ------------------------------------------------------------------ the loop

    def run(self) -> None:
        """Work until end of input. Everything that was read is in the store afterwards, or the log
        says that it is not."""
        self._listen_to_signals()
        calm_collector()
        watchdog = Watchdog(self.filter)
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
        while True:
            ready = dict(poller.poll(self._timeout_ms()))
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
        if self._rewrite is not None or self._rebuild is not None:
            return 1
        if self._map_dirty_since is not None and not self.trouble:
            return max(QUIET_SECONDS, self._map_rest_until - time.monotonic()) * 1000
        due = self.filter.ledger.next_due()
        if due is not None and due <= self._last_second:
            return 1
        return LOOK_SECONDS * 1000

    # ------------------------------------------------------------------ lines

    def _input(self, data: bytes, watchdog: Watchdog) -> None:
        block, overlong = self.splitter.feed(data)
        if overlong:
            self.filter.counts.lines += overlong
            self.filter.counts.add(Reason.TOO_LONG, overlong)
        if not block:
            if overlong:
                self._acknowledge(overlong)
            return
        self._look_at_clock()
        now = self.clock.now()
        self.last_input_epoch = now
        self.newest = block
        if block != self._unacknowledged:
            self._filter(block, now, watchdog)
        if self._commit():
            self._unacknowledged = None
            self._acknowledge(line_count(block) + overlong)
            self.on_taken(block)
        else:
            # Remembered so that the daemon's second try is not counted as a second line.
            self._unacknowledged = block
            if self.confirm:
                self._reply(omprog.trouble(self.trouble))

    def _filter(self, block: bytes, now: int, watchdog: Watchdog) -> None:
        with watchdog:
            self.filter.take(block)
            while True:
                try:
                    self.filter.work(now)
                    return
                except LineTooSlow:
                    self.filter.counts.add(Reason.TOO_SLOW)
                    self.log.say("a line took longer than a second to read; it is given up")

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
            self.log.say("the syslog daemon no longer reads our replies; reading on without them")

    # ------------------------------------------------------------------ the store

    @property
    def trouble(self) -> str:
        """What is wrong with the store, empty when nothing is."""
        return "; ".join(self.troubles.values())

    def _commit(self) -> bool:
        """Make what changed durable; whether the lines so far may be acknowledged."""
        if not self._write_journal():
            return False
        if self._map_dirty_since is None and self.filter.ledger.map_dirty():
            self._map_dirty_since = time.monotonic()
        return "map" not in self.troubles or (self._try_again() and self._write_map())

    def _try_again(self) -> bool:
        """Whether a store in trouble is tried now: a daemon that waits for us asks seldom enough,
        another must not wait at each block."""
        return self.confirm or time.monotonic() >= self._retry_at

    def _write_journal(self) -> bool:
        """Bring the journal up to the ledger; whether it is."""
        journal = self.journal
        if journal is None:
            self.filter.journaled()
            return True
        if "journal" in self.troubles:
            if self.filter.changes() > MAX_CHANGES:
                self.filter.journaled()
                self._journal_anew = True
            if not self._try_again():
                return False
        try:
            if self._journal_anew:
                self._write_whole_journal(journal)
            if self.filter.changes():
                payloads = self.filter.journal_payloads()
                offset, at = self.clock.offset, time.monotonic()
                if (
                    self._stamped is None
                    or self._stamped[0] != offset
                    or at - self._stamped[1] >= STAMP_SECONDS
                ):
                    # In front of what is told by it.
                    payloads.insert(0, self.clock.stamp())
                    journal.append(payloads)
                    self._stamped = offset, at
                else:
                    journal.append(payloads)
                self.filter.journaled()
        except StoreBusy as error:
            self._in_trouble("journal", str(error))
            return False
        if self.troubles:
            self._out_of_trouble("journal")
        return True

    def _write_whole_journal(self, journal: Journal) -> None:
        """Raises: StoreBusy."""
        self._rewrite = None
        journal.begin_rewrite()
        journal.rewrite_step([self.clock.stamp()])
        live = self.filter.live_payloads()
        while some := list(itertools.islice(live, REWRITE_LINES)):
            journal.rewrite_step(some)
        journal.finish_rewrite()
        self._journal_anew = False

    def _write_map(self, *, whole: bool = True) -> bool:
        """Bring the map up to the ledger, or a batch nearer to it; whether nothing went wrong."""
        ledger = self.filter.ledger
        began = time.monotonic()
        if ledger.map_dirty() > MAX_CHANGES:
            ledger.map_forgotten()
            self._map_broken = True
        try:
            while changes := ledger.map_changes(MAP_BATCH):
                self.map.write(changes)
                ledger.mapped(changes)
                if not whole:
                    break
        except StoreDamaged as error:
            self._map_broken = True
            self._in_trouble("map", str(error))
            return False
        except StoreBusy as error:
            self._in_trouble("map", str(error))
            return False
        now = time.monotonic()
        self._map_rest_until = now + min((MAP_SHARE - 1) * (now - began), MAP_REST_SECONDS)
        if self._map_broken:
            return False  # until the new one is there
        self._map_dirty_since = now if ledger.map_dirty() else None
        self._out_of_trouble("map")
        return True

    def _in_trouble(self, what: str, why: str) -> None:
        self.troubles[what] = why
        self._retry_at = time.monotonic() + RETRY_SECONDS
        self.log.once(what, f"{why}; lines are not acknowledged until that is mended")

    def _out_of_trouble(self, what: str) -> None:
        if self.troubles.pop(what, None) is not None:
            self.log.over(what, f"the {what} can be written again")

    # ------------------------------------------------------------------ between blocks

    def _look_at_clock(self) -> None:
        step = self.clock.step()
        if not step:
            return
        self.log.say(f"the clock was set by {step} seconds; every end moves with it")
        self.filter.shift(step)
        self.filter.ledger.map_forgotten()
        # One that was begun has other times.
        self._rebuild = None
        self.map.abort_rebuild()
        self._map_old_clock = True

    def _housekeeping(self, *, quiet: bool) -> None:
        self._look_at_clock()
        now = self.clock.now()
        if now != self._last_second:
            self._last_second = now
            self._each_second(now)
        rebuilding = self._rebuild is not None or self._map_broken or self._map_old_clock
        if rebuilding and time.monotonic() >= self._rebuild_at:
            self._rebuild_some()
        if self.troubles:
            if time.monotonic() >= self._retry_at and self._commit():
                self._write_map()
            return
        due = self.filter.ledger.next_due()
        if due is not None and due <= now:
            self.filter.tick(now)
            self._commit()
        since = self._map_dirty_since
        if since is not None:
            at = time.monotonic()
            if at >= self._map_rest_until and (quiet or at - since >= MAP_LAG_SECONDS):
                self._write_map(whole=False)
        if self._rewrite is not None:
            self._rewrite_some()

    def _each_second(self, now: int) -> None:
        self.filter.tick(now)
        if not self.trouble:
            self._commit()
            self._begin_what_is_worth_it()
        self.every_second(now)

    def _begin_what_is_worth_it(self) -> None:
        """Start a new journal or a new map, where the old one has grown past what lives."""
        ledger = self.filter.ledger
        addresses = len(ledger.authorisations)
        live = addresses + len(ledger.sessions) + len(self.filter.correlator.pending)
        journal = self.journal
        if journal is not None and self._rewrite is None and journal.should_rewrite(live):
            self._rewrite_some()
        if self._rebuild is None and self.map.should_rebuild(addresses):
            self._rebuild_some()

    def _rewrite_some(self) -> None:
        """Begin a new journal, or write the next part of it."""
        journal = self.journal
        assert journal is not None
        try:
            if self._rewrite is None:
                journal.begin_rewrite()
                journal.rewrite_step([self.clock.stamp()])
                self._rewrite = self.filter.live_payloads()
                return
            some = list(itertools.islice(self._rewrite, REWRITE_LINES))
            if some:
                journal.rewrite_step(some)
            else:
                self._rewrite = None
                journal.finish_rewrite()
        except StoreBusy as error:
            self._rewrite = None
            journal.abort_rewrite()
            self.log.once("rewrite", f"{error}; the journal goes on growing for now")

    def _rebuild_some(self) -> None:
        """Begin a new map, or write the next part of it."""
        try:
            if self._rebuild is None:
                self.map.begin_rebuild()
                self._rebuild = self.filter.ledger.map_values()
                return
            some = list(itertools.islice(self._rebuild, REBUILD_ADDRESSES))
            if some:
                self.map.rebuild_step(some)
            elif self.map.finish_rebuild():
                self._rebuild = None
                self._map_broken = False
                if self._map_old_clock:
                    self._map_old_clock = False
                    self.on_clock(self.clock)
                if self._write_map():
                    self.log.debug("the map was made again")
        except StoreBusy as error:
            self._rebuild = None
            self.map.abort_rebuild()
            self.log.once("rebuild", f"{error}; the map is made again later")
            self._rebuild_at = time.monotonic() + 1

    def _serve_control(self) -> None:
        assert self.control is not None
        self.control.serve(self._request)

    def _request(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a person asks for (`--forget`, `--authorise`, `--status` of a running filter).

        A change is answered when it is durable and in the map.
        """
        now = self.clock.now()
        answer = requests.handle(self.filter, request, now)
        if answer.get("changed") and not (self._commit() and self._write_map()):
            return {"error": self.trouble}
        if request.get("do") == "status":
            answer["status"] = self.status(now)
        return answer

    # ------------------------------------------------------------------ the end

    def _finish(self) -> None:
        """End of input: everything that was read goes into the store."""
        unfinished = self.splitter.unfinished()
        if unfinished:
            self.log.say(f"the input ended inside a line; its {unfinished} bytes are dropped")
        give_up = time.monotonic() + CLOSE_SECONDS
        while not (self._commit() and (not self.filter.ledger.map_dirty() or self._write_map())):
            if time.monotonic() >= give_up:
                self.log.say(f"leaving although the store is not up to date: {self.trouble}")
                return
            time.sleep(0.2)
        self.clean = True
