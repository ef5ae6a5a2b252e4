"""The last steps of a login or an end: whose session it is, the site's policy, the ledger. Pure."""

from __future__ import annotations

from collections.abc import Container

from ..addresses import widen
from ..grammar.rules import Rule, Server
from ..model import Accepted, Connected, Ended, Ignored, Observation, Reason, Record, Refused
from .authorisations import clean
from .correlator import Correlator
from .keys import logger_of, prefix_of, sender_of, word_of
from .ledger import Ledger
from .noticed import Noticed
from .outcome import Outcome, new_outcome
from .pieces import Granted, Pieces
from .policy import Policy


class Logins:
    """Leads logins to the ledger.

    Args:
        policy: the site's; replaced when the configuration is read again.
        correlator: knows the sessions in front of the ledger.
        ledger: has the addresses.
        noticed: is told of each login.
        pieces: is told of logins that a sign may still take back.
        cut_programs: those whose logger cuts lines.
        tied: names of the servers that log the end of sessions: only theirs can hold an address.
        ipv6_prefix: of the networks by which IPv6 is authorised.
    """

    def __init__(
        self,
        *,
        policy: Policy,
        correlator: Correlator,
        ledger: Ledger,
        noticed: Noticed,
        pieces: Pieces,
        cut_programs: Container[str],
        tied: frozenset[str],
        ipv6_prefix: int,
    ) -> None:
        self.policy = policy
        self.tied = tied
        self.ipv6_prefix = ipv6_prefix
        self.noticed = noticed
        self._correlator = correlator
        self._ledger = ledger
        self._pieces = pieces
        self._cut_programs = cut_programs

    def accepted(
        self,
        observation: Accepted,
        server: Server,
        rule: Rule,
        record: Record,
        at: int,
        now: int,
    ) -> Outcome:
        """Take a login that its sender may tell of, written at `at`."""
        user = clean(observation.user)
        key = observation.session
        known_as = server.sessions_of or server.name
        session = None if key is None else prefix_of(sender_of(record), known_as) + word_of(key)
        address = observation.address
        known_already = False
        if address is None and session is not None:
            address = self._correlator.address_of(session, at)
            if address is None:
                # The login is known: the line came once more (a daemon sends what it had no answer
                # for a second time), or is one that the server writes again (`+OK `, mailfront).
                address = self._correlator.open_address(session, user)
                known_already = address is not None
        detail = ""
        if address is None:
            reason: Reason | None = Reason.UNKNOWN_SESSION
        elif known_already:
            reason = Reason.TOLD_TWICE
        elif refusal := self.policy.refuses(address, user, observation.local, rule, record, at):
            reason, detail = refusal
        else:
            if self.ipv6_prefix != 128:
                address = widen(address, self.ipv6_prefix)
            cut = record.program in self._cut_programs
            reason = self.login(
                address,
                user,
                known_as,
                observation.protocol or "",
                session,
                at,
                now,
                record.message,
                self.holds(server, rule),
                logger_of(record) if cut else "",
                record.time_epoch if cut else None,
            )
            if reason is not None or self.policy.groups:
                detail = self.detail(reason, user, address)
        return new_outcome(
            Outcome,
            (
                "login" if reason is None else "none",
                reason,
                server.name,
                rule.name,
                observation,
                address,
                user,
                observation.protocol,
                detail,
            ),
        )

    def login(
        self,
        address: str,
        user: str,
        known_as: str,
        protocol: str,
        session: str | None,
        at: int,
        now: int,
        line: str,
        holds: bool,
        logger: str,
        written: float | None,
    ) -> Reason | None:
        """Take a login that nothing speaks against; None: authorised.

        `logger` wrote its line at `written`, where a sign that comes later may show it to have been
        a piece; the others are those of `Correlator.accepted`.
        """
        known = self._ledger.authorisations.get(address)
        if known is not None and known.user != user:
            self.noticed.another_user(address, known.user, user)
        reason = self._correlator.accepted(
            session, address, user, known_as, protocol, at, now, line, holds=holds
        )
        if reason is None and written:
            self._pieces.granted(logger, Granted(written, address, session, known is None))
        return reason

    def holds(self, server: Server, rule: Rule) -> bool:
        """Return whether a login that `rule` reads may hold its address until its session ends."""
        return rule.holds and server.name in self.tied

    def detail(self, reason: Reason | None, user: str, address: str) -> str:
        """Return the user or group that decided, for people."""
        if reason is Reason.USER_HAS_TOO_MANY:
            self.noticed.too_many_addresses(user)
            return user
        group = self.policy.group_of(user, address) if self.policy.groups else None
        return "" if group is None else f"group {group.name}"

    def holder(self, record: Record, server: str, observation: Observation) -> str | None:
        """The user who holds the session that `observation` ends; None: nobody logged in."""
        if not isinstance(observation, Ended):
            return None
        if observation.session is None:
            return observation.user
        key = prefix_of(sender_of(record), server) + word_of(observation.session)
        session = self._ledger.sessions.get(key)
        return None if session is None or key in self._correlator.pending else session.user

    def other(
        self,
        observation: Connected | Refused | Ended | Ignored,
        teller: Server,
        rule: str,
        record: Record,
        at: int,
        now: int,
    ) -> Outcome:
        """Take what is no login, from a line of `teller` that its sender may tell of."""
        server = teller.name
        prefix = prefix_of(sender_of(record), teller.sessions_of or server)
        if isinstance(observation, Connected):
            session = prefix + word_of(observation.session)
            self._correlator.connected(session, observation.address, at, now)
            return Outcome("none", Reason.CONNECTED, server, rule, observation, observation.address)
        if isinstance(observation, Ended):
            return self._ended(observation, server, rule, prefix, at, now)
        if isinstance(observation, Refused):
            if observation.session is not None:
                self._correlator.ended(prefix + word_of(observation.session), at, now)
            return Outcome(
                "none",
                Reason.REFUSED,
                server,
                rule,
                observation,
                observation.address,
                observation.user,
            )
        return Outcome("none", Reason.IGNORED, server, rule, observation)

    def _ended(
        self, observation: Ended, server: str, rule: str, prefix: str, at: int, now: int
    ) -> Outcome:
        user = None if observation.user is None else clean(observation.user)
        if observation.session is not None:
            session = prefix + word_of(observation.session)
            known = self._ledger.sessions.get(session)
            if known is not None:
                user = user or known.user
            held = self._correlator.ended(session, at, now)
        else:
            protocol = observation.protocol or ""
            held = self._correlator.ended_by_user(prefix, user or "", protocol, at, now)
        address = held or observation.address
        return Outcome(
            "none" if address is None else "logout",
            Reason.NOBODY_LOGGED_IN if address is None else None,
            server,
            rule,
            observation,
            address,
            user,
            observation.protocol,
        )
