"""Stalwart mail server 0.9 to 0.16 with its journal tracer, by the journald feed.

Printed by      crates/common, telemetry/tracers/journald.rs: the description is the message, the
                keys are fields of the entry, each with its length. `syslog/json_records` puts those
                that count behind the message, and names the program `...-journal`.
Client's text   the name comes last. A field that was sent twice is no text, and makes no record.
Session         as in `stalwart`, whose other lines may tell of the same logins.
Travels         as an entry of systemd's journal only: at a syslog daemon the fields do not arrive.
                The entries are found by the programs of `stalwart`: `servers` must name both.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import PORT, TEXT, Rule, Server, line, samples, token
from ..model import Accepted, Ended, Ignored, Refused

_FIELDS = line(
    "LISTENERID={listener} REMOTEIP={address} REMOTEPORT={remote_port}",
    listener=token("(?:imap|pop3)[0-9a-z-]{0,16}+", "a listener for IMAP or POP3")("protocol"),
    remote_port=PORT("port"),
)
LOGIN = line("Authentication successful {fields} ACCOUNTNAME={user}", fields=_FIELDS)
ENDED = line(
    "{protocol_word} connection ended {fields}",
    protocol_word=pp.Literal("IMAP") | "POP3",
    fields=_FIELDS,
)
FAILED = "Authentication failed LISTENERID=" + TEXT
NOISE = (
    token(
        r"(?!Authentication (?:successful|failed) |(?:IMAP|POP3) connection ended )"
        r"[0-9A-Za-z '/-]{1,128}? LISTENERID=",
        "any other event",
    )
    + TEXT
)


LOGIN_LINES = samples(r"""
stalwart-journal: Authentication successful LISTENERID=imaps REMOTEIP=192.0.2.7 REMOTEPORT=50001 ACCOUNTNAME=bob@example.org
    -> accepted user=bob@example.org address=192.0.2.7 protocol=imap session=192.0.2.7,50001 tls=yes
stalwart-mail-journal: Authentication successful LISTENERID=pop3 REMOTEIP=2001:db8::7 REMOTEPORT=50001 ACCOUNTNAME=pat.o'neil
    -> accepted user=pat.o'neil address=2001:db8::7 protocol=pop3 session=2001:db8::7,50001
stalwart-mail-journal: Authentication successful LISTENERID=pop3 REMOTEIP=192.0.2.7 REMOTEPORT=50001 ACCOUNTNAME=pat REMOTEIP=203.0.113.66
    not: a name that brings an address along
stalwart-journal: Authentication successful LISTENERID=submissions REMOTEIP=203.0.113.66 REMOTEPORT=50001 ACCOUNTNAME=bob
    not: SMTP authentication is no mail pick-up
stalwart-journal: Authentication failed LISTENERID=imaps REMOTEIP=203.0.113.66 REMOTEPORT=50001 ACCOUNTNAME=Authentication successful LISTENERID=imaps REMOTEIP=203.0.113.66 REMOTEPORT=50001 ACCOUNTNAME=bob
    not: a failure whose name holds a login
stalwart-journal: x Authentication successful LISTENERID=imaps REMOTEIP=203.0.113.66 REMOTEPORT=50001 ACCOUNTNAME=bob
    not: text in front
""")

ENDED_LINES = samples("""
stalwart-journal: IMAP connection ended LISTENERID=imaps REMOTEIP=192.0.2.7 REMOTEPORT=50001
    -> ended address=192.0.2.7 protocol=imap session=192.0.2.7,50001
stalwart-journal: POP3 connection ended LISTENERID=pop3s REMOTEIP=2001:db8::7 REMOTEPORT=50001
    -> ended address=2001:db8::7 protocol=pop3 session=2001:db8::7,50001
stalwart-journal: SMTP connection ended LISTENERID=smtp REMOTEIP=203.0.113.66 REMOTEPORT=50001
    not: the end of an SMTP session
stalwart-journal: IMAP connection ended LISTENERID=imaps REMOTEIP=192.0.2.7 REMOTEPORT=50001 ACCOUNTNAME=bob
    not: text after the end
stalwart-journal: x IMAP connection ended LISTENERID=imaps REMOTEIP=192.0.2.7 REMOTEPORT=50001
    not: text in front
""")

FAILED_LINES = samples("""
stalwart-journal: Authentication failed LISTENERID=imaps REMOTEIP=192.0.2.7 REMOTEPORT=50001 ACCOUNTNAME=bob
    -> refused
stalwart-journal: Authentication failed LISTENERID=pop3 REMOTEIP=2001:db8::7 REMOTEPORT=50001
    -> refused
stalwart-journal: Authentication failed
    not: no fields
""")

NOISE_LINES = samples("""
stalwart-journal: IMAP connection started LISTENERID=imaps REMOTEIP=192.0.2.7 REMOTEPORT=50001
    -> ignored
stalwart-journal: IMAP LOGOUT command LISTENERID=imaps REMOTEIP=192.0.2.7 REMOTEPORT=50001
    -> ignored
stalwart-journal: Authentication successful LISTENERID=submissions REMOTEIP=203.0.113.66 REMOTEPORT=50001
    not: a login of another protocol
""")

SERVER = Server(
    name="stalwart-journal",
    title="Stalwart's journal tracer",
    versions="0.9 - 0.16",
    programs={"stalwart-journal": None, "stalwart-mail-journal": None},
    accounts=("root", "stalwart", "stalwart-mail"),
    sessions_of="stalwart",
    rules=(
        Rule("login", Accepted, LOGIN, LOGIN_LINES, session=("address", "port")),
        Rule("ended", Ended, ENDED, ENDED_LINES, session=("address", "port")),
        Rule("failed", Refused, FAILED, FAILED_LINES),
        Rule("noise", Ignored, NOISE, NOISE_LINES),
    ),
)
