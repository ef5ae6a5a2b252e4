"""popa3d 0.4 to 1.0.3 (Openwall's POP3 daemon).

Printed by      standalone.c, do_standalone (`Session from %s`); pop_root.c, which reports what the
                authentication and transaction processes told it (`Authentication passed for %s`,
                `Authentication failed for %s`, the counts at the end, `Premature disconnect`).
Client's text   the user name. Names with blanks or odd bytes are refused before they are logged,
                an account's name has no colon, and both are not read; names without an account are
                logged as `UNKNOWN USER`.
Session         the pid: one child per connection writes all of its lines. Under inetd there is no
                `Session from` line and nothing can be authorised, except with a patch known from
                the net that adds ` -- [IP]` to the login line (rule login-patched, off).
                A refusal is the last line of its connection, so it ends the pending session.
Travels         by syslog(3), whole: names are short (at most 31 bytes here, longer ones are unknown).
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import Rule, Server, line, name, samples
from ..model import Accepted, Connected, Ended, Ignored, Refused

CONNECTED = line("Session from {address}")

_NAME = name(less=" :")("user")
LOGIN = line("Authentication passed for {user}", user=_NAME)
PATCHED = line("{login} -- [{address}]", login=LOGIN)

FAILED = "Authentication failed for " + (pp.Literal("UNKNOWN USER") | _NAME)
NO_ATTEMPT = pp.Literal("Didn't attempt authentication")

LEFT = line("{number} ({number}) deleted, {number} ({number}) left")
DROPPED = pp.Literal("Premature disconnect")

LOADED = line("{number} message{s?} ({number} byte{s?}) loaded", s=pp.Literal("s"))

INIT_SCRIPT = pp.one_of("Starting Stopping Restarting") + " pop daemon: popa3d."

CONNECTED_LINES = samples("""
popa3d[4711]: Session from 192.0.2.7
    -> connected address=192.0.2.7 session=4711
# A build with IPv6, as BSD and Debian patches make it.
popa3d[4711]: Session from 2001:db8::7
    -> connected address=2001:db8::7 session=4711
popa3d[4711]: Session from 203.0.113.66\x20
    not: a blank after the address
popa3d[4711]: Session from 203.0.113
    not: three numbers are not an address
popa3d: Session from 203.0.113.66
    not: no pid to tie a login to it
popa3d[4711]: 203.0.113.66: per source limit reached
    not: turned away
""")

LOGIN_LINES = samples(r"""
popa3d[4711]: Authentication passed for EXAMPLE\o'neil,{a=b}(`x`)
    -> accepted user=EXAMPLE\o'neil,{a=b}(`x`) protocol=pop3 session=4711
popa3d[4711]: Authentication passed for bob
    -> accepted user=bob protocol=pop3 session=4711
popa3d[4711]: Authentication passed for bob from 203.0.113.66
    not: text after the user
popa3d: Authentication passed for bob
    not: no pid to tie it to a connection
""")

PATCHED_LINES = samples("""
popa3d[4711]: Authentication passed for bob -- [192.0.2.7]
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711
popa3d[4711]: Authentication passed for x -- [203.0.113.66] -- [192.0.2.7]
    not: a second address
""")

FAILED_LINES = samples("""
popa3d[4711]: Authentication failed for bob
    -> refused user=bob session=4711
popa3d[4711]: Authentication failed for UNKNOWN USER
    -> refused session=4711
popa3d[4711]: Authentication failed for Authentication passed for bob
    not: a name that quotes the login line
""")

NO_ATTEMPT_LINES = samples("""
popa3d[4711]: Didn't attempt authentication
    -> refused session=4711
popa3d[4711]: Didn't attempt authentication for bob
    not: text after the end
""")

LOGOUT_LINES = samples("""
popa3d[4711]: 0 (0) deleted, 12 (34567) left
    -> ended protocol=pop3 session=4711
popa3d[4711]: 0 (0) deleted, 12 (34567) left over
    not: text after the end
""")

DROPPED_LINES = samples("""
popa3d[4711]: Premature disconnect
    -> ended protocol=pop3 session=4711
popa3d[4711]: Premature disconnect from 203.0.113.66
    not: text after the end
""")

LOADED_LINES = samples("""
popa3d[4711]: 12 messages (34567 bytes) loaded
    -> ignored
popa3d[4711]: 1 message (1 byte) loaded
    -> ignored
popa3d[4711]: 12 messages loaded
    not: no size
""")

INIT_SCRIPT_LINES = samples("""
popa3d[4711]: Starting pop daemon: popa3d.
    -> ignored
popa3d[4711]: Starting pop daemon: popa3d. 203.0.113.66
    not: text after it
""")

SERVER = Server(
    name="popa3d",
    title="popa3d",
    versions="0.4 - 1.0.3",
    programs={"popa3d": "pop3"},
    accounts=("root", "popa3d", "=user"),
    rules=(
        Rule("connected", Connected, CONNECTED, CONNECTED_LINES, session=("pid",)),
        Rule("login", Accepted, LOGIN, LOGIN_LINES, session=("pid",)),
        # An unpatched build would write the same for an account of that name.
        Rule("login-patched", Accepted, PATCHED, PATCHED_LINES, session=("pid",), off=True),
        Rule("failed", Refused, FAILED, FAILED_LINES, session=("pid",)),
        Rule("no-attempt", Refused, NO_ATTEMPT, NO_ATTEMPT_LINES, session=("pid",)),
        Rule("logout", Ended, LEFT, LOGOUT_LINES, session=("pid",)),
        Rule("dropped", Ended, DROPPED, DROPPED_LINES, session=("pid",)),
        Rule("loaded", Ignored, LOADED, LOADED_LINES),
        Rule("init-script", Ignored, INIT_SCRIPT, INIT_SCRIPT_LINES),
    ),
)
