"""The open sessions of each user, for logouts that name no session (Dovecot 2.2). Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from .authorisations import Session
from .shards import Shards


class SessionIndex:
    """Keys of open sessions by host, server, user and protocol, the oldest first.

    It is made when the first such logout is seen: most sites never write one.
    """

    def __init__(self, max_sessions: int) -> None:
        self._max_sessions = max_sessions
        self._keys: Shards[tuple[str, str], OrderedDict[str, None]] | None = None
        """An ordered one, because to find the first key of a dict whose first ones were removed
        takes the longer the more they were."""

    def oldest(
        self, sessions: Mapping[str, Session], host_and_server: str, user: str, protocol: str
    ) -> str | None:
        """Return the key of the oldest session of `user`; None: he has none.

        `host_and_server` is the start of its key, `"host server "`.
        """
        if self._keys is None:
            self._keys = Shards(self._max_sessions)
            for key, session in sorted(sessions.items(), key=lambda item: item[1].opened):
                self.add(key, session)
        keys = self._keys.get((host_and_server + user, protocol))
        return next(iter(keys)) if keys else None

    def add(self, key: str, session: Session) -> None:
        """A session was opened."""
        if self._keys is None:
            return
        user = _user_key(key, session)
        keys = self._keys.get(user)
        if keys is None:
            keys = self._keys[user] = OrderedDict()
        keys[key] = None

    def remove(self, key: str, session: Session) -> None:
        """A session was closed."""
        if self._keys is None:
            return
        user = _user_key(key, session)
        keys = self._keys[user]
        del keys[key]
        if not keys:
            del self._keys[user]


def _user_key(key: str, session: Session) -> tuple[str, str]:
    """Return everything of the session's key but its last word, the user, and the protocol."""
    return key[: key.rindex(" ") + 1] + session.user, session.protocol
