"""DBMail's imap4d, 2.x and 3.x.

Printed by      `dbmail_imap_session_handle_auth` in src/dm_imapsession.c (`login accepted: id [N]
                user [U] from [IP:PORT]`, `login rejected: ...`), through `trace` in
                src/dm_debug.c, which puts the level in front, and above level notice the place.
Client's text   the user name, raw, in front of the address; in `login accepted` it is an account's.
Session         none: no line tells the end. dbmail-pop3d writes no address with a login, and its
                pid is that of all its sessions, so that POP3 logins cannot be read.
Travels         by syslog(3), one message a line, 4095 bytes at most.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import (
    ADDRESS_BEFORE_PORT,
    NUMBER,
    PORT,
    TEXT,
    WORD,
    Rule,
    Server,
    name_before,
    samples,
    token,
)
from ..model import Accepted, Ignored, Refused

_PLACE = "[" + WORD("a-z0-9", 20) + "] " + WORD("a-z_0-9", 80) + "(+" + NUMBER + "): "
_LEVEL = pp.Opt(pp.one_of(["Notice:", "Message:"]) + (pp.Literal(" ") | _PLACE))
_SESSION = pp.Opt("[0x" + WORD("0-9a-f", 16) + "] ")
_FROM = "] from [" + ADDRESS_BEFORE_PORT("address") + ":" + PORT + "]"
_NAME = name_before("] from [")("user")
LOGIN = _LEVEL + _SESSION + "login accepted: id [" + NUMBER + "] user [" + _NAME + _FROM
REFUSED = _LEVEL + _SESSION + "login rejected: user [" + TEXT
NOISE = token(r"(?!.{0,160}login (?:accepted|rejected): )", "no login") + TEXT

LOGIN_LINES = samples(r"""
dbmail/imap4d[4711]: [0x55d0c8] login accepted: id [3] user [bob] from [192.0.2.7:41234]
    -> accepted user=bob address=192.0.2.7 protocol=imap
dbmail[4711]: Notice: [0x55d0c8] login accepted: id [3] user [bob] from [2001:db8::7:41234]
    -> accepted user=bob address=2001:db8::7 protocol=imap
dbmail/imap4d: Notice:[imap] dbmail_imap_session_handle_auth(+1455): [0x55d0c8] login accepted: id [3] user [pat o'[x] neil] from [192.0.2.7:41234]
    -> accepted user=pat o'[x] neil address=192.0.2.7 protocol=imap
dbmail/imap4d[4711]: Message: login accepted: id [3] user [bob] from [192.0.2.7:41234]
    -> accepted user=bob address=192.0.2.7 protocol=imap
dbmail/imap4d[4711]: [0x55d0c8] login accepted: id [3] user [x] from [203.0.113.66:1] from [192.0.2.7:41234]
    not: an account whose name brings an address along
dbmail/imap4d[4711]: [0x55d0c8] login rejected: user [x] login accepted: id [3] user [x] from [203.0.113.66:1]
    not: refused
dbmail/imap4d[4711]: x [0x55d0c8] login accepted: id [3] user [x] from [203.0.113.66:1]
    not: text in front
dbmail/imap4d[4711]: [0x55d0c8] login accepted: id [3] user [x] from [203.0.113.66:1] x
    not: text after the end
""")

REFUSED_LINES = samples("""
dbmail/imap4d[4711]: [0x55d0c8] login rejected: user [bob] from [192.0.2.7:41234]
    -> refused
dbmail/imap4d[4711]: Notice: login rejected: user [bob] from [192.0.2.7:41234]
    -> refused
dbmail/imap4d[4711]: Notice:[imap] dbmail_imap_session_handle_auth(+1448): login rejected: user [x] from [192.0.2.7:1]
    -> refused
dbmail/imap4d[4711]: Message: login rejected: user [x] from [203.0.113.66:1]
    not: refused
""")

NOISE_LINES = samples("""
dbmail/imap4d[4711]: [0x55d0c8] session established for [192.0.2.7:41234]
    -> ignored
dbmail/imap4d[4711]: incoming connection on [192.0.2.1:143] from [203.0.113.66:41234]
    not: connected, not logged in
""")

SERVER = Server(
    name="dbmail",
    title="DBMail (IMAP)",
    versions="2 - 3",
    # The second is what RFC 5424 by rsyslog makes of the first; its other daemons do not log in.
    programs={"dbmail/imap4d": "imap", "dbmail": "imap"},
    accounts=("root", "dbmail", "nobody"),
    rules=(
        Rule("login", Accepted, LOGIN, LOGIN_LINES),
        Rule("refused", Refused, REFUSED, REFUSED_LINES),
        Rule("noise", Ignored, NOISE, NOISE_LINES),
    ),
)
