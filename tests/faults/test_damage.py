"""Promise 3: whatever happened to a file, the filter starts, says so, and goes on; lookups say "not
now" meanwhile, never "yes" to somebody who is not authorised."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pbs_filter.config import options
from pbs_filter.errors import PbsFilterError
from pbs_filter.lookup.answer import NO, NOT_NOW, YES, Lookup
from pbs_filter.map_format.entry import decode
from pbs_filter.map_format.gdbm_reader import GdbmReader
from pbs_filter.service import build
from pbs_filter.service.storage import Storage
from pbs_filter.store.gdbm_map import GdbmMap

from . import figure, number
from .lives import Life, made, map_of

CANARY = b"203.0.113.66"
ADDRESSES = [f"192.0.2.{last}" for last in range(1, 80)] + [
    f"2001:db8::{last:x}" for last in range(1, 200)
]
PLACES = number(150, 5000)
"""Damages of each of the two files."""
MANY = {"map": 5, "journal": 1}


def line(address: str, user: str = "bob") -> bytes:
    """A login that opens a session."""
    return (
        f"Nov 20 10:00:00 mx1 dovecot: imap-login: Login: user=<{user}>, method=PLAIN, "
        f"rip={address}, lip=198.51.100.254, mpid=41, TLS, session=<{address}>\n"
    ).encode()


@pytest.fixture
def settings(quick_place: Path) -> options.Config:
    """A store that a filter left in order."""
    made_ = made(quick_place, servers=("dovecot",), grace_seconds=7000)
    life = Life(made_, prepare=lambda: None)
    assert b"OK" == life.reply()
    life.send(b"".join(map(line, ADDRESSES)))
    for _ in ADDRESSES:
        assert b"OK" == life.reply()
    assert 0 == life.finish()
    assert set(ADDRESSES) == set(map_of(made_))
    return made_


class Started:
    """A start on the store of `settings`, in this process: what it said, knows, and stored."""

    def __init__(self, settings: options.Config) -> None:
        self.said: list[str] = []
        self.pipeline = build.pipeline_of(settings, self.said.append)
        self.store = Storage(settings, self.pipeline.state, self.said.append)
        self.known = set(self.pipeline.ledger.authorisations)
        # And goes on.
        self.pipeline.block(line("198.51.100.7"), self.store.clock.now())
        journal = self.store.journal
        assert journal is not None
        journal.append([self.store.clock.stamp(), *self.pipeline.state.journal_payloads()])
        self.pipeline.state.journaled()
        self.store.map.write(self.pipeline.ledger.map_changes())
        self.stored = {
            address for address, value in self.store.map.items() if decode(address, value)
        }
        self.store.close(clean=True)
        self.store.release()


def restore(settings: options.Config, kept: Path) -> None:
    """The store as it was."""
    directory = Path(settings.map).parent
    for entry in directory.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    for entry in kept.iterdir():
        shutil.copy(entry, directory / entry.name)


@pytest.fixture
def kept(settings: options.Config, tmp_path: Path) -> Path:
    """A copy of the store in order."""
    copy = tmp_path / "kept"
    shutil.copytree(Path(settings.map).parent, copy)
    return copy


def flip(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def zeroed(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    length = min(chance.choice((1, 16, 512, 4096)), len(data) - at)
    return data[:at] + bytes(length) + data[at + length :]


def beginless(data: bytes, chance: random.Random) -> bytes:
    length = chance.randrange(len(data))
    return bytes(length) + data[length:]


def noise(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    length = min(chance.choice((2, 64, 4096)), len(data) - at)
    return data[:at] + chance.randbytes(length) + data[at + length :]


DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flip,
    flip,
    flip,
    cut,
    zeroed,
    beginless,
    noise,
)


def ask(settings: options.Config, address: bytes) -> str:
    """What an MTA hears. In a child: GDBM may crash on a damaged file, and the MTA takes a lost
    connection for "not now"."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = Lookup(GdbmReader(settings.map)).ask(address)
            os.write(write, answer.encode())
        finally:
            os._exit(0)
    os.close(write)
    answer = os.read(read, 100).decode() or NOT_NOW
    os.close(read)
    os.waitpid(pid, 0)
    return answer


