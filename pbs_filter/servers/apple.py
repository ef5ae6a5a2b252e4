"""Apple Mail Server (Mac OS X Server 10.0 to 10.2).

Printed by      the server into its own log; known only from a pattern published for it. Later Mac
                OS X Servers have Cyrus or Dovecot, and log as they do.
Client's text   the user name, in front of the address, in quotes.
Session         none: no end is known.
Travels         into a log file of the server's own, which a syslog daemon or a pipe follows.
                Nothing more is known of it, nor what it makes of line breaks and long names. So
                nothing is read unless `servers` names it.
"""

from __future__ import annotations

from ..grammar import Rule, Server, line, samples
from ..grammar.carriage import Carriage
from ..model import Accepted
from ..syslog.headers import BSD, OwnLog

LOGIN = line('IMAP User "{user}" log on successful from {address}')

LOGIN_LINES = samples(r"""
AppleMailServer: IMAP User "pat "o'neil"" log on successful from 192.0.2.7
    -> accepted user=pat "o'neil" address=192.0.2.7 protocol=imap
AppleMailServer: IMAP User "bob" log on successful from 192.0.2.7
    -> accepted user=bob address=192.0.2.7 protocol=imap
AppleMailServer: IMAP User "a" log on successful from 203.0.113.66" log on failed from 192.0.2.7
    not: a failure whose name holds a login
AppleMailServer: IMAP User "a" log on successful from 203.0.113.66" log on successful from 192.0.2.7
    not: a quote in the name
AppleMailServer: SMTP User "a" log on successful from 203.0.113.66
    not: SMTP authentication is no mail pick-up
AppleMailServer: x IMAP User "a" log on successful from 203.0.113.66
    not: text in front
""")

OWN_LOGS = (
    OwnLog(
        program="AppleMailServer",
        example='Nov 20 2026 09:11:13 IMAP User "bob" log on successful from 192.0.2.7',
        start=f"{BSD} (?=(?:IMAP|POP3?) User )",
    ),
)

SERVER = Server(
    name="apple",
    title="Apple Mail Server",
    versions="10.0 - 10.2",
    programs={"AppleMailServer": "imap"},
    own_logs=OWN_LOGS,
    carriage=Carriage(
        off=True,
        cure="it is not known whether a client can write whole lines into Apple Mail Server's log: "
        "name apple in servers if it cannot",
    ),
    rules=(Rule("login", Accepted, LOGIN, LOGIN_LINES),),
)
