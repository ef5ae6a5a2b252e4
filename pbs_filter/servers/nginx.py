"""nginx as mail proxy, 0.5 to today.

Printed by      `ngx_mail_log_error` in ngx_mail_handler.c, after ngx_mail_proxy_module.c's `client
                logged in` and `proxied session done`, at level info: `error_log
                syslog:server=unix:/dev/log,nohostname info;`. Without `nohostname` the host's name
                stands where a local syslog daemon looks for the program's.
Client's text   the user name, inside quotes that are not escaped, behind the client's address; only
                what nginx knows itself (the server behind) follows.
Session         process and connection number, which count up for all workers. The words are the
                same for POP3, IMAP and SMTP: the port that the client came to decides, or, where it
                is none of the usual ones, the port of the server behind, to which nginx speaks the
                same protocol. Where both ports are a site's own, and nginx proxies no SMTP there,
                `enable = ["nginx-login-any-port"]` reads these logins, too.
Travels         by a datagram of nginx's own, one a line, cut off at 2,048 bytes (NGX_MAX_ERROR_STR);
                the rest is dropped. Line breaks in a name are the syslog daemon's to escape. The
                error log gets them raw: there the 2,048 bytes (and its own 64 lines) behind each line
                that holds a stranger's text authorise and end nobody.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import NUMBER, TEXT, WORD, Rule, Sample, Server, line, samples, token
from ..grammar.carriage import Carriage
from ..model import Accepted, Ended, Ignored, Refused
from ..syslog.headers import HOST, SLASHES, SYSLOG, OwnLog

_STAMP = token(r"[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}", "a time")
_LEVEL = line("{time} [{level}] ", time=_STAMP, level=WORD("a-z", 8))
_FRAME = line(
    "{level}{worker}#{number}: *{connection} ",
    level=_LEVEL,
    worker=NUMBER("worker"),
    connection=NUMBER("connection"),
)
_PROCESS = line("{level}{number}#{number}: ", level=_LEVEL)
_CONNECTION = line("*{number} ")
_LISTENER = token(r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[0-9.]{7,15}):", "the address the client came to")
_POP3 = token("(?:110|995)(?![0-9])", "110 or 995")
_IMAP = token("(?:143|993)(?![0-9])", "143 or 993")
_POP3_HERE = token("110(?![0-9])", "110") | token("995(?![0-9])", "995")("tls_port")
_IMAP_HERE = token("143(?![0-9])", "143") | token("993(?![0-9])", "993")("tls_port")
_SMTP = token("(?:25|465|587|2525)(?![0-9])", "a port of SMTP")
_OTHER = token(
    "(?!(?:110|995|143|993|25|465|587|2525)(?![0-9]))[0-9]{1,5}+", "a port of no known protocol"
)
_NOT_SMTP = token("(?!(?:25|465|587|2525)(?![0-9]))[0-9]{1,5}+", "a port that is not SMTP's")
_BEHIND = token(r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[0-9.]{7,15}):", "the address of the server behind")
# Zimbra's nginx adds the client's port and, at the end, the sockets of both connections. Only a line
# that ends so has a port: an IPv6 address has no brackets here.
_CLIENT = token(
    r"(?>[0-9A-Fa-f:.]{2,45}(?=:[0-9]{1,5}[ ,][^\n]{0,1500}\)\Z)|[0-9A-Fa-f:.]{2,45})", "a client"
)("address") + token(r"(?>(?::[0-9]{1,5}|))", "its port or nothing")
_SOCKETS = token(
    r"(?>(?: \([^()\n]{2,120}\) <=> \([^()\n]{2,120}\)"
    r"|, \[[0-9A-Fa-f:.-]{2,120}\] <=> \[[0-9A-Fa-f:.-]{2,120}\]|)(?!.))",
    "the sockets of both connections, or nothing",
)
_SOMEWHERE = token(r"[0-9A-Za-z_.:/\[\]-]{1,255}+", "a server behind")


def _context(port: pp.ParserElement, behind: pp.ParserElement) -> pp.ParserElement:
    """Return what nginx writes behind every message about a session with a user."""
    return line(
        ', client: {client}{tls?}, server: {listener}{port}, login: "{user}", upstream: {behind}{sockets}',
        client=_CLIENT,
        tls=pp.Literal(" using starttls")("tls"),
        listener=_LISTENER,
        port=port,
        behind=behind,
        sockets=_SOCKETS,
    )


_LOGGED_IN = _FRAME + "client logged in"
LOGIN_POP3 = _LOGGED_IN + _context(_POP3_HERE, _SOMEWHERE)
LOGIN_IMAP = _LOGGED_IN + _context(_IMAP_HERE, _SOMEWHERE)
POP3_BEHIND = _LOGGED_IN + _context(_OTHER, _BEHIND + _POP3)
IMAP_BEHIND = _LOGGED_IN + _context(_OTHER, _BEHIND + _IMAP)
ANY_PORT = _LOGGED_IN + _context(_OTHER, _BEHIND + _OTHER)
LOGIN_SMTP = _PROCESS + _CONNECTION + "client logged in" + _context(_SMTP, _SOMEWHERE)
_TIMED_OUT = line(
    "{side} timed out ({number}: {error}) while proxying",
    side=pp.Literal("client") | "upstream",
    error=WORD("A-Za-z ", 80),
)
ENDED = _FRAME + (pp.Literal("proxied session done") | _TIMED_OUT) + _context(_NOT_SMTP, _SOMEWHERE)
FAILED = _PROCESS + _CONNECTION + "client login failed: " + TEXT
NOISE = pp.Opt(_PROCESS + pp.Opt(_CONNECTION)) + token(
    r"(?![0-9]{4}/|\*[0-9]|client log|proxied session done|(?:client|upstream) timed out)"
    r"(?s:.){0,65536}+",
    "anything but a login, its failure or its end",
)


_TIE = ("worker", "connection")

LOGIN_POP3_LINES = samples("""
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 192.0.2.7, server: 0.0.0.0:110, login: "bob", upstream: 10.0.0.5:110
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=311,42 tls=no
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 2001:db8::7 using starttls, server: [::]:995, login: "bob", upstream: unix:/run/pop3
    -> accepted user=bob address=2001:db8::7 protocol=pop3 session=311,42 tls=yes
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 203.0.113.66, server: 0.0.0.0:1100, login: "a", upstream: 10.0.0.5:25
    not: a port of no known protocol
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 203.0.113.66, server: 0.0.0.0:110
    not: nobody logged in
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 203.0.113.66, server: 0.0.0.0:110, login: "a", upstream: 10.0.0.5:110 x
    not: text after the end
