"""The ledger: which addresses may relay until when, and which sessions hold them. Pure state.

The rules, each held by a property test in `tests/authorisation/test_ledger.py`:

1. A login authorises its address until max(old end, time of the login + grace). A login which is
   older than its grace when we are told of it authorises nobody.
2. A login whose logout can be tied to it opens a *session*. While an address has an open session it
   is *held*: its end is a lease of one grace which `tick` renews. The sessions of an address are a
   set of keys, never a count: a repeated or lost line must not shift anything for good.
3. The end of the last session leaves the address one more grace, counted from that end. A session
   counts at most `max_session_seconds`; what comes later is as if it had ended then.
4. The end of a session that is not open changes nothing.
5. An end never moves back, but by `forget` and by `shift`.

What changed since the last commit is kept in two sets, because the journal (truth, before a line is
acknowledged) and the map (index for readers, a moment later) are written at different times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from ..map_format.entry import MAX_SESSIONS, Entry
from ..model import Reason
from .authorisations import MANUAL, Authorisation, Session
from .events import Events
from .expiry import DueQueue
from .groups import Terms
from .map_changes import MapChanges
from .payloads import Payloads
from .session_index import SessionIndex
from .shards import Shards
from .user_limit import UserAddresses
from .user_names import user_key
from .users import Name, Users

TICK_LIMIT = 500
"""Addresses and sessions one `tick` looks at, a millisecond's work: a million ends in one second
must not stop the filter. The caller calls again while `next_due` says so."""


class Ledger:
    """Sessions and authorisations. See the module's text for the rules.

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
        self._terms_of = terms_of
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
        self._due = DueQueue()
        self._payloads = Payloads(self.authorisations, self.sessions)
        self._map = MapChanges(self.authorisations, self.sessions)
        self._index = SessionIndex(max_sessions)
        self._journal_addresses: dict[str, str] = {}
        self._journal_sessions: dict[str, None] = {}
        self._journal_users: dict[tuple[str, Name], None] = {}

    # ------------------------------------------------------------------ what happened

    def login(
        self,
        address: str,
        user: str,
        server: str,
        protocol: str,
        session: str | None,
        at: int,
        now: int,
        line: str = "",
    ) -> Reason | None:
        """A login succeeded; None: authorised.

        Args:
            address: canonical text.
            user: printable, without tabs.
            server: the server's name; `MANUAL` is not one.
            protocol: `pop3`, `imap` or empty.
            session: `host server key`; None where no logout can be tied to it.
            at: when, seconds since the epoch, not later than `now`.
            now: the clock, seconds since the epoch.
            line: kept in the journal for people who ask why.
        """
        terms = self._terms(user, address)
        until = at + terms.grace_seconds
        if until <= now:
            return Reason.TOO_LATE
        key = user_key(user) if self.user_limit.most else ""
        if key and not self.user_limit.admits(key, address, now):
            return Reason.USER_HAS_TOO_MANY
        addresses = self.authorisations.part(address)
        auth = addresses.get(address)
        if auth is None:
            if len(addresses) >= self.authorisations.share:
                return Reason.TOO_MANY
            auth = addresses[address] = Authorisation(until, now, at, at)
            self.version += 1
            changed = True
            self.events.add("authorised", address, user, server, until)
        else:
            if key and auth.user != user:
                self.user_limit.share(address, key, user_key(auth.user))
            changed = until > auth.until or at > auth.last
            if auth.until <= now and auth.sessions is None:
                auth.since = at  # ended, and not swept yet
                self.events.add("authorised", address, user, server, until)
                auth.users = None
            elif auth.users is None and (auth.user != user or auth.server == MANUAL):
                self._list_users(address, auth)
            if until > auth.until:
                auth.until = until
                auth.renewed = now
        if at >= auth.last:
            auth.last = at
            if auth.user != user or auth.server != server:
                changed = True
            auth.user = user
            auth.server = server
            auth.protocol = protocol
        if key:
            self.user_limit.add(key, address, until)
        if auth.users is not None and self._user_login(
            address, auth.users, (user, False), server, protocol, at, until, now
        ):
            changed = True
        if (
            session is not None
            and terms.max_session_seconds
            and self._open(session, address, at, protocol, user, auth, now)
        ):
            changed = True
        elif not auth.due:
            self._enqueue(address, auth, auth.until)
        if changed:
            self._journal_addresses[address] = line
            self._map.add(address)
        return None

    def _open(
        self,
        key: str,
        address: str,
        at: int,
        protocol: str,
        user: str,
        auth: Authorisation,
        now: int,
    ) -> bool:
        """Open the session `key`; whether that is news."""
        sessions = self.sessions.part(key)
        known = sessions.get(key)
        if known is not None:
            longest = self._terms(known.user, address).max_session_seconds
            if known.address == address and at < known.opened + longest:
                return False
            # The key came round again (pids do): the older session must be over.
            self.logout(key, at, now)
        elif len(sessions) >= self.sessions.share:
            return False
        if isinstance(auth.sessions, set) and len(auth.sessions) >= MAX_SESSIONS:
            return False  # its work must stay small; those there hold the address
        auth.hold(key)
        sessions[key] = opened = Session(address, at, protocol, user)
        self.events.add("session", address, user, auth.server)
        renewal = self._due_at(auth)
        if auth.due > renewal or not auth.due:
            self._enqueue(address, auth, renewal)
        self._journal_sessions[key] = None
        self._index.add(key, opened)
        return True

    def logout(self, key: str, at: int, now: int) -> str | None:
        """The session `key` ended at `at`; the address it held, None if it was not open."""
        session = self.sessions.pop(key, None)
        if session is None:
            return None
        self._journal_sessions[key] = None
        self._index.remove(key, session)
        auth = self.authorisations[session.address]
        auth.release(key)
        until = self._end_of(session, at)
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
        self._map.add(session.address)
        return session.address

    # ------------------------------------------------------------------ several users of an address

    def _list_users(self, address: str, auth: Authorisation) -> None:
        """Another user is about to log in: from now on each has his own end."""
        auth.users = Users()
        auth.users.take(auth.name(), auth.entry())
        self._journal_users[address, auth.name()] = None

    def _user_login(
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
        changed, dropped = users.login(name, server, protocol, at, until, now)
        if changed:
            self._journal_users[address, name] = None
        if dropped is not None:
            self._journal_users[address, dropped] = None
        return changed

    def _remove_users(self, address: str, auth: Authorisation, names: Iterable[Name]) -> None:
        """Remove users who have no session; the last one is the address's own again."""
        users = auth.users
        assert users is not None
        for name in names:
            del users.by_name[name]
            self._journal_users[address, name] = None
            self._map.add(address)
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

    def _leases(self, auth: Authorisation, now: int) -> dict[Name, int]:
        """The end that a user's open sessions give the address, if nothing follows; by user."""
        ends: dict[Name, int] = {}
        for key in auth.session_keys():
            session = self.sessions[key]
            name = session.user, False
            ends[name] = max(ends.get(name, 0), self._end_of(session, now))
        return ends

    def _terms(self, user: str, address: str) -> Terms:
        terms = self._terms_of(user, address) if self._terms_of is not None else None
        return terms or self._terms_of_most

    def _end_of(self, session: Session, at: int) -> int:
        """The end that `session` gives its address if it ended at `at`, or holds it until then."""
        grace_seconds, longest = self._terms(session.user, session.address)
        return min(at, session.opened + longest) + grace_seconds

    def forget_user(self, user: str) -> int:
        """End every authorisation of `user`, in every spelling of the name; return how many."""
        key_of_user = user_key(user)
        count = 0
        for address, auth in list(self.authorisations.items()):
            if auth.users is None:
                if auth.server != MANUAL and user_key(auth.user) == key_of_user:
                    self.forget(address)
                    count += 1
                continue
            names = [
                (name, by_hand)
                for name, by_hand in auth.users.by_name
                if not by_hand and user_key(name) == key_of_user
            ]
            if not names:
                continue
            count += 1
            for key in auth.session_keys():
                session = self.sessions[key]
                if user_key(session.user) == key_of_user:
                    del self.sessions[key]
                    self._journal_sessions[key] = None
                    self._index.remove(key, session)
                    auth.release(key)
            if len(names) == len(auth.users):
                self.forget(address)
                continue
            self._remove_users(address, auth, names)
            self.user_limit.forget(key_of_user, address)
            if auth.users is not None:
                (auth.user, _), newest = auth.users.newest()
                auth.last, auth.server, auth.protocol = newest.last, newest.server, newest.protocol
                auth.until = max(each.until for _, each in auth.users)
            self._journal_addresses.setdefault(address, "")
            self._map.add(address)
            self._enqueue(address, auth, self._due_at(auth))
        return count

    def forget_all(self) -> int:
        """End every authorisation; return how many there were."""
        addresses = list(self.authorisations)
        for address in addresses:
            self.forget(address)
        return len(addresses)

    def oldest_session(self, host_and_server: str, user: str, protocol: str) -> str | None:
        """The key of the oldest open session of `user` by `protocol`: see `SessionIndex`."""
        return self._index.oldest(self.sessions, host_and_server, user, protocol)

    # ------------------------------------------------------------------ by hand

    def authorise(self, address: str, seconds: int, note: str, now: int) -> None:
        """A person authorises `address` for `seconds`, with `note` as the reason."""
        auth = self.authorisations.get(address)
        if auth is None:
            auth = self.authorisations[address] = Authorisation(now + seconds, now, now, now)
            self.version += 1
        else:
            if self.user_limit.most:
                self.user_limit.share(address, user_key(auth.user))
            if auth.users is None and auth.name() != (note, True):
                self._list_users(address, auth)
        auth.until = max(auth.until, now + seconds)
        auth.renewed = now
        auth.last = now
        auth.server = MANUAL
        auth.protocol = ""
        auth.user = note
        if auth.users is not None:
            self._user_login(address, auth.users, (note, True), MANUAL, "", now, now + seconds, now)
        self._enqueue(address, auth, self._due_at(auth))
        self._journal_addresses[address] = "authorised by hand"
        self._map.add(address)

    def forget(self, address: str) -> bool:
        """End the authorisation of `address` and close its sessions; whether there was one."""
        auth = self.authorisations.get(address)
        if auth is None:
            return False
        self._drop(address, auth)
        self._journal_addresses[address] = ""
        return True

    def _drop(self, address: str, auth: Authorisation) -> None:
        for key in auth.session_keys():
            session = self.sessions.pop(key)
            self._journal_sessions[key] = None
            self._index.remove(key, session)
        del self.authorisations[address]
        self.events.add("ended", address, auth.user, auth.server)
        if self.user_limit.most:
            self.user_limit.drop(address, user_key(auth.user))
        self.version += 1
        self._map.add(address)

    # ------------------------------------------------------------------ time

    def next_due(self) -> int | None:
        """When `tick` has something to do, seconds since the epoch."""
        return self._due.first()

    def tick(self, now: int, limit: int = TICK_LIMIT) -> None:
        """Remove what has ended and renew the leases of what is held, at most `limit` addresses.

        Housekeeping: no reader depends on it for an end, only held addresses for their next lease.
        """
        while limit > 0 and (due := self._due.take(now)) is not None:
            address, second = due
            auth = self.authorisations.get(address)
            if auth is not None and auth.due == second:
                limit -= len(auth.sessions) if isinstance(auth.sessions, set) else 1
                self._settle(address, auth, now)
            else:
                limit -= 1

    def _settle(self, address: str, auth: Authorisation, now: int) -> None:
        """`address` is due: renew its lease, wait for its end, or drop it."""
        until = self._lease(auth, now)
        if until > auth.until:
            auth.until = until
            auth.renewed = now
            self._map.add(address)
        if auth.users is not None:
            self._settle_users(address, auth, now)
        if auth.until <= now:
            self._drop(address, auth)
            # The journal need not hear of it: whoever replays it compares the end with the clock.
            self._journal_addresses.pop(address, None)
        else:
            self._enqueue(address, auth, max(self._due_at(auth), now + 1))

    def _settle_users(self, address: str, auth: Authorisation, now: int) -> None:
        """Renew each user's lease by his own sessions, and remove those whose time has ended."""
        assert auth.users is not None
        leases = self._leases(auth, now)
        ended = []
        for name, user in auth.users:
            if user.extend(leases.get(name, 0), now):
                self._map.add(address)
            if user.until <= now:
                ended.append(name)
        if ended and len(ended) < len(auth.users):
            self._remove_users(address, auth, ended)

    def _lease(self, auth: Authorisation, now: int) -> int:
        """The latest end that the sessions of `auth` give it; those past their time are closed."""
        latest = 0
        for key in auth.session_keys():
            session = self.sessions[key]
            latest = max(latest, self._end_of(session, now))
            limit = session.opened + self._terms(session.user, session.address).max_session_seconds
            if limit <= now:
                self.logout(key, limit, now)
        return latest

    def _until(self, address: str) -> int:
        auth = self.authorisations.get(address)
        return 0 if auth is None else auth.until

    def _is_held_by(self, user: str, address: str) -> bool:
        """Whether a session of the user with this key holds `address`."""
        auth = self.authorisations.get(address)
        keys = () if auth is None else auth.session_keys()
        return any(user_key(self.sessions[key].user) == user for key in keys)

    def _count_users(self) -> None:
        """Learn from addresses and sessions whose they are, after a start."""
        self.user_limit.clear()
        if not self.user_limit.most:
            return
        for address, auth in self.authorisations.items():
            if auth.server != MANUAL and auth.user:
                self.user_limit.add(user_key(auth.user), address, auth.until)
            for user in {self.sessions[key].user for key in auth.session_keys()} - {auth.user, ""}:
                self.user_limit.share(address, user_key(user), user_key(auth.user))
                self.user_limit.add(user_key(user), address, auth.until)
            for (user, by_hand), each in auth.users or ():
                if user and not by_hand:
                    self.user_limit.share(address, user_key(user), user_key(auth.user))
                    self.user_limit.add(user_key(user), address, each.until)

    def _due_at(self, auth: Authorisation) -> int:
        """Return when `tick` must look at `auth`: at its end, or in time to renew a lease."""
        if auth.sessions is None:
            return auth.until
        first = auth.until
        if auth.users is not None:
            holding = {(self.sessions[key].user, False) for key in auth.session_keys()}
            first = min((user.until for name, user in auth.users if name in holding), default=first)
        return first - self._lead_seconds

    def _enqueue(self, address: str, auth: Authorisation, due: int) -> None:
        """Look at `address` again at `due`. An older date of it is void: see `auth.due`."""
        auth.due = due
        self._due.put(address, due)

    def shift(self, seconds: int) -> None:
        """The wall clock was set by `seconds` (negative: back): what is left stays what it was."""
        for part in self.authorisations.parts:
            for auth in part.values():
                auth.until += seconds
                auth.renewed += seconds
                auth.since += seconds
                auth.last += seconds
                for _, user in auth.users or ():
                    user.shift(seconds)
        for sessions in self.sessions.parts:
            for session in sessions.values():
                session.opened += seconds
        self.user_limit.shift(seconds)
        self._requeue()
        self.version += 1

    def _requeue(self) -> None:
        self._due = DueQueue()
        for address, auth in self.authorisations.items():
            self._enqueue(address, auth, self._due_at(auth))

    # ------------------------------------------------------------------ the journal's side

    def changes(self) -> int:
        """How many states the journal has to be told of."""
        return len(self._journal_addresses) + len(self._journal_users) + len(self._journal_sessions)

    def journal_payloads(self) -> list[str]:
        """What the journal has to be told. It is told again until `journaled` is called."""
        payloads = [self._payloads.address(a, line) for a, line in self._journal_addresses.items()]
        payloads += [self._payloads.user(*key) for key in self._journal_users]
        payloads += [self._payloads.session(key) for key in self._journal_sessions]
        return payloads

    def journaled(self) -> None:
        """The journal has what `journal_payloads` gave."""
        self._journal_addresses.clear()
        self._journal_users.clear()
        self._journal_sessions.clear()

    def live_payloads(self) -> Iterator[str]:
        """Everything, for a new journal: a fuzzy snapshot, slices may be taken between changes."""
        for address in self.authorisations.snapshot():
            yield self._payloads.address(address, "")
            auth = self.authorisations.get(address)
            if auth is not None and auth.users is not None:
                for name, _ in auth.users:
                    yield self._payloads.user(address, name)
        for key in self.sessions.snapshot():
            yield self._payloads.session(key)

    def apply(self, payload: str) -> bool:
        """Take one payload of the journal; whether it was one of ours.

        Raises:
            ValueError: it begins like one of ours but is not.
        """
        return self._payloads.apply(payload)

    def learn(self, address: str, entry: Entry, now: int) -> bool:
        """Take what an old map says: see `Payloads.learn`."""
        return self._payloads.learn(address, entry, now)

    def restored(self, now: int) -> None:
        """After the last `apply`: tie sessions to addresses, drop what has ended meanwhile.

        What was written in the future (the clock was set back while nobody ran) is dropped: how
        long ago it really was, nobody can say.
        """
        for sessions in self.sessions.parts:
            for key, session in list(sessions.items()):
                auth = self.authorisations.get(session.address)
                if auth is None or session.opened > now + 1 or self._end_of(session, now) <= now:
                    del sessions[key]
                else:
                    auth.hold(key)
        for addresses in self.authorisations.parts:
            for address, known in list(addresses.items()):
                if known.users is not None:
                    self._restore_users(address, known, now)
                if known.renewed > now + 1:
                    self._drop(address, known)
                else:
                    self._settle(address, known, now)
        self._count_users()
        self.events.take()  # what ended while nobody ran is no news
        self._payloads.replayed()
        self.journaled()

    def _restore_users(self, address: str, auth: Authorisation, now: int) -> None:
        """Drop users from the future, and those of an older life of the address."""
        assert auth.users is not None
        self._map.may_have_users(address)
        leases = self._leases(auth, now)
        for name, user in auth.users:
            ended = max(user.until, leases.get(name, 0)) <= now
            if ended or user.renewed > now + 1:
                del auth.users.by_name[name]
        if auth.users.by_name.keys() <= {auth.name()}:
            auth.users = None
            self._map.add(address)

    # ------------------------------------------------------------------ the map's side

    def map_changes(self, limit: int | None = None) -> dict[str, bytes | None]:
        """What the map has to be told of the oldest `limit` addresses, until `mapped` is called:
        key to value (None: delete)."""
        return self._map.oldest(limit)

    def tell_again(self, addresses: Iterable[str]) -> None:
        """Let the journal be told of these once more."""
        for address in addresses:
            address = address.partition("#")[0]
            self._journal_addresses[address] = ""
            auth = self.authorisations.get(address)
            for name, _ in (auth and auth.users) or ():
                self._journal_users[address, name] = None

    def map_forgotten(self) -> None:
        """The map is made anew from `map_values`: nothing has to be told."""
        self._map.clear()

    def map_dirty(self) -> int:
        """How many addresses the map has to be told of."""
        return len(self._map)

    def mapped(self, written: Mapping[str, bytes | None]) -> None:
        """The map has `written`."""
        self._map.written(written)

    def map_values(self) -> Iterator[tuple[str, bytes]]:
        """Everything, for a new map."""
        return self._map.all()

    def living(self, now: int) -> Iterator[tuple[str, Entry]]:
        """Who may relay at `now`, for exports."""
        for address, auth in self.authorisations.items():
            if auth.until > now:
                yield address, auth.entry()
