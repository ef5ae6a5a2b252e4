"""A dict in parts, so that no single insertion takes long. Pure.

A dict that outgrows its room is copied: at a million entries in some 30 ms, during which no line
would be read. Each part here has a 64th of the entries, and is copied in a 64th of the time.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, MutableMapping
from itertools import chain
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

PARTS = 64


class Shards(MutableMapping[K, V], Generic[K, V]):
    """A mapping, in no order."""

    __slots__ = ("_count", "parts")

    def __init__(self) -> None:
        self.parts: list[dict[K, V]] = [{} for _ in range(PARTS)]
        """For walks through all of it; written only by the methods below."""
        self._count = 0

    def __getitem__(self, key: K) -> V:
        return self.parts[hash(key) % PARTS][key]

    def get(self, key: K) -> V | None:  # type: ignore[override]  # no default: half the time
        """The value, or None where there is none."""
        return self.parts[hash(key) % PARTS].get(key)

    def __contains__(self, key: object) -> bool:
        return key in self.parts[hash(key) % PARTS]

    def __setitem__(self, key: K, value: V) -> None:
        part = self.parts[hash(key) % PARTS]
        before = len(part)
        part[key] = value
        self._count += len(part) - before

    def __delitem__(self, key: K) -> None:
        del self.parts[hash(key) % PARTS][key]
        self._count -= 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[K]:
        return chain.from_iterable(self.parts)

    def snapshot(self) -> Iterator[K]:
        """The keys; what is added or removed meanwhile may be among them, or not."""
        for part in self.parts:
            yield from list(part)
