"""Lines of every shape: program, message, host and pid come from the header, or there is none."""

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pbs_filter.model import Reason, Record
from pbs_filter.syslog.records import MAX_LINE_BYTES, reader
from pbs_filter.syslog.scanner import Scanner

from ..reading import read

LOGIN = "imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1"
DOVECOT = Record("dovecot", LOGIN, "mx1", "4711")

SAME = [
    f"Nov 20 09:11:13 mx1 dovecot[4711]: {LOGIN}",
    f"Nov  2 09:11:13 mx1 dovecot[4711]: {LOGIN}",
    f"Nov 2 09:11:13 mx1 dovecot[4711]: {LOGIN}",
    f"Nov 02 09:11:13 mx1 dovecot[4711]: {LOGIN}",
    f"Nov 20 09:11:13.123 mx1 dovecot[4711]: {LOGIN}",
    f"Nov 20 2026 09:11:13 mx1 dovecot[4711]: {LOGIN}",
    f"2026 Nov 20 09:11:13 mx1 dovecot[4711]: {LOGIN}",
    f"Foo 99 99:99:99 mx1 dovecot[4711]: {LOGIN}",
    f"1795162273 mx1 dovecot[4711]: {LOGIN}",
    f"1795162273.123456 mx1 dovecot[4711]: {LOGIN}",
    f"2026-11-20T09:11:13.123456+01:00 mx1 dovecot[4711]: {LOGIN}",
    f"2026-11-20T09:11:13+0100 mx1 dovecot[4711]: {LOGIN}",
    f"2026-11-20T09:11:13Z mx1 dovecot[4711]: {LOGIN}",
    f"2026-11-20T09:11:13 mx1 dovecot[4711]: {LOGIN}",
    f"Nov 20 09:11:13 <mail.info> mx1 dovecot[4711]: {LOGIN}",
    f"Nov 20 09:11:13 mx1 mail.info dovecot[4711]: {LOGIN}",
    f"Nov 20 09:11:13 mx1 mail:info dovecot[4711]: {LOGIN}",
    f"2026-11-20 09:11:13 mx1 dovecot[4711]: {LOGIN}",
    f"2026-11-20 09:11:13,500 mx1 dovecot[4711]: {LOGIN}",
    f"Nov 20 09:11:14 relay Nov 20 09:11:13 mx1 dovecot[4711]: {LOGIN}",
    f"Nov 20 09:11:14 192.0.2.9 <22>2026-11-20T09:11:13Z mx1 dovecot[4711]: {LOGIN}",
    f"2026-11-20 09:11:14 relay 2026-11-20 09:11:13 mx1 dovecot[4711]: {LOGIN}",
    f"Nov 20 09:11:14 Message forwarded from mx1: dovecot[4711]: {LOGIN}",
    f"Nov 20 09:11:14 relay Message forwarded from mx1: mail:info dovecot[4711]: {LOGIN}",
    f"Nov 20 09:11:13 mx1 dovecot[4711]: [ID 702911 mail.info] {LOGIN}",
    f"Nov 20 09:11:13 mx1 dovecot[4711]: message repeated 2 times: [ {LOGIN}]",
    f"1 2026-11-20T09:11:13.123456+01:00 mx1 dovecot 4711 - - {LOGIN}",
    f"1 2026-11-20T09:11:13.123456+01:00 mx1 dovecot 4711 - -  {LOGIN}",
    f"1 - mx1 dovecot 4711 ID47 - {LOGIN}",
    f"1 2026-11-20T09:11:13Z mx1 dovecot 4711 - - \ufeff{LOGIN}",
    f"1 2026-11-20T09:11:13Z mx1 dovecot 4711 - - message repeated 9 times: [ {LOGIN}]",
    f'1 2026-11-20T09:11:13Z mx1 dovecot 4711 - [meta sequenceId="7"] {LOGIN}',
    f'1 2026-11-20T09:11:13Z mx1 dovecot 4711 - [a@1][b x="" y="\\] \\" \\\\ ü"] {LOGIN}',
]


@pytest.mark.parametrize("pri", ["", "<22>", "<0>", "<191>"])
@pytest.mark.parametrize("end", ["", "\r"])
@pytest.mark.parametrize("text", SAME)
def test_a_line_says_the_same_in_every_shape_with_and_without_pri_and_cr(text, end, pri):
    assert DOVECOT == read(f"{pri}{text}{end}".encode())


