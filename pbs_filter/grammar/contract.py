"""The contract is checked for every server, by its samples and by attacks made of them.

`check` is run by the tests for all servers, by `pbs-filter --check`, and at start for a site's own
servers. It demands:

1. the form: names, kinds, results, sessions; a `yes` and a `no` for every rule
2. every `yes` gives exactly the stated observation; no `no` logs in, connects or ends a session
3. no line fits two rules, over all servers that claim its program
4. every rule, alternative and optional part is reached, every optional part also left out
5. every header shape gives the same record
6. a login is one whole line: no text before it or behind it, and no line break in it
7. a client's text never becomes an address, and never makes a login of a refusal
8. a line that is cut at its end, or in two, logs nobody in (`cuts`)
9. a login gives the TLS that its sample states, whatever a client chooses (`tls`)
10. rules that log in, connect or end read field by field: no token reads past a field's end

A violation is a sentence with the mistake, its place, the text in repr, and the remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ..errors import GrammarError
from ..model import Accepted, Connected, Ended, Reason, Record
from ..text import counted
from . import cuts, tls
from .attacks import CANARY, attacks_of, clients_texts, framed, records_of, replaced
from .compiler import Pattern, tokens, translate
from .matcher import Matcher
from .rules import KINDS, PROTOCOLS, RESULTS, Rule, Sample, Server, is_long_name, is_name

DECISIVE = (Accepted, Connected, Ended)
"""Kinds that change the ledger; the others only explain a line to people."""

LONG_RUN = 10_000
PROBE_CHARS = 'a0. -:/<"é'
_ENDS_OF_FIELDS = " ,;:<>()[]\"'="

Read = Callable[[bytes], Record | Reason]


def check(server: Server, servers: Iterable[Server] = (), read: Read | None = None) -> list[str]:
    """Return the violations of the contract by `server`.

    Args:
        server: to be checked.
        servers: all with lines in the same log: sources of attacks, rivals for lines.
        read: makes a record of a line (`records.reader`); without it headers are not tried.
    """
    servers = tuple(servers)
    servers = servers if server in servers else (*servers, server)
    violations = list(_form(server))
    if violations:
        # Further violations of a server of the wrong form would only confuse.
        return violations
    neighbours = [other for other in servers if _may_share_lines(server, other)]
    matcher = _matcher_of(neighbours)
    violations += _lint(server)
    violations += _samples(server, matcher)
    violations += _overlaps(server, matcher)
    violations += _coverage(server)
    if read is not None:
        violations += _headers(server, read)
    violations += _nothing_else(server, matcher)
    violations += _attacks(server, servers, matcher)
    violations += cuts.violations(server, matcher)
    violations += tls.violations(server, matcher)
    return violations


def _matcher_of(servers: Iterable[Server]) -> Matcher:
    """Return a matcher with every rule; those that are off must be as safe."""
    servers = tuple(servers)
    return Matcher(
        servers, enable=[f"{one.name}-{rule.name}" for one in servers for rule in one.rules]
    )


def _may_share_lines(server: Server, other: Server) -> bool:
    """Return whether a line of a program of `server`'s, or of its samples, can be `other`'s."""
    programs = {*server.programs}
    programs |= {sample.parts()[0] for rule in server.rules for sample in rule.samples}
    last_names = {name.rpartition("/")[2] for name in programs}
    return any(name.rpartition("/")[2] in last_names for name in other.programs)


# ------------------------------------------------------------------ 1. form


def _form(server: Server) -> Iterator[str]:
    where = f"server {server.name!r}"
    if not (is_long_name if server.sessions_of else is_name)(server.name):
        yield f"{where}: the name must be 1 to 12 characters of a-z, 0-9 and '-'"
    if not server.programs:
        yield f"{where}: claims no program; name the one in the syslog header"
    for program, protocol in server.programs.items():
        if protocol not in (None, *PROTOCOLS):
            yield f"{where}: program {program!r}: protocol {protocol!r}; write pop3, imap or None"
    for log in server.own_logs:
        if log.program not in server.programs:
            yield f"{where}: own log of {log.program!r}, which is not in programs; add it"
        for mistake in log.mistakes():
            yield f"{where}: own log {log.example!r}: {mistake}"
    names = [rule.name for rule in server.rules]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{where}: two rules are called {name!r}; give each a name of its own"
    if not names:
        yield f"{where}: has no rules"
    for rule in server.rules:
        yield from _form_of_rule(rule)


def _form_of_rule(rule: Rule) -> Iterator[str]:
    where = f"rule {rule.name!r}"
    if rule.kind not in KINDS:
        yield f"{where}: kind {rule.kind!r} is none of {', '.join(k.__name__ for k in KINDS)}"
        return
    if rule.protocol not in (None, *PROTOCOLS):
        yield f"{where}: protocol {rule.protocol!r}; write pop3, imap or None"
    if not any(sample.observation is not None for sample in rule.samples):
        yield f"{where}: has no sample that it must read; add one of its lines, and '-> ' below it"
    if not any(sample.observation is None for sample in rule.samples):
        yield f"{where}: has no sample that it must not read; add a line, and 'not: why' below it"
    for sample in rule.samples:
        try:
            sample.parts()
        except GrammarError as error:
            yield f"{where}: {error}"
    try:
        pattern = translate(rule.expression)
        pattern.compile()
    except GrammarError as error:
        yield f"{where}: {error}"
        return
    yield from _form_of_results(rule, pattern, where)


def _form_of_results(rule: Rule, pattern: Pattern, where: str) -> Iterator[str]:
    results = set(pattern.groups)
    # In the other kinds a shared part may name what they do not need.
    unused = results - RESULTS[rule.kind] - set(rule.session) if rule.kind in DECISIVE else ()
    for name in sorted(unused):
        yield (
            f"{where}: nothing uses its result {name!r}; a {rule.kind.__name__} has "
            f"{', '.join(sorted(RESULTS[rule.kind]))} and the parts of its session"
        )
    for name in rule.session:
        if name != "pid" and name not in results:
            yield f"{where}: its session needs {name!r}, which no part of the expression is called"
    if rule.kind is Connected and not ("address" in results and rule.session):
        yield f"{where}: a Connected needs an address and a session"
    if rule.kind is Accepted and not ("address" in results or rule.session):
        yield f"{where}: an Accepted needs an address, or a session that has one"
    if rule.kind is Ended and not ("user" in results or rule.session):
        yield f"{where}: an Ended needs a session or a user"


# ------------------------------------------------------------------ 10. lint


def _lint(server: Server) -> Iterator[str]:
    for rule in server.rules:
        if rule.kind not in DECISIVE:
            continue
        for pattern, name, ends in tokens(rule.expression):
            if all(pattern.fullmatch(f"x{end}x") for end in (*_ENDS_OF_FIELDS, *ends)):
                yield (
                    f"rule {rule.name!r}: token {name!r} reads past every end of a field; exclude "
                    "what ends this one"
                )
            for char in PROBE_CHARS:
                if pattern.fullmatch(char * LONG_RUN):
                    yield (
                        f"rule {rule.name!r}: token {name!r} has no bound, it reads {LONG_RUN} "
                        f"times {char!r}; write {{1,255}}+ instead of +"
                    )
                    break


# ------------------------------------------------------------------ 2. samples


def _samples(server: Server, matcher: Matcher) -> Iterator[str]:
    for rule in server.rules:
        for sample in rule.samples:
            program, pid, message = sample.parts()
            if sample.observation is not None and not matcher.claims(program):
                yield (
                    f"{_where(rule, sample)}: the server claims no program {program!r}; add it to "
                    "programs or mend the sample"
                )
                continue
            reading = matcher.read(Record(program, message, "mx1", pid))
            observation = None if isinstance(reading, Reason) else reading.observation
            if sample.observation is None:
                if isinstance(observation, DECISIVE):
                    yield (
                        f"{_where(rule, sample)}: must not be read ({sample.because}), but gives "
                        f"{observation}; tighten the rule"
                    )
            elif isinstance(reading, Reason):
                why = f"{reading.value}{near_miss(matcher, program, message)}"
                yield f"{_where(rule, sample)}: {why}"
            elif observation != sample.observation:
                yield (
                    f"{_where(rule, sample)}: expected {sample.observation}, but rule "
                    f"{reading.rule.name!r} gives {observation}"
                )
            elif reading.rule is not rule:
                yield (
                    f"{_where(rule, sample)}: is read by {reading.server.name}'s rule "
                    f"{reading.rule.name!r}; move the sample there"
                )


def near_miss(matcher: Matcher, program: str, message: str) -> str:
    """Return how far the best rule read `message`, as the end of a sentence."""
    best = matcher.explain(Record(program, message))[0]
    if not best.expected:
        return f"; rule {best.rule.name!r} fits, if its session (the pid, say) is there"
    return (
        f"; rule {best.rule.name!r} read up to {message[: best.position]!r} and stopped at "
        f"{message[best.position : best.position + 20]!r}: {best.expected}"
    )


def _where(rule: Rule, sample: Sample) -> str:
    return f"rule {rule.name!r}: sample {sample.line[:300]!r}"


# ------------------------------------------------------------------ 3. overlaps


def _overlaps(server: Server, matcher: Matcher) -> Iterator[str]:
    for rule in server.rules:
        for sample in rule.samples:
            program, pid, message = sample.parts()
            fitting = matcher.all_fitting(Record(program, message, "mx1", pid))
            if len(fitting) > 1:
                names = ", ".join(f"{who.name}-{which.name}" for who, which in fitting)
                yield (
                    f"{_where(rule, sample)}: {counted(len(fitting), 'rule')} read it ({names}); "
                    "make them tell each other's lines apart"
                )


# ------------------------------------------------------------------ 4. coverage


def _coverage(server: Server) -> Iterator[str]:
    messages = [
        sample.parts()[2]
        for rule in server.rules
        for sample in rule.samples
        if sample.observation is not None
    ]
    for rule in server.rules:
        pattern = translate(rule.expression, marked=True)
        fullmatch = pattern.compile().fullmatch
        matches = [match for message in messages if (match := fullmatch(message))]
        for mark in pattern.marks:
            through = [match for match in matches if match[mark.group] is not None]
            part = "optional part" if mark.optional else "alternative"
            if not through:
                yield (
                    f"rule {rule.name!r}: no sample goes through the {part} {mark.what[:80]!r}; "
                    "add one"
                )
            elif mark.optional and len(through) == len(matches):
                yield (
                    f"rule {rule.name!r}: no sample leaves out the optional part "
                    f"{mark.what[:80]!r}; add one, or make it a fixed part"
                )


# ------------------------------------------------------------------ 5. headers


def _headers(server: Server, read: Read) -> Iterator[str]:
    for rule in server.rules:
        for sample in rule.samples:
            program, pid, message = sample.parts()
            for shape, parts in records_of(read, program, pid, message):
                if parts != (program, pid, message):
                    yield (
                        f"{_where(rule, sample)}: as a line of {shape} it is read as {parts!r}; "
                        "write the sample as the daemon's lines are"
                    )


# ------------------------------------------------------------------ 6. nothing but the line


def _nothing_else(server: Server, matcher: Matcher) -> Iterator[str]:
    for rule in server.rules:
        for sample in rule.samples:
            if not isinstance(sample.observation, Accepted | Connected):
                continue
            program, pid, message = sample.parts()
            for odd in _variants_of(message):
                reading = matcher.read(Record(program, odd, "mx1", pid))
                if not isinstance(reading, Reason) and isinstance(reading.observation, DECISIVE):
                    yield (
                        f"{_where(rule, sample)}: {odd[:300]!r} is read as well, by rule "
                        f"{reading.rule.name!r}; read what stands in the line, to its end"
                    )
                    break


def _variants_of(message: str) -> Iterator[str]:
    """Return the message with text before it, behind it, or with a line break in it."""
    for text in ("x ", "x: ", "\x00", f"{message} ", f"{message}: "):
        yield text + message
    for text in ("\x00", f" [{CANARY}]", f" {message}", f", {message}"):
        yield message + text
    for position in range(len(message) + 1):
        yield f"{message[:position]}\n{message[position:]}"


# ------------------------------------------------------------------ 7. attacks


def _attacks(server: Server, servers: tuple[Server, ...], matcher: Matcher) -> Iterator[str]:
    attacks = (*attacks_of(servers), *framed([server]))
    for rule in server.rules:
        for sample in rule.samples:
            program, pid, message = sample.parts()
            harmless = not isinstance(sample.observation, DECISIVE)
            texts = clients_texts(message, sample.observation)
            for attacked in replaced(message, texts, attacks):
                reading = matcher.read(Record(program, attacked, "mx1", pid))
                if isinstance(reading, Reason):
                    continue
                observation = reading.observation
                is_decisive = isinstance(observation, DECISIVE)
                if is_decisive and getattr(observation, "address", None) == CANARY:
                    yield (
                        f"{_where(rule, sample)}: a client's text becomes the address: "
                        f"{attacked[:300]!r} gives {observation}; tighten what stands "
                        "before the address"
                    )
                    break
                if harmless and isinstance(observation, Accepted | Connected):
                    yield (
                        f"{_where(rule, sample)}: a client's text makes a login of it: "
                        f"{attacked[:300]!r} gives {observation}; tighten rule "
                        f"{reading.rule.name!r}"
                    )
                    break
