"""Stalwart mail server 0.9 to 0.15.

Printed by      crates/trc, serializers/text.rs: stamp, level, description, event id, the keys of
                the connection's span, then the event's own (`accountName` of `auth.success`). On
                one line; the multi-line layout (`multiline = true`) is not read.
Client's text   strings are quoted; line breaks, tabs and backslashes are escaped, quotes only since
                0.15. All of it comes behind the connection's keys, which nobody chooses.
Session         the client's address and port. The event is the same for every protocol: the
                listener's name decides (`imap`, `imaptls`, `pop3`, `pop3s`, ...: as they come with
                Stalwart; a listener with another name is no mail pick-up).
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import ADDRESS, NUMBER, PORT, TEXT, USER, WORD, Rule, Server, no, token, yes
from ..model import Accepted, Ended, Ignored, Refused

_HEAD = pp.Opt(
    token(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", "a time")
    + " "
    + WORD("A-Z", 5)
    + " "
)
_SPAN = (
    'listenerId = "'
    + token("(?:imap|pop3)[0-9a-z-]{0,16}+", "a listener for IMAP or POP3")("protocol")
    + '", localPort = '
    + PORT
    + ", remoteIp = "
    + ADDRESS("address")
    + ", remotePort = "
    + PORT("port")
)
LOGIN = (
    _HEAD
    + "Authentication successful (auth.success) "
    + _SPAN
    + ', accountName = "'
    + USER("user")
    + '", accountId = '
    + NUMBER
    + pp.Opt(", type = " + (WORD("a-z", 16) | ('"' + WORD("a-z", 16) + '"')))
)
ENDED = (
    _HEAD
    + (
        pp.Literal("IMAP connection ended (imap.connection-end) ")
        | "POP3 connection ended (pop3.connection-end) "
    )
    + _SPAN
    + ", elapsed = "
    + NUMBER
    + "ms"
)
FAILED = _HEAD + "Authentication failed (auth.failed) " + TEXT
NOISE = (
    _HEAD
    + token(
        r"(?!Authentication (?:successful|failed) \(|(?:IMAP|POP3) connection ended \()"
        r"[0-9A-Za-z '/-]{1,128}+\([a-z0-9.-]{1,64}+\) ",
        "any other event",
    )
    + TEXT
)

_AT = "2026-11-20T09:11:20Z INFO "
_OK = "Authentication successful (auth.success) "
_IMAP = 'listenerId = "imaptls", localPort = 993, remoteIp = 192.0.2.7, remotePort = 50001'
_POP3 = 'listenerId = "pop3", localPort = 110, remoteIp = 2001:db8::7, remotePort = 50001'

SERVER = Server(
    name="stalwart",
    title="Stalwart",
    versions="0.9 - 0.15",
    programs={"stalwart": None, "stalwart-mail": None},
    accounts=("root", "stalwart", "stalwart-mail"),
    rules=(
        Rule(
            name="login",
            kind=Accepted,
            expression=LOGIN,
            session=("address", "port"),
            samples=(
                yes(
                    f'stalwart: {_AT}{_OK}{_IMAP}, accountName = "bob", accountId = 9, '
                    "type = individual",
                    Accepted(
                        user="bob",
                        address="192.0.2.7",
                        protocol="imap",
                        session="192.0.2.7,50001",
                    ),
                ),
                yes(
                    f'stalwart-mail: {_OK}{_POP3}, accountName = "bob@example.org", accountId = 9',
                    Accepted(
                        user="bob@example.org",
                        address="2001:db8::7",
                        protocol="pop3",
                        session="2001:db8::7,50001",
                    ),
                ),
                yes(
                    f'stalwart: {_AT}{_OK}{_IMAP}, accountName = "bob", accountId = 9, '
                    'type = "individual"',
                    Accepted(
                        user="bob",
                        address="192.0.2.7",
                        protocol="imap",
                        session="192.0.2.7,50001",
                    ),
                ),
                no(
                    f'stalwart: {_AT}{_OK}listenerId = "submissions", localPort = 465, remoteIp = '
                    '203.0.113.66, remotePort = 50001, accountName = "a", accountId = 9',
                    "SMTP authentication is no mail pick-up",
                ),
                no(
                    f'stalwart: {_AT}{_OK}{_IMAP}, accountName = "a", remoteIp = 203.0.113.66, '
                    'accountName = "b", accountId = 9',
                    "a quote in the name",
                ),
                no(
                    f"stalwart: {_AT}Authentication failed (auth.failed) {_IMAP}, accountName = "
                    f'"{_OK}{_IMAP}, remoteIp = 203.0.113.66, accountName = "a", accountId = 9',
                    "a failure whose name holds a login",
                ),
                no(
                    f'stalwart: {_AT}{_OK}{_IMAP}, accountName = "a", accountId = 9, remoteIp = '
                    "203.0.113.66",
                    "text after the end",
                ),
                no(
                    f'stalwart: x {_AT}{_OK}{_IMAP}, accountName = "a", accountId = 9',
                    "text in front",
                ),
            ),
        ),
        Rule(
            name="ended",
            kind=Ended,
            expression=ENDED,
            session=("address", "port"),
            samples=(
                yes(
                    f"stalwart: {_AT}IMAP connection ended (imap.connection-end) {_IMAP}, "
                    "elapsed = 618ms",
                    Ended(session="192.0.2.7,50001", protocol="imap", address="192.0.2.7"),
                ),
                yes(
                    f"stalwart: POP3 connection ended (pop3.connection-end) {_POP3}, elapsed = 9ms",
                    Ended(session="2001:db8::7,50001", protocol="pop3", address="2001:db8::7"),
                ),
                no(
                    f"stalwart: {_AT}SMTP connection ended (smtp.connection-end) listenerId = "
                    '"smtp", localPort = 25, remoteIp = 203.0.113.66, remotePort = 50001, elapsed '
                    "= 9ms",
                    "the end of an SMTP session",
                ),
                no(
                    f"stalwart: {_AT}IMAP connection ended (imap.connection-end) {_IMAP}, elapsed "
                    "= 618ms, x",
                    "text after the end",
                ),
                no(
                    f"stalwart: x {_AT}IMAP connection ended (imap.connection-end) {_IMAP}, "
                    "elapsed = 618ms",
                    "text in front",
                ),
            ),
        ),
        Rule(
            name="failed",
            kind=Refused,
            expression=FAILED,
            samples=(
                yes(
                    f"stalwart: {_AT}Authentication failed (auth.failed) {_IMAP}, accountName = "
                    '"bob"',
                    Refused(),
                ),
                yes(f"stalwart: Authentication failed (auth.failed) {_POP3}", Refused()),
                no("stalwart: Authentication failed (auth.failed) remoteIp = 203.0.113.66", "no"),
            ),
        ),
        Rule(
            name="noise",
            kind=Ignored,
            expression=NOISE,
            samples=(
                yes(
                    f"stalwart: {_AT}IMAP connection started (imap.connection-start) {_IMAP}",
                    Ignored(),
                ),
                yes(f"stalwart: IMAP LOGOUT command (imap.logout) {_IMAP}", Ignored()),
                no(
                    f'stalwart: {_AT}IMAP ID command (imap.id) {_IMAP}, details = "{_OK}remoteIp = '
                    '203.0.113.66"',
                    "the client's text",
                ),
            ),
        ),
    ),
)