@pytest.mark.parametrize("text", SAME)
@pytest.mark.parametrize(
    "attack",
    [
        "postfix/smtpd[4711]: warning: dovecot[4711]: ",
        "postfix/smtpd[4711]: Nov 20 09:11:13 mx1 dovecot[4711]: ",
        "sshd: dovecot: ",
        "evil.example dovecot[4711]: ",
        "helo=<x> dovecot[4711]: ",
        "mail.example dovecot[4711]: ",
        "NOQUEUE: dovecot[4711]: ",
    ],
)
def test_a_program_name_in_the_text_is_not_the_program(text, attack):
    found = read(text.replace("dovecot[4711]: ", attack).encode())
    assert not isinstance(found, Record) or found.program != "dovecot" or found == DOVECOT
    if "dovecot[4711]: " in text:
        assert not isinstance(found, Record) or found.program in (
            "postfix/smtpd",
            "sshd",
            "NOQUEUE",
        )


PARTS = [
    # program, host, pid, message, line
    ("dovecot", "mx1", "", LOGIN, f"Nov 20 09:11:13 mx1 dovecot: {LOGIN}"),
    ("dovecot", "", "", LOGIN, f"Nov 20 09:11:13 dovecot: {LOGIN}"),
    ("dovecot", "", "7", LOGIN, f"<22>Nov 20 09:11:13 dovecot[7]: {LOGIN}"),
    ("dovecot", "", "7", LOGIN, f"Nov 20 09:11:13  dovecot[7]: {LOGIN}"),
    ("dovecot", "", "", LOGIN, f"2026-11-20T09:11:13Z dovecot: {LOGIN}"),
    ("dovecot", "", "", "", "Nov 20 09:11:13 dovecot:"),
    ("dovecot", "mx1", "", "", "Nov 20 09:11:13 mx1 dovecot: "),
    ("cyrus/imap", "mx1", "7", "login: x", "Nov 20 09:11:13 mx1 cyrus/imap[7]: login: x"),
    ("perdition.imap4s", "mx1", "7", "x", "Nov 20 09:11:13 mx1 perdition.imap4s[7]: x"),
    ("in.imapproxyd", "mx1", "7", "x", "Nov 20 09:11:13 mx1 in.imapproxyd[7]: x"),
    ("login(pam_unix)", "mx1", "7", "x", "Nov 20 09:11:13 mx1 login(pam_unix)[7]: x"),
    ("imapd-ssl", "(none)", "", "x", "Nov 20 09:11:13 (none) imapd-ssl: x"),
    ("imapd", "12345", "", "x", "Nov 20 09:11:13 12345 imapd: x"),
    ("imapd", "2001:db8::7", "", "x", "Nov 20 09:11:13 2001:db8::7 imapd: x"),
    ("imapd", "src@mx-1.example.org", "", "x", "Nov 20 09:11:13 src@mx-1.example.org imapd: x"),
    ("imapd", "mx1", "", "LOGIN, x", "Nov 20 09:11:13 mx1 [imapd]: LOGIN, x"),
    ("imapd", "", "", "LOGIN, x", "Nov 20 09:11:13 [imapd] LOGIN, x"),
    ("cyrus/imap", "", "", "login: x", "<22>Nov 20 09:11:13 [cyrus/imap] login: x"),
    (
        "nginx",
        "mx1",
        "",
        "2026/11/20 x",
        "1 2026-11-20T09:11:13Z mx1 mx1 - - -  nginx: 2026/11/20 x",
    ),
    ("nginx", "mx1.x", "", "x", "<190>1 2026-11-20T09:11:13Z mx1.x mx1 - - - nginx: x"),
    ("other", "mx1", "", "nginx: x", "1 2026-11-20T09:11:13Z mx1 other - - - nginx: x"),
    ("m", "mx1", "", "nginx: x", "1 2026-11-20T09:11:13Z mx1 m - - - nginx: x"),
    ("", "", "", "nginx: x", "1 2026-11-20T09:11:13Z - - - - - nginx: x"),
    ("nginx", "mx1.x", "", "x", "1 2026-11-20T09:11:13Z mx1.x mx1.x - - - nginx: x"),
    ("nginx", "mx1", "", "2026/11/20 x", "Nov 20 09:11:13 mx1 mx1 nginx: 2026/11/20 x"),
    ("nginx", "mx1", "", "x", "<190>Nov 20 09:11:13 mx1 mx1.example.org nginx: x"),
    ("tcpserver", "", "", "pid 7 from x", "@400000006ae1f2c0075bcd15 tcpserver: pid 7 from x"),
    ("pop3d", "", "7", "x", "@400000006ae1f2c0 pop3d[7]: x"),
    ("dovecot", "", "", LOGIN, f"1 2026-11-20T09:11:13Z - dovecot - - - {LOGIN}"),
    ("", "mx1", "", LOGIN, f"<22>1 2026-11-20T09:11:13Z mx1 - - - - {LOGIN}"),
    ("dovecot", "mx1", "", "", "<22>1 2026-11-20T09:11:13Z mx1 dovecot - - -"),
    ("dovecot", "mx1", "", "", "<22>1 2026-11-20T09:11:13Z mx1 dovecot - - - "),
    ("dovecot", "mx1", "7", "[ID x", "Nov 20 09:11:13 mx1 dovecot[7]: [ID x"),
    ("dovecot", "mx1", "7", "", "Nov 20 09:11:13 mx1 dovecot[7]: message repeated 2 times: []"),
    (
        "dovecot",
        "mx1",
        "7",
        "message repeated 2 times: [ x",
        "Nov 20 09:11:13 mx1 dovecot[7]: message repeated 2 times: [ x",
    ),
    (
        "dovecot",
        "mx1",
        "7",
        "message repeated 2 times: [ x]",
        "Nov 20 09:11:13 mx1 dovecot[7]: "
        "message repeated 3 times: [ message repeated 2 times: [ x]]",
    ),
]