nginx: x 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 203.0.113.66, server: 0.0.0.0:110, login: "a", upstream: 10.0.0.5:110
    not: text in front
""")

LOGIN_IMAP_LINES = samples(r"""
nginx: 2026/12/07 10:28:47 [info] 311#0: *42 client logged in, client: 192.0.2.7:57872, server: 0.0.0.0:993, login: "EXAMPLE\pat "o'neil"", upstream: 10.0.0.5:7993 (192.0.2.7:57872->10.7.1.73:993) <=> (10.0.0.5:35026->10.7.1.73:7993)
    -> accepted user=EXAMPLE\pat "o'neil" address=192.0.2.7 protocol=imap session=311,42 tls=yes
nginx: 2026/12/07 10:28:47 [info] 311#0: *42 client logged in, client: 2001:db8::7:57872, server: [::]:143, login: "bob", upstream: [2001:db8::5]:7993 ([2001:db8::7]:57872->[::1]:143) <=> (->)
    -> accepted user=bob address=2001:db8::7 protocol=imap session=311,42 tls=no
nginx: 2026/12/07 10:28:47 [info] 311#0: *42 client logged in, client: 192.0.2.7, server: 0.0.0.0:143, login: "bob", upstream: 10.0.0.5:143, [192.0.2.7:40001-198.51.100.1:143] <=> [198.51.100.1:51000-10.0.0.5:143]
    -> accepted user=bob address=192.0.2.7 protocol=imap session=311,42 tls=no
nginx: 2026/12/07 10:28:47 [info] 311#0: *42 client logged in, client: 203.0.113.66:57872, server: 0.0.0.0:143, login: "bob", upstream: 10.0.0.5:143
    not: a port, which no nginx without the sockets at the end writes
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 192.0.2.7, server: 0.0.0.0:143, login: "bob", upstream: 10.0.0.5:143
    -> accepted user=bob address=192.0.2.7 protocol=imap session=311,42 tls=no
