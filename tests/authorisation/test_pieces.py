"""Pieces of long lines: the rest of a client's name behind a logger's cut is no login."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.authorisation.correlator import Correlator
from pbs_filter.authorisation.ledger import Ledger
from pbs_filter.authorisation.pieces import MAX_LOGGERS, MAX_PIDS, SECONDS, Granted, Pieces
from pbs_filter.authorisation.pipeline import Pipeline
from pbs_filter.authorisation.policy import Policy
from pbs_filter.grammar.matcher import Matcher
from pbs_filter.model import Reason, Record
from pbs_filter.servers import SERVERS

NOW = 1_800_000_000
CANARY = "203.0.113.66"
FORGED = f"LOGIN, user=bob, ip=[{CANARY}], port=[1], protocol=IMAP"
GENUINE = "LOGIN, user=alice, ip=[::ffff:192.0.2.7], port=[40612], protocol=IMAP"
FAILED = "LOGIN FAILED, user="
FULL = FAILED + "A" * (505 - len(FAILED))
SHORT = "LOGIN FAILED, user=x, ip=[::ffff:198.51.100.7], port=[4711]"
CONNECTION = "Connection, ip=[::ffff:198.51.100.7], port=[4711]"
COURIER = next(server for server in SERVERS if server.name == "courier").carriage
FOLLOWING = COURIER.following
MATCHER = Matcher(SERVERS)


def new(*named: str, **policy) -> Pipeline:
    ledger = Ledger(grace_seconds=1800, max_session_seconds=43200)
    return Pipeline(
        matcher=MATCHER,
        policy=Policy.of(named=named, **policy),
        ledger=ledger,
        correlator=Correlator(ledger, patience_seconds=600),
    )


def feed(made: Pipeline, *messages: str, start: float = NOW, step: float = 0.0001, **fields):
    """Take messages of one logger that come `step` seconds after each other, the last at..."""
    for number, message in enumerate(messages):
        made.block(as_json(message, start + number * step, **fields), int(start) + 10)
    return made


def as_json(message: str, at: float, **fields) -> bytes:
    stamp = datetime.fromtimestamp(at, UTC).isoformat()
    values = {"t": stamp, "s": stamp, "h": "mx1", "p": "imapd:", "pid": "-", "in": "imuxsock"}
    values |= {"from": "127.0.0.1", "uid": 0, "msg": f" {message}"}
    return json.dumps(values | fields).encode() + b"\n"


def as_text(message: str) -> bytes:
    return f"Nov 28 10:00:00 mx1 imapd: {message}\n".encode()


def addresses(made: Pipeline) -> set[str]:
    return set(made.ledger.authorisations)


def test_a_genuine_login_counts_without_any_setting():
    assert {"192.0.2.7"} == addresses(feed(new(), CONNECTION, GENUINE))


@pytest.mark.parametrize("program", ["imapd", "pop3d", "imapd-ssl", "pop3d-ssl", "pop3login"])
@pytest.mark.parametrize(
    "messages",
    [
        (FULL, FORGED, "z"),
        (FULL, "A" * 511, FORGED),
        (FULL, "", FORGED),
        (FULL + "AA", FORGED),
        # The rest of a line whose beginning another reader took.
        (FULL, "", "z", "", "", FORGED),
        (FULL, SHORT, CONNECTION, FORGED),
        # In bytes it is as long as the buffer, in characters it is not.
        (FAILED + "é" * 243, FORGED),
        (FAILED + "\udcff" * 490, FORGED),
        # Without INFO: in front, and with another level.
        (FAILED + "A" * 485, FORGED),
        # Two lines have got into one.
        ("LOGIN FAILED, user=AAINFO: LOGIN FAILED, user=x, ip=[192.0.2.8], port=[1]", FORGED),
        ("ID, user=bob, ip=[192.0.2.7], port=[1], name=DEBUG: Connection, ip=[192.0.2.8]", FORGED),
        # The wrapping of a syslog daemon.
        (f"message repeated 2 times: [ {FULL}]", FORGED),
        (FULL, f"message repeated 2 times: [ {FORGED}]"),
    ],
)
def test_a_piece_authorises_nobody(messages, program):
    made = feed(new(), *messages, p=f"{program}:")
    assert set() == addresses(made)
    assert 1 <= made.counts.reasons[Reason.PIECE]


@pytest.mark.parametrize("rest", ["Connection", "LOGIN FAILED, user=x", "LOGOUT"])
@pytest.mark.parametrize("begun", ["LOGIN, user=alice", "LOGIN, user=a, ip=[192.0.2.8], port=[1"])
def test_the_beginning_of_a_login_and_the_end_of_another_line_are_nobodys_login(begun, rest):
    """Without any sign in front: courierlogger wrote such a message 25 messages behind it."""
    for level in ("INFO", "DEBUG", "ERR"):
        glued = f"{begun}{level}: {rest}, ip=[::ffff:{CANARY}], port=[4711]"
        assert set() == addresses(feed(new(), glued))
        made = new()
        made.block(as_text(glued), NOW)
        assert set() == addresses(made)


def test_a_piece_ends_nobodys_session():
    logout = "LOGOUT, user=alice, ip=[192.0.2.7], port=[40612], headers=0, body=0, time=0"
    made = feed(new(), GENUINE, start=NOW - 60)
    feed(made, FULL, logout)
    assert ["192.0.2.7"] == [session.address for session in made.ledger.sessions.values()]


def test_a_piece_may_come_long_after_its_line_began():
    """The logger waits for the next line before it sends the second piece."""
    made = feed(new(), FULL, FORGED, step=3600)
    assert set() == addresses(made)


def test_others_log_in_after_the_pieces():
    made = feed(new(), FULL, FORGED, "z", *[CONNECTION] * FOLLOWING, step=0.001)
    feed(made, GENUINE, start=NOW + SECONDS + 1.1)
    assert {"192.0.2.7"} == addresses(made)


def test_what_comes_at_once_may_be_a_piece_however_much_it_is():
    made = feed(new(), FULL, *[CONNECTION] * 40, FORGED, step=0.001)
    assert set() == addresses(made)


def test_each_logger_is_looked_at_by_itself():
    made = feed(new(), FULL)
    for fields in ({"h": "mx2"}, {"p": "pop3d:"}, {"uid": 61121}):
        feed(made, GENUINE, **fields)
    assert {"192.0.2.7"} == addresses(made)
    assert {Reason.REFUSED, Reason.FORGED} == set(made.counts.reasons)


def test_a_local_user_cannot_keep_others_out():
    made = new()
    for _ in range(3):
        feed(made, FULL, uid=1000)
        feed(made, GENUINE, start=NOW + 1)
    assert {"192.0.2.7"} == addresses(made)


def test_a_piece_that_came_before_its_beginning_is_taken_back():
    """A syslog daemon with several workers changes places; the times tell."""
    made = feed(new(), FORGED, start=NOW + 0.001)
    assert {CANARY} == addresses(made)
    feed(made, FULL)
    assert set() == addresses(made)
    assert not made.ledger.sessions


def test_who_was_authorised_before_stays_so_when_a_login_is_taken_back():
    made = feed(new(), f"LOGIN, user=bob, ip=[{CANARY}], port=[7]", start=NOW - 60)
    feed(made, FORGED, start=NOW + 0.001)
    assert 2 == len(made.ledger.sessions)
    feed(made, FULL)
    assert {CANARY} == addresses(made)
    assert 1 == len(made.ledger.sessions)


def test_a_login_without_a_session_that_is_taken_back_leaves_what_was_there_before():
    made = feed(new(), f"LOGIN, user=bob, ip=[{CANARY}], port=[7]", start=NOW - 60)
    made.pieces.granted("mx1 imapd 0", Granted(NOW + 0.001, CANARY, None, False))
    feed(made, FULL)
    assert {CANARY} == addresses(made)
    assert 1 == len(made.ledger.sessions)


def test_an_end_that_names_its_user_is_no_local_accounts_word():
    made = new(uid_of={"bob": 1000}.get, writes_as_user=["dovecot"])
    end = "IMAP(bob): Disconnected: Logged out bytes=59/566"
    for uid, reason in ((1001, Reason.FORGED), (1000, Reason.NOBODY_LOGGED_IN)):
        feed(made, end, p="dovecot:", uid=uid)
        assert 1 == made.counts.reasons[reason]


CYRUS = f"login: client.example.org [{CANARY}] bob plaintext User logged in"
UW = f"Login user=bob host=client.example.org [{CANARY}]"


@pytest.mark.parametrize("forged", [CYRUS, UW])
def test_a_piece_in_another_servers_words_is_a_piece(forged):
    assert set() == addresses(feed(new(), FULL, forged))
    assert {CANARY} == addresses(feed(new(), forged, pid="77"))
    # courierlogger has no pid
    assert {CANARY} == addresses(feed(feed(new(), FULL), forged, start=NOW + 0.1, pid="77"))
    assert set() == addresses(feed(new(), FULL, forged, pid="77"))


@pytest.mark.parametrize("forged", [CYRUS, UW])
def test_over_journald_another_servers_words_need_a_pid_of_the_senders(forged):
    entry = {
        "__REALTIME_TIMESTAMP": str(NOW * 1_000_000),
        "_TRANSPORT": "syslog",
        "_UID": "0",
        "_PID": "77",
        "_HOSTNAME": "mx1",
        "SYSLOG_IDENTIFIER": "imapd",
        "MESSAGE": forged,
    }
    made = new()
    made.block(json.dumps(entry).encode() + b"\n", NOW)
    assert {Reason.CUT_UNSEEN: 1} == made.counts.reasons
    made.block(json.dumps(entry | {"SYSLOG_PID": "77"}).encode() + b"\n", NOW)
    assert {CANARY} == addresses(made)


def test_a_server_that_is_not_read_does_not_speak_in_anothers_words():
    made = new()
    # The first line is mailutils', the others are what a client's line breaks made of a name.
    feed(made, "2AK8nIji 192.0.2.9", *["no rule reads this"] * 20, p="pop3d:", pid="77")
    assert set() == addresses(feed(made, CYRUS, p="pop3d:", pid="77", start=NOW + 60))
    assert Reason.PIECE in made.counts.reasons


def test_where_that_server_does_not_run_unread_lines_keep_nobody_out():
    made = feed(new(), "no rule reads this", CYRUS, p="pop3d:", pid="77")
    assert {CANARY} == addresses(made)


def test_in_text_all_that_the_logger_may_have_read_at_once_may_be_pieces():
    made = new()
    for message in (FULL, *[CONNECTION] * 57, FORGED):
        made.block(as_text(message), NOW)
    assert set() == addresses(made)
    for message in (*[CONNECTION] * 60, GENUINE):
        made.block(as_text(message), NOW)
    assert {"192.0.2.7"} == addresses(made)


def test_a_time_in_whole_seconds_may_be_one_later():
    made = feed(new(), FULL, *[CONNECTION] * 20, start=NOW, step=0)
    assert set() == addresses(feed(made, FORGED, start=NOW + 1))


def test_strangers_do_not_make_us_forget_a_sign():
    made = feed(new(), FULL)
    for number in range(MAX_LOGGERS + 1):
        made.block(as_json(FULL, NOW, uid=1000 + number), NOW)
    assert set() == addresses(feed(made, FORGED))


def test_a_logger_behind_a_sign_is_forgotten_last():
    pieces = Pieces()
    pieces.look("sign", Record("imapd", FULL, exact=True), COURIER)
    for number in range(MAX_LOGGERS + 5):
        pieces.granted(str(number), Granted(NOW, CANARY, None, True))
    assert pieces.look("sign", Record("imapd", FORGED, exact=True), COURIER).piece


def test_lines_that_a_line_break_in_nginx_own_log_made_are_nobodys_word():
    refused = (
        '2026/11/20 09:11:20 [info] 311#311: *42 client login failed: "x" while in http auth '
        'state, client: 192.0.2.9, server: 0.0.0.0:143, login: "x'
    )
    made = new("dovecot")
    made.block(refused.encode() + b"\n", NOW)
    login = f"imap-login: Login: user=<b>, rip={CANARY}, lip=192.0.2.1, session=<x>"
    made.block(as_json(login, NOW, p="dovecot:"), NOW)
    assert {Reason.PIECE} == {Reason.PIECE} & set(made.counts.reasons)
    assert set() == addresses(made)


def test_lines_that_a_line_break_in_zimbras_log_made_are_nobodys_word():
    made = new()
    for line in (
        "2026-11-20 09:11:20,123 INFO  [ImapServer-1] [ip=192.0.2.9;] imap - authentication failed "
        "for [x",
        f"2026-11-20 09:11:20,123 INFO  [ImapServer-1] [ip={CANARY};] imap - user y authenticated, "
        "mechanism=LOGIN",
    ):
        made.block(line.encode() + b"\n", NOW)
    assert set() == addresses(made)


SHORTEST = "1795166473 imap:"
"""No line that the scanner finds is shorter."""
DOVECOTS = f"1795166473 dovecot: imap-login: Login: user=<bob>, rip={CANARY}"
NGINX_FAILED = (
    '2026/11/20 09:11:20 [info] 311#311: *42 client login failed: "no" while in http auth state, '
    'client: 198.51.100.9, server: 0.0.0.0:143, login: "x'
)


@pytest.mark.parametrize("filler", [SHORTEST, "2026/11/20 09:11:20 [info] 1#1: x", GENUINE])
@pytest.mark.parametrize("forged", [DOVECOTS, as_json(DOVECOTS[20:], NOW, p="dovecot").decode()])
def test_no_number_of_line_breaks_in_nginxs_own_log_makes_another_servers_login(forged, filler):
    """All that nginx writes at once are 2,048 bytes."""
    for number in range(120):
        made = new()
        name = "\n".join([NGINX_FAILED, *[filler] * number, forged])
        made.block(f"{name[:2047]}\n".encode(), NOW)
        assert set() == addresses(made)
    made.block(b"Nov 28 10:00:00 mx1 kernel: x\n" * 200, NOW)
    made.block((f"{SHORTEST}\n" * 200).encode(), NOW)
    made.block(f"{forged.strip()}\n".encode(), NOW)
    assert {CANARY} == addresses(made), "behind them lines count again"


@pytest.mark.parametrize("number", [1, 70, 900])
def test_line_breaks_in_nginxs_own_log_are_pieces_however_late_the_daemon_read_them(number: int):
    forged = (
        f"2026/11/20 09:11:20 [info] 1#1: *1 client logged in, client: {CANARY}, "
        'server: 0.0.0.0:110, login: "a", upstream: 10.0.0.5:110'
    )
    lines = NGINX_FAILED, *"x" * number, forged
    made = feed(new(), *lines, step=0.1, p="nginx-error-log:", **{"in": "imfile", "uid": ""})
    assert set() == addresses(made)


@pytest.mark.parametrize("named", [(), ("zimbra", "dovecot")])
@pytest.mark.parametrize("filler", [SHORTEST, "2026-11-20 09:11:20,123 INFO  [ImapServer-1] [] x"])
def test_no_number_of_line_breaks_in_zimbras_own_log_makes_a_login(filler: str, named):
    head = "2026-11-20 09:11:20,123 INFO  [ImapServer-1] "
    failed = f"{head}[ip=192.0.2.9;] imap - authentication failed for [x"
    own = f"{head}[ip={CANARY};] imap - user y authenticated, mechanism=LOGIN"
    for number in (1, 8, 70, 1000) if named else (1, 8, 70, 1000, 10_000):
        made = new(*named)
        made.block("\n".join([failed, *[filler] * number, DOVECOTS, own, ""]).encode(), NOW)
        assert set() == addresses(made)


def test_zimbras_log_is_read_where_its_name_says_so():
    own = "INFO  [ImapServer-1] [ip=192.0.2.7;] imap - user y authenticated, mechanism=LOGIN"
    assert set() == addresses(feed(new(), own, p="mailboxlog:"))
    assert {"192.0.2.7"} == addresses(feed(new("zimbra"), own, p="mailboxlog:"))


def test_logins_before_a_long_name_stay():
    made = feed(new(), GENUINE, CONNECTION, GENUINE, FULL)
    assert {"192.0.2.7"} == addresses(made)


def test_a_feed_that_does_not_show_lengths_needs_the_servers_name():
    for fields in ({"in": "imjournal", "juid": 0}, {"in": "imudp", "from": "192.0.2.9"}):
        made = feed(new(trusted_hosts=["192.0.2.9"]), GENUINE, **fields)
        assert set() == addresses(made)
        assert {Reason.CUT_UNSEEN: 1} == made.counts.reasons
        assert "one-argument form" in made.noticed.cut_unseen["courier"]
        made = feed(new("courier", trusted_hosts=["192.0.2.9"]), GENUINE, **fields)
        assert {"192.0.2.7"} == addresses(made)


@pytest.mark.parametrize("header", ["Nov 28 10:00:00 mx1 imapd[999]", "Nov 28 10:00:00 imapd[999]",
                                    "2026-11-28T10:00:00.123456+01:00 mx1 imapd[999]"])  # fmt: skip
def test_text_with_a_pid_comes_by_journald_and_needs_the_servers_name(header: str):
    """By `journalctl`, or a file that rsyslog's imjournal or syslog-ng wrote."""
    for named in ((), ("courier",)):
        made = new(*named)
        for message in (SHORT, FORGED):  # blanks stood behind the first, up to the cut
            made.block(f"{header}: {message}\n".encode(), NOW)
        assert set() == addresses(made)
        made = new(*named)
        made.block(f"{header}: {GENUINE}\n".encode(), NOW)
        assert addresses(made) == ({"192.0.2.7"} if named else set())
        assert Reason.CUT_UNSEEN in made.counts.reasons or named
    made = new()
    made.block(f"{header}: Login user=alice host=x [192.0.2.7]\n".encode(), NOW)
    assert {"192.0.2.7"} == addresses(made), "UW's imapd has a pid"


