"""The scan of a block: it may find too much, never too little."""

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pbs_filter.model import Record
from pbs_filter.syslog import headers
from pbs_filter.syslog.scanner import HOST_AT, LINE_AT, RFC5424_HOST_AT, Scanner, usual_tag

from ..reading import OWN_LOGS, read

PROGRAMS = (
    "dovecot",
    "pop3d",
    "pop3d-ssl",
    "cyrus/imap",
    "perdition.imap4s",
    "popper",
    "nginx",
    "nginx-error-log",
    "AppleMailServer",
    "mailboxlog",
    "stalwart",
    "zimbra",
)
INSTANCES = ("imap", "pop3")
SCANNER = Scanner(PROGRAMS, INSTANCES, OWN_LOGS)
READ = SCANNER.reader("(dovecot|popa3d)(?(3): | - - - )(x)$")


JOURNALED = (
    b'{"_UID":"0","SYSLOG_IDENTIFIER":"dovecot","MESSAGE":"x","__REALTIME_TIMESTAMP":"1795162273"}'
)


def is_ours(program):
    path, _, name = program.rpartition("/")
    return program in (*PROGRAMS, *INSTANCES) or (path != "" and name in INSTANCES)


def must_be_found(line):
    record = read(line)
    return isinstance(record, Record) and is_ours(record.program)


NAMES = st.sampled_from(
    [
        *PROGRAMS,
        *INSTANCES,
        "inst/imap",
        "a/b/c/d/pop3",
        "/pop3",
        "/a/pop3",
        "a//imap",
        "a?b+c/imap",
        "inst/pop3d",
        "Dovecot",
        "dovecotx",
        "xdovecot",
        "postfix/smtpd",
        "sshd",
        "imap-login",
        "[imap]",
        "-",
    ]
)
PRIS = st.sampled_from(["", "<22>", "<0>", "<191>"])
STAMPS = st.sampled_from(
    [
        "Nov 20 09:11:13",
        "Nov  2 09:11:13",
        "Nov 2 09:11:13",
        "Nov 02 09:11:13,123456789",
        "Nov 20 2026 09:11:13",
        "2026 Nov 20 09:11:13.1",
        "Fri Nov 20 09:11:13 2026",
        "2026-11-20T09:11:13Z",
        "2026-11-20T09:11:13.123456789+01:00",
        "2026-11-20T09:11:13-0100",
        "2026-11-20T09:11:13",
        "2026-11-20 09:11:13",
        "2026-11-20 09:11:13,500",
        "2026/11/20 09:11:13",
        "1795162273",
        "1795162273.123456789",
        "@400000006ae1f2c0",
        "@400000006ae1f2c0075bcd15",
    ]
)
HOSTS = st.sampled_from(
    ["mx1", "(none)", "12345", "2001:db8::7", "a@b.example.org", "-", "x" * 255, "INFO", "2026"]
)
FRONTS = st.sampled_from(
    [
        "",
        "",
        "",
        "<mail.info> ",
        "mail:info ",
        " ",
        "mx1 ",
        "mx1.example.org ",
        "relay <22>Nov 20 09:11:14 ",
        "relay 2026-11-20T09:11:14Z ",
        "relay Message forwarded from mx1: ",
        "Message forwarded from mx1: mail:info ",
    ]
)
PIDS = st.sampled_from(["", "[7]", "[1234567890]", "[", "]", "[7"])
COLONS = st.sampled_from([": ", ":", " ", ":  ", ""])
MESSAGES = st.one_of(
    st.sampled_from(
        [
            "imap-login: Info: Login: user=<bob>",
            "Info: imap-login: Login: user=<bob>",
            "imap(bob jr)<7><s>: Info: Logged out",
            "2026-11-20 09:11:13,500 INFO  [Pop3Server-1] x",
            "[info] 8#8: *9 client logged in",
            "[4711]  Stats: bob",
            "[popper] x",
            'IMAP User "bob" log on',
            "INFO Authentication successful (auth.success) x",
            "INFO  [x] y",
            "nginx: x",
        ]
    ),
    st.text(alphabet=st.characters(exclude_characters="\n", codec="utf-8"), max_size=30),
)


def bsd(draw):
    line = draw(PRIS) + draw(STAMPS) + " "
    if draw(st.booleans()):
        line += draw(FRONTS) + draw(HOSTS) + " " + draw(FRONTS)
    if draw(st.booleans()):
        line += draw(NAMES) + draw(PIDS) + draw(COLONS)
    return line + draw(MESSAGES)


