"""The findings of --doctor, and the remedies it names."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from pbs_filter.doctor import findings as judge
from pbs_filter.doctor.findings import FeedProbe
from pbs_filter.integrations import (
    courier,
    exim,
    lookups,
    mtas,
    opensmtpd,
    postfix,
    sendmail,
)
from pbs_filter.integrations.finding import Finding
from pbs_filter.integrations.lookups import LookupConfig
from pbs_filter.integrations.machine import Machine

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SEEN = {"at_epoch": 1000.0, "seen_epoch": 1001, "uid": 0, "peer": ""}
TRIED = FeedProbe(
    daemon="rsyslog",
    restart="systemctl restart rsyslog",
    socket="/dev/log",
    problem="",
    answered=True,
    seen=SEEN,
    version="1",
    sent_epoch=1000,
    waited_seconds=0.5,
)


def tried(**changes: object) -> FeedProbe:
    return dataclasses.replace(TRIED, **changes)  # type: ignore[arg-type]


def seen(**changes: object) -> FeedProbe:
    return tried(seen=SEEN | changes)


# ---------------------------------------------------------------------- the feed


def test_a_line_that_was_seen_is_well():
    finding = judge.feed(TRIED)
    assert "ok" == finding.state
    assert "through /dev/log was seen by the filter after 0.5 s" in finding.text


@pytest.mark.parametrize(
    ("changes", "words", "todo"),
    [
        (
            {"problem": "No such file or directory", "answered": False, "seen": None},
            "nobody takes lines at /dev/log: No such file",
            "systemctl restart rsyslog",
        ),
        (
            {"answered": False, "seen": None},
            "no filter answers: rsyslog started none",
            "tail /var/log/pbs-filter.log",
        ),
        (
            {"seen": None},
            "a filter runs, but the test line did not come to it",
            "pbs-filter --setup rsyslog",
        ),
        ({"seen": None, "daemon": ""}, "did not come to it", "pbs-filter --setup"),
    ],
)
def test_a_line_that_was_not_seen_is_wrong(changes: dict, words: str, todo: str):
    finding = judge.feed(tried(**changes))
    assert "wrong" == finding.state
    assert words in finding.text
    assert todo in finding.todo


def test_a_full_disk_is_not_the_feeds_fault() -> None:
    finding = judge.feed(tried(seen=None), trouble=True)
    assert ("wrong", ("mend the store first: below",)) == (finding.state, finding.todo)
    assert "ok" == judge.feed(tried(), trouble=True).state


def test_where_no_filter_answers_the_end_of_its_log_is_shown():
    silent = tried(answered=False, seen=None)
    log = "2026-11-20T10:00:00+0000 pbs-filter[7]: first\n"
    assert "pbs-filter[7]: first'" in judge.feed(silent, log).text
    # The words of a program in front of the filter tell why, though others came behind.
    words = "Please specify only one of --since=, --cursor=\n"
    assert f"the log ends with {words.strip()!r}" in judge.feed(silent, words * 2 + log).text
    assert "the log" not in judge.feed(silent).text
    # Nothing was ever started: the daemon has not been told of its new configuration.
    assert silent.restart == judge.feed(silent).todo[0]
    assert "tail /var/log/pbs-filter.log" == judge.feed(silent, log).todo[0]
    assert len(judge.feed(silent, "x" * 9999).text) < 500


@pytest.mark.parametrize(
    ("changes", "required", "state", "words"),
    [
        ({}, True, "ok", "which uid wrote a line (0)"),
        ({"uid": None}, True, "wrong", "every login is refused"),
        ({"uid": None}, False, "note", "whoever can log can authorise"),
        ({"uid": 7}, True, "wrong", "says uid 7 wrote a line of uid 0"),
        ({"peer": "192.0.2.1"}, True, "wrong", "arrives as one of 192.0.2.1"),
    ],
)
def test_who_vouches_for_a_line(changes: dict, required: bool, state: str, words: str):
    finding = judge.vouched(seen(**changes), required=required)
    assert state == finding.state
    assert words in finding.text


@pytest.mark.parametrize(
    ("at", "state", "words"),
    [
        (999.5, "ok", "this machine's time"),
        (1000.0 - 5, "ok", "this machine's time"),
        (1000.0 - 3600, "wrong", "another time zone: by 60 minutes"),
        (1000.0 - 19799, "wrong", "another time zone: by 329 minutes"),
        (1000.0 - 60, "wrong", "60 s older"),
        (1000.0 - 1300, "wrong", "1300 s older"),
        (None, "note", "does not say when"),
    ],
)
def test_the_stamp_tells_of_clock_and_time_zone(at: float | None, state: str, words: str):
    finding = judge.clock(seen(at_epoch=at))
    assert state == finding.state
    assert words in finding.text


@pytest.mark.parametrize(
    ("path", "missing", "other", "state", "words"),
    [
        ("/d/x", "", "", "ok", "rsyslog 8, /d/x: as ever"),
        ("/d/x", "", "/d/y", "note", "/d/y is not this version's"),
        ("/d/x", "/d/y", "/d/x", "wrong", "rsyslog 8 has no /d/y"),
        ("", "", "", "note", "includes no directory"),
    ],
)
def test_the_drop_in_is_there_and_this_versions(
    path: str, missing: str, other: str, state: str, words: str
):
    finding = judge.drop_in(
        "rsyslog 8", path, missing=missing, other=other, setup="pbs-filter --setup", way="as ever"
    )
    assert state == finding.state
    assert words in finding.text


# ---------------------------------------------------------------------- the running filter

STATUS = {
    "version": "1",
    "trouble": None,
    "map": None,
    "authorised": 2,
    "warnings": [],
    "unread": {},
    "lines": 9,
    "logins": {"dovecot": 3},
}


def running(**changes: object) -> list[Finding]:
    return judge.running(STATUS | changes, version="1", restart="systemctl restart rsyslog")


def test_a_filter_that_is_well():
    assert [("ok", "written; 2 addresses may relay"), ("ok", "9 read; logins: dovecot 3")] == [
        (finding.state, finding.text) for finding in running()
    ]
    assert "logins: none yet" in running(logins={})[1].text


def test_another_version_that_runs_is_wrong():
    finding = running(version="0.9")[0]
    assert ("wrong", "version 0.9 runs, 1 is installed") == (finding.state, finding.text)


def test_trouble_with_the_store_is_wrong():
    assert "wrong" == running(trouble="disk full")[0].state


def test_a_redis_that_is_away_is_wrong():
    away = {"waiting": 3, "away_since": 1, "trouble": "connection refused"}
    finding = running(map=away)[1]
    assert ("wrong", "Redis cannot be used: connection refused") == (finding.state, finding.text)
    assert ["ok", "ok"] == [f.state for f in running(map=away | {"trouble": None})]


def test_each_warning_of_the_filter_is_wrong_and_says_what_to_do():
    warning = {"kind": "unread", "since": 1, "sentence": "imapd writes odd lines", "todo": "look"}
    findings = running(warnings=[warning], unread={"imapd": {"count": 9, "example": "x"}})
    assert ("wrong", "imapd writes odd lines", ("look",)) == (
        findings[-1].state,
        findings[-1].text,
        findings[-1].todo,
    )


def test_few_lines_that_no_rule_reads_are_only_noted():
    finding = running(unread={"imapd": {"count": 1, "example": "x"}})[-1]
    assert ("note", "some are read by no rule: imapd 1") == (finding.state, finding.text)


# ---------------------------------------------------------------------- the map, the kernel


@pytest.mark.parametrize(
    ("status", "said", "state", "words"),
    [
        (1, "", "ok", "mail can read the map"),
        (0, "", "wrong", "an address of nobody"),
        (75, "cannot answer: map /m: Permission denied\n", "wrong", "mail cannot read the map"),
        (75, "cannot answer: map /m: No such file", "wrong", "there is no map"),
        (75, "cannot answer: map /m: locked", "wrong", "cannot answer: cannot answer: map /m: lo"),
    ],
)
def test_the_lookups_account_and_the_map(status: int, said: str, state: str, words: str):
    finding = judge.lookup("mail", status, said, restart="r")
    assert state == finding.state
    assert words in finding.text
    assert bool(finding.todo) == (state == "wrong")


def test_apparmor_says_no_in_the_kernels_log():
    denied = (
        'audit: apparmor="DENIED" operation="open" profile="rsyslogd" name="/var/lib/x/map" '
        'pid=7 comm="pbs-filter" requested_mask="r"\n'
    )
    finding = judge.denials("a line\n" + denied * 2)
    assert finding is not None
    assert (
        "denied 2 times, the last time '/var/lib/x/map' by the profile 'rsyslogd'" in finding.text
    )
    assert judge.denials('apparmor="DENIED" comm="evince" name="/x"\n') is None
    bare = judge.denials('apparmor="DENIED" pbs-filter')
    assert bare is not None
    assert "something by the profile ?" in bare.text


# ---------------------------------------------------------------------- does the MTA ask?

MAIN = "permit_mynetworks, {}, reject_unauth_destination"
SOCKETMAP = MAIN.format("check_client_access socketmap:unix:private/pbs:pbs")
MASTER = (EXAMPLES / "postfix/master.cf").read_text().replace("spawn\n  ", "spawn ")
POLICY = (EXAMPLES / "postfix/master-policy.cf").read_text().replace("spawn\n  ", "spawn ")


MACHINE = Machine(
    program="/p", lookup="/l", share="/s", map="/m", state="/", versions={}, answers={}, files={}
)


def asked(mta: str, **texts: str) -> LookupConfig | Finding:
    """What the MTA's configuration files, or the answers of its programs, say."""
    return mtas()[mta].lookups(known(**texts))


