"""perdition 1.x and 2.x (POP3 and IMAP4 proxy).

Printed by      perdition.c: `perdition_log_auth` (`Auth: ...`, for success and failure alike; the
                line is written again while the session lasts, see `connect_relog`),
                `perdition_log_close`, `perdition_log_close_early` (2.x), `main` (the rest; in 1.x
                everything).
Client's text   both names, raw, inside quotes that are not escaped, behind the addresses and in
                front of the verdict. So the verdict counts only at the very end, and a name must
                not hold what follows it. perdition cuts its lines at 4096 characters, a syslog daemon
                perhaps at 1024: names are short enough here that no cut can put a `status="ok"`
                that a name holds at the end. 0.x lines without a status are not read: a failure
                that was cut looks the same.
                With client_server_specification a client chooses the server that judges him: no line
                tells that (SECURITY.md). With strip_domain the name has what he typed behind the `@`.
Session         the pid: one child per connection. An IPv6 address is written without brackets in
                front of its port.
Travels         by syslog(3), whole: one message a line; what is too long loses its end.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import (
    ADDRESS_BEFORE_PORT,
    IPV4,
    PORT,
    TEXT,
    Rule,
    Server,
    line,
    name,
    name_before,
    samples,
    token,
)
from ..model import Accepted, Ended, Ignored, Refused

_PARTS = {
    "from": ADDRESS_BEFORE_PORT("address") + ":" + PORT,
    "to": ADDRESS_BEFORE_PORT("local") + ":" + PORT,
    "name": name_before('" authentication_id="', most=100),
    "user": name_before('" passwd="', '" server="', '" received=', most=100)("user"),
    "server": token(r"[0-9A-Za-z_.:/\[\]-]{1,100}+", "a backend"),
    "protocol": token("(?:IMAP4|POP3)S?+", "IMAP4(S) or POP3(S)")("protocol"),
    "client": pp.Literal("plaintext")
    | pp.Literal("starttls")("tls_started")
    | pp.Literal("ssl")("tls"),
    "secure": pp.Literal("plaintext") | "starttls" | "ssl",
    # A password, or X's in its place.
    "passwd": line(' passwd="{name}"', name=name_before('" server="', most=100)),
}
_AUTHORISATION = " authorisation_id=" + (pp.Literal("NONE") | line('"{name}"', **_PARTS))
_WHO = _AUTHORISATION + line(' authentication_id="{user}"', **_PARTS)
LOGIN = line(
    'Auth: {from}->{to} client-secure={client}{who}{passwd?} server="{server}" '
    'protocol={protocol} server-secure={secure} status="ok"',
    who=_WHO,
    **_PARTS,
)
ENDED = line(
    "Closing session: {from}->{to}{who} received={number} sent={number}", who=_WHO, **_PARTS
)

# 1.17 and later log the ports; earlier ones the bare (IPv4) addresses. The backend's port is all
# that tells the protocol.
_PARTS_1 = _PARTS | {
    "from": _PARTS["from"] | IPV4("address"),
    "to": _PARTS["to"] | IPV4("local"),
}
_LOGIN_1 = 'Auth: {from}->{to} user="{user}"{passwd?} server="{server}" port="{port}" status="ok"'
_LOGIN_PARTS_1 = _PARTS_1 | {
    "to": (
        ADDRESS_BEFORE_PORT("local") + ":" + (token("99[35](?![0-9])", "993 or 995")("tls") | PORT)
    )
    | IPV4("local"),
}
POP3_1 = line(_LOGIN_1, **_LOGIN_PARTS_1 | {"port": token("(?:110|995|pop3s?+)", "a port")})
IMAP_1 = line(_LOGIN_1, **_LOGIN_PARTS_1 | {"port": token("(?:143|993|imap[24]?+s?+)", "a port")})
ENDED_1 = line(
    "Clos{ing}{from}->{to} user={who}{number}",
    ing=pp.Literal("e: ") | "ing: ",
    who=line('"{user}" received={number} sent=', **_PARTS)
    | line("{user} {number} ", user=name(' "', most=100)("user")),
    **_PARTS_1,
)
DROPPED = pp.Literal("Fatal error piping data. Exiting child.") | "Timeout piping data."
FAILED = "Auth: " + token(
    r'(?=[^\n]{0,4096}? status=")(?s:.{0,65536}+)(?<!status="ok")', "a status that is not ok"
)
# 0.x does not say whether the login succeeded: a failure that was cut looks the same.
NO_STATUS = "Auth: " + token(r'(?![^\n]{0,4096}? status=")(?s:.{0,65536}+)', "no status")
NOBODY = (pp.Literal("Connect: ") | "Closing NULL session:") + TEXT
NOISE = (
    pp.Literal("Fatal Error")
    | "Fatal error establishing "
    | "Fatal error writing "
    | "Fatal error authenticating "
    | "Fatal error negotiating "
    | "Fatal error: "
    | "Local authentication failure "
    | "Starting perdition "
    | "Reopened logger"
    | "Exiting on signal "
    | "Reloading map library "
) + TEXT


LOGIN_LINES = samples(r"""
perdition.pop3[4711]: Auth: 192.0.2.7:50001->192.0.2.1:110 client-secure=plaintext authorisation_id=NONE authentication_id="EXAMPLE\pat "o'neil" {a=b}" server="10.0.0.5:110" protocol=POP3 server-secure=plaintext status="ok"
    -> accepted user=EXAMPLE\pat "o'neil" {a=b} address=192.0.2.7 protocol=pop3 session=4711 local=192.0.2.1 tls=no
