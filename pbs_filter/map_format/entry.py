"""The value of one address in the map: readable, the end first, of one length.

    until      renewed    since      last       open server       prot sum      user
    1795170000 1795168200 1795160000 1795168200 0001 dovecot      imap 1c9f00d3 bob@example.org ...

Address and value together are always `TOTAL_BYTES` long (the user's field makes up for the
address), because a GDBM file whose records change their length grows without end (measured: 3,500
bytes an address against 225). The sum covers the address too: a flipped bit authorises nobody.

A reader grants an address when `renewed <= clock + 1` and `clock < until`. The first half is the
belt against a clock that was set back: no entry may be older than the moment it was written.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from .check import TOTAL_BYTES, USER_AT, checksum, is_intact, user_keys

SERVER_BYTES = 12
PROTOCOL_BYTES = 4
MAX_EPOCH = 9_999_999_999
MAX_SESSIONS = 9999
MAX_USERS = 16
"""Users of one address that are kept, those with the newest logins."""
_COUNTS = [b" ", *(b"%d" % number for number in range(1, 10)), *(b"%c" % c for c in b"abcdefg")]
_SERVER = slice(49, 49 + SERVER_BYTES)
_PROTOCOL = slice(62, 62 + PROTOCOL_BYTES)


class Entry(NamedTuple):
    """An entry is what the map says of one address. Times are whole seconds since the epoch."""

    until: int
    renewed: int
    since: int
    last: int
    sessions: int
    server: str
    protocol: str
    user: str
    users: int = 0
    """How many users have a key of their own; 0: one user, and he has none."""

    def shifted(self, seconds: int) -> Entry:
        """Return the same by a clock that was set by `seconds`."""
        return self._replace(
            until=self.until + seconds,
            renewed=self.renewed + seconds,
            since=self.since + seconds,
            last=self.last + seconds,
        )


def _fit(text: str, width: int) -> bytes:
    """Return `text` in exactly `width` bytes of UTF-8: blanks behind, or cut between characters,
    with a question mark for each byte that a whole character would not fit into: what is cut never
    looks like a shorter text."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else "?" for c in text)
    raw = text.encode("utf-8", "replace")
    if len(raw) > width:
        raw = raw[:width].decode("utf-8", "ignore").encode("utf-8").ljust(width, b"?")
    return raw.ljust(width)


_short = lru_cache(256)(_fit)


def encode(address: str, entry: Entry) -> bytes:
    """Return the value of `entry` for `address`; text that is too long is cut, numbers are
    capped."""
    times = entry[:4]
    if min(times) < 0 or max(times) > MAX_EPOCH:
        times = tuple(min(max(at, 0), MAX_EPOCH) for at in times)  # type: ignore[assignment]
    until, renewed, since, last = times
    key = address.encode("ascii")
    before = b"%010d %010d %010d %010d %04d %b %b " % (
        until,
        renewed,
        since,
        last,
        min(entry.sessions, MAX_SESSIONS),
        _short(entry.server, SERVER_BYTES),
        _short(entry.protocol, PROTOCOL_BYTES),
    )
    behind = _COUNTS[entry.users] + _fit(entry.user, TOTAL_BYTES - USER_AT - len(key))
    return b"%b%b%b" % (before, checksum(key, before, behind), behind)


def decode(address: str, value: bytes) -> Entry | None:
    """Return the entry of `address`, or None where `value` is not one (another format, damage)."""
    if not is_intact(address.encode("ascii", "replace"), value):
        return None
    until, renewed, since, last, sessions = map(int, value[:48].split(b" "))
    return Entry(
        until,
        renewed,
        since,
        last,
        sessions,
        value[_SERVER].decode("utf-8", "replace").rstrip(),
        value[_PROTOCOL].decode("utf-8", "replace").rstrip(),
        value[USER_AT:].decode("utf-8", "replace").rstrip(),
        len(user_keys(b"", value)),
    )
