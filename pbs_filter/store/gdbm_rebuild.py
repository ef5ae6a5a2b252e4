"""A new file for a map is made here: the map made anew beside the present one, or a changed copy.

Both take the map's name by a rename in `gdbm_map`: never truncate a file that a reader may have
mapped.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from fcntl import LOCK_NB, LOCK_SH, LOCK_UN, flock

from .. import files
from .gdbm_file import Database, GdbmFile, bucket


class NewMap:
    """A map that is made anew in the file `path`.

    Args:
        file: the present map.
        path: of the new file; whoever renames it calls `close` too.
        mode: of the new file.
        gid: of the new file; None: as the system gives it.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, file: GdbmFile, path: str, mode: int, gid: int | None) -> None:
        self.fd = files.create(path, mode, gid)
        try:
            self.database: Database = file.gnu.open(path, "nu")
        except OSError:
            os.close(self.fd)
            raise
        self._syncing: files.Apart | None = None

    def add(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """Store `entries` in the order of their buckets. Raises: OSError."""
        for address, value in sorted(entries, key=bucket):
            self.database[address.encode("ascii")] = value

    def is_synced(self, wait_seconds: float) -> bool:
        """Return whether the file is on the disk; another thread syncs it. Raises: OSError."""
        if self._syncing is None:
            self._syncing = files.Apart(os.fsync, self.fd)
        if wait_seconds and self._syncing.is_alive():
            self._syncing.join(wait_seconds)
        if self._syncing.is_alive():
            return False
        if self._syncing.error is not None:
            raise self._syncing.error
        return True

    def give_up(self) -> None:
        """Close the file, once the other thread has left it."""
        if self._syncing is not None:
            self._syncing.join()
        self.database.close()
        os.close(self.fd)


def changed_copy(
    file: GdbmFile,
    fd: int,
    path: str,
    changes: Mapping[str, bytes | None],
    mode: int,
    gid: int | None,
) -> int:
    """Make a changed copy of the map, which needs no lock.

    Args:
        file: the map.
        fd: of the map.
        path: of the copy.
        changes: made in the copy.
        mode: of the copy.
        gid: of the copy; None: as the system gives it.

    Returns:
        The descriptor of the copy.

    Raises:
        StoreBusy: somebody else writes in the map.
        OSError: the copy cannot be made.
    """
    try:
        flock(fd, LOCK_SH | LOCK_NB)
    except BlockingIOError:
        raise file.locked() from None
    try:
        memory = files.copy_of(fd)
    finally:
        flock(fd, LOCK_UN)
    new = -1
    try:
        with file.gnu.open(f"/proc/self/fd/{memory}", "wu") as database:
            file.put(database, changes)
        new = files.create(path, mode, gid)
        files.send_all(new, memory)
    except OSError:
        if new >= 0:
            os.close(new)
        raise
    finally:
        os.close(memory)
    return new
