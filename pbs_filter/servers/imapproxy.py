"""imapproxy (up-imapproxy, SquirrelMail's IMAP proxy) 1.0 to 1.2.

Printed by      imapcommon.c: `Get_Server_conn` (`LOGIN: '%s' (%s:%s) on new sd [%d]`, `... on
                existing sd [%d]`, `... failed: ...`); icc.c: `ICC_Logout`; before 1.1.0 without the
                client's port.
Client's text   the user name, in front of the address: with LOGIN the raw token, the client's own
                double quotes included, up to the first blank; with AUTHENTICATE LOGIN the decoded
                name, blanks, quotes and line breaks included; a quoted one is not read with a
                backslash that it does not need. The words that tell a success are the
                last of the line; a name ends at the first quote that the address follows.
Session         the descriptor of the connection to the server behind: kept after the logout and
                used again for a later login, but never by two clients at a time.
Travels         by syslog(3), whole: a name of 130,000 bytes came as one message, of which the
                syslog daemon keeps the beginning.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import (
    ADDRESS_BEFORE_PORT,
    IPV4,
    NUMBER,
    TEXT,
    WORD,
    Rule,
    Server,
    line,
    name_before,
    samples,
    token,
)
from ..model import Accepted, Ended, Ignored, Refused

_ESCAPES = token(
    r'(?!(?>(?:[^\\\x00-\x1f]|\\[\\"]){0,200})\\[^\\"])', "a backslash only where one is needed"
)
"""Some servers take `"b\\ob"` for bob; each such spelling would be a user of his own."""

_BARE = token('(?!")', "a name without quotes")


def _name(end: str) -> pp.ParserElement:
    """Return a name, with the client's own double quotes or without, in front of `end`.

    An attempt begins like a login. So a name is so short that none ends where a daemon cuts a
    message off, at 1,000 bytes, also with characters of four bytes.
    """
    quoted = line(
        '"{as_needed}{user}"', as_needed=_ESCAPES, user=name_before(f'"{end}', most=200)("user")
    )
    return quoted | (_BARE + name_before(end, most=200)("user"))


_PARTS = {
    "client": line("{address}:{port}", address=ADDRESS_BEFORE_PORT("address")) | IPV4("address"),
    "which": pp.Literal("new") | "existing",
    "descriptor": NUMBER("descriptor"),
}
LOGIN = line("LOGIN: '{name}' ({client}) on {which} sd [{descriptor}]", name=_name("' ("), **_PARTS)
_LOGOUT_NAME = _name("' from server sd [")
LOGOUT = line("LOGOUT: '{name}' from server sd [{descriptor}]", name=_LOGOUT_NAME, **_PARTS)
# Whatever a name may hold: a success ends in a descriptor, an attempt in its own words.
FAILED = "LOGIN: " + token(
    r"(?s:.{0,65536}+)(?<!\])(?<!creating a new one)",
    "anything that does not end like a success or an attempt",
)
ATTEMPT = "LOGIN: " + token(
    r"(?s:.{0,65536}+)(?<=\) no previous connection: creating a new one)",
    "anything that ends like an attempt",
)
NOISE = (
    (WORD("A-Za-z_", 40) + "(): ")
    | pp.Literal("STARTTLS failed: ")
    | "HandleRequest: "
    | "ParseBannerAndCapability: "
    | "Expiring server sd "
    | "Initialising "
    | "No syslog priority mask "
    | "Using syslog facility "
    | "imapproxy"
) + TEXT

LOGIN_LINES = samples("""
in.imapproxyd[4711]: LOGIN: 'bob' (192.0.2.7:50001) on new sd [9]
    -> accepted user=bob address=192.0.2.7 protocol=imap session=4711,9
in.imapproxyd[4711]: LOGIN: '"bob"' (2001:db8::7:50001) on existing sd [12]
    -> accepted user=bob address=2001:db8::7 protocol=imap session=4711,12
in.imapproxyd[4711]: LOGIN: 'bob' (192.0.2.7) on existing sd [9]
    -> accepted user=bob address=192.0.2.7 protocol=imap session=4711,9
in.imapproxyd[4711]: LOGIN: 'a' (203.0.113.66:1) on new sd [9]' (192.0.2.7:50001) no previous connection: creating a new one
    not: an attempt whose name holds a login
