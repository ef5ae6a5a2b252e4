"""The composition: lines in, a changed ledger out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbs_filter.authorisation.counters import MAX_PROGRAMS
from pbs_filter.authorisation.failures import MAX_FAILURES
from pbs_filter.authorisation.noticed import MANY_USERS, MAX_SHARED, MAX_TESTS
from pbs_filter.authorisation.pipeline import Pipeline
from pbs_filter.model import Connected, Reason
from pbs_filter.service import requests

from ..pipelines import GRACE, NOW, as_json, feed, new

HEAD = "Nov 20 10:00:00 mx1 "
COURIER = HEAD + "pop3d: LOGIN, user=bob, ip=[::ffff:192.0.2.7], port=[4711]"
CONNECT = HEAD + "popa3d[81]: Session from 192.0.2.8"
PASSED = HEAD + "popa3d[81]: Authentication passed for alice"


LOGIN = " LOGIN, user=bob, ip=[::ffff:192.0.2.7], port=[4711]"


def test_a_login_on_one_line_authorises():
    made = feed(new(), COURIER)
    auth = made.ledger.authorisations["192.0.2.7"]
    assert (NOW + GRACE, "bob", "courier", "pop3") == (
        auth.until,
        auth.user,
        auth.server,
        auth.protocol,
    )
    assert {"courier": 1} == made.counts.logins


def test_a_login_on_two_lines_authorises_on_the_second():
    made = feed(new(), CONNECT)
    assert {} == made.ledger.authorisations
    assert {Reason.CONNECTED: 1} == made.counts.reasons
    feed(made, PASSED, now=NOW + 5)
    assert {"192.0.2.8"} == set(made.ledger.authorisations)


def test_the_pid_of_another_host_or_server_is_another_session():
    made = feed(new(), CONNECT, PASSED.replace("mx1", "mx2"), PASSED.replace("[81]", "[82]"))
    assert {} == made.ledger.authorisations
    assert 2 == made.counts.reasons[Reason.UNKNOWN_SESSION]


def from_peer(peer: str, message: str, **fields) -> str:
    return as_json(
        message, **({"from": peer, "proto": 6, "p": "popa3d", "pid": "81"} | fields)
    ).decode()


def test_hosts_that_claim_the_same_name_have_sessions_of_their_own():
    made = new(trusted_hosts=["198.51.100.1", "198.51.100.2"])
    feed(made, from_peer("198.51.100.1", "Session from 192.0.2.8"))
    feed(made, from_peer("198.51.100.2", "Authentication passed for alice"))
    assert {} == made.ledger.authorisations
    feed(made, from_peer("198.51.100.2", "Session from 192.0.2.9"))
    feed(made, from_peer("198.51.100.1", "Authentication passed for alice"))
    assert {"192.0.2.8"} == set(made.ledger.authorisations)


@pytest.mark.parametrize("ends", ["198.51.100.2", ""])
def test_a_host_that_claims_anothers_name_ends_none_of_its_sessions(ends):
    logout = (
        "LOGOUT, user=bob, ip=[::ffff:192.0.2.7], port=[4711], top=0, retr=0, rcvd=12, sent=39, "
        "time=0"
    )
    made = new(trusted_hosts=["198.51.100.1", "198.51.100.2"])
    feed(made, from_peer("198.51.100.1", LOGIN, p="pop3d"))
    assert 1 == len(made.ledger.sessions)
    feed(made, from_peer(ends, logout, p="pop3d", proto=6 if ends else 0))
    assert 1 == len(made.ledger.sessions)
    feed(made, from_peer("198.51.100.1", logout, p="pop3d"))
    assert {} == made.ledger.sessions


def test_a_logout_ends_what_its_login_held():
    made = feed(new(), COURIER)
    logout = (
        HEAD + "pop3d: LOGOUT, user=bob, ip=[::ffff:192.0.2.7], port=[4711], top=0, retr=0, "
        "rcvd=12, sent=39, time=0"
    )
    outcome = made.line(logout.encode(), NOW + 100)
    assert ("logout", "192.0.2.7", "bob", None) == (
        outcome.event,
        outcome.address,
        outcome.user,
        outcome.reason,
    )
    assert {} == made.ledger.sessions
    assert NOW + 100 + GRACE == made.ledger.authorisations["192.0.2.7"].until


def test_a_logout_that_names_its_address_is_told_even_if_its_login_was_not_seen():
    logout = (
        HEAD + "pop3d: LOGOUT, user=bob, ip=[::ffff:192.0.2.7], port=[4711], top=0, retr=0, "
        "rcvd=12, sent=39, time=0"
    )
    made = new()
    assert "logout" == made.line(logout.encode(), NOW).event
    assert {} == made.ledger.authorisations


def test_other_programs_are_counted_and_leave():
    made = feed(new(), HEAD + "postfix/smtpd[7]: " + COURIER, HEAD + "cron[1]: x", "", "nonsense")
    assert {} == made.ledger.authorisations
    assert {Reason.OTHER_PROGRAM: 4} == made.counts.by_reason()
    assert 4 == made.counts.lines


def test_a_known_program_that_no_rule_reads_is_counted_with_its_newest_line():
    made = feed(new(), HEAD + "popa3d[1]: brand new words", HEAD + "popa3d[1]: newer\twords")
    assert {"popa3d": 2} == made.counts.unread
    assert "newer" in made.counts.unread_examples["popa3d"]
    assert made.counts.unread_examples["popa3d"].isprintable()
    assert 2 == made.counts.reasons[Reason.NO_RULE]


def test_what_pam_writes_under_a_servers_name_means_nothing():
    line = (
        "popa3d[1]: pam_unix(popa3d:auth): authentication failure; logname= uid=0 euid=0 tty= "
        "ruser= rhost=203.0.113.66  user=bob"
    )
    made = feed(new(), HEAD + line)
    assert {} == made.counts.unread
    assert {Reason.IGNORED: 1} == made.counts.by_reason()


def test_programs_whose_unread_lines_are_counted_are_bounded():
    made = new()
    for i in range(MAX_PROGRAMS + 20):
        made.counts.unread[f"i{i}/imap"] = 1
    feed(made, HEAD + "popa3d[1]: brand new words")
    assert "popa3d" not in made.counts.unread


@pytest.mark.parametrize(
    ("policy", "reason", "detail"),
    [
        ({"local_networks": ["192.0.2.0/24"]}, Reason.LOCAL_NETWORK, "192.0.2.0/24"),
        ({"deny_networks": ["192.0.2.7"]}, Reason.DENIED_NETWORK, "192.0.2.7"),
        ({"proxy_networks": ["192.0.2.0/29"]}, Reason.PROXY, "192.0.2.0/29"),
        ({"deny_users": ["bob"]}, Reason.DENIED_USER, "bob"),
    ],
)
def test_who_is_never_authorised_and_the_network_that_says_so(policy, reason, detail):
    made = new(**policy)
    outcome = made.line(COURIER.encode(), NOW)
    assert ("none", reason, detail) == (outcome.event, outcome.reason, outcome.detail)
    assert {} == made.ledger.authorisations


@pytest.mark.parametrize(
    ("fields", "policy", "reason"),
    [
        ({"uid": 0}, {}, None),
        ({"uid": 12345}, {}, Reason.FORGED),
        ({"uid": 12345}, {"trusted_uids": {"courier": frozenset({12345})}}, None),
        ({"juid": 12345}, {}, Reason.FORGED),
        ({"from": "198.51.100.1"}, {}, Reason.UNTRUSTED_HOST),
        ({"from": "198.51.100.1"}, {"trusted_hosts": ["198.51.100.0/24"]}, None),
        ({}, {"require_vouched": True}, Reason.NOT_VOUCHED),
        ({"uid": 0}, {"require_vouched": True}, None),
    ],
)
def test_whose_word_counts(fields, policy, reason):
    outcome = new(**policy).line(as_json(LOGIN, **fields), NOW)
    assert reason is outcome.reason
    assert ("none" if reason else "login") == outcome.event


def test_forged_lines_are_counted_by_uid_and_program():
    made = new()
    for _ in range(3):
        feed(made, as_json(LOGIN, uid=12345).decode())
    assert {(12345, "pop3d"): 3} == made.counts.forged
    made.counts.forged = {(i, "x"): 1 for i in range(MAX_PROGRAMS)}
    feed(made, as_json(LOGIN, uid=12345).decode())
    assert (12345, "pop3d") not in made.counts.forged


def test_the_records_time_counts_and_never_the_future():
    made = new()
    now = 1_800_000_600  # ten minutes after 2027-01-15T08:00:00Z, the record's t
    made.line(as_json(LOGIN), now)
    assert now - 600 + GRACE == made.ledger.authorisations["192.0.2.7"].until
    assert Reason.TOO_LATE is new().line(as_json(LOGIN), now - 600 + GRACE).reason
    early = new()
    early.line(as_json(LOGIN), now - 5000)
    assert now - 5000 + GRACE == early.ledger.authorisations["192.0.2.7"].until


def test_a_caller_that_knows_the_time_better_is_believed():
    made = new()
    made.line(COURIER.encode(), NOW, NOW - 60)
    assert NOW - 60 + GRACE == made.ledger.authorisations["192.0.2.7"].until


def test_an_ipv6_prefix_widens_what_is_authorised():
    made = new()
    made.logins.ipv6_prefix = 64
    line = COURIER.replace("::ffff:192.0.2.7", "2001:db8:0:1::7")
    assert "2001:db8:0:1::/64" == made.line(line.encode(), NOW).address
    assert {"2001:db8:0:1::/64"} == set(made.ledger.authorisations)


def test_users_who_share_an_address_are_noticed_and_bounded():
    made = new()
    for i in range(MANY_USERS + 3):
        feed(made, COURIER.replace("bob", f"u{i}"))
    assert MANY_USERS == len(made.noticed.shared["192.0.2.7"])
    assert {"192.0.2.7"} == set(made.noticed.crowded)
    for i in range(MANY_USERS - 1):
        feed(made, COURIER.replace("bob", f"v{i}").replace("192.0.2.7", "192.0.2.8"))
    assert {"192.0.2.7"} == set(made.noticed.crowded)
    made.noticed.crowded = {f"x{i}": set() for i in range(MAX_SHARED)}
    for i in range(MANY_USERS):
        feed(made, COURIER.replace("bob", f"v{i}").replace("192.0.2.7", "192.0.2.9"))
    assert MAX_SHARED == len(made.noticed.crowded)
    made.noticed.shared = {f"x{i}": set() for i in range(MAX_SHARED)}
    feed(made, COURIER.replace("bob", "other"))
    assert MAX_SHARED == len(made.noticed.shared)


def test_users_over_their_limit_are_counted_and_bounded():
    noticed = new().noticed
    noticed.over_limit = {f"u{i}": 1 for i in range(MAX_SHARED)}
    noticed.too_many_addresses("u0")
    noticed.too_many_addresses("other")
    assert 2 == noticed.over_limit["u0"]
    assert "other" not in noticed.over_limit


def test_what_came_in_pieces_is_in_the_journal_and_comes_back():
    made = feed(new(), COURIER, CONNECT)
    payloads = made.state.journal_payloads()
    made.state.journaled()
    assert [] == made.state.journal_payloads()
    again = new()
    assert all(again.state.apply(payload) for payload in payloads)
    assert not again.state.apply("a\tbroken")
    assert not again.state.apply("z\tunknown")
    again.state.restored(NOW)
    feed(again, PASSED)
    assert {"192.0.2.7", "192.0.2.8"} == set(again.ledger.authorisations)
    live = new()
    assert all(live.state.apply(payload) for payload in again.state.live_payloads())
    live.state.restored(NOW)
    assert set(live.ledger.sessions) == set(again.ledger.sessions)


def test_time_passes_and_clocks_are_set_for_everything():
    made = feed(new(), COURIER.replace(", port=[4711]", ""), CONNECT)
    made.state.shift(100)
    made.state.tick(NOW + 100 + 601)
    assert {} == made.correlator.pending


def test_after_an_alarm_the_work_goes_on_with_the_next_line():
    made = new()
    made.take((COURIER + "\n" + COURIER.replace("2.7", "2.9") + "\n").encode())
    made._lines.find()
    next(made._lines.named)  # the line that was given up
    made.work(NOW)
    assert {"192.0.2.9"} == set(made.ledger.authorisations)


def test_the_observation_is_part_of_what_is_told():
    outcome = new().line(CONNECT.encode(), NOW)
    assert Connected(address="192.0.2.8", session="81") == outcome.observation
    assert ("popa3d", Reason.CONNECTED) == (outcome.server, outcome.reason)


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_no_bytes_raise_or_authorise_the_canary(data):
    made = new()
    made.block(data.replace(b"\n", b" ") + b"\n", NOW)
    made.line(data, NOW)
    assert "203.0.113.66" not in made.ledger.authorisations


lines = st.lists(
    st.sampled_from(
        (
            COURIER,
            COURIER.replace("LOGIN,", "LOGOUT,") + ", top=0, retr=0, rcvd=1, sent=1, time=1",
            COURIER.replace("LOGIN,", "LOGIN FAILED,").replace("192.0.2.7", "203.0.113.66"),
            CONNECT,
            PASSED,
            CONNECT.replace("192.0.2.8", "203.0.113.66"),
            HEAD + "popa3d[81]: Authentication failed for alice",
            HEAD + "popa3d[81]: 1 (10) deleted, 0 (0) left",
            HEAD + "popa3d[81]: Premature disconnect",
        )
    ),
    max_size=12,
)


@settings(max_examples=200)
@given(lines, st.data())
def test_only_what_was_accepted_is_authorised_whatever_is_lost_or_repeated(history, data):
    made = new()
    accepted = set()
    connected = None
    for line in history:
        times = data.draw(st.sampled_from((0, 1, 2)))
        for _ in range(times):
            feed(made, line)
        if times:
            if line == COURIER:
                accepted.add("192.0.2.7")
            elif "Session from" in line:
                connected = line.rpartition(" ")[2]
            elif line == PASSED and connected:
                accepted.add(connected)
            elif "deleted" in line or "Premature" in line:
                connected = None
    assert set(made.ledger.authorisations) <= accepted
    for auth in made.ledger.authorisations.values():
        assert auth.until <= NOW + GRACE


# ---------------------------------------------------------------------- requests by hand


def test_a_person_can_authorise_and_forget():
    made = new()
    answer = requests.handle(
        made, {"do": "authorise", "address": "192.0.2.9", "seconds": 60, "note": "sca\nnner"}, NOW
    )
    assert {"changed": True, "address": "192.0.2.9", "until": NOW + 60} == answer
    assert "sca?nner" == made.ledger.authorisations["192.0.2.9"].user
    forget = {"do": "forget", "address": "::ffff:192.0.2.9"}
    yes = {"changed": True, "count": 1, "address": "192.0.2.9"}
    assert yes == requests.handle(made, forget, NOW)
    assert {**yes, "changed": False, "count": 0} == requests.handle(made, forget, NOW)

    assert {} == requests.handle(made, {"do": "status"}, NOW)


def test_a_person_can_forget_a_user_and_everybody():
    made = new()
    for user, address in (("Bob", "192.0.2.1"), ("Bob", "192.0.2.3"), ("alice", "192.0.2.3")):
        assert None is made.ledger.login(address, user, "dovecot", "imap", None, NOW, NOW)
    bob, everybody = {"do": "forget", "user": "bob"}, {"do": "forget", "all": True}
    assert {"changed": True, "count": 2} == requests.handle(made, bob, NOW)
    assert ["192.0.2.3"] == list(made.ledger.authorisations)
    assert {"changed": False, "count": 0} == requests.handle(made, bob, NOW)
    assert {"changed": True, "count": 1} == requests.handle(made, everybody, NOW)
    assert [] == list(made.ledger.authorisations)


def test_by_hand_the_prefix_counts_too():
    made = new()
    made.logins.ipv6_prefix = 64
    request = {"do": "authorise", "address": "2001:db8::7", "seconds": 60}
    assert "2001:db8::/64" == requests.handle(made, request, NOW)["address"]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({}, "unknown request None"),
        ({"do": "dance"}, "'dance'"),
        ({"do": "forget"}, "None is not the name of a user"),
        ({"do": "forget", "user": ""}, "'' is not the name of a user"),
        ({"do": "forget", "all": 1}, "None is not the name of a user"),
        ({"do": "forget", "address": "mx.example.org"}, "'mx.example.org' is not an address"),
        ({"do": "authorise", "address": "192.0.2.9", "seconds": 0}, "0 is not"),
        ({"do": "authorise", "address": "192.0.2.9", "seconds": True}, "True is not"),
        ({"do": "authorise", "address": "192.0.2.9", "seconds": "5"}, "'5' is not"),
        ({"do": "authorise", "address": "192.0.2.9", "seconds": 5, "note": 7}, "7 is not a text"),
    ],
)
def test_a_request_that_makes_no_sense_is_told_why(request_, words):
    assert words in requests.handle(new(), request_, NOW)["error"]


def test_a_logout_that_names_only_its_user_ends_that_users_oldest_session():
    made = new()
    login = (
        HEAD + "dovecot: imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.7, "
        "lip=198.51.100.254, mpid=41, session=<abc>"
    )
    logout = HEAD + "dovecot: imap(bob): Logged out in=10 out=20"
    assert Reason.NOBODY_LOGGED_IN is made.line(logout.encode(), NOW - 500).reason
    feed(made, login)
    outcome = made.line(logout.encode(), NOW + 5)
    assert ("logout", "192.0.2.7", "bob") == (outcome.event, outcome.address, outcome.user)
    assert {} == made.ledger.sessions


def test_a_log_file_is_judged_by_its_stamps_and_never_in_the_future():
    made = new()
    times = {b"2.7": NOW - 60, b"2.8": NOW - 5000, b"2.9": NOW + 999, b"2.6": None}

    def stamp(line: bytes) -> int | None:
        return next(time for text, time in times.items() if text in line)

    block = "".join(COURIER.replace("2.7", f"2.{i}") + "\n" for i in (7, 8, 9, 6))
    made.replay(block.encode(), stamp, NOW)
    assert {"courier": 3} == made.counts.logins
    assert {Reason.NO_TIME: 1} == made.counts.by_reason()
    made.state.tick(NOW)
    assert {"192.0.2.9": NOW + GRACE} == {
        a: v.until for a, v in made.ledger.authorisations.items() if not v.session_keys()
    } | {"192.0.2.9": made.ledger.authorisations["192.0.2.9"].until}
    empty = new()
    empty.replay(b"nonsense\n", stamp, NOW)
    assert {Reason.OTHER_PROGRAM: 1} == empty.counts.by_reason()


def test_what_a_rule_reads_and_what_still_leads_to_nothing():
    made = new()
    known = HEAD + "popa3d[81]: 1 message (1 byte) loaded"
    assert Reason.IGNORED is made.line(known.encode(), NOW).reason
    bad = COURIER.replace("::ffff:192.0.2.7", "1.2.3")
    assert Reason.NOT_AN_ADDRESS is made.line(bad.encode(), NOW).reason
    assert {} == made.counts.unread


def test_a_record_that_is_none_says_why():
    assert Reason.EMPTY is new().line(b"", NOW).reason
    assert Reason.NOT_A_RECORD is new().line(b"nonsense", NOW).reason


def test_how_much_the_journal_has_to_be_told_is_known():
    made = feed(new(), COURIER, CONNECT)
    assert len(made.state.journal_payloads()) == made.state.changes()
    assert 3 == made.state.changes()
    made.state.journaled()
    assert 0 == made.state.changes()


# ---------------------------------------------------------------------- the doctor's test lines


def asked(made: Pipeline, token: str) -> dict | None:
    return requests.handle(made, {"do": "test", "token": token}, NOW)["test"]


def test_a_line_of_the_doctor_is_seen_with_what_the_feed_says_of_it_and_leads_to_nothing():
    made = new(require_vouched=True)
    line = as_json(" 0123abcd", p="pbs-filter-doctor[7]:", uid=1000, s="2027-01-15T07:00:00+00:00")
    made.block(line + b"\n", NOW)
    expected = {"at_epoch": NOW - 3600.0, "seen_epoch": NOW, "uid": 1000, "peer": ""}
    assert expected == asked(made, "0123abcd")
    assert asked(made, "another") is None
    assert {Reason.IGNORED: 1} == made.counts.by_reason()
    assert {} == made.counts.unread
    assert [] == made.state.journal_payloads()


def test_a_login_in_a_line_of_the_doctor_lets_nobody_in():
    made = feed(new(), HEAD + "pbs-filter-doctor: imap-login: Login: user=<a>, rip=203.0.113.66")
    assert {} == made.ledger.authorisations
    assert {} == made.ledger.sessions


def test_only_the_newest_lines_of_the_doctor_are_remembered():
    lines = [f"{HEAD}pbs-filter-doctor: token-{number}" for number in range(MAX_TESTS + 1)]
    made = feed(new(), *lines, lines[1])
    assert asked(made, "token-0") is None
    assert MAX_TESTS == len(made.noticed.tests)
    assert "token-1" == [*made.noticed.tests][-1]


def test_a_repeated_login_of_two_lines_is_taken_with_a_prefix():
    """What the ledger has is a network; it is no address to be judged and widened again."""
    made = new()
    made.logins.ipv6_prefix = 64
    connect = HEAD + "popa3d[81]: Session from 2001:db8::7"
    feed(made, connect, PASSED, PASSED, COURIER)
    assert {"2001:db8::/64", "192.0.2.7"} == set(made.ledger.authorisations)
    assert Reason.FAILED not in made.counts.reasons


@pytest.fixture
def failing(monkeypatch):
    """A pipeline whose ledger fails on one address, with any kind of exception."""
    made = new()
    login = made.ledger.login

    def fails(address, *rest):
        if address == "192.0.2.66":
            raise RecursionError("no such luck")
        return login(address, *rest)

    monkeypatch.setattr(made.ledger, "login", fails)
    return made


def test_a_line_that_our_code_fails_on_stops_nothing_behind_it(failing):
    poison = COURIER.replace("192.0.2.7", "192.0.2.66")
    feed(failing, poison, COURIER, *[poison] * (MAX_FAILURES + 5))
    assert {"192.0.2.7"} == set(failing.ledger.authorisations)
    assert MAX_FAILURES + 6 == failing.counts.reasons[Reason.FAILED]
    assert MAX_FAILURES == len(failing.failures)
    failure = failing.failures[0]
    assert "RecursionError('no such luck')" == failure.error
    assert poison.encode() == failure.line
    assert failure.where.startswith(f"{__name__}:")
    assert failing.counts.examples[Reason.FAILED] == poison.encode()


def test_a_single_line_that_our_code_fails_on_is_told_as_one(failing):
    outcome = failing.line(COURIER.replace("192.0.2.7", "192.0.2.66").encode(), NOW)
    assert (Reason.FAILED, "RecursionError('no such luck')") == (outcome.reason, outcome.detail)
