"""The model defines the words of pbs-filter as types: record, observation, reason.

Glossary; code, messages, manual and tests use each word for one thing only:

line            Bytes as the syslog daemon handed them over, without the newline.
record          A line split into time, host, program, pid, message and, where the feed vouches for
                it, the sender: a uid, or a network peer.
message         The text behind the syslog header. A message is not always a whole line of the
                server: loggers cut long lines into pieces.
server          A POP or IMAP program whose lines can be read (`dovecot`, `popa3d`): one module in
                `servers`.
rule            One wording of one event in a server's log, from the first character to the last.
observation     The meaning of one record: `Connected`, `Accepted`, `Refused`, `Ended`, `Ignored`.
session         One connection of a client to a server, known by (host, server, key). The key is the
                pid, or a text that the server's lines offer (Dovecot's `session=<>`).
pending session A session with a `Connected` and no login yet.
authorisation   Permission for an address to relay until a time, with its user, server and protocol.
grace           The seconds for which a login, or the end of the last session, authorises.
held            An address is held while it has an open session: its end is a lease of one grace,
                renewed by the running filter.
ledger          The state in memory: sessions and authorisations.
journal         The append-only file from which the ledger is rebuilt: the truth.
map             The GDBM file, or Redis, which lookups read: an index of the ledger.
lookup          One question of an MTA, and the program pbs-lookup that answers it.
reason          The cause why a record led to no authorisation: an enum, counted and shown.
vouched         A field that the feed itself wrote and no sender's text can imitate.

Units stand in the names: `_epoch` is whole seconds since 1970-01-01 UTC, `_seconds` a duration.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple


class Record(NamedTuple):
    """One line, split into what the syslog header says and the message.

    A named tuple, not a dataclass: it is made once for every line of a known program, and a frozen
    dataclass costs three times as much to make.
    """

    program: str
    """APP-NAME or TAG without its pid, as written (`dovecot`, `cyrus/imap`, `perdition.imap4s`)."""
    message: str
    """MSG without its leading blank; invalid UTF-8 as lone surrogates (PEP 383)."""
    host: str = ""
    """HOSTNAME, empty where the form has none."""
    pid: str = ""
    """PROCID, empty where the form has none."""
    time_epoch: float | None = None
    """When the daemon received it (JSON feed: the older of its clocks); None: use the clock.
    Stamps inside text lines are read only for --reprocess (`stamps.Stamps`)."""
    uid: int | None = None
    """The sender's uid, only where the kernel vouched for it (JSON feed)."""
    peer: str = ""
    """The network peer the daemon got it from, canonical address text; empty: local or unknown."""
    vouched: bool = False
    """The transport's fields cannot be imitated by text (JSON feed)."""
    exact: bool | None = None
    """Whether the message is as its sender wrote it, and in its place: with every blank at its end.
    None: the feed does not tell."""


# Nobody changes an observation; but a frozen one takes 2.3 times as long to make.
@dataclass(slots=True, kw_only=True)
class Connected:
    """A client connected; whoever it is has not logged in."""

    address: str
    """Canonical address text."""
    session: str
    """What ties the session's lines together, without host and server."""


@dataclass(slots=True, kw_only=True)
class Accepted:
    """A login succeeded."""

    user: str
    address: str | None = None
    """Canonical address text; None: the session's `Connected` has it."""
    protocol: str | None = None
    """`pop3`, `imap`, or None where the line does not say."""
    session: str | None = None
    """What a later `Ended` (or an earlier `Connected`) will carry; None: the line stands alone."""
    local: str | None = None
    """The server's own address as the line gives it: never authorised."""


@dataclass(slots=True, kw_only=True)
class Refused:
    """A login failed. It is counted, and authorises nobody."""

    user: str | None = None
    address: str | None = None
    session: str | None = None
    """The session that is over with it: of whom the server had said already that he is in, or whose
    connection ends with its first refusal."""


@dataclass(slots=True, kw_only=True)
class Ended:
    """A session ended. By `session`, or, where the line has none, the oldest of `user`'s."""

    session: str | None = None
    user: str | None = None
    protocol: str | None = None
    address: str | None = None
    """Canonical address text where the line has one: for people; no decision rests on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """A line that a rule knows, and that tells of no login and no end."""


Observation = Connected | Accepted | Refused | Ended | Ignored


class Reason(enum.Enum):
    """A reason why a line led to no authorisation. People and counters see the value."""

    __hash__ = object.__hash__  # each line is counted under one; Enum's own is in Python, and slow

    # records
    EMPTY = "empty line"
    NOT_A_RECORD = "no syslog header we know"
    NO_TIME = "no time stamp that can be read (--reprocess)"
    TOO_LONG = "line too long"
    BAD_JSON = "JSON we cannot read"
    # who speaks
    OTHER_PROGRAM = "a program no server file claims"
    FORGED = "written by another account than the server's"
    UNTRUSTED_HOST = "came over the network from a host not in trusted_hosts"
    NOT_VOUCHED = "the feed cannot say who sent it, and require_vouched is on"
    # how the line came
    PIECE = "may be a piece of a longer line, which the server's logger cut"
    CUT_UNSEEN = "pieces of this server's lines cannot be told from lines; not named in servers"
    # grammar
    NO_RULE = "no rule reads this line"
    TWO_RULES = "two rules read this line"
    NOT_AN_ADDRESS = "the address is not one"
    TOO_SLOW = "a rule took too long"
    FAILED = "pbs-filter failed on this line (a fault of ours, see the log)"
    # what the line says
    CONNECTED = "connected, not logged in"
    REFUSED = "the server refused the login"
    ENDED = "a session ended"
    IGNORED = "known, and tells of no login or logout"
    # correlation
    UNKNOWN_SESSION = "no connection line was seen for this session"
    NOBODY_LOGGED_IN = "a session ended that no login was seen for"
    TOLD_TWICE = "a login that another line has told already"
    TOO_LATE = "older than its grace on arrival"
    # policy
    LOCAL_NETWORK = "may relay anyway (local_networks)"
    OWN_ADDRESS = "the server's own address"
    SPECIAL_ADDRESS = "not a client's address (unspecified, multicast, link-local, reserved)"
    PROXY = "a proxy's address (proxy_networks)"
    DENIED_NETWORK = "in deny_networks"
    DENIED_USER = "in deny_users"
    NOT_AN_ALLOWED_NETWORK = "in none of allow_networks"
    NOT_AN_ALLOWED_USER = "not in allow_users"
    WITHOUT_TLS = "no TLS, as far as its line says (require_tls)"
    NEW_COUNTRY = "from a country that the user has not come from (geoip_database)"
    TOO_MANY = "max_addresses reached"
    USER_HAS_TOO_MANY = "the user has max_addresses_per_user already"
