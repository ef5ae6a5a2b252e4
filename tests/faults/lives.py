"""A filter in a fork of this process: started in milliseconds, and killed where the test wants it.

The fork runs `pbs_filter.service` on pipes as a syslog daemon's child does, with a configuration of
the test's own. `points` are the calls with which the store touches the disk; a `Death` kills the
fork (SIGKILL) at one of them.
"""

from __future__ import annotations

import os
import random
import select
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pbs_filter.authorisation.pipeline import Pipeline
from pbs_filter.config import load
from pbs_filter.config import options as config
from pbs_filter.map_format.entry import Entry, decode
from pbs_filter.service import build, persister, run, storage
from pbs_filter.store import gdbm_map, journal, journal_lines
from pbs_filter.store.gdbm_file import GdbmFile

PATIENCE = 120.0
ANY = "any call"
POINTS = ("pwrite", "fdatasync", "fsync", "rename", "link", "unlink", "ftruncate", "write",
          "posix_fallocate", "put", "one of put", "open")  # fmt: skip
"""Calls of `os` that change something, and of the map's batches."""
OF_OS = [name for name in POINTS if "put" not in name]


class Death(NamedTuple):
    """Kill at the `count`-th call of `point` (`ANY`: of all of them that are of `os`): `before` it,
    `after` it, or `within`."""

    point: str
    count: int
    when: str

    @staticmethod
    def chosen(chance: random.Random) -> Death:
        """Any of them."""
        point = chance.choice(POINTS)
        most = {"pwrite": 300, "fdatasync": 150, "write": 150, "one of put": 200, "put": 60}
        count = int(chance.triangular(1, most.get(point, 12), 1))
        return Death(point, count, chance.choice(("before", "after", "within")))


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


_left = [0]
"""Calls until this process dies."""


def disarm() -> None:
    """Let this process live on: the calls that follow are not those of a filter."""
    _left[0] = -1


def _arm(death: Death) -> None:
    """Let this process die as `death` says."""
    left = _left
    left[0] = death.count

    def killing(real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            changes = name != "open" or death.point != ANY or arguments[1] & os.O_CREAT
            left[0] -= bool(changes)
            if left[0] or not changes:
                return real(*arguments, **keywords)
            if death.when == "before":
                _die()
            if death.when == "within" and name in ("pwrite", "write"):
                data = arguments[1]
                real(arguments[0], data[: len(data) // 2], *arguments[2:], **keywords)
            else:
                real(*arguments, **keywords)
            return _die()

        return call

    def some(database: Any, changes: dict[str, bytes | None]) -> None:
        for address, value in changes.items():
            put(database, {address: value})
            left[0] -= 1
            if not left[0]:
                _die()

    put = GdbmFile.put
    file: Any = GdbmFile
    if death.point == "one of put":
        file.put = staticmethod(some)
    elif death.point == "put":
        file.put = staticmethod(killing(put, "put"))
    else:
        for name in OF_OS if death.point == ANY else (death.point,):
            setattr(os, name, killing(getattr(os, name), name))


def made(directory: Path, **options: Any) -> config.Config:
    """A configuration for `directory`."""
    given = {
        "map": str(directory / "map"),
        "logto": str(directory / "log"),
        "confirm": "yes",
        "max_addresses_per_user": 0,  # most of these have one user
    }
    return load.build({}, {**given, **options})


def small_steps() -> None:
    """Let journal and map be made anew all the time."""
    journal.SPARE_LINES = 300
    gdbm_map.SPARE_BYTES = 1 << 14
    gdbm_map.BYTES_PER_ADDRESS = 250
    persister.REWRITE_LINES = 40
    persister.REBUILD_ADDRESSES = 40


class Life:
    """One filter. `death`: where it dies; `prepare` runs in it before it starts."""

    def __init__(
        self,
        settings: config.Config,
        death: Death | None = None,
        prepare: Callable[[], None] = small_steps,
        cpu_seconds: float = 0.0,
    ) -> None:
        stdin, self.stdin = os.pipe()
        self.stdout, stdout = os.pipe()
        self.replies = b""
        self.status: int | None = None
        self.pid = os.fork()
        if self.pid:
            os.close(stdin)
            os.close(stdout)
            return
        try:
            os.dup2(stdin, 0)
            os.dup2(stdout, 1)
            for fd in (stdin, stdout, self.stdin, self.stdout):
                os.close(fd)
            prepare()
            if death is not None:
                _arm(death)
            if cpu_seconds:
                # Its default is to end the process at once, in the middle of anything.
                signal.signal(signal.SIGPROF, signal.SIG_DFL)
                signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
            os._exit(run.run(lambda: settings, retry=False))
        except BaseException:
            os.write(2, traceback.format_exc().encode())
            os._exit(99)

    def send(self, data: bytes) -> bool:
        """Write to its stdin; False if it is gone."""
        try:
            while data:
                data = data[os.write(self.stdin, data) :]
        except BrokenPipeError:
            return False
        return True

    def reply(
        self, patience: float = PATIENCE, at_stop: Callable[[], None] | None = None
    ) -> bytes | None:
        """The next reply without keep-alives; None at its end.

        Where it stops on its way there, `at_stop` is called, and it goes on.
        """
        end = time.monotonic() + patience
        while b"\n" not in self.replies:
            rest = end - time.monotonic()
            turn = rest if at_stop is None else 0.002
            if rest <= 0 or not select.select([self.stdout], [], [], turn)[0]:
                if rest > 0 and at_stop is not None:
                    self.go_on(at_stop)
                    continue
                raise AssertionError(f"no reply within {patience} s; {self.replies!r}")
            more = os.read(self.stdout, 65536)
            if not more:
                return None
            self.replies += more
        line, _, self.replies = self.replies.partition(b"\n")
        return line.lstrip(b".")

    def go_on(self, at_stop: Callable[[], None]) -> None:
        """If it has stopped, call `at_stop` and let it go on."""
        if self.status is not None:
            return
        pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
        if pid and os.WIFSTOPPED(status):
            try:
                at_stop()
            finally:
                os.kill(pid, signal.SIGCONT)
        elif pid:
            self.status = status

    def has_ended(self) -> bool:
        """Whether it has died."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = status
        return self.status is not None

    def kill(self) -> None:
        """kill -9."""
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def end(self) -> int:
        """Close its pipes; its wait status."""
        for fd in (self.stdin, self.stdout):
            if fd >= 0:
                os.close(fd)
        self.stdin = self.stdout = -1
        if self.status is None:
            self.status = os.waitpid(self.pid, 0)[1]
        return self.status

    def end_input(self) -> None:
        """Close its stdin."""
        os.close(self.stdin)
        self.stdin = -1

    def finish(self) -> int:
        """End of input; wait for an orderly end."""
        self.end_input()
        return self.end()


def ledger_of(settings: config.Config) -> Pipeline:
    """What the journal of a dead filter says, read without touching it."""
    found = build.pipeline_of(settings, lambda _text: None)
    if os.path.exists(settings.journal):
        for payload in journal_lines.read(settings.journal):
            found.state.apply(payload)
    found.state.restored(int(time.time()))
    return found


def map_of(settings: config.Config) -> dict[str, Entry]:
    """What a reader finds in the map."""
    found = {}
    for address, value in storage.map_of(settings).items():
        entry = decode(address, value)
        assert entry is not None, (address, value)
        found[address] = entry
    return found
