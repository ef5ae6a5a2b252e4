"""The state file says whether a map has everything: a line in a file beside it, which readers may
look at too.

    writing                       a batch goes in, or the map is known to lack something
    ready BOOT INODE              it has everything; the id of this boot, the number of the file
    closed LENGTH SUM POSITION    so at an orderly end; of the map, and where the journal was

Who holds the map's lock (so that nobody is writing) and finds an address missing may believe it if
the state is `closed`, or if it is `ready` with this boot (what a running machine wrote it can read
back, synced or not; after a power cut nobody knows) and the number that the map's file had before
it was opened (a new map may have taken its place since). Otherwise look again for a moment, then
say "not now".

In a container two processes of one boot may see two ids: systemd mounts another /proc for units
with ProtectKernelTunables= and the like, and that shows the machine's id. So `ready` with another
boot counts, too, if a filter holds its lock now and wrote the state after it took that: it read its
journal in this boot.

At start only `closed` counts, and only if length, sum and journal position are what is noted; else
the map is made again.

Behind these words the line has the position that the journal had (the map knows nothing that was
told later), and when it was written, by which lookups know a copy that was put back. It is of
constant length, so that one write replaces it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from zlib import crc32

from .. import files
from ..map_format.completeness import (
    LINE_BYTES,
    POSITION_AT,
    PUT_BACK_NS,
    boot_id,
    is_written_by_running_filter,
)

SOON_NS = PUT_BACK_NS // 2
_BLOCK_BYTES = 1 << 20


def _checksum(fd: int) -> tuple[int, int]:
    """Return the length and CRC-32 of an open file. Raises: OSError."""
    length = total = 0
    while block := os.pread(fd, _BLOCK_BYTES, length):
        length += len(block)
        total = crc32(block, total)
    return length, total


class State:
    """The state of the map at `path`; `mode` and `gid` are for the file that keeps it. `position`
    tells that of the journal."""

    def __init__(
        self, path: str, *, mode: int, gid: int | None, position: Callable[[], str] = str
    ) -> None:
        self._map = path
        self._path = path + ".state"
        self._mode = mode
        self._gid = gid
        self._position = position
        self._noted = ""
        """The position that was written last."""
        self._boot = boot_id().decode("ascii") or "-"
        self._fd: int | None = None
        self._first = True
        """Nothing of this run is durable: a power cut may bring an old `closed` back."""

    def _text(self) -> str:
        """Return the content of the file; empty where it cannot be read."""
        try:
            return files.read_beginning(self._path, LINE_BYTES).decode("ascii", "replace")
        except OSError:
            return ""

    def _words(self) -> list[str]:
        return self._text()[:POSITION_AT].split()

    def journal_position(self) -> str:
        """Return the position that the journal had when this was written; empty: nobody knows."""
        position = self._text()[POSITION_AT:].split()[:1]
        return "".join(position).strip("-")

    def is_behind(self) -> bool:
        """The journal has gone on since this run wrote the state."""
        return self._noted != self._position()

    def complete(self, inode: int) -> bool:
        """Return whether the map in file number `inode`, which nobody writes, has everything."""
        words = self._words()
        if words[:1] == ["closed"] or words == ["ready", self._boot, str(inode)]:
            return True
        if words[:1] != ["ready"] or words[2:] != [str(inode)]:
            return False
        return is_written_by_running_filter(self._map) and words == self._words()

    def _closed_and_same(self) -> list[str]:
        """Return `closed` and what belongs to it, if it is what the map is; else nothing."""
        words = self._words()
        if words[:1] != ["closed"]:
            return []
        try:
            with open(self._map, "rb") as file:
                length, total = _checksum(file.fileno())
        except OSError:
            return []
        return words if words[1:3] == [str(length), f"{total:08x}"] else []

    def was_closed(self, of: str) -> bool:
        """The map is what it was at an orderly end, with the journal at position `of`."""
        return self._closed_and_same()[3:] == [of]

    def in_order(self) -> bool:
        """The map is what it was at an orderly end, wherever the journal is now."""
        return bool(self._closed_and_same())

    def changed_since_closed(self) -> bool:
        """The map was closed, and somebody changed it since."""
        return self._words()[:1] == ["closed"] and not self._closed_and_same()

    def writing(self) -> None:
        """A batch begins, or something is missing. Raises: OSError, ConfigError."""
        self._set("writing")

    def ready(self, fd: int) -> None:
        """The map that is open at `fd` has everything. Raises: OSError, ConfigError."""
        self._set("ready", self._boot, str(os.fstat(fd).st_ino))

    def closed(self, fd: int, of: str) -> None:
        """An orderly end; the map is open at `fd`, and synced. Raises: OSError, ConfigError."""
        length, total = _checksum(fd)
        self._set("closed", str(length), f"{total:08x}", of)

    def _set(self, *words: str) -> None:
        if self._fd is None or not os.fstat(self._fd).st_nlink:  # somebody removed it
            self._open()
        assert self._fd is not None
        self._noted = self._position()
        line = " ".join(words).ljust(POSITION_AT) + (self._noted or "-")
        for _ in range(2):
            now = time.clock_gettime_ns(time.CLOCK_REALTIME)
            os.pwrite(self._fd, f"{line} {now}".ljust(LINE_BYTES - 1).encode() + b"\n", 0)
            if time.clock_gettime_ns(time.CLOCK_REALTIME) - now < SOON_NS:
                break  # else it would look like a copy
        if self._first or words[0] == "closed":
            os.fsync(self._fd)
            self._first = False

    def _open(self) -> None:
        self.close()
        files.check_file(self._path)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._fd = fd
        self._first = True
        files.give(fd, self._path, self._mode, self._gid)

    def close(self) -> None:
        """Give the file back."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