def rfc5424(draw):
    data = draw(st.sampled_from(["-", '[a x="\\]"]', "[a][b]", "[", ""]))
    parts = [draw(STAMPS), draw(HOSTS), draw(NAMES), draw(PIDS).strip("[]") or "-", "-", data]
    return (
        f"{draw(PRIS)}1 {' '.join(parts)}{draw(st.sampled_from([' ', '  ', '']))}{draw(MESSAGES)}"
    )


def feed(draw):
    values = {
        "p": draw(NAMES) + draw(PIDS) + draw(st.sampled_from(["", ":"])),
        "msg": draw(MESSAGES),
        "h": draw(st.one_of(HOSTS, st.just("p"))),
        "pp": 'p"p":"',
        "x": draw(st.sampled_from(["p", '"p":"dovecot"', '\\"p":"sshd"', ["p"], {"p": "sshd"}])),
    }
    order = draw(st.permutations(list(values)))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]))
    line = json.dumps(
        {key: values[key] for key in order},
        separators=separators,
        ensure_ascii=draw(st.booleans()),
    )
    if draw(st.booleans()):
        line = line.replace("/", "\\/")
    if draw(st.booleans()):
        line = line.replace("o", "\\u006f")
    return line


def journal(draw):
    values = {
        "SYSLOG_IDENTIFIER": draw(st.one_of(NAMES, st.lists(NAMES, max_size=2))),
        "MESSAGE": draw(MESSAGES),
        "__REALTIME_TIMESTAMP": "1795162273500000",
        "_UID": "0",
        "X": draw(st.sampled_from(["p", '"p":"dovecot"', '"SYSLOG_IDENTIFIER":"sshd"', "dovecot"])),
    }
    order = draw(st.permutations(list(values)))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    return json.dumps({key: values[key] for key in order}, separators=separators)


def old_own(draw):
    front = draw(st.sampled_from(["dovecot: ", "imap-login: ", "pop3: ", "sshd: "]))
    return front + draw(STAMPS) + " " + draw(MESSAGES)


@st.composite
def lines(draw):
    shape = draw(st.sampled_from([bsd, rfc5424, feed, journal, old_own]))
    line = shape(draw).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, min(len(line), 80)))
        until = at + draw(st.integers(0, 3))
        line = line[:at] + draw(st.binary(max_size=3)) + line[until:]
    return line.replace(b"\n", b"")


@given(st.lists(lines(), max_size=6))
@example([b'{"h":"mx1","p":"dovecot","msg":"x"}'])
@example([b'{"x":"p","p" : "dovecot[7]:","msg":"x"}'])
@example([b'{"p":"pop3d","msg":"x"}', JOURNALED, b'{"p":"pop3d","msg":"y"}'])
@example([JOURNALED, b"Nov 20 09:11:13 mx1 pop3d: x", JOURNALED])
@example([b"Nov 20 09:11:13 mx1 dovecot: x", b"", b"Nov 20 09:11:13 pop3d: y"])
def test_every_line_of_a_claimed_program_is_found_in_order(block):
    lines = b"".join(line + b"\n" for line in block)
    text = "\n" + lines.decode("utf-8", "surrogateescape")
    by_reader = [groups[LINE_AT].encode("utf-8", "surrogateescape") for groups in READ(text)]
    for found in (SCANNER.candidates(lines), by_reader):
        remaining = iter(block)
        assert all(line in remaining for line in found)  # a part of the lines, in their order
        assert [line for line in block if must_be_found(line)] == [
            line for line in found if must_be_found(line)
        ]


def test_a_usual_program_is_passed_over_unless_a_server_claims_it():
    line = b"Nov 20 09:11:13 mx1 postfix/smtpd[7]: x"
    assert [] == Scanner(["dovecot"], ["smtp"]).candidates(line)
    for scanner in (Scanner(["postfix/smtpd"]), Scanner(["dovecot"], ["smtpd"])):
        assert [line] == scanner.candidates(line)
    again = b"Nov 20 09:11:13 mx1 exim:x Nov 20 09:11:13 dovecot: x"
    assert [] == Scanner(["dovecot"]).candidates(again)