def known(**texts: str) -> Machine:
    places = {
        "restrictions": postfix.RELAY,
        "master": postfix.SERVICES,
        "queue": postfix.QUEUE,
        "mynetworks": postfix.MYNETWORKS,
        "recipient": postfix.RECIPIENT,
        "exim": exim.MADE,
        "acl": exim.ACL,
        "sendmail": sendmail.MADE,
        "opensmtpd": opensmtpd.MAIN,
        "courier": courier.MAIN,
    }
    values = {places[name]: text for name, text in texts.items()}
    return dataclasses.replace(MACHINE, files=values, answers=values)


def asked_by_postfix(restrictions: str, master: str) -> LookupConfig | Finding:
    return asked("postfix", restrictions=restrictions, master=master, queue="/var/spool/postfix")


RESTART = ("postfix reload || postfix start", "tail /var/log/mail.log")


def test_postfix_asks_as_in_the_examples():
    expected = LookupConfig(
        mta="postfix",
        kind="socketmap",
        where="/var/spool/postfix/private/pbs",
        user="pbs-lookup",
        group="pbs-filter",
        program="/opt/pbs-filter/bin/pbs-lookup",
        restart=RESTART,
    )
    assert expected == asked_by_postfix(SOCKETMAP, MASTER)
    main = (EXAMPLES / "postfix/main-policy.cf").read_text()
    found = asked_by_postfix(main.partition("=")[2], POLICY)
    assert isinstance(found, LookupConfig)
    assert ("policy", "/var/spool/postfix/private/pbs-policy") == (found.kind, found.where)
    elsewhere = MAIN.format("check_client_access socketmap:unix:/run/pbs/s:pbs")
    assert LookupConfig(
        mta="postfix", kind="socketmap", where="/run/pbs/s", restart=RESTART
    ) == asked_by_postfix(elsewhere, "")
    nobody = MASTER.replace("user=pbs-lookup:pbs-filter ", "")
    found = asked_by_postfix(SOCKETMAP, nobody)
    assert isinstance(found, LookupConfig)
    assert "" == found.user


