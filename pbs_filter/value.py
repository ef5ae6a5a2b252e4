"""The value of one address in the map: fixed width, readable, the end first.

    until      renewed    since      last       sess server       prot user
    1795170000 1795168200 1795160000 1795168200 0001 dovecot      imap bob@example.org    ...

Fixed width, because a GDBM file whose values change their length grows without end (measured:
252 MB against 0.4 MB). Standard library only, and little of it: `pbs-lookup` imports this.

A reader grants an address when `renewed <= clock + 1` and `clock < until`. The first half is the
belt against a clock that was set back: no entry may be older than the moment it was written.
"""

from __future__ import annotations

from typing import NamedTuple

USER_BYTES = 48
SERVER_BYTES = 12
WIDTH = 10 + 1 + 10 + 1 + 10 + 1 + 10 + 1 + 4 + 1 + SERVER_BYTES + 1 + 4 + 1 + USER_BYTES
"""Bytes of every value."""

MAX_EPOCH = 9_999_999_999
MAX_SESSIONS = 9999


class Entry(NamedTuple):
    """What the map says of one address. Times are whole seconds since the epoch."""

    until: int
    renewed: int
    since: int
    last: int
    sessions: int
    server: str
    protocol: str
    user: str


def _fit(text: str, width: int) -> bytes:
    """`text` in exactly `width` bytes of UTF-8: cut between characters, blanks behind."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else "?" for c in text)
    raw = text.encode("utf-8", "replace")
    if len(raw) > width:
        raw = raw[:width].decode("utf-8", "ignore").encode("utf-8")
    return raw.ljust(width)


def encode(entry: Entry) -> bytes:
    """The `WIDTH` bytes for `entry`; text that is too long is cut, counts are capped."""
    return b"%010d %010d %010d %010d %04d %b %b %b" % (
        min(max(entry.until, 0), MAX_EPOCH),
        min(max(entry.renewed, 0), MAX_EPOCH),
        min(max(entry.since, 0), MAX_EPOCH),
        min(max(entry.last, 0), MAX_EPOCH),
        min(entry.sessions, MAX_SESSIONS),
        _fit(entry.server, SERVER_BYTES),
        _fit(entry.protocol, 4),
        _fit(entry.user, USER_BYTES),
    )


def decode(value: bytes) -> Entry | None:
    """The entry, or None where `value` is not one (another format, damage)."""
    if len(value) != WIDTH:
        return None
    numbers = value[:48].split(b" ")
    if [len(n) for n in numbers] != [10, 10, 10, 10, 4] or not all(n.isdigit() for n in numbers):
        return None
    until, renewed, since, last, sessions = map(int, numbers)
    rest = value[49:]
    return Entry(
        until,
        renewed,
        since,
        last,
        sessions,
        rest[:SERVER_BYTES].decode("utf-8", "replace").rstrip(),
        rest[SERVER_BYTES + 1 : SERVER_BYTES + 5].decode("utf-8", "replace").rstrip(),
        rest[SERVER_BYTES + 6 :].decode("utf-8", "replace").rstrip(),
    )


def living(value: bytes, now: float) -> bool:
    """Whether `value` authorises at `now` (seconds since the epoch). Damage is no authorisation."""
    until, renewed = value[:10], value[11:21]
    return (
        len(value) == WIDTH
        and until.isdigit()
        and renewed.isdigit()
        and int(renewed) <= now + 1
        and now < int(until)
    )
