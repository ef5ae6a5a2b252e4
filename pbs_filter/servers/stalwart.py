"""Stalwart mail server 0.9 to 0.16.

Printed by      crates/trc, serializers/text.rs: stamp, level, description, event id, the keys of
                the connection's span, then the event's own (`accountName` of `auth.success`). On
                one line; the multi-line layout (`multiline = true`) is not read.
Client's text   strings are quoted; line breaks, tabs and backslashes are escaped, quotes only since
                0.15. All of it comes behind the connection's keys, which nobody chooses.
Session         the client's address and port. The event is the same for every protocol: the
                listener's name decides (`imap`, `imaptls`, `pop3`, `pop3s`, ...: as they come with
                Stalwart; a listener with another name is no mail pick-up).
Travels         to stdout (journald cuts at 48 KiB, container runtimes at 16 KiB) or into a file. A
                piece would have to hold the stamp and raw quotes, which Stalwart escapes since
                0.15; older versions write no line of that length that ends with a client's text
                (read).
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import PORT, TEXT, WORD, Rule, Server, line, name, name_before, samples, token
from ..model import Accepted, Ended, Ignored, Refused
from ..syslog.headers import ISO, OwnLog

_HEAD = line(
    "{time} {level} ",
    time=token(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", "a time"),
    level=WORD("A-Z", 5),
)


def _span(local_port: pp.ParserElement) -> pp.ParserElement:
    """Return what stands in every line of a connection to `local_port`."""
    return line(
        'listenerId = "{listener}", localPort = {local_port}, remoteIp = {address}, '
        "remotePort = {remote_port}",
        listener=token("(?:imap|pop3)[0-9a-z-]{0,16}+", "a listener for IMAP or POP3")("protocol"),
        local_port=local_port,
        remote_port=PORT("port"),
    )


_TLS_PORT = token("99[35](?![0-9])", "993 or 995")("tls_port")
_TYPE = WORD("a-z", 16)
LOGIN = line(
    "{head}Authentication successful (auth.success) {span}, "
    'accountName = "{user}", accountId = {number}{id?}{details?}{type?}',
    head=_HEAD,
    span=_span(_TLS_PORT | PORT),
    user=name_before('", accountId = ')("user"),
    id=line(", id = {number}"),
    details=line(', details = "{details}"', details=name(less='"')),
    type=", type = " + (_TYPE | line('"{type}"', type=_TYPE)),
)
ENDED = line(
    "{head}{end}{span}, elapsed = {number}ms",
    head=_HEAD,
    end=pp.Literal("IMAP connection ended (imap.connection-end) ")
    | "POP3 connection ended (pop3.connection-end) ",
    span=_span(PORT),
)
FAILED = _HEAD + "Authentication failed (auth.failed) " + TEXT
NOISE = (
    _HEAD
    + token(
        r"(?!Authentication (?:successful|failed) \(|(?:IMAP|POP3) connection ended \()"
        r"[0-9A-Za-z '/-]{1,128}+\([a-z0-9.-]{1,64}+\) ",
        "any other event",
    )
    + TEXT
)


LOGIN_LINES = samples(r"""
stalwart: 2026-01-12T10:00:00Z INFO Authentication successful (auth.success) listenerId = "imaps", localPort = 993, remoteIp = 192.0.2.7, remotePort = 50001, accountName = "EXAMPLE\\pat "o'neil"", accountId = 9, id = 3, details = "Authenticated with app password"
    -> accepted user=EXAMPLE\pat "o'neil" address=192.0.2.7 protocol=imap session=192.0.2.7,50001 tls=yes
stalwart: 2026-01-12T10:00:00Z INFO Authentication successful (auth.success) listenerId = "pop3s", localPort = 995, remoteIp = 192.0.2.7, remotePort = 50001, accountName = "bob", accountId = 9, details = "master@example.org"
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=192.0.2.7,50001 tls=yes
stalwart: Authentication successful (auth.success) listenerId = "pop3s", localPort = 995, remoteIp = 203.0.113.66, remotePort = 50001, accountName = "bob", accountId = 9
    not: without the stamp that begins each line: the rest of one that was cut
stalwart: 2026-11-20T09:11:20Z INFO Authentication successful (auth.success) listenerId = "imaptls", localPort = 993, remoteIp = 192.0.2.7, remotePort = 50001, accountName = "bob", accountId = 9, type = individual
    -> accepted user=bob address=192.0.2.7 protocol=imap session=192.0.2.7,50001 tls=yes
stalwart-mail: 2026-11-20T09:11:20Z INFO Authentication successful (auth.success) listenerId = "pop3", localPort = 110, remoteIp = 2001:db8::7, remotePort = 50001, accountName = "bob@example.org", accountId = 9
    -> accepted user=bob@example.org address=2001:db8::7 protocol=pop3 session=2001:db8::7,50001 tls=no
stalwart: 2026-11-20T09:11:20Z INFO Authentication successful (auth.success) listenerId = "imaptls", localPort = 993, remoteIp = 192.0.2.7, remotePort = 50001, accountName = "bob", accountId = 9, type = "individual"
    -> accepted user=bob address=192.0.2.7 protocol=imap session=192.0.2.7,50001 tls=yes
stalwart: 2026-11-20T09:11:20Z INFO Authentication successful (auth.success) listenerId = "submissions", localPort = 465, remoteIp = 203.0.113.66, remotePort = 50001, accountName = "a", accountId = 9
    not: SMTP authentication is no mail pick-up
