"""Zimbra Collaboration 6 to 10 (and Carbonio): the mailbox server's log.

Printed by      ImapHandler.java and Pop3Handler.java (`user %s authenticated, mechanism=...`)
                through log4j's `%d %-5p [%t] [%z] %c{1} - %m`; `%z`, the context, is `key=value;`
                pairs made by ZimbraLog.java, which doubles `;` in values and escapes nothing else.
Client's text   `ua=` and `via=` (IMAP ID), in front of the words that tell the login, and in lines
                of their own (`received different name/version: ...`), with line breaks; and `oip=`
                itself. A proxy tells it with IMAP ID (X-ORIGINATING-IP) or POP3's XOIP, and Zimbra
                believes the first to say so, whoever it is. Whoever reaches the mailbox server's
                own ports without Zimbra's proxy in between and has an account can have any address
                authorised: let nobody but the proxies connect to these ports.
Session         none: no line at the end belongs to one. `oip=` is the client where there is one,
                `ip=` then is the proxy. The same words for soap and lmtp are not read. The audit
                log (`cmd=Auth`) is not either: its success is the absence of `error=`, and a line
                that was cut has none.
Travels         into mailbox.log, which the syslog daemon follows: imfile cuts at its message size
                (8 KiB, once 2 KiB), and nothing but the client's text stands in front of a piece.
                Behind a line that is that long nothing counts for a moment
                (`authorisation.pieces`).
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import ADDRESS, TEXT, WORD, Rule, Server, line, samples, token
from ..grammar.carriage import Carriage
from ..model import Accepted, Ignored, Refused
from ..syslog.headers import DAY_TIME, HOST, SYSLOG, OwnLog

_HEAD = line(
    "{time?}{level}[{thread}] [",
    time=line(
        "{time} ",
        time=token(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}[,.][0-9]{3}", "a time"),
    ),
    level=token("(?:INFO|WARN) {1,2}+", "INFO or WARN"),
    thread=WORD("0-9A-Za-z_:./-", 100),
)
# A value with its `;` doubled: two of them go on, one ends it. No brackets: they end the context.
_VALUE = token(r"(?:[^;\[\]\x00-\x1f\x7f]|;;){1,512}+;", "a value and its semicolon")
_BEFORE = pp.Opt("name=" + _VALUE) + pp.Opt("aname=" + _VALUE) + pp.Opt("mid=" + _VALUE)
_LATER = pp.Opt("via=" + _VALUE) + pp.Opt("ua=" + _VALUE) + pp.Opt("cid=" + _VALUE)
# Behind the proxy the line speaks of the proxy's connection.
_PROXIED = (
    pp.Opt("ip=" + ADDRESS + ";") + pp.Literal("oip=")("tls_unknown") + ADDRESS("address") + ";"
)
_DIRECT = "ip=" + ADDRESS("address") + ";"
LOGIN = line(
    "{head}{before}{client}{later}] {protocol} - user {user} authenticated{mechanism?}",
    head=_HEAD,
    before=_BEFORE,
    client=_PROXIED | _DIRECT,
    later=_LATER,
    protocol=(pp.Literal("imap") | "pop3" | "pop")("protocol"),
    mechanism=", mechanism="
    + WORD("0-9A-Za-z_-", 32)
    + pp.Opt(" ")
    + pp.Opt(pp.Literal("[TLS]")("tls")),
)
_CONTEXT = token(r"[^\[\]\x00-\x1f\x7f]{0,2048}+", "a context")
_SERVICE = pp.Literal("imap") | "pop3" | "pop"
FAILED = _HEAD + _CONTEXT + "] " + _SERVICE + " - authentication failed for [" + TEXT
NOISE = (
    _HEAD
    + _CONTEXT
    + "] "
    + token(
        r"(?!(?:imap|pop3?) - (?:user |authentication failed for \[))(?s:.){0,65536}+",
        "anything but a login or its failure",
    )
)


LOGIN_LINES = samples(r"""
zimbra: 2026-11-20 09:11:20,500 INFO  [Pop3Server-1] [ip=192.0.2.7;] pop3 - user pat "o'neil" {a=b} authenticated
    -> accepted user=pat "o'neil" {a=b} address=192.0.2.7 protocol=pop3 tls=no
mailboxlog: 2026-11-20 09:11:20,500 INFO  [ImapServer-1] [name=bob;ip=10.0.0.9;oip=192.0.2.7;via=Mail/1.0,10.0.0.9(nginx/1.2.0);ua=Zimbra/8.6;cid=9;] imap - user bob@example.org authenticated, mechanism=LOGIN [TLS]
    -> accepted user=bob@example.org address=192.0.2.7 protocol=imap
zimbra: 2026-11-20 09:11:20,500 INFO  [Pop3Server-1] [ip=192.0.2.7;] pop3 - user bob authenticated
    -> accepted user=bob address=192.0.2.7 protocol=pop3 tls=no
mailboxd: INFO  [Pop3SSLServer-1] [name=bob;aname=admin;mid=9;oip=2001:db8::7;] pop - user bob authenticated, mechanism=USER [TLS]
    -> accepted user=bob address=2001:db8::7 protocol=pop3
zimbra: 2026-11-20 09:11:20,500 INFO  [ImapServer-2] [ip=192.0.2.7;ua=a;;oip=203.0.113.66;;;] imap - user bob@example.org authenticated, mechanism=LOGIN
    -> accepted user=bob@example.org address=192.0.2.7 protocol=imap tls=no