@pytest.mark.parametrize(("program", "host", "pid", "message", "line"), PARTS)
def test_the_header_is_taken_apart(program, host, pid, message, line):
    assert Record(program, message, host, pid) == read(line.encode())


INFO = "imap-login: Info: Login: user=<bob>, method=PLAIN, rip=192.0.2.7"
OLD_INFO = "Info: imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.7"
POP = '(v4.1) POP login by user "bob" at (a.example.org) 192.0.2.7'
APPLE = 'IMAP User "bob" log on successful from 192.0.2.7'
ZIMBRA = "2026-11-20 09:11:13,500 INFO  [Pop3Server-1] [name=bob;ip=192.0.2.7;] pop3 - user bob x"
STALWART = '2026-11-20T09:11:13Z INFO Authentication successful (auth.success) listenerId = "x"'
NGINX = "2026/11/20 09:11:13 [info] 8#8: *9 client logged in, client: 192.0.2.7, server: x"
CTIME = "Fri Nov 20 09:11:13 2026"

OWN_LOGS = [
    # program, pid, message, line
    ("dovecot", "", INFO, f"Nov 20 09:11:13 {INFO}"),
    ("dovecot", "", INFO, f"2026-11-20 09:11:13 {INFO}"),
    ("dovecot", "", INFO, f"2026-11-20T09:11:13.123456+01:00 {INFO}"),
    ("dovecot", "", INFO, f"@400000006ae1f2c0075bcd15 {INFO}"),
    ("dovecot", "", OLD_INFO, f"Nov 20 09:11:13 {OLD_INFO}"),
    ("dovecot", "", OLD_INFO, f"dovecot: Nov 20 09:11:13 {OLD_INFO}"),
    ("dovecot", "", OLD_INFO, f"dovecot: 2026-11-20 09:11:13 {OLD_INFO}"),
    ("dovecot", "", "Warn: auth: x", "Nov 20 09:11:13 Warn: auth: x"),
    (
        "dovecot",
        "",
        "imap-login: Info: Login: bob [192.0.2.7]",
        "imap-login: Nov 20 09:11:13 Info: Login: bob [192.0.2.7]",
    ),
    (
        "dovecot",
        "",
        "pop3-login: Info: Login: bob [192.0.2.7]",
        "pop3-login: 2026-11-20 09:11:13 Info: Login: bob [192.0.2.7]",
    ),
    (
        "dovecot",
        "",
        "imap(bob)<7><AbC/+>: Info: Disconnected: Logged out",
        "Nov 20 09:11:13 imap(bob)<7><AbC/+>: Info: Disconnected: Logged out",
    ),
    (
        "dovecot",
        "",
        "auth(default): Error: x",
        "2026-11-20 09:11:13 auth(default): Error: x",
    ),
    # An account may be called so; the line is Dovecot's and says nothing about imapd.
    (
        "dovecot",
        "",
        "imap(x imapd: y)<7><s>: Info: Logged out",
        "Nov 20 09:11:13 imap(x imapd: y)<7><s>: Info: Logged out",
    ),
    (
        "popper",
        "4711",
        "Stats: bob 0 0 0 0 h 192.0.2.7",
        f"{CTIME} [4711]  Stats: bob 0 0 0 0 h 192.0.2.7",
    ),
    ("popper", "4711", POP, f"Nov 20 09:11:13 2026 [4711] {POP}"),
    ("popper", "", POP, f"Nov 20 09:11:13 [popper] {POP}"),
    ("AppleMailServer", "", APPLE, f"Nov 20 2026 09:11:13 {APPLE}"),
    ("zimbra", "", ZIMBRA, ZIMBRA),
    ("stalwart", "", STALWART, STALWART),
    ("nginx-error-log", "", NGINX, NGINX),
]


@pytest.mark.parametrize(("program", "pid", "message", "line"), OWN_LOGS)
def test_a_server_s_own_log_becomes_records_of_that_server(program, pid, message, line):
    assert Record(program, message, "", pid) == read(line.encode())
    assert Record(program, message, "", pid) == read(f"{line}\r".encode())


