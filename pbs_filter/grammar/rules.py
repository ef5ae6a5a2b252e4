"""A server file declares a server, its rules and their samples with the types of this module.

`compiler` makes a rule run, `matcher` reads with many of them, `contract` checks them with their
samples.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING

from ..errors import GrammarError
from ..model import Accepted, Connected, Ended, Ignored, Observation, Refused
from ..syslog.headers import OwnLog
from .carriage import SYSLOG, Carriage

if TYPE_CHECKING:
    import pyparsing as pp

    from .reading import Reading, Usual

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

_KINDS = {kind.__name__.lower(): kind for kind in KINDS}
_FIELDS = "user|address|protocol|session|local|tls"
_TLS = {"yes": True, "no": False}
_field = re.compile(rf" ({_FIELDS})=(.*?)(?= (?:{_FIELDS})=|\Z)")

is_name = re.compile("[a-z0-9-]{1,12}").fullmatch
"""Whether a text can be a server's name: it goes into the map and the journal."""
is_long_name = re.compile("[a-z0-9-]{1,20}").fullmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One line, as a syslog daemon would show it after the host name, and its observation."""

    line: str
    """`program[pid]: message`, the pid optional."""
    observation: Observation | None
    """The observation of the line; None: no login, connection or session's end."""
    because: str = ""
    """The reason why a line must not be read, for people."""
    tls: bool | None = None
    """Whether the client of a login spoke TLS; None: the line does not show it. See `tls`."""

    def parts(self) -> tuple[str, str, str]:
        """Return program, pid (may be empty) and message; GrammarError if there are none."""
        match = _SAMPLE.fullmatch(self.line)
        if match is None:
            raise GrammarError(f"sample {self.line!r}: must look like 'program[pid]: message'")
        program, pid, message = match.groups()
        return program, pid or "", message


def samples(transcript: str) -> tuple[Sample, ...]:
    """Reads a log in which each line is followed, indented, by its verdict.

        pop3d: LOGIN, user=bob, ip=[::ffff:192.0.2.7], port=[40612]
            -> accepted user=bob address=192.0.2.7 protocol=pop3 session=bob,192.0.2.7,40612
        pop3d: LOGIN, user=bob, ip=[203.0.113.66], port=[40612] and more
            not: text after the end

    `->` is followed by an observation's name and all its fields, and of a login by `tls=yes` or
    `tls=no` where the line says so; a value ends where the next field begins. `not:` is followed by
    the reason why the line must authorise, connect and end nothing.
    Empty lines and lines that begin with `#` are comments.

    Raises:
        GrammarError: a line has no verdict, or a verdict cannot be read.
    """
    read = []
    line = ""
    for text in transcript.split("\n"):
        if text.startswith((" ", "\t")):
            read.append(_sample(line, text.strip()))
            line = ""
        elif text and not text.startswith("#"):
            if line:
                break
            line = text
    if line:
        raise GrammarError(
            f"sample {line!r}: its verdict is missing; write '    -> accepted user=...' or "
            "'    not: why' below it"
        )
    return tuple(read)


def _sample(line: str, verdict: str) -> Sample:
    if not line:
        raise GrammarError(f"sample {verdict!r}: no line stands above it; a line has one verdict")
    word, _, rest = verdict.partition(" ")
    if word == "not:" and rest:
        return Sample(line=line, observation=None, because=rest)
    name, _, rest = rest.partition(" ")
    fields = _field.findall(f" {rest}") if rest else []
    kind = _KINDS.get(name)
    if word != "->" or kind is None or " ".join(map("=".join, fields)) != rest:
        raise GrammarError(
            f"sample {line!r}: cannot read {verdict!r}; write 'not: why', or '-> ', one of "
            f"{', '.join(_KINDS)}, and its fields: {_FIELDS.replace('|', '=, ')}="
        )
    values = dict(fields)
    if len(values) < len(fields):
        raise GrammarError(f"sample {line!r}: {verdict!r} has a field twice; write each once")
    tls = _TLS.get(values.pop("tls", ""))
    try:
        return Sample(line=line, observation=kind(**values), tls=tls)
    except TypeError as error:
        raise GrammarError(f"sample {line!r}: {verdict!r}: {error}") from None


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One wording of one event, from the message's first character to its last."""

    name: str
    kind: type[Observation]
    expression: pp.ParserElement = field(repr=False)
    """Made of the kit's tokens. Results: user, address, local, protocol, parts of `session`, and
    those of `tls`."""
    samples: tuple[Sample, ...] = field(repr=False)
    _: KW_ONLY
    session: tuple[str, ...] = ()
    """Results (or `pid`, the header's) that, joined by ",", tie the session's lines together."""
    protocol: str | None = None
    """`pop3` or `imap`; None: from a result named `protocol`, else from the program's name."""
    holds: bool = True
    """Whether the end of a session that this rule opens is reliably logged. Without it the login
    authorises for its grace, and the session does not hold the address."""
    off: bool = False
    """The rule is used only where the configuration's `enable` names it (`SERVER-RULE`)."""
    escaped: bool = False
    """Whether a backslash stands before each quote and backslash of the user's name."""

    def reading(self) -> Reading:
        """Return what the service needs of the expression; GrammarError if it cannot be read."""
        from .compiler import reading_of

        return reading_of(self.expression)

    def usual(self) -> Usual | None:
        """Return what reads the usual lines of a login, None where nothing does."""
        from .usual_lines import usual_of

        return usual_of(self)

    def may_share_lines(self, rival: Rule) -> bool:
        """Return whether a usual line of this login may fit `rival`, too; False is certain."""
        from .usual_lines import may_share_lines

        return may_share_lines(self, rival)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Server:
    """A POP/IMAP server: its programs in the log, and the rules of its lines."""

    name: str
    """At most 12 characters of a-z, 0-9, `-`: it goes into the map and the journal. With
    `sessions_of` it does not, and may have 20."""
    title: str
    versions: str
    programs: Mapping[str, str | None]
    """Program name in the syslog header -> `pop3`, `imap`, or None: the rule has the protocol."""
    instances: bool = False
    """Whether a path may stand before the program's name (`backend2/imap`)."""
    sessions_of: str = ""
    """Another server with lines about the same sessions, under the same keys."""
    accounts: tuple[str, ...] = ("root",)
    """System accounts whose processes may write these lines; root always may. `=user`: it writes
    some of them as the user who logged in."""
    own_logs: tuple[OwnLog, ...] = field(default=(), repr=False)
    """Forms of line that no syslog daemon writes: the server's own log, or an odd header."""
    carriage: Carriage = field(default=SYSLOG, repr=False)
    """The carriage of its lines to the syslog daemon."""
    carriages: Mapping[str, Carriage] = field(default_factory=dict, repr=False)
    """Program -> the carriage of its lines, where it differs."""
    rules: tuple[Rule, ...] = field(repr=False)

    def carriage_of(self, program: str) -> Carriage:
        """Return the carriage of the lines of one of its programs."""
        return self.carriages.get(program, self.carriage)


def own_logs_of(servers: Iterable[Server]) -> tuple[OwnLog, ...]:
    """Return the forms of line that only one of `servers` writes."""
    return tuple(log for server in servers for log in server.own_logs)
