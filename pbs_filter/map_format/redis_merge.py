"""One address that several filters keep in Redis, as people are shown it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .entry import Entry, decode
from .redis_fields import FORGET


class Shared(NamedTuple):
    """What all filters together say of an address."""

    entry: Entry
    """The latest end, the latest login and its user, all open sessions."""
    filters: tuple[str, ...]
    """The names of those whose entries count, sorted."""


def merge(address: str, fields: Mapping[str, bytes], now: int) -> Shared | None:
    """What the `fields` of `address` (filter to value) mean at `now`, seconds since the epoch.

    The living ones count; all of them where none lives. None: nothing is left of it but what was
    forgotten or is damaged.
    """
    forgotten = last_forgotten(fields)
    entries = {
        name: entry
        for name, value in fields.items()
        if name != FORGET
        and (entry := decode(address, value)) is not None
        and entry.last > forgotten
    }
    living = {
        name: entry for name, entry in entries.items() if entry.until > now >= entry.renewed - 1
    }
    entries = living or entries
    if not entries:
        return None
    newest = max(entries.values(), key=lambda entry: (entry.last, entry.until))
    until = max(entries.values(), key=lambda entry: entry.until)
    merged = newest._replace(
        until=until.until,
        renewed=until.renewed,
        since=min(entry.since for entry in entries.values()),
        sessions=sum(entry.sessions for entry in entries.values()),
    )
    return Shared(merged, tuple(sorted(entries)))


def last_forgotten(fields: Mapping[str, bytes]) -> int:
    """Logins up to this second, since the epoch, count no more; -1: all count."""
    value = fields.get(FORGET, b"")
    return int(value) if value.isdigit() else -1


def last_login(address: str, fields: Mapping[str, bytes]) -> int:
    """The newest login in the `fields` of `address`, seconds since the epoch; 0: none."""
    entries = (decode(address, value) for value in fields.values())
    return max((entry.last for entry in entries if entry is not None), default=0)
