"""UW imapd and ipop3d up to 2007f, and Panda IMAP.

Printed by      src/imapd/imapd.c (`Login`, `Authenticated`, `Preauthenticated`, ends) and
                src/ipopd/ipop3d.c (`Login`, `Auth`, `APOP`, ends in `sayonara`); refusals also by
                `server_login` in src/osdep/unix/env_unix.c. The peer's name and address come from
                `tcp_clienthost`: `HOST [IP]`, `[IP]` or `UNKNOWN`, cut at 80 characters.
Client's text   HOST (reverse DNS) before the address; the user name, raw and cut at 80 characters,
                before `host=`. In a success it is an account's, in a refusal anything, and an end
                (`Logout user=`) repeats the name of a refused login: it proves no login.
Session         the pid: one process per connection writes one end. `user=???`: nobody tried.
Travels         by syslog(3), whole: one message a line, with at most 80 characters of a name.

Not logins: `anonymous=` (the client's text follows), and ipop3d's `IMAP login to host=`, written
before the remote server was asked, which the client chooses. Through that server's answers a client
can write whole lines: ipop3d must be built with DISABLE_POP_PROXY (SECURITY.md). It does so as the
anonymous account, after root's privileges are gone.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import HOST, TEXT, WORD, Rule, Server, line, samples, token
from ..model import Accepted, Ended, Ignored, Refused

# A word in brackets, as some syslogs put it in front.
TAG = pp.Opt(line("[{tag}]{blank?}", tag=WORD("0-9A-Za-z ._-", 60), blank=pp.Literal(" ")))
CLIENT = line("{name?}[{address}]", name=line("{host} "))
SOMEBODY = token(r"(?!\?\?\? |(?i:anonymous) )", "neither ??? nor anonymous")
VERB = pp.one_of(
    ["Login", "Admin Login", "Auth", "Authenticated", "Preauthenticated", "APOP", "Admin Auth"]
)
LOGIN = line(
    "{tag}{verb} user={somebody}{user} host={client}{more?}",
    tag=TAG,
    verb=VERB,
    somebody=SOMEBODY,
    client=CLIENT,
    more=line(" nmsgs={number}/{number}")
    | line(" mech={mechanism}", mechanism=WORD("0-9A-Za-z_-", 40))
    | pp.Literal(" no mailbox"),
)

_WHILE = r"(?>,? while reading (?:line|authentication|auth char|literal|command))"
REASON = token(
    r"(?>Logout|Autologout|Hangup|Terminated|Killed(?: \(lost mailbox lock\))?|"
    r"Mailbox closed \([^()\x00-\x1f]{0,80}\)|"
    r"-ERR Can't get lock\.  Mailbox in use|-ERR Unable to open user's INBOX|"
    rf"[A-Z][A-Za-z' -]{{2,79}}?(?={_WHILE} user=){_WHILE})",
    "how a session ends",
)
END = line(
    "{tag}{reason} user={somebody}{user} host={client}{counts?}",
    tag=TAG,
    reason=REASON,
    somebody=SOMEBODY,
    client=CLIENT | HOST,
    counts=line(" nmsgs={number} ndele={number}"),
)

REFUSED = (
    TAG
    + pp.one_of(
        [
            "Login failed user=",
            "Login failure user=",
            "Login disabled user=",
            "Login excessive login failures user=",
            "Login SYSTEM BREAK-IN ATTEMPT user=",
            "SYSTEM BREAK-IN ATTEMPT",
            "Excessive login failures user=",
            "Authentication failure host=",
            "AUTHENTICATE ",
            "Failed ADMIN override of user=",
            "Error opening or locking INBOX user=",
            "Line too long before authentication host=",
            "Null command before authentication host=",
            "Missing command before authentication host=",
        ]
    )
    + TEXT
)
NOBODY = TAG + REASON + " user=??? host=" + TEXT
ANONYMOUS = (
    TAG
    + pp.one_of(
        [
            "Login anonymous=",
            "Authenticated anonymous=",
            "Preauthenticated user=ANONYMOUS ",
            "Preauthenticated user=anonymous ",
            "Authenticated user=ANONYMOUS ",
            "Authenticated user=anonymous ",
        ]
    )
    + TEXT
)
ELSEWHERE = TAG + "IMAP login to host=" + TEXT
NOISE = (
    TAG
    + (
        pp.one_of(["connect from ", "Update user=", "Moved ", "Trying to get mailbox lock "])
        | pp.one_of(["Mailbox is open by another process", "Unable to load certificate "])
        | (pp.one_of(["imap", "imaps", "pop2", "pop3", "pop3s"])
           + pp.one_of([" service init from ", " SSL service init from "]))
    )
    + TEXT
)  # fmt: skip

LOGIN_LINES = samples(r"""
imapd[4711]: Login user=EXAMPLE\pat o'neil, {a=b} (`x`: "y") host=client.example.org [192.0.2.7]
    -> accepted user=EXAMPLE\pat o'neil, {a=b} (`x`: "y") address=192.0.2.7 protocol=imap session=4711
imapd[4711]: Login user=bob host=client.example.org [192.0.2.7]
    -> accepted user=bob address=192.0.2.7 protocol=imap session=4711
ipop3d[4711]: Auth user=bob host=203.0.113.66 [192.0.2.7] nmsgs=0/12
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711
imapd[4711]: Authenticated user=bob host=[2001:db8::7] mech=CRAM-MD5
    -> accepted user=bob address=2001:db8::7 protocol=imap session=4711
ipop3d: [mail]Admin Login user=bob host=[192.0.2.7] no mailbox
    -> accepted user=bob address=192.0.2.7 protocol=pop3
