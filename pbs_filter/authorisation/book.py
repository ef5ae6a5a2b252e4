"""The book has the addresses that may relay, their users and their sessions. Pure state.

It makes the elementary changes that every part of the ledger needs; the rules stand in `ledger.py`.
A change is noted for the journal (truth, before a line is acknowledged) and for the map (index for
readers, a moment later) separately: the two are written at different times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .authorisations import Authorisation, Session
from .events import Events
from .expiry import DueQueue
from .groups import Terms
from .journal_changes import JournalChanges
from .map_changes import MapChanges
from .session_index import SessionIndex
from .shards import Shards
from .user_limit import UserAddresses
from .user_names import user_key
from .users import Name, Users


class Book:
    """The book has authorisations and sessions, and notes which of them have changed.

    Args:
        grace_seconds: how long an address may relay after a login or the end of a session.
        max_session_seconds: the longest a session may hold an address.
        terms_of: the terms of a user and an address where they are not these; None: of nobody.
        shortest_grace_seconds: the shortest grace of all; 0: `grace_seconds`.
        max_addresses: more than that many living addresses are refused (`Reason.TOO_MANY`).
        max_addresses_per_user: more than that many of one user are refused
            (`Reason.USER_HAS_TOO_MANY`); 0: no limit.
        max_sessions: more than that many open sessions do not hold; their logins still authorise.
    """

    def __init__(
        self,
        *,
        grace_seconds: int,
        max_session_seconds: int,
        max_addresses: int = 2_000_000,
        max_sessions: int = 2_000_000,
        max_addresses_per_user: int = 0,
        terms_of: Callable[[str, str], Terms | None] | None = None,
        shortest_grace_seconds: int = 0,
    ) -> None:
        self.events = Events()
        self.grace_seconds = grace_seconds
        self._terms_of_most = Terms(grace_seconds, max_session_seconds)
        self.terms_of = terms_of
        self._lead_seconds = min(shortest_grace_seconds or grace_seconds, grace_seconds) // 2
        """How long before its end a lease is renewed."""
        self.max_sessions = max_sessions
        self.authorisations: Shards[str, Authorisation] = Shards(max_addresses)
        self.sessions: Shards[str, Session] = Shards(max_sessions)
        self.user_limit = UserAddresses(
            max_addresses_per_user, self._until, self._is_held_by, max_addresses
        )
        self.version = 0
        """Counts each time an address came or went: exports follow it."""
        self.due = DueQueue()
        self.map = MapChanges(self.authorisations, self.sessions)
        self.index = SessionIndex(max_sessions)
        self.journal = JournalChanges(self.authorisations, self.sessions)
        # Each login notes something for the journal: these save it a look-up.
        self._journal_addresses = self.journal.addresses
        self._journal_sessions = self.journal.sessions
        self._journal_users = self.journal.users

    # ------------------------------------------------------------------ ends

    def terms(self, user: str, address: str) -> Terms:
        """Return the grace and the longest session of `user` at `address`."""
        terms = None if self.terms_of is None else self.terms_of(user, address)
        return terms or self._terms_of_most

    def end_of(self, session: Session, at: int) -> int:
        """Return the end that `session` gives its address if it ended, or holds it, until `at`."""
        grace_seconds, longest = self.terms(session.user, session.address)
        return min(at, session.opened + longest) + grace_seconds

    def leases(self, auth: Authorisation, now: int) -> dict[Name, int]:
        """Return by user the end that his open sessions give the address, if nothing follows."""
        ends: dict[Name, int] = {}
        for key in auth.session_keys():
            session = self.sessions[key]
            name = session.user, False
            ends[name] = max(ends.get(name, 0), self.end_of(session, now))
        return ends

    def due_at(self, auth: Authorisation) -> int:
        """Return when `tick` must look at `auth`: at its end, or in time to renew a lease."""
        if auth.sessions is None:
            return auth.until
        first = auth.until
        if auth.users is not None:
            holding = {(self.sessions[key].user, False) for key in auth.session_keys()}
            first = min((user.until for name, user in auth.users if name in holding), default=first)
        return first - self._lead_seconds

    def enqueue(self, address: str, auth: Authorisation, due: int) -> None:
        """Look at `address` again at `due`. An older date of it is void: see `auth.due`."""
        auth.due = due
        self.due.put(address, due)

    def _until(self, address: str) -> int:
        auth = self.authorisations.get(address)
        return 0 if auth is None else auth.until

    def _is_held_by(self, user: str, address: str, now: int) -> bool:
        """Return whether a session of the user with this key still lets `address` in."""
        auth = self.authorisations.get(address)
        sessions = map(self.sessions.__getitem__, () if auth is None else auth.session_keys())
        return any(user_key(s.user) == user and self.end_of(s, now) > now for s in sessions)

    # ------------------------------------------------------------------ sessions and addresses

    def logout(self, key: str, at: int, now: int) -> str | None:
        """The session `key` ended at `at`. Return the address it held, None if it was not open."""
        session = self.sessions.pop(key, None)
        if session is None:
            return None
        self._journal_sessions[key] = None
        self.index.remove(key, session)
        auth = self.authorisations[session.address]
        auth.release(key)
        until = self.end_of(session, at)
        self.events.add("session-ended", session.address, session.user, "", until)
        if until > auth.until:
            auth.until = until
            auth.renewed = now
        if self.user_limit.most and session.user:
            self.user_limit.add(user_key(session.user), session.address, until)
        if auth.users is not None:
            name = session.user, False
            user = auth.users.by_name.get(name)
            if user is not None:
                user.extend(until, now)
                self._journal_users[session.address, name] = None
        self._journal_addresses.setdefault(session.address, "")
        self.map.add(session.address)
        return session.address

    def drop(self, address: str, auth: Authorisation) -> None:
        """Remove the address and its sessions. The caller tells the journal of the address."""
        for key in auth.session_keys():
            session = self.sessions.pop(key)
            self._journal_sessions[key] = None
            self.index.remove(key, session)
        del self.authorisations[address]
        self.events.add("ended", address, auth.user, auth.server)
        if self.user_limit.most:
            self.user_limit.drop(address, user_key(auth.user))
        self.version += 1
        self.map.add(address)

    # ------------------------------------------------------------------ several users of an address

    def list_users(self, address: str, auth: Authorisation) -> None:
        """Another user is about to log in: from now on each has his own end."""
        auth.users = Users()
        auth.users.take(auth.name(), auth.entry())
        self._journal_users[address, auth.name()] = None

    def user_login(
        self,
        address: str,
        users: Users,
        name: Name,
        server: str,
        protocol: str,
        at: int,
        until: int,
        now: int,
    ) -> bool:
        """One of several users logged in. Return whether that changed what is known of him."""
        changed, dropped = users.login(name, server, protocol, at, until, now)
        if changed:
            self._journal_users[address, name] = None
        if dropped is not None:
            self._journal_users[address, dropped] = None
        return changed

    def remove_users(
        self, address: str, auth: Authorisation, names: Iterable[Name]
    ) -> Users | None:
        """Remove users who have no session; the last one is the address's own again.

        Returns:
            The users that are left if there are several.
        """
        users = auth.users
        assert users is not None
        for name in names:
            del users.by_name[name]
            self._journal_users[address, name] = None
            self.map.add(address)
        if len(users) == 1:
            ((user, _), last_one), *_ = users
            auth.until = last_one.until
            auth.renewed = last_one.renewed
            auth.since = last_one.since
            auth.last = last_one.last
            auth.server = last_one.server
            auth.protocol = last_one.protocol
            auth.user = user
            auth.users = None
            self._journal_addresses.setdefault(address, "")
        return auth.users