def test_a_map_that_is_closed_to_its_group_is_opened() -> None:
    said = "pbs-lookup: cannot answer: map /m: Permission denied"
    finding = judge.lookup("mail", 75, said, restart="r", closed="/m")
    assert ("wrong", ("chmod 0640 /m",)) == (finding.state, finding.todo)
    assert "ok" == judge.lookup("mail", 1, "", restart="r", closed="/m").state


@pytest.mark.parametrize(
    ("mta", "texts", "words"),
    [
        (
            "postfix",
            {"restrictions": MAIN.format("permit_sasl_authenticated"), "master": MASTER},
            "names neither",
        ),
        (
            "postfix",
            {"restrictions": SOCKETMAP, "master": "smtp inet n - y - - smtpd"},
            "no service pbs of ours",
        ),
        ("exim", {"exim": "acl_check_rcpt:\n", "acl": ""}, "does not include pbs-filter.acl"),
        ("sendmail", {"sendmail": "Kaccess hash /etc/mail/access"}, "no socket map of ours"),
        (
            "opensmtpd",
            {"opensmtpd": "table pbs pbs:/x\n# match from src <pbs>"},
            "no rule for <pbs>",
        ),
        ("courier", {"courier": "PORT=smtp relaylock\nPORT=smtp\n"}, "does not run relaylock"),
        ("courier", {"courier": ""}, "does not run relaylock"),
    ],
)
def test_an_mta_that_does_not_ask_is_wrong(mta: str, texts: dict[str, str], words: str):
    finding = asked(mta, **texts)
    assert isinstance(finding, Finding)
    assert "wrong" == finding.state
    assert words in finding.text
    assert (f"pbs-filter --setup {mta}",) == finding.todo


