"""Remembers in a small file the filters that write to a map in Redis, for lookups (edge).

Each filter's journal remembers the others. Where those journals are lost together with the data of
Redis, this file still tells a lookup that somebody has not sent what he acknowledged. The first
line is the checksum of the rest; each other line is `END NAME`, see `map_format.redis_members`.
"""

from __future__ import annotations

import os
import time
from binascii import crc32

from ..errors import StoreBusy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MOST = 1000
_NAME_BYTES = 256
_BYTES = 1 << 19
PAUSE_SECONDS = 10.0
"""A file that cannot be written is tried again after this, or when a member is new: there may be
hundreds of misses a second."""
ROUGH_SECONDS = 3600
"""The file is written when the END of a member is so much later than that which it has, and not at
each sign of life; what it has is that much later, so that it is never too early."""


class KnownMembers:
    """The members of the map at `locations`, as a file in `directory` remembers them.

    Lookups of several processes may share the directory. Each map has a file of its own there.

    Args:
        directory: which these lookups may write.
        locations: of the map.
        say: takes a sentence that the operator should read; the first text is its cause.
        timer: tells seconds of a clock that nobody sets.
    """

    def __init__(
        self,
        directory: str,
        locations: Sequence[str],
        say: Callable[[str, str], None],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = f"{directory}/members-{crc32(' '.join(locations).encode()):08x}"
        self._say = say
        self._ends: dict[bytes, int] | None = None
        """As far as it was read."""
        self._is_written = True
        self._timer = timer
        self._write_at = 0.0
        """From when on a file that could not be written is tried again."""

    def ends(self) -> dict[bytes, int]:
        """Return when nothing of each member lives any more, epoch seconds.

        Raises:
            StoreBusy: the file is there, and cannot be read.
        """
        if self._ends is None:
            self._ends = self._read()
        return self._ends

    def learn(self, told: Mapping[bytes, int], now: int) -> None:
        """Remember the members that Redis told at `now` (epoch seconds); trouble is said.

        Args:
            told: see `redis_members.Members.ends`.
            now: by the clock of Redis.

        Raises:
            StoreBusy: the file is there, and cannot be read.
        """
        known = self.ends()
        kept = {name: end for name, end in known.items() if end > now and told.get(name, end)}
        for name, end in told.items():
            is_news = end > max(now, known.get(name, 0)) and _is_name(name)
            if is_news and (name in kept or len(kept) < MOST):
                kept[name] = end + ROUGH_SECONDS
        if kept == known and (self._is_written or self._timer() < self._write_at):
            return
        self._ends = kept
        self._write_at = self._timer() + PAUSE_SECONDS
        self._is_written = False
        try:
            # Another process may have learned more.
            beside = self._read().items()
            more = {
                n: end for n, end in beside if end > now and n not in known and told.get(n, end)
            }
            self._write({**more, **kept})
            self._is_written = True
        except OSError as error:
            from ..files import busy

            self._say(self._path, str(busy("write", self._path, error)))
        except StoreBusy as error:
            self._say(self._path, str(error))

    def _read(self) -> dict[bytes, int]:
        from ..files import busy, read_beginning

        try:
            content = read_beginning(self._path, _BYTES)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise busy("read", self._path, error) from None
        checksum, _, lines = content.partition(b"\n")
        if checksum != _checksum(lines):
            self._say(
                self._path,
                f"the file {self._path!r} is damaged, so that the filters which it remembered are "
                "known from Redis alone; it is written anew",
            )
            return {}
        ends = (line.partition(b" ") for line in lines.splitlines())
        return {name: int(end) for end, _, name in ends if end.isdigit()}

    def _write(self, ends: Mapping[bytes, int]) -> None:
        from ..files import write_anew

        lines = b"".join(b"%d %b\n" % (end, name) for name, end in sorted(ends.items()))
        # Readable for all, and nothing secret: a person who asks as root must not lock lookups out.
        content = b"%b\n%b" % (_checksum(lines), lines)
        write_anew(self._path, content, 0o644, None, draft=f"{self._path}.{os.getpid()}.new")


def _checksum(lines: bytes) -> bytes:
    return b"%08x" % crc32(lines)


def _is_name(name: bytes) -> bool:
    """Whether it is one word, as `redis_members.spelled` makes it: Redis may hold anything."""
    return 0 < len(name) <= _NAME_BYTES and all(33 <= byte <= 126 for byte in name)
