"""The socketmap protocol of Postfix and sendmail, and of Exim through `${readsocket}`: bytes only.

A request is a netstring `NAME KEY`, a reply is a netstring:

    -> 13:pbs 192.0.2.7,
    <- 5:OK OK,                  may relay
    <- 9:NOTFOUND ,              may not, or is not an address
    <- 20:TEMP map M: damaged,   cannot say

One service has one map: sendmail sends the name of its K line, Postfix that of main.cf. Two ends of
the name ask for more:

    NAME-sender    the key is `ADDRESS SENDER`, for senders that are bound to users
    NAME-user      a yes names the login: `OK user=bob@example.org server=dovecot until=1795170000`

(`NAME_sender` and `NAME_user` are the same: sendmail's names have no hyphen.)

Other replies are fixed; `TEMP` alone carries a text, which is ours, and which the MTAs write to
their logs.
"""

from __future__ import annotations

from ...errors import ProtocolError
from ..answer import NO, NOT_NOW, YES
from ..trace import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...map_format.check import Grant

MAX_REQUEST = 1024
"""Bytes between `:` and `,`. A host name has 255, the longest address 52."""
MAX_TROUBLE = 200
"""Characters of a TEMP reason."""

_DIGITS = len(str(MAX_REQUEST))


def netstring(payload: bytes) -> bytes:
    """Return `payload` with its length in front and a comma behind."""
    return b"%d:%b," % (len(payload), payload)


SENDER, USER = b"-sender", b"-user"

_FIXED = {YES: netstring(b"OK OK"), NO: netstring(b"NOTFOUND ")}


def reply(answer: str, trouble: str = "") -> bytes:
    """Return the bytes of `answer`; `trouble` says why it is NOT_NOW."""
    if answer in _FIXED:
        return _FIXED[answer]
    text = "".join(c if " " <= c <= "~" else "?" for c in trouble[:MAX_TROUBLE])
    return netstring(b"TEMP " + text.encode("ascii"))


class Conversation:
    """One connection: feed it what arrives, take the questions, in order."""

    def __init__(self, protocol: str = "socketmap") -> None:
        self.protocol = protocol
        """The name under which answers are counted."""
        self._buffer = b""
        self._names_user = False
        """The last question asks for the user's name."""

    def reply(self, answer: str, trouble: str = "", grant: Grant | None = None) -> bytes:
        """Return the reply to the last question: see `reply`; `grant` is the login behind a YES."""
        if answer == YES and self._names_user and grant is not None:
            return netstring(b"OK " + words(grant))
        return reply(answer, trouble)

    @property
    def started(self) -> bool:
        """Return whether a request has begun that is not complete."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer."""
        self._buffer += data

    def question(self) -> tuple[bytes, bytes | None] | None:
        """Return the next question: (address, sender or None); None: it has not arrived in full.

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
        name, blank, key = self._buffer[begin:end].partition(b" ")
        if not blank:
            raise _violation("a request without a blank between name and key")
        self._buffer = self._buffer[end + 1 :]
        name = name.replace(b"_", b"-")
        self._names_user = name.endswith(USER)
        if name.removesuffix(USER).endswith(SENDER):
            address, blank, sender = key.partition(b" ")
            return address, sender if blank else None
        return key, None


def _violation(what: str) -> ProtocolError:
    return ProtocolError(what, reply(NOT_NOW, "protocol error: " + what))
