"""A dict is kept in parts here, so that no single insertion takes long. Pure.

A dict that outgrows its room is copied: at a million entries in some 30 ms, during which no line
would be read. Each part has at most about 25,000, and is copied in one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, MutableMapping
from itertools import chain
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

PART = 25_000


class Shards(MutableMapping[K, V], Generic[K, V]):
    """A mapping, in no order.

    Args:
        most: how many entries it may have. Who adds one looks at `share` first.
        make: makes a part, a dict or another one that keeps an order.
        part: about how many entries are in a full part.
    """

    __slots__ = ("parts", "share")

    def __init__(self, most: int, make: Callable[[], dict[K, V]] = dict, part: int = PART) -> None:
        self.parts = tuple(make() for _ in range(max(1, most // part)))
        self.share = -(-most // len(self.parts))
        """How many entries a part may have. Chance fills the parts unevenly: with many parts the
        first is full some hundredths before `most` is reached."""

    def part(self, key: object) -> dict[K, V]:
        """Return the part where `key` is, or would be."""
        return self.parts[hash(key) % len(self.parts)]

    def __getitem__(self, key: K) -> V:
        return self.part(key)[key]

    def get(self, key: K) -> V | None:  # type: ignore[override]  # no default: half the time
        """Return the value, or None where there is none."""
        return self.parts[hash(key) % len(self.parts)].get(key)

    def __contains__(self, key: object) -> bool:
        return key in self.part(key)

    def __setitem__(self, key: K, value: V) -> None:
        self.part(key)[key] = value

    def __delitem__(self, key: K) -> None:
        del self.part(key)[key]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __iter__(self) -> Iterator[K]:
        return chain.from_iterable(self.parts)

    def snapshot(self) -> Iterator[K]:
        """Yield the keys; what is added or removed meanwhile may be among them, or not."""
        for part in self.parts:
            yield from list(part)
