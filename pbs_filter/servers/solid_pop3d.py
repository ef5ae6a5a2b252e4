"""solid-pop3d 0.15 (spop3d), with and without `--enable-logextend`.

Printed by      main.c: `main` (`connect from %s`, `user %s authenticated`, `authentication failed
                ...`), `end_trans_state` and `end_auth_state` (`session ended ...`), `sig_handler`
                (`autologout time elapsed`), `read_command` (`read: ...`). With logextend a client
                is ` - HOST (IP)`, or ` - IP` where it has no name; without, `connect from` has it.
Client's text   the user name (40 characters of it), in front of the client; HOST is reverse DNS.
Session         the pid of the process that authenticates; it also writes `connect from` and the
                user's end. What is written before the login comes from its child. tcpd in front
                writes a `connect from IP (IP)` of its own under the same tag and pid.
Travels         by syslog(3), whole, with 40 characters of a name.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import ADDRESS, TEXT, WORD, Rule, Server, line, name_before, samples
from ..model import Accepted, Connected, Ended, Ignored, Refused

_CLIENT = line("{host} ({address})") | ADDRESS("address")
_MAPPED = pp.Opt("mapped ")

CONNECTED = line("connect from {client}", client=_CLIENT)
LOGIN = line(
    "{mapped}user {user} authenticated{apop?}",
    mapped=_MAPPED,
    user=name_before(" authenticated")("user"),
    apop=pp.Literal(" through APOP"),
)
LOGIN_EXTENDED = line("{login} - {client}", login=LOGIN, client=_CLIENT)
_NAME = name_before(" - ")("user")
_USERS_END = line("session ended for {mapped}user {user}", mapped=_MAPPED, user=_NAME)
# Debian's build names the user here, and does so before anybody has logged in, too.
_IDLE = line("autologout time elapsed{user?}", user=line(" for user {user?}", user=_NAME))
_LIMIT = pp.Literal("wrong commands limit exceeded")
ENDED = _USERS_END | _IDLE | _LIMIT
# Without the address: a user's name could imitate it, and the process is enough.
ENDED_EXTENDED = line(
    "{ended} - {client}", ended=ENDED, client=line("{host} ({ip})", ip=ADDRESS) | ADDRESS
)
DROPPED = "read: " + WORD("A-Za-z ,'()-", 80)
NOBODY = line(
    "session ended{client?}", client=line(" - {host}{address?}", address=line(" ({host})"))
)
ROOT = "root login not allowed" + pp.Opt(" - " + _CLIENT)
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
    | ("user " + name_before(" not found") + " not found")
    | "pam_unix("
) + TEXT

CONNECTED_LINES = samples("""
spop3d[4711]: connect from 192.0.2.7
    -> connected address=192.0.2.7 session=4711
solid-pop3d[4711]: connect from dsl7.example.net (2001:db8::7)
    -> connected address=2001:db8::7 session=4711
spop3d[4711]: connect from 203.0.113.66 (192.0.2.7)
    -> connected address=192.0.2.7 session=4711