@pytest.mark.parametrize(
    ("mta", "texts", "expected"),
    [
        (
            "exim",
            {
                "exim": ".include /etc/exim4/pbs-filter.acl",
                "acl": (EXAMPLES / "exim/pbs-filter.acl").read_text(),
            },
            LookupConfig(mta="exim", kind="socketmap", where="/run/pbs-lookup/socketmap"),
        ),
        (
            "exim",
            {
                "exim": ".include /etc/exim4/pbs-filter.acl",
                "acl": (EXAMPLES / "exim/pbs-filter-run.acl").read_text(),
            },
            LookupConfig(mta="exim", kind="program", user="Debian-exim"),
        ),
        (
            "sendmail",
            {"sendmail": (EXAMPLES / "sendmail/pbs-filter.m4").read_text()},
            LookupConfig(mta="sendmail", kind="socketmap", where="/run/pbs-lookup/socketmap"),
        ),
        (
            "opensmtpd",
            {"opensmtpd": (EXAMPLES / "opensmtpd/smtpd.conf").read_text()},
            LookupConfig(mta="opensmtpd", kind="program", user="opensmtpd"),
        ),
        (
            "courier",
            {"courier": (EXAMPLES / "courier/esmtpd").read_text()},
            LookupConfig(mta="courier", kind="program", user="courier"),
        ),
    ],
)
def test_the_others_ask_as_in_the_examples(mta: str, texts: dict[str, str], expected: LookupConfig):
    assert expected == asked(mta, **texts)


def test_qmails_run_file_is_for_a_person_to_see():
    finding = asked("qmail")
    assert isinstance(finding, Finding)
    assert "note" == finding.state


# ---------------------------------------------------------------------- and is answered?

SERVICE = LookupConfig(mta="postfix", kind="socketmap", where="/s", restart=RESTART)


