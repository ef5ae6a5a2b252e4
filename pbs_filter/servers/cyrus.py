"""Cyrus IMAP, 2.0 to the development series 3.13.

Printed by      `cmd_login`, `cmd_authenticate` in imap/imapd.c and `cmd_pass`, `cmd_apop`,
                `cmd_auth` in imap/pop3d.c up to 3.12; `loginlog_good_imap` and `_pop` in
                imap/loginlog.c since 3.13.1, as key=value (lib/logfmt.c). Ends: `session ended:`
                in imapd.c since 3.10, and `telemetry_rusage` in imap/telemetry.c (`USAGE`).
Client's text   the host name (reverse DNS; it cannot hold a bracket), before the address. A user
                name (no brackets, nor `<>`) is an account's, or behind `+` a folder's of the client's choice
                (`user_names.user_key` leaves it out, and no `@` is read there). Where
                allowanonymouslogin is on, the login line of `anonymous` ends with whatever the
                client sent as password: it is not a login to us. `session ended:` repeats the
                client's ID command as it came, and since 3.13.7 the tag of its last command.
Session         a process serves many sessions, one after the other. POP3 closes each with `USAGE`
                under its pid. IMAP does so after LOGOUT only, not when a client just goes away;
                since 3.10 there is `session ended:` with the session id. A login line up to 3.12
                does not tell whether its end will come, so it holds nothing.
Travels         by syslog(3), whole: a name of 130,000 bytes came as one message, of which the
                syslog daemon keeps the beginning.

The same words come from sieve, nntp, http and mupdate: the program's name decides.
"""

from __future__ import annotations

from dataclasses import replace

import pyparsing as pp

from ..grammar import (
    ADDRESS,
    HOST,
    NUMBER,
    TEXT,
    WORD,
    Rule,
    Sample,
    Server,
    line,
    name,
    name_before,
    quoted_name,
    samples,
    token,
)
from ..model import Accepted, Ended, Ignored, Refused

# 2.0 to 2.2 write no blank before the bracket.
CLIENT = pp.Opt(HOST + pp.Opt(" ")) + line("[{address}]")
NOT_ANONYMOUS = token(r"(?!(?i:anonymous)(?: |\Z))", "not the user anonymous")
PLUS_TLS = pp.Opt(pp.Literal("+TLS")("tls"))
MECHANISM = (
    token(r"(?!ANONYMOUS)(?>plaintext|nopassword|[A-Z][A-Z0-9_-]{2,39}+)", "a mechanism") + PLUS_TLS
)
SESSION_ID = WORD("0-9A-Za-z._-", 255)
# Behind the mechanism 2.1 writes nothing; 2.2 and 2.3 may write plaintextloginalert, which is the
# administrator's text.
REMARK = token(
    r"(?>(?: (?!SESSIONID=)[0-9A-Za-z.,;:!?'()/-]{1,60}+){1,40})", "words of the administrator"
)
# The usual end of a line tells where a name with blanks ends.
_LOGGED_IN = (
    r" (?!ANONYMOUS)(?>plaintext|nopassword|[A-Z][A-Z0-9_-]{2,39}+)(?>\+TLS|) User logged in"
)
# Behind a `+` a folder of the client's choice, in which an `@` would be taken for a domain's: each
# such folder would make another user of him.
_LETTER = rf"(?!{_LOGGED_IN})[^\x00-\x1f\x7f-\xa0\ud800-\udfff<>\[\]"
_NAME = token(
    rf"(?>(?:{_LETTER}+]){{1,255}})(?>(?:\+(?>(?:{_LETTER}@]){{0,255}}))?)(?={_LOGGED_IN})",
    "a user name",
)("user")
_BARE_NAME = pp.Combine(
    name(less=' <>[]"+') + pp.Opt(pp.Literal("+") + pp.Opt(name(less=' <>[]"@')))
)("user")
_CLIENT_AND = line("login: {client} {known}", client=CLIENT, known=NOT_ANONYMOUS)
_SESSION = line(" SESSIONID=<{id}>", id=SESSION_ID)
LOGIN = line(
    "{client}{who}{session?}",
    client=_CLIENT_AND,
    who=line("{user} {mechanism} User logged in", user=_NAME, mechanism=MECHANISM)
    | line("{user} {mechanism}{remark?}", user=_BARE_NAME, mechanism=MECHANISM, remark=REMARK),
    session=_SESSION,
)

