"""The address map in a GDBM file, for one host's lookups.

A GDBM file is open only for as long as a batch takes: a reader that keeps it open misses new keys,
and one that finds a writer has to wait. What GDBM does not do by itself:

* **A writer that dies inside a change leaves a file that looks whole and lacks addresses.** So a
  file beside the map tells whether it has everything: see `state`.
* **A full disk in the middle of a batch breaks the file**, so room is looked for first, and a batch
  that failed half-way makes the map broken (StoreDamaged) until it is made again.
* **A file whose records change size grows without end.** Let key and value together always have the
  same length (the value's blanks make up for shorter addresses): 100,000 changes of 1,000
  addresses then leave 225 bytes an address, against 3,500.
* **A map that is made again is a new file, renamed into place**: never truncate one that a reader
  may have mapped. In slices between other work for a running filter, `write` going to both.

Closing a GDBM file syncs it (GDBM has no way out of that): 0.2 ms of disk time per batch on ext4,
none where the map lies on a tmpfs such as /run. Nothing rests on that sync.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from errno import EAGAIN, EISDIR, ENOENT, ENOSPC
from fcntl import LOCK_NB, LOCK_SH, LOCK_UN, flock
from itertools import islice
from operator import mul
from typing import Any, TypeVar

from .. import files
from ..errors import ConfigError, StoreBusy, StoreDamaged
from ..held_files import described_holders
from .gdbm_state import State

LOCK_WAIT_SECONDS = 0.2
WRITER_WAIT_SECONDS = 0.02
"""The writer waits so long for readers that follow one another without a gap; then it changes a
copy of the map, which needs no lock."""
PAUSE_SECONDS = 0.001
"""Between two attempts at the lock: a reader holds it for 0.03 ms."""
RESERVE_BYTES = 1 << 20
"""A batch is not begun with less room than this on the file system: one address can split a bucket
and double the directory."""
BYTES_PER_ADDRESS = 320
SPARE_BYTES = 1 << 20
"""A map is worth rebuilding beyond BYTES_PER_ADDRESS for each address, and SPARE_BYTES."""

_Database = Any
"""What `dbm.gnu.open` returns: the type has no public name."""
_SORTED_ENTRIES = 1 << 16
_SHIFTS = tuple(1 << place * 5 % 24 for place in range(64))


_Found = TypeVar("_Found")

NO_GDBM = (
    "this Python has no GDBM module; install it (Debian, Ubuntu: python3-gdbm; openSUSE: "
    "python3-dbm; Fedora's own python3 has it) and use /usr/bin/python3: those of pyenv, uv or "
    "conda are mostly built without"
)


class _Incomplete(StoreBusy):
    """An address is missing, or may be."""


class _Locked(StoreBusy):
    """Another process holds the map's lock."""


def has_gdbm() -> bool:
    """Whether this Python can use GDBM files; NO_GDBM says what to do if not."""
    return importlib.util.find_spec("_gdbm") is not None


def _gnu() -> Any:
    try:
        from dbm import gnu
    except ImportError:
        raise ConfigError(NO_GDBM) from None
    return gnu


def _bucket(entry: tuple[str, bytes]) -> int:
    """GDBM's hash of the address, by which it finds the bucket.

    Stored in this order a million entries take three seconds, in any other ten. If a later GDBM
    hashes differently nothing but that is lost.
    """
    key = entry[0].encode("ascii")
    mixed: int = (0x238F13AF * len(key) + sum(map(mul, key, _SHIFTS))) & 0x7FFFFFFF
    return (1103515243 * mixed + 12345) & 0x7FFFFFFF