def test_what_the_reader_reads_is_told_with_the_line_and_its_host():
    read = SCANNER.reader(usual_tag("dovecot") + "([a-z]*)$")
    text = "\nNov 20 09:11:13 mx1 dovecot[7]: x\nNov 20 09:11:13 mx2 sshd: x\n20 mx3 dovecot: y\n"
    text += "Nov 20 09:11:13 mx4 dovecot: X\n2026-11-20T09:11:13Z mx5 dovecot: z"
    text += "\n<22>1 2026-11-20T09:11:13Z mx6 dovecot 7 - - y\n1 - mx7 dovecot 7 - [x@7] y"
    found = [each[HOST_AT : HOST_AT + 1] + each[RFC5424_HOST_AT:] for each in read(text)]
    assert [
        ("mx1", "", "7", "", "x"),
        ("mx4", "", "", "", ""),
        ("mx5", "", "", "", "z"),
        ("", "mx6", "", "7", "y"),
        ("", "mx7", "", "", ""),
    ] == found
    assert "Nov 20 09:11:13 mx4 dovecot: X" == read(text)[1][LINE_AT]


OURS = [
    JOURNALED,
    JOURNALED.replace(b"dovecot", b"inst\\/imap"),
    JOURNALED.replace(b"dovecot", b"d\\u006fvecot"),
    b"Nov 20 09:11:13 mx1 dovecot: x",
    b"Nov 20 09:11:13 mx1 cyrus/imap[7]: x",
    b"Nov 20 09:11:13 mx1 inst/imap[7]: x",
    b"Nov 20 09:11:13 mx1 a/b/c/imap[7]: x",
    b"Nov 20 09:11:13 imap-login: Info: x",
    b"1 2026-11-20T09:11:13Z mx1 dovecot - - - x",
    b'{"h":"mx1","p":"cyrus\\/imap","msg":"x"}',
    b'{"h":"mx1","p":"inst\\/imap","msg":"x"}',
    b'{"h":"mx1","p":"/a?b/imap[7]:","msg":"x"}',
    b'{"h":"mx1","p":"d\\u006fvecot","msg":"x"}',
]
OTHERS = [
    b"",
    b"\r",
    b"dovecot: x",
    b"Nov 20 09:11:13 mx1 dovecotx: x",
    b"Nov 20 09:11:13 mx1 xdovecot: x",
    b"Nov 20 09:11:13 mx1 inst/pop3d[7]: x",
    b"Nov 20 09:11:13 mx1 postfix/smtpd[7]: Nov 20 09:11:13 mx1 dovecot: x",
    b"Nov 20 09:11:13 mx1 sshd[7]: Info: x: Info: dovecot: x",
    b"1 2026-11-20T09:11:13Z mx1 sshd - - - dovecot x",
    b'{"h":"dovecot","p":"postfix\\/smtpd","msg":"\\"p\\":\\"dovecot\\""}',
    JOURNALED.replace(b"dovecot", b"sshd"),
    JOURNALED.replace(b"dovecot", b"sshd").replace(b'"x"', b'"\\"SYSLOG_IDENTIFIER\\":\\"dovecot"'),
    b'{"h":"dovecot","p":"sshd","msg":"dovecot"}',
]


@pytest.mark.parametrize("line", OURS)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_a_line_of_ours_is_found_wherever_it_stands(line, end):
    line += end.rstrip(b"\n")
    assert [line] == SCANNER.candidates(line + end[-1:])
    assert [line] == SCANNER.candidates(OTHERS[-1] + b"\n" + line + end[-1:])


def test_other_programs_lines_are_passed_over():
    assert [] == SCANNER.candidates(b"\n".join(OTHERS) + b"\n")


def test_own_logs_are_looked_for_only_when_their_program_is_claimed():
    line = b"2026/11/20 09:11:13 [info] 8#8: *9 client logged in\n"
    assert [line[:-1]] == Scanner(["nginx-error-log"], own_logs=OWN_LOGS).candidates(line)
    assert [] == Scanner(["nginx"], own_logs=OWN_LOGS).candidates(line)


def test_a_name_that_begins_like_another_is_found_as_well():
    scanner = Scanner(["pop3", "pop3d", "pop3d-ssl", "p"])
    for name in ("pop3", "pop3d", "pop3d-ssl", "p"):
        line = f"Nov 20 09:11:13 mx1 {name}: x".encode()
        assert [line] == scanner.candidates(line + b"\n")
    assert [] == scanner.candidates(b"Nov 20 09:11:13 mx1 pop: x\n")


def test_no_group_of_a_pattern_is_possessive():
    """Python before 3.11.5 matches `(?:ab)*+` wrongly when it stops inside the group."""
    named = {name: value for name, value in vars(headers).items() if name.isupper()}
    patterns = [value for value in named.values() if isinstance(value, str)]
    patterns += [log.start + log.rest for log in OWN_LOGS]
    patterns.append(SCANNER._lines.decode())
    assert [] == [pattern for pattern in patterns if re.search(r"(?<!\\)\)[*+?]\+", pattern)]
