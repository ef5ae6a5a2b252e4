"""GNU mailutils pop3d and imap4d, 0.x to 3.x, and its forerunner gnu-pop3d.

Printed by      `pop3d_begin_session` in pop3d/user.c (`user ... logged in with mailbox`),
                `imap4d_session_setup0` in imap4d/imap4d.c (`user ... logged in (source: S)`),
                `pop3d_abquit`, `pop3d_quit` and `imap4d_bye` (ends), `_run_entry` in
                libmailutils/server/acl.c (the address, where the config says `acl { log any; }`),
                the main loops of 0.x and 1.x (`connect from IP`).
Client's text   the user name, raw, in refusals; in a login it is an account's. Newlines in it go
                to syslog; the library puts the session id behind each.
Session         the session id in front of every line, with `logging { session-id yes; }`: the
                parent process writes the address, a child the rest, so that the pid ties nothing.
                Where the same process writes `connect from` (0.x, 1.x, or tcpd in front), the pid.
Travels         through the library's log stream, which hands syslog(3) what its buffer holds (2,048
                or 8,192 bytes) or what ends at a newline. The session id stands in front of the
                first piece and behind each newline, and nothing stands in front of the others: with
                line breaks in a name a client makes messages of any length, and of any words. No
                filter can tell those from lines, so nothing is read unless `servers` names it.

By default no address is logged at all, and nothing can be authorised.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import (
    ADDRESS,
    TEXT,
    WORD,
    Rule,
    Server,
    line,
    name,
    name_before,
    samples,
    token,
)
from ..grammar.carriage import Carriage
from ..model import Accepted, Connected, Ended, Ignored, Refused

# Eight digits of base 62: year, month, day, hour, minute, second, and two more; 2.x has a number.
_SESSION_ID = (
    r"(?>[0-9A-Za-z][0-9AB][0-9A-V][0-9A-N][0-9A-Za-x]{2}[0-9A-Za-z]{2}(?= )|[0-9a-f]{8}:)"
)
SESSION_ID = token(_SESSION_ID, "a session id")("id") + " "
MAYBE_ID = token(rf"(?>{_SESSION_ID} |)", "a session id or nothing")

USER_WORD = pp.one_of(["user ", "User "])
_PARTS = {
    "user": name_before("' ", most=120)("user"),
    "path": token(r"(?>(?:[^'<>\x00-\x1f\x7f]|'(?=[0-9A-Za-z])){1,200})", "a path"),
    "source": WORD("0-9A-Za-z_-", 40),
    "messages": pp.one_of([" message", " messages", " msgs"]),
}
_BARE = name(less=" <>()[],;:\"'`", most=120)("user")
NAME = line("`{user}'", **_PARTS) | line("'{user}'", **_PARTS) | _BARE
_BARE_PATH = WORD("0-9A-Za-z_.:/@%+,~=-", 200)
MAILBOX = line("`{path}'", **_PARTS) | line("'{path}'", **_PARTS) | _BARE_PATH
WITH_MAILBOX = USER_WORD + line(
    "{name} logged in with mailbox {mailbox}", name=NAME, mailbox=MAILBOX
)
COUNT = line(" ({number}{messages})", **_PARTS)
LOGGED_IN = (WITH_MAILBOX + pp.Opt(COUNT)) | (
    USER_WORD + line("{name} logged in (source: {source})", name=NAME, **_PARTS)
)
END = (
    pp.one_of(["session ", "Session "])
    + pp.one_of(["ended", "terminating", "timed out"])
    + " for user: "
    + name(less="<>", most=120)("user")
)
DROPPED = pp.one_of(["remote protocol error", "I/O error", "read error on control stream"])

CONNECTED = SESSION_ID + ADDRESS("address")
# tcpd in front may put the name first, which can look like an address.
CONNECTED_BY_PID = "connect from " + (line("{host} ({address})") | ADDRESS("address"))

REFUSED = (
    MAYBE_ID
    + pp.one_of(
        [
            "login failed: ",
            "Login failed: ",
            "GSASL error: ",
            "possible probe of account ",
            "error authenticating user ",
            "error getting identity info for user ",
        ]
    )
    + TEXT
) | (
    MAYBE_ID
    + USER_WORD
    + token(r"(?![`']?[^\n]{1,255}?'? logged in (?:with mailbox |\(source: ))", "not logged in")
    + TEXT
)
NOISE = (
    MAYBE_ID
    + pp.one_of(
        [
            "POP3 login: user ",
            "incoming connection opened",
            "Incoming connection opened",
            "Unexpected eof on input",
            "Read failed: ",
            "TLS established",
            "error reading from input stream: ",
            "pop3d (GNU Mailutils ",
            "imap4d (GNU Mailutils ",
            "pam_unix(",
            "process ",
            "locking mailbox ",
            "started in debugging mode",
            "quitting ",
            "terminating ",
        ]
    )
    + TEXT
) | (MAYBE_ID + pp.one_of(["session terminating", "Session terminating"]))
ADDRESS_ALONE = ADDRESS
NOBODY = pp.one_of(
    ["session ended for no user", "Session ended for no user", "session timed out for no user"]
)

BY_ID = ("id",)
BY_PID = ("pid",)

CONNECTED_LINES = samples("""
pop3d[4700]: 2AK8nIji 192.0.2.7
    -> connected address=192.0.2.7 session=2AK8nIji
