"""A start that fails, again and again, until the input ends."""

from __future__ import annotations

import errno
import gc
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbs_filter.errors import ConfigError, StoreBusy
from pbs_filter.service import run

from ..faults.lives import made
from ..running import COMMAND, ENVIRONMENT, PATIENCE, Running, login, wait_for


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    before = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGHUP)]
    yield
    for number, handler in before:
        signal.signal(number, handler)


def test_starts_that_fail_are_said_once_and_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty of them: one line in the log, and the collector is on."""
    tries: list[bool] = []

    class Waiting:
        def __init__(self, **_: object) -> None:
            self.confirm = False

        def until_end(self, seconds: float, _why: str) -> bool:
            assert seconds == run.RETRY_SECONDS
            tries.append(gc.isenabled())
            return len(tries) == 20

    def fails() -> object:
        gc.disable()
        raise ConfigError("a word that nobody knows")

    monkeypatch.setattr(run, "Waiting", Waiting)
    # After a minute it would be said again, which a hundred of them take on a busy machine.
    log = tmp_path / "log"
    with monkeypatch.context() as patched:
        patched.setattr(time, "monotonic", lambda: 7.0)
        status = run.run(fails, retry=True, logto=str(log))  # type: ignore[arg-type]
    assert 78 == status
    assert [True] * 20 == tries
    assert 1 == log.read_text().count("a word that nobody knows; trying again in 10 seconds")


@pytest.fixture(scope="module")
def used_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a filter that was killed."""
    place = tmp_path_factory.mktemp("store")
    with Running(place) as pipeline:
        assert b"OK" == pipeline.reply()
        assert b"OK" == pipeline.ask(login("192.0.2.7"))
        pipeline.kill()
    for name in ("map.control", "map.lookups"):
        (place / name).unlink(missing_ok=True)
    return place


@pytest.mark.parametrize("error", [StoreBusy("no room"), MemoryError()], ids=["busy", "memory"])
@pytest.mark.parametrize(
    "place",
    [
        "pbs_filter.store.journal_lines.find_mark",
        "pbs_filter.store.journal.Journal.start",
        "pbs_filter.store.gdbm_map.GdbmMap.was_clean",
        "pbs_filter.store.gdbm_map.GdbmMap.begin_rebuild",
        "pbs_filter.store.gdbm_map.GdbmMap.rebuild_step",
        "pbs_filter.store.gdbm_map.GdbmMap.finish_rebuild",
        "pbs_filter.authorisation.state.State.apply",
        "pbs_filter.authorisation.state.State.restored",
        "pbs_filter.service.storage.Storage.tell_clock",
        *(
            f"pbs_filter.service.run.{name}"
            for name in ("Control", "_exporter", "Hooks", "MetricsFile", "UsageFile", "Monitor",
                         "Persister", "Feed")
        ),
    ],
)  # fmt: skip
def test_starts_that_fail_keep_no_file_open(
    place: str,
    error: Exception,
    used_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With three more at each, and one each ten seconds, no limit of open files lasts a day."""
    tries: list[int] = []
    shutil.copytree(used_store, tmp_path, dirs_exist_ok=True)
    settings = made(tmp_path)

    class Waiting:
        def __init__(self, **_: object) -> None:
            self.confirm = self.is_over = False
            self.unanswered = b""
            self.tick = self.has_ended = lambda: False

        def until_end(self, _seconds: float, why: str) -> bool:
            assert why == "no room" or why.startswith("there is not enough memory: ")
            tries.append(len(os.listdir("/proc/self/fd")))
            return len(tries) == 5

    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(run, "Waiting", Waiting)
    monkeypatch.setattr(place, fails)
    assert 75 == run.run(lambda: settings, retry=True, logto=settings.logto)
    assert 5 * tries[:1] == tries


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files"),
        PermissionError(errno.EACCES, "Permission denied", "/somewhere"),
        MemoryError(),
        ModuleNotFoundError("No module named 'json'"),
    ],
)
def test_a_start_that_fails_for_any_reason_is_tried_again(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """syslog-ng would start a filter that leaves 200 times a second."""
    tries: list[str] = []

    def until_end(_waiting: object, _seconds: float, why: str) -> bool:
        tries.append(why)
        return len(tries) == 3

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(run.Waiting, "until_end", until_end)
    monkeypatch.setattr(run, "Control", fails)
    settings = made(tmp_path)
    assert 75 == run.run(lambda: settings, retry=True, confirm="no", logto=settings.logto)
    assert 3 == len(tries)
    assert re.search(r"cannot start .*(open files|Permission denied)|not enough memory", tries[0])


@pytest.mark.parametrize("limit", ["--nofile=14", "--as=45000000"])
def test_a_start_with_too_little_of_something_is_said_in_one_sentence(
    limit: str, tmp_path: Path
) -> None:
    files = [f"--dbfile={tmp_path}/map", f"--logto={tmp_path}/log", "--config=/dev/null"]
    done = subprocess.run(
        ["prlimit", limit, "--", *COMMAND, *files, "--confirm=no"],
        input=login("192.0.2.7").encode(),
        capture_output=True,
        env=ENVIRONMENT,
        timeout=PATIENCE,
        check=False,
    )
    said = done.stderr.decode()
    assert done.returncode in (0, 75)
    assert bool(done.returncode) == said.startswith("pbs-filter: ")
    assert "Traceback" not in said


@pytest.mark.parametrize("confirm", ["yes", "no"])
def test_a_filter_that_cannot_start_ends_with_its_input_and_an_unread_line_in_it(
    tmp_path: Path, confirm: str
) -> None:
    """The daemon was killed: its last line is in the pipe, and both ends are closed."""
    config = tmp_path / "bad.toml"
    config.write_text("grcae_seconds = 5\n")
    stdin, feed = os.pipe()
    log = tmp_path / "log"
    process = subprocess.Popen(
        [*COMMAND, f"--config={config}", f"--confirm={confirm}", "--retry-start", f"--logto={log}"],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
    )
    os.close(stdin)
    with process:
        wait_for(lambda: log.exists() and b"trying again" in log.read_bytes(), "a failed start")
        os.write(feed, b"Nov 20 10:00:00 mx1 popa3d[7]: Session from 192.0.2.7\n")
        assert process.stdout is not None
        process.stdout.close()
        os.close(feed)
        assert 78 == process.wait(60)
    assert log.read_bytes().count(b"\n") < 3
