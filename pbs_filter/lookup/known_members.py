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
"""The file is looked at again after this, and written where it is gone, spoilt or could not be
written, or when a member is new: there may be hundreds of misses a second."""
ROUGH_SECONDS = 3600
"""The file is written when the END of a member is so much later than that which it has, and not at
each sign of life; what it has is that much later, so that it is never too early."""


class _FileDamaged(StoreBusy):
    """The file is there, and is not what was written."""


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
        self._directory = directory
        self._path = f"{directory}/members-{crc32(' '.join(locations).encode()):08x}"
        self._say = say
        self._ends: dict[bytes, int] | None = None
        """As far as it was read."""
        self._is_written = True
        self._timer = timer
        self._look_at = 0.0
        """From when on the file is looked at again."""

    def ends(self) -> dict[bytes, int]:
        """Return when nothing of each member lives any more, epoch seconds.

        Raises:
            StoreBusy: the file cannot be read or is damaged, or its directory is missing.
        """
        if self._ends is None:
            self._ends = self._read()
            self._look_at = self._timer() + PAUSE_SECONDS
        return self._ends

    def learn(self, told: Mapping[bytes, int], now: int) -> None:
        """Remember the members that Redis told at `now` (epoch seconds); trouble is said.

        Args:
            told: see `redis_members.Members.ends`.
            now: by the clock of Redis.

        Raises:
            StoreBusy: see `ends`.
        """
        known = self.ends()
        kept = {name: end for name, end in known.items() if end > now and told.get(name, end)}
        for name, end in told.items():
            is_news = end > max(now, known.get(name, 0)) and _is_name(name)
            if is_news and (name in kept or len(kept) < MOST):
                kept[name] = end + ROUGH_SECONDS
        if kept == known and self._timer() < self._look_at:
            return
        self._is_written = self._is_written and kept == known
        self._ends = kept
        self._look_at = self._timer() + PAUSE_SECONDS
        try:
            # Another process may have learned more; and a person may have removed or spoilt it.
            beside = self._read_if_whole()
            for name, end in beside.items():
                is_later = end > max(now, kept.get(name, 0)) and told.get(name, end)
                if is_later and (name in kept or len(kept) < MOST):
                    kept[name] = end
            if self._is_written and all(beside.get(name) == end for name, end in kept.items()):
                return
            self._is_written = False
            self._write(kept)
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
            if os.path.isdir(self._directory):
                return {}
            raise StoreBusy(
                f"the directory {self._directory!r} of --members is missing, and what it knew "
                "of the filters with it: create it, writable for this account, when all filters run"
            ) from None
        except OSError as error:
            raise busy("read", self._path, error) from None
        checksum, _, lines = content.partition(b"\n")
        if checksum != _checksum(lines):
            raise _FileDamaged(
                f"the file {self._path!r} is damaged, and what it remembered of the filters is "
                "lost: remove it when all filters run, and it is made anew"
            )
        ends = (line.partition(b" ") for line in lines.splitlines())
        return {name: int(end) for end, _, name in ends if end.isdigit()}

    def _read_if_whole(self) -> dict[bytes, int]:
        try:
            return self._read()
        except _FileDamaged:
            self._say(self._path, f"the file {self._path!r} was damaged; it is written from memory")
            return {}

    def _write(self, ends: Mapping[bytes, int]) -> None:
        from ..files import write_anew

        lines = b"".join(b"%d %b\n" % (end, name) for name, end in sorted(ends.items()))
        # Readable for all, and nothing secret: a person who asks as root must not lock lookups out.
        content = b"%b\n%b" % (_checksum(lines), lines)
        draft = f"{self._path}.{os.getpid()}.new"
        # An empty file after a power cut would keep all misses at "not now".
        write_anew(self._path, content, 0o644, None, draft, is_synced=True)


def _checksum(lines: bytes) -> bytes:
    return b"%08x" % crc32(lines)


def _is_name(name: bytes) -> bool:
    """Whether it is one word, as `redis_members.spelled` makes it: Redis may hold anything."""
    return 0 < len(name) <= _NAME_BYTES and all(33 <= byte <= 126 for byte in name)
