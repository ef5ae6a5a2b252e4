r"""The shapes a line can have: regular expression text for what stands before the message.

`records` reads lines with these, `scanner` looks for lines with these; only ASCII stands in them,
so that they mean the same for `str` and for `bytes`. Repeated groups are atomic, not possessive, as
Python before 3.11.5 loses its place in `(...)*+` (python/cpython#106052).

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
... nginx, which repeats the host  `HEAD mx1 mx1 nginx: ..`
multilog                           `@400000006ae1.. tcpserver: pid 4711 from ..`
logs of the servers' own           below
=================================  ============================================================

HEAD: `Nov 20 09:11:13` (day padded with blank, zero or not at all; with fractions; with a year
before the month or behind the day), `2026-11-20T09:11:13.123456+01:00`, the same with a blank for
the T and no zone (only where a host follows), or ten digits of epoch seconds (syslog-ng's
`ts-format`), each with or without `<PRI>` in front.

What a relay puts in front of a whole line is passed over, and the host is the inner header's. A
client's text cannot stand there: behind the host every program's line has its tag.

In RFC 5424 rsyslog's own template cuts APP-NAME at the slash (`cyrus/imap` is `cyrus`), and
nginx, which repeats the host, comes as `1 STAMP mx1 mx1 - - - nginx: ..`.

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
`Nov 20 09:11:13 [popper]: TEXT`                       popper           `TEXT`
`Nov 20 2026 09:11:13 IMAP User "U" ..`                AppleMailServer  `IMAP User "U" ..`
`2026-11-20 09:11:13,500 INFO  [ImapServer-1] ..`      zimbra           the whole line
`HEAD mx1 mailboxlog 2026-11-20 09:11:13,500 INFO ..`  mailboxlog       from the second stamp on
`2026-11-20T09:11:13Z INFO TEXT (auth.success) ..`     stalwart         the whole line
`2026/11/20 09:11:13 [info] 7#7: *9 TEXT`              nginx-error-log  the whole line
=====================================================  ===============  =======================

For Dovecot HEAD and STAMP may also be `2026-11-20 09:11:13` or TAI64N; `(U)` and `Info` stand for
any of their kind. The last four keep their own stamp, as they do behind a syslog header. nginx's
error log is a program of its own because there, unlike in nginx's syslog lines, a client can put a
raw newline into its user name: who feeds it in trusts the clients.

Lines that start with the tag or with a blank (folded text), the output of container tools and tags
with an unclosed pid are no records: nothing says that a daemon wrote their first byte.
"""

from __future__ import annotations

PRI = "(?:<[0-9]{1,3}>)?"
_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?"
BSD = f"(?:[0-9]{{4}} )?[A-Z][a-z]{{2}} [ 0-9]?[0-9] (?:[0-9]{{4}} )?{_TIME}"
ISO = f"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{_TIME}(?:Z|[+-][0-9]{{2}}:?[0-9]{{2}})?"
DAY_TIME = f"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}} {_TIME}"
SLASHES = f"[0-9]{{4}}/[0-9]{{2}}/[0-9]{{2}} {_TIME}"
TAI64 = "@[0-9a-f]{16}(?:[0-9a-f]{8})?"
EPOCH = r"[0-9]{10}(?:\.[0-9]{1,9})?"

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
"""How nginx's messages begin where the host was taken for its name."""

RFC5424_HOST = "[!-~]{1,255}"
_SD_NAME = r'[^\x00-\x20="\]\x7f]{1,64}'
_SD = rf'\[{_SD_NAME}(?: {_SD_NAME}="[^"\\\]]*+(?>(?:\\.[^"\\\]]*+)*)")*\]'
STRUCTURED_DATA = f"(?:-|(?>(?:{_SD})+))"

# Dovecot's own log.
OWN = f"(?:{PRI}(?:{BSD}|{ISO})|{DAY_TIME}|{TAI64}) "
OLD_OWN = f"(?:{BSD}|{DAY_TIME}) "
LEVEL = "(?:Debug|Info|Warn|Warning|Error|Fatal|Panic): "
SERVICE = "(?!dovecot:)[a-z][0-9a-z-]{0,31}"
OLD_SERVICE = "(?:imap|pop3)(?:-login)?: "

# The other servers' own logs, as far as they differ from everything else.
POPPER = rf"(?:[A-Z][a-z]{{2}} )?{BSD} [0-9]{{4}} \[(?={PID}\] )"
POPPER_TAG = rf"{BSD} \[popper\]: "
APPLE = f"{BSD} (?=(?:IMAP|POP3?) User )"
ZIMBRA = f"{DAY_TIME} (?:TRACE|DEBUG|INFO|WARN|ERROR|FATAL)  ?\\["
STALWART = rf"{ISO} [A-Z]{{4,5}} [A-Z][0-9A-Za-z ]{{0,127}} \([a-z.-]{{1,64}}\) "
NGINX_ERROR_LOG = rf"{SLASHES} \[[a-z]{{1,8}}\] [0-9]{{1,10}}#[0-9]{{1,10}}: "

JSON_PROGRAM = r'p"[ \t\r]*+:[ \t\r]*+'
"""The key `p`, behind its opening quote. Inside a string the quotes would be escaped."""
JOURNAL_PROGRAM = r'SYSLOG_IDENTIFIER"[ \t\r]*+:[ \t\r]*+'
"""The same of journald's entries."""
