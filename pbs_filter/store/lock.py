"""One filter at a time: a lock file, held for life.

Syslog daemons start a new instance before the old one has left; the new one waits here. The lock is
the kernel's (flock), so that it goes with its holder however that ends; the file stays, and names
its holder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable

from .. import files
from ..errors import StoreBusy
from ..held_files import described_holders, lock_holders

POLL_SECONDS = 0.02
WORD_SECONDS = 1.0
"""How often a waiting filter calls back."""
SHARED_SECONDS = 2.0
"""A lock that is only shared keeps a filter waiting so long: no filter takes such a one."""


class Lock:
    """The lock file at `path`, with `mode` and `group` as for `Journal`. Raises: ConfigError."""

    def __init__(self, path: str, *, mode: int = 0o640, group: str = "") -> None:
        self._path = path
        self._mode = mode
        self._gid = files.gid_of(group)
        self._fd: int | None = None

    def acquire(self, wait_seconds: float, on_wait: Callable[[], None] = lambda: None) -> None:
        """Take the lock, or wait for it.

        Args:
            wait_seconds: give up after that; 0: do not wait.
            on_wait: called about once a second meanwhile, for keep-alives. What it raises ends the
                wait.

        Raises:
            StoreBusy: another process holds it, or the file cannot be made.
            ConfigError: the file is not one we may use.
        """
        files.check_file(self._path)
        began = time.monotonic()
        end = began + wait_seconds
        word = began + WORD_SECONDS
        while not self._try():
            now = time.monotonic()
            if now >= began + SHARED_SECONDS and self._take_over():
                return
            if now >= end:
                raise StoreBusy(
                    f"{self.holder()} holds {self._path!r}; one map takes one filter: if that one "
                    "has just been started, try again in a few seconds; else stop the daemon that "
                    "feeds it (systemctl stop syslog.socket rsyslog), end it, or give this one "
                    "another map"
                )
            if now >= word:
                word = now + WORD_SECONDS
                on_wait()
            time.sleep(POLL_SECONDS)

    def _try(self) -> bool:
        try:
            fd = os.open(
                self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, self._mode
            )
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not os.path.samestat(os.fstat(fd), os.stat(self._path)):
                    raise BlockingIOError  # somebody replaced the file; look again
                self._sign(fd)
            except BaseException:
                os.close(fd)
                raise
        except (BlockingIOError, FileNotFoundError):
            return False
        except OSError as error:
            raise files.busy("lock", self._path, error) from error
        self._fd = fd
        return True

    def _sign(self, fd: int) -> None:
        """Make the file that is locked ours, and write its holder into it."""
        files.give(fd, self._path, self._mode, self._gid)
        os.ftruncate(fd, 0)
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        os.pwrite(fd, f"pid {os.getpid()}, since {now}\n".encode(), 0)

    def _take_over(self) -> bool:
        """Put a new lock file in the place of one whose lock is only shared; whether we hold it.

        Whoever may read the file can share its lock, for as long as he likes. Our new file is
        locked before it has the name, and meanwhile we share the old lock: nobody can get that for
        himself alone, and whoever gets it later finds that the file was replaced.
        """
        new = self._path + ".new"
        with contextlib.ExitStack() as opened:
            try:
                old = os.open(
                    self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
                )
                opened.callback(os.close, old)
                fcntl.flock(old, fcntl.LOCK_SH | fcntl.LOCK_NB)  # no filter has it
                fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
                closing = opened.enter_context(contextlib.ExitStack())
                closing.callback(os.close, fd)
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for held, path in ((fd, new), (old, self._path)):
                    if not os.path.samestat(os.fstat(held), os.stat(path)):
                        return False
                os.rename(new, self._path)
                self._sign(fd)
            except OSError:
                return False
            closing.pop_all()
        self._fd = fd
        return True

    def holder(self) -> str:
        """Return what is known of the process that holds it."""
        shared = [pid for pid, kind in lock_holders(self._path) if kind == "READ"]
        if shared:
            # Whoever may read the file can do that; a filter never does.
            return f"no pbs-filter, but {described_holders(self._path)}, which only reads it,"
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:
                known = file.readline(100).strip() or "which does not say its pid"
        except OSError:
            known = "which cannot be asked"
        return f"another pbs-filter ({known})"

    def release(self) -> None:
        """Give the lock up. The file stays: removing it would let two others each hold one."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
