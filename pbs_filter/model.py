"""The words of pbs-filter: record, observation, reason.

One word for one thing (ARCHITECTURE, "The words"); every other module speaks in these.
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
    """MSG without leading blanks; invalid UTF-8 as lone surrogates (PEP 383)."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A client connected; whoever it is has not logged in."""

    address: str
    """Canonical address text."""
    session: str
    """What ties the session's lines together, without host and server."""


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A login failed. Nothing follows from it but a count."""

    user: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A session ended. By `session`, or, where the line has none, the oldest of `user`'s."""

    session: str | None = None
    user: str | None = None
    protocol: str | None = None
    address: str | None = None
    """Canonical address text where the line has one: for people; no decision rests on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """A line that a rule knows, and that means nothing to us."""


Observation = Connected | Accepted | Refused | Ended | Ignored


class Reason(enum.Enum):
    """Why a line led to no authorisation. The value is what people and counters see."""

    __hash__ = object.__hash__  # each line is counted under one; Enum's own is in Python, and slow

    # records
    EMPTY = "empty line"
    NOT_A_RECORD = "no syslog header we know"
    NO_TIME = "no time stamp that can be read (--reprocess)"
    TOO_LONG = "line too long"
    BAD_JSON = "JSON we cannot read"
    # who speaks
    OTHER_PROGRAM = "a program no server file claims"
    FORGED = "the sender's uid may not speak for this server"
    UNTRUSTED_HOST = "came over the network from a host not in trusted_hosts"
    NOT_VOUCHED = "the feed cannot say who sent it, and require_vouched is on"
    # grammar
    NO_RULE = "no rule reads this line"
    TWO_RULES = "two rules read this line"
    NOT_AN_ADDRESS = "the address is not one"
    TOO_SLOW = "a rule took too long"
    # what the line says
    CONNECTED = "connected, not logged in"
    REFUSED = "the server refused the login"
    ENDED = "a session ended"
    IGNORED = "known, and means nothing"
    # correlation
    UNKNOWN_SESSION = "no connection line was seen for this session"
    NOBODY_LOGGED_IN = "a session ended that no login was seen for"
    TOO_LATE = "older than its grace on arrival"
    # policy
    LOCAL_NETWORK = "may relay anyway (local_networks)"
    OWN_ADDRESS = "the server's own address"
    SPECIAL_ADDRESS = "not a client's address (unspecified, multicast, link-local, reserved)"
    PROXY = "a proxy's address (proxy_networks)"
    DENIED_NETWORK = "in deny_networks"
    DENIED_USER = "in deny_users"
    TOO_MANY = "max_addresses reached"
