"""The lines of a block are found here, part by part. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..syslog.scanner import Reader, Scanner

PART_BYTES = 1 << 16
"""About the size of a part: what one read from a pipe gives. A way that was opened counts from the
next part on, and the texts of one part stay in the processor's cache."""


class Lines:
    """The lines of a block that may be of a known program.

    Args:
        scanner: finds them.
        reader: returns what finds them in text and reads the usual ones, None where none are usual.
    """

    def __init__(self, scanner: Scanner, reader: Callable[[], Reader | None]) -> None:
        self._scanner = scanner
        self._reader = reader
        self._block = b""
        self._at = 0
        """Where the next part begins."""
        self._reads = True
        """Whether usual lines of the next part may be read while its lines are found."""
        self.found: Iterator[tuple[str, ...]] = iter(())
        """The lines of a part, as the reader gives them; or else:"""
        self.named: Iterator[tuple[bytes, bytes]] = iter(())
        """The lines of a part, as `Scanner.named` gives them."""

    def take(self, block: bytes) -> None:
        """Take complete lines, for `find`."""
        self._block, self._at = block, 0

    def find(self) -> bool:
        """Find the lines of the next part, when those of the one before are done; whether there is
        one."""
        end = len(self._block)
        if self._at >= end:
            self._block, self._at = b"", 0
            return False
        if end - self._at > PART_BYTES:
            last = self._block.rfind(b"\n", self._at, self._at + PART_BYTES)
            # A line that is longer is a part of its own.
            end = (last if last >= 0 else self._block.find(b"\n", self._at)) + 1 or end
        part = self._block[self._at : end]
        # An expression may be a site's own, and hang. After the alarm the lines of this part are
        # only found here, and the line is met, and given up, on the general way.
        reads, self._reads = self._reads, False
        read = self._reader() if reads and not part.startswith(b"{") else None
        if read is None:
            self.named = iter(self._scanner.named(part))
        else:
            self.found = iter(read("\n" + part.decode("utf-8", "surrogateescape")))
        self._reads = True
        self._at = end
        return True
