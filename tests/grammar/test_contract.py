"""Every server keeps the contract, and `check` finds each kind of violation."""

from __future__ import annotations

import re

import pyparsing as pp
import pytest

from pbs_filter.grammar import (
    ADDRESS,
    HOST,
    NUMBER,
    TEXT,
    USER,
    Matcher,
    Rule,
    Server,
    token,
)
from pbs_filter.grammar.attacks import attacks_of
from pbs_filter.grammar.contract import check
from pbs_filter.model import Accepted, Connected, Ended, Ignored, Record, Refused
from pbs_filter.servers import SERVERS

from ..reading import read
from .sample import no, yes


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_server_keeps_the_contract(server: Server) -> None:
    assert [] == check(server, SERVERS, read)


def test_no_two_servers_have_one_name() -> None:
    names = [server.name for server in SERVERS]
    assert sorted(set(names)) == sorted(names)


LOGIN = "in " + USER("user") + " " + ADDRESS("address")
SAMPLES = (
    yes("testd[7]: in bob 192.0.2.7", Accepted(user="bob", address="192.0.2.7")),
    no("testd[7]: in bob 203.0.113.66 x", "text after the end"),
)


def server(*rules: Rule, **more) -> Server:
    values = {"name": "test", "title": "T", "versions": "1", "programs": {"testd": None}}
    return Server(**(values | more), rules=rules)


def rule(kind=Accepted, expression=LOGIN, samples=SAMPLES, name="login", **more) -> Rule:
    return Rule(name=name, kind=kind, expression=expression, samples=samples, **more)


def one(**more) -> Server:
    return server(rule(**more))


def in_out(expression, *lines: str, kind=Accepted, **values) -> Server:
    """A server with one rule, whose lines all give the same."""
    samples = tuple(yes(f"testd[7]: {line}", kind(**values)) for line in lines)
    return one(kind=kind, expression=expression, samples=(*samples, no("testd[7]: x", "nothing")))


BOB = {"user": "bob", "address": "192.0.2.7"}

