"""The matcher finds the one rule that fits a record's message, and the observation.

Exactly one rule may fit a message. The message's first characters decide which rules can: every
program has a table from them to its candidate rules, so that a usual line tries one or two
patterns. Rules that can fit messages with one beginning are all tried; if two fit with different
meanings, neither counts.

A rule is compiled when the first line needs it: an installation uses two or three of the servers,
and the start need not take the time for the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from ..model import Accepted, Ended, Observation, Reason, Record
from .dispatch import Candidate, Table, dispatch
from .observe import builder
from .reading import Reading, Straight, TextMatch, compiled
from .rules import Rule, Server
from .straight import straight

_new_reading = tuple.__new__
_LONGEST_EXPLAINED = 2000
_NAMING = (Accepted, Ended)
_is_plain = re.compile(r"[\w.@+-]{0,64}").fullmatch
"""A name that every rule reads: where a rule reads the line with it, the name was the obstacle."""


class Match(NamedTuple):
    """The observation in one record, and the rule that read it."""

    server: Server
    rule: Rule
    observation: Observation


class NearMiss(NamedTuple):
    """The part of a message that a rule could read."""

    server: Server
    rule: Rule
    position: int
    """The character where reading stopped; the message's length where the rule fits."""
    expected: str
    """The text that the rule expects there; empty where the rule fits."""