def test_zimbra_s_lines_may_stand_behind_a_tag_without_a_colon():
    expected = Record("mailboxlog", ZIMBRA, "mx1", "")
    assert expected == read(f"Nov 20 09:11:13 mx1 mailboxlog {ZIMBRA}".encode())


NOT_RECORDS = [
    (Reason.EMPTY, b""),
    (Reason.EMPTY, b"\r"),
    (Reason.EMPTY, b" \t "),
    (Reason.NOT_A_RECORD, b"\0"),
    (Reason.NOT_A_RECORD, b"\xe2\x80\xa8"),
    (Reason.NOT_A_RECORD, b"Nov 20 09:11:13"),
    (Reason.NOT_A_RECORD, b"Nov 20 09:11:13 mx1"),
    (Reason.NOT_A_RECORD, b"Nov 20 09:11:13 mx1 no colon here"),
    (Reason.NOT_A_RECORD, b"Nov 20 09:11:13 mx1 dovecot[4711: unclosed"),
    (Reason.NOT_A_RECORD, b"Nov 20 09:11:13 mx1 dovecot[]: x"),
    (Reason.NOT_A_RECORD, b"Nov 20 09:11:13 mx1 dovecot[x]: x"),
    (Reason.NOT_A_RECORD, b"Nov 20 09:11:13 mx1 dovecot:x"),
    (Reason.NOT_A_RECORD, b"Nov 20 09:11:13 mx1 a:dovecot: x"),
    (Reason.NOT_A_RECORD, b"Nov 20 09:11:13 mx1  dovecot: x"),
    (Reason.NOT_A_RECORD, b"Nov 20 09:11:13 mx1 evil.example dovecot: x"),
    (Reason.NOT_A_RECORD, b"Nov 20 09:11:13 mx1 other nginx: x"),
    (Reason.NOT_A_RECORD, b"Nov 20 09:11:13 mx1 [4711]: x"),
    (Reason.NOT_A_RECORD, b"Nov 20 09:11:13 (evil dovecot: x"),
    (Reason.NOT_A_RECORD, b"Nov 20 09:11:13 imap(x dovecot: x"),
    (Reason.NOT_A_RECORD, b"Nov 20 9:11:13 mx1 dovecot: x"),
    (Reason.NOT_A_RECORD, b"NOV 20 09:11:13 mx1 dovecot: x"),
    (Reason.NOT_A_RECORD, b" Nov 20 09:11:13 mx1 dovecot: x"),
    (Reason.NOT_A_RECORD, b"\xef\xbb\xbfNov 20 09:11:13 mx1 dovecot: x"),
    (Reason.NOT_A_RECORD, b"2026-11-20 09:11:13 dovecot: x"),
    (Reason.NOT_A_RECORD, b"Nov 20 09:11:13 mx1 x Nov 20 09:11:13 mx1 dovecot: x"),
    (Reason.NOT_A_RECORD, b"Nov 20 09:11:13 mx1 x Message forwarded from mx1: dovecot: x"),
    (Reason.NOT_A_RECORD, b"Nov 20 09:11:13 mx1 Message forwarded from mx1 dovecot: x"),
    (Reason.NOT_A_RECORD, b"Nov 20 09:11:13 [a b] dovecot: x"),
    (Reason.NOT_A_RECORD, b"2026-11-20 09:11:13 dovecot: x"),
    (Reason.NOT_A_RECORD, b"dovecot: imap-login: Login: user=<bob>, rip=203.0.113.66"),
    (Reason.NOT_A_RECORD, b"<22>dovecot[7]: imap-login: Login: user=<bob>, rip=203.0.113.66"),
    (Reason.NOT_A_RECORD, b"mail_1  | Nov 20 09:11:13 mx1 dovecot: x"),
    (Reason.NOT_A_RECORD, b"<1234>Nov 20 09:11:13 mx1 dovecot: x"),
    (Reason.NOT_A_RECORD, b"2 2026-11-20T09:11:13Z mx1 dovecot 7 - - x"),
    (Reason.NOT_A_RECORD, b"1 2026-11-20T09:11:13Z mx1 dovecot 7 - x"),
    (Reason.NOT_A_RECORD, b"1 2026-11-20T09:11:13Z mx1 dovecot 7 - -x"),
    (Reason.NOT_A_RECORD, b'1 2026-11-20T09:11:13Z mx1 dovecot 7 - [a x="] - y'),
    (Reason.NOT_A_RECORD, b'1 2026-11-20T09:11:13Z mx1 dovecot 7 - [a x="\\"] y'),
    (Reason.NOT_A_RECORD, b"Nov 20 09:11:13 mx1 dovecot: x\nNov 20 09:11:13 mx1 dovecot: y"),
    (Reason.IGNORED, b"Nov 20 09:11:13 mx1 last message repeated 3 times"),
    (Reason.IGNORED, b"<22>Nov 20 09:11:13 last message repeated 1 time"),
    (Reason.NOT_A_RECORD, b"Nov 20 09:11:13 mx1 last message repeated 3 times and dovecot: x"),
    (Reason.TOO_LONG, b"x" * (MAX_LINE_BYTES + 1)),
]


