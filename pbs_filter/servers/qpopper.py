"""Qpopper 2.x to 4.1.

Printed by      `do_log_login` in popper/pop_log.c (`POP login by user`, if built or configured so;
                the text is configurable, this is the default), `drac_it` in popper/drac.c
                (`[drac]: login by`), `pop_updt` in popper/pop_updt.c (`Stats:`, option -s). With
                debugging, the place in the source follows in brackets. Behind syslog or in
                qpopper's own trace file.
Client's text   the user name and the host name (reverse DNS), both before the address. A login
                line is written when the maildrop is open; the name is an account's.
Session         none is needed: `Stats:` is written at the session's end, with the address from 3.x
                on, and counts as one more login; many sites log nothing else.
Travels         by syslog(3), whole, or into a file of its own: one line each.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import ADDRESS, TEXT, WORD, Rule, Server, line, name, samples, token
from ..model import Accepted, Ignored, Refused
from ..syslog.headers import ASCTIME, BSD, PID, OwnLog

VERSION = line("(v{version}) ", version=WORD("0-9A-Za-z.+-", 40))
PLACE = pp.Opt(line(" [{file}:{number}]", file=WORD("0-9A-Za-z_./-", 80)))

LOGIN = line(
    '{version}POP login by user "{user}" at ({host}) {address}{place}',
    version=VERSION,
    place=PLACE,
)
DRAC = line("[drac]: login by {user} from host {host} ({address})")
COUNTS = line("{number} {number} {number} {number}")
STATS = line(
    "Stats: {user} {counts} {client}{place}",
    user=name(less=" ")("user"),
    counts=COUNTS,
    client=line("{host} {address}") | ADDRESS("address"),
    place=PLACE,
)
PATCHED = line("({user},{address}) Authenticated.", user=name(less=" ,()")("user"))

STATS_WITHOUT_ADDRESS = line(
    "Stats: {user} {counts}{place}", user=name(less=" "), counts=COUNTS, place=PLACE
)
REFUSED = (
    pp.one_of(["[AUTH] Failed attempted login to ", "Failed attempted login to "])
    | token(r"(?=[^\x00-\x1f]{1,400}? at [0-9A-Za-z_.:-]{1,255} \([0-9A-Fa-f:.]+\): -ERR )", "-ERR")
) + TEXT
NOISE = (
    (VERSION + pp.one_of(["Servicing request from ", "Unable to get canonical name ", "Timing "]))
    | pp.one_of(
        [
            "Unable to open bulletin directory ",
            "Client at ",
            "[drac]: dracauth returned ",
            "drac not used",
            "connect from ",
            "I/O error flushing output ",
            "POP timeout from ",
            "POP hangup from ",
            "POP EOF or I/O Error",
            "TLS",
            "SSL",
        ]
    )
) + TEXT

LOGIN_LINES = samples(r"""
popper[4711]: (v4.0.5) POP login by user "EXAMPLE\pat "o'neil" {a=b}" at (client.example.org) 192.0.2.7
    -> accepted user=EXAMPLE\pat "o'neil" {a=b} address=192.0.2.7 protocol=pop3
popper[4711]: (v4.0.9) POP login by user "bob" at (client.example.org) 192.0.2.7
    -> accepted user=bob address=192.0.2.7 protocol=pop3
in.qpopper[4711]: (v3.1.2-krb-IV) POP login by user "bob" at (203.0.113.66) 192.0.2.7 [pop_log.c:244]
    -> accepted user=bob address=192.0.2.7 protocol=pop3
popper[4711]: POP login by user "admin" at (203.0.113.66) 203.0.113.66@example.org
    not: CVE-2001-1075: the words alone
popper[4711]: (v4.0.9) POP login by user "a" at (b) 203.0.113.66" at (c) 198.51.100.23
    not: a quote in the name
popper[4711]: (v4.0.9) POP login by user "a" at (b) 203.0.113.66 at client.example.org (198.51.100.23): -ERR Password supplied is incorrect
    not: refused
popper[4711]: (v4.0.9) POP login by user "bob" at (x) 203.0.113.66 [x:1] x
    not: text after the end
popper[4711]: x (v4.0.9) POP login by user "bob" at (x) 203.0.113.66
    not: text in front
""")

LOGIN_DRAC_LINES = samples("""
popper[4711]: [drac]: login by bob from host client.example.org (192.0.2.7)
    -> accepted user=bob address=192.0.2.7 protocol=pop3
