"""grommunio's gromox, 2.x and 3.x: gromox-imap and gromox-pop3.

Printed by      `imap_parser_log_info` in mra/imap/parser.cpp and `pop3_parser_log_info` in
                mra/pop3/parser.cpp (`rhost=[IP]:PORT user=U TEXT`); the login's TEXT (`LOGIN ok`,
                `login ok`) in `icp_login`, `icp_password2` and `cmdh_pass` of cmd.cpp, at level
                debug: set `imap_log_level` and `pop3_log_level` to 6.
Client's text   the user name, raw, behind the address and in front of the words that tell the
                login. A refusal holds it once or twice and then its own words, which are the last.
Session         none: a session that is ended in order leaves no line.
Travels         by syslog(3) under systemd, one message a line, 2048 bytes of TEXT at most; a name
                is 320 bytes at most, so no syslog daemon cuts within it.
"""

from __future__ import annotations

from ..grammar import ADDRESS, PORT, TEXT, Rule, Server, name_before, samples, token
from ..model import Accepted, Ignored, Refused

_CLIENT = "rhost=[" + ADDRESS("address") + "]:" + PORT + " user="
_WHO = _CLIENT + name_before(" LOGIN ok", " login ok", " LOGIN phase", " login rejected: ")("user")
LOGIN = _WHO + token("(?> LOGIN ok| login ok)", "a login")
REFUSED = _WHO + token("(?> LOGIN phase| login rejected: )", "a refusal") + TEXT
NOISE = (
    token(r"(?!rhost=\S{1,80} user=.{0,330}(?i: login (?:ok|phase|rejected)))", "no login") + TEXT
)

LOGIN_LINES = samples(r"""
gromox-imap[4711]: rhost=[192.0.2.7]:50001 user=bob LOGIN ok
    -> accepted user=bob address=192.0.2.7 protocol=imap
gromox-pop3[4711]: rhost=[2001:db8::7]:50001 user=bob@example.org login ok
    -> accepted user=bob@example.org address=2001:db8::7 protocol=pop3
gromox-pop3[4711]: rhost=[::ffff:192.0.2.7]:50001 user="pat o'neil"@example.org login ok
    -> accepted user="pat o'neil"@example.org address=192.0.2.7 protocol=pop3
gromox-imap[4711]: rhost=[203.0.113.66]:50001 user=x LOGIN ok LOGIN phase1 rejecting "x LOGIN ok": denied by user filter
    not: a refusal whose name holds a login
gromox-imap[4711]: rhost=[203.0.113.66]:50001 user=x LOGIN ok connection lost
    not: text after the end
gromox-imap[4711]: x rhost=[203.0.113.66]:50001 user=x LOGIN ok
    not: text in front
""")

REFUSED_LINES = samples("""
gromox-imap[4711]: rhost=[192.0.2.7]:50001 user=bob LOGIN phase1 rejecting "bob": denied by user filter
    -> refused user=bob address=192.0.2.7
gromox-pop3[4711]: rhost=[192.0.2.7]:50001 user=bob login rejected: Authentication rejected
    -> refused user=bob address=192.0.2.7
gromox-pop3[4711]: rhost=[203.0.113.66]:50001 user=bob login rejected: login ok
    not: refused
""")

NOISE_LINES = samples("""
gromox-imap[4711]: rhost=[192.0.2.7]:50001 user=bob connection lost
    -> ignored
gromox-imap[4711]: exmdb_provider: could not read 203.0.113.66
    not: no login
""")

SERVER = Server(
    name="grommunio",
    title="grommunio (gromox)",
    versions="2 - 3",
    programs={"gromox-imap": "imap", "gromox-pop3": "pop3"},
    accounts=("root", "gromox", "grommunio"),
    rules=(
        Rule("login", Accepted, LOGIN, LOGIN_LINES),
        Rule("refused", Refused, REFUSED, REFUSED_LINES),
        Rule("noise", Ignored, NOISE, NOISE_LINES),
    ),
)
