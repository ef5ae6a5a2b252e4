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
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import ADDRESS, HOST, NUMBER, TEXT, USER, WORD, Rule, Server, no, token, yes
from ..model import Accepted, Ignored, Refused

VERSION = "(v" + WORD("0-9A-Za-z.+-", 40) + ") "
PLACE = pp.Opt(" [" + WORD("0-9A-Za-z_./-", 80) + ":" + NUMBER + "]")

LOGIN = (
    VERSION + 'POP login by user "' + USER("user") + '" at (' + HOST + ") " + ADDRESS("address")
    + PLACE
)  # fmt: skip
DRAC = "[drac]: login by " + USER("user") + " from host " + HOST + " (" + ADDRESS("address") + ")"
COUNTS = NUMBER + " " + NUMBER + " " + NUMBER + " " + NUMBER
STATS = (
    "Stats: "
    + USER("user")
    + " "
    + COUNTS
    + " "
    + ((HOST + " " + ADDRESS("address")) | ADDRESS("address"))
    + PLACE
)
PATCHED = "(" + USER("user") + "," + ADDRESS("address") + ") Authenticated."

STATS_WITHOUT_ADDRESS = "Stats: " + USER + " " + COUNTS + PLACE
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

SERVER = Server(
    name="qpopper",
    title="Qpopper",
    versions="2.x - 4.1",
    programs={"popper": "pop3", "qpopper": "pop3", "in.popper": "pop3", "in.qpopper": "pop3"},
    accounts=("root", "=user"),
    rules=(
        Rule(
            name="login",
            kind=Accepted,
            expression=LOGIN,
            samples=(
                yes(
                    'popper[4711]: (v4.0.9) POP login by user "bob" at (client.example.org) '
                    "192.0.2.7",
                    Accepted(user="bob", address="192.0.2.7", protocol="pop3"),
                ),
                yes(
                    'in.qpopper[4711]: (v3.1.2-krb-IV) POP login by user "bob" at (203.0.113.66) '
                    "192.0.2.7 [pop_log.c:244]",
                    Accepted(user="bob", address="192.0.2.7", protocol="pop3"),
                ),
                no(
                    'popper[4711]: POP login by user "admin" at (203.0.113.66) '
                    "203.0.113.66@example.org",
                    "CVE-2001-1075: the words alone",
                ),
                no(
                    'popper[4711]: (v4.0.9) POP login by user "a" at (b) 203.0.113.66" at (c) '
                    "198.51.100.23",
                    "a quote in the name",
                ),
                no(
                    'popper[4711]: (v4.0.9) POP login by user "a" at (b) 203.0.113.66 at '
                    "client.example.org (198.51.100.23): -ERR Password supplied is incorrect",
                    "refused",
                ),
                no(
                    'popper[4711]: (v4.0.9) POP login by user "bob" at (x) 203.0.113.66 [x:1] x',
                    "text after the end",
                ),
                no(
                    'popper[4711]: x (v4.0.9) POP login by user "bob" at (x) 203.0.113.66',
                    "text in front",
                ),
            ),
        ),
        Rule(
            name="login-drac",
            kind=Accepted,
            expression=DRAC + PLACE,
            samples=(
                yes(
                    "popper[4711]: [drac]: login by bob from host client.example.org (192.0.2.7)",
                    Accepted(user="bob", address="192.0.2.7", protocol="pop3"),
                ),
                yes(
                    "qpopper[4711]: [drac]: login by bob from host 203.0.113.66 (2001:db8::7) "
                    "[drac.c:47]",
                    Accepted(user="bob", address="2001:db8::7", protocol="pop3"),
                ),
                no(
                    "popper[4711]: [drac]: login by x from host y (203.0.113.66) from host z "
                    "(198.51.100.23)",
                    "a blank in the name",
                ),
                no(
                    "popper[4711]: x [drac]: login by bob from host x (203.0.113.66)",
                    "text in front",
                ),
            ),
        ),
        Rule(
            name="stats",
            kind=Accepted,
            expression=STATS,
            samples=(
                yes(
                    "popper[4711]: Stats: bob 0 0 4 4711 client.example.org 192.0.2.7",
                    Accepted(user="bob", address="192.0.2.7", protocol="pop3"),
                ),
                yes(
                    "qpopper[4711]: Stats: bob 0 0 0 0 192.0.2.7 [pop_updt.c:228]",
                    Accepted(user="bob", address="192.0.2.7", protocol="pop3"),
                ),
                no("popper[4711]: Stats: bob 0 0 0 203.0.113.66", "three counts"),
                no("popper[4711]: Stats: bob 0 0 0 0 203.0.113.66 x", "text after the end"),
                no("popper[4711]: Stats: bob 0 0 0 0 203.0.113.66.example", "a name alone"),
                no("popper[4711]: x Stats: bob 0 0 0 0 203.0.113.66", "text in front"),
            ),
        ),
        Rule(
            name="login-patched",
            kind=Accepted,
            expression=PATCHED,
            samples=(
                yes(
                    "popper: (bob,192.0.2.7) Authenticated.",
                    Accepted(user="bob", address="192.0.2.7", protocol="pop3"),
                ),
                no("popper: (bob,203.0.113.66) Authenticated. x", "text after the end"),
                no("popper: x (bob,203.0.113.66) Authenticated.", "text in front"),
            ),
        ),
        Rule(
            name="stats-no-address",
            kind=Ignored,
            expression=STATS_WITHOUT_ADDRESS,
            samples=(
                yes("popper[4711]: Stats: bob 0 0 0 0", Ignored()),
                yes("popper[4711]: Stats: bob 0 0 0 0 [pop_updt.c:228]", Ignored()),
                no("popper[4711]: Stats: bob 0 0 0 0 [203.0.113.66]", "no such line"),
            ),
        ),
        Rule(
            name="refused",
            kind=Refused,
            expression=REFUSED,
            samples=(
                yes(
                    "popper[4711]: [AUTH] Failed attempted login to bob from host "
                    "(client.example.org) 192.0.2.7",
                    Refused(),
                ),
                yes(
                    "popper[4711]: bob at client.example.org (192.0.2.7): -ERR [AUTH] Password "
                    'supplied for "bob" is incorrect.',
                    Refused(),
                ),
                no(
                    "popper[4711]: Stats: a 0 0 0 0 203.0.113.66 at client.example.org "
                    "(198.51.100.23): -ERR no",
                    "refused",
                ),
            ),
        ),
        Rule(
            name="noise",
            kind=Ignored,
            expression=NOISE,
            samples=(
                yes(
                    'popper[4711]: (v4.0.9) Servicing request from "client.example.org" at '
                    "192.0.2.7 [pop_init.c:1408]",
                    Ignored(),
                ),
                yes("popper[4711]: connect from 192.0.2.7", Ignored()),
                no(
                    'popper[4711]: Client at "203.0.113.66" resolves to an unknown host name "x"',
                    "no login",
                ),
            ),
        ),
    ),
)
