"""A site's own servers, from the configuration's `[[server]]` tables; no code needed.

    [[server]]
    name = "acmepop"                       # goes into the map and the journal
    program = "acmepop"                    # or a list: the names in the syslog header
    protocol = "pop3"                      # or "imap"; may be left out
    accounts = ["acme"]                    # whose processes may write these lines, beside root's
    login = "user {user} logged in from {ip}"
    logout = "user {user} logged out"
    samples = [
        { line = "acmepop[4711]: user bob logged in from 192.0.2.7",
          user = "bob", ip = "192.0.2.7" },
        { line = "acmepop[4711]: user bob logged out", user = "bob" },
        { line = "acmepop[4711]: user bob refused", refuse = true },
    ]

Templates: `login` (with the address), or `connected` (address) and `accepted` (user) where the
server writes two lines; `logout`; `refused`. Each is one wording or a list. Fields: {ip} {user}
{pid} {session} {word} {number} {host} {port}; {rest} at the end of `refused`; {{ and }} for braces.

Or pop-before-smtp's variables, each a regular expression: `pat`, `out_pat`, or `PID_pat`, `IP_pat`,
`OK_pat`, `FAIL_pat`, `OUT_pat`.

What ties the lines of a session: {session} if the templates have it, else {pid}, else the pid of
the header, else user and address where login and logout both have them. With `pat` and `out_pat`:
the address, as pop-before-smtp had it.

The samples are the site's own lines, header and all or from the program's name on. They must pass
before anything is read: every template is used by one, and at least one line must be refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

import pyparsing as pp

from ..config.tables import SiteServer
from ..errors import GrammarError
from ..grammar import contract, tls
from ..grammar.rules import Rule, Server, is_name
from ..grammar.tokens import TEXT
from ..model import Accepted, Connected, Ended, Observation, Refused
from .perl_patterns import message_pattern, split
from .samples import SiteSample, read_samples, sort_to_rules
from .templates import expression, results

_TEMPLATES: dict[str, type[Observation]] = {
    "login": Accepted,
    "connected": Connected,
    "accepted": Accepted,
    "logout": Ended,
    "refused": Refused,
}
_PATTERNS: dict[str, type[Observation]] = {
    "pat": Accepted,
    "out_pat": Ended,
    "IP_pat": Connected,
    "OK_pat": Accepted,
    "FAIL_pat": Refused,
    "OUT_pat": Ended,
}


def server(
    table: SiteServer, known: Iterable[Server] = (), read: contract.Read | None = None
) -> Server:
    """Return the server that a `[[server]]` table describes, checked.

    Args:
        table: as in the configuration.
        known: the other servers whose lines are in the same log.
        read: makes a record of a line (`records.reader`), for samples with their header.

    Raises:
        GrammarError: with the place, the reason and the mend.
    """
    name = table.name
    if not is_name(name):
        raise GrammarError(
            f"[[server]]: name {name!r}; write 1 to 12 characters of a-z, 0-9 and '-'"
        )
    try:
        return checked(_server(table, read), known, read)
    except GrammarError as error:
        raise GrammarError(f"[[server]] {name!r}: {error}") from None


def checked(own: Server, known: Iterable[Server] = (), read: contract.Read | None = None) -> Server:
    """Return `own` if it keeps the contract among the `known` servers.

    Raises:
        GrammarError: it does not; each violation with its mend.
    """
    known = tuple(known)
    if any(other.name == own.name for other in known):
        raise GrammarError(f"there is a server {own.name!r} already; give yours another name")
    own = tls.as_read(own)
    violations = contract.check(own, (*known, own), read)
    if violations:
        raise GrammarError("; ".join(violations))
    return own


def _server(table: SiteServer, read: contract.Read | None) -> Server:
    if not table.program:
        raise GrammarError("program is missing; give the name in the syslog header")
    samples = read_samples(table.samples, table.program, read)
    own = Server(
        name=table.name,
        title=table.name,
        versions="the site's own",
        programs=dict.fromkeys(table.program, table.protocol or None),
        accounts=("root", *table.accounts),
        rules=(*_rules_of_templates(table, samples), *_rules_of_patterns(table)),
    )
    if not own.rules:
        raise GrammarError(f"no line is described; give {', '.join(_TEMPLATES)} or pat")
    return replace(own, rules=sort_to_rules(own, samples))


# ------------------------------------------------------------------ templates


def _rules_of_templates(table: SiteServer, samples: list[SiteSample]) -> list[Rule]:
    wordings = [(key, text) for key in _TEMPLATES for text in getattr(table, key)]
    fields = {text: results(key, text) for key, text in wordings}
    ties = _ties(wordings, fields, samples)
    rules = []
    for number, (key, text) in enumerate(wordings):
        # A part of the key that this wording lacks: the line ties nothing, or goes by its user.
        tied = all(part == "pid" or part in fields[text] for part in ties)
        again = sum(other == key for other, _ in wordings[:number])
        rules.append(
            Rule(
                name=f"{key}-{again + 1}" if again else key,
                kind=_TEMPLATES[key],
                expression=expression(text, ties),
                session=ties if tied and _TEMPLATES[key] is not Refused else (),
                samples=(),
            )
        )
    return rules


def _ties(
    wordings: list[tuple[str, str]], fields: Mapping[str, frozenset[str]], samples: list[SiteSample]
) -> tuple[str, ...]:
    """Return the parts of the session's key, see above; nothing where no line needs one."""
    if not {"connected", "accepted", "logout"} & {key for key, _ in wordings}:
        return ()
    for result in ("session", "process"):
        if any(result in found for found in fields.values()):
            return (result,)
    if all(one.pid for one in samples):
        return ("pid",)
    both = [fields[text] for key, text in wordings if key in ("login", "logout")]
    if all("address" in found for found in both):
        return ("user", "address") if all("user" in found for found in both) else ("address",)
    return ("user", "address")


