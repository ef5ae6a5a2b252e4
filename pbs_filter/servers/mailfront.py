"""mailfront 1.x and 2.x (Bruce Guenter's pop3front) under tcpserver, both logging to `logger`.

Printed by      tcpserver.c of ucspi-tcp (`tcpserver: ok PID LHOST:LIP:LPORT RHOST:RIP:RUSER:RPORT`,
                `tcpserver: end PID status S`); `respond` and `logmsg` in pop3-response.c (the
                protocol trace `PROGRAM[PID]: ...`), for pop3front-auth and, in the same process
                after the login, pop3front-maildir.
Client's text   the trace: every command, raw. tcpserver writes `?` for `:`, blanks, controls and
                8-bit characters in names. But `logger` (above 1 KiB), journald (48 KiB) and svlogd
                make several messages of one long line, and then a client's command is the beginning
                of a message, of whatever words it likes. Shorten the lines in front of them: `2>&1
                | stdbuf -oL cut -b 1-500 | logger -t pop3front -p mail.info`. The tag is the
                administrator's choice; ours are two that are not used by accident.
Session         the pid in the text: the same from tcpserver's child to pop3front-maildir. A success
                shows only as the change of program: the first `+OK ` of pop3front-maildir. The user
                is not in it. imapfront-auth writes nothing on success, so that IMAP logins cannot
                be seen here (the program behind it may log them).
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import IPV4, NUMBER, PORT, TEXT, WORD, Rule, Server, no, token, yes
from ..model import Accepted, Connected, Ended, Ignored, Refused

_WORD = pp.Opt(WORD("!-9;-~", 103))
_PID = NUMBER("child")
CONNECTED = (
    "tcpserver: ok "
    + _PID
    + " "
    + _WORD
    + ":"
    + IPV4("local")
    + ":"
    + PORT
    + " "
    + _WORD
    + ":"
    + IPV4("address")
    + ":"
    + _WORD
    + ":"
    + PORT
)
LOGIN = "pop3front-maildir[" + _PID + "]: +OK" + pp.Opt(" ")
ENDED = "tcpserver: end " + _PID + " status " + NUMBER
DENIED = "tcpserver: deny " + NUMBER + " " + TEXT
FAILED = "pop3front-auth[" + NUMBER + "]: -ERR " + TEXT
TRACE = (
    (
        pp.Literal("pop3front-auth[")
        + NUMBER
        + "]: "
        + token("(?!-ERR )(?s:.){0,4096}+", "no failure")
    )
    | (
        pp.Literal("pop3front-maildir[")
        + NUMBER
        + "]: "
        + token(r"(?!\+OK ?\Z)(?s:.){0,4096}+", "no success")
    )
    | (pp.Literal("imapfront-auth[") + NUMBER + "]: ")
    | (pp.Literal("tcpserver: pid ") + NUMBER + " from ")
    | "tcpserver: status: "
    | "tcpserver: warning: "
) + TEXT

SERVER = Server(
    name="mailfront",
    title="mailfront (pop3front)",
    versions="1.x, 2.x",
    programs={"pop3front": "pop3", "mailfront": "pop3"},
    rules=(
        Rule(
            name="connected",
            kind=Connected,
            expression=CONNECTED,
            session=("child",),
            samples=(
                yes(
                    "pop3front: tcpserver: ok 4711 mx1.example.org:192.0.2.1:110 "
                    "dsl7.example.net:198.51.100.7:bob:50001",
                    Connected(address="198.51.100.7", session="4711"),
                ),
                yes(
                    "pop3front: tcpserver: ok 4711 :192.0.2.1:110 :198.51.100.7::50001",
                    Connected(address="198.51.100.7", session="4711"),
                ),
                yes(
                    "pop3front: tcpserver: ok 4711 0:192.0.2.1:110 203.0.113.66:198.51.100.7::1",
                    Connected(address="198.51.100.7", session="4711"),
                ),
                no(
                    "pop3front: tcpserver: ok 4711 :192.0.2.1:110 x:203.0.113.66::198.51.100.7::1",
                    "a colon in a name",
                ),
                no(
                    "pop3front: pop3front-auth[4711]: tcpserver: ok 4711 0:192.0.2.1:110 "
                    ":203.0.113.66::50001",
                    "the client's command",
                ),
            ),
        ),
        Rule(
            name="login",
            kind=Accepted,
            expression=LOGIN,
            session=("child",),
            samples=(
                yes(
                    "pop3front: pop3front-maildir[4711]: +OK ",
                    Accepted(user="", protocol="pop3", session="4711"),
                ),
                yes(
                    "mailfront: pop3front-maildir[4711]: +OK",
                    Accepted(user="", protocol="pop3", session="4711"),
                ),
                no("pop3front: pop3front-auth[4711]: +OK ", "the greeting, or USER accepted"),
                no(
                    "pop3front: pop3front-auth[4711]: USER pop3front-maildir[4711]: +OK ",
                    "the client's command",
                ),
                no(
                    "pop3front: pop3front-auth[4711]: USER x#015pop3front-maildir[4711]: +OK ",
                    "a line break in the client's command",
                ),
                no(
                    "pop3front: pop3front-maildir[4711]: +OK 2 7120",
                    "the answer to a later command",
                ),
            ),
        ),
        Rule(
            name="ended",
            kind=Ended,
            expression=ENDED,
            session=("child",),
            samples=(
                yes(
                    "pop3front: tcpserver: end 4711 status 0",
                    Ended(session="4711", protocol="pop3"),
                ),
                no("pop3front: pop3front-auth[4711]: tcpserver: end 4711 status 0", "a command"),
                no("pop3front: tcpserver: end 4711 status 0 x", "text after the end"),
            ),
        ),
        Rule(
            name="denied",
            kind=Refused,
            expression=DENIED,
            samples=(
                yes(
                    "pop3front: tcpserver: deny 4711 0:192.0.2.1:110 :198.51.100.7::50001",
                    Refused(),
                ),
                no(
                    "pop3front: tcpserver: deny 4711 0:192.0.2.1:110 :203.0.113.66::50001",
                    "denied by tcpserver's rules",
                ),
            ),
        ),
        Rule(
            name="failed",
            kind=Refused,
            expression=FAILED,
            samples=(
                yes("pop3front: pop3front-auth[4711]: -ERR Authentication failed", Refused()),
                no("pop3front: pop3front-auth[4711]: -ERR 203.0.113.66", "a failure"),
            ),
        ),
        Rule(
            name="trace",
            kind=Ignored,
            expression=TRACE,
            samples=(
                yes("pop3front: pop3front-auth[4711]: USER bob", Ignored()),
                yes("pop3front: pop3front-maildir[4711]: RETR 1", Ignored()),
                yes("pop3front: pop3front-maildir[4711]: +OK 2 7120", Ignored()),
                yes("pop3front: imapfront-auth[4711]: * OK imapfront ready.", Ignored()),
                yes("pop3front: tcpserver: pid 4711 from 198.51.100.7", Ignored()),
                yes("pop3front: tcpserver: status: 1/40", Ignored()),
                yes(
                    "pop3front: tcpserver: warning: dropping connection, unable to run x", Ignored()
                ),
                no(
                    "pop3front: pop3front-auth[4711]: tcpserver: pid 4711 from 203.0.113.66",
                    "the client's command",
                ),
            ),
        ),
    ),
)
