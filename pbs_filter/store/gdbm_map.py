"""The address map in a GDBM file, for one host's lookups.

`gdbm_file` opens, reads and changes the file, `gdbm_rebuild` makes a new one. Left to us by GDBM:

* **A writer that dies inside a change leaves a file that looks whole and lacks addresses.** So a
  file beside the map tells whether it has everything: see `state`.
* **A full disk in the middle of a batch breaks the file**, so room is looked for first, and a batch
  that failed half-way makes the map broken (StoreDamaged) until it is made again.
* **A file whose records change size grows without end.** Let key and value together always have the
  same length (the value's blanks make up for shorter addresses): 100,000 changes of 1,000
  addresses then leave 225 bytes an address, against 3,500.
* **A map that is made again is a new file, renamed into place**: never truncate one that a reader
  may have mapped. A running filter makes it in slices, `write` going to both.

Closing a GDBM file syncs it (no way out of that): 0.2 ms of disk time per batch on ext4, none where
the map lies on a tmpfs such as /run. Nothing rests on that sync.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

from .. import files
from ..errors import StoreBusy, StoreDamaged
from .gdbm_file import LOCK_WAIT_SECONDS, GdbmFile, Locked
from .gdbm_rebuild import NewMap, changed_copy
from .gdbm_state import State

WRITER_WAIT_SECONDS = 0.02
"""Of the writer for readers without a gap; then it changes a copy of the map, without a lock."""
BYTES_PER_ADDRESS = 320
SPARE_BYTES = 1 << 20
"""A map is worth rebuilding beyond BYTES_PER_ADDRESS for each address, and SPARE_BYTES."""
_SORTED_ENTRIES = 1 << 16


class GdbmMap:
    """An `AddressMap`; see there. Reading needs no more rights than to read the two files.

    Args:
        path: the GDBM file; its `state` is beside it in `PATH.state`.
        flock: use GDBM's lock; off only on file systems without one, and with no reader.
        say: takes a sentence the operator should read.
        mode: of both files.
        group: of both files; "": the system's.
        lock_wait_seconds: how long a method waits for another process to let go.
        genuine: whether a value belongs to its address, so that damage is not handed out.
        on_replace: called before a new file takes the map's name, with that file's number.
        position: tells the journal's.

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
        position: Callable[[], str] = str,
    ) -> None:
        self._path = path
        self._say = say
        self._mode = mode
        self._gid = files.gid_of(group)
        self._on_replace = on_replace
        self._state = State(path, mode=mode, gid=self._gid, position=position)
        self._file = GdbmFile(
            path, self._state, flock=flock, lock_wait_seconds=lock_wait_seconds, genuine=genuine
        )
        self._broken: str | None = None
        """Why the file at `path` must not be written any more."""
        self._complete = False
        """This run knows that the map has everything: it made it, or found it closed."""
        self._lacking = False
        """The journal knows more than the map, and the state says so."""
        self._fd: int | None = None
        """The map, open since the first batch: who opens it later is told of no failed sync."""
        self._next: NewMap | None = None

    # ------------------------------------------------------------------ writing

    def mark_incomplete(self) -> None:
        """See `AddressMap`."""
        if not self._lacking:
            try:
                self._state.writing()
            except OSError as error:
                raise self._file.failed("note the state of", error) from error
            self._lacking = True

    def give_up(self, why: str) -> None:
        """See `AddressMap`."""
        self._broken = self._broken or why
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
            if self._next is None:  # else the new one will be right
                raise
        if self._next is not None:
            try:
                self._file.make_sure_of_room(changes)
                self._file.put(self._next.database, changes)
            except OSError as error:
                self.abort_rebuild()
                self._say(f"{files.busy('write', self._path + '.new', error)}")

    def _write(self, changes: Mapping[str, bytes | None], *, complete: bool) -> None:
        if self._broken is not None:
            raise StoreDamaged(self._broken)
        begun = False
        try:
            self._make_sure_of_place()
            if self._file.was_touched() and self._complete:
                why = f"somebody changed the map {self._path!r} while it was in use"
                self.give_up(why)
                raise StoreDamaged(f"{why}; it is made again")
            self._file.make_sure_of_room(changes)
        except OSError as error:
            raise self._file.failed("write", error) from error
        try:
            database = self._file.open("w", wait=WRITER_WAIT_SECONDS)
        except Locked:
            self._write_to_copy(changes, complete=complete)
            return
        try:
            if not self._lacking or self._state.is_behind():
                self._state.writing()
            begun = True
            self._file.put(database, changes)
            if self._complete and complete:
                assert self._fd is not None
                self._state.ready(self._fd)
                self._lacking = False
        except OSError as error:
            if not begun:
                raise self._file.failed("note the state of", error) from error
            self._broken = (
                f"the map {self._path!r} broke while it was written: "
                f"{error.strerror or error}; it is made again"
            )
            raise StoreDamaged(self._broken) from error
        finally:
            database.close()
        self._file.note_left()

    def _write_to_copy(self, changes: Mapping[str, bytes | None], *, complete: bool) -> None:
        """Change a copy, for readers without a gap; it takes the map's name. Raises: StoreBusy."""
        assert self._fd is not None
        path = self._path + ".copy"
        new = -1
        try:
            new = changed_copy(self._file, self._fd, path, changes, self._mode, self._gid)
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
        self._file.note_left()

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

    # ------------------------------------------------------------------ reading

    def get(self, address: str) -> bytes | None:
        """See `AddressMap`."""
        return self._file.get(address)

    def items(self, *, whatever: bool = False) -> Iterator[tuple[str, bytes]]:
        """See `AddressMap`. Damaged entries are left out."""
        return self._file.items(whatever=whatever)

    def count(self) -> int:
        """See `AddressMap`."""
        return self._file.count()

    # ------------------------------------------------------------------ making it again

    def should_rebuild(self, live: int) -> bool:
        """See `AddressMap`."""
        is_big = self.size_bytes() > BYTES_PER_ADDRESS * live + SPARE_BYTES
        return self._next is None and is_big

    def size_bytes(self) -> int:
        """Return the length of the file, 0 where it is missing."""
        return self._file.size_bytes()

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
            self._next = NewMap(self._file, path, self._mode, self._gid)
        except OSError as error:
            self.abort_rebuild()
            raise files.busy("write", path, error) from error

    def rebuild_step(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """See `AddressMap`. A hundred entries take about a millisecond."""
        assert self._next is not None, "rebuild_step outside a rebuild"
        try:
            self._file.make_sure_of_room({"": b"x"})
            self._next.add(entries)
        except OSError as error:
            self.abort_rebuild()
            raise files.busy("write", self._path + ".new", error) from error

    def finish_rebuild(self, wait_seconds: float = 0.0) -> bool:
        """See `AddressMap`. The new file is synced by another thread: that can take a second."""
        new = self._next
        assert new is not None, "finish_rebuild outside a rebuild"
        try:
            if not new.is_synced(wait_seconds):
                return False
            if not self._complete:
                self._put_away_damaged()
            new.database.close()
            self._on_replace(os.fstat(new.fd).st_ino)
            os.rename(self._path + ".new", self._path)
            if not self._lacking:
                self._state.ready(new.fd)
            files.sync_directory(self._path)
        except OSError as error:
            self.abort_rebuild()
            raise files.busy("replace the map", self._path, error) from error
        if self._fd is not None:
            files.Apart(os.close, self._fd)
        self._fd = new.fd
        self._next = self._broken = None
        self._complete = True
        self._file.found_whole()
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
        if self._next is not None:
            self._next.give_up()
            self._next = None
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
        return self._broken or self._file.damaged(is_open=self._fd is not None)

    def mark_clean(self, of: str) -> None:
        """See `AddressMap`."""
        assert self._complete, "mark_clean of a map that was neither made nor found clean"
        self.abort_rebuild()
        if self._broken is not None or self._lacking:
            raise StoreBusy(self._broken or f"the map {self._path!r} lacks what the journal has")
        try:
            self._make_sure_of_place()
            if self._file.was_touched():
                raise StoreBusy(f"somebody changed the map {self._path!r} while it was in use")
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
        self._file.found_whole()
        return self._complete

    def exists(self) -> bool:
        """At start: there is something at the map's path."""
        return os.path.lexists(self._path)

    def in_order(self) -> bool:
        """At start: the map is what it was at an orderly end, for some journal."""
        return self._state.in_order()

    def journal_position(self) -> str:
        """At start: where the journal was when the map was written; empty: nobody knows."""
        return self._state.journal_position()

    def close(self) -> None:
        """See `AddressMap`."""
        self.abort_rebuild()
        self._state.close()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
