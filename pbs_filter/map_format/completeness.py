"""Decides whether an address that is missing in a map file may be taken for "no" (edge).

The filter keeps one line in `PATH.state` beside the map:

    writing                       a batch goes in, or the map is known to lack something
    ready BOOT INODE              it has everything; the id of this boot, the number of the file
    closed LENGTH SUM POSITION    so at an orderly end; of the map, and where the journal was

A reader that holds the map's lock (so that nobody is writing) and finds an address missing may
trust that in two cases. The state is `closed`, and the map still has that length and that CRC-32.
Or it is `ready` with this boot (what a running machine wrote it can read back, synced or not; after
a power cut nobody knows) and with the number that the map's file had before it was opened (a new
map may have taken its place since). In all other cases look again for a moment, then say "not now".

Behind these words the filter notes when it wrote them (nanoseconds since the epoch). A file that
was changed at another time was put back from a copy, and counts only while a filter runs: also the
map that a killed filter left may be the one that was closed before it.

In a container two processes of one boot may see two ids: systemd mounts another /proc for units
with ProtectKernelTunables= and the like, and that shows the machine's id. So `ready` with another
boot counts, too, if a filter holds its lock now and wrote the state after it took that lock: it
read its journal in this boot.

The lookups and the commands of `pbs-filter` share these rules, so that they never disagree. Small
imports only: `pbs-lookup` is started for single questions.
"""

from __future__ import annotations

import os

from ..errors import StoreDamaged

SUM_BYTES = 1 << 22
"""A closed map of up to this size is summed (2 ms) before a miss in it is trusted."""
LINE_BYTES = 256
"""A file beside the map is never longer."""
POSITION_AT = 208
"""Where the state has the journal's position and, behind it, when it was written."""
PUT_BACK_NS = 1_000_000_000
"""A state that was changed so long after it was written was put back from a copy."""


class Completeness:
    """Judges misses in the map at `path`; remembers the closed map that it has summed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._boot = b""
        self._summed: tuple[int, int, int] | None = None

    def is_complete(self, inode: int) -> bool:
        """Return whether the map in file number `inode`, which nobody is writing, lacks nothing.

        Raises:
            StoreDamaged: it is not what it was when it was closed.
            OSError: it cannot be read.
        """
        text, changed = read_file(self._path + ".state")
        words = text[:POSITION_AT].split()
        if words[:1] == [b"closed"] and len(words) > 2:
            self._check_closed(words[1], words[2])
        elif words[:1] != [b"ready"] or words[2:] != [b"%d" % inode]:
            return False
        written = text[POSITION_AT:].split()[1:2]
        if written and abs(changed - _number(written[0])) > PUT_BACK_NS:
            # Somebody put it back, or only changed its mode.
            return is_written_by_running_filter(self._path)
        if words[0] == b"closed":
            return True
        self._boot = self._boot or boot_id()
        # A sandbox may hide which boot this is; then any will do.
        if self._boot in (b"", words[1]):
            return True
        # In a container there may be two ids of one boot.
        is_ours = is_written_by_running_filter(self._path)
        return is_ours and text == read_file(self._path + ".state")[0]

    def _check_closed(self, length: bytes, checksum: bytes) -> None:
        """Raise StoreDamaged where the closed map has lost its end, or some bytes.

        GDBM itself would say "not there".
        """
        status = os.stat(self._path)
        version = status.st_ino, status.st_mtime_ns, status.st_size
        if version == self._summed:
            return
        if length != b"%d" % status.st_size or (
            status.st_size <= SUM_BYTES and checksum != _sum(self._path)
        ):
            raise StoreDamaged(f"map {self._path}: not what it was when it was closed")
        self._summed = version


def _number(word: bytes) -> int:
    return int(word) if word.isdigit() else 0


def is_written_by_running_filter(path: str) -> bool:
    """Return whether a filter runs that has written the state of the map at `path`."""
    import fcntl

    try:
        descriptor = os.open(path + ".lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            started = os.fstat(descriptor).st_mtime_ns
            return os.stat(path + ".state").st_mtime_ns >= started
        finally:
            os.close(descriptor)
    except OSError:
        pass  # no filter ever ran here, or it cannot be seen
    return False


def boot_id() -> bytes:
    """Return the id of this start of the machine; empty where a sandbox hides it."""
    return read_file("/proc/sys/kernel/random/boot_id")[0].strip()


def read_file(path: str) -> tuple[bytes, int]:
    """Return the beginning of a small file, nothing where it cannot be read, and when it was
    changed last (nanoseconds since the epoch)."""
    try:
        # A pipe in its place must not keep the reader waiting.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return os.read(descriptor, LINE_BYTES), os.fstat(descriptor).st_ctime_ns
        finally:
            os.close(descriptor)
    except OSError:
        return b"", 0


def _sum(path: str) -> bytes:
    """Return the CRC-32 of a file, as the map's state has it."""
    from binascii import crc32

    total = 0
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while block := os.read(descriptor, 1 << 20):
            total = crc32(block, total)
    finally:
        os.close(descriptor)
    return b"%08x" % total
