"""Courier's pop3d and imapd, from courier-imap 1.x to 5.x and Courier 1.x.

Printed by      imap/pop3dserver and imap/imapd (LOGIN), acctout() in pop3dserver and bye_msg() in
                imaptoken (LOGOUT, TIMEOUT, DISCONNECTED), imap/pop3login and imap/imaplogin
                (LOGIN of a proxied session, LOGIN FAILED, LOGOUT without a user). Plesk's wrapper
                writes `IMAP connect from @ [IP]` in front of it, without a line's end.
Client's text   the user name. courierlogger and courier_safe_printf replace control characters by
                dots; quotes, commas and brackets pass. In a login line the name is an account's.
                The arguments of an account's ID command, raw, where IMAP_ID_FIELDS is set.
Session         user, address and port, where the line has a port: login and logout of one
                connection have the same. Without a port (before 2005; 0.68's imapd leaves it out
                of the logout only) user and address, and the oldest session of the user ends.
Travels         by stderr into courierlogger (liblog/logger.c), which is why there is no pid. It
                reads 511 bytes, takes `INFO: ` and all blanks off the front, and calls syslog(3).
                What is left of a longer line becomes the next message, if courierlogger was started
                with options, as every distribution does; nothing stands in front of it. Before it
                sends such a piece it waits for the next line, and drops that. LOGIN FAILED with a
                long name is 1,023 bytes, hence up to three messages. While there is more in the
                pipe than one read takes, a line's end may also lose its beginning. Pieces are told
                by what stands before them (`authorisation.pieces`), which needs a feed that shows
                every blank: a socket, but not journald. `... 2>&1 | courierlogger imapd` (the
                one-argument form) drops the rest of a long line instead.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import ADDRESS, TEXT, Rule, Server, line, samples, token
from ..grammar.carriage import Carriage
from ..model import Accepted, Ended, Ignored, Refused

# Plesk's wrapper writes the first words, without an end of line.
PLESK = pp.Opt("IMAP connect from @ [" + ADDRESS + "]")
LEVEL = pp.Opt(pp.one_of(["INFO: ", "DEBUG: ", "ERR: "]))
WHO = line("user={user}, ip=[{address}]")
AT_PORT = line(", port=[{port}]", port=token("(?>[0-9]{1,5}+|N/A)", "a port")("port"))

# SMAP1 is spoken by imapd; there the program's name says what the protocol is.
PROTOCOL = ", protocol=" + (pp.one_of(["IMAP", "POP3"])("protocol") | pp.Literal("SMAP1"))
TLS = pp.one_of([", stls=1", ", starttls=1"])("tls")

LOGIN = PLESK + LEVEL + "LOGIN, " + WHO + AT_PORT + pp.Opt(PROTOCOL) + pp.Opt(TLS)
NO_PORT = PLESK + LEVEL + "LOGIN, " + WHO + pp.Opt(", protocol=IMAP")

ENDS = pp.one_of(["LOGOUT", "TIMEOUT", "DISCONNECTED", "I/O error disconnect"])
# A long line may be cut; where that is in its last field, it is a session's end all the same.
CUT = token(", s[a-z]{0,7}+(?!.)", "the last field, cut")
TRAFFIC = (
    pp.Opt(line(", rcvd={number}, sent={number}"))
    + pp.Opt(line(", time={number}"))
    + pp.Opt(TLS | CUT)
)
POP3_COUNTS = line(", top={number}, retr={number}{traffic}", traffic=TRAFFIC)
IMAP_COUNTS = line(", headers={number}, body={number}{traffic}", traffic=TRAFFIC)
LOGOUT = LEVEL + ENDS + ", " + WHO + pp.Opt(AT_PORT)
LOGOUT_POP3 = LOGOUT + POP3_COUNTS
LOGOUT_IMAP = LOGOUT + IMAP_COUNTS

FAILED = PLESK + LEVEL + "LOGIN FAILED, " + ((WHO + pp.Opt(AT_PORT) + pp.StringEnd()) | TEXT)

PEER = "ip=[" + ADDRESS + "]" + pp.Opt(AT_PORT)
NOBODY = LEVEL + pp.one_of(["LOGOUT, ", "TIMEOUT, ", "DISCONNECTED, ", "Disconnected, "]) + PEER
CONNECTION = LEVEL + "Connection, " + PEER
DEBUG = "LOGIN: DEBUG: " + TEXT


TIE = ("user", "address", "port")

LOGIN_LINES = samples("""
courier-imaps: LOGIN, user=EXAMPLE\\pat o'neil, {a=b} (`x`: "y"), ip=[192.0.2.7], port=[40612], protocol=IMAP
    -> accepted user=EXAMPLE\\pat o'neil, {a=b} (`x`: "y") address=192.0.2.7 protocol=imap session=EXAMPLE\\pat o'neil, {a=b} (`x`: "y"),192.0.2.7,40612 tls=yes
