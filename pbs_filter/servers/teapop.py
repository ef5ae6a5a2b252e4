"""teapop 0.3 (ToonTown's POP3 server).

Printed by      `pop_auth` in pop_auth.c (`Successful login for %s [%s] from %s [%s]`), `pop_update`
                in pop_dele.c (the counters at QUIT), `pop_signal_sigpipe` in pop_signal.c.
Client's text   the user name, first, and the reverse name. Nothing is escaped. The first bracket is
                the server's own address, the second the client's. The end of a session whose name
                has a blank is not read: the name stands first there.
Session         the pid: one child per connection. A mailbox that is locked is refused after the
                login line; that session has no end, only an age.
Travels         by syslog(3), whole: one message a line.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import ADDRESS, TEXT, Rule, Server, line, name, samples
from ..model import Accepted, Ended, Ignored, Refused

LOGIN = line(
    "Successful login for {user} [{local}] from {host} [{address}]", local=ADDRESS("local")
)
_COUNT = line("{number}({number})")
ENDED = line(
    "{user} [{address}] R{count} D{count} L{count}", user=name(less=" ")("user"), count=_COUNT
)
LOST = line("Caught SIGPIPE (signal = {number}) - Lost connection")
FAILED = (pp.Literal("Failed login for ") | "Three failed login attempts from ") + TEXT
NOISE = (
    pp.Literal("can't do reverse dns on client ")
    | "can't get socket "
    | "Something went wrong."
    | "Caught SIGTERM "
    | "tcp_wrappers connection refused "
) + TEXT

LOGIN_LINES = samples(r"""
teapop[4711]: Successful login for EXAMPLE\pat o'neil, {a=b} [192.0.2.1] from dsl7.example.net [198.51.100.7]
    -> accepted user=EXAMPLE\pat o'neil, {a=b} address=198.51.100.7 protocol=pop3 session=4711 local=192.0.2.1
teapop[4711]: Successful login for bob [192.0.2.1] from dsl7.example.net [198.51.100.7]
    -> accepted user=bob address=198.51.100.7 protocol=pop3 session=4711 local=192.0.2.1
teapop_ssl[4711]: Successful login for bob@example.org [192.0.2.1] from unknown [2001:db8::7]
    -> accepted user=bob@example.org address=2001:db8::7 protocol=pop3 session=4711 local=192.0.2.1 tls=yes
teapop[4711]: Successful login for bob [192.0.2.1] from 203.0.113.66 [198.51.100.7]
    -> accepted user=bob address=198.51.100.7 protocol=pop3 session=4711 local=192.0.2.1
teapop[4711]: Successful login for bob [203.0.113.66]
    not: only one bracket
teapop[4711]: Successful login for a [192.0.2.1] from x [203.0.113.66] [192.0.2.1] from y [198.51.100.7]
    not: a name that holds a whole line
teapop[4711]: Successful login for a [192.0.2.1] from x [203.0.113.66] y
    not: text after the end
""")

ENDED_LINES = samples("""
teapop[4711]: bob [198.51.100.7] R1(310) D0(0) L2(7120)
    -> ended user=bob address=198.51.100.7 protocol=pop3 session=4711
teapop[4711]: bob [203.0.113.66] R1(310) D0(0)
    not: not the whole line
teapop[4711]: bob [203.0.113.66] R1(310) D0(0) L2(7120) x
    not: text after the end
teapop[4711]: Failed login for a [203.0.113.66] R1(310) D0(0) L2(7120)
    not: a failure
""")

LOST_LINES = samples("""
teapop[4711]: Caught SIGPIPE (signal = 13) - Lost connection
    -> ended protocol=pop3 session=4711
teapop[4711]: Caught SIGPIPE (signal = 13)
    not: not the whole line
teapop[4711]: Caught SIGPIPE (signal = 13) - Lost connection x
    not: text after the end
teapop[4711]: Something went wrong. Caught SIGPIPE (signal = 13) - Lost connection
    not: text in front
""")

FAILED_LINES = samples("""
teapop[4711]: Failed login for bob [192.0.2.1] from unknown [198.51.100.7]
    -> refused
teapop[4711]: Three failed login attempts from unknown [198.51.100.7] - Possible account probe
    -> refused
teapop[4711]: Failed login for Successful login for a [192.0.2.1] from x [203.0.113.66] [192.0.2.1] from unknown [198.51.100.7]
    not: a failure whose name holds a login
""")

NOISE_LINES = samples("""
teapop[4711]: can't do reverse dns on client (error = 0)
    -> ignored
teapop[4711]: can't get socket and/or do getpeername (error = 107)
    -> ignored
teapop[4711]: Something went wrong. (3)
    -> ignored
teapop[4711]: Caught SIGTERM (signal = 15) - Cleaning up
    -> ignored
teapop[4711]: tcp_wrappers connection refused 192.0.2.7 x\x20
    -> ignored
teapop[4711]: tcp_wrappers connection refused 203.0.113.66 x\x20
    not: refused
""")

SERVER = Server(
    name="teapop",
    title="teapop",
    versions="0.3",
    programs={"teapop": "pop3", "teapop_ssl": "pop3"},
    rules=(
        Rule("login", Accepted, LOGIN, LOGIN_LINES, session=("pid",)),
        Rule("ended", Ended, ENDED, ENDED_LINES, session=("pid",)),
        Rule("lost", Ended, LOST, LOST_LINES, session=("pid",)),
        Rule("failed", Refused, FAILED, FAILED_LINES),
        Rule("noise", Ignored, NOISE, NOISE_LINES),
    ),
)