in.imapproxyd[4711]: LOGIN: 'a' (203.0.113.66:1) on new sd [9]' (192.0.2.7:50001) on new sd [9]
    not: a quote in the name
in.imapproxyd[4711]: LOGIN: 'a' (203.0.113.66:1) failed: non-OK server response to LOGIN command: x on new sd [9]
    not: a failure with the end of a success
in.imapproxyd[4711]: LOGIN: 'a"' (192.0.2.7:1) on new sd [9]
    -> accepted user=a" address=192.0.2.7 protocol=imap session=4711,9
in.imapproxyd[4711]: LOGIN: '"pat o'neil (x)"' (192.0.2.7:1) on new sd [9]
    -> accepted user=pat o'neil (x) address=192.0.2.7 protocol=imap session=4711,9
in.imapproxyd[4711]: LOGIN: '"EXAMPLE\\\\bob"' (192.0.2.7:1) on new sd [9]
    -> accepted user=EXAMPLE\\\\bob address=192.0.2.7 protocol=imap session=4711,9
in.imapproxyd[4711]: LOGIN: '"EXAMPLE\\\\b\\ob"' (203.0.113.66:1) on new sd [9]
    not: another spelling of bob
""")

LOGOUT_LINES = samples("""
in.imapproxyd[4711]: LOGOUT: 'bob' from server sd [9]
    -> ended user=bob protocol=imap session=4711,9
in.imapproxyd[4711]: LOGOUT: '"bob"' from server sd [9]
    -> ended user=bob protocol=imap session=4711,9
in.imapproxyd[4711]: LOGOUT: 'a' from server sd [9]' from server sd [12]
    not: a quote in the name
in.imapproxyd[4711]: HandleRequest: LOGOUT: 'a' from server sd [9]
    not: text in front
""")

FAILED_LINES = samples("""
in.imapproxyd[4711]: LOGIN: 'a' b' (192.0.2.7:50001) failed: non-OK server response to LOGIN command
    -> refused
in.imapproxyd[4711]: LOGIN: 'a' (203.0.113.66:1) on new sd [9]\x20
    not: text after the end
""")

ATTEMPT_LINES = samples("""
in.imapproxyd[4711]: LOGIN: 'bob' (192.0.2.7:50001) no previous connection: creating a new one
    -> ignored
in.imapproxyd[4711]: LOGIN: 'a' (203.0.113.66:1) no previous connection: creating a new one
    not: an attempt
""")

NOISE_LINES = samples("""
in.imapproxyd[4711]: Get_Server_conn(): Unable to reuse server sd [9] for user 'bob' (192.0.2.7:50001) because password doesn't match.
    -> ignored
in.imapproxyd[4711]: STARTTLS failed: SSL_new() failed
    -> ignored
in.imapproxyd[4711]: HandleRequest: username length would cause buffer overflow.
    -> ignored
in.imapproxyd[4711]: ParseBannerAndCapability: Attempting to parse capability string: * OK [CAPABILITY IMAP4rev1] ready.
    -> ignored
in.imapproxyd[4711]: Expiring server sd [9]
    -> ignored
in.imapproxyd[4711]: Initialising 1 pthread_mutexes
    -> ignored
in.imapproxyd[4711]: No syslog priority mask specified.
    -> ignored
imapproxyd: Using syslog facility 'LOG_MAIL' for logging.
    -> ignored
in.imapproxyd[4711]: imapproxy version 1.2.8 normal start
    -> ignored
in.imapproxyd[4711]: HandleRequest(): LOGIN: 'a' (203.0.113.66:1) on new sd [9]
    not: a function's complaint
""")

SERVER = Server(
    name="imapproxy",
    title="imapproxy",
    versions="1.0 - 1.2",
    programs={"in.imapproxyd": "imap", "imapproxyd": "imap"},
    accounts=("root", "nobody", "imapproxy"),
    rules=(
        Rule("login", Accepted, LOGIN, LOGIN_LINES, session=("pid", "descriptor")),
        Rule("logout", Ended, LOGOUT, LOGOUT_LINES, session=("pid", "descriptor")),
        Rule("failed", Refused, FAILED, FAILED_LINES),
        Rule("attempt", Ignored, ATTEMPT, ATTEMPT_LINES),
        Rule("noise", Ignored, NOISE, NOISE_LINES),
    ),
)
