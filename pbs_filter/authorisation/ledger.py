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
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from ..map_format.entry import MAX_SESSIONS, Entry
from ..model import Reason
from . import housekeeping, restore
from .authorisations import MANUAL, Authorisation, Session
from .book import Book
from .user_names import user_key


class Ledger(Book):
    """Sessions and authorisations. See the module's text for the rules, `Book` for arguments."""

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
        grace_seconds, longest = self.terms(user, address)
        until = at + grace_seconds
        if until <= now:
            return Reason.TOO_LATE
        limit = self.user_limit
        key = user_key(user) if limit.most else ""
        addresses = self.authorisations.part(address)
        auth = addresses.get(address)
        if auth is None and len(addresses) >= self.authorisations.share:
            is_one_too_many = key and not limit.admits(key, address, now)
            return Reason.USER_HAS_TOO_MANY if is_one_too_many else Reason.TOO_MANY
        if key and not limit.enter(key, address, until, now):
            return Reason.USER_HAS_TOO_MANY
        if auth is None:
            auth = addresses[address] = Authorisation(until, now, at, at, server, protocol, user)
            self.version += 1
            changed = True
            self.events.add("authorised", address, user, server, until)
        else:
            if key and auth.user != user:
                limit.share(address, key, user_key(auth.user))
            changed = until > auth.until or at > auth.last
            if auth.until <= now and auth.sessions is None:
                auth.since = at  # ended, and not swept yet
                self.events.add("authorised", address, user, server, until)
                auth.users = None
            elif auth.users is None and (auth.user != user or auth.server == MANUAL):
                self.list_users(address, auth)
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
        if auth.users is not None and self.user_login(
            address, auth.users, (user, False), server, protocol, at, until, now
        ):
            changed = True
        if (
            session is not None
            and longest
            and self._open(session, address, at, protocol, user, auth, now)
        ):
            changed = True
        elif not auth.due:
            self.enqueue(address, auth, auth.until)
        if changed:
            self._journal_addresses[address] = line
            self.map.add(address)
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
            longest = self.terms(known.user, address).max_session_seconds
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
        renewal = self.due_at(auth)
        if auth.due > renewal or not auth.due:
            self.enqueue(address, auth, renewal)
        self._journal_sessions[key] = None
        self.index.add(key, opened)
        return True

    def oldest_session(self, host_and_server: str, user: str, protocol: str) -> str | None:
        """Return the key of the oldest open session of `user` by `protocol`: see `SessionIndex`."""
        return self.index.oldest(self.sessions, host_and_server, user, protocol)

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
                self.list_users(address, auth)
        auth.until = max(auth.until, now + seconds)
        auth.renewed = now
        auth.last = now
        auth.server = MANUAL
        auth.protocol = ""
        auth.user = note
        if auth.users is not None:
            self.user_login(address, auth.users, (note, True), MANUAL, "", now, now + seconds, now)
        self.enqueue(address, auth, self.due_at(auth))
        self._journal_addresses[address] = "authorised by hand"
        self.map.add(address)

    def forget(self, address: str, now: int) -> bool:
        """End the authorisation of `address` and close its sessions; whether there was one."""
        auth = self.authorisations.get(address)
        if auth is None:
            return False
        self.drop(address, auth)
        self.journal.payloads.end(address, None, now)
        self._journal_addresses[address] = ""
        return True

    def forget_user(self, user: str, now: int) -> int:
        """End every authorisation of `user`, in every spelling of the name; return how many."""
        key_of_user = user_key(user)
        return self.forget_users(lambda name: user_key(name) == key_of_user, now)

    def forget_users(self, is_meant: Callable[[str], bool], now: int) -> int:
        """End every authorisation of the users who are meant; return how many addresses had one."""
        count = 0
        for address, auth in list(self.authorisations.items()):
            known = [auth.name()] if auth.users is None else list(auth.users.by_name)
            names = [(name, by_hand) for name, by_hand in known if not by_hand and is_meant(name)]
            # With many users behind an address, one may have a session and no place among them.
            keys = [key for key in auth.session_keys() if is_meant(self.sessions[key].user)]
            if not names and not keys:
                continue
            count += 1
            if len(names) == len(known):
                self.forget(address, now)
                continue
            users = {name for name, _ in names}
            for key in keys:
                session = self.sessions.pop(key)
                users.add(session.user)
                self._journal_sessions[key] = None
                self.index.remove(key, session)
                auth.release(key)
            for name in names:
                self.journal.payloads.end(address, name, now)
            left = self.remove_users(address, auth, names) if names else auth.users
            for user in users:
                self.user_limit.forget(user_key(user), address)
            if left is not None:
                (auth.user, _), newest = left.newest()
                auth.last, auth.server, auth.protocol = newest.last, newest.server, newest.protocol
                auth.until = max(each.until for _, each in left)
            elif not names and auth.sessions is None and auth.server != MANUAL:
                # It was his session that held the address for the last user who is left.
                grace_seconds = self.terms(auth.user, address).grace_seconds
                auth.until = min(auth.until, auth.last + grace_seconds)
            self._journal_addresses.setdefault(address, "")
            self.map.add(address)
            self.enqueue(address, auth, self.due_at(auth))
        return count

    def forget_all(self, now: int) -> int:
        """End every authorisation; return how many there were."""
        addresses = list(self.authorisations)
        for address in addresses:
            self.forget(address, now)
        return len(addresses)

    # ------------------------------------------------------------------ time

    def next_due(self) -> int | None:
        """Return when `tick` has something to do, seconds since the epoch."""
        return self.due.first()

    def tick(self, now: int, limit: int = housekeeping.TICK_LIMIT) -> None:
        """Remove what has ended and renew the leases of what is held, at most `limit` addresses."""
        housekeeping.tick(self, now, limit)

    def shift(self, seconds: int) -> None:
        """The wall clock was set by `seconds` (negative: back): what is left stays what it was."""
        housekeeping.shift(self, seconds)

    # ------------------------------------------------------------------ the journal's side

    def changes(self) -> int:
        """Return how many payloads the journal lacks."""
        return len(self.journal)

    def journal_payloads(self) -> list[str]:
        """Return the payloads that the journal lacks, until `journaled` is called."""
        return self.journal.waiting()

    def journaled(self) -> None:
        """The journal has what `journal_payloads` gave."""
        self.journal.written()

    def live_payloads(self) -> Iterator[str]:
        """Return all payloads, for a new journal: a fuzzy snapshot, slices may be taken between
        changes."""
        return self.journal.live()

    def tell_again(self, addresses: Iterable[str]) -> None:
        """Let the journal be told of these once more."""
        self.journal.tell_again(addresses)

    def apply(self, payload: str) -> bool:
        """Take one payload of the journal; whether it was one of ours.

        Raises:
            ValueError: it begins like one of ours but is not.
        """
        return self.journal.payloads.apply(payload)

    def learn(self, address: str, entry: Entry, now: int, *, surely: bool = False) -> bool:
        """Take what an old map says: see `Payloads.learn`."""
        return self.journal.payloads.learn(address, entry, now, surely=surely)

    def keep_only(self, addresses: Collection[str]) -> int:
        """Drop all other addresses, before `restored`; return how many there were."""
        gone = [address for address in self.authorisations if address not in addresses]
        for address in gone:
            del self.authorisations[address]
        return len(gone)

    def restored(self, now: int) -> None:
        """After the last `apply`: tie sessions to addresses, drop what has ended meanwhile."""
        restore.restore(self, now)

    # ------------------------------------------------------------------ the map's side

    def map_changes(self, limit: int | None = None) -> dict[str, bytes | None]:
        """Return the changes that the map lacks, of the oldest `limit` addresses, until `mapped` is
        called: key to value (None: delete)."""
        return self.map.oldest(limit)

    def map_forgotten(self) -> None:
        """The map is made anew from `map_values`: nothing has to be told."""
        self.map.clear()

    def map_dirty(self) -> int:
        """Return how many addresses the map lacks."""
        return len(self.map)

    def mapped(self, written: Mapping[str, bytes | None]) -> None:
        """The map has `written`."""
        self.map.written(written)

    def map_values(self) -> Iterator[tuple[str, bytes]]:
        """Return all entries, for a new map."""
        return self.map.all()

    def living(self, now: int) -> Iterator[tuple[str, Entry]]:
        """Return the addresses that may relay at `now`, for exports."""
        for address, auth in self.authorisations.items():
            if auth.until > now:
                yield address, auth.entry()
