"""One line of bytes -> a record: who wrote it, and what.

The program name is taken from the header and from nowhere else; a header (`headers` has the shapes)
is read from the first byte to the colon behind the tag, every byte of it. What is not such a header
is not a record: guessing would let a client's text, somewhere in the line, say who is speaking.

In the message, `message repeated 3 times: [ TEXT]` is TEXT, and a byte order mark and Solaris'
`[ID 702911 mail.info] ` are left out.

Only LF ends a line, and it is the caller who splits; one CR before it is dropped.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from ..addresses import canonical
from ..model import Reason, Record
from .headers import (
    APPLE,
    DAY_SYSLOG,
    FACILITY,
    HOST,
    ISO,
    JOURNAL_PROGRAM,
    JSON_PROGRAM,
    LEVEL,
    METALOG,
    NGINX,
    NGINX_ERROR_LOG,
    OLD_OWN,
    OLD_SERVICE,
    OWN,
    PID,
    POPPER,
    POPPER_TAG,
    PRI,
    RFC5424_HOST,
    SERVICE,
    STALWART,
    STRUCTURED_DATA,
    SYSLOG,
    TAG,
    TAI64,
    ZIMBRA,
)

MAX_LINE_BYTES = 65_536
"""What syslog-ng cuts at; rsyslog's own default is 8 KiB. Longer lines are not looked at."""
MAX_NAME = 255
"""Characters of a host or a pid, as in the text forms: what is remembered of a line is small."""

_WRAPPED = ("[ID ", "message repeated ", "\ufeff")
_unwrap = re.compile(
    r"\ufeff?(?:\[ID [0-9]{1,10} [a-z0-9]{1,16}\.[a-z]{1,8}\] *+(.*)"
    r"|message repeated [0-9]{1,10} times: \[ *+(.*)\]|(.*))"
).fullmatch

_FROM_TAG = rf"({TAG})(?:\[({PID})\])?:(?: ++|\Z)"
# What is wrapped goes the long way, so that the short way need not look.
_common = re.compile(
    rf"{DAY_SYSLOG}({HOST}) {_FROM_TAG}((?!\[ID |message repeated |\ufeff).*)"
).fullmatch
_rfc5424 = re.compile(
    rf"{PRI}1 (?:-|{ISO}) ({RFC5424_HOST}) ({TAG}) ([!-~]{{1,128}}) [!-~]{{1,64}} "
    rf"{STRUCTURED_DATA}(?: ++(.*)|)"
).fullmatch

# The groups are host, program, pid and message where the program is "", else pid and message. The
# first that fits is it; only "no host" could also read lines of Dovecot's own log, so it is last.
_RARE = tuple(
    (program, re.compile(pattern).fullmatch)
    for program, pattern in (
        ("", f"{DAY_SYSLOG}({HOST}) {_FROM_TAG}(.*)"),
        ("", f"{SYSLOG}<{FACILITY}> ({HOST}) {_FROM_TAG}(.*)"),
        ("", f"{SYSLOG}({HOST}) {FACILITY} {_FROM_TAG}(.*)"),
        ("", rf"{SYSLOG}({HOST}) \1(?:\.[0-9A-Za-z.-]{{1,255}})? (?=nginx: ){_FROM_TAG}(.*)"),
        ("", rf"{SYSLOG}({HOST}) \[([A-Za-z][0-9A-Za-z._-]{{0,31}})\]():(?: ++|\Z)(.*)"),
        ("", f"{SYSLOG}({HOST}) (mailboxlog)() ({ZIMBRA}.*)"),
        ("", f"{DAY_SYSLOG}{HOST} {DAY_SYSLOG}({HOST}) {_FROM_TAG}(.*)"),
        (
            "",
            f"{SYSLOG}(?:{HOST} )?Message forwarded from ({HOST}): (?:{FACILITY} )?{_FROM_TAG}(.*)",
        ),
        ("dovecot", f"{OWN}()({SERVICE}(?:[(<].{{0,512}}?[)>])?: {LEVEL}.*)"),
        ("dovecot", f"{OWN}()({LEVEL}.*)"),
        ("dovecot", f"dovecot: {OLD_OWN}()({LEVEL}.*)"),
        ("popper", rf"{POPPER}({PID})\] ++(.*)"),
        ("popper", f"{POPPER_TAG}() *+(.*)"),
        ("", f"()(?:{PRI}){METALOG}()(.*)"),
        ("AppleMailServer", f"{APPLE}()(.*)"),
        ("zimbra", f"()({ZIMBRA}.*)"),
        ("stalwart", f"()({STALWART}.*)"),
        ("nginx-error-log", f"()({NGINX_ERROR_LOG}.*)"),
        ("", f"(?:{SYSLOG}|{TAI64} )() ?{_FROM_TAG}(.*)"),
    )
)
_dovecot_099 = re.compile(f"({OLD_SERVICE}){OLD_OWN}({LEVEL}.*)").fullmatch
_last_repeated = re.compile(
    f"{SYSLOG}(?:{HOST} )?last message repeated [0-9]{{1,10}} times?"
).fullmatch

