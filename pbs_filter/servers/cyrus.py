"""Cyrus IMAP, 2.0 to the development series 3.13.

Printed by      `cmd_login`, `cmd_authenticate` in imap/imapd.c and `cmd_pass`, `cmd_apop`,
                `cmd_auth` in imap/pop3d.c up to 3.12; `loginlog_good_imap` and `_pop` in
                imap/loginlog.c since 3.13.1, as key=value (lib/logfmt.c). Ends: `session ended:`
                in imapd.c since 3.10, and `telemetry_rusage` in imap/telemetry.c (`USAGE`).
Client's text   the host name (reverse DNS; it cannot hold a bracket), before the address. A user
                name is an account's, or behind `+` a folder's of the client's choice. Where
                allowanonymouslogin is on, the login line of `anonymous` ends with whatever the
                client sent as password: it is not a login to us. `session ended:` repeats the
                client's ID command as it came.
Session         a process serves many sessions, one after the other. POP3 closes each with `USAGE`
                under its pid. IMAP does so after LOGOUT only, not when a client just goes away;
                since 3.10 there is `session ended:` with the session id. A login line up to 3.12
                does not tell whether its end will come, so it holds nothing.

The same words come from sieve, nntp, http and mupdate: the program's name decides.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import ADDRESS, HOST, NUMBER, TEXT, USER, WORD, Rule, Server, line, samples, token
from ..model import Accepted, Ended, Ignored, Refused

# 2.0 to 2.2 write no blank before the bracket.
CLIENT = pp.Opt(HOST + pp.Opt(" ")) + line("[{address}]")
NOT_ANONYMOUS = token(r"(?!(?i:anonymous)(?: |\Z))", "not the user anonymous")
MECHANISM = token(
    r"(?!ANONYMOUS)(?>plaintext|nopassword|[A-Z][A-Z0-9_-]{2,39}+)(?>(?:\+TLS|))", "a mechanism"
)
SESSION_ID = WORD("0-9A-Za-z._-", 255)
# Behind the mechanism 2.1 writes nothing; 2.2 and 2.3 may write plaintextloginalert, which is the
# administrator's text.
REMARK = token(
    r"(?>(?: (?!SESSIONID=)[0-9A-Za-z.,;:!?'()/-]{1,60}+){1,40})", "words of the administrator"
)
LOGIN = line(
    "login: {client} {not_anonymous}{user} {mechanism}{remark?}{session?}",
    client=CLIENT,
    not_anonymous=NOT_ANONYMOUS,
    mechanism=MECHANISM,
    remark=pp.Literal(" User logged in") | REMARK,
    session=line(" SESSIONID=<{id}>", id=SESSION_ID),
)

# --- key=value; a value with anything but graphic ASCII, or with `"`, `=`, `\`, stands in quotes

QUOTED = token(
    r'"(?>(?:[ !#-\[\]-~\x80-\U0010ffff]{1,400}+|\\[\\"nrt]|\\x\{[0-9A-Fa-f]{2}\}){0,400})"',
    "a value in quotes",
)
PLAIN = token(r"[!#-<>-\[\]-~]{1,400}+", "a value without quotes")
NEXT = token(r" (?=.)|(?!.)", "the next pair, or the end")


def _pair(key: str, value: pp.ParserElement) -> pp.ParserElement:
    """Returns the pair with this key."""
    return pp.Literal(key + "=") + value + NEXT


def _logfmt(session_id: pp.ParserElement, *more: pp.ParserElement) -> pp.ParserElement:
    """Returns a login as pairs in any order, with the service's own `more`."""
    client = (
        ADDRESS("address") | line("[{address}]") | line('"{name?}[{address}]"', name=HOST + " ")
    )
    return "event=login.good " + pp.Each(
        [
            _pair("r.clienthost", client),
            _pair("u.username", USER("user") | line('"{user}"')),
            # 3.13.1, 3.13.7, and between them.
            pp.Opt(pp.one_of(["sessionid=", "r.sessionid=", "session_id="]) + session_id + NEXT),
            pp.Opt(_pair("r.tid", PLAIN | QUOTED)),
            pp.Opt(_pair("login.mech", token(r"(?!ANONYMOUS)[0-9A-Za-z_-]{1,40}+", "a mechanism"))),
            pp.Opt(_pair("login.tls", WORD("01", 1))),
            *more,
        ]
    )


