"""Names of users: which spellings are one user's, and which a site's list means. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

MASTER = "*"
"""Dovecot's sign between the user and the master user who logged in as him: `bob*admin` is bob."""
_without_folder = re.compile(r"(?<=[^@+])\+[^@]*").sub
"""Cyrus writes `bob+FOLDER` and `bob@example.org+FOLDER` for bob, who chooses FOLDER, where
imapmagicplus or popsubfolders is on. (`+49301234@example.org` is a telephone number.)"""


def folded(text: str) -> str:
    """Return `text` without capitals, accents and other forms of the same letters (NFKD)."""
    if text.isascii():
        return text.casefold()
    letters = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _plain(name: str) -> str:
    return folded(name).lstrip(" ").rstrip(" .")


_is_key = re.compile("[a-z0-9@._-]*[a-z0-9]").fullmatch


@lru_cache(4096)
def user_key(user: str) -> str:
    """Return the name that stands for all spellings of one user: no capitals, no master user, no
    folder, no accents, no blanks around it, no full stop at its end.

    A server may write what the client typed; databases take `bób` and `bob ` for `bob`.
    """
    if _is_key(user):
        return user  # as most names are: a quarter of the time
    name = _plain(folded(user).partition(MASTER)[0])
    return _plain(_without_folder("", name)) or name or user.casefold()


class UserPatterns:
    """A site's list of users: names, and patterns where `*` stands for any characters.

    Upper and lower case are the same, as they are for most servers. `bob` also means `bob*admin`,
    and every other spelling of `user_key`, unless the list is `exact`: one of whom to trust.
    """

    def __init__(self, items: Iterable[str], *, exact: bool = False) -> None:
        self.items = tuple(items)
        self._exact = exact
        names = {item.casefold(): item for item in reversed(self.items)}
        if not exact:
            names |= {_plain(name): item for name, item in names.items()}
        self._patterns = [(n.split("*"), item) for n, item in names.items() if "*" in n]
        self._names = {name: item for name, item in names.items() if "*" not in name}

    def find(self, user: str) -> str | None:
        """Return the item, as it was given, that means `user`; None: none does."""
        plain = user.casefold() if self._exact else _plain(user)
        account = plain.partition(MASTER)[0] or plain
        for name in (account, plain) if self._exact else (user_key(user), _plain(account), plain):
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
