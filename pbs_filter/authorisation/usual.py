"""Usual logins go straight from the line to the ledger here: nine of ten, in half the time. Pure.

A login is usual if a straight expression (`grammar.straight`) reads its line, and nothing about it
has to be weighed: the sender's word counts, no list of the site names its address or its user, and
it can be no piece of a line. Everything else goes the general way of `Pipeline`, which is the
reference: a property test holds this to it. No record, observation or outcome is made here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..grammar.carriage import Carriage
from ..grammar.matcher import Matcher
from ..grammar.observe import canonical_of, protocol_of
from ..grammar.reading import Straight
from ..grammar.rules import Rule, Server
from ..model import Record
from ..syslog.json_records import is_exact, oldest, second_of
from ..syslog.message import nil
from .authorisations import clean
from .counters import Counts
from .keys import key_of_logger, prefix_of, word_of
from .logins import Logins
from .outcome import Outcome
from .policy import Policy
from .state import State

_Found = tuple[
    int,
    float | None,
    str,
    str,
    str | None,
    str,
    str,
    str | None,
    str | None,
    str | None,
    str | None,
    str | None,
]
"""When a line was written (whole seconds, and exactly), by which logger, and what it says."""

ENOUGH = 20
"""So many logins of a rule go the general way first: to make its expression takes 20 ms, which a
start should not pay for."""


class Way(NamedTuple):
    """The straight way of one program's logins."""

    program: str
    straight: Straight
    server: Server
    rule: Rule
    protocol: str | None
    """The protocol where the line does not say."""
    known_as: str
    """The server's name in the ledger."""
    cut: Carriage | None
    """How the lines travel, where a logger cuts them."""
    uids: frozenset[str]
    """The accounts that may write such a line."""
    holds: bool
    """Whether such a login may hold its address."""