perdition.imap4[4711]: Auth: 192.0.2.7:50001->192.0.2.1:143 client-secure=plaintext authorisation_id=NONE authentication_id="bob" server="10.0.0.5:143" protocol=IMAP4 server-secure=plaintext status="ok"
    -> accepted user=bob address=192.0.2.7 protocol=imap session=4711 local=192.0.2.1 tls=no
perdition.pop3s[4711]: Auth: 2001:db8::7:50001->2001:db8::1:995 client-secure=ssl authorisation_id="bob" authentication_id="admin" passwd="XXXXXX" server="mail5.example.org:995" protocol=POP3S server-secure=ssl status="ok"
    -> accepted user=admin address=2001:db8::7 protocol=pop3 session=4711 local=2001:db8::1 tls=yes
perdition[4711]: Auth: 192.0.2.7:50001->192.0.2.1:110 client-secure=starttls authorisation_id=NONE authentication_id="bob" server="[2001:db8::5]:110" protocol=POP3 server-secure=starttls status="ok"
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711 local=192.0.2.1 tls=yes
perdition.imap4[4711]: Auth: 192.0.2.7:50001->192.0.2.1:143 client-secure=plaintext authorisation_id=NONE authentication_id="a" server="x:1" protocol=IMAP4 server-secure=plaintext status="ok"" server="10.0.0.5:143" protocol=IMAP4 server-secure=plaintext status="failed: Re-Authentication Failure"
    not: a failure whose name holds a verdict
perdition.imap4[4711]: Auth: 192.0.2.7:50001->192.0.2.1:143 client-secure=plaintext authorisation_id=NONE authentication_id="a"status="ok"" server="10.0.0.5:143" protocol=IMAP4 server-secure=plaintext status="ok"
    -> accepted user=a"status="ok" address=192.0.2.7 protocol=imap session=4711 local=192.0.2.1 tls=no
perdition.imap4[4711]: Auth: 192.0.2.7:50001->192.0.2.1:143 client-secure=plaintext authorisation_id=NONE authentication_id="a" server="10.0.0.5:143" protocol=IMAP4 server-secure=plaintext status="failed: ok"
    not: a failure
perdition[4711]: Auth: 203.0.113.66:50001->192.0.2.1:4190 client-secure=ssl authorisation_id=NONE authentication_id="a" server="10.0.0.5:4190" protocol=MANAGESIEVE server-secure=plaintext status="ok"
    not: managesieve is no mail pick-up
perdition[4711]: Connect: Auth: 203.0.113.66:50001->192.0.2.1:143 client-secure=ssl authorisation_id=NONE authentication_id="a" server="10.0.0.5:143" protocol=IMAP4 server-secure=ssl status="ok"
    not: text in front
""")

POP3_1_LINES = samples("""
perdition[4711]: Auth: 192.0.2.7:50001->192.0.2.1:110 user="bob" server="10.0.0.5" port="110" status="ok"
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711 local=192.0.2.1 tls=no
perdition[4711]: Auth: 192.0.2.7->192.0.2.1 user="bob" server="10.0.0.5" port="110" status="ok"
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711 local=192.0.2.1 tls=no
perdition[4711]: Auth: 192.0.2.7:50001->192.0.2.1:995 user="bob" passwd="XXXXXX" server="10.0.0.5" port="995" status="ok"
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711 local=192.0.2.1 tls=yes
perdition[4711]: Auth: 192.0.2.7->192.0.2.1 user="bob" server="10.0.0.5" port="110"
    not: no verdict: perhaps cut