@pytest.mark.parametrize(("reason", "line"), NOT_RECORDS)
def test_what_is_no_header_is_no_record(reason, line):
    assert reason == read(line)


def test_a_line_may_be_as_long_as_the_limit():
    line = b"Nov 20 09:11:13 mx1 dovecot: ".ljust(MAX_LINE_BYTES, b"x")
    assert Record("dovecot", line[29:].decode(), "mx1", "") == read(line)
    assert Reason.TOO_LONG == read(line + b"x")


@pytest.mark.parametrize(
    ("message", "raw"),
    [
        ("a\x00b", b"a\x00b"),
        ("caf\udce9", b"caf\xe9"),
        ("caf\u00e9", b"caf\xc3\xa9"),
        ("a\u2028b\x85c\x0bd\x1ce", "a\u2028b\x85c\x0bd\x1ce".encode()),
        ("a\udcc2\udcff", b"a\xc2\xff"),
        ("a\r", b"a\r\r"),
        ("a\tb", b"a\tb"),
    ],
)
def test_any_byte_but_lf_may_stand_in_a_message(message, raw):
    assert Record("imapd", message, "mx1") == read(b"Nov 20 09:11:13 mx1 imapd: " + raw)


# ---------------------------------------------------------------------- the JSON feed

FEED = {
    "t": "2026-11-20T09:11:13.5+01:00",
    "h": "mx1",
    "p": "dovecot",
    "pid": "4711",
    "in": "imuxsock",
    "from": "127.0.0.1",
    "uid": 0,
    "msg": f" {LOGIN}",
}
FED = Record("dovecot", LOGIN, "mx1", "4711", 1795162273.5, 0, "", True)


def feed(**changes):
    """Return FEED as a line, with some values changed; ... leaves one out."""
    return json.dumps({k: v for k, v in {**FEED, **changes}.items() if v is not ...}).encode()


FEEDS = [
    (FED, feed()),
    (FED, feed() + b"\r"),
    (FED, json.dumps(dict(reversed(FEED.items()))).encode()),
    (FED, json.dumps(FEED, separators=(",", ":")).encode()),
    (FED, feed(pid=4711)),
    (FED, feed(p="dovecot[4711]:", pid="-")),
    (FED, feed(p="dovecot:")),
    (FED, feed(uid="0")),
    (FED, feed(uid=None, juid="0")),
    (FED, feed(uid="", juid=0)),
    (FED, feed(uid=0, juid=1000)),
    (FED, feed(**{"from": ""})),
    (FED, feed(**{"from": ...})),
    (FED, feed(**{"from": "::1"})),
    (FED, feed(**{"from": "127.3.2.1"})),
    (FED, feed(**{"from": "::ffff:127.0.0.1"})),
    (FED, feed(unknown=["p", {"p": 1}, 1.5, None])),
    (FED, feed().replace(b'"dovecot"', rb'"\u0064ovecot"')),
    (FED, feed(msg=f"message repeated 2 times: [ {LOGIN}]")),
    (FED, feed(msg=f"\ufeff{LOGIN}")),
    (FED, feed(s="2026-11-20T08:11:14Z")),
    (FED, feed(t="2026-11-20T10:11:13Z", s="2026-11-20T09:11:13.500+01:00")),
    (FED, feed(t=..., s="2026-11-20T09:11:13.5+01:00")),
    (FED._replace(time_epoch=None), feed(t="")),
    (FED._replace(time_epoch=None), feed(t=...)),
    (FED._replace(uid=None), feed(uid=...)),
    (FED._replace(uid=65534), feed(uid="65534")),
    (FED._replace(host=""), feed(h="-")),
    (FED._replace(host=""), feed(h=...)),
    (FED._replace(pid=""), feed(pid="-")),
    (FED._replace(pid=""), feed(pid=...)),
    (FED._replace(peer="192.0.2.9"), feed(**{"from": "192.0.2.9"})),
    (FED._replace(peer="192.0.2.9"), feed(**{"from": "::FFFF:192.0.2.9"})),
    (FED._replace(peer="fe80::1"), feed(**{"from": "fe80::1%eth0"})),
    (FED._replace(program="cyrus/imap"), feed(p="cyrus/imap")),
    (FED._replace(program="cyrus/imap"), feed(p="cyrus/imap").replace(b"/", b"\\/")),
    (FED._replace(program="cyrus/imap"), feed(p="cyrus/imap[7]:")),
    (FED._replace(message="a\nb"), feed(msg="a\nb")),
    (
        FED._replace(message="message repeated 2 times: [ a\nb]"),
        feed(msg="message repeated 2 times: [ a\nb]"),
    ),
    (FED._replace(message="caf\udce9"), feed(msg="caf?").replace(b"?", b"\xe9")),
    (FED._replace(message='x","p":"sshd'), feed(msg='x","p":"sshd')),
    (FED, feed(proto=0)),
    (FED, feed(proto="")),
    (FED._replace(peer="127.0.0.1"), feed(proto=6)),
    (FED._replace(peer="127.0.0.5"), feed(**{"from": "127.0.0.5", "proto": "17"})),
    (FED._replace(peer="::1"), feed(**{"from": "::1", "proto": "6"})),
    (FED._replace(peer="192.0.2.10"), feed(**{"from": "192.0.2.10", "proto": 6})),
]


