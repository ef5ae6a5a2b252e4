"""Promise 5: however the clock is set, no authorisation outlives its grace by more than a second of
real time, and none is born longer than it."""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from pbs_filter import clock
from pbs_filter.log import Log
from pbs_filter.lookup.answer import NO, YES, Lookup
from pbs_filter.map_format import gdbm_reader, map_clock
from pbs_filter.map_format.gdbm_reader import GdbmReader
from pbs_filter.map_format.map_clock import MapClock
from pbs_filter.service import build
from pbs_filter.service.feed import Feed
from pbs_filter.service.persister import Persister
from pbs_filter.service.storage import Storage
from pbs_filter.service.watchdog import Watchdog
from pbs_filter.store.gdbm_map import GdbmMap
from pbs_filter.syslog.timestamps import Stamps

from . import figure, number
from .lives import made

GRACE = 600
MAX_SESSION = 2000
HISTORIES = number(60, 2500)
EVENTS = 25
STEPS = (1, -1, 2, -2, 0.7, -0.7, 30, -30, 299, -299, 3600, -3600, 7 * 3600, -7 * 3600,
         40 * 86400, -40 * 86400, 3 * 365 * 86400, -3 * 365 * 86400)  # fmt: skip
ADDRESSES = [f"192.0.2.{last}" for last in range(1, 9)]
BOOT = 0
WALL = 1


class Machine:
    """The clocks of the machine, for the modules that look at them."""

    CLOCK_BOOTTIME = 7

    def __init__(self) -> None:
        self.boot = 5000.0
        self.wall = 1_795_000_000.25

    def time(self) -> float:
        return self.wall

    def clock_gettime(self, _which: int) -> float:
        return self.boot

    def pass_(self, seconds: float) -> None:
        """Real time goes by."""
        self.boot += seconds
        self.wall += seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made_ = Machine()
    monkeypatch.setattr(clock, "time", made_)
    told = SimpleNamespace(
        time=made_.time,
        clock_gettime=made_.clock_gettime,
        CLOCK_BOOTTIME=7,
        sleep=lambda _s: None,
        monotonic=itertools.count().__next__,
    )
    monkeypatch.setattr(map_clock, "time", told)
    monkeypatch.setattr(gdbm_reader, "time", told)
    return made_


