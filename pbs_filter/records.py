r"""One line of bytes -> a record: who wrote it, and what.

The program name is taken from the header and from nowhere else; a header is read from the first
byte to the colon behind the tag, every byte of it. What is not such a header is not a record:
guessing would let a client's text, somewhere in the line, say which server is speaking.

Shapes (HEAD is a stamp as below; `[PID]` may be missing):

=================================  ============================================================
JSON feed                          `{"t": .., "h": .., "p": .., "pid": .., "msg": .., ...}`
RFC 5424                           `<22>1 2026-11-20T09:11:13Z mx1 dovecot 4711 - - imap-login: ..`
RFC 3164, rsyslog's ISO format     `HEAD mx1 dovecot[4711]: imap-login: ..`
... no host (libc's own form)      `HEAD dovecot[4711]: imap-login: ..`
... FreeBSD, BusyBox, AIX          `HEAD <mail.info> mx1 TAG: ..`, `HEAD mx1 mail.info TAG: ..`
... tag in brackets (old Courier)  `HEAD mx1 [imapd]: LOGIN, ..`
... nginx, which repeats the host  `HEAD mx1 mx1 nginx: ..`
multilog                           `@400000006ae1.. tcpserver: pid 4711 from ..`
logs of the servers' own           below
=================================  ============================================================

HEAD: `Nov 20 09:11:13` (day padded with blank, zero or not at all; with fractions; with a year
before the month or behind the day), `2026-11-20T09:11:13.123456+01:00`, or ten digits of epoch
seconds (syslog-ng's `ts-format`), each with or without `<PRI>` in front.

Logs that servers write without syslog become records of these programs:

=====================================================  ===============  =======================
line                                                   program          message
=====================================================  ===============  =======================
`HEAD imap-login: Info: TEXT` (Dovecot 2)              dovecot          `imap-login: Info: TEXT`
`HEAD imap(U)<PID><SID>: Info: TEXT`                   dovecot          the same from `imap(` on
`HEAD Info: imap-login: TEXT` (1.x)                    dovecot          `Info: imap-login: TEXT`
`dovecot: STAMP Info: imap-login: TEXT` (1.x)          dovecot          `Info: imap-login: TEXT`
`imap-login: STAMP Info: TEXT` (0.99)                  dovecot          `imap-login: Info: TEXT`
`Fri Nov 20 09:11:13 2026 [4711]  Stats: ..`           popper, pid      `Stats: ..`
`Nov 20 09:11:13 [popper] TEXT`                        popper           `TEXT`
`Nov 20 2026 09:11:13 IMAP User "U" ..`                AppleMailServer  `IMAP User "U" ..`
`2026-11-20 09:11:13,500 INFO  [ImapServer-1] ..`      zimbra           the whole line
`HEAD mx1 mailboxlog 2026-11-20 09:11:13,500 INFO ..`  mailboxlog       from the second stamp on
`2026-11-20T09:11:13Z INFO TEXT (auth.success) ..`     stalwart         the whole line
`2026/11/20 09:11:13 [info] 7#7: *9 TEXT`              nginx-error-log  the whole line
=====================================================  ===============  =======================

For Dovecot HEAD and STAMP may also be `2026-11-20 09:11:13`, which no syslog daemon writes, or
TAI64N; `(U)` and `Info` stand for any of their kind. The last four keep their own stamp, as they do
behind a syslog header. nginx's error log is a program of its own because there, unlike in nginx's
syslog lines, a client can put a raw newline into its user name: who feeds it in trusts the clients.

In the message, `message repeated 3 times: [ TEXT]` is TEXT and Solaris' `[ID 702911 mail.info] ` is
left out. Lines that start with the tag or with a blank (folded text), the output of container tools
and tags with an unclosed pid are not read: nothing says that a daemon wrote their first byte.

Only LF ends a line, and it is the caller who splits; one CR before it is dropped.
"""

from __future__ import annotations

import json
import re
from datetime import datetime

from .addresses import canonical
from .model import Reason, Record

MAX_LINE_BYTES = 65_536
"""What syslog-ng cuts at; rsyslog's own default is 8 KiB. Longer lines are not looked at."""

PRI = "(?:<[0-9]{1,3}>)?"
_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?"
BSD = f"(?:[0-9]{{4}} )?[A-Z][a-z]{{2}} [ 0-9]?[0-9] (?:[0-9]{{4}} )?{_TIME}"
ISO = f"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{_TIME}(?:Z|[+-][0-9]{{2}}:?[0-9]{{2}})?"
DAY_TIME = f"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}} {_TIME}"
TAI64 = "@[0-9a-f]{16}(?:[0-9a-f]{8})?"
EPOCH = r"[0-9]{10}(?:\.[0-9]{1,9})?"