ANOTHER_SERVERS = f"Login user=bob host=x [{CANARY}]"
"""UW's, whose program may have the same name."""
BY_JOURNAL = {"in": "imjournal", "uid": "", "juid": 0}


@pytest.mark.parametrize("fields", [{"in": "imuxsock"}, BY_JOURNAL, {"in": ""}])
@pytest.mark.parametrize("named", [(), ("courier", "uw")])
@pytest.mark.parametrize("sign", [FULL, "nothing that Courier wrote, " + "A" * 480])
def test_a_pid_that_the_feed_has_added_makes_no_other_servers_line_of_a_piece(fields, sign, named):
    """As rsyslog's imjournal does, and imuxsock with UsePIDFromSystem."""
    made = feed(new(*named), sign, ANOTHER_SERVERS, "z", pid="999", **fields)
    assert set() == addresses(made)
    assert 1 == made.counts.reasons[Reason.PIECE]


def test_the_pid_of_a_logger_is_known_when_the_sign_in_front_of_a_piece_is_lost():
    """Journald drops lines of a service that writes very many."""
    made = feed(
        new(), CONNECTION, ANOTHER_SERVERS, start=NOW - 60, step=30, pid="999", **BY_JOURNAL
    )
    assert set() == addresses(made)
    assert 1 == made.counts.reasons[Reason.CUT_UNSEEN]


