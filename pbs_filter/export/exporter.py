"""Writes the exported files and runs their commands (edge). See `export` for what is in them.

The work is done by a fork of the filter: it has the ledger as it is at that moment, may take its
time with a hundred thousand addresses or a command that hangs, and the feed goes on meanwhile. A
file is written whole under another name, made durable, and renamed; who reads it never sees half.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import hashlib
import json
import os
import shlex
import signal
import sqlite3
import stat
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..config.tables import Export
from ..log import Reporter
from ..map_format.entry import Entry
from ..text import counted
from . import formats

POLL_SECONDS = 0.2
"""While files are being written: when to look again."""
WRITE_SECONDS = 60
"""For the writing itself, in addition to the commands' own limits."""
LAST_WORDS = 300
"""Characters of what a failed command said."""

SQLITE = "sqlite"
_TABLE = "CREATE TABLE IF NOT EXISTS pbs (ip TEXT PRIMARY KEY, exp INTEGER NOT NULL)"


def _is_timed(one: Export) -> bool:
    """Return whether the file carries the ends."""
    return one.format == SQLITE or formats.FORMATS[one.format].timed


def _commands(one: Export) -> list[tuple[str, ...]]:
    """Return the commands after a change: the format's own, then the site's."""
    own = [("postmap", f"lmdb:{one.path}")] if one.format == "lmdb" else []
    return [*own, *([one.command] if one.command else [])]


@dataclass(slots=True)
class _State:
    """The state of one export's file."""

    digest: str = ""
    """Of the set that is in it and whose commands have succeeded; empty: none."""
    changed: bool = True
    """The set may have changed since."""
    not_before: float = 0.0
    """When it may be written again."""


class Exporter:
    """Keeps the exported files like the ledger. Call `run` after each block and when `due` says."""

    def __init__(self, exports: Sequence[Export], log: Reporter) -> None:
        self.exports = exports
        self._log = log
        self._states = [_State() for _ in self.exports]
        self._version: int | None = None
        self._first_end: float | None = None
        """When the first of the exported addresses ends, as far as was known at the last look."""
        self._child: tuple[int, int, float] | None = None
        """pid, descriptor of its report, and when to give it up (on the monotonic clock)."""

    def due(self, now: float) -> float | None:
        """Return when `run` wants to be called next (seconds since the epoch); None: on a new
        version."""
        if self._child is not None:
            return now + POLL_SECONDS
        times = [self._wanted(number) for number in range(len(self.exports))]
        return min((time for time in times if time is not None), default=None)

    def _wanted(self, number: int) -> float | None:
        state = self._states[number]
        if state.changed:
            return state.not_before
        if self._first_end is None:
            return None  # the file is empty, and stays so until the version changes
        if _is_timed(self.exports[number]):
            return state.not_before  # an end that moves is no new version
        return max(self._first_end, state.not_before)

    def run(
        self, now: float, living: Callable[[], Iterable[tuple[str, Entry]]], version: int
    ) -> None:
        """Look after the writing that is under way, or start one if it is time.

        `living` gives the addresses that may relay at `now`; it is called in a process of its own.
        `version` differs whenever an address has come or gone. Takes a few milliseconds (a fork) at
        most, and does not raise: trouble is said to the log, and tried again.
        """
        if not self.exports:
            return
        if version != self._version:
            self._version = version
            for state in self._states:
                state.changed = True
        for one, state in zip(self.exports, self._states, strict=True):
            # Further away only where the clock was set back.
            state.not_before = min(state.not_before, now + one.interval_seconds)
        if self._child is not None and not self._collect():
            return
        numbers = [
            number
            for number in range(len(self.exports))
            if (wanted := self._wanted(number)) is not None and wanted <= now
        ]
        if numbers:
            self._start(now, living, numbers)

    def stop(self) -> None:
        """Give up a writing that is under way; the old files stay."""
        if self._child is not None:
            pid, report, _ = self._child
            self._child = None
            # It makes itself a group of its own, but perhaps it has not got so far yet.
            os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(report)

    def _start(
        self, now: float, living: Callable[[], Iterable[tuple[str, Entry]]], numbers: list[int]
    ) -> None:
        report_read, report_write = os.pipe()
        try:
            pid = os.fork()
        except OSError as error:
            os.close(report_read)
            os.close(report_write)
            self._log.once("export", f"export: cannot fork: {error.strerror}; trying again")
            for number in numbers:
                self._states[number].not_before = now + self.exports[number].interval_seconds
            return
        if pid == 0:
            try:
                _become_worker(report_write)
                self._work(int(now), living, numbers)
            except BaseException as error:
                os.write(2, f"pbs-filter: export: unexpected {error!r}\n".encode())
                os._exit(1)
            os._exit(0)
        os.close(report_write)
        seconds = WRITE_SECONDS
        for number in numbers:
            one, state = self.exports[number], self._states[number]
            state.changed = False
            state.not_before = now + one.interval_seconds
            seconds += one.command_timeout_seconds * len(_commands(one))
        self._child = pid, report_read, time.monotonic() + seconds

    def _collect(self) -> bool:
        """Take the worker's report if it has ended; False while it works."""
        assert self._child is not None
        pid, report, deadline = self._child
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended == 0:
            if time.monotonic() < deadline:
                return False
            self.stop()
            self._failed("export", "export: not finished in time, given up; trying again")
            return True
        self._child = None
        with open(report, encoding="utf-8") as lines:
            text = lines.read()
        if status != 0:
            status = os.waitstatus_to_exitcode(status)
            self._failed("export", f"export: the writing process ended with {status}; trying again")
            return True
        self._log.recovered("export", "export: works again")
        first_end, results = json.loads(text)
        self._first_end = first_end
        for number, digest, error in results:
            one, state = self.exports[number], self._states[number]
            state.digest = digest
            key = f"export {one.path}"
            if error:
                state.changed = True
                self._log.once(key, f"{key}: {error}; trying again in {one.interval_seconds} s")
            else:
                self._log.recovered(key, f"{key}: written again")
        return True

    def _failed(self, key: str, text: str) -> None:
        self._log.once(key, text)
        for state in self._states:
            state.changed = True

    # ------------------------------------------------------------------ in the worker

    def _work(
        self, now: int, living: Callable[[], Iterable[tuple[str, Entry]]], numbers: list[int]
    ) -> None:
        whole = sorted(living())
        entries = [(address, entry.until) for address, entry in whole]
        results = []
        for number in numbers:
            one, digest = self.exports[number], self._states[number].digest
            wanted = _digest(entries, timed=_is_timed(one))
            if digest == wanted and os.path.exists(one.path):
                error = ""
            else:
                error = _bring_out(one, entries, _environment(one, whole))
            results.append((number, "" if error else wanted, error))
        first_end = min((until for _, until in entries), default=None)
        _write_all(_REPORT, json.dumps((first_end, results)).encode())