# --- key=value; a value with anything but graphic ASCII, or with `"`, `=`, `\`, stands in quotes

QUOTED = token(
    r'"(?>(?:[ !#-\[\]-~\x80-\U0010ffff]{1,400}+|\\[\\"nrt]|\\x\{[0-9A-Fa-f]{2}\}){0,400})"',
    "a value in quotes",
)
PLAIN = token(r"[!#-<>-\[\]-~]{1,400}+", "a value without quotes")
NEXT = token(r" (?=.)|(?!.)", "the next pair, or the end")


def _pair(key: str, value: pp.ParserElement) -> pp.ParserElement:
    """Return the pair with this key."""
    return pp.Literal(key + "=") + value + NEXT


def _logfmt(session_id: pp.ParserElement, *more: pp.ParserElement) -> pp.ParserElement:
    """Return a login as pairs in any order, with the service's own `more`."""
    client = (
        ADDRESS("address") | line("[{address}]") | line('"{name?}[{address}]"', name=HOST + " ")
    )
    return "event=login.good " + pp.Each(
        [
            _pair("r.clienthost", client),
            _pair(
                "u.username",
                name(less=' "=\\')("user") | line('"{user}"', user=quoted_name()("user")),
            ),
            # 3.13.1, 3.13.7, and between them.
            pp.Opt(pp.one_of(["sessionid=", "r.sessionid=", "session_id="]) + session_id + NEXT),
            pp.Opt(_pair("r.tid", PLAIN | QUOTED)),
            pp.Opt(_pair("login.mech", token(r"(?!ANONYMOUS)[0-9A-Za-z_-]{1,40}+", "a mechanism"))),
            pp.Opt(_pair("login.tls", pp.Literal("0") | pp.Literal("1")("tls"))),
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
    | line("user '{name}' denied access to service ", name=name_before("' denied access "))
) + TEXT
COUNTS = line("counts: retr=<{number}> top=<{number}> dele=<{number}>")
# The command's tag, since 3.13.7.
_TRACE = token(r"(?>(?:r\.tid=<(?>(?:(?!> userid=<)[!-~]){0,255})> |))", "a trace id or nothing")
_ENDED = line("session ended: sessionid=<{id}> {tid}userid=<", id=SESSION_ID("id"), tid=_TRACE)
# What it was called, what it used, and the blank that xsyslog puts behind each field.
ID_COMMAND = token(
    r"(?>(?: id\.[a-z-]{1,20}+=<[^<>\x00-\x1f]{0,1000}+>){0,8})"
    r"(?>(?: [a-z0-9_]{1,30}+=<1>){0,60})(?> |)",
    "the client's ID command, and what it used",
)
SESSION_ENDED = _ENDED + name(less="<>")("user") + ">" + ID_COMMAND
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
            "Unable to open maildrop ",
            "IDLE: ",
        ]
    )
    + TEXT
)