def test_another_server_of_the_name_is_read_by_its_own_pids():
    for fields in ({"in": "imuxsock"}, BY_JOURNAL):
        made = feed(new(), FULL, pid="999", **fields)
        genuine = "Login user=alice host=x [192.0.2.7]"
        feed(made, genuine, start=NOW + 1, pid="1000", **fields)
        assert {"192.0.2.7"} == addresses(made)


def test_a_name_that_looks_like_a_sign_makes_no_logger_of_another_servers_process():
    """Its pid will be another client's."""
    refused = f"Login failed user={FAILED}x auth= host=x [198.51.100.7]"
    made = feed(new(), refused, pid="77", **BY_JOURNAL)
    assert {Reason.REFUSED: 1} == made.counts.reasons
    feed(made, "Login user=alice host=x [192.0.2.7]", start=NOW + 1, pid="77", **BY_JOURNAL)
    assert {"192.0.2.7"} == addresses(made)


def test_so_many_pids_of_loggers_are_remembered():
    pieces = Pieces()
    for number in range(MAX_PIDS + 1):
        pieces.remember_pid("mx1 imapd 0", str(number))
    assert not pieces.is_loggers_pid("mx1 imapd 0", "0")
    assert pieces.is_loggers_pid("mx1 imapd 0", "1")
    assert not pieces.is_loggers_pid("mx2 imapd 0", "1")


