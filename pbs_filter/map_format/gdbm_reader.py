"""Reads the map in a GDBM file that another process writes (edge).

The file is open only while a question is answered: GDBM misses what is written later in a file
that stays open. Lookups and the commands of `pbs-filter` read through this one class, so that they
never disagree about a damaged or incomplete map.
"""

from __future__ import annotations

import os
import stat
import time
from errno import EAGAIN

from ..errors import ConfigError, StoreBusy, StoreDamaged, StoreLocked
from ..text import counted
from . import check
from .completeness import Completeness
from .map_clock import MapClock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeVar

    Found = TypeVar("Found")

PATIENCE_SECONDS = 0.2
"""How long a question waits for a writer that holds the map."""
PAUSE_SECONDS = 0.001
"""Between two attempts: a writer holds the map for about 0.2 ms."""


def patiently(
    question: Callable[[], Found], until: float | None = None, pause: float = PAUSE_SECONDS
) -> Found:
    """Return what `question()` returns; call it again while a writer holds the map.

    Args:
        question: raises StoreLocked while it cannot be answered.
        until: a time of `time.monotonic()`, by default PATIENCE_SECONDS from now; then StoreLocked
            goes on to the caller.
        pause: seconds between two calls.
    """
    end = time.monotonic() + PATIENCE_SECONDS if until is None else until
    while True:
        try:
            return question()
        except StoreLocked:
            if time.monotonic() >= end:
                raise
        time.sleep(pause)