class UsualLogins:
    """Takes usual logins.

    Args:
        matcher: has the rules.
        logins: takes a login to the ledger.
        state: knows what may be a piece, and whether somebody looks at the outcomes.
        cut_programs: programs whose logger cuts lines, with how.
        counts: is told of each login.
        count: counts the outcome of a line, and tells of it.
    """

    def __init__(
        self,
        *,
        matcher: Matcher,
        logins: Logins,
        state: State,
        cut_programs: Mapping[str, Carriage],
        counts: Counts,
        count: Callable[[bytes, Outcome], None],
    ) -> None:
        self.ways: dict[bytes, Way] = {}
        """By program, as its name stands in the line."""
        self._matcher = matcher
        self._logins = logins
        self._state = state
        self._pieces = state.pieces
        self._cut_programs = cut_programs
        self._counts = counts
        self._count = count
        self._seen: dict[tuple[str, Rule], int] = {}
        self._learnt: dict[str, Rule] = {}
        """By program, the rule whose way was opened last, if it has one."""
        self._policy = logins.policy
        self._weighs = False
        """Whether the site asks of a login what the general way alone can tell."""

    def follow(self, policy: Policy) -> None:
        """Judge by `policy` from now on."""
        self._policy = policy
        self.ways.clear()
        self._learnt.clear()
        self._weighs = policy.asks_for_tls or bool(policy.groups)

    def open_ways(self) -> Mapping[bytes, Way]:
        """Return the ways that lines may go just now."""
        state = self._state
        watched = state.trace.is_on or state.ledger.events.debugging
        return {} if watched or self._weighs or self._policy.countries else self.ways

    def learn(self, record: Record, server: Server, rule: Rule) -> None:
        """A login went the general way."""
        program = record.program
        if self._learnt.get(program) is rule or program not in self._matcher.program_names:
            return  # a path is anybody's text
        key = program, rule
        seen = self._seen[key] = self._seen.get(key, 0) + 1
        if seen >= ENOUGH:
            self._learnt[program] = rule
            self._open(program, server, rule)

    def _open(self, program: str, server: Server, rule: Rule) -> None:
        self.ways.pop(program.encode(), None)
        straight = self._matcher.straight(program, server, rule)
        carriage = self._cut_programs.get(program)
        # A line that travels otherwise than its neighbours is for the general way, and so is one
        # of a server whose pieces look like lines: each of its lines is a sign.
        if straight is None or (
            carriage is not None and (carriage.off or carriage != server.carriage_of(program))
        ):
            return
        uids = {0, *self._policy.trusted_uids.get(server.name, ())}
        self.ways[program.encode()] = Way(
            program,
            straight,
            server,
            rule,
            rule.protocol or self._matcher.protocol_of(program, server),
            server.sessions_of or server.name,
            carriage,
            frozenset(map(str, uids)),
            self._logins.holds(server, rule),
        )

    def take(self, line: bytes, way: Way, now: int, at: int | None = None) -> bool:
        """Take the login that `line` tells of; False: it is not a usual one, and nothing was done.

        `at` is when it was written, if the caller knows better than the line.
        """
        text = line.decode("utf-8", "surrogateescape")
        logger = ""
        written: float | None = None
        if text.startswith("{"):
            found = self._of_json(text, way, now)
            if found is None:
                return False
            (at_by_line, written, logger, host, pid, message, user, address, spelt, local, service,
             key) = found  # fmt: skip
            at = at_by_line if at is None else at
        else:
            match = way.straight.in_text(text)
            if match is None or self._policy.require_vouched:
                return False
            host, pid, message, user, address, spelt, local, service, key = match.group(
                *way.straight.text_groups
            )
            if way.cut is not None:
                logger = key_of_logger(host, way.program, None)
                if pid or not self._is_line(way.cut, logger, message, None, None):
                    return False
            if at is None:
                at = now
        if address is None:
            address = canonical_of(spelt or "")
            if address is None or self._logins.ipv6_prefix != 128:
                return False
        user = clean(user)
        if self._policy.refuses(
            address, user, canonical_of(local) if way.straight.has_local and local else None
        ):
            return False
        form = way.straight.session
        session: str | None = None
        if form == "key":
            session = key
        elif form == "pid":
            session = pid or None
        elif form and user and key:
            session = f"{user},{address},{key}"
        if session is not None:
            if " " in session or not session.isprintable():
                session = word_of(session)
            session = prefix_of(host, way.known_as) + session
        protocol = way.protocol
        if way.straight.has_protocol and service is not None:
            protocol = protocol_of(service)
        reason = self._logins.login(
            address,
            user,
            way.known_as,
            protocol or "",
            session,
            at,
            now,
            message,
            way.holds,
            logger,
            written,
        )
        if reason is None:
            self._counts.add_login(address, user, way.server.name, way.known_as, protocol or "")
            return True
        self._count(
            line,
            Outcome(
                "none",
                reason,
                way.server.name,
                way.rule.name,
                None,
                address,
                user,
                protocol,
                self._logins.detail(reason, user, address),
            ),
        )
        return True

    def _of_json(self, text: str, way: Way, now: int) -> _Found | None:
        """Return what a line of the JSON feed says, and when; None: it is not a usual one."""
        match = way.straight.in_json(text, 0, len(text) - 2) if text.endswith('"}') else None
        if match is None:
            return None
        (received, zone, sent, sent_zone, host, tag_pid, pid, source, uid, juid, message, user,
         address, spelt, local, service, key) = match.group(*way.straight.json_groups)  # fmt: skip
        writer = uid or juid
        if self._policy.require_vouched if writer is None else writer not in way.uids:
            return None
        written: float | None = None
        try:
            at = second_of(received, zone)
            if sent != received or sent_zone != zone:
                at = min(at, second_of(sent, sent_zone))
            if way.cut is not None:
                written = oldest(
                    text[match.start(1) : match.end(2)], text[match.start(3) : match.end(4)]
                )
        except ValueError:
            return None
        host, pid = nil(host), nil(pid) or tag_pid
        logger = ""
        if way.cut is not None:
            logger = key_of_logger(host, way.program, None if writer is None else int(writer))
            exact = is_exact(source, "", uid, juid)
            if pid or not exact or not self._is_line(way.cut, logger, message, exact, written):
                return None
        return (min(at, now), written, logger, host, pid, message, user, address, spelt, local,
                service, key)  # fmt: skip

    def _is_line(
        self, cut: Carriage, logger: str, message: str, exact: bool | None, written: float | None
    ) -> bool:
        """Return whether `message` is no piece, nor makes one likely of what follows."""
        return self._pieces.is_calm(logger, written) and not cut.is_sign(message, exact)
