"""solid-pop3d 0.15 (spop3d), with and without `--enable-logextend`.

Printed by      main.c: `main` (`connect from %s`, `user %s authenticated`, `authentication failed
                ...`), `end_trans_state` and `end_auth_state` (`session ended ...`), `sig_handler`
                (`autologout time elapsed`), `read_command` (`read: ...`). With logextend a client
                is ` - HOST (IP)`, or ` - IP` where it has no name; without, `connect from` has it.
Client's text   the user name (40 characters of it), in front of the client; HOST is reverse DNS.
Session         the pid of the process that authenticates; it also writes `connect from` and the
                user's end. What is written before the login comes from its child. tcpd in front
                writes a `connect from IP (IP)` of its own under the same tag and pid.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import ADDRESS, HOST, TEXT, USER, WORD, Rule, Server, no, yes
from ..model import Accepted, Connected, Ended, Ignored, Refused

_CLIENT = (HOST + " (" + ADDRESS("address") + ")") | ADDRESS("address")
_WHO = pp.Opt("mapped ") + "user " + USER("user")

CONNECTED = "connect from " + _CLIENT
LOGIN = _WHO + " authenticated" + pp.Opt(" through APOP")
LOGIN_EXTENDED = LOGIN + " - " + _CLIENT
_USERS_END = "session ended for " + _WHO
# Debian's build names the user here, and does so before anybody has logged in, too.
_IDLE = "autologout time elapsed" + pp.Opt(" for user " + pp.Opt(USER("user")))
_LIMIT = pp.Literal("wrong commands limit exceeded") | "root login not allowed"
ENDED = _USERS_END | _IDLE | _LIMIT
ENDED_EXTENDED = ENDED + " - " + _CLIENT
DROPPED = "read: " + WORD("A-Za-z ,'()-", 80)
NOBODY = "session ended" + pp.Opt(" - " + HOST + pp.Opt(" (" + HOST + ")"))
FAILED = (
    pp.Literal("authentication failed")
    | "APOP authentication failed"
    | "can't find APOP secret for user "
) + TEXT
NOISE = (
    pp.Literal("Stats: ")
    | "auth: "
    | "getpwnam: "
    | "unallowed non-IP based virtual hosting "
    | ("user " + USER + " not found")
    | "pam_unix("
) + TEXT

SERVER = Server(
    name="solid-pop3d",
    title="solid-pop3d (spop3d)",
    versions="0.14 - 0.15",
    programs={"solid-pop3d": "pop3", "spop3d": "pop3"},
    accounts=("root", "=user"),
    rules=(
        Rule(
            name="connected",
            kind=Connected,
            expression=CONNECTED,
            session=("pid",),
            samples=(
                yes(
                    "spop3d[4711]: connect from 192.0.2.7",
                    Connected(address="192.0.2.7", session="4711"),
                ),
                yes(
                    "solid-pop3d[4711]: connect from dsl7.example.net (2001:db8::7)",
                    Connected(address="2001:db8::7", session="4711"),
                ),
                yes(
                    "spop3d[4711]: connect from 203.0.113.66 (192.0.2.7)",
                    Connected(address="192.0.2.7", session="4711"),
                ),
                no("spop3d[4711]: connect from 203.0.113.66.evil.example (", "a name, no address"),
                no("spop3d[4711]: connect from x (203.0.113.66) (192.0.2.7)", "two addresses"),
                no("solid-pop3d[4711]: Stats: connect from 203.0.113.66", "text in front"),
            ),
        ),
        Rule(
            name="login",
            kind=Accepted,
            expression=LOGIN,
            session=("pid",),
            samples=(
                yes(
                    "spop3d[4711]: user bob authenticated",
                    Accepted(user="bob", protocol="pop3", session="4711"),
                ),
                yes(
                    "spop3d[4711]: mapped user bob@example.org authenticated",
                    Accepted(user="bob@example.org", protocol="pop3", session="4711"),
                ),
                yes(
                    "spop3d[4711]: user bob authenticated through APOP",
                    Accepted(user="bob", protocol="pop3", session="4711"),
                ),
                no("spop3d[4711]: user bob authenticated - ", "not the whole line"),
                no("spop3d[4711]: user a user bob authenticated", "a blank in the name"),
            ),
        ),
        Rule(
            name="login-extended",
            kind=Accepted,
            expression=LOGIN_EXTENDED,
            session=("pid",),
            samples=(
                yes(
                    "solid-pop3d[4711]: user bob authenticated - 192.0.2.7",
                    Accepted(user="bob", address="192.0.2.7", protocol="pop3", session="4711"),
                ),
                yes(
                    "solid-pop3d[4711]: mapped user bob authenticated - dsl7.example.net "
                    "(192.0.2.7)",
                    Accepted(user="bob", address="192.0.2.7", protocol="pop3", session="4711"),
                ),
                yes(
                    "solid-pop3d[4711]: user bob authenticated through APOP - 2001:db8::7",
                    Accepted(user="bob", address="2001:db8::7", protocol="pop3", session="4711"),
                ),
                yes(
                    "solid-pop3d[4711]: user bob authenticated - 203.0.113.66 (192.0.2.7)",
                    Accepted(user="bob", address="192.0.2.7", protocol="pop3", session="4711"),
                ),
                no(
                    "solid-pop3d[4711]: authentication failed: no such user: user a authenticated "
                    "- 203.0.113.66 - dsl7.example.net (192.0.2.7)",
                    "a failure whose name holds a login",
                ),
                no(
                    "solid-pop3d[4711]: user a authenticated - 203.0.113.66.evil.example (",
                    "a name, no address",
                ),
                no(
                    "solid-pop3d[4711]: user a authenticated - x (203.0.113.66) (192.0.2.7)",
                    "two addresses",
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
                    "spop3d[4711]: session ended for user bob",
                    Ended(session="4711", user="bob", protocol="pop3"),
                ),
                yes(
                    "spop3d[4711]: session ended for mapped user bob",
                    Ended(session="4711", user="bob", protocol="pop3"),
                ),
                yes(
                    "spop3d[4711]: autologout time elapsed",
                    Ended(session="4711", protocol="pop3"),
                ),
                yes(
                    "spop3d[4711]: autologout time elapsed for user bob",
                    Ended(session="4711", user="bob", protocol="pop3"),
                ),
                yes(
                    "spop3d[4711]: autologout time elapsed for user ",
                    Ended(session="4711", protocol="pop3"),
                ),
                yes(
                    "spop3d[4711]: wrong commands limit exceeded",
                    Ended(session="4711", protocol="pop3"),
                ),
                yes("spop3d[4711]: root login not allowed", Ended(session="4711", protocol="pop3")),
                no("spop3d[4711]: session ended for user bob 203.0.113.66", "text after the end"),
                no("solid-pop3d[4711]: Stats: session ended for user bob", "text in front"),
            ),
        ),
        Rule(
            name="ended-extended",
            kind=Ended,
            expression=ENDED_EXTENDED,
            session=("pid",),
            samples=(
                yes(
                    "solid-pop3d[4711]: session ended for user bob - dsl7.example.net (192.0.2.7)",
                    Ended(session="4711", user="bob", protocol="pop3", address="192.0.2.7"),
                ),
                yes(
                    "solid-pop3d[4711]: session ended for mapped user bob - 192.0.2.7",
                    Ended(session="4711", user="bob", protocol="pop3", address="192.0.2.7"),
                ),
                yes(
                    "solid-pop3d[4711]: autologout time elapsed - 192.0.2.7",
                    Ended(session="4711", protocol="pop3", address="192.0.2.7"),
                ),
                yes(
                    "solid-pop3d[4711]: autologout time elapsed for user bob - 192.0.2.7",
                    Ended(session="4711", user="bob", protocol="pop3", address="192.0.2.7"),
                ),
                yes(
                    "solid-pop3d[4711]: autologout time elapsed for user  - 192.0.2.7",
                    Ended(session="4711", protocol="pop3", address="192.0.2.7"),
                ),
                yes(
                    "solid-pop3d[4711]: wrong commands limit exceeded - 192.0.2.7",
                    Ended(session="4711", protocol="pop3", address="192.0.2.7"),
                ),
                yes(
                    "solid-pop3d[4711]: root login not allowed - 192.0.2.7",
                    Ended(session="4711", protocol="pop3", address="192.0.2.7"),
                ),
                no(
                    "solid-pop3d[4711]: session ended for user a - 203.0.113.66 - x (192.0.2.7)",
                    "a blank in the name",
                ),
                no(
                    "solid-pop3d[4711]: Stats: session ended for user a - 203.0.113.66",
                    "text in front",
                ),
            ),
        ),
        Rule(
            name="dropped",
            kind=Ended,
            expression=DROPPED,
            session=("pid",),
            samples=(
                yes(
                    "solid-pop3d[4711]: read: Connection reset by peer",
                    Ended(session="4711", protocol="pop3"),
                ),
                no("solid-pop3d[4711]: read: 203.0.113.66", "not an error's text"),
                no(
                    "solid-pop3d[4711]: read: Connection reset by peer 203.0.113.66",
                    "text after the end",
                ),
                no("solid-pop3d[4711]: auth: read: Connection reset by peer", "text in front"),
            ),
        ),
        Rule(
            name="failed",
            kind=Refused,
            expression=FAILED,
            samples=(
                yes("solid-pop3d[4711]: authentication failed for user bob - 192.0.2.7", Refused()),
                yes(
                    "solid-pop3d[4711]: APOP authentication failed for user bob - 192.0.2.7",
                    Refused(),
                ),
                yes(
                    "solid-pop3d[4711]: can't find APOP secret for user bob - 192.0.2.7",
                    Refused(),
                ),
                no(
                    "spop3d[4711]: authentication failed for user a authenticated - 203.0.113.66",
                    "a failure whose name holds a login",
                ),
            ),
        ),
        Rule(
            name="nobody",
            kind=Ignored,
            expression=NOBODY,
            samples=(
                yes("spop3d[4712]: session ended", Ignored()),
                yes("solid-pop3d[4712]: session ended - 192.0.2.7", Ignored()),
                yes("solid-pop3d[4712]: session ended - dsl7.example.net (192.0.2.7)", Ignored()),
                no("solid-pop3d[4712]: session ended - 203.0.113.66", "nobody had logged in"),
            ),
        ),
        Rule(
            name="noise",
            kind=Ignored,
            expression=NOISE,
            samples=(
                yes("solid-pop3d[4711]: Stats: bob 0 0 0 0", Ignored()),
                yes("solid-pop3d[4711]: auth: getpwnam() failed", Ignored()),
                yes("solid-pop3d[4712]: user spop3d not found", Ignored()),
                yes("solid-pop3d[4712]: getpwnam: Success", Ignored()),
                yes(
                    "solid-pop3d[4711]: pam_unix(solid-pop3d:auth): authentication failure; "
                    "logname= uid=0 euid=0 tty= ruser= rhost=  user=bob",
                    Ignored(),
                ),
                yes(
                    "solid-pop3d[4711]: unallowed non-IP based virtual hosting request rejected",
                    Ignored(),
                ),
                no("solid-pop3d[4711]: Stats: user a authenticated - 203.0.113.66", "statistics"),
            ),
        ),
    ),
)