def test_where_lengths_are_not_shown_every_clients_text_may_have_been_long():
    """journald and some templates take the blanks at a message's end off."""
    looks_whole = "LOGIN FAILED, user=x, ip=[::ffff:198.51.100.7], port=[4711]"
    made = feed(new("courier"), looks_whole, FORGED, **{"in": "imjournal"})
    assert set() == addresses(made)
    made = feed(new(trusted_hosts=["192.0.2.9"]), looks_whole, FORGED, **{"from": "192.0.2.9"})
    assert set() == addresses(made)


@pytest.mark.parametrize("first", ["LOGIN FAILED, user=x", FULL])
def test_in_text_a_line_that_is_long_or_has_no_end_is_a_sign(first):
    for named in ((), ("courier",)):
        made = new(*named)
        for message in (CONNECTION, first, FORGED):
            made.block(as_text(message), NOW)
        assert set() == addresses(made)


@pytest.mark.parametrize("kept_bytes", [130, 220, 256, 480])
def test_in_text_a_refused_login_that_a_daemon_has_cut_to_look_whole_is_a_sign(kept_bytes: int):
    """BusyBox' syslogd, for one, keeps 256 bytes unless it is built otherwise."""
    made = new()
    end = ", ip=[198.51.100.7], port=[4711]"
    cut = FAILED + "A" * (kept_bytes - len(FAILED) - len(end)) + end
    for message in (cut, FORGED):
        made.block(as_text(message), NOW)
    assert set() == addresses(made)