imapsd[4711]: [mail.info] Preauthenticated user=bob host=[192.0.2.7]
    -> accepted user=bob address=192.0.2.7 protocol=imap session=4711 tls=yes
imapd[4711]: Login failed user=Login user=alice host=evil [203.0.113.66] auth=x host=[198.51.100.23]
    not: refused
imapd[4711]: Login user=alice host=evil [203.0.113.66] host=[198.51.100.23]
    not: a blank in the name
imapd[4711]: Login user=bob host=203.0.113.66
    not: a name, not an address
imapd[4711]: Login user=bob host=[203.0.113.66
    not: cut at 80 characters
imapd[4711]: Login user=bob host=UNKNOWN
    not: no address
imapd[4711]: Login user=??? host=[203.0.113.66]
    not: nobody
imapd[4711]: Login anonymous=x host=[203.0.113.66]
    not: everybody may
imapd[4711]: Authenticated user=ANONYMOUS host=[203.0.113.66]
    not: anybody
ipop3d[4711]: IMAP login to host=evil.example user=bob host=[203.0.113.66]
    not: the client's own server says who bob is
ipop2d[4711]: Login failed user=bob host=[203.0.113.66]
    not: refused
imapd[4711]: x Login user=bob host=[203.0.113.66]
    not: text in front
""")

END_LINES = samples("""
imapd[4711]: Logout user=bob host=client.example.org [192.0.2.7]
    -> ended user=bob address=192.0.2.7 protocol=imap session=4711
ipop3d[4711]: [mail]Logout user=bob host=UNKNOWN nmsgs=0 ndele=0
    -> ended user=bob protocol=pop3 session=4711
ipop3d[4711]: [mail.info] Command stream end of file while reading line user=bob host=[192.0.2.7]
    -> ended user=bob address=192.0.2.7 protocol=pop3 session=4711
imapd[4711]: Connection reset by peer, while reading authentication user=bob host=[192.0.2.7]
    -> ended user=bob address=192.0.2.7 protocol=imap session=4711
imapd[4711]: Login failed user=bob auth=bob host=[203.0.113.66]
    not: no end
imapd[4711]: Logout user=??? host=[203.0.113.66]
    not: nobody
imapd[4711]: Logout user=alice host=evil [203.0.113.66] host=[198.51.100.23]
    not: a blank in the name
imapd[4711]: x Logout user=bob host=[203.0.113.66]
    not: text in front
""")

REFUSED_LINES = samples("""
imapd[4711]: [mail]Login failed user=bob auth=bob host=[192.0.2.7]
    -> refused
ipop3d[4711]: [mail] AUTHENTICATE PLAIN failure host=[192.0.2.7]
    -> refused
imapd[4711]: Login disabled user=bob auth=bob host=[203.0.113.66]
    not: refused
ipop3d[4711]: Login failure user=bob host=[192.0.2.7]
    -> refused
""")

NOBODY_LINES = samples("""
imapd[4711]: Autologout user=??? host=[192.0.2.7]
    -> ignored
imapd[4711]: [mail] Killed user=??? host=[192.0.2.7]
    -> ignored
imapd[4711]: [mail]Hangup user=??? host=UNKNOWN
    -> ignored
imapd[4711]: Broken pipe, while reading line user=??? host=[203.0.113.66]
    not: nobody
""")

ANONYMOUS_LINES = samples("""
imapd[4711]: Login anonymous=x host=[192.0.2.7]
    -> ignored
imapd[4711]: [mail]Authenticated anonymous=x host=[192.0.2.7]
    -> ignored
imapd[4711]: [a] Preauthenticated user=ANONYMOUS host=UNKNOWN
    -> ignored
imapd[4711]: Login anonymous=Login user=bob host=[203.0.113.66]
    not: anybody
""")

ELSEWHERE_LINES = samples("""
ipop3d[4711]: [mail]IMAP login to host=mx user=bob host=[192.0.2.7]
    -> ignored
ipop3d[4711]: [m] IMAP login to host=mx user=bob host=UNKNOWN
    -> ignored
ipop3d[4711]: IMAP login to host=x user=bob host=[203.0.113.66]
    not: see above
ipop3d[4711]: IMAP login to host=mx user=bob host=UNKNOWN
    -> ignored
""")

NOISE_LINES = samples("""
imapd[4711]: connect from 192.0.2.7 (192.0.2.7)
    -> ignored
ipop3d[4711]: [mail]pop3s SSL service init from 192.0.2.7
    -> ignored
imapd[4711]: [mail] Mailbox is open by another process
    -> ignored
imapd[4711]: connect from Login user=bob host=[203.0.113.66]
    not: no login
""")

SERVER = Server(
    name="uw",
    title="UW imapd / ipop3d, Panda IMAP",
    versions="4 - 2007f",
    programs={
        "imapd": "imap",
        "imapsd": "imap",
        "ipop3d": "pop3",
        "ipop3sd": "pop3",
        "ipop2d": None,
    },
    accounts=("root", "=user"),
    rules=(
        Rule("login", Accepted, LOGIN, LOGIN_LINES, session=("pid",)),
        Rule("end", Ended, END, END_LINES, session=("pid",)),
        Rule("refused", Refused, REFUSED, REFUSED_LINES),
        Rule("nobody", Ignored, NOBODY, NOBODY_LINES),
        Rule("anonymous", Ignored, ANONYMOUS, ANONYMOUS_LINES),
        Rule("elsewhere", Ignored, ELSEWHERE, ELSEWHERE_LINES),
        Rule("noise", Ignored, NOISE, NOISE_LINES),
    ),
)
