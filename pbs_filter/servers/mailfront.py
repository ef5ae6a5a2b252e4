"""mailfront 1.x and 2.x (Bruce Guenter's pop3front) under tcpserver, both logging to `logger`.

Printed by      tcpserver.c of ucspi-tcp (`tcpserver: ok PID LHOST:LIP:LPORT RHOST:RIP:RUSER:RPORT`,
                `tcpserver: end PID status S`); `respond` and `logmsg` in pop3-response.c (the
                protocol trace `PROGRAM[PID]: ...`), for pop3front-auth and, in the same process
                after the login, pop3front-maildir; `respond` in imapfront-auth.c (SME server's
                multilog has that in front, as the program's name).
Client's text   the trace: every command, raw; of IMAP only the tag, which has no blank and stands
                before `OK`, `NO` or `BAD`: it spells no other line. tcpserver writes `?` for `:`,
                blanks, controls and 8-bit characters in names. The program's name is the
                administrator's choice; ours are three that are not used by accident.
Session         the pid in the text: the same from tcpserver's child to pop3front-maildir. A success
                shows only as the change of program: the first `+OK ` of pop3front-maildir. Its
                later ones (DELE, NOOP, QUIT) are the same text: the session is open by then, and
                they count as told already. imapfront-auth writes nothing on success, so that IMAP
                logins cannot be seen here (the program behind it may log them).
User            unknown. The login has no name; `USER bob` stands in an earlier line of the trace,
                which is neither a connection nor a login, and no observation carries a name
                between the two. A name taken from there must also be dropped at each AUTH, whose
                name the trace does not show: else `USER alice` in front of bob's AUTH would make
                bob's login alice's.
Travels         by stderr into `logger`, which cuts at 1 KiB (`--size`), svlogd or journald (48 KiB);
                nothing stands in front of a piece, which is a client's command, of whatever words
                it likes. So nothing is read unless `servers` names it; shorten the lines first:
                `2>&1 | stdbuf -oL cut -b 1-500 | logger -t pop3front -p mail.info`.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import IPV4, NUMBER, TEXT, WORD, Rule, Server, line, samples, token
from ..grammar.carriage import Carriage
from ..model import Accepted, Connected, Ended, Ignored, Refused

_PARTS = {
    "child": NUMBER("child"),
    "word": pp.Opt(WORD("!-9;-~", 103)),
    "local": IPV4("local"),
    "address": IPV4("address"),
    "no_failure": token("(?!-ERR )(?s:.){0,4096}+", "no failure"),
    "no_success": token(r"(?!\+OK ?\Z)(?s:.){0,4096}+", "no success"),
}
CONNECTED = line(
    "tcpserver: ok {child} {word}:{local}:{port} {word}:{address}:{word}:{port}", **_PARTS
)
LOGIN = line("pop3front-maildir[{child}]: +OK{blank?}", blank=pp.Literal(" "), **_PARTS)
ENDED = line("tcpserver: end {child} status {number}", **_PARTS)
DENIED = line("tcpserver: deny {number} {text}")
FAILED = line("pop3front-auth[{number}]: -ERR {text}")
TRACE = (
    line("pop3front-auth[{number}]: {no_failure}", **_PARTS)
    | line("pop3front-maildir[{number}]: {no_success}", **_PARTS)
    | line("imapfront-auth[{number}]: ")
    | "* "
    | line("{tag} {answer} ", tag=WORD("!-~", 4096), answer=pp.Literal("OK") | "NO" | "BAD")
    | line("tcpserver: pid {number} from ")
    | "tcpserver: status: "
    | "tcpserver: warning: "
) + TEXT


CONNECTED_LINES = samples("""
pop3front: tcpserver: ok 4711 mx1.example.org:192.0.2.1:110 dsl7.example.net:198.51.100.7:bob:50001
    -> connected address=198.51.100.7 session=4711
pop3front: tcpserver: ok 4711 :192.0.2.1:110 :198.51.100.7::50001
    -> connected address=198.51.100.7 session=4711
pop3front: tcpserver: ok 4711 0:192.0.2.1:110 203.0.113.66:198.51.100.7::1
    -> connected address=198.51.100.7 session=4711