class Site:
    """A filter that is started and killed, a lookup, and what the promise allows."""

    def __init__(self, directory: Path, machine: Machine) -> None:
        self.machine = machine
        self.settings = made(
            directory,
            servers=("dovecot",),
            grace_seconds=GRACE,
            max_session_seconds=MAX_SESSION,
            confirm="no",
        )
        self.allowed: dict[str, float] = {}
        """By the machine's own clock, until when an address may relay."""
        self.sessions: dict[str, tuple[str, float]] = {}
        self.serial = 0
        self.ticks: Iterator[float] = itertools.count(0.0, 0.1)
        self.lookup = Lookup(GdbmReader(self.settings.map), now=MapClock(self.settings.map).now)
        self.feed: Feed | None = None
        self.store: Storage | None = None
        self.start()

    def start(self) -> None:
        pipeline = build.pipeline_of(self.settings, lambda _text: None)
        store = Storage(self.settings, pipeline.state, lambda _text: None)
        log = Log(self.settings.logto)
        persister = Persister(
            state=pipeline.state,
            journal=store.journal,
            address_map=store.map,
            log=log,
            clock_=store.clock,
            timer=self.ticks.__next__,
            patient=False,
            on_replaced=store.tell_clock,
        )
        self.feed = Feed(
            pipeline=pipeline, persister=persister, log=log, confirm=False, clock_=store.clock
        )
        self.store = store
        self.watchdog = Watchdog(pipeline)

    def kill(self) -> None:
        """What is left after kill -9: the descriptors go, and nothing is said to anybody."""
        assert self.feed is not None
        assert self.store is not None
        assert self.store.journal is not None
        part, self.store.journal._part = self.store.journal._part, None
        assert part is not None
        os.close(part.fd)  # the journal's own close would give room back
        self.store.map.abort_rebuild()
        self.store.release()
        for fd in (self.feed._wake_read, self.feed._wake_write):
            os.close(fd)
        self.feed = self.store = None

    def housekeeping(self) -> None:
        """As the loop does it while no line comes."""
        feed = self.feed
        if feed is None:
            return
        persister = feed.persister
        address_map = persister.map
        assert isinstance(address_map, GdbmMap)
        for _ in range(200):
            feed._housekeeping(quiet=True)
            new = address_map._next
            if new is not None and new._syncing is not None:
                new._syncing.join()
            schedule = persister.schedule
            if not (schedule.rebuilding or schedule.given_up or schedule.dirty_since is not None):
                return

    def line(self, text: str, late: float) -> None:
        stamp = datetime.fromtimestamp(self.machine.wall - late, UTC).isoformat()
        line = {"t": stamp, "h": "mx1", "p": "dovecot", "msg": " " + text}
        assert self.feed is not None
        self.feed._input(json.dumps(line).encode() + b"\n", self.watchdog)

    def login(self, address: str, late: float, *, session: bool) -> None:
        self.serial += 1
        key = f"s{self.serial}"
        more = f", session=<{key}>" if session else ""
        self.line(
            f"imap-login: Login: user=<bob>, method=PLAIN, rip={address}, lip=198.51.100.254, "
            f"mpid=41, TLS{more}",
            late,
        )
        at = self.machine.boot - max(late, 0)
        if at + GRACE > self.machine.boot:
            if session:
                self.sessions[key] = address, at
            self.allow(address, at)

    def logout(self, key: str) -> None:
        address, at = self.sessions.pop(key)
        self.line(f"imap(bob)<41><{key}>: Disconnected: Logged out in=1 out=2", 0)
        self.allow(address, min(self.machine.boot, at + MAX_SESSION))

    def allow(self, address: str, at: float) -> None:
        self.allowed[address] = max(self.allowed.get(address, 0), at + GRACE)

    def end(self, address: str) -> float:
        """When `address` must be out, by the machine's clock."""
        ends = [self.allowed.get(address, 0)]
        for held, at in self.sessions.values():
            if held == address:
                ends.append(min(self.machine.boot, at + MAX_SESSION) + GRACE)
        return max(ends)

    def check(self, history: list[str]) -> None:
        """Nobody is in longer than he may be."""
        for address in ADDRESSES:
            if self.lookup.ask(address.encode()) == YES:
                over = self.machine.boot - self.end(address)
                assert over <= 1, f"{address} outlives its end by {over} s: {history}"


def history(site: Site, chance: random.Random) -> int:
    """One history of lines, clocks and kills; how often somebody was asked for."""
    said: list[str] = []
    asked = 0
    for _ in range(EVENTS):
        what = chance.random()
        if what < 0.3:
            late = chance.choice((0, 0, 0, 5, GRACE - 2, GRACE + 1, 3600, -5, -3600, -(10**7)))
            address = chance.choice(ADDRESSES)
            if site.feed is not None:
                session = chance.random() < 0.5
                said.append(f"login {address} late {late} session {session}")
                site.login(address, late, session=session)
        elif what < 0.4 and site.sessions and site.feed is not None:
            key = chance.choice(list(site.sessions))
            said.append(f"logout {key}")
            site.logout(key)
        elif what < 0.6:
            by = chance.choice(STEPS)
            said.append(f"step {by}")
            site.machine.wall += by
        elif what < 0.7:
            if site.feed is None:
                said.append("start")
                site.start()
            else:
                said.append("kill")
                site.kill()
        else:
            seconds = chance.choice((0.2, 1, 30, GRACE / 2, GRACE - 1, GRACE, GRACE + 1.5, 5000))
            said.append(f"pass {seconds}")
            site.machine.pass_(seconds)
        site.check(said)  # before the filter has had time to notice
        site.housekeeping()
        site.check(said)
        asked += 2 * len(ADDRESSES)
    return asked


