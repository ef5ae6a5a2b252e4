"""popa3d 0.4 to 1.0.3 (Openwall's POP3 daemon).

Printed by      standalone.c, do_standalone (`Session from %s`); pop_root.c, which reports what the
                authentication and transaction processes told it (`Authentication passed for %s`,
                `Authentication failed for %s`, the counts at the end, `Premature disconnect`).
Client's text   the user name. Names with blanks or odd bytes are refused before they are logged;
                names without an account are logged as `UNKNOWN USER`.
Session         the pid: one child per connection writes all of its lines. Under inetd there is no
                `Session from` line and nothing can be authorised, except with a patch known from
                the net that adds ` -- [IP]` to the login line (rule login-patched, off).
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import ADDRESS, NUMBER, USER, Rule, Server, no, yes
from ..model import Accepted, Connected, Ended, Ignored, Refused

CONNECTED = "Session from " + ADDRESS("address")

LOGIN = "Authentication passed for " + USER("user")
LOGIN_PATCHED = LOGIN + " -- [" + ADDRESS("address") + "]"

FAILED = "Authentication failed for " + (pp.Literal("UNKNOWN USER") | USER("user"))
NO_ATTEMPT = pp.Literal("Didn't attempt authentication")

LEFT = NUMBER + " (" + NUMBER + ") deleted, " + NUMBER + " (" + NUMBER + ") left"
DROPPED = pp.Literal("Premature disconnect")

LOADED = NUMBER + " message" + pp.Opt("s") + " (" + NUMBER + " byte" + pp.Opt("s") + ") loaded"

INIT_SCRIPT = pp.one_of("Starting Stopping Restarting") + " pop daemon: popa3d."

SERVER = Server(
    name="popa3d",
    title="popa3d",
    versions="0.4 - 1.0.3",
    programs={"popa3d": "pop3"},
    accounts=("root", "popa3d", "=user"),
    rules=(
        Rule(
            name="connected",
            kind=Connected,
            expression=CONNECTED,
            session=("pid",),
            samples=(
                yes(
                    "popa3d[4711]: Session from 192.0.2.7",
                    Connected(address="192.0.2.7", session="4711"),
                ),
                # A build with IPv6, as BSD and Debian patches make it.
                yes(
                    "popa3d[4711]: Session from 2001:db8::7",
                    Connected(address="2001:db8::7", session="4711"),
                ),
                no("popa3d[4711]: Session from 203.0.113.66 ", "a blank after the address"),
                no("popa3d[4711]: Session from 203.0.113", "three numbers are not an address"),
                no("popa3d: Session from 203.0.113.66", "no pid to tie a login to it"),
                no("popa3d[4711]: 203.0.113.66: per source limit reached", "turned away"),
            ),
        ),
        Rule(
            name="login",
            kind=Accepted,
            expression=LOGIN,
            session=("pid",),
            samples=(
                yes(
                    "popa3d[4711]: Authentication passed for bob",
                    Accepted(user="bob", protocol="pop3", session="4711"),
                ),
                no(
                    "popa3d[4711]: Authentication passed for bob from 203.0.113.66",
                    "text after the user",
                ),
                no("popa3d: Authentication passed for bob", "no pid to tie it to a connection"),
            ),
        ),
        Rule(
            name="login-patched",
            kind=Accepted,
            expression=LOGIN_PATCHED,
            session=("pid",),
            # An unpatched build would write the same for an account of that name.
            off=True,
            samples=(
                yes(
                    "popa3d[4711]: Authentication passed for bob -- [192.0.2.7]",
                    Accepted(user="bob", address="192.0.2.7", protocol="pop3", session="4711"),
                ),
                no(
                    "popa3d[4711]: Authentication passed for x -- [203.0.113.66] -- [192.0.2.7]",
                    "a second address",
                ),
            ),
        ),
        Rule(
            name="failed",
            kind=Refused,
            expression=FAILED,
            samples=(
                yes("popa3d[4711]: Authentication failed for bob", Refused(user="bob")),
                yes("popa3d[4711]: Authentication failed for UNKNOWN USER", Refused()),
                no(
                    "popa3d[4711]: Authentication failed for Authentication passed for bob",
                    "a name that quotes the login line",
                ),
            ),
        ),
        Rule(
            name="no-attempt",
            kind=Refused,
            expression=NO_ATTEMPT,
            samples=(
                yes("popa3d[4711]: Didn't attempt authentication", Refused()),
                no("popa3d[4711]: Didn't attempt authentication for bob", "text after the end"),
            ),
        ),
        Rule(
            name="logout",
            kind=Ended,
            expression=LEFT,
            session=("pid",),
            samples=(
                yes(
                    "popa3d[4711]: 0 (0) deleted, 12 (34567) left",
                    Ended(session="4711", protocol="pop3"),
                ),
                no("popa3d[4711]: 0 (0) deleted, 12 (34567) left over", "text after the end"),
            ),
        ),
        Rule(
            name="dropped",
            kind=Ended,
            expression=DROPPED,
            session=("pid",),
            samples=(
                yes(
                    "popa3d[4711]: Premature disconnect",
                    Ended(session="4711", protocol="pop3"),
                ),
                no("popa3d[4711]: Premature disconnect from 203.0.113.66", "text after the end"),
            ),
        ),
        Rule(
            name="loaded",
            kind=Ignored,
            expression=LOADED,
            samples=(
                yes("popa3d[4711]: 12 messages (34567 bytes) loaded", Ignored()),
                yes("popa3d[4711]: 1 message (1 byte) loaded", Ignored()),
                no("popa3d[4711]: 12 messages loaded", "no size"),
            ),
        ),
        Rule(
            name="init-script",
            kind=Ignored,
            expression=INIT_SCRIPT,
            samples=(
                yes("popa3d[4711]: Starting pop daemon: popa3d.", Ignored()),
                no("popa3d[4711]: Starting pop daemon: popa3d. 203.0.113.66", "text after it"),
            ),
        ),
    ),
)
