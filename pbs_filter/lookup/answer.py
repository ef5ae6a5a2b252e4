"""One question to the map: may this address relay now? Yes, no, or "not now".

A reader opens the map, gets, and closes: a GDBM file that stays open misses what is written later.
Nothing here says YES on trouble, and trouble is not NO either: the MTA must be able to say "try
again" to somebody who may relay.

Start-up time decides what is imported: no `socket`, `signal`, `ipaddress`, `typing` (each costs
milliseconds), but the C modules below them.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import posix
import time
from errno import EAGAIN

from ..errors import ConfigError, PbsFilterError, StoreBusy, StoreDamaged
from ..map_format import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Reader(Protocol):
        """What a kind of map offers to lookups."""

        def get(self, address: str) -> bytes | None:
            """The value of a canonical address, None where there is none.

            `Locked` for what may pass within milliseconds, another `PbsFilterError` otherwise.
            """

    Owns = Callable[[str, bytes], bool]
    """(user, sender): may the user send as `sender`?"""

YES, NO, NOT_NOW = "yes", "no", "not now"

DEFAULT_MAP = "/var/lib/pbs-filter/map.gdbm"
PATIENCE_SECONDS = 0.2
"""How long a question waits for a writer that holds the map."""
PAUSE_SECONDS = 0.001
"""Between two attempts: a writer holds the map for about 0.2 ms."""
HANG_SECONDS = 1.5
"""An attempt that takes longer ends the process (see `guarded`)."""

SUM_BYTES = 1 << 22
"""A closed map of up to this size is summed (2 ms) before a miss in it is believed."""

_MAPPED = bytes(10) + b"\xff\xff"


class Locked(StoreBusy):
    """A writer holds the map at this moment."""


def canonical(key: bytes, ipv6_prefix: int = 128) -> str | None:
    """The address text under which the map knows `key`, or None where `key` is not an address.

    Every spelling in which an MTA sends the address is the same one: `::1`, `[::1]`,
    `IPv6:2001:DB8::1`, `ipv6:2001:db8:0:1:0:0:0:7`, `::ffff:192.0.2.7`. Names, networks, zones and
    numbers with leading zeros are not addresses. With an `ipv6_prefix` below 128 the map has
    networks, `2001:db8::/64`, as the filter's option of that name makes them.
    """
    if key[:1] == b"[" and key[-1:] == b"]":
        key = key[1:-1]
    if key[:5].lower() == b"ipv6:":
        key = key[5:]
        if b":" not in key:
            return None
    try:
        text = key.decode("ascii")
        if ":" not in text:
            return _socket.inet_ntop(_socket.AF_INET, _socket.inet_pton(_socket.AF_INET, text))
        packed = _socket.inet_pton(_socket.AF_INET6, text)
    except (OSError, ValueError):  # ValueError: not ASCII, or a NUL inside
        return None
    if packed[:12] == _MAPPED:
        return _socket.inet_ntop(_socket.AF_INET, packed[12:])
    if ipv6_prefix == 128:
        return _socket.inet_ntop(_socket.AF_INET6, packed)
    behind = 128 - ipv6_prefix
    network = (int.from_bytes(packed, "big") >> behind << behind).to_bytes(16, "big")
    return f"{_socket.inet_ntop(_socket.AF_INET6, network)}/{ipv6_prefix}"


class GdbmReader:
    """Reads a GDBM file that somebody else writes; it is open only while `get` runs."""

    def __init__(self, path: str) -> None:
        try:
            import _gdbm
        except ImportError:
            raise ConfigError(
                f"cannot read {path!r}: this Python has no gdbm module; "
                "install it (Debian: python3-gdbm), or use the distribution's own python3"
            ) from None
        self._path = path
        self._open, self._error = _gdbm.open, _gdbm.error
        self._boot = b""
        """Which start of this machine this is; empty: not known, or not yet."""
        self._good: tuple[int, ...] = ()
        """The closed map that was found right."""

    def get(self, address: str) -> bytes | None:
        """The value stored for `address`; raises `Locked`, `StoreBusy` or `StoreDamaged`."""
        try:
            found = posix.stat(self._path)
            # Anything else (a FIFO above all) could keep the open waiting for ever.
            if found.st_mode & 0o170000 != 0o100000:
                raise StoreDamaged(f"map {self._path}: not a regular file")
            database = self._open(self._path, "r")
        except OSError as error:  # _gdbm.error is one
            if error.errno == EAGAIN:
                raise Locked(f"map {self._path}: locked by a writer") from None
            kind = StoreBusy if error.errno else StoreDamaged
            raise kind(f"map {self._path}: {error.strerror or error}") from None
        try:
            key = address.encode("ascii")
            value: bytes | None = database.get(key)
            if value is None:
                self._make_sure(database, key)
                if not self._complete(found.st_ino):
                    # The filter is just about to say so; or it died inside a change, and then only
                    # its next start knows what is missing.
                    raise Locked(f"map {self._path}: its filter has not said that it is complete")
            return value
        finally:
            database.close()

    def _complete(self, inode: int) -> bool:
        """Whether the map in file number `inode`, with nobody writing in it, has every address.

        The filter notes it beside the map: `pbs_filter/store/gdbm_state.py` tells how.
        """
        words = _read(self._path + ".state").split()
        if words[:1] == [b"closed"] and len(words) > 2:
            return self._as_closed(words[1], words[2])
        if not self._boot:
            self._boot = _read("/proc/sys/kernel/random/boot_id").strip()
        # A sandbox may hide which boot this is; then any will do.
        boot = self._boot or b"".join(words[1:2])
        if words == [b"ready", boot, b"%d" % inode]:
            return True
        # In a container there may be two ids of one boot.
        from ..map_format.completeness import is_written_by_running_filter

        return (
            words[:1] == [b"ready"]
            and words[2:] == [b"%d" % inode]
            and is_written_by_running_filter(self._path)
            and words == _read(self._path + ".state").split()
        )

    def _as_closed(self, length: bytes, checksum: bytes) -> bool:
        """Whether the map is what it was when it was closed: nobody writes, so it should be.

        A file that has lost its end, or some bytes, otherwise says "not there".
        """
        found = posix.stat(self._path)
        name = found.st_ino, found.st_mtime_ns, found.st_size
        if name != self._good:
            if length != b"%d" % found.st_size:
                raise StoreDamaged(f"map {self._path}: not what it was when it was closed")
            if found.st_size <= SUM_BYTES and checksum != _sum(self._path):
                raise StoreDamaged(f"map {self._path}: not what it was when it was closed")
            self._good = name
        return True

    def _make_sure(self, database: object, key: bytes) -> None:
        """Tell "it is not there" from "the file is damaged": `get` says None to both.

        GDBM remembers that the file needs recovery, and says so in every writing call before it
        says that a reader cannot write. len() would tell too, but it walks the whole file: 17 ms
        with a million entries, against 1 µs.
        """
        try:
            del database[key]  # type: ignore[attr-defined]
        except self._error as error:
            if "reader can't delete" not in str(error).lower():
                raise StoreDamaged(f"map {self._path}: {error}") from None


class Watch:
    """The wall clock, as long as nobody has set it back since the filter wrote its `PATH.clock`.

    What the map says is told by the filter's clock. One that was set back would make every entry
    live longer, until a running filter has moved them all; with none running, for good. So the
    filter notes how far its clock is from the machine's own, which nobody can set.
    """

    def __init__(self, path: str) -> None:
        self._path = path + ".clock"
        self._boot = b""

    def now(self) -> float:
        """Seconds since the epoch; the later of both clocks."""
        now = time.time()
        try:
            offset, boot = _content(self._path).split()
            if not self._boot:
                self._boot = _content("/proc/sys/kernel/random/boot_id").strip()
            if boot == self._boot:
                return max(now, time.clock_gettime(time.CLOCK_BOOTTIME) + float(offset))
        except (OSError, ValueError):
            pass  # no filter, or one of a machine that has been started anew since
        return now


def _content(path: str) -> bytes:
    """The beginning of a small file. Raises `OSError`."""
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    try:
        return posix.read(descriptor, 200)
    finally:
        posix.close(descriptor)


def _read(path: str) -> bytes:
    """What a small file says; nothing where it cannot be read."""
    try:
        return _content(path)
    except OSError:
        return b""


def _sum(path: str) -> bytes:
    """The CRC-32 of a file, as the map's state has it. Raises `OSError`."""
    from binascii import crc32

    total = 0
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        while block := posix.read(descriptor, 1 << 20):
            total = crc32(block, total)
    finally:
        posix.close(descriptor)
    return b"%08x" % total