imap4d[4700]: 2AK8nIji 2001:DB8:0:0:0:0:0:7
    -> connected address=2001:db8::7 session=2AK8nIji
pop3d[4700]: 0000a1b2: 192.0.2.7
    -> connected address=192.0.2.7 session=0000a1b2:
pop3d[4700]: 2AK8nIji 203.0.113.66 x
    not: text after the address
pop3d[4700]: 203.0.113.66
    not: no session id
pop3d[4700]: incoming 203.0.113.66
    not: no session id
pop3d[4700]: x 2AK8nIji 203.0.113.66
    not: text in front
""")

BY_PID_LINES = samples("""
gnu-pop3d[4711]: connect from 192.0.2.7
    -> connected address=192.0.2.7 session=4711
pop3d[4711]: connect from 203.0.113.66 (192.0.2.7)
    -> connected address=192.0.2.7 session=4711
pop3d[4711]: connect from 203.0.113.66.example.net
    not: a name
pop3d[4711]: refused connect from 203.0.113.66
    not: refused
pop3d: connect from 203.0.113.66
    not: no pid
""")

LOGIN_LINES = samples("""
pop3d[4711]: 2AK8nIji user `bob' logged in with mailbox `/var/mail/b' (0 messages)
    -> accepted user=bob protocol=pop3 session=2AK8nIji
imap4d[4711]: 2AK8nIji User 'bob' logged in (source: system)
    -> accepted user=bob protocol=imap session=2AK8nIji
pop3d[4711]: 0000a1b2: User bob logged in with mailbox '/var/mail/b'
    -> accepted user=bob protocol=pop3 session=0000a1b2:
pop3d[4711]: 2AK8nIji user `x' logged in with mailbox `203.0.113.66' (0 messages)': authentication failed
    not: refused
imap4d[4711]: 2AK8nIji user `pat o'neil' logged in (source: system)
    -> accepted user=pat o'neil protocol=imap session=2AK8nIji
pop3d[4711]: 2AK8nIji POP3 login: user `bob', source system
    not: the mailbox may still be locked
pop3d[4711]: 2AK8nIji User 'bob' logged in with mailbox '/var/mail/b' (2 msgs)
    -> accepted user=bob protocol=pop3 session=2AK8nIji
pop3d[4711]: 2AK8nIji user `pat.o'neil' logged in with mailbox `/var/mail/pat.o'neil' (2 messages)
    -> accepted user=pat.o'neil protocol=pop3 session=2AK8nIji
pop3d[4711]: 2AK8nIji User bob logged in with mailbox /var/mail/b
    -> accepted user=bob protocol=pop3 session=2AK8nIji
imap4d[4711]: 2AK8nIji user `bob' logged in (source: system)
    -> accepted user=bob protocol=imap session=2AK8nIji
imap4d[4711]: 2AK8nIji User bob logged in (source: system)
    -> accepted user=bob protocol=imap session=2AK8nIji
imap4d[4711]: x 2AK8nIji user `bob' logged in (source: a)
    not: text in front
""")

LOGIN_BY_PID_LINES = samples("""
gnu-pop3d[4711]: User 'bob' logged in with mailbox 'mbox:/var/mail/b' (3 msgs)
    -> accepted user=bob protocol=pop3 session=4711
gnu-imap4d[4711]: User `bob' logged in (source: system)
    -> accepted user=bob protocol=imap session=4711
gnu-pop3d[4711]: User bob logged in with mailbox /var/mail/b
    -> accepted user=bob protocol=pop3 session=4711
pop3d[4711]: user `bob' logged in with mailbox `/var/mail/b' (1 message)
    -> accepted user=bob protocol=pop3 session=4711
pop3d: user `bob' logged in with mailbox `/var/mail/b'
    not: no pid
pop3d[4711]: user `bob' logged in with mailbox `/var/mail/b' 203.0.113.66
    not: text after the mailbox
gnu-imap4d[4711]: User 'bob' logged in (source: system)
    -> accepted user=bob protocol=imap session=4711
gnu-imap4d[4711]: User bob logged in (source: system)
    -> accepted user=bob protocol=imap session=4711
gnu-imap4d[4711]: x User bob logged in (source: system)
    not: text in front
""")

WITH_ADDRESS_LINES = samples("""
gnu-pop3d[4711]: User bob logged in with mailbox /var/mail/b from 192.0.2.7
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711
gnu-pop3d[4711]: User 'bob' logged in with mailbox '/var/mail/b' from 192.0.2.7
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=4711
gnu-pop3d: User `bob' logged in with mailbox `/var/mail/b' from 192.0.2.7
    -> accepted user=bob address=192.0.2.7 protocol=pop3
gnu-pop3d[4711]: User bob logged in with mailbox x from 203.0.113.66 from 198.51.100.23
    not: a blank in the mailbox