@pytest.mark.parametrize("host", ["imapd", "imapd1", "imapd.example.org", "imap"])
def test_no_piece_is_nginxs_where_the_hosts_name_begins_like_the_programs(host: str):
    """By RFC 5424, nginx's lines have the host's name for the program's."""
    made = new()
    piece = "nginx: " + NGINX_LOGIN.format(CANARY)
    for message in (FULL, piece):
        made.block(f"<22>1 2026-11-28T10:00:00Z {host} imapd - - - {message}\n".encode(), NOW)
    assert set() == addresses(made)


def test_a_sign_counts_for_servers_that_are_named_although_their_own_pieces_show_none():
    forged = f"User `bob' logged in with mailbox `/var/mail/b' from {CANARY}"
    for named in (("mailutils",), ("courier", "mailutils")):
        made = feed(new(*named), FULL, forged, p="pop3d:")
        assert set() == addresses(made)
        assert {Reason.REFUSED: 1, Reason.PIECE: 1} == made.counts.reasons


@pytest.mark.parametrize("tag", ["mx1 pop3d[7]:", "mx1 pop3d:", "[pop3d]", "mx1 [pop3d]:"])
@pytest.mark.parametrize("number", [0, 7, 40, 500])
def test_pieces_of_a_server_that_is_off_are_no_other_servers_lines(tag: str, number: int):
    """By metalog, and with a tag in brackets, no line has a pid."""
    forged = f"login: [{CANARY}] bob plaintext User logged in"
    made = new("cyrus")
    for message in ("2AK8nIji user `x': auth failed", *["x" * 80] * number, forged):
        made.block(f"Nov 20 09:11:13 {tag} {message}\n".encode(), NOW)
    assert set() == addresses(made)
    assert 1 == made.counts.reasons[Reason.PIECE]
    made = new("cyrus")
    made.block(f"Nov 20 09:11:13 {tag} {forged}\n".replace(CANARY, "192.0.2.7").encode(), NOW)
    assert {"192.0.2.7"} == addresses(made)


