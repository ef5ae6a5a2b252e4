"""vpopmail's vchkpw, 4.x to 5.5, the password program in front of qmail-pop3d.

Printed by      `login_virtual_user` and `login_system_user` in vchkpw.c, at logging levels 1 and
                4: `%s: (%s) login success %s@%s:%s` and `%s: system password login success %s:%s`
                since 5.3, `vchkpw: login [U] from IP` before 5.0.
Client's text   user and domain, before the address; `%` becomes `#`, nothing else is changed. In a
                success both are an account's, in refusals anything, and so is a password. A name
                with a colon is not read: the address follows the first one.
Session         none: vchkpw becomes qmail-pop3d, which logs nothing.
Travels         by syslog(3), whole: one message a line.

The name before the colon is the service's, by its port. SMTP AUTH uses vchkpw, too; what is neither
POP nor IMAP, or a port number, is no login to us. `vchkpw: login success` (5.0 to 5.2) does not
tell which it was; `enable = ["vpopmail-unnamed"]` takes it as POP.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import TEXT, WORD, Rule, Server, line, name, samples
from ..model import Accepted, Ignored, Refused

SERVICE = line(
    "vchkpw-{service}: ", service=pp.one_of(["pop3", "pop3s", "imap", "imaps"])("protocol")
)
ANY_SERVICE = line("vchkpw{service?}: ", service="-" + WORD("0-9a-z", 20))
OTHER_SERVICE = line(
    "vchkpw-{service}: ",
    service=pp.one_of(["smtp", "smtps", "submission", "webmail"]) | WORD("0-9", 5),
)
MECHANISM = line("({name}) login success ", name=WORD("0-9A-Za-z_-", 20))
# The address follows the first colon, since there is none in user and domain.
WHO = line("{user}:{address}", user=name(less=":%")("user"))

LOGIN = SERVICE + MECHANISM + WHO
SYSTEM_LOGIN = SERVICE + "system password login success " + WHO
OLD_LOGIN = line("vchkpw: login [{user}] from {address}")
UNNAMED_LOGIN = "vchkpw: login success " + WHO

OTHER_LOGIN = OTHER_SERVICE + (MECHANISM | pp.Literal("system password login ")) + TEXT
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

LOGIN_LINES = samples(r"""
vpopmail[4711]: vchkpw-pop3: (PLAIN) login success EXAMPLE\pat o'neil, {a=b}@example.org:192.0.2.7
    -> accepted user=EXAMPLE\pat o'neil, {a=b}@example.org address=192.0.2.7 protocol=pop3
vpopmail[4711]: vchkpw-pop3: (PLAIN) login success bob@example.org:192.0.2.7
    -> accepted user=bob@example.org address=192.0.2.7 protocol=pop3
vpopmail[4711]: vchkpw-imaps: (CRAM-MD5) login success bob@example.org:2001:db8::7
    -> accepted user=bob@example.org address=2001:db8::7 protocol=imap tls=yes
vpopmail[4711]: vchkpw-smtp: (PLAIN) login success bob@example.org:203.0.113.66
    not: SMTP
vpopmail[4711]: vchkpw-webmail: (PLAIN) login success bob@example.org:203.0.113.66
    not: webmail
vpopmail[4711]: vchkpw-1110: (PLAIN) login success bob@example.org:203.0.113.66
    not: a port can be anything's
vpopmail[4711]: vchkpw-pop3: (PLAIN) login success bob@example.org:203.0.113.66:198.51.100.23
    not: a colon in the name
vpopmail[4711]: vchkpw-pop3: password fail (pass: '(PLAIN) login success bob@example.org:203.0.113.66') bob@example.org:198.51.100.23
    not: refused
vpopmail[4711]: vchkpw-pop3: vpopmail user not found vchkpw-pop3: (PLAIN) login success bob@example.org:203.0.113.66
    not: refused
vpopmail[4711]: x vchkpw-pop3: (PLAIN) login success bob:203.0.113.66
    not: text in front
""")

LOGIN_SYSTEM_LINES = samples("""
vpopmail[4711]: vchkpw-pop3s: system password login success bob:192.0.2.7
    -> accepted user=bob address=192.0.2.7 protocol=pop3 tls=yes
vpopmail[4711]: vchkpw-submission: system password login success bob:203.0.113.66
    not: submission
vpopmail[4711]: x vchkpw-pop3: system password login success bob:203.0.113.66
    not: text in front
vpopmail[4711]: vchkpw-pop3: system password login success bob:203.0.113.66 x
    not: text after the end
""")

LOGIN_4_LINES = samples("""
vpopmail[4711]: vchkpw: login [bob@example.org] from 192.0.2.7
    -> accepted user=bob@example.org address=192.0.2.7 protocol=pop3
vpopmail[4711]: vchkpw: login [a] from 203.0.113.66] from 192.0.2.7
    not: bracket
vpopmail[4711]: vchkpw: login [bob] from 203.0.113.66\x20
    not: text after the end
vpopmail[4711]: x vchkpw: login [bob] from 203.0.113.66
    not: text in front
""")

UNNAMED_LINES = samples("""
vpopmail[4711]: vchkpw: login success bob@example.org:192.0.2.7
    -> accepted user=bob@example.org address=192.0.2.7 protocol=pop3
vpopmail[4711]: vchkpw: password fail login success bob:203.0.113.66
    not: refused
vpopmail[4711]: x vchkpw: login success bob:203.0.113.66
    not: text in front
vpopmail[4711]: vchkpw: login success bob:203.0.113.66 x
    not: text after the end
""")

OTHER_SERVICE_LINES = samples("""
vpopmail[4711]: vchkpw-smtp: (PLAIN) login success bob@example.org:192.0.2.7
    -> ignored
vpopmail[4711]: vchkpw-587: system password login success bob:
    -> ignored
vpopmail[4711]: vchkpw-25: (PLAIN) login success bob:203.0.113.66
    not: SMTP
""")

REFUSED_LINES = samples("""
vpopmail[4711]: vchkpw-pop3: password fail bob@:192.0.2.7
    -> refused
vpopmail[4711]: vchkpw: vpopmail user not found bob@:192.0.2.7
    -> refused
vpopmail[4711]: vchkpw-pop3: pop access denied bob@example.org:203.0.113.66
    not: the password was right, but that is not enough
""")

TROUBLE_LINES = samples("""
vpopmail[4711]: vchkpw-pop3: setgid 89 failed errno 1 bob@:
    -> ignored
vpopmail[4711]: vchkpw: dir auto create failed bob@:192.0.2.7
    -> ignored
vpopmail[4711]: vchkpw-pop3: chdir failed 203.0.113.66
    not: no login
""")

SERVER = Server(
    name="vpopmail",
    title="vpopmail vchkpw",
    versions="4.x - 5.5",
    programs={"vpopmail": "pop3"},
    accounts=("root", "vpopmail"),
    rules=(
        Rule("login", Accepted, LOGIN, LOGIN_LINES),
        Rule("login-system", Accepted, SYSTEM_LOGIN, LOGIN_SYSTEM_LINES),
        Rule("login-4", Accepted, OLD_LOGIN, LOGIN_4_LINES),
        Rule("unnamed", Accepted, UNNAMED_LOGIN, UNNAMED_LINES, off=True),
        Rule("other-service", Ignored, OTHER_LOGIN, OTHER_SERVICE_LINES),
        Rule("refused", Refused, REFUSED, REFUSED_LINES),
        Rule("trouble", Ignored, TROUBLE, TROUBLE_LINES),
    ),
)
