"""The reader makes a record of one line of bytes. Pure.

The program name comes from the header only; a header (`headers` has the shapes) is read from the
first byte to the colon behind the tag, every byte of it. A line without such a header is no record:
a guess would let a client's text, somewhere in the line, name the program.

In the message, `message repeated 3 times: [ TEXT]` is TEXT, and a byte order mark and Solaris'
`[ID 702911 mail.info] ` are left out.

Only LF ends a line, and the caller splits; one CR before it is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache, lru_cache

from ..model import Reason, Record
from . import json_records
from .headers import (
    DAY_SYSLOG,
    FACILITY,
    HOST,
    ISO,
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
from .message import WRAPPED, bare, nil

MAX_LINE_BYTES = 65_536
"""syslog-ng cuts lines here; rsyslog's default is 8 KiB. Longer lines are not read."""

# One blank is syslog's. Further ones are text, and may be a client's: some loggers cut lines.
_FROM_TAG = rf"({TAG})(?:\[({PID})\])?:(?: |\Z)"
# Wrapped messages are left to _RARE.
_common = re.compile(rf"{DAY_SYSLOG}({HOST}) {_FROM_TAG}((?!{WRAPPED}).*)").fullmatch


_rfc5424 = re.compile(
    rf"{PRI}1 (?:-|{ISO}) ({RFC5424_HOST}) ({TAG}) ([!-~]{{1,128}}) [!-~]{{1,64}} "
    # rsyslog writes the blank of the old format as well.
    rf"{STRUCTURED_DATA}(?:  ?(.*)|)"
).fullmatch

# The groups are host, program, pid and message. The first pattern that fits counts.
_RARE = (
    f"{DAY_SYSLOG}({HOST}) {_FROM_TAG}(.*)",
    f"{SYSLOG}<{FACILITY}> ({HOST}) {_FROM_TAG}(.*)",
    f"{SYSLOG}({HOST}) {FACILITY} {_FROM_TAG}(.*)",
    rf"{SYSLOG}({HOST}) \[([A-Za-z][0-9A-Za-z._-]{{0,31}})\]():(?: |\Z)(.*)",
    f"{DAY_SYSLOG}{HOST} {DAY_SYSLOG}({HOST}) {_FROM_TAG}(.*)",
    f"{SYSLOG}(?:{HOST} )?Message forwarded from ({HOST}): (?:{FACILITY} )?{_FROM_TAG}(.*)",
    f"(){PRI}{METALOG}()(.*)",
)
# It would read some lines of Dovecot's own log, too, so it is tried after the servers' own forms.
_WITHOUT_HOST = f"(?:{SYSLOG}|{TAI64} )() ?{_FROM_TAG}(.*)"
_LAST_REPEATED = f"{SYSLOG}(?:{HOST} )?last message repeated [0-9]{{1,10}} times?"

_new_record = tuple.__new__


Read = Callable[[bytes], Record | Reason]


@lru_cache(16)
def reader(own_logs: tuple[OwnLog, ...] = (), programs: frozenset[str] = frozenset()) -> Read:
    """Return a function that reads lines of all syslog shapes and of `own_logs`.

    `programs` are the names of mail programs: a host that is called like one is not nginx.

    It takes a line without its newline, returns the record or the reason why there is none, and
    never raises. Invalid UTF-8 becomes lone surrogates (PEP 383), so that a token never holds bytes
    that are not in the line.
    """

    def read(line: bytes) -> Record | Reason:
        if len(line) > MAX_LINE_BYTES:
            return Reason.TOO_LONG
        if line.startswith(b"{"):
            return json_records.read(line)
        text = line.decode("utf-8", "surrogateescape")
        if text.endswith("\r"):
            text = text[:-1]
        match = _common(text)
        if match:
            host, program, pid, message = match.groups("")
            return _new_record(Record, (program, message, host, pid, None, None, "", False, None))
        match = _rfc5424(text)
        if match:
            host, program, pid, message = match.groups("")
            if message.startswith(NGINX) and _is_nginxs(program, host, pid, programs):
                program, message = "nginx", message.removeprefix(NGINX)
            return Record(nil(program), bare(message), nil(host), nil(pid))
        return _rare(text, own_logs)

    return read


def _is_nginxs(program: str, host: str, pid: str, programs: frozenset[str]) -> bool:
    """Return whether the host's name stands where the program's belongs, as nginx has it.

    The message of a mail program may begin with a client's text, and must not become nginx's.
    """
    is_host = nil(program) in (host, host.partition(".")[0])
    return is_host and not nil(pid) and program not in programs


@cache
def _fullmatch(pattern: str) -> Callable[[str], re.Match[str] | None]:
    """Compile `pattern` when a line needs it: a start needs none of them, and they take 10 ms."""
    return re.compile(pattern).fullmatch


def _rare(text: str, own_logs: Iterable[OwnLog]) -> Record | Reason:
    for pattern in _RARE:
        match = _fullmatch(pattern)(text)
        if match:
            return _syslog_record(match)
    for log in own_logs:
        match = _fullmatch(log.start + log.rest)(text)
        if match:
            values = match.groupdict("")
            host, message = values.get("host", ""), values.get("before", "") + values["message"]
            # With a host it came by syslog, which may have wrapped it.
            return Record(
                log.program, bare(message) if host else message, host, values.get("pid", "")
            )
    match = _fullmatch(_WITHOUT_HOST)(text)
    if match:
        return _syslog_record(match)
    if _fullmatch(_LAST_REPEATED)(text):
        return Reason.IGNORED
    return Reason.NOT_A_RECORD if text.strip(" \t\r") else Reason.EMPTY


def _syslog_record(match: re.Match[str]) -> Record:
    host, program, pid, message = match.groups("")
    return Record(program, bare(message), host, pid)
