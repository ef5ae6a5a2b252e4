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

Journal payloads are *states*, not events: `later wins` per address and per session, so replaying
one twice, or an old snapshot and then what came after it, gives the same ledger.

    a <address> <until> <renewed> <since> <last> <server> <protocol> <user> <line>
    d <address>
    u <address> <user> <until> <renewed> <since> <last> <server> <protocol>
    v <address> <user> <server>
    o <session> <address> <opened> <protocol> <user>
    c <session>

(fields separated by one tab). `a` has the newest user of the address, and the latest of all ends;
`u` one of several users with his own end, `v` one who is gone.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice

from ..map_format.entry import MAX_SESSIONS, MAX_USERS, Entry, encode
from ..model import Reason
from .events import Event, Events
from .groups import Terms
from .shards import Shards
from .user_limit import UserAddresses
from .user_names import user_key
from .users import Name, Users

MANUAL = "manual"
"""The server of an authorisation that a person made."""

TICK_LIMIT = 500
"""Addresses and sessions one `tick` looks at, a millisecond's work: a million ends in one second
must not stop the filter. The caller calls again while `next_due` says so."""

LINE_CHARACTERS = 300
"""How much of the line that authorised an address the journal keeps for --history."""


class Authorisation:
    """What the ledger knows of one address. Times are whole seconds since the epoch.

    A plain class with slots: a million of them are held, and a login touches one in place.
    """

    __slots__ = (
        "due",
        "last",
        "protocol",
        "renewed",
        "server",
        "sessions",
        "since",
        "until",
        "user",
        "users",
    )

    def __init__(self, until: int, renewed: int, since: int, last: int) -> None:
        self.until = until
        self.renewed = renewed
        self.since = since
        self.last = last
        self.server = ""
        self.protocol = ""
        self.user = ""
        self.users: Users | None = None
        """Each user with his own end; None: one user, who has the address's."""
        self.due = 0
        """When `tick` looks at it; 0: it has not been told yet."""
        self.sessions: str | set[str] | None = None
        """The keys of the open sessions; one alone is kept without a set, which would cost 216
        bytes."""

    def session_keys(self) -> tuple[str, ...]:
        """The keys of the open sessions."""
        held = self.sessions
        if held is None:
            return ()
        return (held,) if isinstance(held, str) else tuple(held)

    def name(self) -> Name:
        """The user of the newest login."""
        return self.user, self.server == MANUAL