qpopper[4711]: [drac]: login by bob from host 203.0.113.66 (2001:db8::7) [drac.c:47]
    -> accepted user=bob address=2001:db8::7 protocol=pop3
popper[4711]: [drac]: login by x from host y (203.0.113.66) from host z (198.51.100.23)
    not: a blank in the name
popper[4711]: x [drac]: login by bob from host x (203.0.113.66)
    not: text in front
""")

STATS_LINES = samples("""
popper[4711]: Stats: bob 0 0 4 4711 client.example.org 192.0.2.7
    -> accepted user=bob address=192.0.2.7 protocol=pop3
qpopper[4711]: Stats: bob 0 0 0 0 192.0.2.7 [pop_updt.c:228]
    -> accepted user=bob address=192.0.2.7 protocol=pop3
popper[4711]: Stats: bob 0 0 0 203.0.113.66
    not: three counts
popper[4711]: Stats: bob 0 0 0 0 203.0.113.66 x
    not: text after the end
popper[4711]: Stats: bob 0 0 0 0 203.0.113.66.example
    not: a name alone
popper[4711]: x Stats: bob 0 0 0 0 203.0.113.66
    not: text in front
""")

LOGIN_PATCHED_LINES = samples("""
popper: (bob,192.0.2.7) Authenticated.
    -> accepted user=bob address=192.0.2.7 protocol=pop3
popper: (bob,203.0.113.66) Authenticated. x
    not: text after the end
popper: x (bob,203.0.113.66) Authenticated.
    not: text in front
""")

STATS_NO_ADDRESS_LINES = samples("""
popper[4711]: Stats: bob 0 0 0 0
    -> ignored
popper[4711]: Stats: bob 0 0 0 0 [pop_updt.c:228]
    -> ignored
popper[4711]: Stats: bob 0 0 0 0 [203.0.113.66]
    not: no such line
""")

REFUSED_LINES = samples("""
popper[4711]: [AUTH] Failed attempted login to bob from host (client.example.org) 192.0.2.7
    -> refused
popper[4711]: bob at client.example.org (192.0.2.7): -ERR [AUTH] Password supplied for "bob" is incorrect.
    -> refused
popper[4711]: Stats: a 0 0 0 0 203.0.113.66 at client.example.org (198.51.100.23): -ERR no
    not: refused
""")

NOISE_LINES = samples("""
popper[4711]: (v4.0.9) Servicing request from "client.example.org" at 192.0.2.7 [pop_init.c:1408]
    -> ignored
popper[4711]: connect from 192.0.2.7
    -> ignored
popper[4711]: Client at "203.0.113.66" resolves to an unknown host name "x"
    not: no login
""")

OWN_LOGS = (
    OwnLog(
        program="popper",
        example="Fri Nov 20 09:11:13 2026 [4711]  Stats: bob 0 0 0 0 192.0.2.7 192.0.2.7",
        start=rf"{ASCTIME} \[(?={PID}\] )",
        rest=rf"(?P<pid>{PID})\]  ?(?P<message>.*)",
    ),
    OwnLog(
        program="popper",
        example="Nov 20 09:11:13 [popper]: Stats: bob 0 0 0 0 192.0.2.7 192.0.2.7",
        start=rf"{BSD} \[popper\]: ",
        rest=" ?(?P<message>.*)",
    ),
)

SERVER = Server(
    name="qpopper",
    title="Qpopper",
    versions="2.x - 4.1",
    programs={"popper": "pop3", "qpopper": "pop3", "in.popper": "pop3", "in.qpopper": "pop3"},
    accounts=("root", "=user"),
    own_logs=OWN_LOGS,
    rules=(
        Rule("login", Accepted, LOGIN, LOGIN_LINES),
        Rule("login-drac", Accepted, DRAC + PLACE, LOGIN_DRAC_LINES),
        Rule("stats", Accepted, STATS, STATS_LINES),
        Rule("login-patched", Accepted, PATCHED, LOGIN_PATCHED_LINES),
        Rule("stats-no-address", Ignored, STATS_WITHOUT_ADDRESS, STATS_NO_ADDRESS_LINES),
        Rule("refused", Refused, REFUSED, REFUSED_LINES),
        Rule("noise", Ignored, NOISE, NOISE_LINES),
    ),
)
