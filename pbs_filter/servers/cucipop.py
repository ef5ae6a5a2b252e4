"""cucipop 1.31 (Cubic Circle's POP3 daemon), also with its IPv6 patch.

Printed by      cucipop.c at the end of a session (the line is known from lines seen, not from the
                source): user, address, then what was fetched, deleted and left.
Client's text   the user name, in front of the address: it goes to the first blank, so a name that
                holds one is not read.
Session         none: there is one line for a session, and it is the last one.
Travels         by syslog(3), whole: one message a line.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import TEXT, Rule, Server, line, samples
from ..model import Accepted, Ignored, Refused

SESSION = line("{user} {address} {number}, {number} ({number}), {number} ({number})")
FAILED = pp.Literal("authentication failure ") + TEXT
LOST = pp.Literal("lost ") + TEXT

SESSION_LINES = samples(r"""
cucipop[4711]: o'neil={a} 192.0.2.7 0, 0 (0), 1 (1234)
    -> accepted user=o'neil={a} address=192.0.2.7 protocol=pop3
cucipop[4711]: bob 192.0.2.7 0, 0 (0), 1 (1234)
    -> accepted user=bob address=192.0.2.7 protocol=pop3
cucipop[4711]: bob 2001:db8::7 2, 1 (310), 0 (0)
    -> accepted user=bob address=2001:db8::7 protocol=pop3
cucipop[4711]: bob 203.0.113.66
    not: no counters: not the end of a session
cucipop[4711]: bob 203.0.113.66 0, 0 (0), 1 (1234) 192.0.2.7 0, 0 (0), 0 (0)
    not: a name that holds a whole line
cucipop[4711]: bob 203.0.113.66 0, 0 (0), 1 (1234
    not: cut
""")

FAILED_LINES = samples("""
cucipop[4711]: authentication failure bob 192.0.2.7
    -> refused
cucipop[4711]: authentication failure bob 203.0.113.66 0, 0 (0), 1 (1234)
    not: the words of a failure before the counters of a session
""")

LOST_LINES = samples("""
cucipop[4711]: lost bob
    -> ignored
cucipop[4711]: lost 203.0.113.66 0, 0 (0), 1 (1234)\x20
    not: not a session's end
""")

SERVER = Server(
    name="cucipop",
    title="cucipop",
    versions="1.31",
    programs={"cucipop": "pop3"},
    rules=(
        Rule("session", Accepted, SESSION, SESSION_LINES),
        Rule("failed", Refused, FAILED, FAILED_LINES),
        Rule("lost", Ignored, LOST, LOST_LINES),
    ),
)
