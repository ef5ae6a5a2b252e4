"""The GDBM file of a map is opened, locked, read and changed here; `gdbm_map` says when.

A GDBM file is open only for as long as a call takes: a reader that keeps it open misses new keys,
and one that finds a writer has to wait.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from errno import EAGAIN, EISDIR, ENOENT, ENOSPC
from fcntl import LOCK_NB, LOCK_SH, flock
from operator import mul
from typing import Any, TypeVar

from .. import files
from ..errors import ConfigError, StoreBusy, StoreDamaged
from ..held_files import described_holders
from ..text import counted
from .gdbm_state import State

LOCK_WAIT_SECONDS = 0.2
PAUSE_SECONDS = 0.001
"""Between two attempts at the lock: a reader holds it for 0.03 ms."""
RESERVE_BYTES = 1 << 20
"""A batch is not begun with less room than this on the file system: one address can split a bucket
and double the directory."""

SORTED_ENTRIES = 1000
"""So many changes are stored in the order of their buckets."""

Database = Any
"""What `dbm.gnu.open` returns: the type has no public name."""
_Found = TypeVar("_Found")

NO_GDBM = (
    "this Python has no GDBM module; install it (Debian, Ubuntu: python3-gdbm; openSUSE: "
    "python3-dbm; Fedora's own python3 has it) and use /usr/bin/python3: those of pyenv, uv or "
    "conda are mostly built without"
)


_SHIFTS = tuple(1 << place * 5 % 24 for place in range(64))


def bucket(entry: tuple[str, object]) -> int:
    """GDBM's hash of the address, by which it finds the bucket.

    Stored in this order a million entries take three seconds, in any other ten; 2,000 in a map of
    100,000 take 6 µs each, else 10. If a later GDBM hashes differently nothing but that is lost.
    """
    key = entry[0].encode("ascii")
    mixed: int = (0x238F13AF * len(key) + sum(map(mul, key, _SHIFTS))) & 0x7FFFFFFF
    return (1103515243 * mixed + 12345) & 0x7FFFFFFF


class _Incomplete(StoreBusy):
    """An address is missing, or may be."""


class Locked(StoreBusy):
    """Another process holds the map's lock."""


def has_gdbm() -> bool:
    """Return whether this Python can use GDBM files; NO_GDBM says what to do if not."""
    return importlib.util.find_spec("_gdbm") is not None


def gnu() -> Any:
    """Return the module `dbm.gnu`. Raises: ConfigError."""
    try:
        from dbm import gnu as module
    except ImportError:
        raise ConfigError(NO_GDBM) from None
    return module


