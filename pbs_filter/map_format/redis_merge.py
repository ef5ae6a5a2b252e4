"""Merges the fields that several filters keep of one address in Redis, for people. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from .check import user_keys
from .entry import Entry, decode
from .redis_fields import current, is_forgetting, is_revoked, opened, revocation


class Shared(NamedTuple):
    """The entries of all filters for one address, merged."""

    entry: Entry
    """The latest end, the latest login and its user, all open sessions."""
    filters: tuple[str, ...]
    """The names of the filters whose entries count, sorted."""


def merge(address: str, fields: Mapping[str, bytes], now: int) -> Shared | None:
    """Return the meaning of the `fields` of `address` (filter to value) at `now`, epoch seconds.

    The current entries count; all of them where none is current. None: nothing is left of it but
    entries that were forgotten.

    Raises:
        StoreDamaged, StoreBusy: lookups cannot say, see `redis_fields.current`.
    """
    key = address.encode("ascii", "replace")
    counted = current(key, fields.values(), now)
    revoked = revocation(fields.values(), now)
    entries = {}
    for name, field in fields.items():
        value, heard = opened(key, field)
        entry = decode(address, value)
        if entry is None or is_revoked(value, heard, revoked):
            continue
        if value in counted or not counted:
            entries[name] = entry
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


def users_of(
    address: str,
    fields: Mapping[str, bytes],
    now: int,
    read: Callable[[str], Mapping[str, Mapping[str, bytes]]],
) -> tuple[Entry, ...]:
    """Return the entry of each user of `address` at `now`; none where there is one user.

    Args:
        address: canonical text.
        fields: of the address, filter to value.
        now: epoch seconds.
        read: returns the fields of a key, by the key.

    Raises:
        StoreDamaged, StoreBusy: lookups cannot say, see `redis_fields.current`.
    """
    key = address.encode("ascii", "replace")
    counted = current(key, fields.values(), now)
    found = [(key, value) for value in counted if not user_keys(key, value)]
    forgotten = [value for value in fields.values() if is_forgetting(value)]
    for user_key in sorted({each for value in counted for each in user_keys(key, value)}):
        values = [*read(user_key.decode()).get(user_key.decode(), {}).values(), *forgotten]
        found += [(user_key, value) for value in current(user_key, values, now)]
    latest: dict[str, Entry] = {}
    decoded = (decode(user_key.decode(), value) for user_key, value in found)
    for entry in filter(None, decoded):
        known = latest.get(entry.user, entry)
        latest[entry.user] = max(known, entry, key=lambda each: each.until)
    return tuple(latest.values()) if len(latest) > 1 else ()