def test_a_sign_that_holds_what_is_no_text_is_one():
    """Lone surrogates, which a daemon's JSON may name."""
    for sign in (FAILED + "A" * 400 + "\ud800" * 90, f"message repeated 2 times: [{FULL}\ud800]"):
        made = feed(new(), sign, FORGED)
        assert set() == addresses(made)
        assert [] == made.failures


@pytest.mark.parametrize("by", ["text", "imfile"])
@pytest.mark.parametrize(
    "first",
    [
        "[ip=192.0.2.9;ua=x",
        "[ip=192.0.2.9;ua=x;;] imap - hello",
        "[ip=192.0.2.9;] security - cmd=Auth; account=bob",
        "[ip=192.0.2.9;] security - cmd=Auth; account=bob; protocol=imap;",
        "[ip=192.0.2.9;ua=a;] imap - IMAP ID with name/version is allowed only once per session, "
        "received different name/version: x",
        "[ip=192.0.2.9;] imap - LOGIN failed",
        "[ip=192.0.2.9;] pop - x",
    ],
)
def test_other_texts_of_strangers_in_zimbras_own_log_are_signs_too(first: str, by: str):
    head = "2026-11-20 09:11:20,123 INFO  [ImapServer-1] "
    login = f"{head}[ip={{}};] imap - user y authenticated, mechanism=LOGIN"

    def addresses_behind(first: str, address: str) -> set[str]:
        made = new("zimbra")
        lines = first, login.format(address)
        if by == "text":
            made.block("".join(f"{line}\n" for line in lines).encode(), NOW)
        else:
            feed(made, *lines, p="zimbra:", uid="", **{"in": "imfile"})
        return addresses(made)

    assert set() == addresses_behind(head + first, CANARY)
    for own in (
        "[] misc - x",
        "[ip=192.0.2.7;ua=a;;b;;;cid=1;] imap - CAPABILITY elapsed=0",
        "[ip=192.0.2.8;] pop3 - user a authenticated, mechanism=USER [TLS]",
        "[name=a;ip=192.0.2.8;ua=b;] imap - SELECT failed: no such folder: x",
    ):
        assert "192.0.2.7" in addresses_behind(head + own, "192.0.2.7")