class GdbmFile:
    """The file of a map as every process may use it: it is opened, locked, read and changed.

    Args:
        path: the GDBM file.
        state: of this file.
        flock: use GDBM's lock.
        lock_wait_seconds: how long a method waits for another process to let go.
        genuine: whether a value belongs to its address, so that damage is not handed out.

    Raises:
        ConfigError: this Python has no GDBM.
    """

    def __init__(
        self,
        path: str,
        state: State,
        *,
        flock: bool,
        lock_wait_seconds: float,
        genuine: Callable[[str, bytes], bool],
    ) -> None:
        self.gnu = gnu()
        self._path = path
        self._state = state
        self._unlocked = "" if flock else "u"
        self._wait = lock_wait_seconds
        self._genuine = genuine
        self._as_left: tuple[int, ...] = ()
        """Inode, size and time of the file when our last change was over."""
        self._was_touched = False

    def open(self, flag: str, path: str = "", wait: float | None = None) -> Database:
        """Return the open map, or the GDBM file at `path`, once no other process holds its lock.

        Raises: StoreBusy, StoreDamaged.
        """
        end = 0.0
        wait = self._wait if wait is None else min(self._wait, wait)
        while True:
            try:
                return self.gnu.open(path or self._path, flag + self._unlocked)
            except OSError as error:  # dbm.gnu.error is one
                if error.errno != EAGAIN:
                    raise self.failed("open", error) from error
            if not end:
                end = time.monotonic() + wait
            elif time.monotonic() >= end:
                raise self.locked()
            time.sleep(PAUSE_SECONDS)

    def locked(self) -> Locked:
        """Return the error for a map that another process keeps locked."""
        holders = described_holders(self._path) or "another program"
        return Locked(
            f"the map {self._path!r} has been locked by {holders} for {self._wait:g} s, it is "
            "tried again; end a program that keeps the lock"
        )

    def failed(self, doing: str, error: OSError) -> StoreBusy | StoreDamaged:
        """Return the error for a call that failed: damage, or trouble that passes."""
        if error.errno in (None, 0, EISDIR, ENOENT):
            why = os.strerror(error.errno) if error.errno else str(error)
            return StoreDamaged(f"the map {self._path!r} cannot be used: {why}; it is made again")
        return files.busy(f"{doing} the map", self._path, error)

    def _patiently(self, look: Callable[[], _Found]) -> _Found:
        """Return the result of `look` on a complete map. Raises: StoreBusy, StoreDamaged."""
        end = 0.0
        while True:
            try:
                return look()
            except _Incomplete:
                if not end:
                    end = time.monotonic() + self._wait
                elif time.monotonic() >= end:
                    raise
            except OSError as error:
                raise self.failed("read", error) from error
            time.sleep(PAUSE_SECONDS)

    def _believe(self, inode: int) -> None:
        if not self._state.complete(inode):
            raise _Incomplete(
                f"the map {self._path!r} is not complete; the filter makes it again when it runs"
            )

    def found_whole(self) -> None:
        """Note that the file is as it should be."""
        self._was_touched = False
        self.note_left()

    def note_left(self) -> None:
        """Note that a change of ours is over."""
        try:
            self._as_left = self._marks()
        except OSError:
            self._was_touched = True

    def was_touched(self) -> bool:
        """Whether somebody else changed the file since it was whole; to be asked before each change
        of ours, which hides it. Raises: OSError."""
        self._was_touched = self._was_touched or self._as_left != self._marks()
        return self._was_touched

    def _marks(self) -> tuple[int, ...]:
        status = os.stat(self._path)
        return status.st_ino, status.st_size, status.st_mtime_ns

    def make_sure_of_room(self, changes: Mapping[str, bytes | None]) -> None:
        """Raises: OSError, where a batch may fill the disk. What only removes may go on."""
        room = os.statvfs(os.path.dirname(self._path) or ".")
        if room.f_bavail * room.f_frsize < RESERVE_BYTES and any(changes.values()):
            raise OSError(ENOSPC, os.strerror(ENOSPC))

    @staticmethod
    def put(database: Database, changes: Mapping[str, bytes | None]) -> None:
        """Store each value in the open file, remove where it is None. Raises: OSError."""
        entries: Iterable[tuple[str, bytes | None]] = changes.items()
        if len(changes) >= SORTED_ENTRIES:
            entries = sorted(entries, key=bucket)
        for address, value in entries:
            key = address.encode("ascii")
            if value is not None:
                database[key] = value
            else:
                try:
                    del database[key]
                except KeyError:
                    pass  # done before

    def get(self, address: str) -> bytes | None:
        """Return the value of `address`; see `AddressMap`."""
        value = self._patiently(lambda: self._get(address.encode("ascii")))
        if value is not None and not self._genuine(address, value):
            raise StoreDamaged(f"the map {self._path!r}: the entry of {address} is damaged")
        return value

    def _get(self, key: bytes) -> bytes | None:
        inode = os.stat(self._path).st_ino
        with self.open("r") as database:
            value: bytes | None = database.get(key)
            if value is None:
                len(database)  # raises where the file is damaged, which `get` does not
                self._believe(inode)
            return value

    def items(self, *, whatever: bool = False) -> Iterator[tuple[str, bytes]]:
        """Every address and value; see `AddressMap`. Damaged entries are left out."""
        fd = self._patiently(lambda: self._copy(whatever=whatever))
        try:
            database = self.open("r", f"/proc/self/fd/{fd}")
            try:
                left = len(database)
                key = database.firstkey()
                while key is not None and left:  # damage can lead GDBM in a circle
                    left -= 1
                    value = database.get(key)
                    address = key.decode("ascii", "replace")
                    if value is not None and self._genuine(address, value):
                        yield address, value
                    key = database.nextkey(key)
                if left:
                    raise StoreDamaged(
                        f"the map {self._path!r} is damaged: {counted(left, 'address')} cannot "
                        "be found"
                    )
            except OSError as error:
                raise self.failed("read", error) from error
            finally:
                database.close()
        finally:
            os.close(fd)

    def _copy(self, *, whatever: bool = False) -> int:
        """Return the map as it is now: a walk of a second must not keep a writer waiting."""
        with open(self._path, "rb") as file:
            if not self._unlocked:
                self._share(file.fileno())
            status = os.fstat(file.fileno())
            if not whatever:
                self._believe(status.st_ino)
            return files.copy_of(file.fileno())

    def _share(self, fd: int) -> None:
        end = time.monotonic() + self._wait
        while True:
            try:
                flock(fd, LOCK_SH | LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise self.locked() from None
            time.sleep(PAUSE_SECONDS)

    def count(self) -> int:
        """Return the number of addresses; see `AddressMap`."""
        return self._patiently(self._count)

    def _count(self) -> int:
        inode = os.stat(self._path).st_ino
        with self.open("r") as database:
            self._believe(inode)
            return len(database)

    def size_bytes(self) -> int:
        """Return the length of the file, 0 where it is missing."""
        try:
            return os.stat(self._path).st_size
        except OSError:
            return 0

    def damaged(self, *, is_open: bool) -> str | None:
        """Return a sentence on what is wrong with the file, None where nothing is seen.

        Args:
            is_open: it may have changed since it was closed.
        """
        try:
            if not os.path.isfile(self._path):
                raise StoreDamaged(f"the map {self._path!r} is not there, or not a file")
            if not is_open and self._state.changed_since_closed():
                raise StoreDamaged(f"the map {self._path!r} is not what it was when it was closed")
            database = self.open("r")
            try:
                len(database)
            except OSError as error:
                raise self.failed("read", error) from error
            finally:
                database.close()
        except StoreDamaged as error:
            return str(error)
        except StoreBusy:
            return None  # nothing is known
        return None