LOGIN_LINES = samples(r"""
cyrus/imap[4711]: login: [192.0.2.7] EXAMPLE\pat o'neil, {a=b} (`x`) PLAIN+TLS User logged in SESSIONID=<mx1-1>
    -> accepted user=EXAMPLE\pat o'neil, {a=b} (`x`) address=192.0.2.7 protocol=imap session=4711 tls=yes
cyrus/imap[4711]: login: client.example.org [192.0.2.7] bob plaintext User logged in SESSIONID=<mx1-4711-1450760746-1-6931901653674999381>
    -> accepted user=bob address=192.0.2.7 protocol=imap session=4711 tls=no
pop3s[4711]: login: [2001:db8::7] bob@example.org CRAM-MD5+TLS User logged in
    -> accepted user=bob@example.org address=2001:db8::7 protocol=pop3 session=4711 tls=yes
imapd[4711]: login: client.example.org[192.0.2.7] bob plaintext
    -> accepted user=bob address=192.0.2.7 protocol=imap session=4711 tls=no
backend2/pop3[4711]: login: 203.0.113.66 [192.0.2.7] bob APOP User logged in
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711 tls=no
imapd[4711]: login: [192.0.2.7] bob CRAM-MD5+TLS
    -> accepted user=bob address=192.0.2.7 protocol=imap session=4711 tls=yes
imap: login: [192.0.2.7] bob+INBOX.a nopassword Please use TLS.
    -> accepted user=bob+INBOX.a address=192.0.2.7 protocol=imap tls=no
imap[4711]: login: [192.0.2.7] bob@example.org+a b plaintext User logged in
    -> accepted user=bob@example.org+a b address=192.0.2.7 protocol=imap session=4711 tls=no
imap[4711]: login: [203.0.113.66] bob+x@1 plaintext User logged in
    not: a folder with a domain
imap[4711]: login: [203.0.113.66] bob+x@1 CRAM-MD5
    not: a folder with a domain
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
imap[4711]: event=login.good r.sessionid=mx1-4711-1-1 r.clienthost="[192.0.2.7]" u.username="EXAMPLE\\\\pat \\"o'neil\\" {a=b}" login.magic=~null~
    -> accepted user=EXAMPLE\\pat "o'neil" {a=b} address=192.0.2.7 protocol=imap session=mx1-4711-1-1 tls=no
cyrus/imap[4711]: event=login.good sessionid=mx1-4711-1-1 r.clienthost="client.example.org [192.0.2.7]" u.username=bob login.mech=plaintext login.tls=0 login.magic=~null~
    -> accepted user=bob address=192.0.2.7 protocol=imap session=mx1-4711-1-1 tls=no
imaps[4711]: event=login.good r.sessionid=mx1-4711-1-1 r.tid="a \\"1" r.clienthost="[2001:db8::7]" u.username="bob" login.tls=1 login.nopassword=1 login.magic="+a \\\\ = \\x{0b}"
    -> accepted user=bob address=2001:db8::7 protocol=imap session=mx1-4711-1-1 tls=yes
imap[4711]: event=login.good r.tid=a1 login.magic=~null~ u.username=bob r.clienthost=[192.0.2.7]
    -> accepted user=bob address=192.0.2.7 protocol=imap tls=no
imap[4711]: event=login.good r.clienthost=192.0.2.7 u.username=bob login.magic=~null~
    -> accepted user=bob address=192.0.2.7 protocol=imap tls=no
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
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711 tls=yes
pop3[4711]: event=login.good r.tid="a 1" r.clienthost=[192.0.2.7] u.username=bob login.tls=0 pop.subfolder="a b"
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711 tls=no
pop3[4711]: event=login.good r.clienthost="[192.0.2.7]" u.username=bob pop.subfolder=a
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711 tls=no
pop3[4711]: event=login.good r.clienthost=192.0.2.7 u.username=bob pop.subfolder=a
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711 tls=no
pop3[4711]: event=login.good r.clienthost=[203.0.113.66] u.username=bob pop.subfolder=a b
    not: a blank outside quotes
pop3[4711]: x event=login.good r.clienthost=[203.0.113.66] u.username=bob pop.subfolder=x
    not: text in front
""")

LOGIN_LOGFMT_LINES = samples("""
pop3[4711]: event=login.good r.clienthost=[192.0.2.7] u.username=bob login.tls=0
    -> accepted user=bob address=192.0.2.7 protocol=pop3 tls=no
imap[4711]: event=login.good r.sessionid=mx1-4711-1-1 r.clienthost=192.0.2.7 u.username=bob login.mech=PLAIN login.tls=1
    -> accepted user=bob address=192.0.2.7 protocol=imap tls=yes
pop3[4711]: event=login.good r.tid=a1 r.clienthost="[192.0.2.7]" u.username="bob"
    -> accepted user=bob address=192.0.2.7 protocol=pop3 tls=no
pop3[4711]: event=login.good r.tid="a 1" r.clienthost="client.example.org [192.0.2.7]" u.username=bob
    -> accepted user=bob address=192.0.2.7 protocol=pop3 tls=no
pop3[4711]: event=login.good r.clienthost=[192.0.2.7] u.username=bob
    -> accepted user=bob address=192.0.2.7 protocol=pop3 tls=no
imap[4711]: event=login.good r.clienthost=203.0.113.66
    not: no user
imap[4711]: x event=login.good r.clienthost=[203.0.113.66] u.username=bob
    not: text in front
imap[4711]: event=login.good r.clienthost=[203.0.113.66] u.username=bob x
    not: text after the end
""")