VIOLATIONS = {
    # The form.
    "a name that is too long": (
        server(rule(), name="a-name-too-long"),
        "1 to 12 characters",
    ),
    "no program": (server(rule(), programs={}), "claims no program"),
    "a protocol of its own": (server(rule(), programs={"testd": "smtp"}), "'smtp'; write pop3"),
    "no rules": (server(), "has no rules"),
    "two rules of one name": (server(rule(), rule()), "two rules are called 'login'"),
    "a kind that is none": (one(kind=Record), "kind"),
    "a rule's odd protocol": (one(protocol="pop"), "'pop'; write pop3"),
    "no sample to read": (one(samples=SAMPLES[1:]), "no sample that it must read"),
    "no sample not to read": (one(samples=SAMPLES[:1]), "no sample that it must not read"),
    "a sample without a program": (
        one(samples=(*SAMPLES, no("in bob", "x"))),
        "must look like 'program[pid]: message'",
    ),
    "an element the compiler does not know": (
        one(expression=pp.Group(LOGIN)),
        "does not know Group",
    ),
    "a token that is no pattern": (
        one(expression="in " + USER("user") + pp.Regex("(?i) ") + ADDRESS("address")),
        "complete in itself",
    ),
    "a result that nothing uses": (
        one(expression="in " + USER("user") + " " + ADDRESS("adress"), session=("pid",)),
        "nothing uses its result 'adress'",
    ),
    "a session of what is not there": (one(session=("id",)), "its session needs 'id'"),
    "a connection without a session": (
        one(kind=Connected, expression="in " + ADDRESS("address")),
        "needs an address and a session",
    ),
    "a connection without an address": (
        one(kind=Connected, expression="in " + USER("user"), session=("pid",)),
        "needs an address and a session",
    ),
    "a login without either": (one(expression="in " + USER("user")), "needs an address, or"),
    "an end of nobody": (one(kind=Ended, expression=pp.Literal("x")), "needs a session or a user"),
    # The samples.
    "a sample of another program": (
        one(samples=(*SAMPLES, yes("otherd: in bob 192.0.2.7", Accepted(**BOB)))),
        "claims no program 'otherd'",
    ),
    "a sample that is not read": (
        one(samples=(*SAMPLES, yes("testd[7]: in bob 192.0.2.7!", Accepted(**BOB)))),
        "read up to 'in bob 192.0.2.7' and stopped at '!': Expected end of text",
    ),
    "a sample with another user": (
        one(samples=(*SAMPLES, yes("testd[7]: in eve 192.0.2.7", Accepted(**BOB)))),
        "gives Accepted(user='eve'",
    ),
    "a sample that says less than the line": (
        one(
            session=("pid",),
            samples=(SAMPLES[1], yes("testd[7]: in bob 192.0.2.7", Accepted(**BOB))),
        ),
        "session='7'",
    ),
    "a sample of another rule": (
        server(
            rule(),
            rule(
                name="other",
                kind=Refused,
                expression="no " + USER("user"),
                samples=(
                    yes("testd[7]: no bob", Refused(user="bob")),
                    yes("testd[7]: in bob 192.0.2.7", Accepted(**BOB)),
                    no("testd[7]: x", "x"),
                ),
            ),
        ),
        "is read by test's rule 'login'",
    ),
    "a login that must not be": (
        one(samples=(SAMPLES[0], no("testd[7]: in bob 203.0.113.66", "the canary"))),
        "must not be read (the canary)",
    ),
    "an address that is none": (
        one(samples=(*SAMPLES, yes("testd[7]: in bob 192.0.2", Accepted(**BOB)))),
        "the address is not one",
    ),
    # Two rules for one line, here and in another server.
    "two rules for one line": (
        server(
            rule(),
            rule(
                name="again",
                expression="in " + pp.Regex("[a-z]{1,9}+")("user") + " " + ADDRESS("address"),
                samples=SAMPLES,
            ),
        ),
        "2 rules read it (test-login, test-again)",
    ),
    # Every part.
    "an optional part that no sample has": (
        one(expression=LOGIN + pp.Opt(" tls")),
        "no sample goes through the optional part \"' tls'\"",
    ),
    "an optional part that every sample has": (
        in_out(pp.Opt("in ") + USER("user") + " " + ADDRESS("address"), "in bob 192.0.2.7", **BOB),
        "no sample leaves out the optional part",
    ),
    "an alternative that no sample has": (
        one(expression=(pp.Literal("in ") | "IN ") + USER("user") + " " + ADDRESS("address")),
        "no sample goes through the alternative \"'IN '\"",
    ),
    "a part of an Each that no sample has": (
        in_out(
            ("u=" + USER("user") + ";") & ("a=" + ADDRESS("address") + ";") & pp.Opt("tls;"),
            "u=bob;a=192.0.2.7;",
            "a=192.0.2.7;u=bob;",
            **BOB,
        ),
        "no sample goes through the optional part",
    ),
    # Headers.
    "a message that no daemon writes": (
        in_out(
            "[ID 7 mail.info] in " + USER("user") + " " + ADDRESS("address"),
            "[ID 7 mail.info] in bob 192.0.2.7",
            **BOB,
        ),
        "as a line of BSD syslog it is read as ('testd', '7', 'in bob 192.0.2.7')",
    ),
    "a program that no header can name": (
        server(
            rule(
                samples=(
                    yes("testé: in bob 192.0.2.7", Accepted(**BOB)),
                    no("testé: out", "no login"),
                )
            ),
            programs={"testé": None},
        ),
        "it is read as <Reason.",
    ),
    # Attacks.
    "the first of two addresses": (
        in_out(
            "in " + token(r"(?s:.){0,300}?(?= [0-9])", "anything")("user")
            + " " + ADDRESS("address") + token("[^!]{0,300}+", "the rest"),
            "in bob 192.0.2.7",
            **BOB,
        ),
        "a client's text becomes the address",
    ),
    "a refusal that a client can make a login": (
        server(
            rule(
                expression=ADDRESS("address") + ' user="'
                + token('[^!]{0,300}?(?=" status="ok")', "a name") + '" status="ok"'
                + token("[^!]{0,300}+", "the rest"),
                samples=(
                    yes('testd: 192.0.2.7 user="bob" status="ok"', Accepted(**BOB | {"user": ""})),
                    no("testd: x", "nothing"),
                ),
            ),
            rule(
                name="refused",
                kind=Refused,
                expression=ADDRESS("address") + ' user="' + USER("user") + '" status="failed"',
                samples=(
                    yes('testd: 192.0.2.7 user="bob" status="failed"', Refused(**BOB)),
                    no("testd: x", "nothing"),
                ),
            ),
        ),
        "a client's text makes a login of it",
    ),
    # What a token may not be.
    "a token that reads to the end of the line": (
        in_out(LOGIN + " " + TEXT, "in bob 192.0.2.7 x", **BOB),
        "reads past every end of a field",
    ),
    "a token without a bound": (
        in_out(
            "in " + token("[a-z]++", "a word")("user") + " " + ADDRESS("address"),
            "in bob 192.0.2.7",
            **BOB,
        ),
        "has no bound",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", VIOLATIONS)
def test_contract_finds_out(what: str) -> None:
    broken, words = VIOLATIONS[what]
    violations = check(broken, (), read)
    assert any(words in violation for violation in violations), violations


def test_what_keeps_the_contract_is_let_alone() -> None:
    assert [] == check(one(), SERVERS, read)
    # A line break only the JSON feed can carry.
    broken = no("testd[7]: in bob\n203.0.113.66", "two lines")
    assert [] == check(one(samples=(*SAMPLES, broken)), SERVERS, read)


def test_without_a_reader_of_lines_headers_are_not_tried() -> None:
    odd, words = VIOLATIONS["a message that no daemon writes"]
    assert any(words in violation for violation in check(odd, (), read))
    assert [] == check(odd)


def test_a_line_that_another_server_reads_too_is_a_violation() -> None:
    violations = check(one(), (server(rule(), name="other"),))
    assert any("2 rules read it" in violation for violation in violations)


def test_a_rule_that_is_off_is_held_to_the_contract_as_well() -> None:
    loose = in_out(LOGIN + " " + TEXT, "in bob 192.0.2.7 x", **BOB).rules[0]
    off = rule(expression=loose.expression, samples=loose.samples, off=True)
    assert any("reads past" in violation for violation in check(server(off)))


def test_noise_may_read_to_the_end_of_the_line() -> None:
    noise = rule(
        name="noise",
        kind=Ignored,
        expression=NUMBER + " " + TEXT,
        samples=(yes("testd[7]: 7 anything", Ignored()), no("testd[7]: x", "no number")),
    )
    assert [] == check(server(rule(), noise))


def test_a_host_name_that_is_an_address_is_an_attack() -> None:
    """A client's reverse name, read as tightly as it may be; and as an address."""
    line, values = "from dsl.example [192.0.2.7]", {"user": "", "address": "192.0.2.7"}
    tight = HOST + " [" + ADDRESS("address") + "]"
    assert [] == check(in_out("from " + tight, line, **values))
    named = (ADDRESS("address") + " [" + ADDRESS + "]") | tight
    violations = check(in_out("from " + named, line, **values))
    assert any("a client's text becomes the address" in violation for violation in violations)


def test_the_attacks_are_every_servers_logins_with_the_canary_for_the_address() -> None:
    attacks = attacks_of(SERVERS)
    assert not [attack for attack in attacks if re.search(r"192\.0\.2\.|198\.51\.100\.", attack)]
    for each in SERVERS:
        logins = [
            sample.parts()[2][:5]
            for each_rule in each.rules
            for sample in each_rule.samples
            if isinstance(sample.observation, Accepted)
        ]
        assert any(attack.startswith(tuple(logins)) for attack in attacks), each.name


def test_the_servers_all_together_are_made_ready_without_compiling_anything() -> None:
    """Start-up pays for the servers that have lines, when they have them."""
    reader = Matcher(SERVERS)
    assert not reader._programs
    assert not reader._readings
