"""Dovecot's event exporter, 2.3.7 to 2.4: logins as data, in JSON.

Printed by      `event_export_transport_log` in src/stats/event-exporter-transport-log.c, what
                event-exporter-fmt-json.c made of the event: `auth_request_finished` of
                src/auth/auth-request.c, `mail_user_session_finished` of
                src/lib-storage/mail-user.c. examples/dovecot/README.md has the configuration.
Client's text   `user`, and other fields that hold his name or his IMAP ID, all of them strings of
                JSON: a quote in them has a backslash, so they cannot end their field.
Session         the session id, the same as in Dovecot's other lines: whoever feeds both gets one
                session. imap-hibernate ends a session too early, which shortens what it holds.
Travels         as `stats: {...}` by syslog(3). Dovecot cuts each field at 1000 characters and each
                message at 4 KiB, and puts `stats: ` in front of each piece. A name that is long
                enough makes pieces, but none that begins with `{"`: that needs a quote without a
                backslash. A piece that was cut at its end lacks the braces there.

Only IMAP and POP3 count (SMTP AUTH and ManageSieve write the same event), only success, nobody
anonymous, and no `transport` of `trusted` or `secured`: that is this machine itself, or a proxy in
login_trusted_networks that is not believed about its clients here. `success` says that a passdb
took the password. On a Dovecot that is a proxy and checks none (`nopassword`), everybody succeeds:
do not export these events there.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import TEXT, WORD, Rule, Server, line, quoted_name, samples, token
from ..model import Accepted, Ended, Ignored, Refused

SESSION_ID = WORD("A-Za-z0-9+/=:_.-", 100)
_START = "stats: " + pp.Opt("Info: ")
_STRING = r'"(?>(?:[^"\\\x00-\x1f]{1,4096}+|\\[^\x00-\x1f]){0,4096})"'
_VALUE = rf"(?>{_STRING}|-?[0-9.]{{1,30}}+|\[(?>(?:{_STRING},?){{0,40}})\])"
_KEY = r"[a-z_0-9]{1,60}+"


def _event(name: str, **fields: pp.ParserElement) -> pp.ParserElement:
    """Return an event with `fields` in any order, and any others among them.

    A field whose name ends in `_` may be left out.
    """
    known = "|".join(key.rstrip("_") for key in fields)
    other = rf'"(?!(?:{known})"){_KEY}":{_VALUE}'
    before = token(rf"(?>(?:{other},){{0,60}})", "other fields")
    behind = token(rf'(?>(?:,{other}){{0,60}})(?>,(?=")|(?=\}}))', "other fields")
    pairs = [pp.Literal(f'"{key.rstrip("_")}":"') + value + '"' + behind
             for key, value in fields.items()]  # fmt: skip
    optional = [key.endswith("_") for key in fields]
    about = token(rf'(?>(?:"(?!event"|fields"){_KEY}":{_VALUE},){{0,10}})', "what all events have")
    return (
        _START
        + line('{{"event":"{name}",', name=pp.Literal(name))
        + about
        + '"fields":{'
        + before
        + pp.Each(
            [pp.Opt(pair) if maybe else pair for pair, maybe in zip(pairs, optional, strict=True)]
        )
        + "}}"
    )


_PROTOCOL = pp.one_of(["imap", "pop3"])("protocol")
_LOGIN = {
    "success": pp.Literal("yes"),
    "user": quoted_name()("user"),
    "remote_ip": token(r"[0-9A-Fa-f:.]{2,45}+", "an IP address")("address"),
    "local_ip_": token(r"[0-9A-Fa-f:.]{2,45}+", "an IP address")("local"),
    "session_": SESSION_ID("session"),
    "transport_": pp.Literal("insecure") | pp.Literal("TLS")("tls"),
    "mechanism_": token(r"(?!ANONYMOUS\b)[A-Z0-9_-]{1,40}+", "a mechanism that proves who it is"),
}
# 2.3 calls it service, 2.4 protocol.
LOGIN_23 = _event("auth_request_finished", service=_PROTOCOL, **_LOGIN)
LOGIN_24 = _event("auth_request_finished", protocol=_PROTOCOL, **_LOGIN)
END = _event(
    "mail_user_session_finished", user=quoted_name()("user"), session=SESSION_ID("session")
)

_FINISHED = r'\{"event":"auth_request_finished",'
REFUSED = _START + token(rf'{_FINISHED}(?![^\n]*"success":"yes")', "no success") + TEXT
OTHER = (
    _START
    + token(
        rf'{_FINISHED}(?=[^\n]*"success":"yes")'
        r'(?=[^\n]*"(?:(?:service|protocol)":"(?!imap"|pop3")|transport":"(?:trusted|secured)"'
        r'|mechanism":"ANONYMOUS"))',
        "no mailbox, or a proxy's word",
    )
    + TEXT
)
NOISE = (
    _START
    + token(
        r'(?!\{"event":"(?:auth_request_finished|mail_user_session_finished)")\{', "another event"
    )
    + TEXT
)

_ABOUT = (
    '"hostname":"mx1","start_time":"2026-11-28T11:37:01.105630Z",'
    '"end_time":"2026-11-28T11:37:01.105916Z","categories":["auth","service:auth"],'
)
_AT = '"local_ip":"192.0.2.1","real_local_ip":"192.0.2.1","remote_ip":"192.0.2.7","real_remote_ip":"192.0.2.7","remote_port":44117'
_AUTH = 'dovecot: stats: {"event":"auth_request_finished",' + _ABOUT + '"fields":'

LOGIN_23_LINES = samples(rf"""
{_AUTH}{{"duration":49,"success":"yes","policy_result":"ok","mechanism":"PLAIN","transport":"insecure","service":"imap","session":"sW7cDlRhx+d/AAAL",{_AT},"original_user":"BOB","user":"bob","translated_user":"bob"}}}}
    -> accepted user=bob address=192.0.2.7 protocol=imap session=sW7cDlRhx+d/AAAL local=192.0.2.1 tls=no
