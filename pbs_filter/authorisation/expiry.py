"""The queue has the addresses that must be looked at, by the second of each. Pure."""

from __future__ import annotations

import heapq


class DueQueue:
    """The queue keeps addresses by the second, epoch seconds, in which each is due.

    An address may stand there several times: who takes it compares the second with the one that is
    still valid.
    """

    def __init__(self) -> None:
        self._by_second: dict[int, list[str]] = {}
        self._seconds: list[int] = []

    def first(self) -> int | None:
        """Return the second of the first one; None: there is none."""
        return self._seconds[0] if self._seconds else None

    def put(self, address: str, second: int) -> None:
        """Add an address."""
        addresses = self._by_second.get(second)
        if addresses is None:
            self._by_second[second] = [address]
            heapq.heappush(self._seconds, second)
        else:
            addresses.append(address)

    def take(self, now: int) -> tuple[str, int] | None:
        """Remove and return one that is due by `now`, and its second; None: none is."""
        if not self._seconds or self._seconds[0] > now:
            return None
        second = self._seconds[0]
        addresses = self._by_second[second]
        address = addresses.pop()
        if not addresses:
            del self._by_second[second]
            heapq.heappop(self._seconds)
        return address, second
