"""The changes that the journal lacks are kept here. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .authorisations import Authorisation, Session
from .payloads import Payloads
from .shards import Shards
from .users import Name


class JournalChanges:
    """The states that changed since the journal was told of them."""

    def __init__(
        self, authorisations: Shards[str, Authorisation], sessions: Shards[str, Session]
    ) -> None:
        self._authorisations = authorisations
        self._sessions = sessions
        self.payloads = Payloads(authorisations, sessions)
        self.addresses: dict[str, str] = {}
        """Addresses with the line that authorised each, for people who ask why."""
        self.sessions: dict[str, None] = {}
        self.users: dict[tuple[str, Name], None] = {}

    def __len__(self) -> int:
        return len(self.addresses) + len(self.users) + len(self.sessions)

    def waiting(self) -> list[str]:
        """Return the payloads that the journal has to be told, until `written` is called."""
        payloads = [self.payloads.address(a, line) for a, line in self.addresses.items()]
        payloads += [self.payloads.user(*key) for key in self.users]
        payloads += [self.payloads.session(key) for key in self.sessions]
        return payloads

    def written(self) -> None:
        """The journal has what `waiting` gave."""
        self.payloads.written()
        self.addresses.clear()
        self.users.clear()
        self.sessions.clear()

    def live(self) -> Iterator[str]:
        """Yield everything, for a new journal: a fuzzy snapshot, changes may come in between."""
        for address in self._authorisations.snapshot():
            yield self.payloads.address(address, "")
            auth = self._authorisations.get(address)
            if auth is not None and auth.users is not None:
                for name, _ in auth.users:
                    yield self.payloads.user(address, name)
        for key in self._sessions.snapshot():
            yield self.payloads.session(key)

    def tell_again(self, addresses: Iterable[str]) -> None:
        """Let the journal be told once more of addresses, or of those whose map keys these are."""
        for address in addresses:
            address = address.partition("#")[0]
            self.addresses[address] = ""
            auth = self._authorisations.get(address)
            for name, _ in (auth and auth.users) or ():
                self.users[address, name] = None
