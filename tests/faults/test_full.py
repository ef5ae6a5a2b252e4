"""Promise 4: a full disk, a directory that is read-only or gone, a map that somebody else has: no
line is acknowledged, nothing grows, the log says why once a minute, and in the end nothing is lost.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from pbs_filter.log import Log
from pbs_filter.service import build, persister
from pbs_filter.service.feed import Feed
from pbs_filter.service.persister import Persister
from pbs_filter.service.storage import Storage
from pbs_filter.service.watchdog import Watchdog

from ..running import Running, login, wait_for
from ..store.store_tools import filled, small_file_system
from . import figure, number
from .lives import made, map_of

LOCKED_SECONDS = number(4, 65)
TRIES = 3


@contextmanager
def full(place: Path) -> Iterator[None]:
    """Not a byte left."""
    with filled(place, leaving=0):
        # What the journal had claimed ahead is used up first.
        yield


@contextmanager
def read_only(place: Path) -> Iterator[None]:
    """Its file system is read-only for everybody."""
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)


@contextmanager
def gone(place: Path) -> Iterator[None]:
    """Somebody removed the directory with everything in it."""
    directory = place / "store"
    for entry in directory.iterdir():
        entry.unlink()
    directory.rmdir()
    try:
        yield
    finally:
        directory.mkdir(mode=0o750)


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Another program has the map."""
    with open(place / "store" / "map", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


Trouble = Callable[[Path], AbstractContextManager[None]]


def big(serial: int) -> str:
    """A login that takes much room in the journal."""
    return login(f"2001:db8::{serial:x}", user=f"u{serial}-" + "x" * 200, session=f"s{serial}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_file_system(tmp_path / "disk", "8m") as place:
        (place / "store").mkdir(mode=0o750)
        yield place


@pytest.mark.parametrize("trouble", [full, gone, locked])
def test_in_trouble_nothing_is_acknowledged_and_afterwards_nothing_is_lost(
    disk: Path, trouble: Trouble
) -> None:
    """With a daemon that waits for its answers."""
    sent: list[str] = []
    with Running(disk / "store", f"--logto={disk.parent}/log") as pipeline:
        pipeline.reply()
        for serial in range(1, 40):
            sent.append(f"2001:db8::{serial:x}")
            assert b"OK" == pipeline.ask(big(serial))
        wait_for(lambda: set(sent) == pipeline.addresses(), "the map")
        began = time.monotonic()
        with trouble(disk):
            serial = 40
            while (reply := pipeline.ask(big(serial))) == b"OK":
                sent.append(f"2001:db8::{serial:x}")
                serial += 1
                assert serial < 6000, "the trouble is not noticed"
            for _ in range(TRIES):
                assert reply.startswith(b"Error: ")
                reply = pipeline.ask(big(serial))
            if trouble is locked:
                while time.monotonic() - began < LOCKED_SECONDS:
                    assert pipeline.ask(big(serial)).startswith(b"Error: ")
        # The daemon sends the same line again until it is taken.
        wait_for(lambda: pipeline.ask(big(serial)) == b"OK", "an acknowledgement")
        sent.append(f"2001:db8::{serial:x}")
        wait_for(lambda: set(sent) == pipeline.addresses(), "everything in the map")
        said = (disk.parent / "log").read_text()
        assert 1 <= said.count("are not acknowledged") <= 2 + LOCKED_SECONDS // 60, said
        assert "can be written again" in said
        if trouble is not gone:  # which took the socket for questions along
            assert len(sent) == sum(pipeline.status()["logins"].values()), "none counted twice"
        assert 0 == pipeline.end()
    figure("stores in trouble", 1)


def test_a_read_only_file_system(disk: Path) -> None:
    """A file that is open for writing keeps the system from making it read-only: so while none is
    running."""
    with Running(disk / "store", f"--logto={disk.parent}/log") as pipeline:
        pipeline.reply()
        assert b"OK" == pipeline.ask(login("192.0.2.1"))
        assert 0 == pipeline.end()
    with read_only(disk), Running(disk / "store", f"--logto={disk.parent}/log") as pipeline:
        assert 78 == pipeline.process.wait(20)
        assert b"write in the directory" in pipeline.process.stderr.read()
    with Running(disk / "store", f"--logto={disk.parent}/log") as pipeline:
        pipeline.reply()
        assert {"192.0.2.1"} == pipeline.addresses()


class Unanswered:
    """A feed in this process of a daemon that does not wait."""

    def __init__(self, directory: Path) -> None:
        self.settings = made(directory, servers=("dovecot", "popa3d"), confirm="no")
        self.pipeline = build.pipeline_of(self.settings, lambda _text: None)
        self.store = Storage(self.settings, self.pipeline.state, lambda _text: None)
        log = Log(str(directory.parent / "log"))
        self.persister = Persister(
            state=self.pipeline.state,
            journal=self.store.journal,
            address_map=self.store.map,
            log=log,
            clock_=self.store.clock,
            timer=time.monotonic,
            patient=False,
        )
        self.feed = Feed(
            pipeline=self.pipeline,
            persister=self.persister,
            log=log,
            confirm=False,
            clock_=self.store.clock,
        )
        self.watchdog = Watchdog(self.pipeline)

    def take(self, text: str) -> None:
        self.feed._input(text.encode(), self.watchdog)
        self.feed._housekeeping(quiet=False)


def test_without_acknowledgements_what_is_kept_has_a_limit_and_nothing_is_lost(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More changes than are kept one by one: then the whole state is written, which has less."""
    monkeypatch.setattr(persister, "MAX_CHANGES", 500)
    feeding = Unanswered(disk / "store")
    feeding.take(login("192.0.2.200", session="first"))
    most = 0
    with filled(disk, leaving=0):
        sent = 0
        while not feeding.persister.trouble:
            feeding.take(big(sent))
            sent += 1
            assert sent < 20_000
        for turn in range(number(5_000, 100_000)):
            # Sessions that come and go, of few addresses: changes without end, little state.
            who = turn % 50
            feeding.take(
                login(f"192.0.2.{who}", session=f"t{turn}")
                + f"Nov 20 10:00:09 mx1 dovecot: imap(bob)<41><t{turn}>: Disconnected: Logged out\n"
                + f"Nov 20 10:00:09 mx1 popa3d[{turn}]: Session from 192.0.2.{who}\n"
            )
            most = max(most, feeding.pipeline.state.changes() + feeding.pipeline.ledger.map_dirty())
    assert most < 2 * 500 + 1200
    wait_for(lambda: _settled(feeding), "the store")
    feeding.store.map.close()
    feeding.store.release()
    known = feeding.pipeline
    again = build.pipeline_of(feeding.settings, lambda _text: None)
    store = Storage(feeding.settings, again.state, lambda _text: None)
    store.release()
    assert set(known.ledger.authorisations) == set(again.ledger.authorisations)
    assert set(known.ledger.sessions) == set(again.ledger.sessions)
    assert set(known.correlator.pending) == set(again.correlator.pending)
    assert set(known.ledger.authorisations) == set(map_of(feeding.settings))


def _settled(feeding: Unanswered) -> bool:
    feeding.feed._housekeeping(quiet=True)
    ledger = feeding.pipeline.ledger
    return not (feeding.persister.trouble or ledger.map_dirty() or feeding.pipeline.state.changes())


def test_a_log_on_a_full_disk_stops_nobody(disk: Path) -> None:
    with Running(disk.parent, f"--logto={disk}/log") as pipeline:
        pipeline.reply()
        with filled(disk, leaving=0):
            for serial in range(1, 20):
                assert b"OK" == pipeline.ask(big(serial))
            pipeline.send(b"\xff" * 100 + b"\n")
            assert b"OK" == pipeline.reply()
        os.chmod(disk / "log", 0o600)