class GdbmMap:
    """An `AddressMap`; see there. Reading needs no more rights than to read the two files.

    Args:
        path: the GDBM file; its `state` is beside it in `PATH.state`.
        flock: use GDBM's lock; off only on file systems without one, and with no reader.
        say: takes a sentence the operator should read.
        mode: of both files.
        group: of both files; "": as the system gives it.
        lock_wait_seconds: how long a method waits for another process to let go.
        genuine: whether a value belongs to its address, so that damage is not handed out.
        on_replace: called before a new file takes the map's name, with that file's number.

    Raises:
        ConfigError: this Python has no GDBM; there is no such group.
    """

    def __init__(
        self,
        path: str,
        *,
        flock: bool = True,
        say: Callable[[str], None] = lambda _sentence: None,
        mode: int = 0o640,
        group: str = "",
        lock_wait_seconds: float = LOCK_WAIT_SECONDS,
        genuine: Callable[[str, bytes], bool] = lambda _address, _value: True,
        on_replace: Callable[[int], None] = lambda _inode: None,
    ) -> None:
        self._gnu = _gnu()
        self._path = path
        self._unlocked = "" if flock else "u"
        self._say = say
        self._mode = mode
        self._gid = files.gid_of(group)
        self._wait = lock_wait_seconds
        self._genuine = genuine
        self._on_replace = on_replace
        self._state = State(path, mode=mode, gid=self._gid)
        self._broken: str | None = None
        """Why the file at `path` must not be written any more."""
        self._complete = False
        """This run knows that the map has everything: it made it, or found it closed."""
        self._lacking = False
        """The journal knows more than the map, and the state says so."""
        self._fd: int | None = None
        """The map, open since the first batch: a failed sync is told only to who had it open."""
        self._next: _Database | None = None
        self._next_fd = -1
        self._syncing: files.Apart | None = None

    # ------------------------------------------------------------------ opening

    def _open(self, flag: str, path: str = "", wait: float | None = None) -> _Database:
        """Raises: StoreBusy, StoreDamaged."""
        end = 0.0
        wait = self._wait if wait is None else wait
        while True:
            try:
                return self._gnu.open(path or self._path, flag + self._unlocked)
            except OSError as error:  # dbm.gnu.error is one
                if error.errno != EAGAIN:
                    raise self._failed("open", error) from error
            if not end:
                end = time.monotonic() + wait
            elif time.monotonic() >= end:
                raise self._locked()
            time.sleep(PAUSE_SECONDS)

    def _locked(self) -> _Locked:
        holders = described_holders(self._path) or "another program"
        return _Locked(
            f"the map {self._path!r} has been locked by {holders} for {self._wait:g} s, it is "
            "tried again; end a program that keeps the lock"
        )

    def _failed(self, doing: str, error: OSError) -> StoreBusy | StoreDamaged:
        if error.errno in (None, 0, EISDIR, ENOENT):
            why = os.strerror(error.errno) if error.errno else str(error)
            return StoreDamaged(f"the map {self._path!r} cannot be used: {why}; it is made again")
        return files.busy(f"{doing} the map", self._path, error)

    # ------------------------------------------------------------------ writing

    def mark_incomplete(self) -> None:
        """See `AddressMap`."""
        if self._lacking:
            return
        try:
            self._state.writing()
        except OSError as error:
            raise self._failed("note the state of", error) from error
        self._lacking = True

    def give_up(self, why: str) -> None:
        """See `AddressMap`."""
        if self._broken is None:
            self._broken = why
        self.mark_incomplete()

    def write(self, changes: Mapping[str, bytes | None], *, complete: bool = True) -> None:
        """See `AddressMap`."""
        if not changes and not (self._lacking and complete):
            return
        if not complete:
            self.mark_incomplete()
        try:
            self._write(changes, complete=complete)
        except StoreDamaged:
            if self._next is None:
                raise  # else the new one will be right
        if self._next is not None:
            try:
                self._make_sure_of_room(changes)
                self._put(self._next, changes)
            except OSError as error:
                self.abort_rebuild()
                self._say(f"{files.busy('write', self._path + '.new', error)}")

    def _write(self, changes: Mapping[str, bytes | None], *, complete: bool) -> None:
        if self._broken is not None:
            raise StoreDamaged(self._broken)
        begun = False
        try:
            self._make_sure_of_place()
            self._make_sure_of_room(changes)
        except OSError as error:
            raise self._failed("write", error) from error
        try:
            database = self._open("w", wait=min(self._wait, WRITER_WAIT_SECONDS))
        except _Locked:
            self._write_to_copy(changes, complete=complete)
            return
        try:
            if not self._lacking:
                self._state.writing()
            begun = True
            self._put(database, changes)
            if self._complete and complete:
                assert self._fd is not None
                self._state.ready(self._fd)
                self._lacking = False
        except OSError as error:
            if not begun:
                raise self._failed("note the state of", error) from error
            self._broken = (
                f"the map {self._path!r} broke while it was written: "
                f"{error.strerror or error}; it is made again"
            )
            raise StoreDamaged(self._broken) from error
        finally:
            database.close()

    def _write_to_copy(self, changes: Mapping[str, bytes | None], *, complete: bool) -> None:
        """Readers hold the map without a gap: change a copy, and let it take the map's name.

        Raises: StoreBusy (somebody else writes in the map, or the copy cannot be made).
        """
        assert self._fd is not None
        path = self._path + ".copy"
        new = -1
        try:
            try:
                flock(self._fd, LOCK_SH | LOCK_NB)
            except BlockingIOError:
                raise self._locked() from None
            try:
                memory = files.copy_of(self._fd)
            finally:
                flock(self._fd, LOCK_UN)
            try:
                with self._gnu.open(f"/proc/self/fd/{memory}", "wu") as database:
                    self._put(database, changes)
                new = files.create(path, self._mode, self._gid)
                files.send_all(new, memory)
            finally:
                os.close(memory)
            self._on_replace(os.fstat(new).st_ino)
            self.mark_incomplete()
            os.rename(path, self._path)
            if self._complete and complete:
                self._state.ready(new)
                self._lacking = False
        except OSError as error:
            if new >= 0:
                os.close(new)
            raise files.busy("write a copy of the map", path, error) from error
        os.close(self._fd)
        self._fd = new

    def _make_sure_of_place(self) -> None:
        """Raises: OSError, StoreDamaged."""
        found = os.stat(self._path)
        if not found.st_size:  # GDBM would make an empty file a map without a word
            raise StoreDamaged(f"the map {self._path!r} is empty; it is made again")
        if self._fd is None:
            files.check_file(self._path)
            self._fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        if not os.path.samestat(found, os.fstat(self._fd)):
            raise StoreDamaged(f"the map {self._path!r} was replaced by somebody; it is made again")

    def _make_sure_of_room(self, changes: Mapping[str, bytes | None]) -> None:
        """Raises: OSError. What only removes may go on."""
        room = os.statvfs(os.path.dirname(self._path) or ".")
        if room.f_bavail * room.f_frsize < RESERVE_BYTES and any(changes.values()):
            raise OSError(ENOSPC, os.strerror(ENOSPC))

    @staticmethod
    def _put(database: _Database, changes: Mapping[str, bytes | None]) -> None:
        for address, value in changes.items():
            key = address.encode("ascii")
            if value is not None:
                database[key] = value
            else:
                try:
                    del database[key]
                except KeyError:
                    pass  # done before

    # ------------------------------------------------------------------ reading

    def _patiently(self, look: Callable[[], _Found]) -> _Found:
        """What `look` finds, once it finds a complete map. Raises: StoreBusy, StoreDamaged."""
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
                raise self._failed("read", error) from error
            time.sleep(PAUSE_SECONDS)

    def _believe(self, inode: int) -> None:
        if not self._state.complete(inode):
            raise _Incomplete(
                f"the map {self._path!r} is not complete; the filter makes it again when it runs"
            )

    def get(self, address: str) -> bytes | None:
        """See `AddressMap`."""
        value = self._patiently(lambda: self._get(address.encode("ascii")))
        if value is not None and not self._genuine(address, value):
            raise StoreDamaged(f"the map {self._path!r}: the entry of {address} is damaged")
        return value

    def _get(self, key: bytes) -> bytes | None:
        inode = os.stat(self._path).st_ino
        with self._open("r") as database:
            value: bytes | None = database.get(key)
            if value is None:
                len(database)  # raises where the file is damaged, which `get` does not
                self._believe(inode)
            return value

    def items(self, *, whatever: bool = False) -> Iterator[tuple[str, bytes]]:
        """See `AddressMap`. Damaged entries are left out."""
        fd = self._patiently(lambda: self._copy(whatever=whatever))
        try:
            database = self._open("r", f"/proc/self/fd/{fd}")
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
                        f"the map {self._path!r} is damaged: {left} addresses cannot be found"
                    )
            except OSError as error:
                raise self._failed("read", error) from error
            finally:
                database.close()
        finally:
            os.close(fd)

    def _copy(self, *, whatever: bool = False) -> int:
        """The map as it is now: a walk of a second must not keep a writer waiting."""
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
                    raise self._locked() from None
            time.sleep(PAUSE_SECONDS)

    def count(self) -> int:
        """See `AddressMap`."""
        return self._patiently(self._count)

    def _count(self) -> int:
        inode = os.stat(self._path).st_ino
        with self._open("r") as database:
            self._believe(inode)
            return len(database)

    # ------------------------------------------------------------------ making it again

    def should_rebuild(self, live: int) -> bool:
        """See `AddressMap`."""
        if self._next is not None:
            return False
        return self.size_bytes() > BYTES_PER_ADDRESS * live + SPARE_BYTES

    def size_bytes(self) -> int:
        """Length of the file, 0 where it is missing."""
        try:
            return os.stat(self._path).st_size
        except OSError:
            return 0

    def rebuild(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """See `AddressMap`. Three seconds for a million entries."""
        self.begin_rebuild()
        rest = iter(entries)
        while part := list(islice(rest, _SORTED_ENTRIES)):
            self.rebuild_step(part)
        while not self.finish_rebuild(1.0):
            pass

    def begin_rebuild(self) -> None:
        """See `AddressMap`."""
        self.abort_rebuild()
        path = self._path + ".new"
        try:
            if not self._complete:
                self._state.writing()
            self._next_fd = files.create(path, self._mode, self._gid)
            self._next = self._gnu.open(path, "nu")
        except OSError as error:
            self.abort_rebuild()
            raise files.busy("write", path, error) from error

    def rebuild_step(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """See `AddressMap`. A hundred entries take about a millisecond."""
        database = self._next
        assert database is not None, "rebuild_step outside a rebuild"
        try:
            self._make_sure_of_room({"": b"x"})
            for address, value in sorted(entries, key=_bucket):
                database[address.encode("ascii")] = value
        except OSError as error:
            self.abort_rebuild()
            raise files.busy("write", self._path + ".new", error) from error

    def finish_rebuild(self, wait_seconds: float = 0.0) -> bool:
        """See `AddressMap`. The new file is synced by another thread: that can take a second."""
        database = self._next
        assert database is not None, "finish_rebuild outside a rebuild"
        if self._syncing is None:
            self._syncing = files.Apart(os.fsync, self._next_fd)
        if wait_seconds and self._syncing.is_alive():
            self._syncing.join(wait_seconds)
        if self._syncing.is_alive():
            return False
        try:
            if self._syncing.error is not None:
                raise self._syncing.error
            if not self._complete:
                self._put_away_damaged()
            database.close()
            self._on_replace(os.fstat(self._next_fd).st_ino)
            os.rename(self._path + ".new", self._path)
            if not self._lacking:
                self._state.ready(self._next_fd)
            files.sync_directory(self._path)
        except OSError as error:
            self.abort_rebuild()
            raise files.busy("replace the map", self._path, error) from error
        if self._fd is not None:
            files.Apart(os.close, self._fd)
        self._fd, self._next_fd = self._next_fd, -1
        self._next = self._syncing = self._broken = None
        self._complete = True
        return True

    def _put_away_damaged(self) -> None:
        """Keep what we cannot explain for people to look at. Raises: OSError, ConfigError."""
        files.check_file(self._path)
        why = self.damaged()
        if why is not None and os.path.lexists(self._path) and self._broken is None:
            name = files.set_aside(self._path)
            self._say(f"{why}; kept as {name!r}")

    def abort_rebuild(self) -> None:
        """See `AddressMap`."""
        if self._syncing is not None:
            self._syncing.join()
            self._syncing = None
        if self._next is not None:
            self._next.close()
            self._next = None
        if self._next_fd >= 0:
            os.close(self._next_fd)
            self._next_fd = -1
        for name in (".new", ".copy"):
            try:
                files.remove(self._path + name)
            except OSError:
                pass  # the next rebuild removes it

    # ------------------------------------------------------------------ start and end

    def behind(self) -> None:
        """Never: `write` has written."""

    def damaged(self) -> str | None:
        """See `AddressMap`. Walks the buckets: 9 ms for a million addresses."""
        if self._broken is not None:
            return self._broken
        try:
            if not os.path.isfile(self._path):
                raise StoreDamaged(f"the map {self._path!r} is not there, or not a file")
            if self._fd is None and self._state.changed_since_closed():
                raise StoreDamaged(f"the map {self._path!r} is not what it was when it was closed")
            database = self._open("r")
            try:
                len(database)
            except OSError as error:
                raise self._failed("read", error) from error
            finally:
                database.close()
        except StoreDamaged as error:
            return str(error)
        except StoreBusy:
            return None  # nothing is known
        return None

    def mark_clean(self, of: str) -> None:
        """See `AddressMap`."""
        assert self._complete, "mark_clean of a map that was neither made nor found clean"
        self.abort_rebuild()
        if self._broken is not None or self._lacking:
            raise StoreBusy(self._broken or f"the map {self._path!r} lacks what the journal has")
        try:
            self._make_sure_of_place()
            assert self._fd is not None
            os.fsync(self._fd)
            self._state.closed(self._fd, of)
        except StoreDamaged as error:
            raise StoreBusy(str(error)) from error
        except OSError as error:
            raise files.busy("close the map", self._path, error) from error

    def was_clean(self, of: str) -> bool:
        """See `AddressMap`."""
        files.check_file(self._path)
        self.abort_rebuild()  # of an earlier run
        self._complete = self._state.was_closed(of)
        return self._complete

    def exists(self) -> bool:
        """At start: there is something at the map's path."""
        return os.path.lexists(self._path)

    def in_order(self) -> bool:
        """At start: the map is what it was at an orderly end, for some journal."""
        return self._state.in_order()

    def close(self) -> None:
        """See `AddressMap`."""
        self.abort_rebuild()
        self._state.close()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
