"""Names of users: which spellings are one user's, and which a site's list means. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

MASTER = "*"
"""Dovecot's sign between the user and the master user who logged in as him: `bob*admin` is bob."""


@lru_cache(4096)
def user_key(user: str) -> str:
    """Return the name that stands for all spellings of one user: no capitals, no master user."""
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
        """Return the item, as it was given, that means `user`; None: none does."""
        for name in (user_key(user), user.casefold()):
            item = self._names.get(name)
            if item is not None:
                return item
            for parts, pattern in self._patterns:
                if _fits(parts, name):
                    return pattern
        return None


def _fits(parts: list[str], name: str) -> bool:
    """Return whether `name` has these parts in their order, the first at its beginning, the last at
    its end.

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