# ------------------------------------------------------------------ pop-before-smtp's variables


def _rules_of_patterns(table: SiteServer) -> list[Rule]:
    patterns = {key: str(getattr(table, key)) for key in ("PID_pat", *_PATTERNS)}
    written = {key: pattern for key, pattern in patterns.items() if pattern}
    if "out_pat" in written and "pat" not in written:
        raise GrammarError("out_pat without pat: the logout of a login that is never read")
    if (
        written.keys() - {"pat", "out_pat"}
        and not {"PID_pat", "IP_pat", "OK_pat"} <= written.keys()
    ):
        raise GrammarError("a login in several lines needs PID_pat, IP_pat and OK_pat")
    before, ties = "", ("address",) if "out_pat" in written else ()
    if "PID_pat" in written:
        pid = split(written["PID_pat"])
        before = pid.message
        if not pid.header_has_pid and "(" not in before:
            raise GrammarError(
                f"PID_pat = {written['PID_pat']!r}: takes no pid; write \\[(\\d+)\\]"
            )
        ties = ("pid",) if pid.header_has_pid else ("session",)
    return [
        Rule(
            name=key.replace("_", "-").lower(),
            kind=kind,
            expression=_of_pattern(key, written[key], before, ties),
            session=() if kind is Refused else ties,
            samples=(),
        )
        for key, kind in _PATTERNS.items()
        if key in written
    ]


def _of_pattern(key: str, pattern: str, before: str, ties: tuple[str, ...]) -> pp.ParserElement:
    several = key not in ("pat", "out_pat")
    names = ["session"] if several and ties == ("session",) else []
    names += ["address"] if key in ("pat", "out_pat", "IP_pat") else []
    # Whatever the rest of a refusal says, it does no harm.
    open_end = _PATTERNS[key] is Refused and not pattern.endswith("$")
    try:
        # Behind PID_pat only the rest of the line need be written.
        rest = several and not pattern.startswith("^")
        message = f"{before}{pattern}" if rest else split(pattern).message
        text = message_pattern(f"{message}$" if open_end else message, tuple(names))
    except GrammarError as error:
        raise GrammarError(f"{key} = {error}") from None
    regex = pp.Regex(text, flags=re.ASCII).set_name(f"what {key} reads")
    return regex + TEXT if open_end else regex
