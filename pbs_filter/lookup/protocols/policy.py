"""Postfix policy delegation (SMTPD_POLICY_README): bytes only.

A request is lines `name=value`, ended by an empty one; we read `client_address`, and `sender` where
senders are bound to users, each by its name, and never a value that is given twice. The rest comes
from the client (HELO, recipient, ...) and is passed over.

A trace answers the same questions otherwise: never OK, but `PREPEND` of a header or `INFO`, which
Postfix writes to its log, with the name of the user; on trouble nothing.

The action on trouble is an explicit 451. DEFER_IF_PERMIT would be a trap: the
`reject_unauth_destination` which follows wins, and the client gets a permanent 554.
"""

from __future__ import annotations

from ...errors import ProtocolError
from ..answer import NO, NOT_NOW, YES
from ..trace import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...map_format.check import Grant

MAX_REQUEST = 32768
"""Bytes of a request. Postfix sends about 30 attributes; a sender or recipient may have 2,048."""

_ACTIONS = {
    YES: b"action=OK\n\n",
    NO: b"action=DUNNO\n\n",
    NOT_NOW: b"action=451 4.3.0 Cannot check now whether you may relay, try again later\n\n",
}


HEADER = b"X-Pop-Before-Smtp"
TRACES = {"header": b"PREPEND %b: " % HEADER, "log": b"INFO pop-before-smtp "}


def reply(answer: str) -> bytes:
    """Return the bytes of `answer`."""
    return _ACTIONS[answer]


class Conversation:
    """One connection: feed it what arrives, take the questions, in order."""

    def __init__(self, trace: str = "") -> None:
        """Read nothing yet; `trace` is one of TRACES, or empty to let the client relay."""
        self.protocol = "trace" if trace else "policy"
        """The name under which answers are counted."""
        self._buffer = b""
        self._trace = trace

    def reply(self, answer: str, _trouble: str = "", grant: Grant | None = None) -> bytes:
        """Return the reply to the last question; `grant` is the login behind a YES.

        The trouble is not for the SMTP client, which would see it.
        """
        if not self._trace:
            return reply(answer)
        if answer != YES or grant is None:
            return reply(NO)
        return b"action=%b%b\n\n" % (TRACES[self._trace], words(grant))

    @property
    def started(self) -> bool:
        """Return whether a request has begun that is not complete."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer."""
        self._buffer += data

    def question(self) -> tuple[bytes, bytes | None] | None:
        """Return the next question: (client_address, sender or None), or None where it is not
        complete.

        Raises `ProtocolError`, whose reply is the last thing to send.
        """
        request, end, rest = self._buffer.partition(b"\n\n")
        if len(request) > MAX_REQUEST:
            raise _violation(f"a request of more than {MAX_REQUEST} bytes")
        if not end:
            return None
        self._buffer = rest
        wanted: dict[bytes, bytes] = {}
        for line in request.split(b"\n"):
            name, equals, text = line.partition(b"=")
            if not equals:
                raise _violation(f"a line without '=': {line[:60]!r}")
            if name in (b"request", b"client_address", b"sender"):
                if name in wanted:
                    raise _violation(f"{name.decode()} is given twice")
                wanted[name] = text
        if wanted.get(b"request") != b"smtpd_access_policy":
            raise _violation("not a request=smtpd_access_policy")
        return wanted.get(b"client_address", b""), wanted.get(b"sender")


def _violation(what: str) -> ProtocolError:
    return ProtocolError(what, reply(NOT_NOW))
