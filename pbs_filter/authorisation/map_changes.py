"""The changes that the map lacks are kept here, with its keys for an address. Pure.

An address has a key; where several users logged in from it, each has one, too: `ADDRESS#NUMBER`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from ..map_format.entry import MAX_USERS, Entry, encode, encode_usual
from .authorisations import Authorisation, Session
from .shards import Shards

Values = dict[str, bytes | None]
"""Key of the map to value; None: delete it."""


class MapChanges:
    """The addresses that changed since the map was told of them."""

    def __init__(
        self, authorisations: Shards[str, Authorisation], sessions: Shards[str, Session]
    ) -> None:
        self._authorisations = authorisations
        self._sessions = sessions
        self._addresses: dict[str, None] = {}
        self._users: dict[str, int] = {}
        """Addresses with users in the map: how many have a key there."""

    def add(self, address: str) -> None:
        """The address has changed."""
        self._addresses[address] = None

    def may_have_users(self, address: str) -> None:
        """The map of an earlier run may have keys of users of this address."""
        self._users[address] = MAX_USERS

    def __len__(self) -> int:
        return len(self._addresses)

    def clear(self) -> None:
        """The map is made anew: nothing has to be told."""
        self._addresses.clear()

    def oldest(self, limit: int | None) -> Values:
        """Return what the map has to be told of the `limit` addresses that wait the longest."""
        changes: Values = {}
        for address in islice(self._addresses, limit):
            changes.update(self.entries(address))
        return changes

    def written(self, values: Mapping[str, bytes | None]) -> None:
        """The map has `values`."""
        for key in values:
            self._addresses.pop(key, None)
        if not self._users:
            return
        numbers: dict[str, int] = {}
        for key, value in values.items():
            address, is_user, _ = key.partition("#")
            if address in self._users:
                numbers[address] = numbers.get(address, 0) + bool(is_user and value is not None)
        for address, number in numbers.items():
            if number:
                self._users[address] = number
            else:
                del self._users[address]

    def all(self) -> Iterator[tuple[str, bytes]]:
        """Yield every key and value, for a new map."""
        for address in self._authorisations.snapshot():
            for key, value in self.entries(address).items():
                if value is not None:
                    yield key, value

    def entries(self, address: str) -> Values:
        """Return each key of the map for `address` with its value."""
        auth = self._authorisations.get(address)
        if auth is None and address not in self._users:
            return {address: None}
        if auth is not None and auth.users is None and address not in self._users:
            return {address: _value(address, auth)}
        entries = {address: None if auth is None else encode(address, auth.entry())}
        number = 0
        if auth is not None and auth.users is not None:
            names = [self._sessions[key].user for key in auth.session_keys()]
            for number, (name, user) in enumerate(auth.users, 1):
                key = f"{address}#{number}"
                held = 0 if name[1] else names.count(name[0])
                times = user.until, user.renewed, user.since, user.last
                entry = Entry(*times, held, user.server, user.protocol, name[0])
                entries[key] = encode(key, entry)
        known = self._users.get(address, 0)
        entries |= dict.fromkeys(f"{address}#{each}" for each in range(number + 1, known + 1))
        self._users[address] = max(number, known)
        return entries


def _value(address: str, auth: Authorisation) -> bytes:
    """Return the value of an address with one user."""
    held = auth.sessions
    return encode_usual(
        address,
        auth.until,
        auth.renewed,
        auth.since,
        auth.last,
        0 if held is None else 1 if isinstance(held, str) else len(held),
        auth.server,
        auth.protocol,
        auth.user,
    )
