"""vm-pop3d: 1.1.6 (two lines) and today's -cc fork, and the builds with the address in the line.

Printed by      `pop3_mainloop` in vm-pop3d.c (`Connect from %s`), `pop3_user` in user.c (`User '%s'
                logged in`, `User '%s' of '%s' logged in`), `pop3_quit` in quit.c (`Session ended
                for user: %s`), `pop3_abquit` and `pop3_signal` in extra.c (the other ends). The
                one-line builds (DirectAdmin's) are known from lines seen.
Client's text   user name and domain. A name with blanks is refused before anything is written. A
                refusal begins like a login: a daemon that cuts long lines could cut one behind a
                name that spells a login, so names are kept so short that no cut line looks whole.
Session         the pid: one child per connection. IPv6 clients are written as 0.0.0.0, which no
                ledger authorises. A process that is killed by SIGKILL writes no
                end: its session ends by age.
Travels         by syslog(3), whole: one message a line.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import IPV4, TEXT, Rule, Server, line, name, name_before, samples
from ..model import Accepted, Connected, Ended, Ignored, Refused

_NAME = name_before("' ", most=120)
CONNECTED = line("Connect from {address}", address=IPV4("address"))
# Written where the peer's address could not be had. Whatever an older process of this pid left
# behind must not become this connection's address.
NO_ADDRESS = pp.Literal("Incoming connection opened") | "Connection opened"
LOGIN = line(
    "User '{user}'{domain?} logged in", user=_NAME("user"), domain=line(" of '{name}'", name=_NAME)
)
LOGIN_ONE_LINE = line("{login} from {address}, nmsgs={number}", login=LOGIN)
_HOW = pp.Literal("ended") | "timed out"
ENDED = line("Session {how} for user: {user}", how=_HOW, user=name(less=" ", most=120)("user"))
ENDED_ONE_LINE = line(
    "Session ended for user: '{user}' from {address}, nmsgs={number}, ndel={number}",
    user=_NAME("user"),
)
DROPPED = (
    pp.Literal("Socket closed")
    | "Out of memory"
    | "Quitting - couldn't open stream"
    | "Quitting - host name not found"
    | "Unknown quit"
    | line("Quitting on signal: {number}")
)
FAILED = line("User '{user}' - failed auth, from={address}", user=_NAME("user"))
NOBODY = line("Session {how} for no user", how=_HOW)
NOISE = (
    pp.Literal("vm-pop3d startup ")
    | "bytes: "
    | "Non-existent user: "
    | "Couldn't open password file: "
    | "Unable to use "
    | "Failed to create lockfile: "
    | "cmd: "
    | "uid "
    | "pop3 user: "
) + TEXT

CONNECTED_LINES = samples("""
vm-pop3d[4711]: Connect from 192.0.2.7
    -> connected address=192.0.2.7 session=4711
vm-pop3d[4711]: Connect from 0.0.0.0
    -> connected address=0.0.0.0 session=4711
vm-pop3d[4711]: Connect from 203.0.113.66, 192.0.2.7
    not: two addresses
vm-pop3d: Connect from 203.0.113.66
    not: no pid, so nothing to tie it to
vm-pop3d[4711]: cmd: Connect from 203.0.113.66
    not: the client's command, written when debugging
""")

NO_ADDRESS_LINES = samples("""
vm-pop3d[4711]: Incoming connection opened
    -> ended protocol=pop3 session=4711
vm-pop3d[4711]: Connection opened
    -> ended protocol=pop3 session=4711
vm-pop3d[4711]: connection opened by 203.0.113.66
    not: not a line of vm-pop3d's
vm-pop3d[4711]: Connection opened by 203.0.113.66
    not: text after the end
vm-pop3d[4711]: cmd: Connection opened
    not: the client's command, written when debugging
""")

LOGIN_LINES = samples(r"""
vm-pop3d[4711]: User 'o'neil={a}' of 'example.org' logged in
    -> accepted user=o'neil={a} protocol=pop3 session=4711
vm-pop3d[4711]: User 'bob' logged in
    -> accepted user=bob protocol=pop3 session=4711
vm-pop3d[4711]: User 'bob' of 'example.org' logged in
    -> accepted user=bob protocol=pop3 session=4711
vm-pop3d[4711]: User 'bob' logged in from 203.0.113.66
    not: not the whole line
vm-pop3d[4711]: User 'bob' of 'x' of 'y' logged in
    not: a quote in the domain
""")

LOGIN_ONE_LINE_LINES = samples("""
vm-pop3d[4711]: User 'bob@example.org' logged in from 192.0.2.7, nmsgs=3
    -> accepted user=bob@example.org address=192.0.2.7 protocol=pop3 session=4711
vm-pop3d[4711]: User 'bob' of 'example.org' logged in from 192.0.2.7, nmsgs=0
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711
vm-pop3d[4711]: User 'a' logged in from 203.0.113.66, nmsgs=3' - failed auth, from=192.0.2.7
    not: a failure whose name holds a login
vm-pop3d[4711]: User 'a' logged in from 203.0.113.66, nmsgs=3' logged in from 192.0.2.7, nmsgs=3
    not: a login whose name holds another