@pytest.mark.parametrize(("expected", "line"), FEEDS)
def test_the_json_feed_says_who_wrote_the_line_and_when(expected, line):
    assert expected == read(line)._replace(exact=None)


NOT_FEEDS = [
    (Reason.BAD_JSON, b"{"),
    (Reason.BAD_JSON, b"{}"),
    (Reason.BAD_JSON, feed()[:-1]),
    (Reason.BAD_JSON, feed() + b" "),
    (Reason.BAD_JSON, feed() + feed()),
    (Reason.BAD_JSON, feed(p=...)),
    (Reason.BAD_JSON, feed(msg=...)),
    (Reason.BAD_JSON, feed(p=5)),
    (Reason.BAD_JSON, feed(p=["dovecot"])),
    (Reason.BAD_JSON, feed(msg=5)),
    (Reason.BAD_JSON, feed(msg=None)),
    (Reason.BAD_JSON, feed(h=["mx1"])),
    (Reason.BAD_JSON, feed(pid=1.5)),
    (Reason.BAD_JSON, feed(pid=True)),
    (Reason.BAD_JSON, feed(uid=True)),
    (Reason.BAD_JSON, feed(uid=-1)),
    (Reason.BAD_JSON, feed(uid=1 << 32)),
    (Reason.BAD_JSON, feed(uid="root")),
    (Reason.BAD_JSON, feed(uid="٣")),
    (Reason.BAD_JSON, feed(uid=[])),
    (Reason.BAD_JSON, feed(t="2026-11-20T09:11:13")),
    (Reason.BAD_JSON, feed(t="Nov 20 09:11:13")),
    (Reason.BAD_JSON, feed(t="2026-02-31T09:11:13Z")),
    (Reason.BAD_JSON, feed(t=0)),
    (Reason.BAD_JSON, feed(s="x")),
    (Reason.BAD_JSON, feed(**{"from": "mx1"})),
    (Reason.BAD_JSON, feed(**{"from": "192.0.2"})),
    (Reason.BAD_JSON, feed(**{"from": "", "proto": 6})),
    (Reason.BAD_JSON, feed(**{"from": ..., "proto": 6})),
    (Reason.BAD_JSON, feed(proto=[6])),
    (Reason.BAD_JSON, feed(p="sshd")[:-1] + b', "p": "dovecot"}'),
    (Reason.BAD_JSON, b'{"x": {"p": "sshd"}, ' + feed()[1:]),
    (Reason.BAD_JSON, feed().replace(b'"p"', rb'"\u0070"')),
    (Reason.BAD_JSON, b'{"p":' * 10_000),
    (Reason.BAD_JSON, b'{"p":"x","msg":' + b"9" * 10_000 + b"}"),
    (Reason.BAD_JSON, b'{"p":"\xff","msg":"x"}'),
    (Reason.OTHER_PROGRAM, feed(p="")),
    (Reason.OTHER_PROGRAM, feed(p="no colon")),
    (Reason.OTHER_PROGRAM, feed(p="dovecot[x]")),
    (Reason.OTHER_PROGRAM, feed(p="a:dovecot")),
    (Reason.NOT_A_RECORD, b'["dovecot"]'),
    (Reason.NOT_A_RECORD, b" " + feed()),
]


@pytest.mark.parametrize(("reason", "line"), NOT_FEEDS)
def test_json_that_is_not_the_feed_is_no_record(reason, line):
    assert reason == read(line)


# ---------------------------------------------------------------------- journald

ENTRY = {
    "__CURSOR": "s=1;i=2",
    "__REALTIME_TIMESTAMP": "1795162273600000",
    "_SOURCE_REALTIME_TIMESTAMP": "1795162273500000",
    "_UID": "0",
    "_PID": "4712",
    "SYSLOG_PID": "4711",
    "_HOSTNAME": "mx1",
    "SYSLOG_IDENTIFIER": "dovecot",
    "MESSAGE": LOGIN,
}