END_LINES = samples("""
imap[4711]: session ended: sessionid=<mx1-4711-1-1> userid=<pat o'neil> id.vendor=<> id.name=<> id.version=<>\x20
    -> ended user=pat o'neil protocol=imap session=mx1-4711-1-1
imap[4711]: session ended: sessionid=<mx1-4711-1-1> r.tid=<a<9>> userid=<bob> id.vendor=<> id.name=<Mail> id.version=<128.1> condstore=<1> idle=<1> utf8_accept=<1>\x20
    -> ended user=bob protocol=imap session=mx1-4711-1-1
imap[4711]: session ended: sessionid=<mx1-4711-1-1> userid=<bob> id.vendor=<> id.name=<> id.version=<> compress=<1>
    -> ended user=bob protocol=imap session=mx1-4711-1-1
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
        Rule(
            "login-imap",
            Accepted,
            LOGFMT_IMAP,
            IMAP_LINES,
            escaped=True,
            session=("id",),
            protocol="imap",
        ),
        Rule(
            "login-pop",
            Accepted,
            LOGFMT_POP,
            POP_LINES,
            escaped=True,
            session=("pid",),
            protocol="pop3",
        ),
        Rule("login-logfmt", Accepted, LOGFMT_PLAIN, LOGIN_LOGFMT_LINES, escaped=True),
        Rule("end", Ended, SESSION_ENDED, END_LINES, session=("id",)),
        Rule("end-by-pid", Ended, USAGE, END_BY_PID_LINES, session=("pid",)),
        Rule("refused", Refused, REFUSED, REFUSED_LINES),
        Rule("anonymous", Ignored, ANONYMOUS, ANONYMOUS_LINES),
        Rule("counts", Ignored, COUNTS, COUNTS_LINES),
        Rule("nobody-ended", Ignored, NOBODY_ENDED, NOBODY_ENDED_LINES),
        Rule("noise", Ignored, NOISE, NOISE_LINES),
    ),
)

# --- as rsyslog's template for RFC 5424 hands it on: the name cut at its slash

_CUT_MECHANISM = token(
    "(?>(?>plaintext|nopassword|APOP|KPOP|PLAIN|LOGIN|CRAM-MD5|DIGEST-MD5|GSSAPI|EXTERNAL|OTP"
    r"|XOAUTH2|OAUTHBEARER)(?= |\+TLS))",
    "a mechanism that HTTP has not",
)
CUT_LOGIN = (
    _CLIENT_AND + _NAME + " " + _CUT_MECHANISM + PLUS_TLS + " User logged in SESSIONID=<"
    + SESSION_ID + ">"
)  # fmt: skip
CUT_OTHER_LOGIN = (
    _CLIENT_AND + name(less=' <>[]"')("user") + token(rf" (?!{_CUT_MECHANISM.re.pattern}(?>\+TLS|) )[!-~]{{1,60}}+", "HTTP's")
    + " User logged in SESSIONID=<" + SESSION_ID + ">"
)  # fmt: skip
CUT_NOTHING = (
    token(
        r"(?!login: [^\n]{1,600}? SESSIONID=<|event=login\.good [^\n]{1,2000}?(?:login\.magic|pop\.subfolder)="
        r"|event=login\.bad |badlogin: |user '|session ended: |USAGE )",
        "nothing of a mailbox",
    )
    + TEXT
)

CUT_LOGIN_LINES = samples(r"""
cyrus[4711]: login: client.example.org [192.0.2.7] pat o'neil plaintext User logged in SESSIONID=<cyrus-1-2>
    -> accepted user=pat o'neil address=192.0.2.7 session=4711 tls=no
cyrus: login: [2001:db8::7] bob PLAIN+TLS User logged in SESSIONID=<mx1-7881-1>
    -> accepted user=bob address=2001:db8::7 tls=yes
cyrus[4711]: login: client.example.org[192.0.2.7] bob CRAM-MD5 User logged in SESSIONID=<mx1-7881-1>
    -> accepted user=bob address=192.0.2.7 session=4711 tls=no
cyrus[4711]: login: client.example.org [203.0.113.66] bob PLAIN User logged in
    not: sieve, nntp, lmtp, ...: only IMAP, POP3 and HTTP write a session id
cyrus[4711]: login: client.example.org [203.0.113.66] bob Basic+TLS User logged in SESSIONID=<mx1-7881-1>
    not: HTTP
cyrus[4711]: login: client.example.org [203.0.113.66] bob SCRAM-SHA-256 User logged in SESSIONID=<mx1-7881-1>
    not: perhaps HTTP
cyrus[4711]: x login: [203.0.113.66] bob PLAIN User logged in SESSIONID=<mx1-7881-1>
    not: text in front
cyrus[4711]: login: [203.0.113.66] bob PLAIN User logged in SESSIONID=<mx1-7881-1> x
    not: text after the end
""")

CUT_OTHER_LOGIN_LINES = samples("""
cyrus[4711]: login: client.example.org [192.0.2.7] bob Basic+TLS User logged in SESSIONID=<mx1-7881-1>
    -> ignored
cyrus[4711]: login: [192.0.2.7] bob Bearer User logged in SESSIONID=<mx1-7881-1>
    -> ignored
cyrus[4711]: login: client.example.org[192.0.2.7] bob Negotiate User logged in SESSIONID=<mx1-7881-1>
    -> ignored
cyrus[4711]: login: [203.0.113.66] bob Basic User logged in SESSIONID=<mx1-7881-1>
    not: HTTP
""")

CUT_NOTHING_LINES = samples("""
cyrus[4711]: login: client.example.org [192.0.2.7] bob PLAIN User logged in
    -> ignored
cyrus[4711]: event=login.good r.clienthost=[192.0.2.7] u.username=bob login.tls=1 login.scheme=Basic
    -> ignored
cyrus[4711]: accepted connection
    -> ignored
cyrus[4711]: event=login.good r.clienthost=[203.0.113.66] u.username=bob login.mech=PLAIN login.tls=1
    not: sieve
""")


def _cut(lines: tuple[Sample, ...]) -> tuple[Sample, ...]:
    """Return samples as they come under the cut name."""
    return tuple(
        replace(
            sample,
            line="cyrus" + sample.line.removeprefix(sample.parts()[0]),
            observation=replace(sample.observation, protocol=None)
            if isinstance(sample.observation, Ended)
            else sample.observation,
        )
        for sample in lines
    )


CUT = Server(
    name="cyrus-rfc5424",
    title="Cyrus IMAP, its name cut at the slash (RFC 5424 by rsyslog)",
    versions="2.4 - 3.13",
    programs={"cyrus": None},
    sessions_of="cyrus",
    accounts=("root", "cyrus"),
    rules=(
        Rule("login", Accepted, CUT_LOGIN, CUT_LOGIN_LINES, session=("pid",), holds=False),
        Rule(
            "login-imap",
            Accepted,
            LOGFMT_IMAP,
            _cut(IMAP_LINES),
            escaped=True,
            session=("id",),
            protocol="imap",
        ),
        Rule(
            "login-pop",
            Accepted,
            LOGFMT_POP,
            _cut(POP_LINES),
            escaped=True,
            session=("pid",),
            protocol="pop3",
        ),
        Rule("end", Ended, SESSION_ENDED, _cut(END_LINES), session=("id",)),
        Rule("end-by-pid", Ended, USAGE, _cut(END_BY_PID_LINES), session=("pid",)),
        Rule("refused", Refused, REFUSED, _cut(REFUSED_LINES)),
        Rule("nobody-ended", Ignored, NOBODY_ENDED, _cut(NOBODY_ENDED_LINES)),
        Rule("other-login", Ignored, CUT_OTHER_LOGIN, CUT_OTHER_LOGIN_LINES),
        Rule("nothing", Ignored, CUT_NOTHING, CUT_NOTHING_LINES),
    ),
)