@pytest.mark.parametrize(
    ("reply", "problem", "state", "words"),
    [
        (b"9:NOTFOUND ,", "", "ok", "asks at /s, and is answered"),
        (b"action=DUNNO\n\n", "", "ok", "is answered"),
        (b"5:OK OK,", "", "wrong", "a stranger, 192.0.2.254, may relay"),
        (b"28:TEMP map /m: No such file,", "", "wrong", "cannot answer: '28:TEMP map"),
        (b"", "", "wrong", "cannot answer: ''"),
        (b"", "Connection refused", "wrong", "nobody answers: Connection refused"),
    ],
)
def test_what_the_service_answers(reply: bytes, problem: str, state: str, words: str):
    finding = lookups.answer(SERVICE, reply, problem)
    assert state == finding.state
    assert words in finding.text


def test_another_mtas_service_is_systemds():
    finding = lookups.answer(LookupConfig(mta="exim", kind="socketmap", where="/s"), b"", "x")
    assert "systemctl restart pbs-lookup.socket" in finding.todo


def test_our_own_program_understands_the_questions():
    from pbs_filter.lookup.protocols import policy, socketmap

    for kind, module in (("socketmap", socketmap), ("policy", policy)):
        question = lookups.question(dataclasses.replace(SERVICE, kind=kind))  # type: ignore[arg-type]
        assert lookups.STRANGER.encode() in question
        conversation = module.Conversation()  # type: ignore[attr-defined]
        conversation.feed(question)
        assert lookups.STRANGER.encode() == conversation.question()[0]


# ---------------------------------------------------------------------- is the relay closed?


@pytest.mark.parametrize(
    ("restrictions", "recipient", "mynetworks", "words"),
    [
        (SOCKETMAP, "", "127.0.0.0/8", []),
        (SOCKETMAP, "", "0.0.0.0/0", ["OPEN: mynetworks has 0.0.0.0/0"]),
        ("permit_mynetworks", "", "127.0.0.0/8", ["OPEN: smtpd_relay_restrictions"]),
        ("permit, reject", "", "127.0.0.0/8", ["OPEN: smtpd_relay_restrictions"]),
        (SOCKETMAP, "reject_unauth_destination", "127.0.0.0/8", ["smtpd_recipient_restrictions"]),
    ],
)
def test_postfixs_settings(restrictions: str, recipient: str, mynetworks: str, words: list[str]):
    values = {"restrictions": restrictions, "recipient": recipient, "mynetworks": mynetworks}
    findings = postfix.settings(known(**values))
    assert ["wrong"] * len(words) == [finding.state for finding in findings]
    for finding, word in zip(findings, words, strict=True):
        assert word in finding.text


def test_who_can_be_a_stranger_on_this_machine():
    own = ["127.0.0.1", "192.0.2.1", "198.51.100.7", "::1", "fe80::1", "2001:db8::1"]
    assert ["198.51.100.7", "2001:db8::1"] == lookups.strangers(own, "127.0.0.0/8 192.0.2.0/24")


def test_a_conversation_that_ends_with_yes_is_an_open_relay():
    assert "wrong" == lookups.conversation("192.0.2.1", "250 2.1.5 Ok").state
    finding = lookups.conversation("192.0.2.1", "554 5.7.1 Relay access denied")
    assert "ok" == finding.state
    assert "from 192.0.2.1 to elsewhere the MTA said 554" in finding.text


def test_exims_own_session():
    said = (
        "**** SMTP testing session\n220 mx1 ESMTP Exim\n250 mx1 Hello\n250 OK\n"
        ">>> processing\n{}\n221 mx1 closing\n"
    )
    assert "wrong" == exim.judge_session(said.format("250 Accepted")).state
    assert "ok" == exim.judge_session(said.format("550 relay not permitted")).state
    assert "note" == exim.judge_session("exim4: not installed").state


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ('Basic_check_rcpt returns: $# error $@ 5 . 7 . 1 $: "550 Relaying denied"\n', "ok"),
        ("Basic_check_rcpt input: x\nBasic_check_rcpt returns: RELAY\n", "wrong"),
        ("sendmail: not installed", "note"),
    ],
)
def test_sendmails_own_session(said: str, state: str):
    assert state == sendmail.judge_session(said).state


