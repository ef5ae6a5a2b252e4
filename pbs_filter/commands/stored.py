"""Reads the map for a person, by the rules of the lookups (edge)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from ..config.options import Config
from ..errors import PbsFilterError, StoreBusy, StoreDamaged
from ..lookup.answer import NOT_NOW, Lookup
from ..map_format.entry import Entry, decode
from ..map_format.gdbm_reader import GdbmReader
from ..map_format.map_clock import MapClock
from ..map_format.redis_url import is_redis
from ..text import counted

if TYPE_CHECKING:
    from ..lookup.answer import Reader


class Row(NamedTuple):
    """An address and its entry in the map."""

    address: str
    entry: Entry
    filters: tuple[str, ...] | None = None
    """The names of the filters whose entries count, where several share the map."""
    users: tuple[Entry, ...] = ()
    """The entry of each user, where the address has several."""

    def by_user(self) -> list[Entry]:
        """Return the entry of each user, the newest login first."""
        return sorted(self.users or (self.entry,), key=lambda entry: -entry.last)


def answer(config: Config, address: str) -> str:
    """Return what a lookup answers for `address`: YES or NO.

    Raises:
        StoreBusy: it answers "not now"; with the cause, and what the person can do.
    """
    lookup = Lookup(_reader(config), ipv6_prefix=config.ipv6_prefix, now=_clock(config))
    verdict = lookup.ask(address.encode())
    if verdict == NOT_NOW:
        raise StoreBusy(f"cannot say whether {address} may relay: {lookup.trouble}")
    return verdict


def now(config: Config) -> int:
    """Return the time by which lookups judge the entries of the map, epoch seconds."""
    return int(_clock(config)())


def rows(config: Config, at: int, address: str = "") -> Iterator[Row]:
    """Yield the entry of `address`, or of every address, as it counts `at` epoch seconds.

    Raises:
        StoreBusy, StoreDamaged: the map cannot be read; or, after the last row, lookups answer "not
            now" for addresses that were left out.
    """
    if is_redis(config.map):
        yield from _shared_rows(config, at, address)
        return
    reader = _gdbm_reader(config)
    damaged = 0
    for items in [reader.entries(address)] if address else reader.items():
        found = [decode(key.decode("ascii", "replace"), value) for key, value in items]
        entries = [entry for entry in found if entry is not None]
        if len(entries) < len(items):
            damaged += 1
        elif entries:
            yield Row(items[0][0].decode("ascii"), entries[0], users=tuple(entries[1:]))
    if damaged:
        raise StoreDamaged(
            f"the map {config.map!r}: {counted(damaged, 'damaged entry')}; the filter makes the "
            "map again when it starts"
        )


def _shared_rows(config: Config, at: int, address: str) -> Iterator[Row]:
    from ..map_format.redis_merge import merge, users_of
    from ..service.storage import redis_map_of

    shared_map = redis_map_of(config)
    errors: list[PbsFilterError] = []
    try:
        for key, fields in shared_map.everybodys([address] if address else ()):
            if "#" in key:
                continue
            try:
                shared = merge(key, fields, at)
                users = users_of(key, fields, at, lambda name: dict(shared_map.everybodys([name])))
            except (StoreBusy, StoreDamaged) as error:
                errors.append(error)
                continue
            if shared is not None:
                yield Row(key, shared.entry, shared.filters, users)
    finally:
        shared_map.close()
    if errors:
        raise StoreDamaged(f"the map {config.map!r}: {_first_of(errors)}")


def _first_of(errors: list[PbsFilterError]) -> str:
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    return f"{errors[0]}{more}"


def _clock(config: Config) -> Callable[[], float]:
    # The filters behind a map in Redis have clocks of their own.
    return time.time if is_redis(config.map) else MapClock(config.map).now


def _reader(config: Config) -> Reader:
    if not is_redis(config.map):
        return _gdbm_reader(config)
    from ..lookup.redis_reader import RedisReader
    from ..store.redis_nodes import KnownNodes

    known = KnownNodes(f"{config.files}.nodes", config.map, config.group, lambda _sentence: None)
    return RedisReader([config.map], seeds=known.nodes)


def _gdbm_reader(config: Config) -> GdbmReader:
    """Return the reader of a map file.

    Raises:
        ConfigError: this Python has no GDBM.
        StoreBusy: there is no file, or it may not be read; with what that person can do.
    """
    reader = GdbmReader(config.map, locking=config.flock)
    try:
        os.close(os.open(config.map, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    except FileNotFoundError:
        raise StoreBusy(
            f"there is no map {config.map!r}: the filter makes it when it starts, and the "
            "syslog daemon starts the filter; pbs-filter --doctor looks for what is missing"
        ) from None
    except PermissionError:
        raise StoreBusy(
            f"cannot read the map {config.map!r}: Permission denied; run this as root, or as "
            "one of the group that may read it (group in pbs-filter.toml)"
        ) from None
    except OSError as error:
        raise StoreBusy(f"cannot read the map {config.map!r}: {error.strerror}") from None
    return reader
