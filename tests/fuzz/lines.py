"""Lines with a hole: a daemon's text around a client's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from pbs_filter.grammar import Server

HOLE = "\x00"

OTHERS = "others"
"""The name under which the daemons that are no server of ours are attacked."""

_CLIENTS_TEXT = re.compile(
    r"(?<![0-9A-Za-z.])(?:bob(?:@example\.org)?|alice(?:@example\.org)?|(?:[a-z]+\.)+example(?:\.(?:org|net|com))?)"
    r"(?![0-9A-Za-z.])"
)
"""The user and host names of our samples."""


class Line(NamedTuple):
    """A line, without its header, with one `HOLE` in the message."""

    program: str
    pid: str
    message: str


_POSTFIX = (
    ("postfix/smtpd", "NOQUEUE: reject: RCPT from unknown[198.51.100.23]: 554 5.7.1 "
     "<x@example.org>: Relay access denied; from=<\0> to=<x@example.org> proto=ESMTP helo=<x>"),
    ("postfix/smtpd", "NOQUEUE: reject: RCPT from \0[198.51.100.23]: 450 4.7.1 <x>: helo=<\0>"),
    ("postfix/smtpd", "improper command pipelining after EHLO from x[198.51.100.23]: \0"),
    ("postfix/smtpd", "warning: hostname \0 does not resolve to address 198.51.100.23"),
    ("postfix/smtpd", "warning: unknown[198.51.100.23]: SASL LOGIN authentication failed: \0"),
    ("postfix/smtpd", "4ABC: client=x[198.51.100.23], sasl_method=LOGIN, sasl_username=\0"),
    ("postfix/postscreen", "PREGREET 900 after 0.1 from [198.51.100.23]:4711: \0"),
    ("postfix/cleanup", "4ABC: message-id=<\0>"),
    ("postfix/cleanup", "4ABC: warning: header Subject: \0 from x[198.51.100.23]; from=<x>"),
)  # fmt: skip
_EXIM = (
    ("exim", '2026-11-20 09:11:13 1abc-0001-AA <= \0 H=(x) [198.51.100.23] P=esmtp S=900 T="x"'),
    ("exim", '1abc-0001-AA <= x@example.org H=(\0) [198.51.100.23] P=esmtp S=900 T="\0"'),
    ("exim", "plain_login authenticator failed for (\0) [198.51.100.23]: 535 (set_id=\0)"),
    ("exim", 'rejected MAIL <\0>: "x" H=\0 [198.51.100.23]'),
)
_SENDMAIL = (
    ("sendmail", "uAK9: from=\0, size=900, class=0, nrcpts=0, relay=x [198.51.100.23]"),
    ("sendmail", "uAK9: ruleset=check_mail, arg1=\0, relay=x [198.51.100.23], reject=550"),
    ("sendmail", "uAK9: \0 [198.51.100.23] did not issue MAIL/EXPN/VRFY/ETRN"),
    ("sm-mta", "uAK9: to=\0, delay=00:00:01, mailer=local, stat=Sent"),
)
_SSHD = (
    ("sshd", "Failed password for invalid user \0 from 198.51.100.23 port 4711 ssh2"),
    ("sshd", "Invalid user \0 from 198.51.100.23 port 4711"),
    ("sshd", "Bad protocol version identification '\0' from 198.51.100.23 port 4711"),
    ("sshd", "reverse mapping checking getaddrinfo for \0 [198.51.100.23] failed"),
)
_MORE = (
    # The same daemons' helpers speak under the servers' own names.
    ("dovecot", "auth: passwd-file(\0,198.51.100.23,<8n+hC7Ng>): Password mismatch"),
    ("dovecot", "lmtp(bob): msgid=<\0>: saved mail to INBOX"),
    ("dovecot", "imap(bob)<4711><8n+hC7Ng>: copy from INBOX: box=\0, uid=1, msgid=\0, size=900"),
    ("dovecot", "imap-login: Login aborted: Logged out (auth failed, 1 attempts in 2 secs) "
     "(auth_failed): user=<\0>, method=PLAIN, rip=198.51.100.23, lip=192.0.2.1"),
    ("imapd", "pam_unix(imap:auth): authentication failure; logname= uid=0 euid=0 tty= "
     "ruser=\0 rhost=198.51.100.23 user=\0"),
    ("imapd", "Login failed user=\0 auth=\0 host=\0 [198.51.100.23]"),
    ("imapd", "LOGIN FAILED, user=\0, ip=[::ffff:198.51.100.23]"),
    ("pop3d", "LOGIN: DEBUG: ip=[::ffff:198.51.100.23], command=USER\0"),
    ("pop3d", "2AK8nIji user `\0': authentication failed"),
    ("imap4d", "2AK8nIji login failed: \0"),
    ("cyrus/imap", "badlogin: \0 [198.51.100.23] plaintext (\0) [SASL(-13): user not found]"),
    ("cyrus/imap", "session ended: sessionid=<x> userid=<bob> id.vendor=<\0> id.name=<\0>"),
    ("cyrus/pop3", "login: x [198.51.100.23] anonymous \0"),
    ("perdition.pop3", "Auth: 198.51.100.23:4711->192.0.2.1:110 client-secure=plaintext "
     'authorisation_id=NONE authentication_id="\0" server="mx:110" protocol=POP3 '
     'server-secure=plaintext status="failed: Re-Authentication Failure"'),
    ("in.imapproxyd", "LOGIN: '\0' (198.51.100.23:4711) no previous connection: creating one"),
    ("nginx", '2026/11/20 09:11:20 [info] 7#7: *9 client login failed: "\0" while in http auth '
     'state, client: 198.51.100.23, server: 0.0.0.0:110, login: "\0"'),
    ("vpopmail", "vchkpw-pop3: password fail (pass: '\0') \0:198.51.100.23"),
    ("popper", "\0 at \0 (198.51.100.23): -ERR [AUTH] Password supplied is incorrect."),
    ("teapop", "Failed login for \0 [192.0.2.1] from \0 [198.51.100.23]"),
    ("solid-pop3d", "authentication failed: no such user: \0 - \0 (198.51.100.23)"),
)  # fmt: skip


def lines_of(server: Server) -> list[Line]:
    """Return the samples' lines with each client's text in turn, then all, replaced by a hole."""
    found: dict[Line, None] = {}
    for rule in server.rules:
        for sample in rule.samples:
            if sample.observation is None:
                continue
            program, pid, message = sample.parts()
            holes = [match.span() for match in _CLIENTS_TEXT.finditer(message)]
            for start, end in holes:
                found[Line(program, pid, message[:start] + HOLE + message[end:])] = None
            if len(holes) > 1:
                found[Line(program, pid, _CLIENTS_TEXT.sub(HOLE, message))] = None
    return list(found)


def other_lines() -> list[Line]:
    """Return the lines of MTAs and of what else stands in a mail log."""
    texts = _POSTFIX + _EXIM + _SENDMAIL + _SSHD + _MORE
    return [Line(program, "4711", message) for program, message in texts]


def _text(header: str) -> Callable[[Line, str], bytes]:
    def made(line: Line, message: str) -> bytes:
        # A text line ends at its first newline: daemons that let one through are SECURITY.md's.
        message = message.replace("\n", "#012")
        pid = f"[{line.pid}]" if line.pid else ""
        text = f"{header}{line.program}{pid}: {message}"
        return text.encode("utf-8", "surrogateescape")

    return made


def _rfc5424(line: Line, message: str) -> bytes:
    text = f"<22>1 2026-11-20T09:11:13Z mx1 {line.program} {line.pid or '-'} - - "
    return (text + message.replace("\n", "#012")).encode("utf-8", "surrogateescape")


def _json(line: Line, message: str) -> bytes:
    fields = {"t": "2026-11-20T09:11:13+00:00", "h": "mx1", "p": line.program, "pid": line.pid}
    text = json.dumps(fields | {"msg": message}, ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


SHAPES: tuple[Callable[[Line, str], bytes], ...] = (
    _text("Nov 20 09:11:13 mx1 "),
    _text("2026-11-20T09:11:13.123456+01:00 mx1 "),
    _text("Nov 20 09:11:13 "),
    _rfc5424,
    _json,
)


def fill(lines: Iterable[Line], text: str, shape: int) -> Iterable[bytes]:
    """Return each line with `text` in its holes, in one of the header shapes, which take turns."""
    for number, line in enumerate(lines, shape):
        yield SHAPES[number % len(SHAPES)](line, line.message.replace(HOLE, text))
