"""Groups: users and networks whose logins count for longer or shorter than the others'. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..addresses import Networks
from .user_names import UserPatterns


class Terms(NamedTuple):
    """The terms say how long a login counts."""

    grace_seconds: int
    max_session_seconds: int
    """0: a session holds nothing."""


class Group:
    """One `[[groups]]`: whose logins are meant, and their terms.

    Args:
        name: for people.
        users: names and patterns; None: all users.
        networks: addresses and networks; None: all.
        terms: what holds for them.
        require_tls: whether only their logins by TLS count; None: as everybody's.

    Raises:
        ConfigError: a network is not one.
    """

    def __init__(
        self,
        name: str,
        users: Iterable[str] | None,
        networks: Iterable[str] | None,
        terms: Terms,
        require_tls: bool | None = None,
    ) -> None:
        self.name = name
        self.require_tls = require_tls
        self.terms = terms
        self._users = None if users is None else UserPatterns(users)
        self._networks = None if networks is None else Networks(networks)

    def has(self, user: str, address: str) -> bool:
        """Return whether the group has `user` logging in from `address`, or from a network of
        `ipv6_prefix`.

        Of a network its first address decides.
        """
        if self._users is not None and self._users.find(user) is None:
            return False
        return self._networks is None or self._networks.find(address.partition("/")[0]) is not None