courier-pop3d: IMAP connect from @ [192.0.2.9]INFO: LOGIN, user=bob, ip=[192.0.2.7], port=[40612]
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=bob,192.0.2.7,40612 tls=no
courier-imapd: LOGIN, user=jürgen, ip=[192.0.2.7], port=[40612], protocol=IMAP
    -> accepted user=jürgen address=192.0.2.7 protocol=imap session=jürgen,192.0.2.7,40612 tls=no
pop3d: LOGIN, user=bob, ip=[::ffff:192.0.2.7], port=[40612]
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=bob,192.0.2.7,40612 tls=no
imapd: LOGIN, user=bob, ip=[::ffff:192.0.2.7], port=[40612], protocol=IMAP
    -> accepted user=bob address=192.0.2.7 protocol=imap session=bob,192.0.2.7,40612 tls=no
imapd-ssl: LOGIN, user=bob, ip=[192.0.2.7], port=[40612], protocol=IMAP, starttls=1
    -> accepted user=bob address=192.0.2.7 protocol=imap session=bob,192.0.2.7,40612 tls=yes
pop3d-ssl[77]: LOGIN, user=bob@example.org, ip=[2001:db8::7], port=[40612], stls=1
    -> accepted user=bob@example.org address=2001:db8::7 protocol=pop3 session=bob@example.org,2001:db8::7,40612 tls=yes
# pop3login passed the session on to another machine.
couriertcpd: INFO: LOGIN, user=bob, ip=[192.0.2.7], port=[40612], protocol=POP3
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=bob,192.0.2.7,40612 tls=no
imaplogin: LOGIN, user=bob, ip=[192.0.2.7], port=[N/A], protocol=SMAP1
    -> accepted user=bob address=192.0.2.7 protocol=imap session=bob,192.0.2.7,N/A tls=no
pop3d: LOGIN, user=x, ip=[203.0.113.66], port=[1], ip=[192.0.2.7], port=[40612]
    not: an account whose name brings an address along
imapd: LOGIN, user=<bob>@<example.org>, ip=[192.0.2.7], port=[1]
    -> accepted user=<bob>@<example.org> address=192.0.2.7 protocol=imap session=<bob>@<example.org>,192.0.2.7,1 tls=no
pop3d: LOGIN, user=bob, ip=[203.0.113.66], port=[40612]\x20
    not: a blank after the end
pop3d: LOGIN, user=bob, ip=[203.0.113.999], port=[1]
    not: not an address
""")

NO_PORT_LINES = samples(r"""
pop3d: IMAP connect from @ [::ffff:192.0.2.7]INFO: LOGIN, user=bob@example.org, ip=[::ffff:192.0.2.7]
    -> accepted user=bob@example.org address=192.0.2.7 protocol=pop3 session=bob@example.org,192.0.2.7
courierpop3login: LOGIN, user=bob, ip=[::ffff:192.0.2.7]
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=bob,192.0.2.7
courierimaplogin: INFO: LOGIN, user=bob, ip=[192.0.2.7], protocol=IMAP
    -> accepted user=bob address=192.0.2.7 protocol=imap session=bob,192.0.2.7
imapd: LOGIN, user=x, ip=[203.0.113.66], ip=[192.0.2.7]
    not: an account whose name brings an address along
imapd: LOGIN, user=bob, ip=[203.0.113.66], protocol=SMTP
    not: not a mailbox
""")

LOGOUT_POP3_LINES = samples("""
pop3d: LOGOUT, user=bob, ip=[::ffff:192.0.2.7], port=[40612], top=0, retr=81, rcvd=6, sent=30, time=1, stls=1
    -> ended user=bob address=192.0.2.7 protocol=pop3 session=bob,192.0.2.7,40612
pop3d: INFO: TIMEOUT, user=bob, ip=[::ffff:192.0.2.7], top=0, retr=0, time=0
    -> ended user=bob address=192.0.2.7 protocol=pop3
courierpop3login: DISCONNECTED, user=bob, ip=[192.0.2.7], top=0, retr=0
    -> ended user=bob address=192.0.2.7 protocol=pop3
pop3d: LOGOUT, user=bob, ip=[192.0.2.7], top=0, retr=0, time=0, st
    -> ended user=bob address=192.0.2.7 protocol=pop3
pop3d: LOGOUT, user=bob, ip=[203.0.113.66], port=[1], top=0, retr=0 and more
    not: text after the end
""")

LOGOUT_IMAP_LINES = samples(r"""
courier-imaps: LOGOUT, user=pat o'neil, ip=[192.0.2.7], port=[40612], headers=0, body=0
    -> ended user=pat o'neil address=192.0.2.7 protocol=imap session=pat o'neil,192.0.2.7,40612
imapd: LOGOUT, user=bob, ip=[::ffff:192.0.2.7], port=[40612], headers=0, body=519, rcvd=145, sent=1170, time=0, starttls=1
    -> ended user=bob address=192.0.2.7 protocol=imap session=bob,192.0.2.7,40612
imapd: DISCONNECTED, user=bob, ip=[::ffff:192.0.2.7], headers=0, body=0, rcvd=11, sent=70, time=75
    -> ended user=bob address=192.0.2.7 protocol=imap