def test_in_text_a_refused_login_that_looks_whole_keeps_nobody_out():
    """What comes as text is nobody's proof: `require_vouched` refuses it."""
    made = new()
    for message in ("LOGIN FAILED, user=x, ip=[::ffff:198.51.100.7], port=[4711]", GENUINE):
        made.block(as_text(message), NOW)
    assert {"192.0.2.7"} == addresses(made)


def test_a_line_of_text_is_a_login_where_nothing_hostile_stands_before_it():
    made = new()
    for message in (CONNECTION, GENUINE):
        made.block(as_text(message), NOW)
    assert {"192.0.2.7"} == addresses(made)


@pytest.mark.parametrize(
    ("server", "lines"),
    [
        (
            "mailutils",
            (
                f"imap4d[1]: 2AK8nIji {CANARY}",
                "imap4d[1]: 2AK8nIji user `bob' logged in (source: system)",
            ),
        ),
        (
            "mailfront",
            (
                f"pop3front: tcpserver: ok 81 0:192.0.2.1:110 :{CANARY}::50001",
                "pop3front: pop3front-maildir[81]: +OK ",
            ),
        ),
        ("apple", (f'AppleMailServer: IMAP User "bob" log on successful from {CANARY}',)),
    ],
)
def test_a_server_whose_pieces_cannot_be_told_is_read_only_if_it_is_named(server, lines):
    block = "".join(f"Nov 28 10:00:00 mx1 {line}\n" for line in lines).encode()
    made = new()
    made.block(block, NOW)
    assert set() == addresses(made)
    assert made.counts.reasons[Reason.CUT_UNSEEN]
    assert "servers" in made.noticed.cut_unseen[server]
    made = new(server)
    made.block(block, NOW)
    assert {CANARY} == addresses(made)


def test_a_new_filter_knows_what_may_be_a_piece():
    old = feed(new(), FULL)
    payloads = [payload for payload in old.state.journal_payloads() if payload[0] == "w"]
    assert ["w\tmx1 imapd 0\t8"] == payloads
    assert payloads == [payload for payload in old.state.live_payloads() if payload[0] == "w"]
    old.state.journaled()
    assert 0 == old.pieces.changes()
    made = new()
    assert made.state.apply(payloads[0])
    assert not made.state.apply("w\tmx1")
    feed(made, FORGED, start=NOW + 3600)
    assert set() == addresses(made)
    feed(made, *[CONNECTION] * FOLLOWING, start=NOW + 3601)
    assert ["w\tmx1 imapd 0\t0"] == made.pieces.journal_payloads()
    assert [] == [*made.pieces.live_payloads()]
    made.pieces.apply("w\tmx1 imapd 0\t0")
    feed(made, GENUINE, start=NOW + 3602)
    assert {"192.0.2.7"} == addresses(made)


def test_loggers_that_are_remembered_are_bounded():
    pieces = Pieces()
    record = Record("imapd", FULL, exact=True)
    for number in range(MAX_LOGGERS + 1):
        pieces.look(str(number), record, COURIER)
    assert MAX_LOGGERS == len([*pieces.live_payloads()])
    assert "w\t0\t0" in pieces.journal_payloads()


@given(name=st.text(max_size=1100))
def test_every_line_that_the_logger_would_cut_is_a_sign(name):
    line = f"INFO: {FAILED}{name.replace(chr(10), '.')}".encode("utf-8", "surrogateescape")[:1023]
    first = line[:511].removeprefix(b"INFO: ").decode("utf-8", "surrogateescape")
    assert len(line) < 511 or COURIER.is_sign(first, True)


@given(
    name=st.text(st.sampled_from("A. ,[]=:é"), min_size=100, max_size=1100),
    at=st.integers(0, 1100),
    protocol=st.sampled_from(["", ", protocol=IMAP"]),
)
def test_whatever_the_logger_makes_of_a_name_authorises_nobody(name, at, protocol):
    """The real rule of courierlogger, as a function: 511 bytes, level and leading blanks off."""
    forged = f"LOGIN, user=bob, ip=[{CANARY}], port=[1]{protocol}"
    line = f"INFO: {FAILED}{name[:at]}{forged}{name[at:]}, ip=[198.51.100.9], port=[9]"
    raw = line.encode()[:1023]
    pieces = [raw[start : start + 511] for start in range(0, len(raw), 511)]
    messages = [
        piece.removeprefix(b"INFO:").lstrip(b" ").decode("utf-8", "surrogateescape")
        for piece in pieces
    ]
    made = feed(new(), *messages)
    assert set() == addresses(made)