dovecot: stats: Info: {{"event":"auth_request_finished","fields":{{"remote_ip":"2001:db8::7","user":"example\\pat \"o'neil\", {{jürgen}}","service":"pop3","success":"yes"}}}}
    -> accepted user=example\pat "o'neil", {{jürgen}} address=2001:db8::7 protocol=pop3 tls=no
{_AUTH}{{"success":"yes","service":"imap",{_AT},"user":"x\",\"remote_ip\":\"203.0.113.66","transport":"TLS"}}}}
    -> accepted user=x","remote_ip":"203.0.113.66 address=192.0.2.7 protocol=imap local=192.0.2.1 tls=yes
{_AUTH}{{"success":"yes","service":"imap","remote_ip":"203.0.113.66","user":"bob","remote_ip":"192.0.2.7"}}}}
    not: a field twice
{_AUTH}{{"success":"yes","service":"imap","remote_ip":"203.0.113.66","user":"bob","transport":"trusted"}}}}
    not: the machine itself, or a proxy in login_trusted_networks
{_AUTH}{{"success":"yes","service":"smtp","remote_ip":"203.0.113.66","user":"bob"}}}}
    not: SMTP AUTH
{_AUTH}{{"success":"yes","service":"imap","remote_ip":"203.0.113.66","user":"bob","mechanism":"ANONYMOUS"}}}}
    not: everybody may log in so
{_AUTH}{{"service":"imap","remote_ip":"203.0.113.66","user":"bob"}}}}
    not: no success
{_AUTH}{{"success":"yes","service":"imap","remote_ip":"203.0.113.66","user":"bob"
    not: the line was cut
{_AUTH}{{"success":"yes","service":"imap","remote_ip":"203.0.113.66","user":"bob"}}}} x
    not: text after the end
dovecot: stats: \"}}}}{{"event":"auth_request_finished","fields":{{"success":"yes","service":"imap","remote_ip":"203.0.113.66","user":"bob"}}}}
    not: a piece of a longer line
dovecot: auth: {{"event":"auth_request_finished","fields":{{"success":"yes","service":"imap","remote_ip":"203.0.113.66","user":"bob"}}}}
    not: another process
""")

LOGIN_24_LINES = samples(rf"""
dovecot: stats: {{"event":"auth_request_finished","fields":{{"user":"bob","protocol":"pop3","remote_ip":"192.0.2.7","success":"yes"}}}}
    -> accepted user=bob address=192.0.2.7 protocol=pop3 tls=no
{_AUTH}{{"duration":198,"remote_pid":14350,"success":"yes","mechanism":"PLAIN","transport":"TLS","protocol":"imap","session":"nmhUmFRhVax/AAAL",{_AT},"user":"bob"}}}}
    -> accepted user=bob address=192.0.2.7 protocol=imap session=nmhUmFRhVax/AAAL local=192.0.2.1 tls=yes