_REPORT = 3
"""The worker's descriptor for its report."""


def _become_worker(report: int) -> None:
    """Let go of everything that is the filter's: its descriptors, signals, garbage collector.

    stdout is the syslog daemon's acknowledgement channel; a command must never write to it.
    """
    gc.disable()  # it would touch, and so copy, every page of the ledger
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    null = os.open(os.devnull, os.O_RDWR)
    # Out of the way of the places that are written next.
    report, null = (fcntl.fcntl(number, fcntl.F_DUPFD, 10) for number in (report, null))
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.dup2(report, _REPORT, inheritable=False)
    os.closerange(_REPORT + 1, os.sysconf("SC_OPEN_MAX"))


def _digest(entries: formats.Living, *, timed: bool) -> str:
    digest = hashlib.sha256()
    for address, until in entries:
        digest.update(f"{address} {until if timed else ''}\n".encode())
    return digest.hexdigest()


def _environment(one: Export, entries: Sequence[tuple[str, Entry]]) -> dict[str, str]:
    """Tell a command what a hook is told: here of the newest login among the addresses."""
    told = {"EVENT": "exported", "TEXT": f"{counted(len(entries), 'address')} in {one.path}"}
    address, newest = max(entries, key=lambda each: each[1].last, default=("", None))
    told |= {"ADDRESS": address, "USER": "", "SERVER": "", "UNTIL": ""}
    if newest is not None:
        told |= {"USER": newest.user, "SERVER": newest.server, "UNTIL": str(newest.until)}
    return os.environ | {f"PBS_{key}": text.replace("\0", "?") for key, text in told.items()}


def _bring_out(one: Export, entries: formats.Living, environment: Mapping[str, str]) -> str:
    """Write the file and run its commands; return the error, "" for none."""
    try:
        if one.format == SQLITE:
            _write_sqlite(one, entries)
        else:
            _write_file(one, formats.FORMATS[one.format].render(entries))
    except (OSError, sqlite3.Error) as error:
        text = error.strerror if isinstance(error, OSError) else str(error)
        return f"cannot be written: {text or error}"
    for command in _commands(one):
        if error_text := _run(command, one.command_timeout_seconds, environment):
            return error_text
    return ""


def _write_file(one: Export, content: bytes) -> None:
    draft = f"{one.path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft)
    # O_EXCL also refuses a link that somebody put there.
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, one.mode)
    try:
        os.fchmod(descriptor, one.mode)
        _write_all(descriptor, content)
        os.fsync(descriptor)
    except OSError:
        os.unlink(draft)
        raise
    finally:
        os.close(descriptor)
    os.rename(draft, one.path)


def _write_sqlite(one: Export, entries: formats.Living) -> None:
    """Replace the rows in one transaction: readers keep the file open and would miss a rename."""
    # SQLite itself would follow a link that somebody put there.
    descriptor = os.open(one.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise OSError(errno.EINVAL, "it is no file of its own")
        if not status.st_size:
            os.fchmod(descriptor, one.mode)
    finally:
        os.close(descriptor)
    with contextlib.closing(sqlite3.connect(one.path, timeout=5)) as database, database:
        database.execute(_TABLE)
        database.execute("DELETE FROM pbs")
        database.executemany("INSERT INTO pbs VALUES (?, ?)", formats.sqlite_rows(entries))


def _run(command: tuple[str, ...], timeout_seconds: int, environment: Mapping[str, str]) -> str:
    """Run `command`; what went wrong, or nothing."""
    name = shlex.join(command)
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return f"command {name!r} cannot be started: {error.strerror}"
    try:
        said, _ = process.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"command {name!r} did not end within {timeout_seconds} s and was killed"
    if process.returncode != 0:
        words = said.decode("utf-8", "replace").strip()[-LAST_WORDS:]
        return f"command {name!r} ended with {process.returncode}: {words!r}"
    return ""


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
