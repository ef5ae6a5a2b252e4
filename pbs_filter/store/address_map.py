"""The interface of an address map, which lookups read: in `gdbm`, `redis`, or `memory` (for tests
and --nowrite).

Generic: addresses are text, values are bytes; nothing here knows the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol


class Behind(NamedTuple):
    """The backlog of a map on another machine."""

    waiting: int | None
    """Number of unsent addresses; None: the whole state is unsent."""
    away_since: int | None
    """The time (epoch) since which the map cannot be reached; None: it can."""
    trouble: str
    """The reason; "": none."""


class AddressMap(Protocol):
    """Address -> value, for readers: an index that can always be rebuilt from the journal.

    One process writes. Every method may raise StoreBusy (locked, full, unreachable: keep the
    changes, try again) and, where noted, StoreDamaged (`rebuild` it).
    """

    def mark_incomplete(self) -> None:
        """Note that the journal has changes which the map lacks: until a `write` that is `complete`
        lookups answer "not now" for an address that is not there, also if this process dies.

        Raises: StoreBusy.
        """

    def give_up(self, why: str) -> None:
        """Note that the map lacks entries for good, or has wrong times: as `mark_incomplete`, and
        nothing more is written until a `rebuild`. Raises: StoreBusy.
        """

    def write(self, changes: Mapping[str, bytes | None], *, complete: bool = True) -> None:
        """Store each value; None removes the address. A repetition changes nothing.

        Args:
            changes: address -> value.
            complete: the map has everything once these are written.

        Raises: StoreBusy, StoreDamaged.
        """

    def get(self, address: str) -> bytes | None:
        """Return the value, or None where there is none. Raises: StoreBusy, StoreDamaged."""

    def items(self, *, whatever: bool = False) -> Iterator[tuple[str, bytes]]:
        """Yield every address and value of one moment, in no order, in memory of a fixed size.

        Args:
            whatever: read an incomplete map, too, as far as it goes.

        Raises: StoreBusy, StoreDamaged.
        """

    def count(self) -> int:
        """Return how many addresses are stored. Raises: StoreBusy, StoreDamaged."""

    def rebuild(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """Replace the whole map by `entries`, in one step. Raises: StoreBusy."""

    def should_rebuild(self, live: int) -> bool:
        """Return whether the map takes much more room than `live` entries need."""

    def begin_rebuild(self) -> None:
        """Start a new map beside the present one; `write` goes to both. Raises: StoreBusy."""

    def rebuild_step(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """Add entries, as they are now, to the new map. Raises: StoreBusy (it is dropped)."""

    def finish_rebuild(self, wait_seconds: float = 0.0) -> bool:
        """Put the new map in place of the old one; False: not done yet, call again.

        Raises: StoreBusy.
        """

    def abort_rebuild(self) -> None:
        """Drop the new map, if there is one."""

    def behind(self) -> Behind | None:
        """Return the backlog that lookups do not see yet, None if there is none."""

    def damaged(self) -> str | None:
        """Return a sentence on what is wrong with the map, None where nothing is seen."""

    def mark_clean(self, of: str) -> None:
        """Note an orderly end: the map is complete at the journal position `of`.

        Raises: StoreBusy.
        """

    def was_clean(self, of: str) -> bool:
        """Return whether the map is unchanged since it was marked clean at the position `of`."""

    def close(self) -> None:
        """Release locks, files and connections."""