stalwart: 2026-11-20T09:11:20Z INFO Authentication successful (auth.success) listenerId = "imaptls", localPort = 993, remoteIp = 192.0.2.7, remotePort = 50001, accountName = "a", remoteIp = 203.0.113.66, accountName = "b", accountId = 9
    -> accepted user=a", remoteIp = 203.0.113.66, accountName = "b address=192.0.2.7 protocol=imap session=192.0.2.7,50001 tls=yes
stalwart: 2026-11-20T09:11:20Z INFO Authentication failed (auth.failed) listenerId = "imaptls", localPort = 993, remoteIp = 192.0.2.7, remotePort = 50001, accountName = "Authentication successful (auth.success) listenerId = "imaptls", localPort = 993, remoteIp = 192.0.2.7, remotePort = 50001, remoteIp = 203.0.113.66, accountName = "a", accountId = 9
    not: a failure whose name holds a login
stalwart: 2026-11-20T09:11:20Z INFO Authentication successful (auth.success) listenerId = "imaptls", localPort = 993, remoteIp = 192.0.2.7, remotePort = 50001, accountName = "a", accountId = 9, remoteIp = 203.0.113.66
    not: text after the end
stalwart: x 2026-11-20T09:11:20Z INFO Authentication successful (auth.success) listenerId = "imaptls", localPort = 993, remoteIp = 192.0.2.7, remotePort = 50001, accountName = "a", accountId = 9
    not: text in front
""")

ENDED_LINES = samples("""
stalwart: 2026-11-20T09:11:20Z INFO IMAP connection ended (imap.connection-end) listenerId = "imaptls", localPort = 993, remoteIp = 192.0.2.7, remotePort = 50001, elapsed = 618ms
    -> ended address=192.0.2.7 protocol=imap session=192.0.2.7,50001
stalwart: 2026-11-20T09:11:20Z INFO POP3 connection ended (pop3.connection-end) listenerId = "pop3", localPort = 110, remoteIp = 2001:db8::7, remotePort = 50001, elapsed = 9ms
    -> ended address=2001:db8::7 protocol=pop3 session=2001:db8::7,50001
stalwart: 2026-11-20T09:11:20Z INFO SMTP connection ended (smtp.connection-end) listenerId = "smtp", localPort = 25, remoteIp = 203.0.113.66, remotePort = 50001, elapsed = 9ms
    not: the end of an SMTP session
stalwart: 2026-11-20T09:11:20Z INFO IMAP connection ended (imap.connection-end) listenerId = "imaptls", localPort = 993, remoteIp = 192.0.2.7, remotePort = 50001, elapsed = 618ms, x
    not: text after the end
stalwart: x 2026-11-20T09:11:20Z INFO IMAP connection ended (imap.connection-end) listenerId = "imaptls", localPort = 993, remoteIp = 192.0.2.7, remotePort = 50001, elapsed = 618ms
    not: text in front
""")

FAILED_LINES = samples("""
stalwart: 2026-11-20T09:11:20Z INFO Authentication failed (auth.failed) listenerId = "imaptls", localPort = 993, remoteIp = 192.0.2.7, remotePort = 50001, accountName = "bob"
    -> refused
stalwart: 2026-11-20T09:11:20Z INFO Authentication failed (auth.failed) listenerId = "pop3", localPort = 110, remoteIp = 2001:db8::7, remotePort = 50001
    -> refused
stalwart: 2026-11-20T09:11:20Z INFO Authentication failed (auth.failed) remoteIp = 203.0.113.66
    not: no
""")

NOISE_LINES = samples("""
stalwart: 2026-11-20T09:11:20Z INFO IMAP connection started (imap.connection-start) listenerId = "imaptls", localPort = 993, remoteIp = 192.0.2.7, remotePort = 50001
    -> ignored
stalwart: 2026-11-20T09:11:20Z INFO IMAP LOGOUT command (imap.logout) listenerId = "imaptls", localPort = 993, remoteIp = 192.0.2.7, remotePort = 50001
    -> ignored
stalwart: 2026-11-20T09:11:20Z INFO IMAP ID command (imap.id) listenerId = "imaptls", localPort = 993, remoteIp = 192.0.2.7, remotePort = 50001, details = "Authentication successful (auth.success) remoteIp = 203.0.113.66"
    not: the client's text
""")

OWN_LOGS = (
    OwnLog(
        program="stalwart",
        example="2026-11-20T09:11:20Z INFO IMAP LOGOUT command (imap.logout) "
        'listenerId = "imaptls", localPort = 993, remoteIp = 192.0.2.7, remotePort = 50001',
        start=rf"(?={ISO} [A-Z]{{4,5}} [A-Z][0-9A-Za-z ]{{0,127}} \([a-z.-]{{1,64}}\) )",
    ),
)

SERVER = Server(
    name="stalwart",
    title="Stalwart",
    versions="0.9 - 0.16",
    programs={"stalwart": None, "stalwart-mail": None},
    accounts=("root", "stalwart", "stalwart-mail"),
    own_logs=OWN_LOGS,
    rules=(
        Rule("login", Accepted, LOGIN, LOGIN_LINES, escaped=True, session=("address", "port")),
        Rule("ended", Ended, ENDED, ENDED_LINES, session=("address", "port")),
        Rule("failed", Refused, FAILED, FAILED_LINES),
        Rule("noise", Ignored, NOISE, NOISE_LINES),
    ),
)
