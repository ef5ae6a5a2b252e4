"""Dovecot's elements in any order, its sessions, and its own log files."""

from __future__ import annotations

from itertools import permutations

import pyparsing as pp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.grammar.compiler import Pattern, translate
from pbs_filter.model import Accepted, Ignored, Reason
from pbs_filter.servers import dovecot

from ..grammar.grammar_strings import read_by, wounded
from .host import BOBS, CANARY, NOW, Host, read

ELEMENTS = (
    "user=<bob>",
    "method=PLAIN",
    "lip=192.0.2.1",
    "mpid=4711",
    "TLS",
    "session=<8n+hC7Ng>",
    "TLSv1.2 with cipher ECDHE-RSA-AES128-GCM-SHA256 (128/128 bits)",
)


ANY_ORDER = (dovecot.ELEMENTS + pp.StringEnd()) | dovecot.MORE_ELEMENTS
GENERAL = translate(dovecot._LOGIN + ANY_ORDER)
WITH_USUAL = translate(dovecot.LOGIN)


def texts(pattern: Pattern, message: str) -> dict[str, str] | None:
    """The results that the pattern reads, by name."""
    match = pattern.compile().fullmatch(message)
    if match is None:
        return None
    return {
        name: text
        for name, groups in pattern.groups.items()
        for group in groups
        if (text := match[group]) is not None
    }


LOGIN = next(rule for rule in dovecot.SERVER.rules if rule.name == "login")
USUAL = read_by(
    dovecot.START + "Login: " + dovecot.USUAL, [sample.parts()[2] for sample in LOGIN.samples]
)


@given(USUAL | wounded(USUAL))
def test_the_usual_order_is_read_as_any_order_is(message):
    assert texts(GENERAL, message) == texts(WITH_USUAL, message)


@given(
    st.lists(st.sampled_from(ELEMENTS), unique=True),
    st.randoms(use_true_random=False),
    st.sampled_from((", ", ",", " ", "\t")),
    st.sampled_from(("Login", "Logged in")),
)
def test_dovecots_elements_may_stand_in_any_order_and_number(chosen, random, separator, words):
    elements = ["rip=192.0.2.7", *chosen]
    random.shuffle(elements)
    assert Accepted(
        user="bob" if "user=<bob>" in chosen else "",
        address="192.0.2.7",
        protocol="imap",
        session="8n+hC7Ng" if "session=<8n+hC7Ng>" in chosen else None,
        local="192.0.2.1" if "lip=192.0.2.1" in chosen else None,
    ) == read("dovecot", f"imap-login: {words}: {separator.join(elements)}")


@pytest.mark.parametrize("order", list(permutations((0, 1, 2))))
def test_a_second_address_in_dovecots_line_leads_to_nothing(order):
    parts = ("user=<bob>", "rip=192.0.2.7", f"rip={CANARY}")
    elements = ", ".join(parts[i] for i in order)
    assert Reason.NO_RULE is read("dovecot", f"imap-login: Login: {elements}")


@given(st.text(max_size=40), st.sampled_from((f"rip={CANARY}", f", rip={CANARY}, lip=", CANARY)))
def test_the_user_element_never_supplies_dovecots_address(text, forged):
    for user in (text + forged, forged + text, f"bob>, {forged}, x=<{text}"):
        line = f"imap-login: Login: user=<{user}>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1"
        said = read("dovecot", line)
        assert isinstance(said, Reason) or said.address == "192.0.2.7"


@pytest.mark.parametrize(
    "service",
    ["managesieve", "submission", "lmtp", "smtp", "doveadm", "imap-urlauth", "sieve", "POP3"],
)
@pytest.mark.parametrize("words", ["Login", "Logged in"])
def test_dovecots_words_from_other_services_authorise_nobody(service, words):
    said = read("dovecot", f"{service}-login: {words}: user=<bob>, rip={CANARY}")
    assert Ignored() == said or Reason.NO_RULE is said


DOVECOT_LOGIN = (
    "dovecot: imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1, "
    "mpid=4711, session=<{}>"
)
DOVECOT_END = "dovecot: imap(bob)<4711><{}>: Disconnected: Logged out in=1 out=2"


def test_dovecots_session_is_held_until_its_own_end():
    host = Host().logs(DOVECOT_LOGIN.format("aa"), DOVECOT_LOGIN.format("bb"))
    host.logs(DOVECOT_END.format("aa"), DOVECOT_END.format("cc"))
    host.has(authorised={BOBS: "bob"}, in_session={BOBS})
    host.logs(DOVECOT_END.format("bb"))
    host.has(authorised={BOBS: "bob"}, in_session=set())


@pytest.mark.parametrize("end", [DOVECOT_END.format("aa"), "dovecot: imap(bob): Logged out in=1"])
def test_an_end_that_dovecot_writes_before_the_login_is_not_forgotten(end):
    host = Host().logs(end, DOVECOT_LOGIN.format("aa"))
    host.has(authorised={BOBS: "bob"}, in_session=set())