pop3front: tcpserver: ok 4711 :192.0.2.1:110 x:203.0.113.66::198.51.100.7::1
    not: a colon in a name
pop3front: pop3front-auth[4711]: tcpserver: ok 4711 0:192.0.2.1:110 :203.0.113.66::50001
    not: the client's command
""")

LOGIN_LINES = samples("""
pop3front: pop3front-maildir[4711]: +OK\x20
    -> accepted user= protocol=pop3 session=4711
mailfront: pop3front-maildir[4711]: +OK
    -> accepted user= protocol=pop3 session=4711
pop3front: pop3front-auth[4711]: +OK\x20
    not: the greeting, or USER accepted
pop3front: pop3front-auth[4711]: USER pop3front-maildir[4711]: +OK\x20
    not: the client's command
pop3front: pop3front-auth[4711]: USER x#015pop3front-maildir[4711]: +OK\x20
    not: a line break in the client's command
pop3front: pop3front-maildir[4711]: +OK 2 7120
    not: the answer to a later command
""")

ENDED_LINES = samples("""
pop3front: tcpserver: end 4711 status 0
    -> ended protocol=pop3 session=4711
pop3front: pop3front-auth[4711]: tcpserver: end 4711 status 0
    not: a command
pop3front: tcpserver: end 4711 status 0 x
    not: text after the end
""")

DENIED_LINES = samples("""
pop3front: tcpserver: deny 4711 0:192.0.2.1:110 :198.51.100.7::50001
    -> refused
pop3front: tcpserver: deny 4711 0:192.0.2.1:110 :203.0.113.66::50001
    not: denied by tcpserver's rules
""")

FAILED_LINES = samples("""
pop3front: pop3front-auth[4711]: -ERR Authentication failed
    -> refused
pop3front: pop3front-auth[4711]: -ERR 203.0.113.66
    not: a failure
""")

TRACE_LINES = samples("""
pop3front: pop3front-auth[4711]: USER bob
    -> ignored
pop3front: pop3front-maildir[4711]: RETR 1
    -> ignored
pop3front: pop3front-maildir[4711]: +OK 2 7120
    -> ignored
pop3front: imapfront-auth[4711]: * OK imapfront ready.
    -> ignored
imapfront-auth[4711]: * OK imapfront ready.
    -> ignored
imapfront-auth[4711]: a1 NO LOGIN failed
    -> ignored
imapfront-auth[4711]: a2 OK LOGOUT completed
    -> ignored
imapfront-auth[4711]: tcpserver: BAD Syntax error
    -> ignored
imapfront-auth[4711]: pop3front-maildir[4711]: BAD Unimplemented command
    not: the client's tag
pop3front: tcpserver: pid 4711 from 198.51.100.7
    -> ignored
pop3front: tcpserver: status: 1/40
    -> ignored
pop3front: tcpserver: warning: dropping connection, unable to run x
    -> ignored
pop3front: pop3front-auth[4711]: tcpserver: pid 4711 from 203.0.113.66
    not: the client's command
""")

CARRIAGE = Carriage(
    cut_bytes=1024,
    off=True,
    cure="logger(1) cuts long commands of a client into messages that can look like logins: "
    "shorten the lines in front of it (`2>&1 | stdbuf -oL cut -b 1-500 | logger -t pop3front`) and "
    "name mailfront in servers",
)

SERVER = Server(
    name="mailfront",
    title="mailfront (pop3front)",
    versions="1.x, 2.x",
    programs={"pop3front": "pop3", "mailfront": "pop3", "imapfront-auth": "imap"},
    carriage=CARRIAGE,
    rules=(
        Rule("connected", Connected, CONNECTED, CONNECTED_LINES, session=("child",)),
        Rule("login", Accepted, LOGIN, LOGIN_LINES, session=("child",)),
        Rule("ended", Ended, ENDED, ENDED_LINES, session=("child",)),
        Rule("denied", Refused, DENIED, DENIED_LINES),
        Rule("failed", Refused, FAILED, FAILED_LINES),
        Rule("trace", Ignored, TRACE, TRACE_LINES),
    ),
)