def entry(**changes):
    """Return ENTRY as a line, with some values changed; ... leaves one out."""
    return json.dumps({k: v for k, v in {**ENTRY, **changes}.items() if v is not ...}).encode()


ENTRIES = [
    (FED, entry()),
    (FED, json.dumps(dict(reversed(ENTRY.items()))).encode()),
    (FED, entry(MESSAGE=list(LOGIN.encode()))),
    (FED._replace(message="caf\udce9\n"), entry(MESSAGE=list(b"caf\xe9\n"))),
    (FED._replace(time_epoch=1795162273.6), entry(_SOURCE_REALTIME_TIMESTAMP=...)),
    (FED, entry(__REALTIME_TIMESTAMP="1795999999000000")),
    (FED._replace(pid="4712"), entry(SYSLOG_PID=...)),
    (FED._replace(pid=""), entry(SYSLOG_PID=..., _PID=...)),
    (FED._replace(host=""), entry(_HOSTNAME=...)),
    (FED._replace(uid=None), entry(_UID=...)),
    (FED._replace(program="cyrus/imap"), entry(SYSLOG_IDENTIFIER="cyrus/imap")),
]


@pytest.mark.parametrize(("expected", "line"), ENTRIES)
def test_journald_says_who_wrote_the_line_and_when(expected, line):
    assert expected._replace(exact=False) == read(line)


@pytest.mark.parametrize(
    ("exact", "fields"),
    [
        (True, {"in": "imuxsock", "from": "127.0.0.1"}),
        (True, {"in": "s_src", "uid": 0}),
        (False, {"in": "imjournal", "uid": 0}),
        (False, {"in": "s_src", "juid": 0}),
        (False, {"in": "imudp", "from": "192.0.2.9", "proto": 17}),
        (None, {"in": "imtcp", "from": "192.0.2.9", "proto": 6}),
        (None, {"in": "imuxsock", "from": "192.0.2.9", "proto": 6}),
        (None, {"in": "s_src", "uid": ...}),
        (None, {"in": "x", "uid": ""}),
        (None, {"in": ["imuxsock"], "uid": ...}),
    ],
)
def test_the_feed_says_whether_it_shows_a_message_as_it_was_written(exact, fields):
    assert exact is read(feed(**fields)).exact


def test_of_a_line_of_text_nobody_knows_whether_it_is_as_it_was_written():
    assert read(f"Nov 20 09:11:13 mx1 dovecot[4711]: {LOGIN}".encode()).exact is None


@pytest.mark.parametrize(
    "line",
    [
        "Nov 20 09:11:13 mx1 pop3d:  x ",
        "1 2026-11-20T09:11:13Z mx1 pop3d - - -   x ",
        json.dumps({"t": "2026-11-20T09:11:13Z", "p": "pop3d:", "msg": "  x "}),
        json.dumps({"t": "2026-11-20T09:11:13Z", "s": "2026-11-20T09:11:13Z", "h": "mx1",
                    "p": "pop3d:", "pid": "-", "in": "imuxsock", "from": "127.0.0.1",
                    "msg": "  x "}),
        json.dumps({"__REALTIME_TIMESTAMP": "1795162273000000", "SYSLOG_IDENTIFIER": "pop3d",
                    "MESSAGE": "  x "}),
        "Nov 20 09:11:13 mx1 pop3d: [ID 702911 mail.info]  x ",
        "Nov 20 09:11:13 mx1 pop3d: message repeated 2 times: [  x ]",
    ],
)  # fmt: skip
def test_one_blank_in_front_is_the_daemons_and_every_other_is_text(line):
    """A client whose text fills a piece of a fixed length must not have it shortened by us."""
    assert " x " == read(line.encode()).message


NOT_ENTRIES = [
    (Reason.BAD_JSON, entry(SYSLOG_IDENTIFIER=...)),
    (Reason.BAD_JSON, entry(SYSLOG_IDENTIFIER=["dovecot", "sshd"])),
    (Reason.BAD_JSON, entry(SYSLOG_IDENTIFIER=None)),
    (Reason.BAD_JSON, entry(MESSAGE=...)),
    (Reason.BAD_JSON, entry(MESSAGE=None)),
    (Reason.BAD_JSON, entry(MESSAGE=5)),
    (Reason.BAD_JSON, entry(MESSAGE=[LOGIN, "x"])),
    (Reason.BAD_JSON, entry(MESSAGE=[256])),
    (Reason.BAD_JSON, entry(MESSAGE=[[76, 111], [103]])),
    (Reason.BAD_JSON, entry(_UID="nobody")),
    (Reason.BAD_JSON, entry(_UID=["0", "65534"])),
    (Reason.BAD_JSON, entry(__REALTIME_TIMESTAMP=...)),
    (Reason.BAD_JSON, entry(__REALTIME_TIMESTAMP="2026-11-20T09:11:13Z")),
    (Reason.BAD_JSON, entry(__REALTIME_TIMESTAMP=1795162273600000)),
    (Reason.BAD_JSON, entry(_SOURCE_REALTIME_TIMESTAMP="")),
    (Reason.BAD_JSON, entry(SYSLOG_IDENTIFIER="sshd")[:-1] + b', "SYSLOG_IDENTIFIER": "dovecot"}'),
    (Reason.BAD_JSON, b'{"X": {"SYSLOG_IDENTIFIER": "sshd"}, ' + entry()[1:]),
    (Reason.BAD_JSON, entry().replace(b'"SYSLOG_', rb'"\u0053YSLOG_')),
    (Reason.OTHER_PROGRAM, entry(SYSLOG_IDENTIFIER="no tag")),
]