LOGFMT_IMAP = _logfmt(
    SESSION_ID("id"),
    _pair("login.magic", PLAIN | QUOTED),
    pp.Opt(_pair("login.nopassword", WORD("01", 1))),
)
LOGFMT_POP = _logfmt(SESSION_ID, _pair("pop.subfolder", PLAIN | QUOTED))
# Nothing in it says which of the two: the development versions before 3.13.1, and others' tests.
LOGFMT_PLAIN = _logfmt(SESSION_ID)

SECONDS = NUMBER + "." + NUMBER
USAGE = line("USAGE {user} user: {seconds} sys: {seconds}", seconds=SECONDS)

REFUSED = (
    pp.one_of(["badlogin: ", "event=login.bad "])
    | line("user '{user}' denied access to service ", user=USER)
) + TEXT
COUNTS = line("counts: retr=<{number}> top=<{number}> dele=<{number}>")
_ENDED = line("session ended: sessionid=<{id}> userid=<", id=SESSION_ID("id"))
ID_COMMAND = token(
    r"(?>(?: id\.[a-z-]{1,20}+=<[^<>\x00-\x1f]{0,1000}+>){0,8})", "the client's ID command"
)
SESSION_ENDED = _ENDED + USER("user") + ">" + ID_COMMAND
NOBODY_ENDED = _ENDED + ">" + TEXT
ANONYMOUS = "login: " + pp.Opt(HOST + pp.Opt(" ")) + "[" + ADDRESS + "] anonymous " + TEXT
NOISE = (
    pp.one_of(
        [
            "accepted connection",
            "open: user ",
            "open:  user ",
            "starttls: ",
            "SSL_accept() ",
            "imap TLS negotiation failed: ",
            "imaps TLS negotiation failed: ",
            "pop3 TLS negotiation failed: ",
            "pop3s TLS negotiation failed: ",
            "STARTTLS negotiation failed: ",
            "TLS server engine: ",
            "inittls: ",
            "fetching user_deny.db",
            "auxpropfunc error",
            "autocreateinbox: ",
            "SASL ",
            "graceful shutdown",
            "Connection reset by peer, closing connection",
            "Connection timed out, closing connection",
            "client id ",
            "auditlog: ",
            "conversations",
            "created compress",
            "created decompress",
            "about to exec ",
            "executed",
            "unable to ",
            "cyrusdb",
            "skiplist: ",
            "seen_db: ",
            "DBERROR",
            "IOERROR",
            "SQUAT ",
            "mystore: ",
            "mydelete: ",
            "fetched ",
            "expunged ",
            "Expunged ",
            "Fatal error: ",
        ]
    )
    + TEXT
)

LOGIN_LINES = samples("""
cyrus/imap[4711]: login: client.example.org [192.0.2.7] bob plaintext User logged in SESSIONID=<mx1-4711-1450760746-1-6931901653674999381>
    -> accepted user=bob address=192.0.2.7 protocol=imap session=4711
pop3s[4711]: login: [2001:db8::7] bob@example.org CRAM-MD5+TLS User logged in
    -> accepted user=bob@example.org address=2001:db8::7 protocol=pop3 session=4711
imapd[4711]: login: client.example.org[192.0.2.7] bob plaintext
    -> accepted user=bob address=192.0.2.7 protocol=imap session=4711
backend2/pop3[4711]: login: 203.0.113.66 [192.0.2.7] bob APOP User logged in
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711
imap: login: [192.0.2.7] bob+INBOX.a nopassword Please use TLS.
    -> accepted user=bob+INBOX.a address=192.0.2.7 protocol=imap
cyrus/imap[4711]: login: client.example.org [203.0.113.66] anonymous x
    not: everybody may log in so
cyrus/imap[4711]: login: [203.0.113.66] anonymous plaintext User logged in
    not: everybody may log in so
cyrus/imap[4711]: login: [203.0.113.66] guest ANONYMOUS User logged in
    not: everybody may log in so
cyrus/imap[4711]: badlogin: x [203.0.113.66] plaintext bob SASL(-13): authentication failure: checkpass failed
    not: refused
cyrus/imap[4711]: login: x [203.0.113.66] [192.0.2.7] bob plaintext
    not: two brackets
imapd[4711]: login: [203.0.113.66] bob plaintext User logged in SESSIONID=<x> [198.51.100.23]
    not: text after the end
sieve[4711]: login: x[203.0.113.66] bob PLAIN User logged in
    not: not IMAP
cyrus/nntp[4711]: login: x[203.0.113.66] bob PLAIN
    not: not IMAP
""")