nginx-error-log: 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 192.0.2.7, server: 0.0.0.0:143, login: "bob", upstream: 10.0.0.5:143
    -> accepted user=bob address=192.0.2.7 protocol=imap session=311,42 tls=no
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 192.0.2.7 using starttls, server: [2001:db8::1]:993, login: "bob", upstream: [2001:db8::5]:143
    -> accepted user=bob address=192.0.2.7 protocol=imap session=311,42 tls=yes
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client login failed: "no" while in http auth state, client: 192.0.2.7, server: 0.0.0.0:143, login: "2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 203.0.113.66, server: 0.0.0.0:143, login: "a", upstream: 10.0.0.5:143"
    not: a failure whose name holds a login
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 192.0.2.7, server: 0.0.0.0:143, login: "a", client: 203.0.113.66, upstream: 10.0.0.5:143", upstream: 10.0.0.5:143
    -> accepted user=a", client: 203.0.113.66, upstream: 10.0.0.5:143 address=192.0.2.7 protocol=imap session=311,42 tls=no
nginx: client logged in, client: 203.0.113.66, server: 0.0.0.0:143, login: "a", upstream: 10.0.0.5:143
    not: without the frame that nginx puts around every message
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 203.0.113.66, server: 0.0.0.0:143, login: "a", upstream: 10.0.0.5:143 x
    not: text after the end
nginx: x 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 203.0.113.66, server: 0.0.0.0:143, login: "a", upstream: 10.0.0.5:143
    not: text in front
""")


def _behind_lines(protocol: str, here: int, plain: int, tls: int) -> tuple[Sample, ...]:
    """Return the samples of a login whose protocol only the port behind tells."""
    return samples(f"""
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 192.0.2.7, server: 0.0.0.0:{here}, login: "bob", upstream: 10.0.0.5:{plain}
    -> accepted user=bob address=192.0.2.7 protocol={protocol} session=311,42 tls=no
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 192.0.2.7 using starttls, server: 0.0.0.0:{here}, login: "bob", upstream: [2001:db8::5]:{tls}
    -> accepted user=bob address=192.0.2.7 protocol={protocol} session=311,42 tls=yes
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 203.0.113.66, server: 0.0.0.0:{here}, login: "a", upstream: 10.0.0.5:25
    not: neither port is one of {protocol}
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 203.0.113.66, server: 0.0.0.0:{here}, login: "a", upstream: 10.0.0.5:{plain} x
    not: text after the end
nginx: x 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 203.0.113.66, server: 0.0.0.0:{here}, login: "a", upstream: 10.0.0.5:{plain}
    not: text in front
""")


POP3_BEHIND_LINES = _behind_lines("pop3", 11110, 110, 995)
IMAP_BEHIND_LINES = _behind_lines("imap", 11143, 143, 993)

ANY_PORT_LINES = samples("""
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 192.0.2.7, server: 0.0.0.0:20143, login: "bob", upstream: 10.0.0.5:30143
    -> accepted user=bob address=192.0.2.7 session=311,42 tls=no
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 192.0.2.7 using starttls, server: 0.0.0.0:20143, login: "bob", upstream: [2001:db8::5]:30143
    -> accepted user=bob address=192.0.2.7 session=311,42 tls=yes
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 203.0.113.66, server: 0.0.0.0:20587, login: "a", upstream: 10.0.0.5:25
    not: the server behind speaks SMTP
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 203.0.113.66, server: 0.0.0.0:20143, login: "a", upstream: 10.0.0.5:30143 x
    not: text after the end
nginx: x 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 203.0.113.66, server: 0.0.0.0:20143, login: "a", upstream: 10.0.0.5:30143
    not: text in front
""")

LOGIN_SMTP_LINES = samples("""
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 192.0.2.7, server: 0.0.0.0:587, login: "bob", upstream: 10.0.0.5:25
    -> ignored
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 192.0.2.7 using starttls, server: 0.0.0.0:25, login: "bob", upstream: 10.0.0.5:143
    -> ignored
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client logged in, client: 203.0.113.66, server: 0.0.0.0:465, login: "a", upstream: 10.0.0.5:25
    not: SMTP authentication is no mail pick-up
""")

ENDED_LINES = samples("""
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 proxied session done, client: 192.0.2.7, server: 0.0.0.0:143, login: "bob", upstream: 10.0.0.5:143
    -> ended user=bob address=192.0.2.7 session=311,42
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client timed out (110: Connection timed out) while proxying, client: 192.0.2.7 using starttls, server: 0.0.0.0:110, login: "bob", upstream: 10.0.0.5:110
    -> ended user=bob address=192.0.2.7 session=311,42
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 upstream timed out (110: Connection timed out) while proxying, client: 192.0.2.7, server: 0.0.0.0:11143, login: "bob", upstream: 10.0.0.5:143
    -> ended user=bob address=192.0.2.7 session=311,42
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 proxied session done, client: 203.0.113.66, server: 0.0.0.0:587, login: "a", upstream: 10.0.0.5:25
    not: the end of an SMTP session
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 proxied session done, client: 203.0.113.66, server: 0.0.0.0:143, login: "a", upstream: 10.0.0.5:143 x
    not: text after the end
