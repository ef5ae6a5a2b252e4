"""The states that the ledger is made of: an address that may relay, an open session. Pure."""

from __future__ import annotations

from ..map_format.entry import Entry
from .users import Name, Users

MANUAL = "manual"
"""The server of an authorisation that a person made."""


class Authorisation:
    """An authorisation has all that the ledger knows of one address. Times are whole seconds since
    the epoch.

    A plain class with slots: a million of them are held, and a login touches one in place.
    """

    __slots__ = (
        "due",
        "last",
        "protocol",
        "renewed",
        "server",
        "sessions",
        "since",
        "until",
        "user",
        "users",
    )

    def __init__(
        self,
        until: int,
        renewed: int,
        since: int,
        last: int,
        server: str = "",
        protocol: str = "",
        user: str = "",
    ) -> None:
        self.until = until
        self.renewed = renewed
        self.since = since
        self.last = last
        self.server = server
        self.protocol = protocol
        self.user = user
        self.users: Users | None = None
        """Each user with his own end; None: one user, who has the address's."""
        self.due = 0
        """When `tick` looks at it; 0: it has not been told yet."""
        self.sessions: str | set[str] | None = None
        """The keys of the open sessions; one alone is kept without a set, which would cost 216
        bytes."""

    def session_keys(self) -> tuple[str, ...]:
        """Return the keys of the open sessions."""
        held = self.sessions
        if held is None:
            return ()
        return (held,) if isinstance(held, str) else tuple(held)

    def name(self) -> Name:
        """Return the user of the newest login."""
        return self.user, self.server == MANUAL

    def hold(self, key: str) -> None:
        """A session with this key holds the address."""
        if self.sessions is None:
            self.sessions = key
        elif isinstance(self.sessions, str):
            self.sessions = {self.sessions, key}
        else:
            self.sessions.add(key)

    def release(self, key: str) -> None:
        """The session with this key no longer holds the address."""
        held = self.sessions
        if isinstance(held, set):
            held.discard(key)
            if len(held) == 1:
                self.sessions = held.pop()
        else:
            self.sessions = None

    def take(self, entry: Entry) -> None:
        """Take the times and the login of `entry`, but for the first login."""
        self.until = entry.until
        self.renewed = entry.renewed
        self.last = entry.last
        self.server = entry.server
        self.protocol = entry.protocol
        self.user = entry.user

    def entry(self) -> Entry:
        """Return the words of the map for it."""
        held = self.sessions
        count = 0 if held is None else 1 if isinstance(held, str) else len(held)
        return Entry(
            self.until,
            self.renewed,
            self.since,
            self.last,
            count,
            self.server,
            self.protocol,
            self.user,
            0 if self.users is None else len(self.users),
        )


class Session:
    """An open session."""

    __slots__ = ("address", "opened", "protocol", "user")

    def __init__(self, address: str, opened: int, protocol: str, user: str) -> None:
        self.address = address
        self.opened = opened
        self.protocol = protocol
        self.user = user


def clean(text: str) -> str:
    """Return `text` fit for a journal field and a terminal: nothing that is not printable."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
