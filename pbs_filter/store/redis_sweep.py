"""Removes the fields of our name that are not in the whole state which was sent (edge).

A filter that was killed may have left such fields. But a cloned machine has the name and the
journal of another one: while that is silent, its logins look like ours. So the first sweep spares
each login that is later than all that our journal had at the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..map_format.redis_fields import last_login
from ..text import counted
from .redis_client import Link
from .redis_queue import SendQueue


class Sweep:
    """The sweep through all addresses, one slice at a time.

    Args:
        queue: of the sending thread.
        name: of this filter.
        say: takes a sentence the operator should read.
    """

    def __init__(self, queue: SendQueue, name: str, say: Callable[[str], None]) -> None:
        self._queue = queue
        self._name = name
        self._say = say
        self._slices: Iterator[list[str]] | None = None
        self._is_first = True
        self._spared: set[str] = set()

    def restart(self) -> None:
        """Begin with the first address again."""
        self._slices = None

    def spare(self) -> None:
        """Another process had our name: the next sweep is as the first."""
        self._is_first = True

    def step(self, link: Link) -> None:
        """Remove our field from the next slice of addresses that are not in the whole state."""
        if self._slices is None:
            self._slices = link.addresses()
        addresses = next(self._slices, None)
        with self._queue.changed:
            known = self._queue.known
            if addresses is not None and known is not None:
                strangers = [a for a in addresses if a not in known and a not in self._spared]
            else:
                self._queue.known = self._slices = None
                self._queue.changed.notify_all()
        if addresses is None:
            self._over()
        elif known is not None:
            link.write(self._name, dict.fromkeys(self._ours(link, strangers)))

    def _ours(self, link: Link, strangers: list[str]) -> list[str]:
        """Return the addresses whose logins our journal must have had, if we sent them."""
        if not self._is_first:
            return strangers
        for address, fields in zip(strangers, link.fields(strangers), strict=True):
            if last_login(fields.get(self._name, b"")) > self._queue.newest_login:
                self._spared.add(address)
        return [address for address in strangers if address not in self._spared]

    def _over(self) -> None:
        if self._is_first and self._spared:
            self._say(
                f"the map has {counted(len(self._spared), 'address')} that {self._name!r} sent "
                "later than all that our journal had: what is there stays until its end; does "
                "another host have this redis_name?"
            )
        self._is_first = False
