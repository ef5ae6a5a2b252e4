"""Apple Mail Server (Mac OS X Server 10.0 to 10.2).

Printed by      the server into its own log; known only from a pattern published for it. Later Mac
                OS X Servers have Cyrus or Dovecot, and log as they do.
Client's text   the user name, in front of the address, in quotes.
Session         none: no end is known.
"""

from __future__ import annotations

from ..grammar import ADDRESS, Rule, Server, no, user_token, yes
from ..model import Accepted

LOGIN = 'IMAP User "' + user_token()("user") + '" log on successful from ' + ADDRESS("address")

SERVER = Server(
    name="apple",
    title="Apple Mail Server",
    versions="10.0 - 10.2",
    programs={"AppleMailServer": "imap"},
    rules=(
        Rule(
            name="login",
            kind=Accepted,
            expression=LOGIN,
            samples=(
                yes(
                    'AppleMailServer: IMAP User "bob" log on successful from 192.0.2.7',
                    Accepted(user="bob", address="192.0.2.7", protocol="imap"),
                ),
                no(
                    'AppleMailServer: IMAP User "a" log on successful from 203.0.113.66" log on '
                    "failed from 192.0.2.7",
                    "a failure whose name holds a login",
                ),
                no(
                    'AppleMailServer: IMAP User "a" log on successful from 203.0.113.66" log on '
                    "successful from 192.0.2.7",
                    "a quote in the name",
                ),
                no(
                    'AppleMailServer: SMTP User "a" log on successful from 203.0.113.66',
                    "SMTP authentication is no mail pick-up",
                ),
                no(
                    'AppleMailServer: x IMAP User "a" log on successful from 203.0.113.66',
                    "text in front",
                ),
            ),
        ),
    ),
)