# No bracket and no parenthesis but busybox' "(none)": what has them is a tag, or Dovecot's imap(U).
# No colon at the end: that is a tag, too.
HOST = r"(?:[0-9A-Za-z._:@/+~-]{1,255}(?<!:)|\(none\))"
TAG = r"[!-9;-Z\\^-~]{1,128}"
_LEVEL = "(?:Debug|Info|Warn|Warning|Error|Fatal|Panic)"
_SERVICE = "[a-z][0-9a-z-]{0,31}"
_FACILITY = "[a-z0-9|]{1,32}[.:][a-z]{1,8}"
_FROM_TAG = rf"({TAG})(?:\[([0-9]{{1,10}})\])?:(?: ++|\Z)(.*)"
_SYSLOG = f"{PRI}(?:{BSD}|{ISO}|{EPOCH}) "
_OWN = f"(?:{PRI}(?:{BSD}|{ISO})|{DAY_TIME}|{TAI64}) "
_LOG4J = f"{DAY_TIME} (?:TRACE|DEBUG|INFO|WARN|ERROR|FATAL) "

_common = re.compile(rf"{_SYSLOG}({HOST}) {_FROM_TAG}").fullmatch

_SD = r'\[[^\x00-\x20="\]]{1,64}(?: [^\x00-\x20="\]]{1,64}="(?:[^"\\\]]|\\.)*+")*+\]'
_rfc5424 = re.compile(
    rf"{PRI}1 (?:-|{ISO}) ([!-~]{{1,255}}) ([!-~]{{1,128}}) ([!-~]{{1,128}}) [!-~]{{1,64}} "
    rf"(?:-|(?:{_SD})++)(?: ++(.*)|)"
).fullmatch

# (program, pattern): the groups are host, program, pid and message where the program is "", else
# pid and message. The first that fits is it; only the last syslog shape (no host) could also read
# lines of Dovecot's own log, so it stands behind them.
_RARE = tuple(
    (program, re.compile(pattern).fullmatch)
    for program, pattern in (
        ("", f"{_SYSLOG}<{_FACILITY}> ({HOST}) {_FROM_TAG}"),
        ("", f"{_SYSLOG}({HOST}) {_FACILITY} {_FROM_TAG}"),
        ("", rf"{_SYSLOG}({HOST}) (?:\1)(?:\.[0-9A-Za-z.-]{{1,255}})? (?=nginx: ){_FROM_TAG}"),
        ("", rf"{_SYSLOG}({HOST}) \[([A-Za-z][0-9A-Za-z._-]{{0,31}})\]()(?::(?: ++|\Z))(.*)"),
        ("", rf"{_SYSLOG}({HOST}) (mailboxlog)() ({_LOG4J}.*)"),
        ("dovecot", f"{_OWN}()((?!dovecot:){_SERVICE}(?:[(<].{{0,512}}?[)>])?: {_LEVEL}: .*)"),
        ("dovecot", f"{_OWN}()({_LEVEL}: .*)"),
        ("dovecot", f"dovecot: (?:{BSD}|{DAY_TIME}) ()({_LEVEL}: .*)"),
        ("", f"(?:{_SYSLOG}|{TAI64} )() ?{_FROM_TAG}"),
        ("popper", rf"(?:[A-Z][a-z]{{2}} )?{BSD} [0-9]{{4}} \[([0-9]{{1,10}})\] +(.*)"),
        ("popper", rf"{BSD} ()\[popper\]:? +(.*)"),
        ("AppleMailServer", f'{BSD} ()((?:IMAP|POP3?) User ".*)'),
        ("zimbra", rf"()({_LOG4J} ?\[.*)"),
        ("stalwart", rf"()({ISO} [A-Z]{{4,5}} [A-Z][0-9A-Za-z ]{{0,127}} \([a-z.-]{{1,64}}\) .*)"),
        ("nginx-error-log", rf"()([0-9]{{4}}/[0-9]{{2}}/[0-9]{{2}} {_TIME} \[[a-z]+\] [0-9]+#.*)"),
    )
)
_dovecot_099 = re.compile(
    f"((?:imap|pop3)(?:-login)?: )(?:{BSD}|{DAY_TIME}) ({_LEVEL}: .*)"
).fullmatch
_last_repeated = re.compile(
    f"{_SYSLOG}(?:{HOST} )?last message repeated [0-9]{{1,10}} times?"
).fullmatch

_WRAPPED = ("[ID ", "message repeated ", "\ufeff")
_unwrap = re.compile(
    r"\ufeff?(?:\[ID [0-9]{1,10} [a-z0-9]{1,16}\.[a-z]{1,8}\] *(.*)"
    r"|message repeated [0-9]{1,10} times: \[ *(.*)\]|(.*))"
).fullmatch