gnu-pop3d[4711]: x User bob logged in with mailbox x from 203.0.113.66
    not: text in front
""")

END_LINES = samples("""
pop3d[4711]: 2AK8nIji session ended for user: pat o'neil {a}
    -> ended user=pat o'neil {a} protocol=pop3 session=2AK8nIji
pop3d[4711]: 2AK8nIji session ended for user: bob
    -> ended user=bob protocol=pop3 session=2AK8nIji
imap4d[4711]: 2AK8nIji read error on control stream
    -> ended protocol=imap session=2AK8nIji
imap4d[4711]: 2AK8nIji session terminating
    not: nobody had logged in
pop3d[4711]: x 2AK8nIji session ended for user: bob
    not: text in front
pop3d[4711]: 2AK8nIji session ended for user: <bob> x
    not: no name
""")

END_BY_PID_LINES = samples("""
gnu-imap4d[4711]: Session terminating for user: bob
    -> ended user=bob protocol=imap session=4711
pop3d[4711]: I/O error
    -> ended protocol=pop3 session=4711
pop3d[4711]: x session ended for user: bob
    not: text in front
pop3d[4711]: session ended for user: <bob> x
    not: no name
""")

REFUSED_LINES = samples("""
pop3d[4711]: 2AK8nIji user `bob': authentication failed
    -> refused
imap4d[4711]: login failed: bob
    -> refused
imap4d[4711]: 2AK8nIji login failed: x 2AK8nIji user `bob' logged in (source: 203.0.113.66)
    not: refused
pop3d[4711]: 2AK8pnSD user `x#0122AK8pnSD 203.0.113.66' nonexistent
    not: a line break in the name
""")

NOISE_LINES = samples("""
pop3d[4711]: 2AK8nIji POP3 login: user `bob', source system
    -> ignored
imap4d[4711]: session terminating
    -> ignored
pop3d[4711]: POP3 login: user `bob', source 203.0.113.66
    not: an authentication backend
""")

NOBODY_LINES = samples("""
pop3d[4711]: 2AK8nIji session ended for no user
    -> ended protocol=pop3 session=2AK8nIji
pop3d[4711]: 2AK8nIji session ended for no user 203.0.113.66
    not: text after the end
pop3d[4711]: x 2AK8nIji session ended for no user
    not: text in front
""")

NOBODY_BY_PID_LINES = samples("""
gnu-pop3d[4711]: Session ended for no user
    -> ended protocol=pop3 session=4711
pop3d[4711]: session timed out for no user
    -> ended protocol=pop3 session=4711
pop3d[4711]: session ended for no user: bob
    not: text after the end
pop3d[4711]: x session ended for no user
    not: text in front
""")

ADDRESS_ALONE_LINES = samples("""
pop3d[4700]: 192.0.2.7
    -> ignored
imap4d[4700]: 203.0.113.66
    not: no session id: nothing is tied to it
""")

CARRIAGE = Carriage(
    cut_bytes=1,
    off=True,
    cure="GNU mailutils writes a client's user name in messages of their own, and such a message "
    "can be a whole login line: put another server in its place, or, if nobody but your own users "
    "can reach it, name mailutils in servers",
)

SERVER = Server(
    name="mailutils",
    title="GNU mailutils pop3d, imap4d",
    versions="0.x - 3.x, gnu-pop3d 0.9",
    programs={
        "pop3d": "pop3",
        "gnu-pop3d": "pop3",
        "imap4d": "imap",
        "gnu-imap4d": "imap",
    },
    accounts=("root", "=user"),
    carriage=CARRIAGE,
    rules=(
        Rule("connected", Connected, CONNECTED, CONNECTED_LINES, session=BY_ID),
        Rule("connected-by-pid", Connected, CONNECTED_BY_PID, BY_PID_LINES, session=BY_PID),
        Rule("login", Accepted, SESSION_ID + LOGGED_IN, LOGIN_LINES, session=BY_ID),
        Rule("login-by-pid", Accepted, LOGGED_IN, LOGIN_BY_PID_LINES, session=BY_PID),
        Rule(
            "login-with-address",
            Accepted,
            WITH_MAILBOX + " from " + ADDRESS("address"),
            WITH_ADDRESS_LINES,
            session=BY_PID,
        ),
        Rule("end", Ended, SESSION_ID + (END | DROPPED), END_LINES, session=BY_ID),
        Rule("end-by-pid", Ended, END | DROPPED, END_BY_PID_LINES, session=BY_PID),
        # A connection that ends without a login.
        Rule("nobody", Ended, SESSION_ID + NOBODY, NOBODY_LINES, session=BY_ID),
        Rule("nobody-by-pid", Ended, NOBODY, NOBODY_BY_PID_LINES, session=BY_PID),
        Rule("refused", Refused, REFUSED, REFUSED_LINES),
        Rule("noise", Ignored, NOISE, NOISE_LINES),
        Rule("address-alone", Ignored, ADDRESS_ALONE, ADDRESS_ALONE_LINES),
    ),
)
