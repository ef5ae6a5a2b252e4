"""The persister (edge): what the ledger learns goes into the journal, and then into the map.

The journal decides: what it has made durable may be acknowledged. The map follows at once when no
more input is waiting, and under load at the latest `MAP_LAG_SECONDS` (on a slow disk
`MAP_REST_SECONDS`) after a change: it is an index for readers that the journal can make again, and
writing it for every line would cost more than the line.

Trouble with the store: nothing more is acknowledged, the changes are kept, and every second (and
before any later line is acknowledged) they are tried again. A daemon that does not wait for
acknowledgements goes on: then more than `MAX_CHANGES` changes are not kept one by one; the whole
state, which has its own limits, is written when the trouble is over.

A clock that was set: the journal says so in one line; the map is made again in slices, and
meanwhile readers go by the offset in `PATH.clock`.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator

from ..authorisation.pipeline import Pipeline
from ..clock import Clock
from ..errors import StoreBusy, StoreDamaged
from ..log import Log
from ..store.address_map import AddressMap
from ..store.journal import Journal

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
REWRITE_LINES = 500
"""Payloads written to a new journal between two blocks of input: about a millisecond."""
REBUILD_ADDRESSES = 200
"""Entries written to a new map between two blocks of input: about two milliseconds."""
LAST_REBUILD_ADDRESSES = 10_000
"""The same when the input has ended."""
STAMP_SECONDS = 60
RETRY_SECONDS = 1.0
MAX_CHANGES = 100_000
"""Changes that a store in trouble has not taken and that are kept one by one."""
MAP_BATCH = 500
"""Addresses written to the map at once: some three milliseconds."""


class Persister:
    """Keeps the state of one filter.

    Args:
        pipeline: whose.
        journal: None: nothing is kept.
        address_map: for readers.
        log: for people.
        clock_: by which the filter is told the time.
        patient: the syslog daemon waits for each acknowledgement.
        on_replaced: called when a new map has taken the place of the old one.
    """

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        journal: Journal | None,
        address_map: AddressMap,
        log: Log,
        clock_: Clock,
        patient: bool,
        on_replaced: Callable[[], None] = lambda: None,
    ) -> None:
        self.pipeline = pipeline
        self.journal = journal
        self.map = address_map
        self.log = log
        self.clock = clock_
        self.patient = patient
        self.on_replaced = on_replaced
        self.troubles: dict[str, str] = {}
        """What is wrong, by part of the store."""
        self._retry_at = 0.0
        self._stamped: tuple[float, float] | None = None
        """The offset that the journal was last told, and when."""
        self._clock_moved = False
        """The journal has not been told: after a power cut nobody could know."""
        self._journal_anew = False
        """There were too many changes: the journal gets the whole state, not what changed."""
        self._rewrite: Iterator[str] | None = None
        self._map_dirty_since: float | None = None
        self._map_rest_until = 0.0
        self._rebuild: Iterator[tuple[str, bytes]] | None = None
        self._rebuild_at = 0.0
        self._map_given_up = ""
        """Why the map cannot be mended by what changes, and has to be made again."""

    @property
    def trouble(self) -> str:
        """What is wrong with the store, empty when nothing is."""
        if self.troubles:
            return "; ".join(self.troubles.values())
        waiting = len(self.pipeline.ledger.authorisations)
        if not self._map_given_up:
            waiting = self.pipeline.ledger.map_dirty()
        return f"{waiting} addresses have to be written to the map" if waiting else ""

    def commit(self) -> bool:
        """Make what changed durable; whether the lines so far may be acknowledged."""
        if not self._write_journal():
            return False
        if self._map_dirty_since is None and self.pipeline.ledger.map_dirty():
            self._map_dirty_since = time.monotonic()
            try:
                self.map.mark_incomplete()
            except StoreBusy as error:
                self._in_trouble("map", str(error))
        return "map" not in self.troubles or (self._try_again() and self.write_map())

    def _try_again(self) -> bool:
        """Whether a store in trouble is tried now: a daemon that waits for us asks seldom enough,
        another must not wait at each block."""
        return self.patient or time.monotonic() >= self._retry_at

    def _write_journal(self) -> bool:
        """Bring the journal up to the ledger; whether it is."""
        journal = self.journal
        if journal is None:
            self.pipeline.journaled()
            return True
        if "journal" in self.troubles:
            if self.pipeline.changes() > MAX_CHANGES:
                self.pipeline.journaled()
                self._journal_anew = True
            if not self._try_again():
                return False
        try:
            if self._journal_anew:
                self._write_whole_journal(journal)
            if self.pipeline.changes() or self._clock_moved:
                payloads = self.pipeline.journal_payloads()
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
                self.pipeline.journaled()
                self._clock_moved = False
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
        live = self.pipeline.live_payloads()
        while some := list(itertools.islice(live, REWRITE_LINES)):
            journal.rewrite_step(some)
        journal.finish_rewrite()
        self._journal_anew = False

    def write_map(self, *, whole: bool = True) -> bool:
        """Bring the map up to the ledger, or a batch nearer to it; whether nothing went wrong."""
        ledger = self.pipeline.ledger
        began = time.monotonic()
        if ledger.map_dirty() > MAX_CHANGES:
            self._give_map_up("more addresses wait for the map than are kept one by one")
        try:
            while True:
                changes = ledger.map_changes(MAP_BATCH)
                last = ledger.map_dirty() <= MAP_BATCH
                self.map.write(changes, complete=last and not self._map_given_up)
                ledger.mapped(changes)
                if last or not whole:
                    break
        except StoreDamaged as error:
            if not self._map_given_up:
                self._map_given_up = str(error)
                self._in_trouble("map", str(error))
            return False
        except StoreBusy as error:
            self._in_trouble("map", str(error))
            return False
        now = time.monotonic()
        self._map_rest_until = now + min((MAP_SHARE - 1) * (now - began), MAP_REST_SECONDS)
        if self._map_given_up:
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
            self.log.recovered(what, f"the {what} can be written again")

    # ------------------------------------------------------------------ between blocks

    def clock_was_set(self) -> None:
        """The ledger's times have moved: the map is made again, in slices."""
        self._clock_moved = True
        self._give_map_up("the clock was set")

    def _give_map_up(self, why: str) -> None:
        """Let the map be made again. Until then lookups say "not now" where it is of no help."""
        self._map_given_up = why
        # It will have all of the ledger; one that was begun has other times, or lacks addresses.
        self.pipeline.ledger.map_forgotten()
        self._rebuild = None
        self.map.abort_rebuild()
        try:
            self.map.give_up(why)
        except StoreBusy as error:
            self._in_trouble("map", str(error))

    def timeout_seconds(self) -> float | None:
        """How soon `step` wants to be called although nothing happens; None: no matter."""
        if self._rewrite is not None or self._rebuild is not None:
            return 0.001
        if self._map_dirty_since is not None and not self.troubles:
            return max(QUIET_SECONDS, self._map_rest_until - time.monotonic())
        return None

    def step(self, *, quiet: bool) -> None:
        """Do a little of what waits: a new map or journal, what the map lacks, another attempt.

        `quiet`: no line is waiting.
        """
        if self._rebuilding() and time.monotonic() >= self._rebuild_at:
            self._rebuild_some(REBUILD_ADDRESSES)
        if self.troubles:
            if time.monotonic() >= self._retry_at and self.commit():
                self.write_map()
            return
        since = self._map_dirty_since
        if since is not None:
            at = time.monotonic()
            if at >= self._map_rest_until and (quiet or at - since >= MAP_LAG_SECONDS):
                self.write_map(whole=False)
        if self._rewrite is not None:
            self._rewrite_some()

    def begin_what_is_worth_it(self) -> None:
        """Start a new journal or a new map, where the old one has grown past what lives."""
        ledger = self.pipeline.ledger
        addresses = len(ledger.authorisations)
        live = addresses + len(ledger.sessions) + len(self.pipeline.correlator.pending)
        journal = self.journal
        if journal is not None and self._rewrite is None and journal.should_rewrite(live):
            self._rewrite_some()
        if self._rebuild is None and self.map.should_rebuild(addresses):
            self._rebuild_some(REBUILD_ADDRESSES)

    def _rebuilding(self) -> bool:
        return self._rebuild is not None or bool(self._map_given_up)

    def _rewrite_some(self) -> None:
        """Begin a new journal, or write the next part of it."""
        journal = self.journal
        assert journal is not None
        try:
            if self._rewrite is None:
                journal.begin_rewrite()
                journal.rewrite_step([self.clock.stamp()])
                self._rewrite = self.pipeline.live_payloads()
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

    def _rebuild_some(self, addresses: int, wait_seconds: float = 0.0) -> None:
        """Begin a new map, or write the next so many addresses of it."""
        try:
            if self._rebuild is None:
                self.map.begin_rebuild()
                self._rebuild = self.pipeline.ledger.map_values()
                return
            some = list(itertools.islice(self._rebuild, addresses))
            if some:
                self.map.rebuild_step(some)
            elif self.map.finish_rebuild(wait_seconds):
                self._rebuild = None
                self._map_given_up = ""
                self.on_replaced()
                if self.write_map():
                    self.log.debug("the map was made again")
        except StoreBusy as error:
            self._rebuild = None
            self.map.abort_rebuild()
            self.log.once("rebuild", f"{error}; the map is made again later")
            self._rebuild_at = time.monotonic() + 1

    # ------------------------------------------------------------------ the end

    def finish(self, seconds: float) -> bool:
        """Bring journal and map up to the ledger; whether that was done within so many seconds.

        If not, lookups do not take a miss in the map for an answer until the next start.
        """
        give_up = time.monotonic() + seconds
        while not self._is_finished(give_up):
            if time.monotonic() >= give_up:
                with contextlib.suppress(StoreBusy):
                    self.map.mark_incomplete()
                return False
            time.sleep(0.05)
        return True

    def _is_finished(self, give_up: float) -> bool:
        """Do what is left to do, at the longest until `give_up`; whether journal and map equal the
        ledger now."""
        if not self.commit():
            self.write_map()
        while self._map_given_up and (left := give_up - time.monotonic()) > 0:
            self._rebuild_some(LAST_REBUILD_ADDRESSES, left)
            if self._rebuild is None:
                break
        return self.commit() and not self._map_given_up and self.write_map()