perdition[4711]: Auth: 192.0.2.7->192.0.2.1 user="a" server="x" port="110" status="ok"" server="10.0.0.5" port="110" status="failed: Re-Authentication Failure"
    not: a failure whose name holds a verdict
perdition[4711]: Connect: Auth: 203.0.113.66->192.0.2.1 user="a" server="x" port="110" status="ok"
    not: text in front
perdition[4711]: Auth: 203.0.113.66->192.0.2.1 user="a" server="x" port="110" status="ok" x
    not: text after the end
""")

IMAP_1_LINES = samples("""
perdition[4711]: Auth: 192.0.2.7:50001->192.0.2.1:143 user="bob" server="10.0.0.5" port="143" status="ok"
    -> accepted user=bob address=192.0.2.7 protocol=imap session=4711 local=192.0.2.1 tls=no
perdition[4711]: Auth: 192.0.2.7->192.0.2.1 user="bob" server="10.0.0.5" port="143" status="ok"
    -> accepted user=bob address=192.0.2.7 protocol=imap session=4711 local=192.0.2.1 tls=no
perdition[4711]: Auth: 192.0.2.7:50001->192.0.2.1:993 user="bob" passwd="XXXXXX" server="10.0.0.5" port="993" status="ok"
    -> accepted user=bob address=192.0.2.7 protocol=imap session=4711 local=192.0.2.1 tls=yes
perdition[4711]: Auth: 192.0.2.7->192.0.2.1 user="a" server="10.0.0.5" port="143" status="failed: ok"
    not: a failure
perdition[4711]: Auth: 203.0.113.66->192.0.2.1 user="a" server="10.0.0.5" port="25" status="ok"
    not: neither POP nor IMAP
perdition[4711]: Connect: Auth: 203.0.113.66->192.0.2.1 user="a" server="x" port="143" status="ok"
    not: text in front
perdition[4711]: Auth: 203.0.113.66->192.0.2.1 user="a" server="x" port="143" status="ok" x
    not: text after the end
""")

ENDED_LINES = samples("""
perdition.imap4[4711]: Closing session: 192.0.2.7:50001->192.0.2.1:143 authorisation_id=NONE authentication_id="bob" received=42 sent=1603
    -> ended user=bob address=192.0.2.7 protocol=imap session=4711
perdition.pop3[4711]: Closing session: 2001:db8::7:50001->2001:db8::1:110 authorisation_id="bob" authentication_id="admin" received=0 sent=0
    -> ended user=admin address=2001:db8::7 protocol=pop3 session=4711
perdition.imap4[4711]: Closing session: 203.0.113.66:50001->192.0.2.1:143 authorisation_id=NONE authentication_id="a" received=0 sent=0" received=1 sent=1
    not: a quote in the name
perdition[4711]: Connect: Closing session: 203.0.113.66:1->192.0.2.1:143 authorisation_id=NONE authentication_id="a" received=1 sent=1
    not: text in front
""")

ENDED_1_LINES = samples("""
perdition[4711]: Close: 192.0.2.7->192.0.2.1 user="bob" received=42 sent=1603
    -> ended user=bob address=192.0.2.7 session=4711
perdition[4711]: Close: 192.0.2.7:50001->192.0.2.1:110 user="bob" received=42 sent=1603
    -> ended user=bob address=192.0.2.7 session=4711
perdition[4711]: Closing: 192.0.2.7->192.0.2.1 user=bob 42 1603
    -> ended user=bob address=192.0.2.7 session=4711
perdition[4711]: Close: 203.0.113.66->192.0.2.1 user="a" received=1
    not: not the whole line
perdition[4711]: Connect: Close: 203.0.113.66->192.0.2.1 user="a" received=1 sent=1
    not: text in front
perdition[4711]: Close: 203.0.113.66->192.0.2.1 user="a" received=1 sent=1 x
    not: text after the end
""")

DROPPED_LINES = samples("""
perdition.pop3[4711]: Fatal error piping data. Exiting child.
    -> ended protocol=pop3 session=4711
