"""nginx as mail proxy, 0.5 to today.

Printed by      `ngx_mail_log_error` in ngx_mail_handler.c, after ngx_mail_proxy_module.c's `client
                logged in` and `proxied session done`, at level info: `error_log
                syslog:server=unix:/dev/log,nohostname info;`. Without `nohostname` the host's name
                stands where a local syslog daemon looks for the program's.
Client's text   the user name, inside quotes that are not escaped, behind the client's address; only
                what nginx knows itself (the server behind) follows. Through syslog, line breaks in
                a name are the syslog daemon's to escape. nginx's own error log gets them raw: there
                a client writes whole lines, and no filter can tell.
Session         process and connection number, which count up for all workers. The words are the
                same for POP3, IMAP and SMTP: the port that the client came to decides, or, where it
                is none of the usual ones, the port of the server behind, to which nginx speaks the
                same protocol. Where both ports are a site's own, and nginx proxies no SMTP there,
                `enable = ["nginx-login-any-port"]` reads these logins, too.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import ADDRESS, NUMBER, TEXT, USER, WORD, Rule, Server, no, token, yes
from ..model import Accepted, Ended, Ignored, Refused

_STAMP = token(r"[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}", "a time")
_LEVEL = _STAMP + " [" + WORD("a-z", 8) + "] "
_FRAME = _LEVEL + NUMBER("worker") + "#" + NUMBER + ": *" + NUMBER("connection") + " "
_PROCESS = _LEVEL + NUMBER + "#" + NUMBER + ": "
_CONNECTION = "*" + NUMBER + " "
_LISTENER = token(r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[0-9.]{7,15}):", "the address the client came to")
_POP3 = token("(?:110|995)(?![0-9])", "110 or 995")
_IMAP = token("(?:143|993)(?![0-9])", "143 or 993")
_SMTP = token("(?:25|465|587|2525)(?![0-9])", "a port of SMTP")
_OTHER = token(
    "(?!(?:110|995|143|993|25|465|587|2525)(?![0-9]))[0-9]{1,5}+", "a port of no known protocol"
)
_NOT_SMTP = token("(?!(?:25|465|587|2525)(?![0-9]))[0-9]{1,5}+", "a port that is not SMTP's")
_BEHIND = token(r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[0-9.]{7,15}):", "the address of the server behind")
_SOMEWHERE = token(r"[0-9A-Za-z_.:/\[\]-]{1,255}+", "a server behind")


def _context(port: pp.ParserElement, behind: pp.ParserElement) -> pp.ParserElement:
    """Return what nginx writes behind every message about a session with a user."""
    return (
        ", client: "
        + ADDRESS("address")
        + pp.Opt(" using starttls")
        + ", server: "
        + _LISTENER
        + port
        + ', login: "'
        + USER("user")
        + '", upstream: '
        + behind
    )


_LOGGED_IN = _FRAME + "client logged in"
LOGIN_POP3 = _LOGGED_IN + _context(_POP3, _SOMEWHERE)
LOGIN_IMAP = _LOGGED_IN + _context(_IMAP, _SOMEWHERE)
LOGIN_POP3_BEHIND = _LOGGED_IN + _context(_OTHER, _BEHIND + _POP3)
LOGIN_IMAP_BEHIND = _LOGGED_IN + _context(_OTHER, _BEHIND + _IMAP)
LOGIN_ANY_PORT = _LOGGED_IN + _context(_OTHER, _BEHIND + _OTHER)
LOGIN_SMTP = _PROCESS + _CONNECTION + "client logged in" + _context(_SMTP, _SOMEWHERE)
_TIMED_OUT = (
    (pp.Literal("client") | "upstream")
    + " timed out ("
    + NUMBER
    + ": "
    + WORD("A-Za-z ", 80)
    + ") while proxying"
)
ENDED = _FRAME + (pp.Literal("proxied session done") | _TIMED_OUT) + _context(_NOT_SMTP, _SOMEWHERE)
FAILED = _PROCESS + _CONNECTION + "client login failed: " + TEXT
NOISE = pp.Opt(_PROCESS + pp.Opt(_CONNECTION)) + token(
    r"(?![0-9]{4}/|\*[0-9]|client log|proxied session done|(?:client|upstream) timed out)"
    r"(?s:.){0,65536}+",
    "anything but a login, its failure or its end",
)

_AT = "2026/11/20 09:11:20 [info] 311#311: *42 "
_IN = f"nginx: {_AT}client logged in, client: "
_LATE = f"nginx: x {_AT}client logged in, client: "
_SERVER = "server: 0.0.0.0"

SERVER = Server(
    name="nginx",
    title="nginx mail proxy",
    versions="0.5 - 1.29",
    # The second is nginx's own error log, read as a file: see "Client's text".
    programs={"nginx": None, "nginx-error-log": None},
    accounts=("root", "nginx", "www-data"),
    rules=(
        Rule(
            name="login-pop3",
            kind=Accepted,
            expression=LOGIN_POP3,
            session=("worker", "connection"),
            protocol="pop3",
            samples=(
                yes(
                    f'{_IN}192.0.2.7, {_SERVER}:110, login: "bob", upstream: 10.0.0.5:110',
                    Accepted(user="bob", address="192.0.2.7", protocol="pop3", session="311,42"),
                ),
                yes(
                    f'{_IN}2001:db8::7 using starttls, server: [::]:995, login: "bob", '
                    "upstream: unix:/run/pop3",
                    Accepted(user="bob", address="2001:db8::7", protocol="pop3", session="311,42"),
                ),
                no(
                    f'{_IN}203.0.113.66, {_SERVER}:1100, login: "a", upstream: 10.0.0.5:25',
                    "a port of no known protocol",
                ),
                no(f"{_IN}203.0.113.66, {_SERVER}:110", "nobody logged in"),
                no(
                    f'{_IN}203.0.113.66, {_SERVER}:110, login: "a", upstream: 10.0.0.5:110 x',
                    "text after the end",
                ),
                no(
                    f'{_LATE}203.0.113.66, {_SERVER}:110, login: "a", upstream: 10.0.0.5:110',
                    "text in front",
                ),
            ),
        ),
        Rule(
            name="login-imap",
            kind=Accepted,
            expression=LOGIN_IMAP,
            session=("worker", "connection"),
            protocol="imap",
            samples=(
                yes(
                    f'{_IN}192.0.2.7, {_SERVER}:143, login: "bob", upstream: 10.0.0.5:143',
                    Accepted(user="bob", address="192.0.2.7", protocol="imap", session="311,42"),
                ),
                yes(
                    f"nginx-error-log: {_AT}client logged in, client: 192.0.2.7, {_SERVER}:143, "
                    'login: "bob", upstream: 10.0.0.5:143',
                    Accepted(user="bob", address="192.0.2.7", protocol="imap", session="311,42"),
                ),
                yes(
                    f'{_IN}192.0.2.7 using starttls, server: [2001:db8::1]:993, login: "bob", '
                    "upstream: [2001:db8::5]:143",
                    Accepted(user="bob", address="192.0.2.7", protocol="imap", session="311,42"),
                ),
                no(
                    f'nginx: {_AT}client login failed: "no" while in http auth state, client: '
                    f'192.0.2.7, {_SERVER}:143, login: "{_AT}client logged in, client: '
                    '203.0.113.66, server: 0.0.0.0:143, login: "a", upstream: 10.0.0.5:143"',
                    "a failure whose name holds a login",
                ),
                no(
                    f'{_IN}192.0.2.7, {_SERVER}:143, login: "a", client: 203.0.113.66, upstream: '
                    '10.0.0.5:143", upstream: 10.0.0.5:143',
                    "a quote in the name",
                ),
                no(
                    f'nginx: client logged in, client: 203.0.113.66, {_SERVER}:143, login: "a", '
                    "upstream: 10.0.0.5:143",
                    "without the frame that nginx puts around every message",
                ),
                no(
                    f'{_IN}203.0.113.66, {_SERVER}:143, login: "a", upstream: 10.0.0.5:143 x',
                    "text after the end",
                ),
                no(
                    f'{_LATE}203.0.113.66, {_SERVER}:143, login: "a", upstream: 10.0.0.5:143',
                    "text in front",
                ),
            ),
        ),
        Rule(
            name="login-pop3-behind",
            kind=Accepted,
            expression=LOGIN_POP3_BEHIND,
            session=("worker", "connection"),
            protocol="pop3",
            samples=(
                yes(
                    f'{_IN}192.0.2.7, {_SERVER}:11110, login: "bob", upstream: 10.0.0.5:110',
                    Accepted(user="bob", address="192.0.2.7", protocol="pop3", session="311,42"),
                ),
                yes(
                    f'{_IN}192.0.2.7 using starttls, {_SERVER}:11110, login: "bob", upstream: '
                    "[2001:db8::5]:995",
                    Accepted(user="bob", address="192.0.2.7", protocol="pop3", session="311,42"),
                ),
                no(
                    f'{_IN}203.0.113.66, {_SERVER}:11110, login: "a", upstream: 10.0.0.5:25',
                    "neither port is one of POP's",
                ),
                no(
                    f'{_IN}203.0.113.66, {_SERVER}:11110, login: "a", upstream: 10.0.0.5:110 x',
                    "text after the end",
                ),
                no(
                    f"nginx: x {_AT}client logged in, client: 203.0.113.66, {_SERVER}:11110, "
                    'login: "a", '
                    "upstream: 10.0.0.5:110",
                    "text in front",
                ),
            ),
        ),
        Rule(
            name="login-imap-behind",
            kind=Accepted,
            expression=LOGIN_IMAP_BEHIND,
            session=("worker", "connection"),
            protocol="imap",
            samples=(
                yes(
                    f'{_IN}192.0.2.7, {_SERVER}:11143, login: "bob", upstream: 10.0.0.5:143',
                    Accepted(user="bob", address="192.0.2.7", protocol="imap", session="311,42"),
                ),
                yes(
                    f'{_IN}192.0.2.7 using starttls, {_SERVER}:11143, login: "bob", upstream: '
                    "10.0.0.5:993",
                    Accepted(user="bob", address="192.0.2.7", protocol="imap", session="311,42"),
                ),
                no(
                    f'{_IN}203.0.113.66, {_SERVER}:11587, login: "a", upstream: 10.0.0.5:25',
                    "neither port is one of IMAP's",
                ),
                no(
                    f'{_IN}203.0.113.66, {_SERVER}:11143, login: "a", upstream: 10.0.0.5:143 x',
                    "text after the end",
                ),
                no(
                    f"nginx: x {_AT}client logged in, client: 203.0.113.66, {_SERVER}:11143, "
                    'login: "a", '
                    "upstream: 10.0.0.5:143",
                    "text in front",
                ),
            ),
        ),
        Rule(
            name="login-any-port",
            kind=Accepted,
            expression=LOGIN_ANY_PORT,
            session=("worker", "connection"),
            off=True,
            samples=(
                yes(
                    f'{_IN}192.0.2.7, {_SERVER}:20143, login: "bob", upstream: 10.0.0.5:30143',
                    Accepted(user="bob", address="192.0.2.7", session="311,42"),
                ),
                yes(
                    f'{_IN}192.0.2.7 using starttls, {_SERVER}:20143, login: "bob", upstream: '
                    "[2001:db8::5]:30143",
                    Accepted(user="bob", address="192.0.2.7", session="311,42"),
                ),
                no(
                    f'{_IN}203.0.113.66, {_SERVER}:20587, login: "a", upstream: 10.0.0.5:25',
                    "the server behind speaks SMTP",
                ),
                no(
                    f'{_IN}203.0.113.66, {_SERVER}:20143, login: "a", upstream: 10.0.0.5:30143 x',
                    "text after the end",
                ),
                no(
                    f"nginx: x {_AT}client logged in, client: 203.0.113.66, {_SERVER}:20143, "
                    'login: "a", '
                    "upstream: 10.0.0.5:30143",
                    "text in front",
                ),
            ),
        ),
        Rule(
            name="login-smtp",
            kind=Ignored,
            expression=LOGIN_SMTP,
            samples=(
                yes(
                    f'{_IN}192.0.2.7, {_SERVER}:587, login: "bob", upstream: 10.0.0.5:25',
                    Ignored(),
                ),
                yes(
                    f'{_IN}192.0.2.7 using starttls, {_SERVER}:25, login: "bob", upstream: '
                    "10.0.0.5:143",
                    Ignored(),
                ),
                no(
                    f'{_IN}203.0.113.66, {_SERVER}:465, login: "a", upstream: 10.0.0.5:25',
                    "SMTP authentication is no mail pick-up",
                ),
            ),
        ),
        Rule(
            name="ended",
            kind=Ended,
            expression=ENDED,
            session=("worker", "connection"),
            samples=(
                yes(
                    f"nginx: {_AT}proxied session done, client: 192.0.2.7, {_SERVER}:143, login: "
                    '"bob", upstream: 10.0.0.5:143',
                    Ended(session="311,42", user="bob", address="192.0.2.7"),
                ),
                yes(
                    f"nginx: {_AT}client timed out (110: Connection timed out) while proxying, "
                    f'client: 192.0.2.7 using starttls, {_SERVER}:110, login: "bob", upstream: '
                    "10.0.0.5:110",
                    Ended(session="311,42", user="bob", address="192.0.2.7"),
                ),
                yes(
                    f"nginx: {_AT}upstream timed out (110: Connection timed out) while proxying, "
                    f'client: 192.0.2.7, {_SERVER}:11143, login: "bob", upstream: 10.0.0.5:143',
                    Ended(session="311,42", user="bob", address="192.0.2.7"),
                ),
                no(
                    f"nginx: {_AT}proxied session done, client: 203.0.113.66, {_SERVER}:587, "
                    'login: "a", upstream: 10.0.0.5:25',
                    "the end of an SMTP session",
                ),
                no(
                    f"nginx: {_AT}proxied session done, client: 203.0.113.66, {_SERVER}:143, "
                    'login: "a", '
                    "upstream: 10.0.0.5:143 x",
                    "text after the end",
                ),
                no(
                    f"nginx: x {_AT}proxied session done, client: 203.0.113.66, {_SERVER}:143, "
                    'login: "a", '
                    "upstream: 10.0.0.5:143",
                    "text in front",
                ),
            ),
        ),
        Rule(
            name="failed",
            kind=Refused,
            expression=FAILED,
            samples=(
                yes(
                    f'nginx: {_AT}client login failed: "Invalid" while in http auth state, client: '
                    f'192.0.2.7, {_SERVER}:143, login: "bob"',
                    Refused(),
                ),
                no(
                    f'nginx: {_AT}client login failed: "client logged in, client: 203.0.113.66"',
                    "a failure",
                ),
            ),
        ),
        Rule(
            name="noise",
            kind=Ignored,
            expression=NOISE,
            samples=(
                yes(f"nginx: {_AT}client 192.0.2.7:50001 connected to 0.0.0.0:143", Ignored()),
                yes(
                    "nginx: 2026/11/20 09:11:20 [notice] 310#310: start worker process 311",
                    Ignored(),
                ),
                yes("nginx: signal process started", Ignored()),
                no(
                    f'nginx: {_AT}client sent too long command "USER client logged in, client: '
                    f'203.0.113.66, {_SERVER}:110, login: "a", upstream: 10.0.0.5:110" while x',
                    "the client's command",
                ),
            ),
        ),
    ),
)
