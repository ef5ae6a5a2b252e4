"""Any faults in any order: a model of the promises, and the real store (Hypothesis).

    tests/run tests/faults/test_any_order.py         some histories
    python -m tests.faults --long any_order          for an hour, and each fault of old
    PBS_FILTER_ANY_ORDER_SECONDS=600 tests/run tests/faults/test_any_order.py     so long

An acknowledged login that has not ended is "yes" or "not now", never "no"; nothing is "yes" beyond
its end in real time; after a quiet start everything acknowledged is "yes". The rules kill at the
calls that touch the disk, set clocks, damage files, cut the power and take the disk away.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from pbs_filter.authorisation.correlator import Correlator
from pbs_filter.authorisation.outcome import Outcome
from pbs_filter.authorisation.pipeline import Pipeline
from pbs_filter.service.persister import Persister
from pbs_filter.store.gdbm_map import GdbmMap
from pbs_filter.store.journal import Journal

from . import LONG, figure
from .lives import ANY, POINTS, Death
from .model import ADDRESSES, BROKEN, FILES, Site

HISTORIES = 40
STEPS = 24
SEED = 13
"""Of histories of which one of the first few shows a fault of old; any other seed takes longer."""
SECONDS = int(os.environ.get("PBS_FILTER_ANY_ORDER_SECONDS", "3600" if LONG else "0"))

Logins = tuple[list[str], str]
End = tuple[Any, ...] | None


def remove(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 3)


def cut_between_lines(path: Path) -> None:
    data = path.read_bytes()
    os.truncate(path, data.rfind(b"\n", 0, len(data.rstrip(b"\0")) * 2 // 3) + 1)


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(len(data.rstrip(b"\0")) // 3, len(data), 97):
        data[at] ^= 1
    path.write_bytes(data)


addresses = st.sampled_from(ADDRESSES)
whens = st.sampled_from(("before", "after", "within"))
deaths = st.builds(Death, st.sampled_from((*POINTS, ANY)), st.integers(1, 8), whens)
dying_starts = st.tuples(
    st.just("start_that_dies"),
    st.builds(Death, st.just(ANY), st.integers(1, 40), whens),  # a start has some forty calls
    addresses,
)
clock_steps = st.sampled_from((1.5, -1.5, 30, -30, 299, -299, 3600, -3600, 7000))
ways = st.sampled_from((remove, cut, cut_between_lines, spoil))
logins = st.tuples(
    st.lists(addresses, max_size=2), st.sampled_from(("at once", "settled", "killed in the map"))
)
"""What comes before a fault: logins; whether the map has them by then; and with the last, whether
the filter was killed while it wrote a later login there."""
ends = st.none() | st.one_of(
    st.just(("kill",)),
    st.just(("end_of_input",)),
    st.tuples(st.just("last_login"), addresses),
    dying_starts,
)
"""What comes behind a fault at once, and then a quiet start: another fault, or the end."""


class Store(RuleBasedStateMachine):
    """One store through a history."""

    def __init__(self) -> None:
        super().__init__()
        self.site = Site()

    def teardown(self) -> None:
        self.site.close()

    # No rule has a precondition: whether a filter has died at its call is for the scheduler of
    # this machine to say, and what Hypothesis chooses must not depend on it.

    # ------------------------------------------------------------------ the filter

    @rule()
    def start(self) -> None:
        """An undisturbed start."""
        self.site.be_without_filter()
        self.site.let_disk_fail(0)
        self.site.start(None)

    @rule(death=deaths, address=addresses)
    def start_that_dies(self, death: Death, address: str) -> None:
        """At once, at a login, or at some later call."""
        self.site.be_without_filter()
        if self.site.start(death):
            self.site.login(address, session=False)

    @rule(address=addresses)
    def start_and_login_while_somebody_asks(self, address: str) -> None:
        """At any moment: before each call that changes a file."""
        self.site.be_without_filter()
        with self.site.asked_all_the_time():
            if self.site.start(None):
                self.site.login(address, session=True)

    @rule()
    def kill(self) -> None:
        self.site.be_without_filter()

    @rule()
    def start_another(self) -> None:
        """Without its lock file, and beside the one that runs."""
        if self.site.be_with_filter():
            self.site.start_another()

    @rule()
    def end_of_input(self) -> None:
        if self.site.be_with_filter():
            self.site.end_input()

    # ------------------------------------------------------------------ lines and people

    @rule(address=addresses, session=st.booleans())
    def login(self, address: str, session: bool) -> None:
        if self.site.be_with_filter():
            self.site.login(address, session=session)

    @rule(address=addresses)
    def last_login(self, address: str) -> None:
        """Its line, and the end of the input."""
        if self.site.be_with_filter():
            self.site.last_login(address)

    @rule(address=addresses, times=st.integers(1, 2))
    def login_in_two_lines(self, address: str, times: int) -> None:
        if self.site.be_with_filter():
            self.site.login_in_two_lines(address, times)

    @rule(number=st.integers(0, 3))
    def logout(self, number: int) -> None:
        keys = [key for key in self.site.sessions if key[0] == "s"]
        if number < len(keys) and self.site.be_with_filter():
            self.site.logout(keys[number])

    @rule(address=addresses)
    def forget(self, address: str) -> None:
        if self.site.be_with_filter():
            self.site.ask_filter({"do": "forget", "address": address})

    @rule(address=addresses, seconds=st.sampled_from((60, 900)))
    def authorise(self, address: str, seconds: int) -> None:
        if self.site.be_with_filter():
            self.site.ask_filter({"do": "authorise", "address": address, "seconds": seconds})

    # ------------------------------------------------------------------ time

    @rule(by=clock_steps, before=logins, end=ends)
    def set_clock(self, by: float, before: Logins, end: End) -> None:
        with self._between(before, end):
            self.site.set_clock(by)

    @rule(seconds=st.sampled_from((1, 30, 250, 590, 1700)), before=logins, end=ends)
    def wait(self, seconds: int, before: Logins, end: End) -> None:
        with self._between(before, end):
            self.site.wait(seconds)

    @rule()
    def settle(self) -> None:
        self.site.settle()

    # ------------------------------------------------------------------ the disk

    @rule(change=ways, running=st.booleans(), before=logins, end=dying_starts | ends)
    def damage_journal(
        self, change: Callable[[Path], None], running: bool, before: Logins, end: End
    ) -> None:
        with self._between(before, end):
            if not running:
                self.site.be_without_filter()
            self.site.damage(".journal", change)

    @rule(
        change=ways,
        name=st.sampled_from(("", ".state", ".clock")),
        running=st.booleans(),
        before=logins,
        end=ends,
    )
    def damage_map(
        self,
        change: Callable[[Path], None],
        name: str,
        running: bool,
        before: Logins,
        end: End,
    ) -> None:
        with self._between(before, end):
            if not running:
                self.site.be_without_filter()
            self.site.damage(name, change)

    @rule()
    def copy_files(self) -> None:
        self.site.copy_files()

    @rule(name=st.sampled_from(FILES), orderly=st.booleans(), before=logins, end=ends)
    def put_back(self, name: str, orderly: bool, before: Logins, end: End) -> None:
        """One file of the last backup, when the filter was killed or has ended."""
        with self._between(before, end):
            if orderly:
                self.end_of_input()
            self.site.be_without_filter()
            self.site.put_back(name)

    @rule(error=st.sampled_from((0, errno.ENOSPC, errno.EACCES)), before=logins, end=ends)
    def let_disk_fail(self, error: int, before: Logins, end: End) -> None:
        """Full, or its rights taken away; 0: mended."""
        with self._between(before, end):
            self.site.let_disk_fail(error)

    @rule(seed=st.integers(0, 1 << 16), before=logins, end=ends)
    def power_cut(self, seed: int, before: Logins, end: End) -> None:
        with self._between(before, end):
            self.site.power_cut(seed)

    @contextlib.contextmanager
    def _between(self, before: Logins, end: End) -> Iterator[None]:
        """The faults of old are pairs: chance alone would bring few of them together."""
        logins, then = before
        for address in logins:
            if self.site.be_with_filter():
                self.site.login(address, session=False)
        if then != "at once":
            self.site.settle()
        if then == "killed in the map":
            self.site.be_without_filter()
            if self.site.start(Death("put", 1, "before")):
                self.site.login(ADDRESSES[-1], session=False)
        yield
        if end is not None:
            self.site.check()
            getattr(self, end[0])(*end[1:])
            self.start()

    @invariant()
    def promises_hold(self) -> None:
        self.site.check()


class Same(Store):
    """Through the same histories in each run, among them soon one that shows a fault of old."""


def histories(number: int, store: type[Store] = Store, **more: Any) -> None:
    """So many of them; AssertionError where a promise is broken."""
    BROKEN.clear()
    try:
        run_state_machine_as_test(
            store,
            settings=settings(
                max_examples=number,
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
                **more,
            ),
        )
    except Exception:
        assert not BROKEN, min(BROKEN, key=len)
        raise


def test_any_faults_in_any_order() -> None:
    began = time.monotonic()
    total = 0
    while total == 0 or time.monotonic() - began < SECONDS:
        histories(HISTORIES)
        total += HISTORIES
    figure("histories of faults in any order", total)


def _forgets_what_has_to_be_made_again(patch: pytest.MonkeyPatch) -> None:
    """A map is closed at the end of input although it was to be made again."""

    def finish(self: Persister, _give_up: float) -> bool:
        self._given_up = ""
        assert isinstance(self.map, GdbmMap)
        self.map._broken, self.map._lacking = None, False
        return self.commit() and self.write_map()

    patch.setattr(Persister, "finish", finish)


def _names_the_new_journal_first(patch: pytest.MonkeyPatch) -> None:
    """A new journal has its name before it has what the map knows."""
    start = Journal.start

    def start_poor(self: Journal, recovered: Sequence[str] = (), *, anew: bool = False) -> None:
        start(self)
        self.append(recovered)

    patch.setattr(Journal, "start", start_poor)
    # Nor did the missing room behind its last line tell anything.
    no = property(lambda _self: False, lambda _self, _value: None)
    patch.setattr(Journal, "may_be_cut", no, raising=False)


def _reads_only_complete_maps(patch: pytest.MonkeyPatch) -> None:
    """Nothing is taken from a map in which somebody was writing."""
    items = GdbmMap.items
    patch.setattr(GdbmMap, "items", lambda self, whatever=False: items(self))


def _fails_on_a_repeated_line(patch: pytest.MonkeyPatch) -> None:
    """An address of the ledger is judged again, and what a line raises ends the filter."""

    def failed(self: Pipeline, line: bytes, error: Exception) -> Outcome:
        raise error

    def address_of(self: Correlator, session: str, at: int) -> str | None:
        opened = self.ledger.sessions.get(session)
        return opened.address if opened is not None else known(self, session, at)

    known = Correlator.address_of
    patch.setattr(Correlator, "address_of", address_of)
    patch.setattr(Pipeline, "_failed", failed)


OLD_FAULTS = (
    _forgets_what_has_to_be_made_again,
    _names_the_new_journal_first,
    _reads_only_complete_maps,
    _fails_on_a_repeated_line,
)


@pytest.mark.parametrize("fault", OLD_FAULTS if LONG else OLD_FAULTS[2:])
def test_a_fault_of_old_is_found(
    fault: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test of the test: let the code be as it was."""
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        histories(20 * HISTORIES, seed(SEED)(Same), phases=[Phase.generate])


