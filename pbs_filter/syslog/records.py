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
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

from ..addresses import canonical
from ..model import Reason, Record
from .headers import (
    DAY_SYSLOG,
    FACILITY,
    HOST,
    ISO,
    JOURNAL_PROGRAM,
    JSON_PROGRAM,
    METALOG,
    NGINX,
    PID,
    PRI,
    RFC5424_HOST,
    STRUCTURED_DATA,
    SYSLOG,
    TAG,
    TAI64,
    OwnLog,
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

# The groups are host, program, pid and message. The first that fits is it.
_RARE = tuple(
    re.compile(pattern)
    for pattern in (
        f"{DAY_SYSLOG}({HOST}) {_FROM_TAG}(.*)",
        f"{SYSLOG}<{FACILITY}> ({HOST}) {_FROM_TAG}(.*)",
        f"{SYSLOG}({HOST}) {FACILITY} {_FROM_TAG}(.*)",
        rf"{SYSLOG}({HOST}) \[([A-Za-z][0-9A-Za-z._-]{{0,31}})\]():(?: ++|\Z)(.*)",
        f"{DAY_SYSLOG}{HOST} {DAY_SYSLOG}({HOST}) {_FROM_TAG}(.*)",
        f"{SYSLOG}(?:{HOST} )?Message forwarded from ({HOST}): (?:{FACILITY} )?{_FROM_TAG}(.*)",
        f"(){PRI}{METALOG}()(.*)",
    )
)
# Could also read lines of Dovecot's own log, so it is tried after those.
_without_host = re.compile(f"(?:{SYSLOG}|{TAI64} )() ?{_FROM_TAG}(.*)")
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


Read = Callable[[bytes], Record | Reason]


@lru_cache(16)
def reader(own_logs: tuple[OwnLog, ...] = ()) -> Read:
    """Returns the function that makes a record of a line, which may also have a form in `own_logs`.

    It takes a line without its newline, returns the record or the reason why there is none, and
    never raises. Invalid UTF-8 comes out as lone surrogates (PEP 383), so that no bytes that are
    not in the line can appear in a token.
    """
    own = [(log.program, re.compile(log.start + log.rest)) for log in own_logs]

    def read(line: bytes) -> Record | Reason:
        if len(line) > MAX_LINE_BYTES:
            return Reason.TOO_LONG
        if line.startswith(b"{"):
            return _json(line)
        text = line.decode("utf-8", "surrogateescape")
        if text.endswith("\r"):
            text = text[:-1]
        match = _common(text)
        if match:
            host, program, pid, message = match.groups("")
            return _new_record(Record, (program, message, host, pid, None, None, "", False))
        match = _rfc5424(text)
        if match:
            host, program, pid, message = match.groups("")
            if message.startswith(NGINX) and host.startswith(program):
                program, message = "nginx", message.removeprefix(NGINX)
            return Record(_nil(program), _bare(message), _nil(host), _nil(pid))
        return _rare(text, own)

    return read


def _rare(text: str, own: Iterable[tuple[str, re.Pattern[str]]]) -> Record | Reason:
    for pattern in _RARE:
        match = pattern.fullmatch(text)
        if match:
            return _syslog_record(match)
    for program, pattern in own:
        match = pattern.fullmatch(text)
        if match:
            values = match.groupdict("")
            host, message = values.get("host", ""), values.get("before", "") + values["message"]
            # With a host it came by syslog.
            return Record(program, _bare(message) if host else message, host, values.get("pid", ""))
    match = _without_host.fullmatch(text)
    if match:
        return _syslog_record(match)
    if _last_repeated(text):
        return Reason.IGNORED
    return Reason.NOT_A_RECORD if text.strip(" \t\r") else Reason.EMPTY


def _syslog_record(match: re.Match[str]) -> Record:
    host, program, pid, message = match.groups("")
    return Record(program, _bare(message), host, pid)


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