class GdbmReader:
    """One map file, opened for each question.

    Args:
        path: the GDBM file.
        locking: take GDBM's lock; off only on file systems without one.

    Raises:
        ConfigError: this Python has no GDBM.
    """

    def __init__(self, path: str, *, locking: bool = True) -> None:
        try:
            import _gdbm
        except ImportError:
            raise ConfigError(
                f"cannot read {path!r}: this Python has no gdbm module; "
                "install it (Debian: python3-gdbm), or use the distribution's own python3"
            ) from None
        self._path = path
        self._flag = "r" if locking else "ru"
        self._gdbm_open, self._error = _gdbm.open, _gdbm.error
        self._completeness = Completeness(path)
        self._clock = MapClock(path)

    def get(self, address: str) -> bytes | None:
        """Return the value stored for `address`, None where it is certain that there is none.

        Raises:
            StoreLocked: a writer holds the map at this moment.
            StoreBusy, StoreDamaged: the map cannot say.
        """
        values = self.entries(address, users=False)
        return values[0][1] if values else None

    def entries(self, address: str, *, users: bool = True) -> list[tuple[bytes, bytes]]:
        """Return key and value of `address`, and those of each of its users; [] where none is.

        Raises:
            StoreLocked, StoreBusy, StoreDamaged: see `get`.
        """
        inode = self._inode()
        database = self._open(self._path)
        try:
            key = address.encode("ascii")
            value: bytes | None = database.get(key)
            if value is None:
                self._refuse_damage(database, key)
                self._refuse_incomplete(inode)
                return []
            if not check.is_intact(key, value):
                return [(key, value)]
            self._refuse_doubtful_end(key, value, inode)
            return [(key, value), *(self._users(database, key, value) if users else ())]
        finally:
            database.close()

    def _users(self, database: Any, key: bytes, value: bytes) -> Iterator[tuple[bytes, bytes]]:
        for user_key in check.user_keys(key, value):
            user_value = database.get(user_key)
            if user_value is None:  # they are written together
                raise StoreDamaged(f"map {self._path}: {user_key.decode()} cannot be found in it")
            yield user_key, user_value

    def items(self) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield the `entries` of every address at one moment, in no order.

        Raises:
            StoreLocked: a writer has held the map for PATIENCE_SECONDS.
            StoreBusy, StoreDamaged: the map cannot say, or not to its end.
        """
        descriptor = patiently(self._copy)
        try:
            database = self._open(f"/proc/self/fd/{descriptor}")
            try:
                remaining = len(database)
                key = database.firstkey()
                while key is not None and remaining:  # damage can lead GDBM in a circle
                    remaining -= 1
                    value = database.get(key)
                    if value is None:
                        raise StoreDamaged(f"map {self._path}: {key[:60]!r} cannot be found in it")
                    if b"#" not in key:
                        is_intact = check.is_intact(key, value)
                        users = self._users(database, key, value) if is_intact else ()
                        yield [(key, value), *users]
                    key = database.nextkey(key)
                if remaining:
                    raise StoreDamaged(
                        f"map {self._path}: {counted(remaining, 'address')} cannot be found"
                    )
            except self._error as error:
                raise StoreDamaged(f"map {self._path}: {error}") from None
            finally:
                database.close()
        finally:
            os.close(descriptor)

    def _inode(self) -> int:
        try:
            status = os.stat(self._path)
        except OSError as error:
            raise StoreBusy(f"map {self._path}: {error.strerror}") from None
        # Anything else (a FIFO above all) could keep the open waiting for ever.
        if not stat.S_ISREG(status.st_mode):
            raise StoreDamaged(f"map {self._path}: not a regular file")
        return status.st_ino

    def _open(self, path: str) -> Any:
        try:
            return self._gdbm_open(path, self._flag)
        except OSError as error:  # _gdbm.error is one
            if error.errno == EAGAIN:
                raise StoreLocked(f"map {self._path}: locked by a writer") from None
            kind = StoreBusy if error.errno else StoreDamaged
            raise kind(f"map {self._path}: {error.strerror or error}") from None

    def _refuse_damage(self, database: Any, key: bytes) -> None:
        """Tell "it is not there" from "the file is damaged": `get` says None to both.

        GDBM remembers that the file needs recovery, and says so in every writing call before it
        says that a reader cannot write. len() would tell too, but it walks the whole file: 17 ms
        with a million entries, against 1 µs.
        """
        try:
            del database[key]
        except self._error as error:
            if "reader can't delete" not in str(error).lower():
                raise StoreDamaged(f"map {self._path}: {error}") from None

    def _refuse_doubtful_end(self, key: bytes, value: bytes, inode: int) -> None:
        """Refuse a value that has ended by one clock alone, or in an incomplete map.

        After the clock was set the filter moves every end; and a later login may be on its way.
        """
        bounds = self._clock.bounds()
        if bounds is None:
            raise StoreLocked(f"map {self._path}: its .clock, which tells its clock, is missing")
        earliest, latest = bounds
        if check.is_current(key, value, latest):
            return
        if not check.is_over(value, earliest, latest):
            raise StoreLocked(f"map {self._path}: the clock was set; its filter moves every end")
        self._refuse_incomplete(inode)

    def _refuse_incomplete(self, inode: int) -> None:
        try:
            complete = self._completeness.is_complete(inode)
        except OSError as error:
            raise StoreBusy(f"map {self._path}: {error.strerror}") from None
        if not complete:
            # The filter is just about to say so; or it died inside a change, and then only its
            # next start knows what is missing.
            raise StoreLocked(f"map {self._path}: its filter has not said that it is complete")

    def _copy(self) -> int:
        """Return a descriptor of a copy: in memory, or of a big map in a file without a name.

        A walk of seconds must not keep a writer waiting.
        """
        from fcntl import LOCK_NB, LOCK_SH, flock

        from .. import files

        self._inode()
        try:
            with open(self._path, "rb", buffering=0) as file:
                if self._flag == "r":
                    flock(file, LOCK_SH | LOCK_NB)
                self._refuse_incomplete(os.fstat(file.fileno()).st_ino)
                # A file that is cut short meanwhile is damaged: GDBM says so.
                return files.copy_of(file.fileno())
        except BlockingIOError:
            raise StoreLocked(f"map {self._path}: locked by a writer") from None
        except OSError as error:
            raise StoreBusy(f"map {self._path}: {error.strerror}") from None