def test_a_start_killed_at_any_call_leaves_what_the_map_knew_of_a_cut_journal() -> None:
    """A journal cut between two lines looks whole: only the room behind it tells."""
    for count in range(1, 31):
        with contextlib.closing(Site()) as site:
            site.start(None)
            site.login(ADDRESSES[0], session=False)
            site.settle()
            site.be_without_filter()
            site.damage(".journal", cut_between_lines)
            if site.start(Death(ANY, count, "after")):
                site.be_without_filter()
            site.start(None)


@pytest.mark.parametrize("end", [Site.end_input, Site.be_without_filter])
def test_a_clock_set_in_another_start_of_the_machine_takes_nothing(
    end: Callable[[Site], None],
) -> None:
    """Nobody has logged in since that began, so that its journal has nothing else of it."""
    with contextlib.closing(Site()) as site:
        site.start(None)
        site.login(ADDRESSES[0], session=False)
        site.power_cut(0)
        for by in (0, -3600, 0):
            site.start(None)
            site.set_clock(by)
            end(site)


def test_a_map_that_is_put_back_over_one_of_another_clock_takes_nothing() -> None:
    """Its logins are in the future by the clock of now, and the journal has them by that."""
    with contextlib.closing(Site()) as site:
        site.start(None)
        site.login(ADDRESSES[0], session=False)
        site.settle()
        site.copy_files()
        site.set_clock(-30)
        site.login(ADDRESSES[1], session=False)
        site.end_input()
        site.put_back("")
        site.start(None)
