"""Power cuts: from every state the disk may be left in, what was acknowledged is there."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pbs_filter import files
from pbs_filter.errors import StoreBusy
from pbs_filter.map_format.completeness import POSITION_AT
from pbs_filter.store import journal, journal_lines
from pbs_filter.store.gdbm_file import GdbmFile
from pbs_filter.store.gdbm_map import GdbmMap
from pbs_filter.store.journal import Journal

from .crash_states import Recorder, after_a_cut, every_byte, make, some_bytes
from .store_tools import last_states, memory_directory, replayed, store_modules_with_os
from .store_writer import value_of

LONG = bool(os.environ.get("PBS_FILTER_LONG_TESTS"))


@pytest.fixture
def work() -> Iterator[Path]:
    with memory_directory() as directory:
        yield directory


@pytest.fixture
def found() -> Iterator[Path]:
    with memory_directory() as directory:
        yield directory


@contextlib.contextmanager
def recording(directory: Path, patch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    recorder = Recorder(directory)
    with patch.context() as patched:
        for module in (files, *store_modules_with_os()):
            patched.setattr(module, "os", recorder)
        # Letting go of a file later means nothing to the disk, and the recorder knows one thread.
        patched.setattr(files, "Apart", Now)
        yield recorder


class Now:
    """`files.Apart` without a thread."""

    error = None

    def __init__(self, work: Callable[[int], None], fd: int) -> None:
        work(fd)

    def is_alive(self) -> bool:
        return False


class Ledger:
    """What was appended: each key has a number that only grows."""

    def __init__(self, recorder: Recorder, log: Journal) -> None:
        self.recorder = recorder
        self.log = log
        self.number = 0
        self.state: dict[str, int] = {}
        self.say()

    def say(self) -> None:
        """Note what is acknowledged."""
        self.recorder.say(dict(self.state))

    def append(self, *keys: str) -> None:
        before = dict(self.state)
        for key in keys:
            self.number += 1
            self.state[key] = self.number
        try:
            self.log.append([f"{key}={self.state[key]}" for key in keys])
        except StoreBusy:
            self.state = before
            raise
        self.say()

    def live(self, *keys: str) -> list[str]:
        return [f"{key}={self.state[key]}" for key in keys]


def life_of_a_journal(recorder: Recorder, path: str) -> int:
    """Everything that happens to a journal; the highest number that was ever written."""
    log = Journal(path)
    list(log.replay())
    log.start()
    ledger = Ledger(recorder, log)
    ledger.append("a")
    ledger.append("b", "c", "a")
    for call in ("pwrite", "fdatasync", "posix_fallocate"):
        recorder.fail = call
        with contextlib.suppress(StoreBusy):
            while recorder.fail is not None:
                ledger.append("b", "d")
    ledger.append("c")
    for _ in range(2):
        log.begin_rewrite()
        keys = list(ledger.state)
        log.rewrite_step(ledger.live(*keys[:2]))
        ledger.append("b", "e")
        log.rewrite_step(ledger.live(*keys[2:]))
        ledger.append("a")
        log.finish_rewrite()
        ledger.append("d")
    recorder.say({})
    recorder.unlink(path)  # somebody removes it: nothing is safe until the next append
    ledger.append("a", "f")
    log.close()
    log = Journal(path)
    list(log.replay())
    log.start()
    ledger.log = log
    ledger.append("b")
    log.close()
    return ledger.number


def check(directory: Path, acknowledged: dict[str, int], highest: int) -> None:
    """A filter that starts here has what was acknowledged and nothing nobody wrote, and goes on."""
    log, payloads = replayed(directory / "journal")
    state = {key: int(number) for key, number in last_states(payloads).items()}
    for key, number in acknowledged.items():
        assert state.get(key, 0) >= number, (key, payloads)
    assert set(state) <= set("abcdef")
    assert all(number <= highest for number in state.values())
    log.append(["a=9999"])
    log.close()
    assert [*payloads, "a=9999"] == list(journal_lines.read(str(directory / "journal")))


def test_after_a_power_cut_at_any_moment_the_journal_has_what_was_acknowledged(
    work: Path, found: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Room is claimed in steps that fit the states into memory.
    monkeypatch.setattr(journal, "AHEAD_BYTES", 100)
    with recording(work, monkeypatch) as recorder:
        highest = life_of_a_journal(recorder, str(work / "journal"))
    states = list(after_a_cut(recorder, every_byte))
    assert len(states) > 1000
    for content, acknowledged in states:
        make(found, content)
        check(found, acknowledged or {}, highest)
    # And a second cut, while it starts after the first.
    again = 0
    for content, acknowledged in random.Random(7).sample(states, 1000 if LONG else 60):
        make(work, content)
        with recording(work, monkeypatch) as recorder:
            recorder.say(acknowledged)
            replayed(work / "journal")[0].close()
        for second, _ in after_a_cut(recorder, every_byte):
            make(found, second)
            check(found, acknowledged or {}, highest)
            again += 1
    assert again > 100


def test_a_power_cut_while_the_journal_is_repaired_loses_nothing_either(
    work: Path, found: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, _ = replayed(work / "journal")
    log.append([f"{key}={number}" for number, key in enumerate("abcdef", 1)])
    log.close()
    path = work / "journal"
    damaged = path.read_bytes().replace(b" c=3", b" c=4") + b"half a li"
    path.write_bytes(damaged)
    with recording(work, monkeypatch) as recorder:
        recorder.say({"a": 1, "b": 2, "d": 4, "e": 5, "f": 6})
        replayed(path)[0].append(["a=7"])
    states = 0
    for content, acknowledged in after_a_cut(recorder, every_byte):
        make(found, content)
        check(found, acknowledged, 7)
        states += 1
    assert states > 50


def test_no_power_cut_makes_an_unfinished_map_look_closed(
    work: Path, found: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GDBM writes through a mapping that cannot be recorded: between the first change and the sync
    of the whole map it counts as unfinished, and no state of the disk may say `closed` then."""
    path = str(work / "map")
    real_put = GdbmFile.put
    with recording(work, monkeypatch) as recorder:

        def put(database: object, changes: dict[str, bytes | None]) -> None:
            recorder.say("unfinished")
            real_put(database, changes)

        monkeypatch.setattr(GdbmFile, "put", staticmethod(put))
        for run in ("one", "two"):
            address_map = GdbmMap(path)
            if not address_map.was_clean("one"):
                recorder.say("unfinished")
                address_map.rebuild([("192.0.2.1", value_of("192.0.2.1", 1))])
            address_map.write({"192.0.2.2": value_of("192.0.2.2", 2)})
            address_map.write({"192.0.2.1": None})
            real_fsync, map_fd = recorder.fsync, address_map._fd

            def fsync(
                fd: int, real: Callable[[int], None] = real_fsync, of: object = map_fd
            ) -> None:
                if fd == of:
                    recorder.say("finished")
                else:
                    real(fd)

            monkeypatch.setattr(recorder, "fsync", fsync)
            address_map.mark_clean(run)
            monkeypatch.delattr(recorder, "fsync")
            address_map.close()
    seen = {"closed": 0, "other": 0}
    for content, note in after_a_cut(recorder, every_byte):
        # What a power cut leaves of the note may be torn; then its end is missing. Behind that
        # stands the journal's position, and when it was written.
        words = content.get("map.state", b"")[:POSITION_AT].split()
        closed = words[:1] == [b"closed"] and words[3:] in ([b"one"], [b"two"])
        seen["closed" if closed else "other"] += 1
        assert not (closed and note == "unfinished"), content["map.state"]
    assert seen["closed"] >= 2
    assert seen["other"] > 100


def test_the_recorder_would_notice_a_missing_sync(
    work: Path, found: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test of the tests: leave out each kind of sync in turn, and some state loses a login."""
    monkeypatch.setattr(journal, "AHEAD_BYTES", 100)
    for call in ("fdatasync", "fsync"):
        for entry in work.iterdir():
            entry.unlink()
        with recording(work, monkeypatch) as recorder:
            monkeypatch.setattr(recorder, call, lambda _fd: None)
            log = Journal(str(work / "journal"))
            list(log.replay())
            log.start()
            ledger = Ledger(recorder, log)
            ledger.append("a")
            log.begin_rewrite()
            log.rewrite_step(ledger.live("a"))
            log.finish_rewrite()
            ledger.append("b")
        lost = 0
        for content, acknowledged in random.Random(1).sample(
            list(after_a_cut(recorder, some_bytes)), 50
        ):
            make(found, content)
            try:
                check(found, acknowledged or {}, 9)
            except AssertionError:
                lost += 1
        assert lost, call