IMAP_LINES = samples("""
cyrus/imap[4711]: event=login.good sessionid=mx1-4711-1-1 r.clienthost="client.example.org [192.0.2.7]" u.username=bob login.mech=plaintext login.tls=0 login.magic=~null~
    -> accepted user=bob address=192.0.2.7 protocol=imap session=mx1-4711-1-1
imaps[4711]: event=login.good r.sessionid=mx1-4711-1-1 r.tid="a \\"1" r.clienthost="[2001:db8::7]" u.username="bob" login.nopassword=1 login.magic="+a \\\\ = \\x{0b}"
    -> accepted user=bob address=2001:db8::7 protocol=imap session=mx1-4711-1-1
imap[4711]: event=login.good r.tid=a1 login.magic=~null~ u.username=bob r.clienthost=[192.0.2.7]
    -> accepted user=bob address=192.0.2.7 protocol=imap
imap[4711]: event=login.good r.clienthost=192.0.2.7 u.username=bob login.magic=~null~
    -> accepted user=bob address=192.0.2.7 protocol=imap
imap[4711]: event=login.good r.clienthost=203.0.113.66 login.tls=0 login.magic=~null~ login.anonymous=1 login.password=x
    not: everybody may log in so
imap[4711]: event=login.good r.clienthost=[203.0.113.66] u.username=bob login.mech=ANONYMOUS login.tls=0 login.magic=~null~
    not: everybody may log in so
imap[4711]: event=login.bad r.clienthost=[198.51.100.23] u.username="bob login.mech=plaintext r.clienthost=[203.0.113.66]" login.mech=plaintext error="checkpass failed"
    not: refused
imap[4711]: event=login.good r.clienthost=[198.51.100.23] u.username=bob login.magic=x r.clienthost=[203.0.113.66]
    not: a key twice
http[4711]: event=login.good r.clienthost=[203.0.113.66] u.username=bob login.tls=1 login.scheme=Basic
    not: not IMAP
imap[4711]: event=login.good r.clienthost=[203.0.113.66] u.username=bob login.magic=~null~ login.scheme=Basic
    not: an unknown key
imap[4711]: event=login.good r.clienthost=[203.0.113.66] u.username=bob login.magic=~null~\x20
    not: the line was cut
imap[4711]: x event=login.good r.clienthost=[203.0.113.66] u.username=bob login.magic=x
    not: text in front
""")

POP_LINES = samples("""
pop3[4711]: event=login.good session_id=mx1-4711-1-1 r.tid=a1 r.clienthost="client.example.org [192.0.2.7]" u.username="bob" login.mech=CRAM-MD5 login.tls=1 pop.subfolder=~null~
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711
pop3[4711]: event=login.good r.tid="a 1" r.clienthost=[192.0.2.7] u.username=bob pop.subfolder="a b"
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711
pop3[4711]: event=login.good r.clienthost="[192.0.2.7]" u.username=bob pop.subfolder=a
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711
pop3[4711]: event=login.good r.clienthost=192.0.2.7 u.username=bob pop.subfolder=a
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711
pop3[4711]: event=login.good r.clienthost=[203.0.113.66] u.username=bob pop.subfolder=a b
    not: a blank outside quotes
pop3[4711]: x event=login.good r.clienthost=[203.0.113.66] u.username=bob pop.subfolder=x
    not: text in front
""")

LOGIN_LOGFMT_LINES = samples("""
imap[4711]: event=login.good r.sessionid=mx1-4711-1-1 r.clienthost=192.0.2.7 u.username=bob login.mech=PLAIN login.tls=1
    -> accepted user=bob address=192.0.2.7 protocol=imap
pop3[4711]: event=login.good r.tid=a1 r.clienthost="[192.0.2.7]" u.username="bob"
    -> accepted user=bob address=192.0.2.7 protocol=pop3
pop3[4711]: event=login.good r.tid="a 1" r.clienthost="client.example.org [192.0.2.7]" u.username=bob
    -> accepted user=bob address=192.0.2.7 protocol=pop3
pop3[4711]: event=login.good r.clienthost=[192.0.2.7] u.username=bob
    -> accepted user=bob address=192.0.2.7 protocol=pop3
imap[4711]: event=login.good r.clienthost=203.0.113.66
    not: no user
imap[4711]: x event=login.good r.clienthost=[203.0.113.66] u.username=bob
    not: text in front
imap[4711]: event=login.good r.clienthost=[203.0.113.66] u.username=bob x
    not: text after the end
""")

END_LINES = samples("""
imap[4711]: session ended: sessionid=<mx1-4711-1-1> userid=<bob> id.vendor=<x> id.name=<(null)>
    -> ended user=bob protocol=imap session=mx1-4711-1-1
imap[4711]: session ended: sessionid=<mx1-4711-1-1> userid=<>
    not: nobody
imap[4711]: session ended: sessionid=<mx1-4711-1-1> userid=<bob> id.vendor=<event=login.good r.clienthost=[203.0.113.66]> <>
    not: the client's ID command
imap[4711]: x session ended: sessionid=<a> userid=<bob>
    not: text in front
""")