_first_program = re.compile(rf'"{JSON_PROGRAM}(?:"([^"]*)")?'.encode()).search
_first_identifier = re.compile(rf'"{JOURNAL_PROGRAM}(?:"([^"]*)")?'.encode()).search
_whole_tag = re.compile(rf"({TAG})(?:\[({PID})\])?:?").fullmatch
_is_uid = re.compile("[0-9]{1,10}").fullmatch
_is_microseconds = re.compile("[0-9]{1,17}").fullmatch
_new_record = tuple.__new__
_decode = json.JSONDecoder().raw_decode
_NO_PEER = ("", "127.0.0.1", "::1")
_NO_NETWORK = ("", "0")
"""`proto` of what did not come by IP: an IP protocol's number (rsyslog), or a port (syslog-ng)."""


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
        return _new_record(Record, (program, message, host, pid, None, None, "", False))
    found = _rfc5424(text)
    if found:
        host, program, pid, message = found.groups("")
        if message.startswith(NGINX) and host.startswith(program):
            program, message = "nginx", message.removeprefix(NGINX)
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
    """Read an object of the JSON feed (`rsyslog/`, `syslog-ng/`), or journald's.

    A key with a value of the wrong kind makes the whole line BAD_JSON: a uid or a time that cannot
    be read must not count as one that was not there. `p` may be the whole tag (`cyrus/imap[7]:`,
    rsyslog's %syslogtag%), because rsyslog's %programname% ends at the slash.
    """
    try:
        text = line.decode("utf-8", "surrogateescape")
        values, end = _decode(text)
        if text[end:] not in ("", "\r"):
            return Reason.BAD_JSON
        if "p" not in values:
            return _journal(line, values)
        program, message = values["p"], values["msg"]
        received, sent = values.get("t"), values.get("s")
        if not _is_first(_first_program(line), program):
            return Reason.BAD_JSON
        tag = _whole_tag(program)
        if not tag:
            return Reason.OTHER_PROGRAM
        return Record(
            tag[1],
            _bare(message.lstrip(" ")),
            _text(values.get("h")),
            _text(values.get("pid")) or tag[2] or "",
            _oldest(received) if sent == received else _oldest(received, sent),
            _uid(values.get("uid"), values.get("juid")),
            _peer(values.get("from"), values.get("proto")),
            True,
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Reason.BAD_JSON


def _journal(line: bytes, values: dict[str, Any]) -> Record | Reason:
    """Read an entry as `journalctl -o json` prints it (systemd's JOURNAL_EXPORT_FORMATS).

    What begins with "_" is journald's own word, and no sender can set it; the rest is the sender's.
    A text that is not clean UTF-8 is an array of its bytes, one of more than 4096 bytes is null,
    and a field that was sent twice is an array of its values. The latter two are nobody's word.
    """
    program, message = values["SYSLOG_IDENTIFIER"], values["MESSAGE"]
    if not _is_first(_first_identifier(line), program):
        return Reason.BAD_JSON
    if isinstance(message, list):
        message = bytes(message).decode("utf-8", "surrogateescape")
    tag = _whole_tag(program)
    if not tag:
        return Reason.OTHER_PROGRAM
    return Record(
        tag[1],
        _bare(message.lstrip(" ")),
        _text(values.get("_HOSTNAME")),
        _text(values.get("SYSLOG_PID")) or _text(values.get("_PID")),
        min(
            _seconds(values["__REALTIME_TIMESTAMP"]),
            _seconds(values.get("_SOURCE_REALTIME_TIMESTAMP", "9" * 17)),
        ),
        _uid(values.get("_UID")),
        "",
        True,
    )


def _is_first(first: re.Match[bytes] | None, program: str) -> bool:
    """Whether the scanner, which goes by the first key of the line, sees the same program there.

    A second such key, or one in an inner object, must not be read as something else.
    """
    return first is not None and (b"\\" in first[1] or first[1].decode() == program)


def _seconds(microseconds: str) -> float:
    """Return journald's time as epoch seconds."""
    if not _is_microseconds(microseconds):
        raise ValueError
    return int(microseconds) / 1_000_000


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and len(value) <= MAX_NAME:
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
        if stamp is None or stamp == "":
            continue
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
        if isinstance(value, str) and _is_uid(value):
            return int(value)
        if value is not None and value != "":
            raise ValueError
    return None


def _peer(value: object, protocol: object) -> str:
    """Return the canonical address the daemon got the line from; "" for this machine.

    What came by TCP or UDP has a peer even where that is this machine: any local user can connect.
    """
    text = _text(value)
    by_network = _text(protocol) not in _NO_NETWORK
    if text in _NO_PEER and not by_network:
        return ""
    # A link-local sender has a zone; which link it is on makes no difference to who may send.
    address = canonical(text.partition("%")[0])
    if address is None:
        raise ValueError
    is_here = address.startswith("127.") or address == "::1"
    return "" if is_here and not by_network else address