def test_no_authorisation_outlives_its_grace(
    quick_place: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = random.SystemRandom().randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    asked = 0
    for turn in range(HISTORIES):
        directory = quick_place / str(turn)
        directory.mkdir(mode=0o750)
        site = Site(directory, machine)
        asked += history(site, chance)
        if site.feed is not None:
            site.kill()
    figure("histories of clocks that were set", HISTORIES)
    figure("questions in them", asked)
    figure("authorisations beyond their end", 0)


@pytest.mark.parametrize("by", STEPS)
def test_a_clock_that_was_set_takes_nothing_from_anybody(
    quick_place: Path, machine: Machine, by: float
) -> None:
    site = Site(quick_place, machine)
    site.login("192.0.2.1", 0, session=False)
    machine.pass_(100)
    site.housekeeping()
    machine.wall += by
    site.housekeeping()
    machine.pass_(GRACE - 102)
    site.housekeeping()
    assert YES == site.lookup.ask(b"192.0.2.1")
    site.kill()
    machine.wall -= 2 * by
    assert YES == site.lookup.ask(b"192.0.2.1") or by < 0, "set forward it ends, safely"
    site.start()
    assert YES == site.lookup.ask(b"192.0.2.1")
    machine.pass_(4)
    assert NO == site.lookup.ask(b"192.0.2.1")
    site.kill()


def test_after_a_new_start_of_the_machine_with_a_clock_that_is_behind_nobody_is_in(
    quick_place: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = killed_before_another_boot(quick_place, machine, monkeypatch, session=True)
    machine.wall -= 86400
    assert YES != site.lookup.ask(b"192.0.2.1")
    site.start()
    assert NO == site.lookup.ask(b"192.0.2.1")
    site.kill()


def killed_before_another_boot(
    quick_place: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch, *, session: bool
) -> Site:
    """A filter with a login was killed, and the machine started anew."""
    site = Site(quick_place, machine)
    site.login("192.0.2.1", 0, session=session)
    site.housekeeping()
    site.kill()
    machine.boot = 10.0
    monkeypatch.setattr(clock, "boot_id", lambda: "another")
    return site


@pytest.mark.parametrize("by", STEPS)
def test_a_clock_that_was_set_after_a_new_start_of_the_machine_takes_nothing_from_anybody(
    quick_place: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch, by: float
) -> None:
    """Also where nobody logged in between."""
    site = killed_before_another_boot(quick_place, machine, monkeypatch, session=False)
    for _ in range(2):
        site.start()
        assert YES == site.lookup.ask(b"192.0.2.1")
        site.kill()
        machine.wall += by
    site.start()
    assert YES == site.lookup.ask(b"192.0.2.1")
    machine.pass_(GRACE + 1)
    assert NO == site.lookup.ask(b"192.0.2.1")
    site.kill()


ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "UTC")
CORNERS = ("2024-02-29T00:00", "2026-01-01T00:00", "2026-03-29T01:00", "2026-10-25T01:00",
           "2026-11-01T06:00", "2026-04-04T15:00", "2023-12-31T23:59")  # fmt: skip


@pytest.mark.parametrize("zone", ZONES)
def test_a_stamp_without_year_and_zone_is_never_read_as_later_than_it_was(zone: str) -> None:
    """The repeated hour, the hour left out, 29 February, the end of the year."""
    chance = random.Random(4)
    there = ZoneInfo(zone)
    for corner in CORNERS:
        for _ in range(number(200, 5000)):
            written = datetime.fromisoformat(corner + "+00:00")
            written += timedelta(seconds=chance.randrange(-7200, 7200))
            epoch = int(written.timestamp())
            text = written.astimezone(there).strftime("%b %e %H:%M:%S")
            read = Stamps(zone=there, reference_epoch=epoch + chance.choice((0, 30, 86400)))
            found = read.read(f"{text} mx1 dovecot: x".encode())
            assert found is not None
            assert found <= epoch, (text, zone)
            assert found >= epoch - 7200, (text, zone)