""")

ENDED_LINES = samples("""
vm-pop3d[4711]: Session ended for user: bob
    -> ended user=bob protocol=pop3 session=4711
vm-pop3d[4711]: Session timed out for user: bob
    -> ended user=bob protocol=pop3 session=4711
vm-pop3d[4711]: Session ended for user:\x20
    not: no name
vm-pop3d[4711]: Session ended for user: bob smith
    not: text after the end
vm-pop3d[4711]: cmd: Session ended for user: bob
    not: the client's command, written when debugging
""")

ENDED_ONE_LINE_LINES = samples("""
vm-pop3d[4711]: Session ended for user: 'bob' from 192.0.2.7, nmsgs=3, ndel=0
    -> ended user=bob address=192.0.2.7 protocol=pop3 session=4711
vm-pop3d[4711]: Session ended for user: 'a' from 203.0.113.66, nmsgs=3
    not: not the whole line
vm-pop3d[4711]: Session ended for user: 'a' from 203.0.113.66, nmsgs=3, ndel=0, x
    not: text after the end
vm-pop3d[4711]: cmd: Session ended for user: 'a' from 203.0.113.66, nmsgs=3, ndel=0
    not: the client's command, written when debugging
""")

DROPPED_LINES = samples("""
vm-pop3d[4711]: Socket closed
    -> ended protocol=pop3 session=4711
vm-pop3d[4711]: Quitting on signal: 15
    -> ended protocol=pop3 session=4711
vm-pop3d[4711]: Out of memory
    -> ended protocol=pop3 session=4711
vm-pop3d[4711]: Quitting - couldn't open stream
    -> ended protocol=pop3 session=4711
vm-pop3d[4711]: Quitting - host name not found
    -> ended protocol=pop3 session=4711
vm-pop3d[4711]: Unknown quit
    -> ended protocol=pop3 session=4711
vm-pop3d[4711]: Unknown quit of 203.0.113.66
    not: text after the end
vm-pop3d: Socket closed
    not: no pid, so nothing to tie it to
vm-pop3d[4711]: Socket closed by 203.0.113.66
    not: text after the end
vm-pop3d[4711]: cmd: Socket closed
    not: the client's command, written when debugging
""")

FAILED_LINES = samples("""
vm-pop3d[4711]: User 'bob' - failed auth, from=192.0.2.7
    -> refused user=bob address=192.0.2.7
vm-pop3d[4711]: User 'bob' - failed auth, from=203.0.113.66
    not: a failure
""")

NOBODY_LINES = samples("""
vm-pop3d[4711]: Session ended for no user
    -> ended protocol=pop3 session=4711
vm-pop3d[4711]: Session timed out for no user
    -> ended protocol=pop3 session=4711
vm-pop3d[4711]: Session ended for no user from 203.0.113.66
    not: text after the end
vm-pop3d[4711]: cmd: Session ended for no user
    not: the client's command, written when debugging
""")

NOISE_LINES = samples("""
vm-pop3d: vm-pop3d startup succeeded
    -> ignored
vm-pop3d[4711]: bytes: domain example.org 491 bytes
    -> ignored
vm-pop3d[4711]: Non-existent user: bob (example.org)
    -> ignored
vm-pop3d[4711]: Couldn't open password file: /etc/virtual/x/passwd
    -> ignored
vm-pop3d[4711]: Unable to use bob's mailbox; using /dev/null
    -> ignored
vm-pop3d[4711]: Failed to create lockfile: "/var/mail/bob.lock"
    -> ignored
vm-pop3d[4711]: cmd: USER bob
    -> ignored
vm-pop3d[4711]: uid 1000, gid 8
    -> ignored
vm-pop3d[4711]: pop3 user: bob
    -> ignored
vm-pop3d[4711]: cmd: User 'a' logged in from 203.0.113.66, nmsgs=3
    not: the client's command, written when debugging
""")

SERVER = Server(
    name="vm-pop3d",
    title="vm-pop3d",
    versions="1.1.6 - 1.1.7, -cc",
    programs={"vm-pop3d": "pop3"},
    accounts=("root", "=user"),
    rules=(
        Rule("connected", Connected, CONNECTED, CONNECTED_LINES, session=("pid",)),
        Rule("no-address", Ended, NO_ADDRESS, NO_ADDRESS_LINES, session=("pid",)),
        Rule("login", Accepted, LOGIN, LOGIN_LINES, session=("pid",)),
        Rule("login-one-line", Accepted, LOGIN_ONE_LINE, LOGIN_ONE_LINE_LINES, session=("pid",)),
        Rule("ended", Ended, ENDED, ENDED_LINES, session=("pid",)),
        Rule("ended-one-line", Ended, ENDED_ONE_LINE, ENDED_ONE_LINE_LINES, session=("pid",)),
        Rule("dropped", Ended, DROPPED, DROPPED_LINES, session=("pid",)),
        Rule("failed", Refused, FAILED, FAILED_LINES),
        Rule("nobody", Ended, NOBODY, NOBODY_LINES, session=("pid",)),
        Rule("noise", Ignored, NOISE, NOISE_LINES),
    ),
)
