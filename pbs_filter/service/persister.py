"""The persister (edge): what the state learns goes into the journal, and then into the map.

The journal decides: what it has made durable may be acknowledged. The map follows at once when no
more input is waiting, and under load a moment later (`schedule` says when): it is an index for
readers that the journal can make again, and writing it for every line would cost more than the
line. From before an acknowledgement until the map has caught up its state says that it lacks
something, so that lookups never say "no" for what was acknowledged, whatever ends this process.

Trouble with the store: nothing more is acknowledged, the changes are kept, and every second (and
before any later line is acknowledged) they are tried again. A daemon that does not wait for
acknowledgements goes on: then more than `MAX_CHANGES` changes are not kept one by one; the whole
state, which has its own limits, is written when the trouble is over.

A clock that was set: the journal says so in one line; the map is made again in slices, and
meanwhile readers go by the offset in `PATH.clock`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..authorisation.state import State
from ..clock import Clock
from ..errors import StoreBusy, StoreDamaged
from ..log import Log
from ..store.address_map import AddressMap
from ..store.journal import Journal
from ..text import counted
from .schedule import Schedule

REWRITE_LINES = 500
"""Payloads written to a new journal between two blocks of input: about a millisecond."""
REBUILD_ADDRESSES = 200
"""Entries written to a new map between two blocks of input: about two milliseconds."""
LAST_REBUILD_ADDRESSES = 10_000
"""The same when the input has ended."""
MAX_CHANGES = 100_000
"""Changes that a store in trouble has not taken and that are kept one by one."""
MAP_BATCH = 500
"""Addresses written to the map at once: some three milliseconds."""
LAST_MAP_BATCH = 2000
"""The same when the input has ended."""


class Persister:
    """Keeps the state of one filter.

    Args:
        state: of the filter.
        journal: None: nothing is kept.
        address_map: for readers.
        log: for people.
        clock_: by which the filter is told the time.
        timer: tells seconds of a clock that nobody sets.
        patient: the syslog daemon waits for each acknowledgement.
        on_replaced: called when a new map has taken the place of the old one.
        on_rewritten: the same of the journal.
        on_erase: takes whom a request names out of what is kept for people.
    """

    def __init__(
        self,
        *,
        state: State,
        journal: Journal | None,
        address_map: AddressMap,
        log: Log,
        clock_: Clock,
        timer: Callable[[], float],
        patient: bool,
        on_replaced: Callable[[], None] = lambda: None,
        on_rewritten: Callable[[], None] = lambda: None,
        on_erase: Callable[[Mapping[str, Any]], None] = lambda _request: None,
    ) -> None:
        self.state = state
        self.journal = journal
        self.map = address_map
        self.log = log
        self.clock = clock_
        self.timer = timer
        self.schedule = Schedule(patient=patient)
        self.on_replaced = on_replaced
        self.on_rewritten = on_rewritten
        self.on_erase = on_erase
        self.troubles: dict[str, str] = {}
        """What is wrong, by part of the store."""
        self._clock_moved = False
        """The journal has not been told: after a power cut nobody could know."""
        self._journal_anew = False
        """There were too many changes: the journal gets the whole state, not what changed."""
        self._rewrite: Iterator[str] | None = None
        self._rebuild: Iterator[tuple[str, bytes]] | None = None
        self._given_up = ""
        """Why the map cannot be mended by what changes, and has to be made again."""

    @property
    def trouble(self) -> str:
        """Return the trouble with the store, empty when there is none."""
        if self.troubles:
            return "; ".join(self.troubles.values())
        waiting = self.state.addresses() if self._given_up else self.state.map_dirty()
        why = f" ({self._given_up})" if self._given_up else ""
        return f"{counted(waiting, 'address')} to be written to the map{why}" if waiting else ""

    def nobody_waits(self) -> None:
        """The syslog daemon no longer reads acknowledgements."""
        self.schedule.patient = False

    # ------------------------------------------------------------------ at a block of input

    def commit(self) -> bool:
        """Make what changed durable; whether the lines so far may be acknowledged."""
        if not self._write_journal():
            return False
        if self.state.map_dirty() and self.schedule.map_is_dirty(self.timer()):
            try:
                self.map.mark_incomplete()
            except StoreBusy as error:
                self._fail("map", str(error))
        if "map" not in self.troubles:
            return True
        return self.schedule.may_try(self.timer()) and self.write_map()

    def _write_journal(self) -> bool:
        """Bring the journal up to the state; whether it is."""
        state, journal = self.state, self.journal
        if journal is None:
            state.journaled()
            return True
        if "journal" in self.troubles:
            if state.changes() > MAX_CHANGES:
                state.journaled()
                self._journal_anew = True
            if not self.schedule.may_try(self.timer()):
                return False
        try:
            if self._journal_anew:
                self._write_whole_journal(journal)
            if state.changes() or self._clock_moved:
                payloads = state.journal_payloads()
                stamped = self.schedule.must_stamp(self.clock.offset, self.timer())
                if stamped:
                    payloads.insert(0, self.clock.stamp())  # in front of what is told by it
                journal.append(payloads)
                state.journaled()
                state.trace.journaled()
                self._clock_moved = False
        except StoreBusy as error:
            self.schedule.forget_stamp()
            self._fail("journal", str(error))
            return False
        if self.troubles:
            self._mend("journal")
        return True

    def _write_whole_journal(self, journal: Journal) -> None:
        """Raises: StoreBusy."""
        self._stop_rewriting()
        journal.begin_rewrite()
        self._write_head(journal)
        live = self.state.live_payloads()
        while some := list(itertools.islice(live, REWRITE_LINES)):
            journal.rewrite_step(some)
        journal.finish_rewrite()
        self._journal_anew = False

    def _write_head(self, journal: Journal) -> None:
        """Raises: StoreBusy."""
        journal.rewrite_step([self.clock.stamp(), journal.birth(self.clock.now())])

    def erase(self, request: Mapping[str, Any]) -> str:
        """Write the journal and its history anew without what has been forgotten, and begin a new
        map; return what went wrong. With a million addresses it takes some seconds.
        """
        if self.journal is not None:
            try:
                self._write_whole_journal(self.journal)
                self.on_erase(request)
            except StoreBusy as error:
                return str(error)
        if self._rebuild is None:  # what was deleted may still be in free places of the file
            self._rebuild_some(REBUILD_ADDRESSES)
        return ""

    def write_map(self, *, whole: bool = True, batch: int = MAP_BATCH) -> bool:
        """Bring the map up to the state, or a batch nearer to it; whether nothing went wrong."""
        state = self.state
        began = self.timer()
        if state.map_dirty() > MAX_CHANGES:
            self._give_map_up("more addresses wait for the map than are kept one by one")
        try:
            while True:
                changes = state.map_changes(batch)
                last = state.map_dirty() <= batch
                self.map.write(changes, complete=last and not self._given_up)
                state.mapped(changes)
                if last or not whole:
                    break
        except StoreDamaged as error:
            if not self._given_up:
                self._given_up = str(error)
                self.schedule.given_up = True
                self._fail("map", str(error))
            return False
        except StoreBusy as error:
            self._fail("map", str(error))
            return False
        self.schedule.map_was_written(began, self.timer(), more=state.map_dirty() > 0)
        if self._given_up:
            return False  # until the new one is there
        self._mend("map")
        return True

    def _fail(self, part: str, why: str) -> None:
        self.troubles[part] = why
        self.schedule.failed(self.timer())
        self.log.once(part, f"{why}; lines are not acknowledged until that is mended")

    def _mend(self, part: str) -> None:
        if self.troubles.pop(part, None) is not None:
            self.log.recovered(part, f"the {part} can be written again")
        self.schedule.in_trouble = bool(self.troubles)

    # ------------------------------------------------------------------ between blocks

    def clock_was_set(self) -> None:
        """The state's times have moved: the map is made again, in slices."""
        self._clock_moved = True
        self._give_map_up("the clock was set")

    def _give_map_up(self, why: str) -> None:
        """Let the map be made again. Until then lookups say "not now" where it is of no help."""
        self._given_up = why
        self.schedule.given_up = True
        # It will have all of the state; one that was begun has other times, or lacks addresses.
        self.state.map_forgotten()
        self._stop_rebuilding()
        try:
            self.map.give_up(why)
        except StoreBusy as error:
            self._fail("map", str(error))

    def step(self, *, quiet: bool) -> None:
        """Do a little of what waits: a new map or journal, what the map lacks, another attempt.

        `quiet`: no line is waiting.
        """
        for step in self.schedule.steps(self.timer(), quiet=quiet):
            if step == "rebuild":
                self._rebuild_some(REBUILD_ADDRESSES)
            elif step == "retry":
                if self.commit():
                    self.write_map()
            elif step == "write map":
                self.write_map(whole=False)
            else:
                self._rewrite_some()

    def wait_seconds(self) -> float | None:
        """Return how soon `step` wants to be called although nothing happens; None: no matter."""
        return self.schedule.wait_seconds(self.timer())

    def begin_what_is_worth_it(self) -> None:
        """Start a new journal or a new map, where the old one has grown past what lives."""
        journal = self.journal
        if (journal is not None and self._rewrite is None) and (
            journal.is_old(self.clock.now()) or journal.should_rewrite(self.state.live())
        ):
            self._rewrite_some()
        if self._rebuild is None and self.map.should_rebuild(self.state.addresses()):
            self._rebuild_some(REBUILD_ADDRESSES)

    def _stop_rewriting(self) -> None:
        self._rewrite = None
        self.schedule.rewriting = False

    def _rewrite_some(self) -> None:
        """Begin a new journal, or write the next part of it."""
        journal = self.journal
        assert journal is not None
        try:
            if self._rewrite is None:
                journal.begin_rewrite()
                self._write_head(journal)
                self._rewrite = self.state.live_payloads()
                self.schedule.rewriting = True
                return
            some = list(itertools.islice(self._rewrite, REWRITE_LINES))
            if some:
                journal.rewrite_step(some)
            else:
                self._stop_rewriting()
                journal.finish_rewrite()
                self.on_rewritten()
        except StoreBusy as error:
            self._stop_rewriting()
            journal.abort_rewrite()
            self.log.once("rewrite", f"{error}; the journal goes on growing for now")

    def _stop_rebuilding(self) -> None:
        self._rebuild = None
        self.schedule.rebuilding = False
        self.map.abort_rebuild()

    def _rebuild_some(self, addresses: int, wait_seconds: float = 0.0) -> None:
        """Begin a new map, or write the next so many addresses of it."""
        try:
            if self._rebuild is None:
                self.map.begin_rebuild()
                self._rebuild = self.state.map_values()
                self.schedule.rebuilding = True
                return
            some = list(itertools.islice(self._rebuild, addresses))
            if some:
                self.map.rebuild_step(some)
            elif self.map.finish_rebuild(wait_seconds):
                self._rebuild = None
                self._given_up = ""
                self.schedule.rebuilding = self.schedule.given_up = False
                self.on_replaced()
                if self.write_map():
                    self.log.debug("the map was made again")
        except StoreBusy as error:
            self._stop_rebuilding()
            self._given_up = self._given_up and str(error)
            self.log.once("rebuild", f"{error}; the map is made again later")
            self.schedule.rebuild_failed(self.timer())

    def finish(self, give_up: float) -> bool:
        """Bring journal and map up to the state, as far as that can be done until `give_up`;
        whether they are equal now.

        Where not, lookups take no miss in the map for an answer until the next start.
        """
        if not self.commit():
            self.write_map(batch=LAST_MAP_BATCH)
        while self._given_up and (left := give_up - self.timer()) > 0:
            self._rebuild_some(LAST_REBUILD_ADDRESSES, left)
            if self._rebuild is None:
                break
        if self.commit() and not self._given_up and self.write_map(batch=LAST_MAP_BATCH):
            return True
        try:
            self.map.mark_incomplete()
        except StoreBusy:
            pass  # then the state is an older one, which says so, or cannot be read
        return False