class Session:
    """An open session."""

    __slots__ = ("address", "opened", "protocol", "user")

    def __init__(self, address: str, opened: int, protocol: str, user: str) -> None:
        self.address = address
        self.opened = opened
        self.protocol = protocol
        self.user = user


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
        self._due: dict[int, list[str]] = {}
        self._due_heap: list[int] = []
        self._journal_addresses: dict[str, str] = {}
        self._journal_sessions: dict[str, None] = {}
        self._journal_users: dict[tuple[str, Name], None] = {}
        self._map_addresses: dict[str, None] = {}
        self._map_users: dict[str, int] = {}
        """Addresses with users in the map: how many have a key there."""
        self._dropped: set[str] = set()
        """While the journal is replayed: what somebody ended by hand is not learned again."""
        self._by_user: Shards[tuple[str, str], OrderedDict[str, None]] | None = None
        """An ordered one, because to find the first key of a dict whose first ones were removed
        takes the longer the more they were."""

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
            self.events.add(Event("authorised", address, user, server, until))
        else:
            if key and auth.user != user:
                self.user_limit.share(address, key, user_key(auth.user))
            changed = until > auth.until or at > auth.last
            if auth.until <= now and auth.sessions is None:
                auth.since = at  # ended, and not swept yet
                self.events.add(Event("authorised", address, user, server, until))
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
            self._map_addresses[address] = None
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
        held = auth.sessions
        if held is None:
            auth.sessions = key
        elif isinstance(held, str):
            auth.sessions = {held, key}
        elif len(held) >= MAX_SESSIONS:
            return False  # its work must stay small; those there hold the address
        else:
            held.add(key)
        sessions[key] = Session(address, at, protocol, user)
        self.events.add(Event("session", address, user, auth.server))
        renewal = self._due_at(auth)
        if auth.due > renewal or not auth.due:
            self._enqueue(address, auth, renewal)
        self._journal_sessions[key] = None
        if self._by_user is not None:
            self._index(key, user, protocol)
        return True

    def logout(self, key: str, at: int, now: int) -> str | None:
        """The session `key` ended at `at`; the address it held, None if it was not open."""
        session = self.sessions.pop(key, None)
        if session is None:
            return None
        self._journal_sessions[key] = None
        self._unindex(key, session)
        auth = self.authorisations[session.address]
        self._release(auth, key)
        until = self._end_of(session, at)
        self.events.add(Event("session-ended", session.address, session.user, "", until))
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
        self._map_addresses[session.address] = None
        return session.address

    # ------------------------------------------------------------------ several users of an address

    def _list_users(self, address: str, auth: Authorisation) -> None:
        """Another user is about to log in: from now on each has his own end."""
        auth.users = Users()
        auth.users.take(auth.name(), self.entry(auth))
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
            self._map_addresses[address] = None
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
        elif not len(users):
            auth.users = None

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
                    self._unindex(key, session)
                    self._release(auth, key)
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
            self._map_addresses[address] = None
            self._enqueue(address, auth, self._due_at(auth))
        return count

    def forget_all(self) -> int:
        """End every authorisation; return how many there were."""
        addresses = list(self.authorisations)
        for address in addresses:
            self.forget(address)
        return len(addresses)

    def oldest_session(self, host_and_server: str, user: str, protocol: str) -> str | None:
        """The key of the oldest open session of `user` by `protocol`, for logouts that name no
        session (Dovecot 2.2). `host_and_server` is the start of its key, `"host server "`.
        """
        if self._by_user is None:
            # Made when the first such logout is seen: most sites never write one.
            self._by_user = Shards(self.max_sessions)
            for key, session in sorted(self.sessions.items(), key=lambda item: item[1].opened):
                self._index(key, session.user, session.protocol)
        keys = self._by_user.get((host_and_server + user, protocol))
        return next(iter(keys)) if keys else None

    def _index(self, key: str, user: str, protocol: str) -> None:
        assert self._by_user is not None
        who = _user_key(key, user, protocol)
        keys = self._by_user.get(who)
        if keys is None:
            keys = self._by_user[who] = OrderedDict()
        keys[key] = None

    def _unindex(self, key: str, session: Session) -> None:
        if self._by_user is None:
            return
        user = _user_key(key, session.user, session.protocol)
        keys = self._by_user[user]
        del keys[key]
        if not keys:
            del self._by_user[user]

    @staticmethod
    def _release(auth: Authorisation, key: str) -> None:
        held = auth.sessions
        if isinstance(held, set):
            held.discard(key)
            if len(held) == 1:
                auth.sessions = held.pop()
        else:
            auth.sessions = None

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
        self._map_addresses[address] = None

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
            self._unindex(key, session)
        del self.authorisations[address]
        self.events.add(Event("ended", address, auth.user, auth.server))
        if self.user_limit.most:
            self.user_limit.drop(address, user_key(auth.user))
        self.version += 1
        self._map_addresses[address] = None

    # ------------------------------------------------------------------ time

    def next_due(self) -> int | None:
        """When `tick` has something to do, seconds since the epoch."""
        return self._due_heap[0] if self._due_heap else None

    def tick(self, now: int, limit: int = TICK_LIMIT) -> None:
        """Remove what has ended and renew the leases of what is held, at most `limit` addresses.

        Housekeeping: no reader depends on it for an end, only held addresses for their next lease.
        """
        while self._due_heap and self._due_heap[0] <= now and limit > 0:
            second = self._due_heap[0]
            bucket = self._due[second]
            while bucket and limit > 0:
                address = bucket.pop()
                auth = self.authorisations.get(address)
                if auth is not None and auth.due == second:
                    limit -= len(auth.sessions) if isinstance(auth.sessions, set) else 1
                    self._settle(address, auth, now)
                else:
                    limit -= 1
            if not bucket:
                del self._due[second]
                heapq.heappop(self._due_heap)

    def _settle(self, address: str, auth: Authorisation, now: int) -> None:
        """`address` is due: renew its lease, wait for its end, or drop it."""
        until = self._lease(auth, now)
        if until > auth.until:
            auth.until = until
            auth.renewed = now
            self._map_addresses[address] = None
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
                self._map_addresses[address] = None
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
        bucket = self._due.get(due)
        if bucket is None:
            self._due[due] = [address]
            heapq.heappush(self._due_heap, due)
        else:
            bucket.append(address)

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
        self._due = {}
        self._due_heap = []
        for address, auth in self.authorisations.items():
            self._enqueue(address, auth, self._due_at(auth))

    # ------------------------------------------------------------------ the journal's side

    def changes(self) -> int:
        """How many states the journal has to be told of."""
        return len(self._journal_addresses) + len(self._journal_users) + len(self._journal_sessions)

    def journal_payloads(self) -> list[str]:
        """What the journal has to be told. It is told again until `journaled` is called."""
        payloads = [self._address_payload(a, line) for a, line in self._journal_addresses.items()]
        payloads += [self._user_payload(*key) for key in self._journal_users]
        payloads += [self._session_payload(key) for key in self._journal_sessions]
        return payloads

    def journaled(self) -> None:
        """The journal has what `journal_payloads` gave."""
        self._journal_addresses.clear()
        self._journal_users.clear()
        self._journal_sessions.clear()

    def live_payloads(self) -> Iterator[str]:
        """Everything, for a new journal: a fuzzy snapshot, slices may be taken between changes."""
        for address in self.authorisations.snapshot():
            yield self._address_payload(address, "")
            auth = self.authorisations.get(address)
            if auth is not None and auth.users is not None:
                for name, _ in auth.users:
                    yield self._user_payload(address, name)
        for key in self.sessions.snapshot():
            yield self._session_payload(key)

    def _address_payload(self, address: str, line: str) -> str:
        auth = self.authorisations.get(address)
        if auth is None:
            return f"d\t{address}"
        return (
            f"a\t{address}\t{auth.until}\t{auth.renewed}\t{auth.since}\t{auth.last}"
            f"\t{auth.server}\t{auth.protocol}\t{auth.user}\t{clean(line[:LINE_CHARACTERS])}"
        )

    def _user_payload(self, address: str, name: Name) -> str:
        auth = self.authorisations.get(address)
        user = None if auth is None or auth.users is None else auth.users.by_name.get(name)
        if user is None:
            return f"v\t{address}\t{name[0]}\t{MANUAL if name[1] else ''}"
        return (
            f"u\t{address}\t{name[0]}\t{user.until}\t{user.renewed}\t{user.since}\t{user.last}"
            f"\t{user.server}\t{user.protocol}"
        )

    def _session_payload(self, key: str) -> str:
        session = self.sessions.get(key)
        if session is None:
            return f"c\t{key}"
        return f"o\t{key}\t{session.address}\t{session.opened}\t{session.protocol}\t{session.user}"

    def apply(self, payload: str) -> bool:
        """Take one payload of the journal; whether it was one of ours.

        Raises:
            ValueError: it begins like one of ours but is not.
        """
        fields = payload.split("\t")
        kind = fields[0]
        if kind == "a":
            _, address, until, renewed, since, last, server, protocol, user, _line = fields
            addresses = self.authorisations.part(address)
            auth = addresses.get(address)
            if auth is None:
                auth = addresses[address] = Authorisation(0, 0, 0, 0)
            self._dropped.discard(address)
            auth.until = _number(until)
            auth.renewed = _number(renewed)
            auth.since = _number(since)
            auth.last = _number(last)
            auth.server = _word(server)
            auth.protocol = _word(protocol)
            auth.user = user
            if auth.users is not None and len(auth.users) < 2:
                auth.users = None
        elif kind == "u":
            _, address, user, until, renewed, since, last, server, protocol = fields
            auth = self.authorisations.get(address)
            if auth is not None:
                auth.users = auth.users or Users()
                times = _number(until), _number(renewed), _number(since), _number(last)
                entry = Entry(*times, 0, _word(server), _word(protocol), user)
                auth.users.take((user, server == MANUAL), entry)
        elif kind == "v":
            _, address, user, server = fields
            auth = self.authorisations.get(address)
            if auth is not None and auth.users is not None:
                auth.users.by_name.pop((user, server == MANUAL), None)
        elif kind == "d":
            _, address = fields
            self.authorisations.pop(address, None)
            self._dropped.add(address)
        elif kind == "o":
            _, key, address, opened, protocol, user = fields
            self.sessions[key] = Session(address, _number(opened), _word(protocol), user)
        elif kind == "c":
            _, key = fields
            self.sessions.pop(key, None)
        else:
            return False
        return True

    def learn(self, address: str, entry: Entry, now: int) -> bool:
        """Take what an old map says of `address`; whether it is more than the journal did.

        `address` may be the key of one of its users. The journal's words from the future are none:
        the line that told its clock was damaged.
        """
        address, is_user, _ = address.partition("#")
        if address in self._dropped:
            return False
        if is_user:
            return self._learn_user(address, entry, now)
        auth = self.authorisations.get(address)
        if auth is None:
            auth = self.authorisations[address] = Authorisation(0, 0, entry.since, 0)
        elif auth.until >= entry.until and auth.renewed <= now + 1:
            return False
        auth.until = entry.until
        auth.renewed = entry.renewed
        auth.last = entry.last
        auth.server = entry.server
        auth.protocol = entry.protocol
        auth.user = entry.user
        return True

    def _learn_user(self, address: str, entry: Entry, now: int) -> bool:
        auth = self.authorisations.get(address)
        if auth is None:
            auth = self.authorisations[address] = Authorisation(0, 0, entry.since, 0)
            self.learn(address, entry, now)
        if auth.users is None:
            auth.users = Users()
        name = entry.user, entry.server == MANUAL
        known = auth.users.by_name.get(name)
        if known is not None and known.until >= entry.until and known.renewed <= now + 1:
            return False
        auth.users.take(name, entry)
        return True

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
                elif auth.sessions is None:
                    auth.sessions = key
                elif isinstance(auth.sessions, str):
                    auth.sessions = {auth.sessions, key}
                else:
                    auth.sessions.add(key)
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
        self._dropped.clear()
        self.journaled()

    def _restore_users(self, address: str, auth: Authorisation, now: int) -> None:
        """Drop users from the future, and those of an older life of the address."""
        assert auth.users is not None
        self._map_users[address] = MAX_USERS
        leases = self._leases(auth, now)
        for name, user in auth.users:
            ended = max(user.until, leases.get(name, 0)) <= now
            if ended or user.renewed > now + 1:
                del auth.users.by_name[name]
        if auth.users.by_name.keys() <= {auth.name()}:
            auth.users = None
            self._map_addresses[address] = None

    # ------------------------------------------------------------------ the map's side

    def map_changes(self, limit: int | None = None) -> dict[str, bytes | None]:
        """What the map has to be told, address to value (None: delete), the oldest `limit` of it;
        told until `mapped`."""
        changes: dict[str, bytes | None] = {}
        for address in islice(self._map_addresses, limit):
            changes.update(self._map_entries(address))
        return changes

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
        self._map_addresses.clear()

    def map_dirty(self) -> int:
        """How many addresses the map has to be told of."""
        return len(self._map_addresses)

    def mapped(self, written: Mapping[str, bytes | None]) -> None:
        """The map has `written`."""
        for key in written:
            self._map_addresses.pop(key, None)
        if not self._map_users:
            return
        numbers: dict[str, int] = {}
        for key, value in written.items():
            address, is_user, _ = key.partition("#")
            if address in self._map_users:
                numbers[address] = numbers.get(address, 0) + bool(is_user and value is not None)
        for address, number in numbers.items():
            if number:
                self._map_users[address] = number
            else:
                del self._map_users[address]

    def map_values(self) -> Iterator[tuple[str, bytes]]:
        """Everything, for a new map."""
        for address in self.authorisations.snapshot():
            for key, value in self._map_entries(address).items():
                if value is not None:
                    yield key, value

    def living(self, now: int) -> Iterator[tuple[str, Entry]]:
        """Who may relay at `now`, for exports."""
        for address, auth in self.authorisations.items():
            if auth.until > now:
                yield address, self.entry(auth)

    def _map_entries(self, address: str) -> dict[str, bytes | None]:
        """Each key of the map for `address` with its value; None: there is nothing."""
        auth = self.authorisations.get(address)
        if auth is None and address not in self._map_users:
            return {address: None}
        if auth is not None and auth.users is None and address not in self._map_users:
            return {address: encode(address, self.entry(auth))}
        entries = {address: None if auth is None else encode(address, self.entry(auth))}
        number = 0
        if auth is not None and auth.users is not None:
            names = [self.sessions[key].user for key in auth.session_keys()]
            for number, (name, user) in enumerate(auth.users, 1):
                key = f"{address}#{number}"
                held = 0 if name[1] else names.count(name[0])
                times = user.until, user.renewed, user.since, user.last
                entry = Entry(*times, held, user.server, user.protocol, name[0])
                entries[key] = encode(key, entry)
        known = self._map_users.get(address, 0)
        entries |= dict.fromkeys(f"{address}#{each}" for each in range(number + 1, known + 1))
        self._map_users[address] = max(number, known)
        return entries

    @staticmethod
    def entry(auth: Authorisation) -> Entry:
        """The map's words for `auth`."""
        held = auth.sessions
        count = 0 if held is None else 1 if isinstance(held, str) else len(held)
        return Entry(
            auth.until,
            auth.renewed,
            auth.since,
            auth.last,
            count,
            auth.server,
            auth.protocol,
            auth.user,
            0 if auth.users is None else len(auth.users),
        )


# A million addresses have the same few times and words: one object for each, not a million.
_number = lru_cache(4096)(int)
_word = lru_cache(256)(str)


def _user_key(key: str, user: str, protocol: str) -> tuple[str, str]:
    """The index key for logouts by user: everything of the session key but its last word."""
    return key[: key.rindex(" ") + 1] + user, protocol


def clean(text: str) -> str:
    """`text` fit for a journal field and a terminal: nothing that is not printable."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