def test_dovecot_22_ends_the_oldest_session_of_the_user_in_that_service():
    host = Host().logs(
        DOVECOT_LOGIN.format("aa"),
        DOVECOT_LOGIN.format("bb").replace("192.0.2.7", "192.0.2.8"),
        "dovecot: pop3(bob): Disconnected: Logged out top=0/0, retr=0/0, del=0/0, size=0",
        "dovecot: imap(alice): Logged out in=1 out=2",
    )
    host.has(authorised={BOBS: "bob", "192.0.2.8": "bob"}, in_session={BOBS, "192.0.2.8"})
    host.logs("dovecot: imap(bob): Connection closed in=1 out=2")
    host.has(authorised={BOBS: "bob", "192.0.2.8": "bob"}, in_session={"192.0.2.8"})


PROXIED = (
    "dovecot: imap-login: proxy(bob): started proxying to 198.51.100.9:143: user=<bob>, "
    "method=PLAIN, rip=192.0.2.7, lip=192.0.2.1, session=<aa>"
)
UNPROXIED = (
    "dovecot: imap-login: proxy(bob): disconnecting 192.0.2.7 (Disconnected by client(0s idle, "
    "in=1, out=2)): user=<bob>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1, session=<aa>"
)


def test_a_proxied_login_of_dovecot_counts_only_where_it_is_enabled():
    Host().logs(PROXIED).has(authorised={}, in_session=set())
    host = Host(enable=("dovecot-proxy",)).logs(PROXIED)
    host.has(authorised={BOBS: "bob"}, in_session={BOBS})
    host.logs(UNPROXIED).has(authorised={BOBS: "bob"}, in_session=set())


@pytest.mark.parametrize(
    "line",
    [
        "Nov 20 09:11:13 imap-login: Info: Login: user=<bob>, rip=192.0.2.7, lip=192.0.2.1",
        "2026-11-20 09:11:13 imap-login: Info: Login: user=<bob>, rip=192.0.2.7",
        "Nov 20 09:11:13 Info: imap-login: Login: user=<bob>, rip=192.0.2.7",
        "dovecot: 2026-11-20 09:11:13 Info: imap-login: Login: user=<bob>, rip=192.0.2.7",
        "imap-login: Nov 20 09:11:13 Info: Login: bob [192.0.2.7]",
        "@40000000671f5d3300000000 imap-login: Info: Login: user=<bob>, rip=192.0.2.7",
        "Nov 20 09:11:13 mx1 imap-login: Login: bob [192.0.2.7]",
    ],
)
def test_dovecots_own_log_files_are_read(line):
    host = Host()
    host.pipeline.block(line.encode() + b"\n", NOW)
    host.has(authorised={BOBS: "bob"}, in_session=set())


EVENT = (
    'dovecot: stats: {"event":"auth_request_finished","fields":{"success":"yes","service":"imap",'
    f'"session":"8n+h","remote_ip":"{BOBS}","user":"bob"}}}}'
)
END_EVENT = (
    'dovecot: stats: {"event":"mail_user_session_finished","fields":{"user":"bob",'
    '"session":"8n+h"}}'
)
LINE = f"dovecot: imap-login: Login: user=<bob>, rip={BOBS}, session=<8n+h>"
END_LINE = "dovecot: imap(bob)<4711><8n+h>: Logged out in=1 out=2"


@pytest.mark.parametrize(
    "lines",
    [
        (EVENT, LINE, END_LINE, END_EVENT),
        (EVENT, LINE, END_EVENT, END_LINE),
        (LINE, EVENT, END_EVENT, END_LINE),
    ],
)
def test_a_login_that_lines_and_events_tell_is_one(lines):
    host = Host().logs(*lines[:2])
    host.has(authorised={BOBS: "bob"}, in_session={BOBS})
    assert 1 == len(host.ledger.sessions)
    assert 1 == sum(host.pipeline.counts.logins.values())
    host.logs(*lines[2:])
    host.has(authorised={BOBS: "bob"}, in_session=set())
    assert 1 == host.pipeline.counts.logouts


def test_an_event_that_comes_after_the_end_in_lines_holds_nothing_for_long():
    host = Host().logs(LINE, END_LINE, EVENT, END_EVENT)
    host.has(authorised={BOBS: "bob"}, in_session=set())


@pytest.mark.parametrize("lines", [(EVENT, END_EVENT), (LINE, END_LINE), (EVENT, END_LINE)])
def test_the_map_has_dovecot_for_either(lines):
    host = Host().logs(lines[0])
    assert {"dovecot"} == {auth.server for auth in host.ledger.authorisations.values()}
    host.logs(lines[1])
    host.has(authorised={BOBS: "bob"}, in_session=set())


def test_sessions_of_names_with_blanks_are_told_apart():
    login = "imapd: LOGIN, user=pat {}, ip=[192.0.2.7], port=[1], protocol=IMAP"
    host = Host().logs(login.format("a"), login.format("b"))
    assert 2 == len(host.ledger.sessions)
    host.logs("imapd: LOGOUT, user=pat a, ip=[192.0.2.7], headers=0, body=0, time=0")
    assert ["pat b"] == [session.user for session in host.ledger.sessions.values()]
