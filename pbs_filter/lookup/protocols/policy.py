"""Postfix policy delegation (SMTPD_POLICY_README), and senders that belong to users: bytes only.

A request is lines `name=value`, ended by an empty one; we read `client_address`, and `sender` where
senders are bound to users, each by its name, and never a value that is given twice. The rest comes
from the client (HELO, recipient, ...) and is passed over.

The action on trouble is an explicit 451. DEFER_IF_PERMIT would be a trap: the
`reject_unauth_destination` which follows wins, and the client gets a permanent 554.
"""

from __future__ import annotations

from ...errors import ConfigError, ProtocolError
from ..answer import NO, NOT_NOW, YES

MAX_REQUEST = 32768
"""Bytes of a request. Postfix sends about 30 attributes; a sender or recipient may have 2,048."""

_ACTIONS = {
    YES: b"action=OK\n\n",
    NO: b"action=DUNNO\n\n",
    NOT_NOW: b"action=451 4.3.0 Cannot check now whether you may relay, try again later\n\n",
}


def reply(answer: str, trouble: str = "") -> bytes:
    """The bytes of `answer`. `trouble` is not for the SMTP client, who would see it."""
    return _ACTIONS[answer]


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

    def question(self) -> tuple[bytes, bytes | None] | None:
        """The next question: (client_address, sender or None), or None where it is not complete.

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


class Binding:
    """Which senders belong to which user, from lines `USER SENDER...`.

    A sender is an address, `@domain` for every address of a domain, or `<>` for the empty sender.
    The user `*` stands for every user; in a sender, `{user}` is the login name and `{domain}` what
    follows its `@`. Case does not count. `#` begins a comment.
    """

    def __init__(self, text: str, source: str = "the binding") -> None:
        """Read `text`; `source` names it in messages. Raises `ConfigError` with the line."""
        self._senders: dict[str, set[str]] = {}
        for number, line in enumerate(text.splitlines(), 1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            for sender in words[1:]:
                if "@" not in sender and sender not in ("<>", "{user}"):
                    raise ConfigError(
                        f"{source}, line {number}: {sender!r} is not a sender; "
                        "write user@domain, @domain, <>, or a pattern with {user} or {domain}"
                    )
            if len(words) < 2:
                raise ConfigError(
                    f"{source}, line {number}: {line!r} names no sender; "
                    "write the user and then the senders that are his"
                )
            self._senders.setdefault(words[0].lower(), set()).update(w.lower() for w in words[1:])

    def owns(self, user: str, sender: bytes) -> bool:
        """Whether `user` may send as `sender` (as Postfix gives it: without brackets)."""
        if not user:
            return False
        user = user.lower()
        name = sender.decode("utf-8", "surrogateescape").lower() or "<>"
        local, at, domain = name.rpartition("@")
        if at and not local:
            return False
        names = {name, at + domain}
        if not names.isdisjoint(self._senders.get(user, ())):
            return True
        user_domain = user.rpartition("@")[2] if "@" in user else ""
        return any(
            pattern.replace("{user}", user).replace("{domain}", user_domain) in names
            for pattern in self._senders.get("*", ())
            if user_domain or "{domain}" not in pattern
        )
