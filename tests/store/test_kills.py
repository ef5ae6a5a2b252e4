"""kill -9 at random moments, and readers while somebody writes: in real processes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbs_filter.errors import StoreBusy, StoreDamaged
from pbs_filter.map_format.check import is_intact
from pbs_filter.store import journal_lines
from pbs_filter.store.gdbm_map import GdbmMap

from ..running import Running, login
from .store_tools import ROOT, memory_directory, python
from .store_writer import State, address_of, apply, batch_of, entries, read_state, value_of

READERS = 16
KILLS = 2000 if os.environ.get("PBS_FILTER_LONG_TESTS") else 25


@pytest.fixture
def directory() -> Iterator[Path]:
    with memory_directory() as made:
        yield made


def opened(directory: Path) -> GdbmMap:
    return GdbmMap(
        str(directory / "map"), genuine=lambda a, v: is_intact(a.encode("ascii", "replace"), v)
    )


def journal_state(directory: Path) -> State:
    if not (directory / "journal").exists():
        return {}
    return read_state(journal_lines.read(str(directory / "journal")))


class Round:
    """One life of a writer and what is there after it."""

    def __init__(self, directory: Path, before: Round | None) -> None:
        self.directory = directory
        self.state: State = dict(before.found) if before else {}
        """What is acknowledged."""
        self.mapped: list[State] = before.mapped if before else [{}]
        """What the map may hold: the life before may have ended between journal and map."""
        self.first = before.next if before else 1
        self.next = self.first
        self.found: State = {}
        self.writer = subprocess.Popen(
            [sys.executable, "-m", "tests.store.store_writer", str(directory), str(self.first)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert self.writer.stdout is not None
        self.out = self.writer.stdout
        self.said = ""

    def start(self) -> bool:
        """Wait until it is ready, look at its map, let it go; whether it had believed the map."""
        words = [self.out.readline().decode().strip()]
        if words == ["clean"]:
            words.append(self.out.readline().decode().strip())
        assert words[-1] == "started", words
        assert dict(opened(self.directory).items()) == entries(self.state)
        self.mapped = [dict(self.state)]
        assert self.writer.stdin is not None
        self.writer.stdin.write(b"\n")
        self.writer.stdin.flush()
        return words[0] == "clean"

    def end(self, how: int, after_seconds: float) -> None:
        """Kill it at some moment, and look at what it leaves."""
        killer = threading.Timer(after_seconds, self.writer.send_signal, [how])
        killer.start()
        said = self.out.read().decode().split("\n")
        killer.join()
        self.writer.wait()
        assert self.writer.stdin is not None
        self.writer.stdin.close()
        self.out.close()
        number = self.first - 1
        for line in said:
            if line.startswith("j "):
                number = int(line[2:])
                apply(self.state, batch_of(number))
                self.mapped = [self.mapped[-1], dict(self.state)]
            elif line.startswith("m "):
                self.mapped = self.mapped[-1:]
        self.next = number + 2
        self.found = self._check_journal(number)
        # Started anew, before it said so; or a batch that was in journal and map, but not said.
        self._check_map([*self.mapped, self.found])

    def _check_journal(self, number: int) -> State:
        """Everything acknowledged is there, and beyond that the beginning of one batch at most."""
        found = journal_state(self.directory)
        allowed = dict(self.state)
        for change in batch_of(number + 1):
            if found == allowed:
                break
            apply(allowed, [change])
        assert found == allowed
        return found

    def _check_map(self, allowed: list[State]) -> None:
        """What a reader may believe is right: it has what was written, with no entry missing."""
        reader = opened(self.directory)
        try:
            found = dict(reader.items())
        except (StoreBusy, StoreDamaged):
            with pytest.raises((StoreBusy, StoreDamaged)):
                reader.get("203.0.113.66")
            return
        differences = [set(found.items()) ^ set(entries(state).items()) for state in allowed]
        assert set() in differences, min(differences, key=len)
        self.mapped = [state for state in allowed if entries(state) == found]
        assert reader.get("203.0.113.66") is None


def test_whenever_the_writer_is_killed_what_it_acknowledged_is_there(directory: Path) -> None:
    chance = random.Random(8)
    life: Round | None = None
    orderly = False
    ends = {signal.SIGKILL: 0, signal.SIGTERM: 0}
    for _ in range(KILLS):
        life = Round(directory, life)
        how = signal.SIGKILL
        if chance.random() < 0.8:  # else while it starts
            assert life.start() == orderly
            how = chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
        life.end(how, chance.uniform(0, 0.1))
        ends[how] += 1
        orderly = how == signal.SIGTERM or (orderly and life.next == life.first + 1)
    assert ends[signal.SIGKILL] > KILLS // 3
    assert life is not None
    assert len(life.found) > 100


WRITER = """
import itertools, os, random, sys
from pbs_filter.store.gdbm_map import GdbmMap
from tests.store.store_writer import address_of, value_of
address_map = GdbmMap(sys.argv[1])
address_map.rebuild((address_of(i), value_of(address_of(i), 1)) for i in range(100))
print("started", flush=True)
chance = random.Random(1)
live = []
for number in itertools.count(1000):
    if os.path.exists(sys.argv[1] + ".stop"):
        break
    changes = {address_of(number): value_of(address_of(number), number)}
    always = address_of(chance.randrange(100))
    changes[always] = value_of(always, number)
    live.append(address_of(number))
    if len(live) > 2000:
        changes[live.pop(0)] = None
    address_map.write(changes)
    if number % 300 == 0:
        address_map.rebuild(list(address_map.items()))
print(number)
"""


def test_readers_beside_a_busy_writer_see_no_false_answer(directory: Path) -> None:
    """Hits are genuine, what is always there is always found, what never was is never found; at
    worst the lock is not to be had in time."""
    path = directory / "map"
    writer = python(WRITER, str(path))
    assert writer.stdout is not None
    assert writer.stdin is not None
    assert writer.stdout.readline() == b"started\n"
    reader = opened(directory)
    chance = random.Random(2)
    busy = 0
    lookups = 200_000 if KILLS > 1000 else 4000
    for _ in range(lookups):
        always = address_of(chance.randrange(100))
        try:
            assert reader.get(always) is not None
            assert reader.get("203.0.113.66") is None
        except StoreBusy:
            busy += 1
    path.with_name("map.stop").touch()
    batches = int(writer.stdout.read()) - 1000
    writer.wait()
    writer.stdout.close()
    writer.stdin.close()
    assert batches > 100
    assert busy < lookups // 100
    assert reader.damaged() is None
    assert reader.get(address_of(7)) != value_of(address_of(8), 1)


READER = """
import sys
from pbs_filter.lookup.answer import Lookup, open_reader
lookup = Lookup(open_reader(sys.argv[1]))
lookup.ask(b"192.0.2.1")
print("asks", flush=True)
while True:
    lookup.ask(b"192.0.2.1")
"""


def test_readers_that_ask_without_a_pause_keep_no_login_waiting(directory: Path) -> None:
    """GDBM's lock is free at no moment: one of them has it at any time."""
    readers = []
    with Running(directory) as pipeline:
        assert b"OK" == pipeline.reply()
        assert b"OK" == pipeline.ask(login("192.0.2.1"))
        try:
            readers.extend(python(READER, str(pipeline.map)) for _ in range(READERS))
            for reader in readers:
                assert reader.stdout is not None
                assert reader.stdout.readline() == b"asks\n"
            replies = [pipeline.ask(login(f"192.0.2.{number}")) for number in range(2, 255)]
        finally:
            for reader in readers:
                reader.kill()
                reader.communicate()
        assert {b"OK"} == set(replies)
