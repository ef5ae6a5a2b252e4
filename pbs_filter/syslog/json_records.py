"""The reader makes a record of one object of a JSON feed: of `rsyslog/`, `syslog-ng/` or journald.
Pure.

The daemon writes the keys, so that no text of a sender can imitate a field.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from ..addresses import canonical
from ..model import Reason, Record
from .headers import JOURNAL_PROGRAM, JSON_PROGRAM, PID, TAG
from .message import WRAPPED, bare, nil

MAX_NAME = 255
"""Most characters of a host or a pid, as in the text forms: both are kept in memory."""

REPEATED = timedelta(hours=1)
"""At most as much is repeated when summer time ends."""
OF_ANOTHER_YEAR = timedelta(days=180)
"""A time that is so much ahead is of the year before."""
READ_WITHIN = timedelta(minutes=1)
"""A daemon reads its socket within this."""

_TEXT = r'[^"\\\x00-\x1f]'
_COUNT = "(0|[1-9][0-9]{0,9})"
_usual = re.compile(
    rf'\{{"t":"({_TEXT}{{20,40}}+)", ?"s":"({_TEXT}{{20,40}}+)", ?'
    rf'"h":"({_TEXT}{{0,{MAX_NAME}}}+)", ?"p":"({TAG})(?:\[({PID})\])?:?", ?'
    rf'"pid":"({_TEXT}{{0,{MAX_NAME}}}+)", ?"in":"({_TEXT}*+)", ?'
    rf'"from":"({_TEXT}{{0,64}}+)"(?:, ?"proto": ?{_COUNT})?(?:, ?"uid": ?{_COUNT})?'
    rf'(?:, ?"juid": ?{_COUNT})?, ?"msg":"({_TEXT}*+)"\}}'
).fullmatch
"""Reads an object as rsyslog's template in `rsyslog/` writes it where nothing is escaped, in half
the time of the JSON decoder. The decoder reads all others."""
USUAL_GROUPS = (
    "received", "received_zone", "sent", "sent_zone", "host", "tag_pid", "pid", "source", "uid",
    "juid",
)  # fmt: skip
_NGINX = "nginx"
_SECOND = r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})"
_ZONE = r"(?:\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"


def usual_json(program: str) -> tuple[str, int]:
    """Return what stands before a message of `program` in rsyslog's template, and its groups'
    number.

    They are `USUAL_GROUPS`, of a line that this machine's own processes wrote. Behind it comes a
    message in which nothing is escaped or wrapped, to the two characters at the end of the line.
    """
    # Another source would make other records of it, and a long one a line that is too long.
    source = "imuxsock" if program == _NGINX else f"{_TEXT}{{0,64}}+"
    return (
        rf'\{{"t":"{_SECOND}{_ZONE}", ?"s":"{_SECOND}{_ZONE}", ?'
        rf'"h":"({_TEXT}{{0,{MAX_NAME}}}+)", ?"p":"{re.escape(program)}(?:\[({PID})\])?:?", ?'
        rf'"pid":"({_TEXT}{{0,{MAX_NAME}}}+)", ?"in":"({source})", ?'
        rf'"from":"(?:127\.0\.0\.1|::1|)"(?:, ?"proto": ?0)?(?:, ?"uid": ?{_COUNT})?'
        rf'(?:, ?"juid": ?{_COUNT})?, ?"msg":"(?> ?)(?={_TEXT}*+\Z)(?!{WRAPPED})',
        len(USUAL_GROUPS),
    )


@lru_cache(64)
def second_of(stamp: str, zone: str) -> int:
    """Return the epoch seconds of a stamp without its fraction. Raises ValueError."""
    return int(datetime.fromisoformat(stamp + zone).timestamp())


_first_program = re.compile(rf'"{JSON_PROGRAM}(?:"([^"]*)")?'.encode()).search
_first_identifier = re.compile(rf'"{JOURNAL_PROGRAM}(?:"([^"]*)")?'.encode()).search
_whole_tag = re.compile(rf"({TAG})(?:\[({PID})\])?:?").fullmatch
_is_uid = re.compile("[0-9]{1,10}").fullmatch
_is_microseconds = re.compile("[0-9]{1,17}").fullmatch
_decode = json.JSONDecoder().raw_decode
_new_record = tuple.__new__
_FIELDS = ("LISTENERID", "REMOTEIP", "REMOTEPORT")
"""Fields of Stalwart's journal tracer, which other servers write into the message."""
_NO_PEER = ("", "127.0.0.1", "::1")
_NO_SENDER = {(uid, juid) for uid in (None, "") for juid in (None, "")}
_INEXACT = ("imjournal", "imudp")
_NO_NETWORK = ("", "0")
"""Values of `proto` of a line that did not come by IP. It is an IP protocol's number (rsyslog), or
a port (syslog-ng)."""