def open_reader(*locations: str) -> Reader:
    """The reader for the map at `locations`: the path of a GDBM file, or where it is in Redis.

    Several are servers with the same map, asked in this order until one can say. Raises
    `ConfigError` where we have no reader for that.
    """
    files = [location for location in locations if "://" not in location]
    if len(locations) == 1 and files:
        return GdbmReader(files[0])
    if files:
        raise ConfigError(
            f"map {files[0]!r} is a file, and a map in a file is alone; give it without "
            "the others, or several maps in Redis"
        )
    from .redis_reader import RedisReader

    return RedisReader(locations)


def guarded(reader: Reader, address: str) -> bytes | None:
    """`reader.get(address)`, but the process ends (SIGALRM) where it hangs for HANG_SECONDS.

    The MTA takes a lost connection for "not now", at once, where a hung one costs it 100 seconds.
    Nothing gentler works: a file system that hangs does so inside GDBM, with Python's lock held.
    """
    _signal.setitimer(_signal.ITIMER_REAL, HANG_SECONDS)
    try:
        return reader.get(address)
    finally:
        _signal.setitimer(_signal.ITIMER_REAL, 0)


class Lookup:
    """Answers questions from one map, with the sender binding where there is one."""

    def __init__(
        self,
        reader: Reader,
        *,
        ipv6_prefix: int = 128,
        owns: Owns | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._reader = reader
        self._now = now
        self._ipv6_prefix = ipv6_prefix
        self._owns = owns
        self.trouble = ""
        """What stood in the way of the last NOT_NOW, for logs."""

    def attempt(self, address: bytes, sender: bytes | None, now: float | None = None) -> str:
        """YES, NO or NOT_NOW for `address` at `now` (seconds since the epoch; None: now).

        `sender` counts where senders are bound to users, and then None belongs to nobody.
        Raises `Locked` where another attempt may do better; nothing else.
        """
        try:
            canonical_address = canonical(address, self._ipv6_prefix)
            if canonical_address is None:
                return NO
            value = guarded(self._reader, canonical_address)
            if value is None:
                return NO
            key = canonical_address.encode("ascii")
            if not check.is_current(key, value, self._now() if now is None else now):
                if not check.is_intact(key, value):
                    raise StoreDamaged(f"the entry of {canonical_address} is damaged")
                return NO
            if self._owns is None:
                return YES
            # None: a name that the map may have cut; two users could share it.
            user = check.user(value)
            owned = user is not None and sender is not None and self._owns(user, sender)
            return YES if owned else NO
        except Locked:
            raise
        except (PbsFilterError, OSError, MemoryError) as error:
            self.trouble = str(error) or type(error).__name__
            return NOT_NOW

    def ask(
        self, address: bytes, sender: bytes | None = None, patience: float | None = None
    ) -> str:
        """Like `attempt` now, and again while a writer holds the map, until `patience`.

        `patience` is a time of `time.monotonic()`, by default PATIENCE_SECONDS from now.
        """
        if patience is None:
            patience = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self.attempt(address, sender)
            except Locked as error:
                if time.monotonic() >= patience:
                    self.trouble = str(error)
                    return NOT_NOW
            time.sleep(PAUSE_SECONDS)
