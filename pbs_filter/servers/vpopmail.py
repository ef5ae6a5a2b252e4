"""vpopmail's vchkpw, 4.x to 5.5, the password program in front of qmail-pop3d.

Printed by      `login_virtual_user` and `login_system_user` in vchkpw.c, at logging levels 1 and
                4: `%s: (%s) login success %s@%s:%s` and `%s: system password login success %s:%s`
                since 5.3, `vchkpw: login [U] from IP` before 5.0.
Client's text   user and domain, before the address; `%` becomes `#`, nothing else is changed. In a
                success both are an account's, in refusals anything, and so is a password.
Session         none: vchkpw becomes qmail-pop3d, which logs nothing.

The name before the colon is the service's, by its port. SMTP AUTH uses vchkpw, too; what is neither
POP nor IMAP, or a port number, is no login to us. `vchkpw: login success` (5.0 to 5.2) does not
tell which it was; `enable = ["vpopmail-unnamed"]` takes it as POP.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import ADDRESS, TEXT, WORD, Rule, Server, no, user_token, yes
from ..model import Accepted, Ignored, Refused

SERVICE = "vchkpw-" + pp.one_of(["pop3", "pop3s", "imap", "imaps"])("protocol") + ": "
ANY_SERVICE = "vchkpw" + pp.Opt("-" + WORD("0-9a-z", 20)) + ": "
OTHER_SERVICE = (
    "vchkpw-" + (pp.one_of(["smtp", "smtps", "submission", "webmail"]) | WORD("0-9", 5)) + ": "
)
# The address follows the first colon, since there is none in user and domain.
WHO = user_token(less="%")("user") + ":" + ADDRESS("address")

LOGIN = SERVICE + "(" + WORD("0-9A-Za-z_-", 20) + ") login success " + WHO
SYSTEM_LOGIN = SERVICE + "system password login success " + WHO
OLD_LOGIN = "vchkpw: login [" + user_token(less="%")("user") + "] from " + ADDRESS("address")
UNNAMED_LOGIN = "vchkpw: login success " + WHO

OTHER_LOGIN = (
    OTHER_SERVICE
    + ("(" + WORD("0-9A-Za-z_-", 20) + ") login success " | pp.Literal("system password login "))
    + TEXT
)
REFUSED = (
    ANY_SERVICE
    + pp.one_of(
        [
            "vpopmail user not found ",
            "password fail ",
            "null password given ",
            "null user name given ",
            "user has no password ",
            "system password fail ",
            "system user not found ",
            "system user shadow entry not found ",
            "invalid user/domain characters ",
            "pop access denied ",
            "imap access denied ",
            "smtp access denied ",
            "webmail access denied ",
        ]
    )
    + TEXT
)
TROUBLE = (
    ANY_SERVICE
    + pp.one_of(
        [
            "dir auto create failed ",
            "autocreate dir errno ",
            "failed to vauth_getpw() ",
            "setgid ",
            "setuid ",
            "putenv(",
            "chdir failed ",
            "can't write MySQL logs",
        ]
    )
    + TEXT
)

SERVER = Server(
    name="vpopmail",
    title="vpopmail vchkpw",
    versions="4.x - 5.5",
    programs={"vpopmail": "pop3"},
    accounts=("root", "vpopmail"),
    rules=(
        Rule(
            name="login",
            kind=Accepted,
            expression=LOGIN,
            samples=(
                yes(
                    "vpopmail[4711]: vchkpw-pop3: (PLAIN) login success bob@example.org:192.0.2.7",
                    Accepted(user="bob@example.org", address="192.0.2.7", protocol="pop3"),
                ),
                yes(
                    "vpopmail[4711]: vchkpw-imaps: (CRAM-MD5) login success "
                    "bob@example.org:2001:db8::7",
                    Accepted(user="bob@example.org", address="2001:db8::7", protocol="imap"),
                ),
                no(
                    "vpopmail[4711]: vchkpw-smtp: (PLAIN) login success bob@example.org:"
                    "203.0.113.66",
                    "SMTP",
                ),
                no(
                    "vpopmail[4711]: vchkpw-webmail: (PLAIN) login success bob@example.org:"
                    "203.0.113.66",
                    "webmail",
                ),
                no(
                    "vpopmail[4711]: vchkpw-1110: (PLAIN) login success bob@example.org:"
                    "203.0.113.66",
                    "a port can be anything's",
                ),
                no(
                    "vpopmail[4711]: vchkpw-pop3: (PLAIN) login success bob@example.org:"
                    "203.0.113.66:198.51.100.23",
                    "a colon in the name",
                ),
                no(
                    "vpopmail[4711]: vchkpw-pop3: password fail (pass: '(PLAIN) login success "
                    "bob@example.org:203.0.113.66') bob@example.org:198.51.100.23",
                    "refused",
                ),
                no(
                    "vpopmail[4711]: vchkpw-pop3: vpopmail user not found vchkpw-pop3: (PLAIN) "
                    "login success bob@example.org:203.0.113.66",
                    "refused",
                ),
                no(
                    "vpopmail[4711]: x vchkpw-pop3: (PLAIN) login success bob:203.0.113.66",
                    "text in front",
                ),
            ),
        ),
        Rule(
            name="login-system",
            kind=Accepted,
            expression=SYSTEM_LOGIN,
            samples=(
                yes(
                    "vpopmail[4711]: vchkpw-pop3s: system password login success bob:192.0.2.7",
                    Accepted(user="bob", address="192.0.2.7", protocol="pop3"),
                ),
                no(
                    "vpopmail[4711]: vchkpw-submission: system password login success bob:"
                    "203.0.113.66",
                    "submission",
                ),
                no(
                    "vpopmail[4711]: x vchkpw-pop3: system password login success bob:203.0.113.66",
                    "text in front",
                ),
                no(
                    "vpopmail[4711]: vchkpw-pop3: system password login success bob:203.0.113.66 x",
                    "text after the end",
                ),
            ),
        ),
        Rule(
            name="login-4",
            kind=Accepted,
            expression=OLD_LOGIN,
            samples=(
                yes(
                    "vpopmail[4711]: vchkpw: login [bob@example.org] from 192.0.2.7",
                    Accepted(user="bob@example.org", address="192.0.2.7", protocol="pop3"),
                ),
                no(
                    "vpopmail[4711]: vchkpw: login [a] from 203.0.113.66] from 192.0.2.7", "bracket"
                ),
                no("vpopmail[4711]: vchkpw: login [bob] from 203.0.113.66 ", "text after the end"),
                no("vpopmail[4711]: x vchkpw: login [bob] from 203.0.113.66", "text in front"),
            ),
        ),
        Rule(
            name="unnamed",
            kind=Accepted,
            expression=UNNAMED_LOGIN,
            off=True,
            samples=(
                yes(
                    "vpopmail[4711]: vchkpw: login success bob@example.org:192.0.2.7",
                    Accepted(user="bob@example.org", address="192.0.2.7", protocol="pop3"),
                ),
                no(
                    "vpopmail[4711]: vchkpw: password fail login success bob:203.0.113.66",
                    "refused",
                ),
                no("vpopmail[4711]: x vchkpw: login success bob:203.0.113.66", "text in front"),
                no(
                    "vpopmail[4711]: vchkpw: login success bob:203.0.113.66 x", "text after the end"
                ),
            ),
        ),
        Rule(
            name="other-service",
            kind=Ignored,
            expression=OTHER_LOGIN,
            samples=(
                yes(
                    "vpopmail[4711]: vchkpw-smtp: (PLAIN) login success bob@example.org:192.0.2.7",
                    Ignored(),
                ),
                yes("vpopmail[4711]: vchkpw-587: system password login success bob:", Ignored()),
                no("vpopmail[4711]: vchkpw-25: (PLAIN) login success bob:203.0.113.66", "SMTP"),
            ),
        ),
        Rule(
            name="refused",
            kind=Refused,
            expression=REFUSED,
            samples=(
                yes("vpopmail[4711]: vchkpw-pop3: password fail bob@:192.0.2.7", Refused()),
                yes("vpopmail[4711]: vchkpw: vpopmail user not found bob@:192.0.2.7", Refused()),
                no(
                    "vpopmail[4711]: vchkpw-pop3: pop access denied bob@example.org:203.0.113.66",
                    "the password was right, but that is not enough",
                ),
            ),
        ),
        Rule(
            name="trouble",
            kind=Ignored,
            expression=TROUBLE,
            samples=(
                yes("vpopmail[4711]: vchkpw-pop3: setgid 89 failed errno 1 bob@:", Ignored()),
                yes("vpopmail[4711]: vchkpw: dir auto create failed bob@:192.0.2.7", Ignored()),
                no("vpopmail[4711]: vchkpw-pop3: chdir failed 203.0.113.66", "no login"),
            ),
        ),
    ),
)
