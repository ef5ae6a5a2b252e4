"""qmail-pop3d, which logs nothing: the lines of `examples/qmail/checkpassword-log`.

Printed by      `report` in examples/qmail/checkpassword-log: it stands between qmail-popup and the
                site's checkpassword, and writes after checkpassword has run the next program, and
                again when that has ended.
Client's text   the user name; whatever is not a letter, a digit or one of `._%+@-` is written as
                `?`. The address is tcpserver's TCPREMOTEIP, in front of it.
Session         the pid: the wrapper stays until the session's end.
Travels         by one datagram, which the wrapper writes itself, whole.
"""

from __future__ import annotations

from ..grammar import WORD, Rule, Server, line, samples
from ..model import Accepted, Ended

_WHO = line("ip={address} user={user}", user=WORD("0-9A-Za-z._%+@?-", 255)("user"))
LOGIN = line("login {who}", who=_WHO)
LOGOUT = line("logout {who}", who=_WHO)


LOGIN_LINES = samples("""
pbs-checkpassword[4711]: login ip=192.0.2.7 user=bob
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711
pbs-checkpassword[4711]: login ip=2001:db8::7 user=bob?x@example.org
    -> accepted user=bob?x@example.org address=2001:db8::7 protocol=pop3 session=4711
pbs-checkpassword[4711]: login ip=192.0.2.7 user=a ip=203.0.113.66 user=b
    not: a blank in the name
pbs-checkpassword[4711]: login ip=203.0.113.66 user=
    not: no name
pbs-checkpassword[4711]: x login ip=203.0.113.66 user=bob
    not: text in front
""")

LOGOUT_LINES = samples("""
pbs-checkpassword[4711]: logout ip=192.0.2.7 user=bob
    -> ended user=bob address=192.0.2.7 protocol=pop3 session=4711
pbs-checkpassword[4711]: logout ip=203.0.113.66
    not: not the whole line
pbs-checkpassword[4711]: logout ip=203.0.113.66 user=bob x
    not: text after the end
pbs-checkpassword[4711]: x logout ip=203.0.113.66 user=bob
    not: text in front
""")

SERVER = Server(
    name="qmail",
    title="qmail-pop3d (with checkpassword-log)",
    versions="1.03",
    programs={"pbs-checkpassword": "pop3"},
    rules=(
        Rule("login", Accepted, LOGIN, LOGIN_LINES, session=("pid",)),
        Rule("logout", Ended, LOGOUT, LOGOUT_LINES, session=("pid",)),
    ),
)
