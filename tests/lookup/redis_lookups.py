"""Lookups in Redis whose connections end with the test; a program keeps its until it ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from pbs_filter.lookup.answer import Lookup, open_reader
from pbs_filter.lookup.redis_reader import RedisReader

if TYPE_CHECKING:
    from pbs_filter.lookup.answer import Owns

_readers: list[RedisReader] = []


class HasUrl(Protocol):
    """A server of the tests, real or not."""

    @property
    def url(self) -> str: ...


def lookup(*servers: HasUrl | str, owns: Owns | None = None) -> Lookup:
    """A lookup in these servers, in this order; only while `lookups_end` runs."""
    reader = open_reader(*(s if isinstance(s, str) else s.url for s in servers))
    assert isinstance(reader, RedisReader)
    _readers.append(reader)
    return Lookup(reader, owns=owns)


@contextlib.contextmanager
def lookups_end() -> Iterator[None]:
    """End the connections of every lookup that was made meanwhile."""
    try:
        yield
    finally:
        for reader in _readers:
            for place in reader._places:
                for server in place._servers.values():
                    server.close()
        _readers.clear()
