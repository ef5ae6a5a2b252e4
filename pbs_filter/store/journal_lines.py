"""The lines of a journal file: how they are written, and what is believed when they are read.

    pbs-filter journal 1 5f3a9c01 0c44e7b2    format, this file's mark, checksum of those
    5b01f3aa n<TAB>81920                      how many bytes journals had before this one
    8a1d2e77 a<TAB>192.0.2.7<TAB>...          checksum of the payload, mixed with the mark; payload

The mark is a random number of each file. It keeps lines of an older journal out which a file system
may leave behind the end after a power cut: their checksums do not fit.

A journal that is written anew begins where the old one ended (`n`, which the first one lacks), so
that of two journals the later is known.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from zlib import crc32

from .. import files
from ..errors import ConfigError

MAX_PAYLOAD_BYTES = 64 * 1024
BLOCK_BYTES = 1 << 20
VERSION = 1
MARK_AT = slice(21, 29)
"""Where the first line has the mark."""
BEFORE = "n"
"""What the payload begins with that says how many bytes there were before this journal."""

_HEADER = re.compile(rb"(pbs-filter journal (\d{1,6}) ([0-9a-f]{8})) ([0-9a-f]{8})\n")


def header(mark: int) -> bytes:
    """Return the first line of a file with this mark."""
    text = b"pbs-filter journal %d %08x" % (VERSION, mark)
    return b"%b %08x\n" % (text, crc32(text))


def encode(payloads: Iterable[str], mark: int) -> tuple[bytes, int]:
    """Return the lines for `payloads`, and their number.

    Raises:
        ValueError: a payload has a newline in it, or more than MAX_PAYLOAD_BYTES.
    """
    lines = []
    for payload in payloads:
        raw = payload.encode("utf-8", "surrogatepass")
        if b"\n" in raw or len(raw) > MAX_PAYLOAD_BYTES:
            raise ValueError(f"not a journal payload: {payload[:80]!r}")
        lines.append(b"%08x %b\n" % (crc32(raw) ^ mark, raw))
    return b"".join(lines), len(lines)


def bytes_at(position: str) -> int:
    """Return the bytes of a `Journal.position`; 0 where it is none."""
    number = position.partition("-")[2]
    return int(number) if number.isdecimal() and number.isascii() else 0


def find_before(fd: int, start: int, mark: int) -> tuple[int, int]:
    """Return how many bytes journals had before this one (0 where it does not say), and where its
    states start."""
    line, end, _ = os.pread(fd, 40, start).partition(b"\n")
    kind, _, number = line[9:].partition(b"\t")
    good = b"%08x " % (crc32(line[9:]) ^ mark) == line[:9]
    if not (end and good and kind == BEFORE.encode() and number.isdigit()):
        return 0, start
    return int(number), start + len(line) + 1


class Scan:
    """One reading of the lines behind the first; what it found is known when it has ended."""

    def __init__(self, fd: int, start: int, mark: int) -> None:
        self._fd = fd
        self._start = start
        self._mark = mark
        self.good = 0
        """Lines that were yielded."""
        self.damaged = 0
        """Lines that were skipped."""
        self.end = start
        """Offset behind the last complete line."""
        self.torn = False
        """Something other than zero bytes stands behind it."""

    def __iter__(self) -> Iterator[str]:
        position, rest = self._start, b""
        mark = self._mark
        while block := os.pread(self._fd, BLOCK_BYTES, position):
            position += len(block)
            lines = (rest + block).split(b"\n")
            rest = lines.pop()
            if lines:
                self.end = position - len(rest)
            elif len(rest) > 2 * MAX_PAYLOAD_BYTES:
                rest = rest[:MAX_PAYLOAD_BYTES]  # too long to be good, whatever follows
            for line in lines:
                raw = line[9:]
                try:
                    if b"%08x " % (crc32(raw) ^ mark) != line[:9]:
                        raise ValueError
                    payload = raw.decode("utf-8", "surrogatepass")
                except ValueError:
                    self.damaged += 1
                    continue
                self.good += 1
                yield payload
        self.torn = bool(rest.strip(b"\0"))


def find_mark(fd: int, path: str) -> tuple[int, int, bool]:
    """Return where the lines start, the mark, and whether the header is whole. Raises: ConfigError.

    A damaged header is no reason to lose the lines: each gives the mark away (its checksum and its
    payload), and two different ones that agree, or one that agrees with what is left of the header,
    settle it. Start 0 means that this is not a journal at all.
    """
    head = os.pread(fd, BLOCK_BYTES, 0)
    first, _, more = head.partition(b"\n")
    header = _HEADER.match(head)
    if header and int(header[4], 16) == crc32(header[1]):
        if int(header[2]) != VERSION:
            raise ConfigError(
                f"the journal {path!r} has format {int(header[2])}, this version knows "
                f"{VERSION}; install the version that wrote it, or move it away to start anew"
            )
        return header.end(), int(header[3], 16), True
    votes: Counter[int] = Counter()
    voters = {first[MARK_AT] + b" ", *more.split(b"\n")[:-1]}
    for line in voters:
        try:
            votes[int(line[:8], 16) ^ crc32(line[9:])] += 1
        except ValueError:
            continue
    for mark, agreeing in votes.most_common(1):
        if agreeing >= 2:
            return len(first) + 1, mark, False
    return 0, 0, False


def read(path: str) -> Iterator[str]:
    """Yield the payloads of a journal nobody else needs to stop for: `PATH`, `PATH.1`; damage
    skipped.

    For people (--history). Raises: StoreBusy, ConfigError.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise files.busy("read the journal", path, error) from error
    try:
        start, mark, _ = find_mark(fd, path)
        if start:
            yield from Scan(fd, find_before(fd, start, mark)[1], mark)
    except OSError as error:
        raise files.busy("read the journal", path, error) from error
    finally:
        os.close(fd)