_first_program = re.compile(rb'\{[^\n]*?"p"[ \t\r]*:[ \t\r]*"([^"]*)"').match
_whole_tag = re.compile(rf"({TAG})(?:\[([0-9]{{1,10}})\])?:?").fullmatch
_NO_PEER = frozenset(("", "127.0.0.1", "::1"))
_UID = re.compile("[0-9]{1,10}").fullmatch


def read(line: bytes) -> Record | Reason:
    """Return the record that `line` (without its newline) is, or the reason why it is none.

    Never raises. Invalid UTF-8 comes out as lone surrogates (PEP 383), so that no bytes that are
    not in the line can appear in a token.
    """
    if len(line) > MAX_LINE_BYTES:
        return Reason.TOO_LONG
    if line.startswith(b"{"):
        return _json(line)
    text = line.decode("utf-8", "surrogateescape")
    if text.endswith("\r"):
        text = text[:-1]
    found = _common(text)
    if found:
        host, program, pid, message = found.groups("")
        return Record(program, _bare(message), host, pid)
    found = _rfc5424(text)
    if found:
        host, program, pid, message = found.groups("")
        return Record(_nil(program), _bare(message), _nil(host), _nil(pid))
    return _rare(text)


def _rare(text: str) -> Record | Reason:
    for program, fits in _RARE:
        found = fits(text)
        if found and program:
            pid, message = found.groups("")
            return Record(program, message, "", pid)
        if found:
            host, program, pid, message = found.groups("")
            return Record(program, _bare(message), host, pid)
    found = _dovecot_099(text)
    if found:
        return Record("dovecot", found[1] + found[2])
    if _last_repeated(text):
        return Reason.IGNORED
    return Reason.NOT_A_RECORD if text.strip(" \t\r") else Reason.EMPTY


def _bare(message: str) -> str:
    """Take the wrapping that a syslog daemon put around a message off again, once."""
    if message.startswith(_WRAPPED):
        found = _unwrap(message)
        if found:
            return found[1] or found[2] or found[3] or ""
    return message


def _nil(value: str) -> str:
    """RFC 5424's NILVALUE is nothing."""
    return "" if value == "-" else value


def _json(line: bytes) -> Record | Reason:
    """Read an object of the JSON feed (`rsyslog/`, `syslog-ng/`).

    A key with a value of the wrong kind makes the whole line BAD_JSON: a uid or a time that cannot
    be read must not count as one that was not there. `p` may be the whole tag (`cyrus/imap[7]:`,
    rsyslog's %syslogtag%), because rsyslog's %programname% ends at the slash.
    """
    first = _first_program(line)
    try:
        values = json.loads(line.decode("utf-8", "surrogateescape"))
        program, message = values["p"], values["msg"]
        # The scanner looks for the first "p"; a second one, or one in an inner object, must not
        # be read as something else here.
        if not first or (b"\\" not in first[1] and first[1].decode() != program):
            return Reason.BAD_JSON
        tag = _whole_tag(program)
        if tag:
            program = tag[1]
        return Record(
            program,
            _bare(message.lstrip(" ")),
            _text(values.get("h")),
            _text(values.get("pid")) or (tag[2] or "" if tag else ""),
            _oldest(values.get("t"), values.get("s")),
            _uid(values.get("uid"), values.get("juid")),
            _peer(values.get("from")),
            True,
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Reason.BAD_JSON


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return _nil(value)
    if type(value) is int:
        return str(value)
    raise ValueError


def _oldest(*stamps: str | None) -> float | None:
    """Return the oldest RFC 3339 time as epoch seconds.

    Which of a journal's two clocks is the replay's depends on the input; the older never is.
    """
    oldest = None
    for stamp in stamps:
        if stamp:
            when = datetime.fromisoformat(stamp)
            if when.tzinfo is None:
                raise ValueError
            epoch = when.timestamp()
            if oldest is None or epoch < oldest:
                oldest = epoch
    return oldest


def _uid(*values: object) -> int | None:
    for value in values:
        if type(value) is int and 0 <= value < 1 << 32:
            return value
        if isinstance(value, str) and _UID(value):
            return int(value)
        if value is not None and value != "":
            raise ValueError
    return None


def _peer(value: object) -> str:
    """Return the canonical address the daemon got the line from; "" for this machine."""
    text = _text(value)
    if text in _NO_PEER:
        return ""
    # A link-local sender has a zone; which link it is on makes no difference to who may send.
    address = canonical(text.partition("%")[0])
    if address is None:
        raise ValueError
    return "" if address.startswith("127.") or address == "::1" else address
