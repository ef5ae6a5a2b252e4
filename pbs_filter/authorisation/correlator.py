"""The correlator joins the observations of one session: a login, a logout, or a reason why not.

A session is (host, server, key), written `host server key`. The pid alone is never the key: two POP
hosts have the same pids, and so have two servers on one host. A host of the network is its address
and the name it claims, `192.0.2.10 mx1`.

Forgetting has two forms: by age, set when the entry is made, and by number, oldest first. Anybody
can open connections, so whatever a connection makes us remember is bounded.

Journal payloads (states, `later wins`; see `ledger`):

    p <session> <address> <at>
    q <session>
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from ..model import Reason
from .ledger import Ledger
from .shards import Shards

EARLY_END_SECONDS = 10
"""A login may be this much younger than the end of its session: Dovecot 2.2 writes them in two
processes. One that is older than the end, by any time, was ended by it: a syslog daemon that had to
queue lines on disk hands on new ones before old ones. So the end of an unknown session is
remembered for a grace, after which such a login authorises nobody anyway."""

MAX_EARLY_ENDS = 10_000
MAX_CLOSED = 10_000
"""Sessions of which the login may come once more. rsyslog sends the line that waited while the
filter could not take any twice, the second time behind all others."""

ORDERED_PART = 5000
"""To grow, an OrderedDict takes five times as long as a dict."""


class Correlator:
    """The correlator keeps pending sessions in front of the ledger. Pure state.

    Args:
        ledger: is told logins and logouts.
        patience_seconds: how long after `Connected` the login may come.
        max_pending: connections without a login that are remembered, oldest forgotten first.
    """

    def __init__(
        self, ledger: Ledger, *, patience_seconds: int, max_pending: int = 100_000
    ) -> None:
        self.ledger = ledger
        self.patience_seconds = patience_seconds
        self.pending: Shards[str, tuple[str, int]] = Shards(max_pending, OrderedDict, ORDERED_PART)
        """Session to (address, at), each part in the order of arrival."""
        self._early_ends: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._closed: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """Session that is over to when it was opened and when it ended."""
        self._changed: dict[str, None] = {}

    def connected(self, session: str, address: str, at: int, now: int) -> None:
        """A client connected. An older session of this key is over: the key was used again."""
        if session in self.pending:
            del self.pending[session]  # what is set again stands behind all others
        else:
            self.ledger.logout(session, at, now)
        self.pending[session] = (address, at)
        self._changed[session] = None
        part = self.pending.part(session)
        if len(part) > self.pending.share:
            self.forget_pending(next(iter(part)))

    def address_of(self, session: str, at: int) -> str | None:
        """Return the address that connected as `session`, if that was recently and nobody logged
        in."""
        known = self.pending.get(session)
        if known is None:
            return None
        address, since = known
        return address if abs(at - since) <= self.patience_seconds else None

    def open_address(self, session: str, user: str) -> str | None:
        """Return the key of the address that `user` holds by the open `session`.

        Of nobody else: a pid is used again, and the first line of its connection may be lost.
        """
        opened = self.ledger.sessions.get(session)
        return opened.address if opened is not None and opened.user == user else None

    def accepted(
        self,
        session: str | None,
        address: str,
        user: str,
        server: str,
        protocol: str,
        at: int,
        now: int,
        line: str,
        *,
        holds: bool,
    ) -> Reason | None:
        """A login with its address known; None: authorised. Arguments as `Ledger.login`; without
        `holds` the session's end cannot be relied on, and it does not hold its address.

        One that was told a moment before (by the server's other feed, for one) is `TOLD_TWICE`.
        """
        told = False
        if session is not None:
            opened = self.ledger.sessions.get(session)
            told = (
                opened is not None
                and opened.address == address
                and opened.user == user
                and abs(at - opened.opened) <= EARLY_END_SECONDS
            )
            if session in self.pending:
                self.forget_pending(session)
            if (
                not holds
                or (self._closed and self._is_closed(session, at))
                or (self._early_ends and self._ended_before(session, user, protocol, at))
            ):
                session = None
        reason = self.ledger.login(address, user, server, protocol, session, at, now, line)
        return Reason.TOLD_TWICE if told and reason is None else reason

    def _is_closed(self, session: str, at: int) -> bool:
        """Return whether a login at `at` is that of the last session of this key, which is over."""
        known = self._closed.get(session)
        return known is not None and at <= known[0]

    def _ended_before(self, session: str, user: str, protocol: str, at: int) -> bool:
        prefix = session[: session.rindex(" ") + 1]
        for key in ((session, ""), (prefix + user, protocol)):
            end = self._early_ends.pop(key, None)
            if end is not None and at - end <= EARLY_END_SECONDS:
                return True
        return False

    def ended(self, session: str, at: int, now: int) -> str | None:
        """A session ended; the address it held, None if nobody had logged in."""
        if session in self.pending:
            self.forget_pending(session)
            return None
        address = self._close(session, at, now)
        if address is None:
            self._remember_end((session, ""), at)
        return address

    def ended_by_user(
        self, host_and_server: str, user: str, protocol: str, at: int, now: int
    ) -> str | None:
        """A session of `user` ended, we are not told which: the oldest. As `ended`."""
        session = self.ledger.oldest_session(host_and_server, user, protocol)
        if session is not None:
            return self._close(session, at, now)
        self._remember_end((host_and_server + user, protocol), at)
        return None

    def _close(self, session: str, at: int, now: int) -> str | None:
        """A session that may be open ended; the address it held."""
        opened = self.ledger.sessions.get(session)
        if opened is not None:
            self._closed.pop(session, None)  # what is set again stands behind all others
            self._closed[session] = (opened.opened, at)
            if len(self._closed) > MAX_CLOSED:
                self._closed.popitem(last=False)
        return self.ledger.logout(session, at, now)

    def _remember_end(self, key: tuple[str, str], at: int) -> None:
        self._early_ends[key] = at
        if len(self._early_ends) > MAX_EARLY_ENDS:
            self._early_ends.popitem(last=False)

    def forget_pending(self, session: str) -> None:
        """A pending session is forgotten: its login is none of a known connection."""
        del self.pending[session]
        self._changed[session] = None

    def tick(self, now: int, limit: int = 1000) -> None:
        """Forget what is too old, at most `limit` of each kind."""
        for part in self.pending.parts:
            while part and limit > 0:
                session, (_, at) = next(iter(part.items()))
                if now - at <= self.patience_seconds:
                    break
                self.forget_pending(session)
                limit -= 1
        while self._closed:
            session, (_, at) = next(iter(self._closed.items()))
            if now - at <= self.ledger.grace_seconds:
                break
            del self._closed[session]
        while self._early_ends:
            key, at = next(iter(self._early_ends.items()))
            if now - at <= max(EARLY_END_SECONDS, self.ledger.grace_seconds):
                break
            del self._early_ends[key]

    def shift(self, seconds: int) -> None:
        """The wall clock was set by `seconds` (negative: back)."""
        for session, (address, at) in self.pending.items():
            self.pending[session] = (address, at + seconds)
        self._early_ends.clear()
        for session, (opened, ended) in self._closed.items():
            self._closed[session] = (opened + seconds, ended + seconds)

    # ------------------------------------------------------------------ the journal's side

    def changes(self) -> int:
        """Return how many payloads the journal lacks."""
        return len(self._changed)

    def journal_payloads(self) -> list[str]:
        """Return the payloads that the journal lacks, until `journaled` is called."""
        return [self._payload(session) for session in self._changed]

    def journaled(self) -> None:
        """The journal has what `journal_payloads` gave."""
        self._changed.clear()

    def live_payloads(self) -> Iterator[str]:
        """Return all payloads, for a new journal."""
        for session in self.pending.snapshot():
            yield self._payload(session)

    def _payload(self, session: str) -> str:
        known = self.pending.get(session)
        return f"q\t{session}" if known is None else f"p\t{session}\t{known[0]}\t{known[1]}"

    def apply(self, payload: str) -> bool:
        """Take one payload of the journal; whether it was one of ours.

        Raises:
            ValueError: it begins like one of ours but is not.
        """
        kind, *fields = payload.split("\t")
        if kind == "p":
            session, address, at = fields
            self.pending[session] = (address, int(at))
        elif kind == "q":
            (session,) = fields
            self.pending.pop(session, None)
        else:
            return False
        return True

    def restored(self, now: int) -> None:
        """After the last `apply`: forget what is too old, or from the future."""
        for session, (_, at) in list(self.pending.items()):
            if not -1 <= now - at <= self.patience_seconds:
                del self.pending[session]
        for part in self.pending.parts:
            while len(part) > self.pending.share:
                del part[next(iter(part))]