imapd: INFO: LOGOUT, user=bob, ip=[192.0.2.7], headers=0, body=0
    -> ended user=bob address=192.0.2.7 protocol=imap
imapd: LOGOUT, user=bob, ip=[192.0.2.7], headers=0, body=0, time=0, sta
    -> ended user=bob address=192.0.2.7 protocol=imap
imapd: LOGOUT, user=bob, ip=[203.0.113.66], headers=0, body=x
    not: the count is no number
""")

FAILED_LINES = samples(r"""
pop3d: IMAP connect from @ [192.0.2.7]ERR: LOGIN FAILED, ip=[192.0.2.7]
    -> refused
pop3d: LOGIN FAILED, user=bob, ip=[::ffff:192.0.2.7], port=[40612]
    -> refused user=bob address=192.0.2.7
imapd: INFO: LOGIN FAILED, user=bob, ip=[192.0.2.7]
    -> refused user=bob address=192.0.2.7
imapd: LOGIN FAILED, method=PLAIN, ip=[::ffff:192.0.2.7]
    -> refused
imapd: LOGIN FAILED, user=x.imapd: LOGIN, user=bob, ip=[203.0.113.66], ip=[::ffff:192.0.2.7]
    not: a name that quotes a login line; its line break has become a dot
pop3d: LOGIN FAILED, user=LOGIN, user=bob, ip=[203.0.113.66], port=[1]
    not: a name that quotes a login line
""")

NOBODY_LINES = samples("""
pop3d: LOGOUT, ip=[::ffff:192.0.2.7], port=[40612]
    -> ignored
imaplogin: DISCONNECTED, ip=[::ffff:192.0.2.7], time=5
    -> ignored
imapd: DEBUG: Disconnected, ip=[192.0.2.7]
    -> ignored
pop3d: LOGOUT, ip=[203.0.113.66
    not: the bracket does not close
""")

CONNECTION_LINES = samples("""
pop3d: Connection, ip=[::ffff:192.0.2.7], port=[40612]
    -> ignored
pop3d: DEBUG: Connection, ip=[::ffff:192.0.2.7]
    -> ignored
pop3d: Connection, ip=[203.0.113.66]: LOGIN, user=bob
    not: text after the end
""")

DEBUG_LINES = samples("""
courierpop3login: LOGIN: DEBUG: ip=[::ffff:192.0.2.7], command=USER
    -> ignored
pop3d: LOGIN: DEBUG: ip=[192.0.2.7], password=LOGIN, user=bob, ip=[203.0.113.66]
    not: a password that quotes a login line
""")

CARRIAGE = Carriage(
    cut_bytes=511,
    longest_bytes=1023,
    mixed=r"\A(?>LOGIN: |IMAP connect from @ \[[^\]]{2,45}\]|)"
    r".+?(?:INFO|DEBUG|ERR|WARN|ALERT|CRIT): ",
    strangers=r"LOGIN FAILED, |\A(?:INFO: )?ID, |\A, |DEBUG: (?!Connection|Disconnected)",
    ends=r"ip=\[[0-9A-Fa-f:.]{2,45}\](?:, port=\[[0-9]{1,5}\])?",
    cure="courierlogger cuts long user names into messages that can look like logins, and this "
    "feed (journald, UDP) does not show which: let rsyslog read the socket (imuxsock), or start "
    "courierlogger in its one-argument form (`... 2>&1 | courierlogger imapd`) and name courier in "
    "servers",
)

SERVER = Server(
    name="courier",
    title="Courier",
    versions="courier-imap 1.0 - 5.x, Courier 0.3 - 1.x",
    programs={
        "pop3d": "pop3",
        "pop3d-ssl": "pop3",
        "pop3login": "pop3",
        "courierpop3d": "pop3",
        "courierpop3login": "pop3",
        "imapd": "imap",
        "imapd-ssl": "imap",
        "imaplogin": "imap",
        "courierimapd": "imap",
        "courierimaplogin": "imap",
        "couriertcpd": None,
        # ALT Linux and Plesk.
        "courier-pop3d": "pop3",
        "courier-pop3s": "pop3",
        "courier-imapd": "imap",
        "courier-imaps": "imap",
    },
    accounts=("root", "daemon", "courier"),
    carriage=CARRIAGE,
    rules=(
        Rule("login", Accepted, LOGIN, LOGIN_LINES, session=TIE),
        Rule("login-no-port", Accepted, NO_PORT, NO_PORT_LINES, session=("user", "address")),
        Rule("logout-pop3", Ended, LOGOUT_POP3, LOGOUT_POP3_LINES, session=TIE, protocol="pop3"),
        Rule("logout-imap", Ended, LOGOUT_IMAP, LOGOUT_IMAP_LINES, session=TIE, protocol="imap"),
        Rule("failed", Refused, FAILED, FAILED_LINES),
        Rule("nobody", Ignored, NOBODY + pp.Opt(", " + TEXT), NOBODY_LINES),
        Rule("connection", Ignored, CONNECTION, CONNECTION_LINES),
        Rule("debug", Ignored, DEBUG, DEBUG_LINES),
    ),
)
