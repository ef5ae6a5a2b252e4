"""popa3d 0.4 to 1.0.3 (Openwall's POP3 daemon).

Printed by      `do_root_auth` and `do_pop_session` in pop_root.c (`Authentication passed for %s`,
                `... failed for %s`), `do_standalone` in standalone.c (`Session from %s`), the
                transaction's end in pop_trans.c (`%u (%lu) deleted, %u (%lu) left`).
Client's text   the user name: names with blanks or odd bytes are refused before they are logged,
                names that no account has are logged as `UNKNOWN USER`.
Session         the pid: one child per connection writes all three lines. Under inetd there is no
                `Session from` line, and nothing can be authorised. A patch found on the net puts
                ` -- [IP]` behind the login line.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import ADDRESS, IPV4, NUMBER, USER, Rule, Server, no, yes
from ..model import Accepted, Connected

CONNECTED = "Session from " + IPV4("address")
LOGIN = pp.Literal("Authentication passed for ") + USER("user")
LOGIN_PATCHED = LOGIN + " -- [" + ADDRESS("address") + "]"
FAILED = pp.Literal("Authentication failed for ") + (pp.Literal("UNKNOWN USER") | USER("user"))
NO_ATTEMPT = pp.Literal("Didn't attempt authentication")
LOADED = NUMBER + " message" + pp.Opt("s") + " (" + NUMBER + " byte" + pp.Opt("s") + ") loaded"
LEFT = NUMBER + " (" + NUMBER + ") deleted, " + NUMBER + " (" + NUMBER + ") left"
DROPPED = pp.Literal("Premature disconnect")

SERVER = Server(
    name="popa3d",
    title="popa3d",
    versions="0.4 - 1.0.3",
    programs={"popa3d": "pop3"},
    accounts=("root", "popa3d"),
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
                no("popa3d[4711]: Session from 203.0.113.66 ", "text after the address"),
                no("popa3d: Session from 203.0.113.66", "no pid, so nothing to tie it to"),
                no("popa3d[4711]: Session from 203.0.113", "three numbers are not an address"),
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
            ),
        ),
    ),
)
