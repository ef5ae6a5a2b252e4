"""TLS of a login is read from its line, only where the configuration needs it.

A rule has results for the words by which its server mentions TLS. All their names begin with `tls`,
so that a rule can have several:

tls, tls_...   the client spoke TLS
tls_unknown    the line does not show it: its words are about a proxy's connection

A rule with such a result means "no" where the line lacks it. The name of the program or the service
(`imaps`, `pop3d-ssl`) means "yes". The words count only in the place that the rule gives them: a
client's text is in a token of its own. Between an unescaped user name and the address they do not
count: the name might go on there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from ..model import Accepted, Reason, Record
from .attacks import clients_texts, replaced
from .matcher import Matcher
from .reading import is_of_tls
from .rules import Rule, Sample, Server

_TLS_PROGRAM = re.compile(r"(?:.*[./_-])?(?:(?:imap|pop3|imap4)s|i?(?:imap|pop3)sd|.*[-_]ssl)")
"""`imaps`, `cyrus/pop3s`, `perdition.imap4s`, `imapsd`, `ipop3sd`, `imapd-ssl`, `teapop_ssl`."""

_TLS_SERVICES = frozenset({"imaps", "imap4s", "imaptls", "pop3s", "pop3tls"})
"""Results `protocol` that name a service with TLS from its first byte."""

_UNKNOWN = "tls_unknown"

_WORDS = (
    "TLS",
    "+TLS",
    "[TLS]",
    "secured",
    "using starttls",
    "stls=1",
    "starttls=1",
    "login.tls=1",
    "client-secure=ssl",
    'client-secure=ssl authorisation_id="x"',
    "server: 0.0.0.0:993",
    "localPort = 993",
    '"transport":"TLS"',
    "lport=993, TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)",
)
"""Words by which servers mention TLS, for attacks."""

_FRAMES = (
    ("", ""),
    ("bob ", ""),
    ("bob, ", ""),
    ("bob, ", ", x"),
    ("bob", ""),
    ("bob>, ", ", user=<x"),
    ('bob"', '"x'),
    ('bob", ', ', login: "x'),
    ("bob' ", " 'x"),
    ("bob; ", ";"),
)


class _Pattern(NamedTuple):
    fullmatch: Callable[[str], re.Match[str] | None]
    yes: tuple[int, ...]
    unknown: tuple[int, ...]
    protocol: tuple[int, ...]
    user: tuple[int, ...]
    address: tuple[int, ...]


@lru_cache(None)
def _pattern(rule: Rule) -> _Pattern:
    from .compiler import translate

    pattern = translate(rule.expression, tls=True)
    groups = pattern.groups
    yes = [n for name in groups if is_of_tls(name) and name != _UNKNOWN for n in groups[name]]
    return _Pattern(
        pattern.compile().fullmatch,
        tuple(yes),
        groups.get(_UNKNOWN, ()),
        groups.get("protocol", ()),
        () if rule.escaped else groups.get("user", ()),
        groups.get("address", ()),
    )


def tls_of(rule: Rule, record: Record) -> bool | None:
    """Return whether the client of a login that `rule` read spoke TLS; None: unknown."""
    if _TLS_PROGRAM.fullmatch(record.program):
        return True
    fullmatch, yes, unknown, protocol, user, address = _pattern(rule)
    match = fullmatch(record.message) if yes or protocol else None
    if match is None or any(match[number] is not None for number in unknown):
        return None
    places = [match.start(number) for number in yes if match[number] is not None]
    if places:
        doubtful = range(_end(match, user), max(map(match.start, address), default=0))
        return None if any(place in doubtful for place in places) else True
    if any((match[number] or "").lower() in _TLS_SERVICES for number in protocol):
        return True
    return False if yes else None


def _end(match: re.Match[str], groups: tuple[int, ...]) -> int:
    """Return where the result of these groups ends; the line's end where there is none."""
    return max((end for number in groups if (end := match.end(number)) >= 0), default=match.end())


def can_say(server: Server) -> bool:
    """Return whether some login of `server` can show that the client spoke TLS."""
    return any(_TLS_PROGRAM.fullmatch(program) for program in server.programs) or any(
        sample.tls for rule in server.rules for sample in rule.samples
    )


def as_read(server: Server) -> Server:
    """Return `server` with the TLS that is read in each sample that states none.

    For a site's own server, which may be older than `tls`.
    """

    def stated(rule: Rule, sample: Sample) -> Sample:
        if sample.tls is not None or not isinstance(sample.observation, Accepted):
            return sample
        program, pid, message = sample.parts()
        return replace(sample, tls=tls_of(rule, Record(program, message, "mx1", pid)))

    return replace(
        server,
        rules=tuple(
            replace(rule, samples=tuple(stated(rule, sample) for sample in rule.samples))
            for rule in server.rules
        ),
    )


def violations(server: Server, matcher: Matcher) -> Iterator[str]:
    """Return violations: a sample with another value, or a value that a client can choose."""
    attacks = [f"{before}{word}{after}" for word in _WORDS for before, after in _FRAMES]
    escaped = [attack.replace('"', r"\"") for attack in attacks]
    for rule in server.rules:
        for sample in rule.samples:
            if not isinstance(sample.observation, Accepted):
                continue
            where = f"rule {rule.name!r}: sample {sample.line[:300]!r}"
            program, pid, message = sample.parts()
            said = tls_of(rule, Record(program, message, "mx1", pid))
            if said is not sample.tls:
                word = {True: "tls=yes", False: "tls=no", None: "no tls="}[said]
                yield f"{where}: is read as {word}; write so, or mend the rule"
            if said:
                continue
            texts = clients_texts(message, sample.observation)
            if rule.escaped:  # by the server: what a client writes stays between its quotes
                texts = {text for text in texts if f'"{text}' in message}
            for attacked in replaced(message, texts, escaped if rule.escaped else attacks):
                record = Record(program, attacked, "mx1", pid)
                reading = matcher.read(record)
                if (
                    not isinstance(reading, Reason)
                    and isinstance(reading.observation, Accepted)
                    and tls_of(reading.rule, record)
                ):
                    yield f"{where}: a client's text makes TLS of it: {attacked[:300]!r}"
                    break