@pytest.mark.parametrize("which", ["map", "journal"])
def test_a_file_damaged_anywhere_costs_nobody_his_permission(
    settings: options.Config, kept: Path, which: str
) -> None:
    """One file is damaged, so the other has everything: all addresses are there after the start,
    and nobody else. Before it a lookup says yes to those alone, and never no."""
    path = Path(settings.map if which == "map" else settings.journal)
    data = path.read_bytes()
    chance = random.Random(5)
    asked = 0
    for turn in range(PLACES):
        damaged = chance.choice(DAMAGES)(data, chance)
        restore(settings, kept)
        path.write_bytes(damaged)
        if which == "map" and turn % MANY["map"] == 0 and damaged != data:
            asked += 1
            assert ask(settings, CANARY) != YES
            assert ask(settings, ADDRESSES[turn % len(ADDRESSES)].encode()) != NO
        started = Started(settings)
        assert {*ADDRESSES, "198.51.100.7"} == started.stored, turn
        assert set(ADDRESSES) == started.known, turn
        if damaged != data and which == "journal" and damaged:
            assert [text for text in started.said if "journal" in text], turn
    figure(f"damages of the {which}", PLACES)
    figure("lookups in damaged maps", asked)
    figure("let in by damage", 0)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "somebody's").write_text("file")


def _other_format(path: Path) -> None:
    path.write_text("SQLite format 3\0" + "x" * 5000)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _unreadable(path: Path) -> None:
    path.chmod(0)


def _gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("which", ["map", "journal", "both"])
@pytest.mark.parametrize("what", [_directory, _other_format, _empty, _unreadable, _gone])
def test_something_else_in_the_place_of_a_file(
    settings: options.Config, what: Callable[[Path], None], which: str
) -> None:
    files = [Path(settings.map), Path(settings.journal)]
    for path in {"map": files[:1], "journal": files[1:], "both": files}[which]:
        what(path)
    assert ask(settings, CANARY) == (NO if which == "journal" else NOT_NOW) or what is _unreadable
    started = Started(settings)
    # As root what is unreadable can be read: nothing was lost.
    all_lost = which == "both" and what is not _unreadable
    assert (set() if all_lost else set(ADDRESSES)) == started.known
    assert started.known | {"198.51.100.7"} == started.stored
    aside = [entry.name for entry in files[0].parent.iterdir() if ".damaged-" in entry.name]
    if what in (_directory, _other_format):
        assert (2 if which == "both" else 1) == len(aside)
        assert all(any(name in text for text in started.said) for name in aside)
    elif what is not _empty:
        assert [] == aside
    again = Started(settings)
    assert started.stored == again.known


def test_what_the_map_knew_is_in_the_journal_from_then_on(settings: options.Config) -> None:
    """A journal that was lost, and a kill -9 right after the start that found it so."""
    Path(settings.journal).unlink()
    life = Life(settings, prepare=lambda: None)
    assert b"OK" == life.reply()
    life.kill()
    life.end()
    Path(settings.map).unlink()
    assert set(ADDRESSES) == Started(settings).known


def test_while_the_map_is_made_again_lookups_say_not_now(
    settings: options.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: set[str] = set()
    Path(settings.map).write_bytes(b"")
    real = GdbmMap.rebuild_step

    def step(self: GdbmMap, entries: Iterator[tuple[str, bytes]]) -> None:
        for entry in entries:
            real(self, [entry])
            answers.add(ask(settings, b"192.0.2.1"))
            answers.add(ask(settings, CANARY))

    monkeypatch.setattr(GdbmMap, "rebuild_step", step)
    Started(settings)
    assert {NOT_NOW} == answers
    assert YES == ask(settings, b"192.0.2.1")


def test_a_start_with_a_file_of_a_newer_version_changes_nothing(settings: options.Config) -> None:
    path = Path(settings.journal)
    data = b"pbs-filter journal 2 00000000 "
    from zlib import crc32

    data += b"%08x\n" % crc32(data[:-1])
    path.write_bytes(data + b"something new\n")
    with pytest.raises(PbsFilterError, match="format 2"):
        Started(settings)
    assert path.read_bytes().startswith(data)


def test_a_clock_file_that_cannot_be_written_is_said_once(settings: options.Config) -> None:
    """It is tried each second, and comes back when that is possible."""
    said: list[str] = []
    store = Storage(settings, build.pipeline_of(settings, said.append).state, said.append)
    told = Path(settings.map + ".clock")
    try:
        told.unlink()
        told.mkdir()
        said.clear()
        for _ in range(5):
            store.keep_clock()
        assert 2 == len(said), said
        assert "removed or changed" in said[0]
        assert "Is a directory" in said[1]
        told.rmdir()
        store.keep_clock()
        assert told.is_file()
        told.unlink()
        store.keep_clock()
        assert 3 == len(said), said
    finally:
        store.close(clean=False)
        store.release()
