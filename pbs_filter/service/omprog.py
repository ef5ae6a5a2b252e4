"""The conversation at stdin and stdout: lines in, acknowledgements out. Pure: bytes to bytes.

rsyslog's omprog with `confirmMessages="on"` (plugins/external/INTERFACE.md and
tests/omprog-feedback.sh of rsyslog), and with `useTransactions="on"` and empty marks, so that an
empty line, the question, comes in front of each line:

    the program says       after                      the daemon
    OK                     it is ready                asks
    OK                     the question               sends a line
    OK                     each line                  asks for the next
    .                      a second of other work     waits `confirmTimeout` anew
    Error: why             the question               asks again, later
    Error: why             a line                     asks again, later, and sends it again

The question is why nothing is lost when rsyslogd is stopped in a time of trouble: a line for which
it has begun to wait is gone then (rsyslog issue 5364), one for which it still asks is kept. So
trouble is told to the question; only what comes between the two meets the line.

A line that is bad in itself is answered OK: any other answer would repeat it for ever. Exactly one
reply a line; nothing else ever goes to stdout. Without confirmation nothing is said at all.
"""

from __future__ import annotations

from ..syslog.records import MAX_LINE_BYTES

OK = b"OK\n"
KEEP_ALIVE = b"."
QUESTION = b"\n"


def trouble(why: str) -> bytes:
    """Return the reply where a line cannot be taken now: one line of printable ASCII."""
    text = "".join(c if " " <= c <= "~" else "?" for c in why)
    return b"Error: " + text[:200].encode("ascii") + b"\n"


class Splitter:
    """Cuts what was read into blocks of complete lines; the rest waits. Only LF ends a line.

    A line longer than `MAX_LINE_BYTES` is dropped while it comes in, and counted as a line when its
    end is seen: memory stays bounded, and its acknowledgement is not forgotten.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._dropping = False
        self.dropped = 0
        """Lines dropped for their length."""

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """Return the complete lines in what came so far, and how many over-long ones ended."""
        ended = 0
        if self._dropping:
            end = data.find(b"\n")
            if end < 0:
                return b"", 0
            data = data[end + 1 :]
            self._dropping = False
            ended = 1
            self.dropped += 1
        cut = data.rfind(b"\n") + 1
        if cut:
            block = self._rest + data[:cut]
            self._rest = data[cut:]
        else:
            block = b""
            self._rest += data
        if len(self._rest) > MAX_LINE_BYTES:
            self._rest = b""
            self._dropping = True
        return block, ended

    def unfinished(self) -> int:
        """Return the bytes of a last line that never got its LF. It is never parsed."""
        return len(self._rest)
