"""vm-pop3d: 1.1.6 (two lines) and today's -cc fork, and the builds with the address in the line.

Printed by      `pop3_mainloop` in vm-pop3d.c (`Connect from %s`), `pop3_user` in user.c (`User '%s'
                logged in`, `User '%s' of '%s' logged in`), `pop3_quit` in quit.c (`Session ended
                for user: %s`), `pop3_abquit` and `pop3_signal` in extra.c (the other ends). The
                one-line builds (DirectAdmin's) are known from lines seen.
Client's text   user name and domain. A name with blanks is refused before anything is written. A
                refusal begins like a login: a daemon that cuts long lines could cut one behind a
                name that spells a login, so names are kept so short that no cut line looks whole.
Session         the pid: one child per connection. IPv6 clients are written as 0.0.0.0, which no
                ledger authorises.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import ADDRESS, IPV4, NUMBER, TEXT, Rule, Server, no, user_token, yes
from ..model import Accepted, Connected, Ended, Ignored, Refused

_NAME = user_token(most=120)
CONNECTED = "Connect from " + IPV4("address")
# Written where the peer's address could not be had. Whatever an older process of this pid left
# behind must not become this connection's address.
NO_ADDRESS = pp.Literal("Incoming connection opened") | "Connection opened"
LOGIN = "User '" + _NAME("user") + "'" + pp.Opt(" of '" + _NAME + "'") + " logged in"
LOGIN_ONE_LINE = LOGIN + " from " + ADDRESS("address") + ", nmsgs=" + NUMBER
_COUNTS = pp.Literal(", nmsgs=") + NUMBER + ", ndel=" + NUMBER
ENDED = "Session " + (pp.Literal("ended") | "timed out") + " for user: " + _NAME("user")
ENDED_ONE_LINE = (
    "Session ended for user: '" + _NAME("user") + "' from " + ADDRESS("address") + _COUNTS
)
DROPPED = pp.Literal("Socket closed") | pp.Literal("Quitting on signal: ") + NUMBER
FAILED = "User '" + _NAME("user") + "' - failed auth, from=" + ADDRESS("address")
NOBODY = "Session " + (pp.Literal("ended") | "timed out") + " for no user" + TEXT
NOISE = (
    pp.Literal("vm-pop3d startup ")
    | "bytes: "
    | "Non-existent user: "
    | "Couldn't open password file: "
    | "Unable to use "
    | "Failed to create lockfile: "
    | "cmd: "
    | "uid "
) + TEXT

SERVER = Server(
    name="vm-pop3d",
    title="vm-pop3d",
    versions="1.1.6 - 1.1.7, -cc",
    programs={"vm-pop3d": "pop3"},
    accounts=("root", "=user"),
    rules=(
        Rule(
            name="connected",
            kind=Connected,
            expression=CONNECTED,
            session=("pid",),
            samples=(
                yes(
                    "vm-pop3d[4711]: Connect from 192.0.2.7",
                    Connected(address="192.0.2.7", session="4711"),
                ),
                yes(
                    "vm-pop3d[4711]: Connect from 0.0.0.0",
                    Connected(address="0.0.0.0", session="4711"),
                ),
                no("vm-pop3d[4711]: Connect from 203.0.113.66, 192.0.2.7", "two addresses"),
                no("vm-pop3d: Connect from 203.0.113.66", "no pid, so nothing to tie it to"),
                no(
                    "vm-pop3d[4711]: cmd: Connect from 203.0.113.66",
                    "the client's command, written when debugging",
                ),
            ),
        ),
        Rule(
            name="no-address",
            kind=Ended,
            expression=NO_ADDRESS,
            session=("pid",),
            samples=(
                yes(
                    "vm-pop3d[4711]: Incoming connection opened",
                    Ended(session="4711", protocol="pop3"),
                ),
                yes("vm-pop3d[4711]: Connection opened", Ended(session="4711", protocol="pop3")),
                no("vm-pop3d[4711]: connection opened by 203.0.113.66", "not a line of vm-pop3d's"),
                no("vm-pop3d[4711]: Connection opened by 203.0.113.66", "text after the end"),
                no(
                    "vm-pop3d[4711]: cmd: Connection opened",
                    "the client's command, written when debugging",
                ),
            ),
        ),
        Rule(
            name="login",
            kind=Accepted,
            expression=LOGIN,
            session=("pid",),
            samples=(
                yes(
                    "vm-pop3d[4711]: User 'bob' logged in",
                    Accepted(user="bob", protocol="pop3", session="4711"),
                ),
                yes(
                    "vm-pop3d[4711]: User 'bob' of 'example.org' logged in",
                    Accepted(user="bob", protocol="pop3", session="4711"),
                ),
                no("vm-pop3d[4711]: User 'bob' logged in from 203.0.113.66", "not the whole line"),
                no("vm-pop3d[4711]: User 'bob' of 'x' of 'y' logged in", "a quote in the domain"),
            ),
        ),
        Rule(
            name="login-one-line",
            kind=Accepted,
            expression=LOGIN_ONE_LINE,
            session=("pid",),
            samples=(
                yes(
                    "vm-pop3d[4711]: User 'bob@example.org' logged in from 192.0.2.7, nmsgs=3",
                    Accepted(
                        user="bob@example.org",
                        address="192.0.2.7",
                        protocol="pop3",
                        session="4711",
                    ),
                ),
                yes(
                    "vm-pop3d[4711]: User 'bob' of 'example.org' logged in from 192.0.2.7, nmsgs=0",
                    Accepted(user="bob", address="192.0.2.7", protocol="pop3", session="4711"),
                ),
                no(
                    "vm-pop3d[4711]: User 'a' logged in from 203.0.113.66, nmsgs=3' - failed auth, "
                    "from=192.0.2.7",
                    "a failure whose name holds a login",
                ),
                no(
                    "vm-pop3d[4711]: User 'a' logged in from 203.0.113.66, nmsgs=3' logged in from "
                    "192.0.2.7, nmsgs=3",
                    "a login whose name holds another",
                ),
            ),
        ),
        Rule(
            name="ended",
            kind=Ended,
            expression=ENDED,
            session=("pid",),
            samples=(
                yes(
                    "vm-pop3d[4711]: Session ended for user: bob",
                    Ended(session="4711", user="bob", protocol="pop3"),
                ),
                yes(
                    "vm-pop3d[4711]: Session timed out for user: bob",
                    Ended(session="4711", user="bob", protocol="pop3"),
                ),
                no("vm-pop3d[4711]: Session ended for user: ", "no name"),
                no("vm-pop3d[4711]: Session ended for user: bob smith", "text after the end"),
                no(
                    "vm-pop3d[4711]: cmd: Session ended for user: bob",
                    "the client's command, written when debugging",
                ),
            ),
        ),
        Rule(
            name="ended-one-line",
            kind=Ended,
            expression=ENDED_ONE_LINE,
            session=("pid",),
            samples=(
                yes(
                    "vm-pop3d[4711]: Session ended for user: 'bob' from 192.0.2.7, nmsgs=3, ndel=0",
                    Ended(session="4711", user="bob", protocol="pop3", address="192.0.2.7"),
                ),
                no(
                    "vm-pop3d[4711]: Session ended for user: 'a' from 203.0.113.66, nmsgs=3",
                    "not the whole line",
                ),
                no(
                    "vm-pop3d[4711]: Session ended for user: 'a' from 203.0.113.66, nmsgs=3, "
                    "ndel=0, x",
                    "text after the end",
                ),
                no(
                    "vm-pop3d[4711]: cmd: Session ended for user: 'a' from 203.0.113.66, nmsgs=3, "
                    "ndel=0",
                    "the client's command, written when debugging",
                ),
            ),
        ),
        Rule(
            name="dropped",
            kind=Ended,
            expression=DROPPED,
            session=("pid",),
            samples=(
                yes("vm-pop3d[4711]: Socket closed", Ended(session="4711", protocol="pop3")),
                yes(
                    "vm-pop3d[4711]: Quitting on signal: 15",
                    Ended(session="4711", protocol="pop3"),
                ),
                no("vm-pop3d: Socket closed", "no pid, so nothing to tie it to"),
                no("vm-pop3d[4711]: Socket closed by 203.0.113.66", "text after the end"),
                no(
                    "vm-pop3d[4711]: cmd: Socket closed",
                    "the client's command, written when debugging",
                ),
            ),
        ),
        Rule(
            name="failed",
            kind=Refused,
            expression=FAILED,
            samples=(
                yes(
                    "vm-pop3d[4711]: User 'bob' - failed auth, from=192.0.2.7",
                    Refused(user="bob", address="192.0.2.7"),
                ),
                no("vm-pop3d[4711]: User 'bob' - failed auth, from=203.0.113.66", "a failure"),
            ),
        ),
        Rule(
            name="nobody",
            kind=Ignored,
            expression=NOBODY,
            samples=(
                yes("vm-pop3d[4711]: Session ended for no user", Ignored()),
                yes("vm-pop3d[4711]: Session timed out for no user", Ignored()),
                no("vm-pop3d[4711]: Session ended for no user from 203.0.113.66", "nobody"),
            ),
        ),
        Rule(
            name="noise",
            kind=Ignored,
            expression=NOISE,
            samples=(
                yes("vm-pop3d: vm-pop3d startup succeeded", Ignored()),
                yes("vm-pop3d[4711]: bytes: domain example.org 491 bytes", Ignored()),
                yes("vm-pop3d[4711]: Non-existent user: bob (example.org)", Ignored()),
                yes(
                    "vm-pop3d[4711]: Couldn't open password file: /etc/virtual/x/passwd", Ignored()
                ),
                yes("vm-pop3d[4711]: Unable to use bob's mailbox; using /dev/null", Ignored()),
                yes('vm-pop3d[4711]: Failed to create lockfile: "/var/mail/bob.lock"', Ignored()),
                yes("vm-pop3d[4711]: cmd: USER bob", Ignored()),
                yes("vm-pop3d[4711]: uid 1000, gid 8", Ignored()),
                no(
                    "vm-pop3d[4711]: cmd: User 'a' logged in from 203.0.113.66, nmsgs=3",
                    "the client's command, written when debugging",
                ),
            ),
        ),
    ),
)