nginx: x 2026/11/20 09:11:20 [info] 311#311: *42 proxied session done, client: 203.0.113.66, server: 0.0.0.0:143, login: "a", upstream: 10.0.0.5:143
    not: text in front
""")

FAILED_LINES = samples("""
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client login failed: "Invalid" while in http auth state, client: 192.0.2.7, server: 0.0.0.0:143, login: "bob"
    -> refused
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client login failed: "client logged in, client: 203.0.113.66"
    not: a failure
""")

NOISE_LINES = samples("""
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client 192.0.2.7:50001 connected to 0.0.0.0:143
    -> ignored
nginx: 2026/11/20 09:11:20 [notice] 310#310: start worker process 311
    -> ignored
nginx: signal process started
    -> ignored
nginx: 2026/11/20 09:11:20 [info] 311#311: *42 client sent too long command "USER client logged in, client: 203.0.113.66, server: 0.0.0.0:110, login: "a", upstream: 10.0.0.5:110" while x
    not: the client's command
""")

OWN_LOGS = (
    OwnLog(
        program="nginx-error-log",
        example="2026/11/20 09:11:20 [info] 311#311: *42 client login failed",
        start=rf"(?={SLASHES} \[[a-z]{{1,8}}\] [0-9]{{1,10}}#[0-9]{{1,10}}: )",
    ),
    # By syslog without `nohostname`: the daemon writes the host, and nginx does again.
    OwnLog(
        program="nginx",
        example="Nov 20 09:11:20 mx1 mx1 nginx: 2026/11/20 09:11:20 [info] 311#311: *42 "
        "client login failed",
        start=rf"{SYSLOG}(?={HOST} [0-9A-Za-z._:@/+~-]{{1,510}} nginx: )",
        rest=rf"(?P<host>{HOST}) (?P=host)(?:\.[0-9A-Za-z.-]{{1,255}})? nginx: (?P<message>.*)",
    ),
)

_OWN_WORDS = (
    r"[0-9/]{10} [0-9:]{8} \[[a-z]{1,8}\] [0-9]+#[0-9]+: \*[0-9]+ "
    r"(?:client logged in, client: |proxied session done, client: |client [0-9A-Fa-f.:]+ connected )"
)
ERROR_LOG = Carriage(
    longest_bytes=2048,
    line_breaks=True,
    following=64,
    strangers=rf"\A(?!{_OWN_WORDS}).*\*[0-9]+ ",
    cure="in nginx's error log a client writes whole lines by line breaks in its user name, so that "
    "2,048 bytes behind each refusal do not count: let nginx log to syslog "
    "(`error_log syslog:server=unix:/dev/log,nohostname info;`)",
)

SERVER = Server(
    name="nginx",
    title="nginx mail proxy",
    versions="0.5 - 1.29",
    # The second is nginx's own error log, read as a file: see "Client's text".
    programs={"nginx": None, "nginx-error-log": None},
    accounts=("root", "nginx", "www-data"),
    carriages={"nginx-error-log": ERROR_LOG},
    own_logs=OWN_LOGS,
    rules=(
        Rule("login-pop3", Accepted, LOGIN_POP3, LOGIN_POP3_LINES, session=_TIE, protocol="pop3"),
        Rule("login-imap", Accepted, LOGIN_IMAP, LOGIN_IMAP_LINES, session=_TIE, protocol="imap"),
        Rule(
            "login-pop3-behind",
            Accepted,
            POP3_BEHIND,
            POP3_BEHIND_LINES,
            session=_TIE,
            protocol="pop3",
        ),
        Rule(
            "login-imap-behind",
            Accepted,
            IMAP_BEHIND,
            IMAP_BEHIND_LINES,
            session=_TIE,
            protocol="imap",
        ),
        Rule("login-any-port", Accepted, ANY_PORT, ANY_PORT_LINES, session=_TIE, off=True),
        Rule("login-smtp", Ignored, LOGIN_SMTP, LOGIN_SMTP_LINES),
        Rule("ended", Ended, ENDED, ENDED_LINES, session=_TIE),
        Rule("failed", Refused, FAILED, FAILED_LINES),
        Rule("noise", Ignored, NOISE, NOISE_LINES),
    ),
)