@pytest.mark.parametrize(
    ("rule", "state"),
    [
        ('match from any for domain "lab.test" action "local"', "ok"),
        ("match from src <pbs> for any action relay", "ok"),
        ("match from any auth for any action relay", "ok"),
        ("# match from any for any action relay", "ok"),
        ("match from any for any reject", "ok"),
        ("match tag DKIM from any for any action relay", "ok"),
        ("match from any for any action relay", "wrong"),
        ("  match for any from any action relay # mine", "wrong"),
    ],
)
def test_opensmtpds_rules(rule: str, state: str):
    found = opensmtpd.settings(known(opensmtpd=f"listen on x\n{rule}\n"))
    assert ([] if state == "ok" else [state]) == [finding.state for finding in found]


# ---------------------------------------------------------------------- what is printed

FINDINGS = [judge.ok("feed", "fine"), judge.wrong("MTA", "bad", "pbs-filter --setup postfix", "x")]


def test_each_line_says_ok_or_what_is_wrong_and_what_to_do():
    expected = """\
ok     feed  fine
wrong  MTA   bad
             -> pbs-filter --setup postfix
             -> x

1 wrong
"""
    assert expected == judge.rows(FINDINGS) + judge.total(FINDINGS)
    assert "\nall is well\n" == judge.total(FINDINGS[:1])


def test_programs_get_the_same():
    made = json.loads(json.dumps(judge.objects(FINDINGS)))
    assert not made["well"]
    assert {
        "subject": "MTA",
        "state": "wrong",
        "text": "bad",
        "todo": ["pbs-filter --setup postfix", "x"],
    } == made["findings"][1]
    assert judge.objects(FINDINGS[:1])["well"]


def test_commands_name_this_machines_program():
    finding = judge.with_program(FINDINGS[1], "/opt/pbs-filter/bin/pbs-filter")
    assert ("/opt/pbs-filter/bin/pbs-filter --setup postfix", "x") == finding.todo


# ---------------------------------------------------------------------- units and old daemons


def test_a_unit_that_does_not_stay_up_is_wrong():
    failed = {
        "ActiveState": "failed",
        "Result": "exit-code",
        "ExecMainStatus": "78",
        "NRestarts": "5",
    }
    finding = judge.service("pbs-filter-journal", failed, "systemctl restart pbs-filter-journal")
    assert finding is not None
    assert "failed, exit-code, exit status 78, restarts: 5" in finding.text
    assert "journalctl -u pbs-filter-journal" in finding.todo
    again = failed | {"ActiveState": "activating"}
    assert judge.service("x", again, "r") is not None
    for state in ("active", "inactive"):
        assert judge.service("x", {"ActiveState": state, "Result": "success"}, "r") is None
    assert judge.service("x", {"ActiveState": "activating", "Result": "success"}, "r") is None


def test_a_configuration_that_is_not_in_use_is_wrong():
    changed = {"restart": ["grace_seconds"], "reload": [], "error": None}
    finding = running(configuration=changed)[0]
    assert ("wrong", "configuration", ("systemctl restart rsyslog",)) == (
        finding.state,
        finding.subject,
        finding.todo,
    )
    assert "grace_seconds (in use after a restart" in finding.text


def test_a_daemon_that_is_older_than_what_it_reads_once_is_noted():
    changed = {"/etc/mail/sendmail.cf": 1001, "/etc/mail/other.cf": 1000}
    (finding,) = judge.stale("sendmail", changed, 1000, "restart it")
    assert finding is not None
    assert ("note", ("restart it",)) == (finding.state, finding.todo)
    assert not [*judge.stale("sendmail", changed, 0, "restart it")]


def test_each_mta_says_how_to_see_that_its_relay_is_closed():
    for mta in mtas().values():
        assert mta.session or mta.trusted or mta.settings(known(opensmtpd="match from any for any"))
        assert mta.untried.subject == "relay"
