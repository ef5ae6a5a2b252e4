"""tpop3d 1.2 to 1.5 (Chris Lightfoot's POP3 server).

Printed by      netloop.c: `fork_child` (the login, by the parent, which knows the child's pid),
                `listeners_post_select` (connections), `connections_post_select` (the end, by the
                child), `net_loop`; `connection_do` in connection.c (failures); authswitch.c (the
                same login a second time, without an address).
Client's text   the user name, twice; names with blanks are refused by the command's parser.
Session         the child's pid: in the login's text, in the header of the end. IPv4 only.
Travels         by syslog(3), whole: one message a line.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import NUMBER, TEXT, WORD, Rule, Server, line, name_before, samples
from ..model import Accepted, Ended, Ignored, Refused

_CLIENT = line("[{number}]{name}({address}): ", name=name_before("("))
_USER_AND_DRIVER = line(" session for `{user}' with {driver}", driver=WORD("0-9A-Za-z_-", 32))
LOGIN = line(
    "fork_child: {client}began{user}; child PID is {child}",
    client=_CLIENT,
    user=_USER_AND_DRIVER,
    child=NUMBER("child"),
)
ENDED = line(
    "connections_post_select: client {client}finished{user}",
    client=_CLIENT,
    user=_USER_AND_DRIVER,
)
KILLED = line(
    "net_loop: child process {child} killed by signal {number}{really?}",
    child=NUMBER("child"),
    really=pp.Literal(" (shouldn't happen)"),
)
FAILED = pp.Literal("connection_do: client ") + TEXT
NOISE = (
    pp.Literal("listeners_post_select: ")
    | "authcontext_"
    | "net_loop: timed out client "
    | "net_loop: tpop3d version "
    | "net_loop: terminating "
    | "net_loop: restarting "
) + TEXT
DISCONNECTED = line(
    "connections_post_select: client {client} disconnected; {number}/{number} bytes read/written",
    client=WORD("!-~", 400),
)

LOGIN_LINES = samples(r"""
tpop3d[4711]: fork_child: [9]pat o'neil=[a]\b(192.0.2.7): began session for `pat o'neil=[a]\b' with pam; child PID is 4800
    -> accepted user=pat o'neil=[a]\b address=192.0.2.7 protocol=pop3 session=4800
tpop3d[4711]: fork_child: [9]bob(192.0.2.7): began session for `bob' with pam; child PID is 4800
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4800
tpop3d[4711]: fork_child: [9]a(203.0.113.66): began session for `a' with pam
    not: not the whole line
tpop3d[4711]: fork_child: [9]a(203.0.113.66): began session for `a' with pam; child PID is 1(192.0.2.7): began session for `b' with pam; child PID is 4800
    not: a name that holds a whole line
tpop3d[4711]: authcontext_new_user_pass: began session for `bob' with pam; uid 1000, gid 8
    not: has no address
""")

ENDED_LINES = samples("""
tpop3d[4800]: connections_post_select: client [9]bob(192.0.2.7): finished session for `bob' with pam
    -> ended user=bob address=192.0.2.7 protocol=pop3 session=4800
tpop3d[4800]: connections_post_select: client [9]a(203.0.113.66): finished
    not: not the whole line
tpop3d[4800]: connections_post_select: client [9]a(203.0.113.66): finished session for `a' with pam x
    not: text after the end
tpop3d[4800]: net_loop: timed out client connections_post_select: client [9]a(203.0.113.66): finished session for `a' with pam
    not: text in front
""")

KILLED_LINES = samples("""
tpop3d[4711]: net_loop: child process 4800 killed by signal 11 (shouldn't happen)
    -> ended protocol=pop3 session=4800
tpop3d[4711]: net_loop: child process 4800 killed by signal 11
    -> ended protocol=pop3 session=4800
tpop3d[4711]: net_loop: child process 4800
    not: not the whole line
tpop3d[4800]: net_loop: child process 4800 killed by signal 11 x
    not: text after the end
tpop3d[4800]: net_loop: restarting net_loop: child process 4800 killed by signal 11
    not: text in front
""")

FAILED_LINES = samples("""
tpop3d[4711]: connection_do: client `[9]192.0.2.7/192.0.2.1': username `bob': 1 authentication failures
    -> refused
tpop3d[4711]: connection_do: client `[9]192.0.2.7/192.0.2.1': username `fork_child: [9]a(203.0.113.66): began session for `a' with pam; child PID is 1': 1 authentication failures
    not: a failure whose name holds a login
""")

DISCONNECTED_LINES = samples("""
tpop3d[4800]: connections_post_select: client [9]bob(192.0.2.7): disconnected; 42/163 bytes read/written
    -> ignored
tpop3d[4711]: connections_post_select: client [9]203.0.113.66/192.0.2.1: disconnected; 6/40 bytes read/written
    not: the end of a connection without a login
""")

NOISE_LINES = samples("""
tpop3d[4711]: listeners_post_select: client [9]192.0.2.7/192.0.2.1: connected to local address 192.0.2.1:110
    -> ignored
tpop3d[4711]: authcontext_new_apop: began session for `bob' with pam; uid 1, gid 8
    -> ignored
tpop3d[4711]: net_loop: timed out client [9]bob(192.0.2.7)
    -> ignored
tpop3d[4711]: net_loop: tpop3d version 1.5.5 successfully started
    -> ignored
tpop3d[4711]: net_loop: terminating on signal 15
    -> ignored
tpop3d[4711]: net_loop: restarting on signal 1
    -> ignored
tpop3d[4711]: listeners_post_select: client [9]203.0.113.66/192.0.2.1: connected to local address 192.0.2.1:110
    not: connected, not logged in
""")

SERVER = Server(
    name="tpop3d",
    title="tpop3d",
    versions="1.2 - 1.5",
    programs={"tpop3d": "pop3"},
    accounts=("root", "=user"),
    rules=(
        Rule("login", Accepted, LOGIN, LOGIN_LINES, session=("child",)),
        Rule("ended", Ended, ENDED, ENDED_LINES, session=("pid",)),
        Rule("killed", Ended, KILLED, KILLED_LINES, session=("child",)),
        Rule("failed", Refused, FAILED, FAILED_LINES),
        Rule("disconnected", Ignored, DISCONNECTED, DISCONNECTED_LINES),
        Rule("noise", Ignored, NOISE, NOISE_LINES),
    ),
)
