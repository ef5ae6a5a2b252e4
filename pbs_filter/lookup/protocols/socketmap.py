"""The socketmap protocol of Postfix and sendmail, and of Exim through `${readsocket}`: bytes only.

A request is a netstring `NAME KEY`, a reply is a netstring:

    -> 13:pbs 192.0.2.7,
    <- 5:OK OK,                  may relay
    <- 9:NOTFOUND ,              may not, or is not an address
    <- 20:TEMP map M: damaged,   cannot say

The name is not looked at: sendmail sends the name of its K line, Postfix that of main.cf, and one
service has one map. Replies are fixed; `TEMP` alone carries a text, which is ours, and which the
MTAs write to their logs.
"""

from __future__ import annotations

from ...errors import ProtocolError
from ..answer import NO, NOT_NOW, YES

MAX_REQUEST = 1024
"""Bytes between `:` and `,`. A host name has 255, the longest address 52."""
MAX_TROUBLE = 200
"""Characters of a TEMP reason."""

_DIGITS = len(str(MAX_REQUEST))


def netstring(payload: bytes) -> bytes:
    """`payload` with its length in front and a comma behind."""
    return b"%d:%b," % (len(payload), payload)


_FIXED = {YES: netstring(b"OK OK"), NO: netstring(b"NOTFOUND ")}


def reply(answer: str, trouble: str = "") -> bytes:
    """The bytes of `answer`; `trouble` says why it is NOT_NOW."""
    if answer in _FIXED:
        return _FIXED[answer]
    text = "".join(c if " " <= c <= "~" else "?" for c in trouble[:MAX_TROUBLE])
    return netstring(b"TEMP " + text.encode("ascii"))


class Conversation:
    """One connection: feed it what arrives, take the questions, in order."""

    reply = staticmethod(reply)

    def __init__(self) -> None:
        self._buffer = b""

    @property
    def started(self) -> bool:
        """Whether a request has begun that is not complete."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer."""
        self._buffer += data

    def question(self) -> tuple[bytes, None] | None:
        """The next question: (key, None), or None where it has not arrived in full.

        Raises `ProtocolError`, whose reply is the last thing to send.
        """
        length, colon, _ = self._buffer[: _DIGITS + 1].partition(b":")
        if not length and not colon:
            return None
        if not length.isdigit() or (length[:1] == b"0" and length != b"0"):
            raise _violation(f"a netstring begins with its length, not with {length!r}")
        if int(length) > MAX_REQUEST:
            raise _violation(f"a request of {int(length)} bytes or more (at most {MAX_REQUEST})")
        begin = len(length) + 1
        end = begin + int(length)
        if not colon or len(self._buffer) <= end:
            return None
        if self._buffer[end] != 0x2C:
            raise _violation("a netstring without a comma behind")
        _, blank, key = self._buffer[begin:end].partition(b" ")
        if not blank:
            raise _violation("a request without a blank between name and key")
        self._buffer = self._buffer[end + 1 :]
        return key, None


def _violation(what: str) -> ProtocolError:
    return ProtocolError(what, reply(NOT_NOW, "protocol error: " + what))
