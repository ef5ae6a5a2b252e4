"""TLS is read where the server writes its words, and never from a client's text."""

from __future__ import annotations

import pyparsing as pp
import pytest

from pbs_filter.grammar import ADDRESS, Matcher, Rule, Server, name, samples, token
from pbs_filter.grammar.contract import check
from pbs_filter.grammar.tls import can_say, tls_of, violations
from pbs_filter.model import Accepted, Record
from pbs_filter.servers import SERVERS

MATCHER = Matcher(SERVERS)


def said(program: str, message: str) -> bool | None:
    record = Record(program, message, "mx1", "4711")
    reading = MATCHER.read(record)
    assert isinstance(reading.observation, Accepted)
    return tls_of(reading.rule, record)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("imapd-ssl", True),
        ("pop3d-ssl", True),
        ("courier-imaps", True),
        ("imapd", False),
        ("courierpop3login", False),
    ],
)
def test_a_program_of_tls_is_enough(program, expected):
    assert said(program, "LOGIN, user=bob, ip=[192.0.2.7], port=[4]") is expected


def test_of_two_line_servers_only_the_program_can_say():
    assert said("ipop3sd", "Login user=bob host=[192.0.2.7] nmsgs=0/0") is True
    assert said("ipop3d", "Login user=bob host=[192.0.2.7] nmsgs=0/0") is None


def test_behind_a_proxy_zimbras_line_speaks_of_the_proxys_connection():
    head = "INFO  [ImapServer-1] "
    login = "] imap - user bob authenticated, mechanism=LOGIN [TLS]"
    assert said("mailboxd", f"{head}[ip=192.0.2.7;{login}") is True
    assert said("mailboxd", f"{head}[ip=10.0.0.9;oip=192.0.2.7;{login}") is None


@pytest.mark.parametrize("name", ["bob, TLS", "bob, TLS, x", "TLS", "bob TLS"])
def test_a_name_that_holds_the_word_is_no_tls(name):
    elements = "method=PLAIN, rip=192.0.2.7, lip=192.0.2.1"
    assert said("dovecot", f"imap-login: Login: user=<{name}>, {elements}") is False


@pytest.mark.parametrize(
    "elements",
    [
        "user=bob, rip=192.0.2.7, TLS",
        "user=bob, TLS, rip=192.0.2.7",
        # The account `bob>, TLS, session=<a`.
        "user=<bob>, TLS, session=<a>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1",
    ],
)
def test_where_a_name_may_be_what_says_tls_it_cannot_be_said(elements):
    assert said("dovecot", f"imap-login: Login: {elements}") is None


def test_the_servers_whose_lines_can_say_are_those_of_the_documents():
    assert {
        "courier",
        "cyrus",
        "cyrus-rfc5424",
        "dovecot",
        "dovecot-events",
        "dovecot-tag",
        "nginx",
        "perdition",
        "stalwart",
        "stalwart-journal",
        "teapop",
        "uw",
        "vpopmail",
        "zimbra",
    } == {server.name for server in SERVERS if can_say(server)}


def of(expression: pp.ParserElement, lines: str) -> Server:
    rule = Rule("login", Accepted, expression, samples(lines))
    return Server(name="test", title="T", versions="1", programs={"testd": "imap"}, rules=(rule,))


GOOD = """
testd: bob 192.0.2.7 TLS
    -> accepted user=bob address=192.0.2.7 protocol=imap tls=yes
testd: bob 192.0.2.7
    -> accepted user=bob address=192.0.2.7 protocol=imap tls=no
testd: bob 203.0.113.66 x
    not: text after the end
"""
END = ADDRESS("address") + pp.Opt(pp.Literal(" TLS")("tls"))


def test_a_rule_says_yes_no_or_nothing_and_its_samples_state_it():
    server = of(name(less=" ")("user") + " " + END, GOOD)
    assert [] == check(server)
    for wrong in (GOOD.replace("tls=no", "tls=yes"), GOOD.replace(" tls=yes", "")):
        (violation, *_) = violations(of(name(less=" ")("user") + " " + END, wrong), MATCHER)
        assert "write so, or mend the rule" in violation


def test_words_that_a_client_can_choose_are_found():
    """They stand behind the client's host name, which is the client's text."""
    host = token(r"[a-z.0-9]{0,60}+", "a host") + pp.Opt(pp.Literal("+TLS")("tls"))
    lines = """
testd: bob 192.0.2.7 client.example.org+TLS
    -> accepted user=bob address=192.0.2.7 protocol=imap tls=yes
testd: bob 192.0.2.7 client.example.org
    -> accepted user=bob address=192.0.2.7 protocol=imap tls=no
testd: bob 203.0.113.66 x y
    not: text after the end
"""
    server = of(name(less=" ")("user") + " " + ADDRESS("address") + " " + host, lines)
    (found,) = violations(server, Matcher([server]))
    assert "a client's text makes TLS of it: 'bob 192.0.2.7 +TLS'" in found