END_BY_PID_LINES = samples("""
cyrus/pop3[4711]: USAGE bob user: 0.004000 sys: 0.012001
    -> ended user=bob protocol=pop3 session=4711
cyrus/imap[4711]: USAGE bob user: 0.004000
    not: cut off
cyrus/imap[4711]: x USAGE bob user: 0.0 sys: 0.0
    not: text in front
cyrus/imap[4711]: USAGE bob user: 0.0 sys: 0.0 x
    not: text after the end
""")

REFUSED_LINES = samples("""
cyrus/imap[4711]: badlogin: client.example.org [192.0.2.7] plaintext (bob) [SASL(-13): user not found: checkpass failed]
    -> refused
imap[4711]: event=login.bad r.clienthost=[192.0.2.7]
    -> refused
imap[4711]: user 'bob' denied access to service 'imap'
    -> refused
pop3[4711]: badlogin: login: x [203.0.113.66] bob plaintext User logged in
    not: refused
""")

ANONYMOUS_LINES = samples("""
imap[4711]: login: client.example.org [192.0.2.7] anonymous x
    -> ignored
imap[4711]: login: [192.0.2.7] anonymous x y
    -> ignored
imap[4711]: login: client.example.org[192.0.2.7] anonymous x
    -> ignored
imap[4711]: login: [198.51.100.23] anonymous x [203.0.113.66] bob plaintext User logged in
    not: a password that looks like a login
""")

COUNTS_LINES = samples("""
pop3[4711]: counts: retr=<0> top=<0> dele=<0>
    -> ignored
pop3[4711]: counts: retr=<0> top=<0> dele=<0> 203.0.113.66
    not: no such line
""")

NOBODY_ENDED_LINES = samples("""
imap[4711]: session ended: sessionid=<mx1-4711-1-1> userid=<> id.name=<x>
    -> ignored
imap[4711]: session ended: sessionid=<mx1-4711-1-1> userid=<> id.vendor=<event=login.good r.clienthost=[203.0.113.66]> id.name=<x>
    not: the client's ID command
""")

NOISE_LINES = samples("""
cyrus/pop3[4711]: accepted connection
    -> ignored
imap[4711]: open: user bob opened INBOX
    -> ignored
imap[4711]: client id sessionid=<x>: name login: x [203.0.113.66] bob PLAIN
    not: the client's ID command
""")

SERVER = Server(
    name="cyrus",
    title="Cyrus IMAP",
    versions="2.0 - 3.13",
    programs={
        "imap": "imap",
        "imaps": "imap",
        "imapd": "imap",
        "cyrus/imap": "imap",
        "cyrus/imaps": "imap",
        "cyrus/imapd": "imap",
        "imapmail": "imap",
        "proxyd": "imap",
        "cyrus/proxyd": "imap",
        "pop3": "pop3",
        "pop3s": "pop3",
        "pop3d": "pop3",
        "cyrus/pop3": "pop3",
        "cyrus/pop3s": "pop3",
        "cyrus/pop3d": "pop3",
        "pop3proxyd": "pop3",
        "cyrus/pop3proxyd": "pop3",
    },
    instances=True,
    accounts=("root", "cyrus"),
    rules=(
        Rule("login", Accepted, LOGIN, LOGIN_LINES, session=("pid",), holds=False),
        Rule("login-imap", Accepted, LOGFMT_IMAP, IMAP_LINES, session=("id",), protocol="imap"),
        Rule("login-pop", Accepted, LOGFMT_POP, POP_LINES, session=("pid",), protocol="pop3"),
        Rule("login-logfmt", Accepted, LOGFMT_PLAIN, LOGIN_LOGFMT_LINES),
        Rule("end", Ended, SESSION_ENDED, END_LINES, session=("id",)),
        Rule("end-by-pid", Ended, USAGE, END_BY_PID_LINES, session=("pid",)),
        Rule("refused", Refused, REFUSED, REFUSED_LINES),
        Rule("anonymous", Ignored, ANONYMOUS, ANONYMOUS_LINES),
        Rule("counts", Ignored, COUNTS, COUNTS_LINES),
        Rule("nobody-ended", Ignored, NOBODY_ENDED, NOBODY_ENDED_LINES),
        Rule("noise", Ignored, NOISE, NOISE_LINES),
    ),
)