@pytest.mark.parametrize(("reason", "line"), NOT_ENTRIES)
def test_an_entry_that_is_not_one_clear_word_is_no_record(reason, line):
    assert reason == read(line)


# ---------------------------------------------------------------------- anything at all


@given(st.binary(max_size=200))
@example(b"{" + b"[" * 60_000)
def test_no_bytes_raise(line):
    assert isinstance(read(line), Record | Reason)


TEXTS = [line.encode() for line in [*SAME, *(p[-1] for p in PARTS), *(o[-1] for o in OWN_LOGS)]]
LINES = [*TEXTS, *(line for _, line in (*FEEDS, *ENTRIES))]


def test_what_has_a_pid_or_a_mail_programs_name_is_not_nginx():
    line = "1 2026-11-20T09:11:13Z mx1 mx1 {} - - nginx: x"
    assert Record("mx1", "nginx: x", "mx1", "7") == read(line.format("7").encode())
    by_program = reader(programs=frozenset({"mx1"}))
    assert Record("mx1", "nginx: x", "mx1") == by_program(line.format("-").encode())


@pytest.mark.parametrize("line", LINES)
def test_a_line_cut_anywhere_is_no_record_of_another_server(line):
    servers = {read(line).program for line in LINES}
    whole = read(line)
    for length in range(len(line)):
        cut = read(line[:length])
        if isinstance(cut, Record) and cut.program in servers:
            assert whole.program == cut.program


@given(st.sampled_from(LINES), st.data())
def test_bytes_changed_anywhere_do_not_raise(line, data):
    at = data.draw(st.integers(0, len(line)))
    found = read(
        line[:at] + data.draw(st.binary(max_size=6)) + line[at + data.draw(st.integers(0, 6)) :]
    )
    assert isinstance(found, Record | Reason)


@given(st.sampled_from(TEXTS), st.text())
def test_text_behind_the_header_never_changes_the_header(line, text):
    whole = read(line)
    found = read(line + text.replace("\n", "").encode("utf-8", "surrogatepass") + b".")
    assert not isinstance(found, Record) or whole[0] == found[0]
    assert not isinstance(found, Record) or whole[2:] == found[2:]


STRETCHED = [
    (b"Nov 20 09:11:13 mx1 dovecot[7]: message repeated 2 times: [ ", b" "),
    (b"Nov 20 09:11:13 mx1 dovecot[7]: message repeated 2 times: [ ", b"[ID 1 mail.info] "),
    (b"Nov 20 09:11:13 imap(", b")"),
    (b"Nov 20 09:11:13 imap(", b": Info: "),
    (b"Nov 20 09:11:13 mx1 ", b"a/"),
    (b'1 - mx1 dovecot 7 - [a x="', b"\\"),
    (b"1 - mx1 dovecot 7 - ", b"[a]"),
    (b"1 - mx1 dovecot 7 - [a", b' x="y"'),
    (b"{", b'"p"'),
    (b"{", b"p"),
    (b'{"p"', b" "),
    (b'{"p":', b"["),
    (b'{"msg":"x","p":"', b"a/"),
    (b"2026-11-20T09:11:13Z INFO ", b"A "),
]


@pytest.mark.parametrize(("start", "more"), STRETCHED)
def test_the_longest_line_takes_no_longer_than_it_is_long(start, more):
    """About a millisecond; what goes back over what it has read takes seconds."""
    line = (start + more * MAX_LINE_BYTES)[:MAX_LINE_BYTES]
    scanner = Scanner(["dovecot"], ["imap"])
    began = time.process_time()
    read(line)
    scanner.candidates(line + b"\n")
    assert time.process_time() - began < 0.2


def test_a_repeated_message_that_may_be_cut_stays_as_it_is():
    """rsyslog's `message repeated %d times: [%.800s]` (ratelimit.c)."""
    wrapped = f"message repeated 3 times: [ {'x' * 795}]"
    record = read(f"Nov 20 09:11:13 mx1 imapproxyd: {wrapped}".encode())
    assert wrapped == record.message
