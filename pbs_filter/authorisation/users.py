"""Users: which names are one user's, which ones a site's list means, and how many addresses each
user's logins let in. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from .shards import Shards

MASTER = "*"
"""Dovecot's sign between the user and the master user who logged in as him: `bob*admin` is bob."""


@lru_cache(4096)
def user_key(user: str) -> str:
    """The name that stands for all spellings of one user: no capitals, no master user."""
    key = user.casefold()
    return key.partition(MASTER)[0] or key


class UserPatterns:
    """A site's list of users: names, and patterns where `*` stands for any characters.

    Upper and lower case are the same, as they are for most servers. `bob` also means `bob*admin`.
    """

    def __init__(self, items: Iterable[str]) -> None:
        self.items = tuple(items)
        names = {item.casefold(): item for item in reversed(self.items)}
        self._patterns = [(n.split("*"), item) for n, item in names.items() if "*" in n]
        self._names = {name: item for name, item in names.items() if "*" not in name}

    def find(self, user: str) -> str | None:
        """The item, as it was given, that means `user`; None: none does."""
        for name in (user_key(user), user.casefold()):
            item = self._names.get(name)
            if item is not None:
                return item
            for parts, pattern in self._patterns:
                if _fits(parts, name):
                    return pattern
        return None


def _fits(parts: list[str], name: str) -> bool:
    """Whether `name` has these parts in their order, the first at its begin, the last at its end.

    Each is taken where it comes first: linear, whatever a client typed.
    """
    first, *middle, last = parts
    at, end = len(first), len(name) - len(last)
    if at > end or not name.startswith(first) or not name.endswith(last):
        return False
    for part in middle:
        at = name.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


class UserAddresses:
    """The addresses that each user's logins let in, at most `most` a user.

    Users go by their `user_key`. A pair of user and address is kept as long as the ledger has the
    address. It counts until the end that the user's own logins gave, and while a session of the
    user is open there.

    Args:
        most: how many a user may have.
        until: the ledger's end of an address, 0 if it has none.
        holds: whether a session of the user holds the address.
        max_addresses: how many the ledger may have.
    """

    def __init__(
        self,
        most: int,
        until: Callable[[str], int],
        holds: Callable[[str, str], bool],
        max_addresses: int,
    ) -> None:
        self.most = most
        self._until = until
        self._holds = holds
        self._by_user: Shards[str, str | dict[str, int]] = Shards(max_addresses)
        """The addresses with their ends. One alone is kept without a dict, which would cost 232
        bytes; the ledger's end stands for its own, which is never later."""
        self._by_address: dict[str, set[str]] = {}
        """The users of the addresses that have, or had, more than one."""

    def admits(self, user: str, address: str, now: int) -> bool:
        """Whether `user` may be let in from `address`: it counts already, or there is room."""
        known = self._by_user.get(user)
        if known is None or known == address:
            return True
        if isinstance(known, str):
            return self.most > 1 or self._until(known) <= now
        if len(known) < self.most or (address in known and self._counts(user, address, now)):
            return True
        for other in [each for each in known if not self._counts(user, each, now)]:
            self._forget(user, other)
        return self.count(user) < self.most

    def _counts(self, user: str, address: str, now: int) -> bool:
        known = self._by_user[user]
        assert isinstance(known, dict)
        return known[address] > now or self._holds(user, address)

    def count(self, user: str) -> int:
        """How many addresses are kept of `user`."""
        known = self._by_user.get(user)
        return 0 if known is None else 1 if isinstance(known, str) else len(known)

    def add(self, user: str, address: str, end: int) -> None:
        """A login of `user` let `address` in until `end`, or a session ended that still does."""
        known = self._by_user.get(user)
        if known is None:
            self._by_user[user] = address
        elif isinstance(known, dict):
            known[address] = max(end, known.get(address, 0))
        elif known != address:
            self._by_user[user] = {known: self._until(known), address: end}

    def share(self, address: str, *users: str) -> None:
        """The address has more than one user: these, and those that it had before."""
        self._by_address.setdefault(address, set()).update(users)

    def drop(self, address: str, user: str) -> None:
        """The ledger has the address no longer; `user`: its newest one."""
        for each in self._by_address.pop(address, (user,)):
            self._forget(each, address)

    def _forget(self, user: str, address: str) -> None:
        known = self._by_user.get(user)
        if isinstance(known, dict):
            known.pop(address, None)
        if known in (address, {}):
            del self._by_user[user]

    def shift(self, seconds: int) -> None:
        """The wall clock was set by `seconds`."""
        for part in self._by_user.parts:
            for known in part.values():
                if isinstance(known, dict):
                    for address in known:
                        known[address] += seconds

    def clear(self) -> None:
        """Forget everything."""
        self._by_user.clear()
        self._by_address.clear()