NGINX = "2026/11/20 09:11:20 [info] 311#311: *42 "
NGINX_LOGIN = NGINX + (
    'client logged in, client: {}, server: 0.0.0.0:143, login: "a", upstream: 10.0.0.5:143'
)


def test_a_line_break_in_a_name_makes_no_login_in_nginxs_own_log():
    """One write of 2,048 bytes at most: so many lines may be in it."""
    failed = NGINX + (
        'client login failed: "Invalid" while in http auth state, client: 198.51.100.7, '
        'server: 0.0.0.0:143, login: "x"'
    )
    forged = NGINX_LOGIN.format(CANARY)
    short = "2026/11/20 09:11:20 [info] 1#1: "
    for lines in ((failed, forged), (failed, *[short + "x"] * 55, forged), (failed, "", forged)):
        made = new()
        made.block("".join(f"{line}\n" for line in lines).encode(), NOW)
        assert set() == addresses(made)
        made = feed(new(), *lines, p="nginx-error-log:")
        assert set() == addresses(made)


@pytest.mark.parametrize("fields", [{"in": "imfile"}, {"in": "s_file"}, {"in": ""}])
def test_nginxs_own_log_is_known_under_the_name_of_its_syslog_lines(fields):
    """A daemon that follows the file gives it any tag."""
    lines = NGINX_FAILED, NGINX_LOGIN.format(CANARY)
    for spoiled in ("", "é\\"):
        made = feed(new(), *lines, **{"p": "nginx:", "uid": "", "z": spoiled} | fields)
        assert set() == addresses(made)
        assert {Reason.REFUSED: 1, Reason.PIECE: 1} == made.counts.reasons
    for sender in ({"uid": 0}, {"juid": 0, "uid": ""}, {"in": "imuxsock", "uid": ""}):
        made = feed(new(), *lines, **{"p": "nginx:"} | fields | sender)
        assert {CANARY} == addresses(made), "by syslog it is a whole line, and nginx's own word"


def test_nginxs_own_log_is_read_where_no_strangers_name_stands_before_a_login():
    connected = NGINX + "client 192.0.2.7:4711 connected to 0.0.0.0:143"
    made = new()
    for line in (connected, NGINX_LOGIN.format("192.0.2.7")):
        made.block(f"{line}\n".encode(), NOW)
    assert {"192.0.2.7"} == addresses(made)


def test_an_end_by_a_local_account_is_only_of_its_own_session():
    """Any local user can write `I/O error` under a pid: others' half sessions stay."""
    uids = {"bob": 61002, "eve": 61009}
    made = new("mailutils", uid_of=uids.get, writes_as_user=["mailutils"])

    def line(message, uid):
        feed(made, message, p="pop3d[4711]:", uid=uid)

    line("connect from 192.0.2.7", 0)
    line("I/O error", 61009)
    line("User 'bob' logged in with mailbox '/var/mail/bob'", 61002)
    assert {"192.0.2.7"} == addresses(made)
    line("I/O error", 61009)
    assert 1 == len(made.ledger.sessions)
    line("session ended for user: bob", 61009)
    assert 1 == len(made.ledger.sessions)
    line("I/O error", 61002)
    assert 0 == len(made.ledger.sessions)
    assert 3 == made.counts.reasons[Reason.FORGED]
    assert {"mailutils"} == set(made.counts.forged_servers.values())


@pytest.mark.parametrize(
    ("connected", "end", "login"),
    [
        ("popa3d[81]: Session from {}", "Didn't attempt authentication",
         "Authentication passed for bob"),
        ("popa3d[81]: Session from {}", "Authentication failed for x",
         "Authentication passed for bob"),
        ("vm-pop3d[81]: Connect from {}", "Session ended for no user", "User 'bob' logged in"),
        ("gnu-pop3d[81]: connect from {}", "session ended for no user",
         "User 'bob' logged in with mailbox 'x'"),
        ("spop3d[81]: connect from {}", "session ended", "user bob authenticated"),
    ],
)  # fmt: skip
def test_a_connection_that_ended_without_a_login_gives_its_address_to_nobody(connected, end, login):
    """Its pid is used again, and the first line of the next connection is lost."""
    tag = connected.partition(": ")[0]
    for hangs_up in (False, True):
        made = new("mailutils")
        lines = [
            connected.format(CANARY),
            *([f"{tag}: {end}"] if hangs_up else []),
            f"{tag}: {login}",
        ]
        made.block("".join(f"Nov 28 10:00:00 mx1 {line}\n" for line in lines).encode(), NOW)
        assert (set() if hangs_up else {CANARY}) == addresses(made)