class Matcher:
    """Reads records with all rules of all `servers`.

    Args:
        servers: in the order of the registry.
        programs: server name -> more program names under which it logs; each speaks what the
            server's own programs speak if that is one protocol, else what the line says.
        enable: names of rules (`server-rule`) that are off unless asked for.

    Raises:
        GrammarError: on use, if a rule's expression cannot be translated.
    """

    def __init__(
        self,
        servers: Iterable[Server],
        programs: Mapping[str, Iterable[str]] | None = None,
        enable: Iterable[str] = (),
    ) -> None:
        self.servers = tuple(servers)
        self._enabled = frozenset(enable)
        self._claims: dict[str, list[tuple[Server, str | None]]] = {}
        self._instance_claims: dict[str, list[tuple[Server, str | None]]] = {}
        self._programs: dict[str, Table] = {}
        self._instances: dict[str, Table] = {}
        """Name behind the last slash -> claims, which do not depend on the text before it."""
        self._readings: dict[Rule, Reading] = {}
        self._straight: dict[tuple[str, Server, Rule], Straight | None] = {}
        self._fullmatches: dict[Rule, Callable[[str], TextMatch | None]] = {}
        for server in self.servers:
            for program, protocol in server.programs.items():
                self._claims.setdefault(program, []).append((server, protocol))
                if server.instances:
                    self._instance_claims.setdefault(program, []).append((server, protocol))
            spoken = set(server.programs.values())
            protocol = spoken.pop() if len(spoken) == 1 else None
            for program in (programs or {}).get(server.name, ()):
                self._claims.setdefault(program, []).append((server, protocol))

    @property
    def program_names(self) -> frozenset[str]:
        """Every program name that a server claims, without instance paths."""
        return frozenset(self._claims)

    @property
    def instance_names(self) -> frozenset[str]:
        """The program names before which a path may stand."""
        return frozenset(self._instance_claims)

    def claims(self, program: str) -> bool:
        """Return whether some server reads lines of `program`."""
        return bool(self._claims_on(program))

    def servers_of(self, program: str) -> list[Server]:
        """Return the servers that read lines of `program`."""
        return [server for server, _ in self._claims_on(program)]

    def protocol_of(self, program: str, server: Server) -> str | None:
        """Return what `program` speaks when it is `server`'s; None: the line says."""
        return next(protocol for each, protocol in self._claims_on(program) if each is server)

    def straight(self, program: str, server: Server, rule: Rule) -> Straight | None:
        """Return the straight expression of one of `server`'s logins by `program`."""
        key = program, server, rule
        if key not in self._straight:
            others = (o for each in self.servers_of(program) for o in self._rules(each))
            rivals = [other for other in others if other is not rule]
            self._straight[key] = straight(rule, rivals, program)
        return self._straight[key]

    def read(self, record: Record) -> Match | Reason:
        """Return the observation in `record`, or the reason why there is none."""
        program = self._programs.get(record.program)
        if program is None:
            program = self._program(record.program)
            if program is None:
                return Reason.OTHER_PROGRAM
        message = record.message
        width, table, others = program
        candidates = table.get(message[:width], others)
        while type(candidates) is Table:
            width, table, others = candidates
            candidates = table.get(message[:width], others)
        for candidate in candidates:
            match = candidate.match(message)
            if match is not None:
                observation = candidate.build(match, record.pid)
                if match[candidate.rival_fits] is not None:
                    for rival in candidate.rivals:
                        if self._contradicts(rival, record, observation):
                            return Reason.TWO_RULES
                if type(observation) is Reason:  # `isinstance` of an enum takes 15 times as long
                    return observation
                return _new_reading(Match, (candidate.server, candidate.rule, observation))
        return Reason.NO_RULE

    def all_fitting(self, record: Record) -> list[tuple[Server, Rule]]:
        """Return every rule that fits the message: at most one, if servers keep the contract."""
        return [
            (server, rule)
            for server, _ in self._claims_on(record.program)
            for rule in self._rules(server)
            if self._fullmatch(rule)(record.message)
        ]

    def explain(self, record: Record) -> list[NearMiss]:
        """Return a near miss for each rule of this program, the longest first."""
        misses = [
            _near_miss(server, rule, record.message)
            for server, _ in self._claims_on(record.program)
            for rule in self._rules(server)
        ]
        return sorted(misses, key=lambda miss: -miss.position)

    def explain_user(self, record: Record) -> str | None:
        """Return the user's name if it is the only obstacle to a rule, else None."""
        if len(record.message) > _LONGEST_EXPLAINED:
            return None
        from .compiler import loosened

        for server in self.servers_of(record.program):
            for rule in self._rules(server):
                pattern = loosened(rule.expression, "user") if rule.kind in _NAMING else None
                match = pattern and pattern.fullmatch(record.message)
                user = next(filter(None, match.groupdict().values()), "") if match else ""
                if not _is_plain(user):
                    return user
        return None

    def _claims_on(self, program: str) -> list[tuple[Server, str | None]]:
        claims = self._claims.get(program, [])
        instance, slash, name = program.rpartition("/")
        if slash and instance:
            claims = claims + [c for c in self._instance_claims.get(name, []) if c not in claims]
        return claims

    def _rules(self, server: Server) -> list[Rule]:
        return [
            rule
            for rule in server.rules
            if not rule.off or f"{server.name}-{rule.name}" in self._enabled
        ]

    def _program(self, name: str) -> Table | None:
        claims = self._claims_on(name)
        if not claims:
            return None
        # Instance paths are the sender's text: keep only known names in memory.
        known, key = self._programs, name
        if name not in self._claims:
            known, key = self._instances, name.rpartition("/")[2]
        program = known.get(key)
        if program is None:
            program = known[key] = dispatch(
                [
                    self._candidate(server, rule, protocol)
                    for server, protocol in claims
                    for rule in self._rules(server)
                ]
            )
        return program

    def _candidate(self, server: Server, rule: Rule, protocol: str | None) -> Candidate:
        reading = self._reading(rule)
        return Candidate(server, rule, reading, builder(rule, reading.groups, protocol))

    def _reading(self, rule: Rule) -> Reading:
        reading = self._readings.get(rule)
        if reading is None:
            reading = self._readings[rule] = rule.reading()
        return reading

    def _fullmatch(self, rule: Rule) -> Callable[[str], TextMatch | None]:
        fullmatch = self._fullmatches.get(rule)
        if fullmatch is None:
            fullmatch = compiled(self._reading(rule).text).fullmatch
            self._fullmatches[rule] = fullmatch
        return fullmatch

    def _contradicts(
        self, rival: Candidate, record: Record, observation: Observation | Reason
    ) -> bool:
        """Return whether `rival` reads the record with another observation."""
        match = self._fullmatch(rival.rule)(record.message)
        if match is None:
            return False
        other = rival.build(match, record.pid)
        return type(other) is not type(observation) or any(
            getattr(other, name, None) != getattr(observation, name, None)
            for name in ("address", "user")
        )


def _near_miss(server: Server, rule: Rule, message: str) -> NearMiss:
    import pyparsing as pp

    from .compiler import prepared

    try:
        prepared(rule.expression).parse_string(message)
    except pp.ParseException as error:
        return NearMiss(server, rule, error.loc, error.msg)
    return NearMiss(server, rule, len(message), "")
