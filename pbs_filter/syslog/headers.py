r"""The shapes of a line's header, as text for regular expressions.

`records` reads lines with these, `scanner` finds lines with these; they are ASCII, so that they
mean the same for `str` and for `bytes`. Repeated groups are atomic, not possessive, as Python
before 3.11.5 loses its place in `(...)*+` (python/cpython#106052).

Shapes (HEAD is a stamp as below; `[PID]` may be missing):

=================================  ============================================================
JSON feed                          `{"t": .., "h": .., "p": .., "pid": .., "msg": .., ...}`
journald (`journalctl -o json`)    `{"SYSLOG_IDENTIFIER": .., "MESSAGE": .., "_UID": .., ...}`
RFC 5424                           `<22>1 2026-11-20T09:11:13Z mx1 dovecot 4711 - - imap-login: ..`
RFC 3164, rsyslog's ISO format     `HEAD mx1 dovecot[4711]: imap-login: ..`
... no host (libc's own form)      `HEAD dovecot[4711]: imap-login: ..`
... FreeBSD, BusyBox, AIX          `HEAD <mail.info> mx1 TAG: ..`, `HEAD mx1 mail:info TAG: ..`
... tag in brackets (old Courier)  `HEAD mx1 [imapd]: LOGIN, ..`
... metalog                        `Nov 20 09:11:13 [imapd] LOGIN, ..`
... passed on by a relay           `HEAD relay HEAD mx1 TAG: ..`
... the same, from AIX or HP-UX    `HEAD relay Message forwarded from mx1: TAG: ..`
multilog                           `@400000006ae1.. tcpserver: pid 4711 from ..`
a server's own form                `OwnLog`, in the server's file
=================================  ============================================================

HEAD: `Nov 20 09:11:13` (day padded with blank, zero or not at all; with fractions; with a year
before the month or behind the day), `2026-11-20T09:11:13.123456+01:00`, the same with a blank for
the T and no zone (only where a host follows), or ten digits of epoch seconds (syslog-ng's
`ts-format`), each with or without `<PRI>` in front.

A relay's header in front of a whole line is skipped, and the host is that of the inner header. A
client's text cannot stand there: behind the host every program's line has its tag.

In RFC 5424 rsyslog's own template cuts APP-NAME at the slash (`cyrus/imap` is `cyrus`), and
nginx, which repeats the host, comes as `1 STAMP mx1 mx1 - - - nginx: ..`.

Some servers write a log of their own, without syslog; others are known by a header that no syslog
daemon would write. Both are declared in the server's file, as `OwnLog`.

Lines that start with the tag or with a blank (folded text), the output of container tools and tags
with an unclosed pid are no records: their first byte may be a client's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

PRI = "(?:<[0-9]{1,3}>)?"
TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?"
BSD = f"(?:[0-9]{{4}} )?[A-Z][a-z]{{2}} [ 0-9]?[0-9] (?:[0-9]{{4}} )?{TIME}"
ISO = f"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{TIME}(?:Z|[+-][0-9]{{2}}:?[0-9]{{2}})?"
DAY_TIME = f"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}} {TIME}"
SLASHES = f"[0-9]{{4}}/[0-9]{{2}}/[0-9]{{2}} {TIME}"
TAI64 = "@[0-9a-f]{16}(?:[0-9a-f]{8})?"
EPOCH = r"[0-9]{10}(?:\.[0-9]{1,9})?"
ASCTIME = f"(?:[A-Z][a-z]{{2}} )?{BSD} [0-9]{{4}}"

SYSLOG = f"{PRI}(?:{BSD}|{ISO}|{EPOCH}) "
"""HEAD, up to the host."""
DAY_SYSLOG = f"{PRI}(?:{BSD}|{ISO}|{DAY_TIME}|{EPOCH}) "
"""The same where a host must follow."""

# No bracket, and no parenthesis but busybox' "(none)": what has them is a tag or Dovecot's imap(U).
# No colon at the end: that is a tag, too.
HOST = r"(?:[0-9A-Za-z._:@/+~-]{1,255}(?<!:)|\(none\))"
FACILITY = (
    "(?:auth|authpriv|cron|daemon|ftp|kern|lpr|mail|news|security|syslog|user|uucp|local[0-7])"
    r"[.:](?:emerg|panic|alert|crit|err|error|warning|warn|notice|info|debug)"
)
TAG = "[!#-9;-Z^-~]{1,128}"
"""Printable ASCII but for quote, colon, brackets and backslash."""
PID = "[0-9]{1,10}"
METALOG = rf"{BSD} \[([A-Za-z][0-9A-Za-z._/-]{{0,63}})\] "
NGINX = "nginx: "
"""The beginning of nginx's messages where RFC 5424's fields hold its host in place of its name."""

RFC5424_HOST = "[!-~]{1,255}"
_SD_NAME = r'[^\x00-\x20="\]\x7f]{1,64}'
_SD = rf'\[{_SD_NAME}(?: {_SD_NAME}="[^"\\\]]*+(?>(?:\\.[^"\\\]]*+)*)")*\]'
STRUCTURED_DATA = f"(?:-|(?>(?:{_SD})+))"

JSON_PROGRAM = r'p"[ \t\r]*+:[ \t\r]*+'
"""The key `p` behind its opening quote. Inside a string the quotes would be escaped."""
JOURNAL_PROGRAM = r'SYSLOG_IDENTIFIER"[ \t\r]*+:[ \t\r]*+'
"""The key of the program in journald's entries, behind its opening quote."""

_GROUPS = {"message", "host", "pid", "before"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLog:
    """A form of line that only one server writes, as regular expressions made of the above."""

    program: str
    """The program name of its records."""
    example: str
    """A line of this form."""
    start: str
    """The line's beginning, by which it is found in a block: ASCII, no groups."""
    rest: str = "(?P<message>.*)"
    """The rest of the line. Groups: `message`; `host` and `pid` where the line has them; `before`
    where the message's first part stands before the stamp."""
    before_stamp: str = ""
    """The text before the stamp, for --reprocess; "": the stamp comes first."""

    def mistakes(self) -> Iterator[str]:
        """Yield a sentence for each mistake in the expressions, with its remedy."""
        try:
            start, whole = re.compile(self.start), re.compile(self.start + self.rest)
        except re.error as error:
            yield f"{self.start + self.rest!r}: {error}; mend start or rest"
            return
        if start.groups or not self.start.isascii():
            yield f"start {self.start!r} must be ASCII and have no groups; put them into rest"
        names = set(whole.groupindex)
        if whole.groups != len(names) or not {"message"} <= names <= _GROUPS:
            yield f"rest {self.rest!r} must name its groups: message, and host, pid, before if any"
        if not whole.fullmatch(self.example):
            yield "start and rest do not read the example; mend one of them"
