"""The limit of addresses: how many each user's logins have let in. Pure."""

from __future__ import annotations

from collections.abc import Callable

from .shards import Shards


class UserAddresses:
    """The addresses that each user's logins let in, at most `most` a user.

    Users go by their `user_key`. A pair of user and address is kept as long as the ledger has the
    address. It counts until the end that the user's own logins gave, and while a session of the
    user is open there.

    Args:
        most: how many a user may have.
        until: the ledger's end of an address, 0 if it has none.
        holds: whether a session of the user still lets the address in at a time.
        max_addresses: how many the ledger may have.
    """

    def __init__(
        self,
        most: int,
        until: Callable[[str], int],
        holds: Callable[[str, str, int], bool],
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

    def enter(self, user: str, address: str, end: int, now: int) -> bool:
        """`admits`, and `add` if so: for most logins in half the time of both."""
        addresses = self._by_user.part(user)
        known = addresses.get(user)
        if known is None:
            addresses[user] = address
        elif known != address:
            if not self.admits(user, address, now):
                return False
            self.add(user, address, end)
        return True

    def admits(self, user: str, address: str, now: int) -> bool:
        """Return whether `user` may come from `address`: it counts already, or there is room."""
        known = self._by_user.get(user)
        if known is None or known == address:
            return True
        if isinstance(known, str):
            return self.most > 1 or not (self._until(known) > now or self._holds(user, known, now))
        if len(known) < self.most or (address in known and self._counts(user, address, now)):
            return True
        for other in [each for each in known if not self._counts(user, each, now)]:
            self.forget(user, other)
        return self.count(user) < self.most

    def _counts(self, user: str, address: str, now: int) -> bool:
        known = self._by_user[user]
        assert isinstance(known, dict)
        return known[address] > now or self._holds(user, address, now)

    def count(self, user: str) -> int:
        """Return how many addresses of `user` are kept."""
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
            self.forget(each, address)

    def forget(self, user: str, address: str) -> None:
        """The user is no longer let in from the address."""
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