dovecot: stats: Info: {{"event":"auth_request_finished","fields":{{"user":"bob","protocol":"pop3","remote_ip":"192.0.2.7","transport":"insecure","success":"yes"}}}}
    -> accepted user=bob address=192.0.2.7 protocol=pop3 tls=no
{_AUTH}{{"success":"yes","protocol":"sieve","remote_ip":"203.0.113.66","user":"bob"}}}}
    not: ManageSieve
{_AUTH}{{"success":"yes","protocol":"imap","remote_ip":"203.0.113.66","user":"bob","transport":"secured"}}}}
    not: the machine itself
{_AUTH}{{"success":"yes","protocol":"imap","remote_ip":"203.0.113.66","user":"bob"}}}}x
    not: text after the end
x{_AUTH}{{"success":"yes","protocol":"imap","remote_ip":"203.0.113.66","user":"bob"}}}}
    not: another program
""")

END_LINES = samples(rf"""
dovecot: stats: {{"event":"mail_user_session_finished",{_ABOUT}"fields":{{"utime":637,"user":"example\\bob",{_AT},"session":"nmhUmFRhVax/AAAL","duration":683}}}}
    -> ended user=example\bob session=nmhUmFRhVax/AAAL
dovecot: stats: Info: {{"event":"mail_user_session_finished","fields":{{"session":"nmhUmFRhVax/AAAL","user":"bob"}}}}
    -> ended user=bob session=nmhUmFRhVax/AAAL
dovecot: stats: {{"event":"mail_user_session_started","fields":{{"session":"nmhUmFRhVax/AAAL","user":"bob"}}}}
    not: no end
dovecot: stats: {{"event":"mail_user_session_finished","fields":{{"session":"nmhUmFRhVax/AAAL","user":"bob"}}}} x
    not: text after the end
""")

REFUSED_LINES = samples(rf"""
{_AUTH}{{"service":"imap",{_AT},"user":"bob"}}}}
    -> refused
dovecot: stats: Info: {{"event":"auth_request_finished","fields":{{"user":"\"success\":\"yes\""}}}}
    -> refused
{_AUTH}{{"service":"imap","remote_ip":"203.0.113.66","user":"bob"}}}}
    not: refused
""")

OTHER_LINES = samples(rf"""
{_AUTH}{{"success":"yes","service":"smtp",{_AT},"user":"bob"}}}}
    -> ignored
dovecot: stats: Info: {{"event":"auth_request_finished","fields":{{"success":"yes","protocol":"imap","transport":"secured"}}}}
    -> ignored
{_AUTH}{{"success":"yes","service":"submission","remote_ip":"203.0.113.66","user":"bob"}}}}
    not: SMTP AUTH
""")

NOISE_LINES = samples("""
dovecot: stats: {"event":"imap_command_finished","fields":{"user":"bob"}}
    -> ignored
dovecot: stats: Info: {"event":"dns_request_finished","fields":{}}
    -> ignored
dovecot: stats: 01\\u0001\\u0001","user":"bob","remote_ip":"203.0.113.66"}}
    not: a piece of a longer line
dovecot: stats: {"event":"smtp_server_command_finished","fields":{"remote_ip":"203.0.113.66"}}
    not: another event
""")

EVENTS = Server(
    name="dovecot-events",
    title="Dovecot's event exporter",
    versions="2.3.7 - 2.4",
    programs={"dovecot": None},
    sessions_of="dovecot",
    rules=(
        Rule("login-2.3", Accepted, LOGIN_23, LOGIN_23_LINES, session=("session",), escaped=True),
        Rule("login-2.4", Accepted, LOGIN_24, LOGIN_24_LINES, session=("session",), escaped=True),
        Rule("end", Ended, END, END_LINES, session=("session",), escaped=True),
        Rule("refused", Refused, REFUSED, REFUSED_LINES),
        Rule("other", Ignored, OTHER, OTHER_LINES),
        Rule("noise", Ignored, NOISE, NOISE_LINES),
    ),
)
