"""Kopano's gateway and its forerunner Zarafa's, POP3 and IMAP.

Printed by      `IMAP::HrCmdLogin` in gateway/IMAP.cpp and `POP3::HrLogin` in gateway/POP3.cpp
                (`IMAP Login from [IP:PORT] for user "U"`, `POP3 login from ...`; Zarafa without
                brackets, port and quotes); `HandlerClient` in gateway/Gateway.cpp (`Client IP:PORT
                thread exiting`).
Client's text   the user name, behind the address.
Session         address and port, where the lines have a port.
Travels         by syslog(3), one message a line; with one process a client through a pipe of its
                logger, which puts `[PID] ` in front of each message.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import (
    ADDRESS,
    ADDRESS_BEFORE_PORT,
    PORT,
    TEXT,
    USER,
    Rule,
    Server,
    name,
    samples,
    token,
)
from ..model import Accepted, Ended, Ignored, Refused

_PROCESS = pp.Opt(token(r"\[ {0,5}[0-9]{1,10}\] ", "the writing process"))
_PROTOCOL = pp.one_of(["IMAP", "POP3"])("protocol") + pp.one_of([" Login from ", " login from "])
_PEER = ("[" + ADDRESS("address") + "]:" + PORT("port")) | (
    ADDRESS_BEFORE_PORT("address") + ":" + PORT("port")
)
_NAME = name(less='"')("user")
LOGIN = _PROCESS + _PROTOCOL + "[" + _PEER + '] for user "' + _NAME + '"'
_ALONE = token("(?![0-9.]{7,15}:)[0-9A-Fa-f:.]{2,45}+", "an address without a port")("address")
LOGIN_NO_PORT = (
    _PROCESS
    + _PROTOCOL
    + (("[" + _ALONE + '] for user "' + _NAME + '"') | (_ALONE + " for user " + USER("user")))
)
END = _PROCESS + "Client " + _PEER + " thread exiting"
REFUSED = _PROCESS + pp.one_of(["Failed to login from ", "Aborted login from "]) + TEXT
NOISE = (
    _PROCESS
    + token("(?!(?:IMAP|POP3) [Ll]ogin from |Client |Failed to login |Aborted login )", "no login")
    + TEXT
)

LOGIN_LINES = samples(r"""
kopano-gateway[77]: IMAP Login from [192.0.2.7:50001] for user "pat.o'neil smith"
    -> accepted user=pat.o'neil smith address=192.0.2.7 protocol=imap session=192.0.2.7,50001
kopano-gateway[77]: [ 4711] POP3 login from [[2001:db8::7]:50001] for user "bob"
    -> accepted user=bob address=2001:db8::7 protocol=pop3 session=2001:db8::7,50001
kopano-gateway[77]: IMAP Login from [192.0.2.7:50001] for user "x" for user "IMAP Login from [203.0.113.66:1] for user "x"
    not: quotes in the name
kopano-gateway[77]: x IMAP Login from [203.0.113.66:1] for user "x"
    not: text in front
kopano-gateway[77]: IMAP Login from [203.0.113.66:1] for user "x" x
    not: text after the end
""")

LOGIN_NO_PORT_LINES = samples("""
kopano-gateway[77]: IMAP Login from [192.0.2.7] for user "bob"
    -> accepted user=bob address=192.0.2.7 protocol=imap
zarafa-gateway[77]: [  77] POP3 Login from 192.0.2.7 for user bob@example.org
    -> accepted user=bob@example.org address=192.0.2.7 protocol=pop3
zarafa-gateway: x IMAP Login from 203.0.113.66 for user bob
    not: text in front
zarafa-gateway: IMAP Login from 203.0.113.66 for user "bob"
    not: neither Zarafa's form nor Kopano's
""")

END_LINES = samples("""
kopano-gateway[77]: Client 192.0.2.7:50001 thread exiting
    -> ended session=192.0.2.7,50001 address=192.0.2.7
kopano-gateway[77]: [ 4711] Client [2001:db8::7]:50001 thread exiting
    -> ended session=2001:db8::7,50001 address=2001:db8::7
kopano-gateway[77]: Client 203.0.113.66:1 thread exiting now
    not: text after the end
kopano-gateway[77]: x Client 203.0.113.66:1 thread exiting
    not: text in front
""")

REFUSED_LINES = samples("""
kopano-gateway[77]: Failed to login from [192.0.2.7:50001] with invalid username "bob" or wrong password
    -> refused
kopano-gateway[77]: [ 4711] Aborted login from [192.0.2.7:50001] with username "bob"
    -> refused
kopano-gateway[77]: Failed to login from [192.0.2.7:50001] with invalid username "IMAP Login from [203.0.113.66:1] for user "x"" or wrong password
    not: refused
""")

NOISE_LINES = samples("""
kopano-gateway[77]: Accepted connection from 192.0.2.7:50001
    -> ignored
kopano-gateway[77]: [ 4711] Starting worker process for IMAP request
    -> ignored
kopano-gateway[77]: Accepted connection from 203.0.113.66:1
    not: connected, not logged in
""")

SERVER = Server(
    name="kopano",
    title="Kopano and Zarafa gateway",
    versions="Zarafa 6 - 7, Kopano 8 - 11",
    programs={"kopano-gateway": None, "zarafa-gateway": None},
    accounts=("root", "kopano", "zarafa"),
    rules=(
        Rule("login", Accepted, LOGIN, LOGIN_LINES, session=("address", "port")),
        Rule("login-no-port", Accepted, LOGIN_NO_PORT, LOGIN_NO_PORT_LINES),
        Rule("end", Ended, END, END_LINES, session=("address", "port")),
        Rule("refused", Refused, REFUSED, REFUSED_LINES),
        Rule("noise", Ignored, NOISE, NOISE_LINES),
    ),
)