zimbra: 2026-11-20 09:11:20,500 INFO  [Pop3SSLServer-1] [ip=192.0.2.7;] pop - user bob authenticated, mechanism=USER [TLS]
    -> accepted user=bob address=192.0.2.7 protocol=pop3 tls=yes
zimbra: 2026-11-20 09:11:20,500 INFO  [Pop3Server-1] [ip=192.0.2.7;] pop - user bob authenticated, mechanism=USER
    -> accepted user=bob address=192.0.2.7 protocol=pop3 tls=no
zimbra: 2026-11-20 09:11:20,500 INFO  [qtp9-3] [name=a;ip=203.0.113.66;ua=x;] soap - user a authenticated
    not: webmail is no mail pick-up
zimbra: 2026-11-20 09:11:20,500 INFO  [ImapServer-1] [ip=192.0.2.7;ua=x;;] imap - user bob@example.org authenticated, mechanism=LOGIN;] [ip=203.0.113.66;] imap - authentication failed for [a] (invalid password)
    not: a failure whose user agent holds a login
zimbra: 2026-11-20 09:11:20,500 INFO  [ImapServer-1] [ip=203.0.113.66;] imap - user a authenticated, mechanism=LOGIN; not
    not: text after the end
zimbra: 2026-11-20 09:11:20,500 INFO  [ImapServer-1] [ip=203.0.113.66;] security - cmd=Auth; account=a@example.org; protocol=imap;
    not: the audit log: a failure that was cut looks the same
zimbra: x 2026-11-20 09:11:20,500 INFO  [ImapServer-1] [ip=203.0.113.66;] imap - user bob@example.org authenticated, mechanism=LOGIN
    not: text in front
""")

FAILED_LINES = samples("""
zimbra: 2026-11-20 09:11:20,500 WARN  [ImapServer-1] [ip=192.0.2.7;ua=Mail;] imap - authentication failed for [bob] (invalid password)
    -> refused
mailboxd: INFO  [Pop3Server-1] [ip=192.0.2.7;] pop3 - authentication failed for [bob] (no such account)
    -> refused
mailboxd: INFO  [Pop3Server-1] [ip=192.0.2.7;] pop - authentication failed for [bob] (no such account)
    -> refused
zimbra: 2026-11-20 09:11:20,500 INFO  [ImapServer-1] [ip=203.0.113.66;] imap - authentication failed for [a] - user a authenticated
    not: a failure
""")

NOISE_LINES = samples("""
zimbra: 2026-11-20 09:11:20,500 INFO  [ImapServer-1] [ip=192.0.2.7;] security - cmd=Auth; account=bob@example.org; protocol=imap;
    -> ignored
mailboxd: INFO  [main] [] misc - version=8.8.15
    -> ignored
zimbra: 2026-11-20 09:11:20,500 INFO  [LmtpServer-1] [ip=203.0.113.66;] lmtp - user a authenticated
    not: lmtp is no mail pick-up
""")

_LEVELS = "TRACE|DEBUG|INFO|WARN|ERROR|FATAL"
_OWN_HEAD = f"{DAY_TIME} (?:{_LEVELS})  ?\\["
OWN_LOGS = (
    OwnLog(
        program="zimbra",
        example="2026-11-20 09:11:13,500 INFO  [Pop3Server-1] [ip=192.0.2.7;] pop - user bob "
        "authenticated, mechanism=USER",
        start=f"(?={_OWN_HEAD})",
    ),
    # By syslog, with the name alone for a tag.
    OwnLog(
        program="mailboxlog",
        example="Nov 20 09:11:13 mx1 mailboxlog 2026-11-20 09:11:13,500 INFO  [Pop3Server-1] "
        "[ip=192.0.2.7;] pop - user bob authenticated, mechanism=USER",
        start=f"{SYSLOG}(?={HOST} mailboxlog {_OWN_HEAD})",
        rest=f"(?P<host>{HOST}) mailboxlog (?P<message>.*)",
    ),
)

# A whole context ends with one semicolon; a line break in the client's IMAP ID cuts it in two.
_WHOLE_CONTEXT = r"(?>(?:(?>(?:[^;\[\]]|;;)*);)*)\] "
_SERVICES = r"(?:imap|pop3?) - "
_NO_STRANGERS = (
    r"(?:user .+ authenticated(?:, mechanism=[0-9A-Za-z_-]{1,32} ?(?:\[TLS\])?)?"
    r"|[A-Z]+ elapsed=[0-9]+)\Z"
)
"""What IMAP and POP print before a login without any text of the client's."""

CARRIAGE = Carriage(
    cut_bytes=2048,
    strangers=rf"authentication failed for \[|\] security - cmd=|\A(?:{DAY_TIME} )?"
    rf"(?:{_LEVELS})  ?\[[^\[\]]*\] \[(?!name={_WHOLE_CONTEXT}"
    rf"|{_WHOLE_CONTEXT}(?:(?!{_SERVICES})|{_SERVICES}{_NO_STRANGERS}))",
    line_breaks=True,
    cure="let rsyslog follow mailbox.log by imfile with discardTruncatedMsg, and name zimbra in "
    "servers",
)

SERVER = Server(
    name="zimbra",
    title="Zimbra",
    versions="6 - 10",
    programs={"zimbra": None, "mailboxd": None, "mailboxlog": None},
    accounts=("root", "zimbra"),
    carriage=CARRIAGE,
    own_logs=OWN_LOGS,
    rules=(
        Rule("login", Accepted, LOGIN, LOGIN_LINES),
        Rule("failed", Refused, FAILED, FAILED_LINES),
        Rule("noise", Ignored, NOISE, NOISE_LINES),
    ),
)