def read(line: bytes) -> Record | Reason:
    """Return the record of one object, or the reason why there is none. Never raises."""
    text = line.decode("utf-8", "surrogateescape")
    match = _usual(text)
    if match is None:
        return decoded(line, text)
    (received, sent, host, program, tag_pid, pid, source, peer, protocol, uid, juid, message) = (
        match.groups()
    )
    try:
        peer = _known_peer(peer, protocol)
        writer = int(uid or juid or -1)
        if writer >= 1 << 32:
            return Reason.BAD_JSON
        return _new_record(
            Record,
            (
                _program(program, source, peer, uid, juid),
                bare(message.removeprefix(" ")),
                nil(host),
                nil(pid) or tag_pid or "",
                older_of(received, sent, by_socket=bool(uid and not juid and not peer)),
                None if writer < 0 else writer,
                peer,
                True,
                is_exact(source, peer, uid, juid),
            ),
        )
    except ValueError:
        return Reason.BAD_JSON


def decoded(line: bytes, text: str) -> Record | Reason:
    """Read one object with the decoder, in any order of its keys; `text` is `line` decoded.

    A value of a wrong type makes the whole line BAD_JSON: an unreadable uid or time must not count
    as a missing one. `p` may be the whole tag (`cyrus/imap[7]:`,
    rsyslog's %syslogtag%), because rsyslog's %programname% ends at the slash.
    """
    try:
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
        peer, uid, juid = (
            _peer(values.get("from"), values.get("proto")),
            values.get("uid"),
            values.get("juid"),
        )
        return Record(
            _program(tag[1], values.get("in"), peer, uid, juid),
            bare(message.removeprefix(" ")),
            _text(values.get("h")),
            _text(values.get("pid")) or tag[2] or "",
            older_of(
                received,
                sent,
                by_socket=uid not in (None, "") and juid in (None, "") and not peer,
            ),
            _uid(uid, juid),
            peer,
            True,
            is_exact(values.get("in"), peer, uid, juid),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Reason.BAD_JSON


def _journal(line: bytes, values: dict[str, Any]) -> Record | Reason:
    """Read an entry as `journalctl -o json` prints it (systemd's JOURNAL_EXPORT_FORMATS).

    Fields that begin with "_" are journald's own, and no sender can set them; the rest is the
    sender's. Text that is not clean UTF-8 is an array of its bytes; text of more than 4096 bytes is
    null, and a field that was sent twice is an array of its values: both are BAD_JSON.
    """
    program, message = values["SYSLOG_IDENTIFIER"], values["MESSAGE"]
    if not _is_first(_first_identifier(line), program):
        return Reason.BAD_JSON
    if isinstance(message, list):
        message = bytes(message).decode("utf-8", "surrogateescape")
    tag = _whole_tag(program)
    if not tag:
        return Reason.OTHER_PROGRAM
    name = tag[1]
    if all(isinstance(values.get(field), str) for field in _FIELDS):
        name += "-journal"
        message = _with_fields(message, values)
    return Record(
        name,
        bare(message.removeprefix(" ")),
        _text(values.get("_HOSTNAME")),
        # A message of syslog(3) without a pid has none: courierlogger's lines.
        _text(values.get("SYSLOG_PID"))
        or ("" if values.get("_TRANSPORT") == "syslog" else _text(values.get("_PID"))),
        min(
            _seconds(values["__REALTIME_TIMESTAMP"]),
            _seconds(values.get("_SOURCE_REALTIME_TIMESTAMP", "9" * 17)),
        ),
        _uid(values.get("_UID")),
        "",
        True,
        False,
    )


def _with_fields(message: str, values: dict[str, Any]) -> str:
    """Return the message with the fields behind it; the field that a client chooses is the last."""
    words = [message, *(f"{field}={values[field]}" for field in _FIELDS)]
    name = values.get("ACCOUNTNAME")
    if isinstance(name, list):
        name = bytes(name).decode("utf-8", "surrogateescape")
    return " ".join(words if name is None else [*words, "ACCOUNTNAME=" + name])


def _program(name: str, source: object, peer: str, uid: object, juid: object) -> str:
    """Return the program of a record: nginx's error log may be followed under nginx's name.

    What came by a socket has a sender, or rsyslog says so. In the file a client makes lines.
    """
    if name != _NGINX or source == "imuxsock" or peer:
        return name
    return name if (uid, juid) not in _NO_SENDER else "nginx-error-log"


def is_exact(source: object, peer: str, uid: object, juid: object) -> bool | None:
    """Return whether the feed has each message as its sender wrote it, in order; None: unknown.

    A local socket has. journald strips blanks, and UDP may change the order of messages.
    """
    if juid not in (None, "") or source in _INEXACT:
        return False
    if peer:
        return None
    return True if source == "imuxsock" or uid not in (None, "") else None


def _is_first(first: re.Match[bytes] | None, program: str) -> bool:
    """Return whether `program` is also the value of the line's first such key, which the scanner
    reads: a second key, or one in an inner object, must not name another program.
    """
    return first is not None and (b"\\" in first[1] or first[1].decode() == program)


def _seconds(microseconds: str) -> float:
    """Return journald's time as epoch seconds. Raises: ValueError."""
    if not _is_microseconds(microseconds):
        raise ValueError
    return int(microseconds) / 1_000_000


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and len(value) <= MAX_NAME:
        return nil(value)
    if type(value) is int:
        return str(value)
    raise ValueError


def older_of(received: str | None, sent: str | None, *, by_socket: bool = False) -> float | None:
    """Return the older of two RFC 3339 times as epoch seconds, None if there is none.

    When rsyslog replays the journal, one of its two times is that of the replay, which one depends
    on the input module; the older is never that.

    A local process that writes to the daemon's socket gives a time without zone, and in the hour
    that is repeated when summer time ends syslog-ng goes on with the zone before: its hour is taken
    for the one before. Then the two times have different zones, and would be almost the same in
    one zone.

    A time of RFC 3164 has no year, and rsyslog gives it that of today: what was sent on 31 December
    and is read on 1 January would be a year ahead, and never old.

    Raises: ValueError.
    """
    here, there = _when(received), None if sent == received else _when(sent)
    if here is None or there is None:
        only = here or there
        return None if only is None else only.timestamp()
    if there - here > OF_ANOTHER_YEAR:
        there = there.replace(year=there.year - 1)
    if by_socket:
        again = there.replace(tzinfo=here.tzinfo)
        if there < again <= here and again - there <= REPEATED and here - again < READ_WITHIN:
            there = again
    return min(here, there).timestamp()


def _when(stamp: str | None) -> datetime | None:
    """Return an RFC 3339 time. Raises: ValueError."""
    if stamp is None or stamp == "":
        return None
    when = datetime.fromisoformat(stamp)
    if when.tzinfo is None:
        raise ValueError
    return when


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
    """Return the canonical address of the line's network peer; "" for a line of this machine.

    A line that came by TCP or UDP from this machine has a peer, too: any local user can connect.

    Raises: ValueError.
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


_known_peer = lru_cache(1024)(_peer)
