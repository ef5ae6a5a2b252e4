"""One filter at a time, and the next one waits."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from pathlib import Path

import pytest

from pbs_filter.errors import ConfigError, StoreBusy
from pbs_filter.store import lock
from pbs_filter.store.lock import Lock

from .store_tools import python

HOLDER = """
import sys
from pbs_filter.store.lock import Lock
Lock(sys.argv[1]).acquire(0)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "map.lock"


def test_a_second_filter_is_told_who_holds_the_lock(path: Path) -> None:
    first = Lock(str(path))
    first.acquire(0)
    with pytest.raises(
        StoreBusy, match=rf"\(pid {os.getpid()}, since 20\d\d-.*one filter: .*stop the daemon"
    ):
        Lock(str(path)).acquire(0)
    first.release()
    first.release()
    second = Lock(str(path))
    second.acquire(0)
    second.release()
    assert path.exists()


def test_a_waiting_filter_calls_back_and_takes_over(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Lock(str(path)), Lock(str(path))
    first.acquire(0)
    now = 100.0
    calls: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        if now > 103.5:
            first.release()

    monkeypatch.setattr(lock.time, "monotonic", lambda: now)
    monkeypatch.setattr(lock.time, "sleep", sleep)
    second.acquire(10, lambda: calls.append(now))
    assert [101, 102, 103] == [int(call) for call in calls]
    assert now < 103.6
    second.release()


def test_a_wait_ends_with_its_time_or_by_its_callback(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Lock(str(path))
    first.acquire(0)
    monkeypatch.setattr(lock, "WORD_SECONDS", 0)
    with pytest.raises(StoreBusy, match="another pbs-filter"):
        Lock(str(path)).acquire(0.05)

    def end() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Lock(str(path)).acquire(60, end)


def test_the_lock_ends_with_its_holder_however_that_ends(path: Path) -> None:
    holder = python(HOLDER, str(path))
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(StoreBusy, match=f"pid {holder.pid},"):
        Lock(str(path)).acquire(0)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    holder.stdin.close()
    Lock(str(path)).acquire(0)


def test_a_lock_file_that_was_replaced_does_not_hold(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that lock two files of one name would both believe to be alone."""
    real = lock.fcntl.flock
    replaced = []

    def flock(fd: int, how: int) -> None:
        real(fd, how)
        if not replaced:
            replaced.append(True)
            path.unlink()
            path.write_bytes(b"")

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    mine = Lock(str(path))
    mine.acquire(1)
    assert mine._fd is not None
    assert os.path.samestat(os.fstat(mine._fd), path.stat())


def test_places_where_no_lock_can_be_are_said_in_one_sentence(path: Path) -> None:
    with pytest.raises(StoreBusy, match="another pbs-filter"):
        Lock(str(path / "below" / "lock")).acquire(0)
    path.symlink_to("elsewhere")
    with pytest.raises(ConfigError, match="symbolic link"):
        Lock(str(path)).acquire(0)
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreBusy, match="Is a directory"):
        Lock(str(path)).acquire(0)


def test_a_lock_that_is_only_shared_does_not_keep_the_filter_out_for_long(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.touch(mode=0o640)
    monkeypatch.setattr(lock, "SHARED_SECONDS", 0.0)
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        first = Lock(str(path))
        first.acquire(60)
        # It holds the file that has the name now, alone; the reader has the old one.
        assert not os.path.samestat(os.fstat(file.fileno()), path.stat())
        assert path.read_text().startswith(f"pid {os.getpid()}, ")
        assert 0o640 == path.stat().st_mode & 0o777
        assert not path.with_name("map.lock.new").exists()
        with pytest.raises(StoreBusy, match=rf"\(pid {os.getpid()}, since"):
            Lock(str(path)).acquire(0.05)
        with path.open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    first.release()


@pytest.mark.parametrize("when", ["before it is locked", "before it is looked at"])
def test_of_two_that_take_a_shared_lock_over_one_gets_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    path.touch(mode=0o640)
    monkeypatch.setattr(lock, "SHARED_SECONDS", 0.0)
    others: list[Lock] = []
    name = "flock" if when == "before it is locked" else "rename"
    module = lock.fcntl if name == "flock" else lock.os
    real = getattr(module, name)
    calls = 0

    def late(*arguments: object) -> None:
        nonlocal calls
        calls += 1
        # The second look of the first one: behind its own attempt to have the lock alone.
        if not others and calls == (3 if name == "flock" else 1):
            other = Lock(str(path))
            others.append(other)
            with contextlib.suppress(StoreBusy):
                other.acquire(0.01)
        real(*arguments)

    monkeypatch.setattr(module, name, late)
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        calls = 0
        first = Lock(str(path))
        with contextlib.suppress(StoreBusy):
            first.acquire(0.05)
    assert others
    assert 1 == sum(each._fd is not None for each in (first, *others))


def test_a_process_that_only_reads_the_lock_file_and_keeps_the_filter_out_is_named(
    tmp_path: Path,
) -> None:
    """A member of the group may do that: the lookups' account, for one."""
    path = tmp_path / "map.lock"
    path.touch(mode=0o640)
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        words = rf"no pbs-filter, but process {os.getpid()} \(.*\), which only reads it, holds "
        with pytest.raises(StoreBusy, match=words):
            Lock(str(path)).acquire(0)
