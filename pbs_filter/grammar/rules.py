"""What a server file says: servers, rules, samples.

Plain declarations. `compiler` makes a rule run, `reader` reads with many of them, `contract` proves
them against their samples.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyparsing as pp

from ..errors import GrammarError
from ..model import Accepted, Connected, Ended, Ignored, Observation, Refused

PROTOCOLS = ("pop3", "imap")
KINDS: tuple[type[Observation], ...] = (Connected, Accepted, Refused, Ended, Ignored)
RESULTS = {
    Connected: frozenset({"address", "user", "local"}),
    Accepted: frozenset({"user", "address", "protocol", "local"}),
    Refused: frozenset({"user", "address"}),
    Ended: frozenset({"user", "protocol", "address", "local"}),
    Ignored: frozenset({"user", "address", "protocol", "local"}),
}

_SAMPLE = re.compile(r"([^\s:\[\]]{1,80}+)(?:\[([0-9]{1,10}+)\])?: ((?s:.*))")

is_name = re.compile("[a-z0-9-]{1,12}").fullmatch
"""Whether a text can be a server's name: it goes into the map and the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One line, as a syslog daemon would show it after the host name, and what it must give."""

    line: str
    """`program[pid]: message`, the pid optional."""
    observation: Observation | None
    """Exactly what the line says; None: not a login, connection or session's end."""
    because: str = ""
    """Why a line must not be read, for people."""

    def parts(self) -> tuple[str, str, str]:
        """Return program, pid (may be empty) and message; GrammarError if there are none."""
        match = _SAMPLE.fullmatch(self.line)
        if match is None:
            raise GrammarError(f"sample {self.line!r}: must look like 'program[pid]: message'")
        program, pid, message = match.groups()
        return program, pid or "", message


def yes(line: str, observation: Observation) -> Sample:
    """Return a sample that must give exactly `observation`."""
    return Sample(line=line, observation=observation)


def no(line: str, because: str) -> Sample:
    """Return a sample that must authorise, connect and end nothing."""
    return Sample(line=line, observation=None, because=because)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rule:
    """One wording of one event, from the message's first character to its last."""

    name: str
    kind: type[Observation]
    expression: pp.ParserElement = field(repr=False)
    """Made of the kit's tokens. Results: user, address, local, protocol, and parts of `session`."""
    session: tuple[str, ...] = ()
    """Results (or `pid`, the header's) that, joined by ",", tie the session's lines together."""
    protocol: str | None = None
    """`pop3` or `imap`; None: from a result named `protocol`, else from the program's name."""
    holds: bool = True
    """Whether the end of a session that this rule opens is reliably logged. Without it the login
    authorises for its grace, and the session does not hold the address."""
    off: bool = False
    """Read only where the config's `enable` names it (`SERVER-RULE`)."""
    samples: tuple[Sample, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Server:
    """A POP/IMAP server: who it is in the log, and the rules of its lines."""

    name: str
    """At most 12 characters of a-z, 0-9, `-`: it goes into the map and the journal."""
    title: str
    versions: str
    programs: Mapping[str, str | None]
    """Program name in the syslog header -> `pop3`, `imap`, or None: the rule says."""
    instances: bool = False
    """Whether a path may stand before the program's name (`backend2/imap`)."""
    accounts: tuple[str, ...] = ("root",)
    """System accounts whose processes may write these lines; root always may. `=user`: it writes
    some of them as the user who logged in."""
    rules: tuple[Rule, ...] = field(repr=False)