perdition.imap4[4711]: Timeout piping data.
    -> ended protocol=imap session=4711
perdition.pop3: Timeout piping data.
    not: no pid, so nothing to tie it to
perdition[4711]: Timeout piping data. x
    not: text after the end
perdition[4711]: Connect: Timeout piping data.
    not: text in front
""")

NO_STATUS_LINES = samples("""
perdition[4711]: Auth: 192.0.2.7->192.0.2.1 user="bob" server="10.0.0.5" port="110"
    -> ignored
perdition[4711]: Auth: 203.0.113.66->192.0.2.1 user="bob" server="10.0.0.5" port="110" sta
    not: no status, or the line was cut
""")

FAILED_LINES = samples("""
perdition.imap4[4711]: Auth: 192.0.2.7:50001->192.0.2.1:143 client-secure=plaintext authorisation_id=NONE authentication_id="a" b" server="10.0.0.5:143" protocol=IMAP4 server-secure=plaintext status="failed: Login Disabled"
    -> refused
perdition.imap4[4711]: Auth: 192.0.2.7:50001->192.0.2.1:143 client-secure=plaintext authorisation_id=NONE authentication_id="a" status="ok" server="10.0.0.5:143" protocol=IMAP4 server-secure=plaintext status="ok"\x20
    not: text after the verdict
""")

NOBODY_LINES = samples("""
perdition.imap[4711]: Connect:  192.0.2.7:50001->192.0.2.1:143
    -> ignored
perdition.imap4[4711]: Closing NULL session: 192.0.2.7:50001->192.0.2.1:143 authorisation_id=NONE authentication_id="(null)"
    -> ignored
perdition[4711]: Connect: 203.0.113.66->192.0.2.1 user="a" server="x" port="110"
    not: connected, not logged in
""")

NOISE_LINES = samples("""
perdition.imaps[4711]: Fatal Error reading authentication information from client 192.0.2.7:50001->192.0.2.1:143: Exiting child
    -> ignored
perdition.imap4s[4711]: Fatal error establishing SSL connection to client
    -> ignored
perdition.pop3[4711]: Fatal error writing to client. Exiting child.
    -> ignored
perdition.pop3[4711]: Fatal error authenticating user. Exiting child.
    -> ignored
perdition.pop3[4711]: Fatal error negotiating setup. Exiting child.
    -> ignored
perdition.pop3[4711]: Fatal error: Timeout authenticating user. Exiting child.
    -> ignored
perdition.pop3[4711]: Local authentication failure for client: Allowing retry.
    -> ignored
perdition.pop3[4711]: Starting perdition version=2.2 protocol=POP3
    -> ignored
perdition.pop3[4711]: Reopened logger
    -> ignored
perdition.pop3[4711]: Exiting on signal 15
    -> ignored
perdition.pop3[4711]: Reloading map library "x" with options "y"
    -> ignored
perdition.pop3[4711]: Fatal error writing to client 203.0.113.66:1->192.0.2.1
    not: an error
""")

SERVER = Server(
    name="perdition",
    title="perdition",
    versions="1.x, 2.x",
    programs={
        "perdition": None,
        "perdition.pop3": "pop3",
        "perdition.pop3s": "pop3",
        "perdition.imap4": "imap",
        "perdition.imap4s": "imap",
        "perdition.imap": "imap",
        "perdition.imaps": "imap",
    },
    accounts=("root", "nobody", "perdition"),
    rules=(
        Rule("login", Accepted, LOGIN, LOGIN_LINES, session=("pid",)),
        Rule("login-1-pop3", Accepted, POP3_1, POP3_1_LINES, session=("pid",), protocol="pop3"),
        Rule("login-1-imap", Accepted, IMAP_1, IMAP_1_LINES, session=("pid",), protocol="imap"),
        Rule("ended", Ended, ENDED, ENDED_LINES, session=("pid",)),
        Rule("ended-1", Ended, ENDED_1, ENDED_1_LINES, session=("pid",)),
        Rule("dropped", Ended, DROPPED, DROPPED_LINES, session=("pid",)),
        Rule("failed", Refused, FAILED, FAILED_LINES),
        Rule("no-status", Ignored, NO_STATUS, NO_STATUS_LINES),
        Rule("nobody", Ignored, NOBODY, NOBODY_LINES),
        Rule("noise", Ignored, NOISE, NOISE_LINES),
    ),
)
