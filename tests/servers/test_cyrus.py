"""Cyrus' services and sessions, and the instances of a backend."""

from __future__ import annotations

import pytest

from pbs_filter.grammar import Matcher, matcher
from pbs_filter.model import Accepted, Ignored, Reason, Record
from pbs_filter.servers import SERVERS

from ..pipelines import NOW, feed, new
from .host import BOBS, CANARY, MATCHER, Host, read

CYRUS = "login: client.example.org [192.0.2.7] bob plaintext User logged in SESSIONID=<mx1-1-1>"
LOGFMT = "event=login.good sessionid=mx1-1-1 r.clienthost=[192.0.2.7] u.username=bob login.tls=1 "


@pytest.mark.parametrize(
    "program",
    [
        "imap",
        "imaps",
        "imapd",
        "cyrus/imap",
        "cyrus/imaps",
        "cyrus/imapd",
        "pop3",
        "pop3s",
        "pop3d",
        "cyrus/pop3",
        "cyrus/pop3s",
        "cyrus/pop3d",
        "backend2/imap",
        "backend2/pop3s",
    ],
)
def test_the_services_of_cyrus_that_deliver_mail_authorise(program):
    protocol = "pop3" if "pop3" in program else "imap"
    said = read(program, CYRUS)
    assert Accepted(user="bob", address="192.0.2.7", protocol=protocol, session="4711") == said


@pytest.mark.parametrize(
    "program",
    [
        "sieve",
        "timsieved",
        "nntp",
        "nntpd",
        "http",
        "httpd",
        "mupdate",
        "lmtpd",
        "csync",
        "cyrus/sieve",
        "cyrus/nntp",
        "cyrus/http",
        "cyrus/mupdate",
        "cyrus/lmtpunix",
        "cyrus/csync",
        "backend2/sieve",
        "master",
    ],
)
def test_the_other_services_of_cyrus_authorise_nobody(program):
    assert Reason.OTHER_PROGRAM is read(program, CYRUS)
    assert Reason.OTHER_PROGRAM is read(program, LOGFMT + "login.magic=~null~")


@pytest.mark.parametrize(
    "message", [CYRUS.partition(" SESSIONID=")[0], LOGFMT, LOGFMT + "login.scheme=Basic"]
)
def test_other_services_of_cyrus_authorise_nobody_under_the_name_that_rsyslog_cuts(message):
    """As RFC 5424: sieve, nntp and lmtp write no session id, HTTP a scheme."""
    assert Ignored() == read("cyrus", message)


def test_sessions_of_cyrus_end_under_the_name_that_rsyslog_cuts():
    host = Host().logs(f"cyrus[4711]: {LOGFMT}login.magic=~null~")
    host.has(authorised={BOBS: "bob"}, in_session={BOBS})
    host.logs("cyrus[4711]: session ended: sessionid=<mx1-1-1> userid=<bob> idle=<1> ")
    host.has(authorised={BOBS: "bob"}, in_session=set())


def test_cyrus_before_313_holds_nothing_since_imaps_end_may_never_be_logged():
    host = Host().logs(f"cyrus/imap[4711]: {CYRUS}")
    host.has(authorised={BOBS: "bob"}, in_session=set())


def test_cyrus_313_holds_an_imap_session_until_its_id_ends():
    host = Host().logs(f"cyrus/imap[4711]: {LOGFMT}login.magic=~null~")
    host.logs("cyrus/imap[4711]: USAGE bob user: 0.004000 sys: 0.012001")
    host.has(authorised={BOBS: "bob"}, in_session={BOBS})
    host.logs("cyrus/imap[4711]: session ended: sessionid=<mx1-1-1> userid=<bob> id.name=<x>")
    host.has(authorised={BOBS: "bob"}, in_session=set())


def test_cyrus_313_holds_a_pop_session_until_its_process_is_through_with_it():
    host = Host().logs(f"cyrus/pop3[4711]: {LOGFMT}pop.subfolder=~null~")
    host.logs("cyrus/pop3[4712]: USAGE bob user: 0.004000 sys: 0.012001")
    host.has(authorised={BOBS: "bob"}, in_session={BOBS})
    host.logs("cyrus/pop3[4711]: USAGE bob user: 0.004000 sys: 0.012001")
    host.has(authorised={BOBS: "bob"}, in_session=set())


@pytest.mark.parametrize("password", ["x", "plaintext", f"x [{CANARY}] bob plaintext", ""])
def test_an_anonymous_login_to_cyrus_is_none_whatever_the_password(password):
    said = read("imap", f"login: client.example.org [192.0.2.7] anonymous {password}")
    assert Ignored() == said or Reason.NO_RULE is said


def test_the_rules_of_an_instance_are_prepared_once(monkeypatch):
    prepared = []
    dispatch = matcher.dispatch
    monkeypatch.setattr(matcher, "dispatch", lambda c: prepared.append(1) or dispatch(c))
    fresh = Matcher(SERVERS)
    line = "login: [192.0.2.7] bob plaintext User logged in"
    for number in range(5):
        reading = fresh.read(Record(f"backend{number}/imap", line, "mx1", "4711"))
        assert not isinstance(reading, Reason)
        assert reading.observation.address == "192.0.2.7"
    assert prepared == [1]


def test_an_instance_path_alone_is_no_program():
    MATCHER.read(Record("backend2/imap", "login: [192.0.2.7] bob plaintext", "mx1", ""))
    for name in ("/imap", "imap/", "backend2/", "backend2/sieve", "backend2/imap/x"):
        assert Reason.OTHER_PROGRAM is MATCHER.read(
            Record(name, "login: [192.0.2.7] bob plaintext", "mx1", "")
        )


@pytest.mark.parametrize("end", ["", "@1", "@example.org"])
def test_folders_of_the_clients_choice_make_no_other_users(end: str) -> None:
    """With imapmagicplus or popsubfolders on, `bob+FOLDER` is bob."""
    lines = [
        CYRUS.replace("192.0.2.7", address).replace(" bob ", f" {user} ")
        for address, user in (("192.0.2.7", "bob"), (CANARY, f"bob+1{end}"), (CANARY, "bob+2"))
    ]
    shown = [f"Nov 20 10:00:00 mx1 cyrus/imap[4711]: {line}" for line in lines]
    made = feed(new(max_addresses_per_user=1), *shown)
    assert {"192.0.2.7"} == set(made.ledger.authorisations)
    assert {} == feed(new(deny_users=["bob"]), *shown).ledger.authorisations
    assert 1 == made.ledger.forget_user("bob", NOW)