spop3d[4711]: connect from 203.0.113.66.evil.example (
    not: a name, no address
spop3d[4711]: connect from x (203.0.113.66) (192.0.2.7)
    not: two addresses
solid-pop3d[4711]: Stats: connect from 203.0.113.66
    not: text in front
""")

LOGIN_LINES = samples("""
spop3d[4711]: user EXAMPLE\\o'neil,{a=b} authenticated
    -> accepted user=EXAMPLE\\o'neil,{a=b} protocol=pop3 session=4711
spop3d[4711]: user bob authenticated
    -> accepted user=bob protocol=pop3 session=4711
spop3d[4711]: mapped user bob@example.org authenticated
    -> accepted user=bob@example.org protocol=pop3 session=4711
spop3d[4711]: user bob authenticated through APOP
    -> accepted user=bob protocol=pop3 session=4711
spop3d[4711]: user bob authenticated -\x20
    not: not the whole line
spop3d[4711]: user pat smith authenticated
    -> accepted user=pat smith protocol=pop3 session=4711
spop3d[4711]: user a authenticated authenticated
    not: a name that holds the words behind it
""")

LOGIN_EXTENDED_LINES = samples("""
solid-pop3d[4711]: user bob authenticated - 192.0.2.7
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711
solid-pop3d[4711]: mapped user bob authenticated - dsl7.example.net (192.0.2.7)
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711
solid-pop3d[4711]: user bob authenticated through APOP - 2001:db8::7
    -> accepted user=bob address=2001:db8::7 protocol=pop3 session=4711
solid-pop3d[4711]: user bob authenticated - 203.0.113.66 (192.0.2.7)
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711
solid-pop3d[4711]: authentication failed: no such user: user a authenticated - 203.0.113.66 - dsl7.example.net (192.0.2.7)
    not: a failure whose name holds a login
solid-pop3d[4711]: user a authenticated - 203.0.113.66.evil.example (
    not: a name, no address
solid-pop3d[4711]: user a authenticated - x (203.0.113.66) (192.0.2.7)
    not: two addresses
""")

ENDED_LINES = samples("""
spop3d[4711]: session ended for user bob
    -> ended user=bob protocol=pop3 session=4711
spop3d[4711]: session ended for mapped user bob
    -> ended user=bob protocol=pop3 session=4711
spop3d[4711]: autologout time elapsed
    -> ended protocol=pop3 session=4711
spop3d[4711]: autologout time elapsed for user bob
    -> ended user=bob protocol=pop3 session=4711
spop3d[4711]: autologout time elapsed for user\x20
    -> ended protocol=pop3 session=4711
spop3d[4711]: wrong commands limit exceeded
    -> ended protocol=pop3 session=4711
spop3d[4711]: session ended for user pat smith
    -> ended user=pat smith protocol=pop3 session=4711
solid-pop3d[4711]: Stats: session ended for user bob
    not: text in front
""")

ENDED_EXTENDED_LINES = samples("""
solid-pop3d[4711]: session ended for user bob - dsl7.example.net (192.0.2.7)
    -> ended user=bob protocol=pop3 session=4711
solid-pop3d[4711]: session ended for mapped user bob - 192.0.2.7
    -> ended user=bob protocol=pop3 session=4711
solid-pop3d[4711]: autologout time elapsed - 192.0.2.7
    -> ended protocol=pop3 session=4711
solid-pop3d[4711]: autologout time elapsed for user bob - 192.0.2.7
    -> ended user=bob protocol=pop3 session=4711
solid-pop3d[4711]: autologout time elapsed for user  - 192.0.2.7
    -> ended protocol=pop3 session=4711
solid-pop3d[4711]: wrong commands limit exceeded - 192.0.2.7
    -> ended protocol=pop3 session=4711
solid-pop3d[4711]: session ended for user a - 203.0.113.66 - x (192.0.2.7)
    not: a blank in the name
solid-pop3d[4711]: Stats: session ended for user a - 203.0.113.66
    not: text in front
""")

DROPPED_LINES = samples("""
solid-pop3d[4711]: read: Connection reset by peer
    -> ended protocol=pop3 session=4711
solid-pop3d[4711]: read: 203.0.113.66
    not: not an error's text
solid-pop3d[4711]: read: Connection reset by peer 203.0.113.66
    not: text after the end
solid-pop3d[4711]: auth: read: Connection reset by peer
    not: text in front
""")

ROOT_LINES = samples("""
spop3d[4711]: root login not allowed
    -> refused session=4711
solid-pop3d[4711]: root login not allowed - 192.0.2.7
    -> refused address=192.0.2.7 session=4711
solid-pop3d[4711]: root login not allowed - dsl7.example.net (192.0.2.7)
    -> refused address=192.0.2.7 session=4711
spop3d[4711]: root login not allowed - 203.0.113.66 x
    not: text after the end
""")

FAILED_LINES = samples(r"""
solid-pop3d[4711]: authentication failed for user bob - 192.0.2.7
    -> refused
solid-pop3d[4711]: APOP authentication failed for user bob - 192.0.2.7
    -> refused
solid-pop3d[4711]: can't find APOP secret for user bob - 192.0.2.7
    -> refused
spop3d[4711]: authentication failed for user a authenticated - 203.0.113.66
    not: a failure whose name holds a login
""")

NOBODY_LINES = samples("""
spop3d[4712]: session ended
    -> ended protocol=pop3 session=4712
solid-pop3d[4712]: session ended - 192.0.2.7
    -> ended protocol=pop3 session=4712
solid-pop3d[4712]: session ended - dsl7.example.net (192.0.2.7)
    -> ended protocol=pop3 session=4712
solid-pop3d[4712]: session ended - x y
    not: a blank in the name
solid-pop3d[4712]: Stats: session ended
    not: text in front
""")

NOISE_LINES = samples("""
solid-pop3d[4711]: Stats: bob 0 0 0 0
    -> ignored
solid-pop3d[4711]: auth: getpwnam() failed
    -> ignored
solid-pop3d[4712]: user spop3d not found
    -> ignored
solid-pop3d[4712]: getpwnam: Success
    -> ignored
solid-pop3d[4711]: pam_unix(solid-pop3d:auth): authentication failure; logname= uid=0 euid=0 tty= ruser= rhost=  user=bob
    -> ignored
solid-pop3d[4711]: unallowed non-IP based virtual hosting request rejected
    -> ignored
solid-pop3d[4711]: Stats: user a authenticated - 203.0.113.66
    not: statistics
""")

SERVER = Server(
    name="solid-pop3d",
    title="solid-pop3d (spop3d)",
    versions="0.14 - 0.15",
    programs={"solid-pop3d": "pop3", "spop3d": "pop3"},
    accounts=("root", "=user"),
    rules=(
        Rule("connected", Connected, CONNECTED, CONNECTED_LINES, session=("pid",)),
        Rule("login", Accepted, LOGIN, LOGIN_LINES, session=("pid",)),
        Rule("login-extended", Accepted, LOGIN_EXTENDED, LOGIN_EXTENDED_LINES, session=("pid",)),
        Rule("ended", Ended, ENDED, ENDED_LINES, session=("pid",)),
        Rule("ended-extended", Ended, ENDED_EXTENDED, ENDED_EXTENDED_LINES, session=("pid",)),
        Rule("dropped", Ended, DROPPED, DROPPED_LINES, session=("pid",)),
        Rule("root-refused", Refused, ROOT, ROOT_LINES, session=("pid",)),
        Rule("failed", Refused, FAILED, FAILED_LINES),
        Rule("nobody", Ended, NOBODY, NOBODY_LINES, session=("pid",)),
        Rule("noise", Ignored, NOISE, NOISE_LINES),
    ),
)
