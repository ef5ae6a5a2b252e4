"""The straight ways are opened here, one for each program and rule that is in use. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ..grammar.carriage import Carriage
from ..grammar.matcher import Matcher
from ..grammar.reading import Straight, behind
from ..grammar.rules import Rule, Server
from ..model import Record
from ..syslog.scanner import GROUPS_BEFORE, Reader, Scanner, usual_tag
from .logins import Logins
from .policy import Policy
from .state import State

ENOUGH = 20
"""So many logins of a rule go the general way first: to make its expression takes 20 ms, which a
start should not pay for."""


class Way:
    """The straight way of one program's logins.

    Args:
        known_as: the server's name in the ledger.
        cut: how the lines travel, where a logger cuts them.
        uids: the accounts that may write such a line.
        holds: whether such a login may hold its address.
    """

    __slots__ = ("cut", "groups", "has_local", "has_protocol", "holds", "known_as", "program",
                 "protocol", "rule", "server", "session", "straight", "uids")  # fmt: skip

    def __init__(
        self,
        program: str,
        straight: Straight,
        server: Server,
        rule: Rule,
        protocol: str | None,
        known_as: str,
        cut: Carriage | None,
        uids: frozenset[str],
        holds: bool,
    ) -> None:
        self.program = program
        self.straight = straight
        self.has_local = straight.has_local
        self.has_protocol = straight.has_protocol
        self.session = straight.session
        self.server = server
        self.rule = rule
        self.protocol = protocol
        """The protocol where the line does not say."""
        self.known_as = known_as
        self.cut = cut
        self.uids = uids
        self.holds = holds
        self.groups: tuple[int, ...] = ()
        """Where the reader of blocks tells a line's pid (in two headers, see `usual_tag`), message
        and `straight.RESULTS`; 0: the rule has no such result."""


class Ways:
    """The straight ways, by which `UsualLogins` takes logins.

    Args:
        matcher: has the rules.
        scanner: finds lines.
        logins: knows which logins hold an address.
        state: knows whether somebody looks at the outcomes.
        cut_programs: programs whose logger cuts lines, with how.
    """

    def __init__(
        self,
        matcher: Matcher,
        scanner: Scanner,
        logins: Logins,
        state: State,
        cut_programs: Mapping[str, Carriage],
    ) -> None:
        self.ways: dict[bytes, Way] = {}
        """By program, as its name stands in the line."""
        self._matcher = matcher
        self._scanner = scanner
        self._logins = logins
        self._state = state
        self._cut_programs = cut_programs
        self._has_changed = True
        """Whether the reader must be made anew."""
        self._reader: Reader | None = None
        self._in_block: tuple[Way, ...] = ()
        """The ways that it knows."""
        self._seen: dict[tuple[str, Rule], int] = {}
        self._learnt: dict[str, Rule] = {}
        """By program, the rule whose way was opened last, if it has one."""
        self._policy = logins.policy

    def follow(self, policy: Policy) -> None:
        """Judge by `policy` from now on."""
        self._policy = policy
        self.ways.clear()
        self._has_changed = True
        self._learnt.clear()

    def open_ways(self) -> Mapping[bytes, Way]:
        """Return the ways that lines may go just now."""
        state, policy = self._state, self._policy
        is_watched = state.trace.is_on or state.ledger.events.debugging
        # What the general way alone can tell.
        is_weighed = policy.asks_for_tls or policy.groups or policy.countries
        return {} if is_watched or is_weighed else self.ways

    def reader(self) -> Reader | None:
        """Return what finds the lines of a block of text, and reads the usual ones; None: none are
        usual just now.

        See `Scanner.reader`; `take_found` takes each line that it returns.
        """
        if not self.open_ways() or self._policy.require_vouched:
            return None
        if self._has_changed:
            self._make_reader()
            self._has_changed = False
        return self._reader

    def _make_reader(self) -> None:
        """Let the reader know all ways. An alarm within leaves `_has_changed`: the groups of the
        new ways would be others in the old reader."""
        messages, ways, before = [], [], GROUPS_BEFORE
        for way in self.ways.values():
            straight = way.straight
            if straight.in_block is not None:
                tag = usual_tag(way.program)
                messages.append(tag + behind(straight.in_block, before + 2))
                pids = before, before + 1
                groups = (each and each + before + 1 for each in straight.block_groups)
                way.groups = (*pids, *groups)
                before += 2 + straight.group_count
                ways.append(way)
        self._in_block = tuple(ways)
        self._reader = self._scanner.reader("|".join(messages)) if ways else None

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
        self._has_changed = True
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
