"""Sessions of mailfront under tcpserver."""

from __future__ import annotations

import pytest

from pbs_filter.model import Reason

from .host import ALICES, BOBS, CANARY, Host


def test_mailfront_ties_by_the_pid_in_the_text():
    host = Host().logs(
        f"pop3front: tcpserver: pid 81 from {BOBS}",
        f"pop3front: tcpserver: ok 81 0:192.0.2.1:110 dsl7.example.net:{BOBS}::50001",
        "pop3front: pop3front-auth[81]: +OK ",
        f"pop3front: tcpserver: ok 82 0:192.0.2.1:110 {CANARY}:{ALICES}:bob:50001",
        "pop3front: pop3front-auth[82]: USER alice",
        "pop3front: pop3front-auth[82]: +OK ",
        "pop3front: pop3front-auth[81]: PASS XXXXXXXX",
        "pop3front: pop3front-auth[81]: -ERR Authentication failed",
        "pop3front: pop3front-maildir[82]: +OK ",
        "pop3front: pop3front-maildir[82]: STAT",
        "pop3front: pop3front-maildir[82]: +OK 1 42",
        "pop3front: tcpserver: end 81 status 0",
    )
    host.has(authorised={ALICES: ""}, in_session={ALICES})
    assert not host.pipeline.counts.unread
    host.logs("pop3front: tcpserver: end 82 status 0")
    host.has(authorised={ALICES: ""}, in_session=set())


def test_mailfront_answers_that_look_like_a_login_count_as_none():
    """DELE, NOOP and QUIT are answered by the very text that shows the login."""
    host = Host().logs(
        f"mailfront: tcpserver: ok 82 0:192.0.2.1:110 :{ALICES}::50001",
        "mailfront: pop3front-maildir[82]: +OK ",
    )
    until = host.ledger.authorisations[ALICES].until
    host.now += 60
    host.logs("mailfront: pop3front-maildir[82]: QUIT", "mailfront: pop3front-maildir[82]: +OK ")
    assert {"mailfront": 1} == host.pipeline.counts.logins
    assert 1 == host.pipeline.counts.reasons[Reason.TOLD_TWICE]
    assert until == host.ledger.authorisations[ALICES].until
    host.logs("mailfront: tcpserver: end 82 status 0", "mailfront: pop3front-maildir[82]: +OK ")
    assert 1 == host.pipeline.counts.reasons[Reason.UNKNOWN_SESSION]


@pytest.mark.parametrize(
    "command",
    [
        f"tcpserver: ok 82 0:192.0.2.1:110 :{CANARY}::50001",
        "pop3front-maildir[81]: +OK ",
        "USER x#015pop3front-maildir[81]: +OK ",
        "USER x^Jpop3front-maildir[81]: +OK ",
    ],
)
def test_mailfront_commands_that_look_like_its_lines_are_only_commands(command):
    host = Host().logs(
        f"pop3front: tcpserver: ok 81 0:192.0.2.1:110 :{CANARY}::50001",
        f"pop3front: pop3front-auth[81]: {command}",
    )
    assert not host.authorised


def test_mailfront_connection_that_tcpserver_denies_is_none():
    host = Host().logs(
        f"pop3front: tcpserver: deny 81 0:192.0.2.1:110 :{CANARY}::50001",
        "pop3front: pop3front-maildir[81]: +OK ",
    )
    assert not host.authorised


@pytest.mark.parametrize("tag", ["tcpserver:", "pop3front-maildir[81]:", "+OK", "*", "a1"])
@pytest.mark.parametrize("answer", ["OK NOOP completed", "NO LOGIN failed", "BAD Syntax error"])
def test_imapfronts_answers_behind_its_own_name_are_known_and_tell_of_nothing(tag, answer):
    """SME server: multilog has imapfront-auth as the program; the tag is the client's."""
    host = Host().logs(
        f"mailfront: tcpserver: ok 81 0:192.0.2.1:110 :{CANARY}::50001",
        "imapfront-auth[81]: * OK imapfront ready.",
        f"imapfront-auth[81]: {tag} {answer}",
    )
    assert not host.authorised
    assert not host.pipeline.counts.unread
    assert 2 == host.pipeline.counts.reasons[Reason.IGNORED]
