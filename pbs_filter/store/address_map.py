"""An address map keeps the state for readers: `journal` (the truth), and a map that lookups read
(`gdbm`, `redis`, or `memory`, which nobody reads).

Generic: addresses are text, values are bytes, payloads are lines; nothing here knows the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol


class Behind(NamedTuple):
    """The backlog of a map elsewhere."""

    waiting: int | None
    """Addresses; None: the whole state."""
    away_since: int | None
    """Since when it cannot be reached, seconds since the epoch."""
    trouble: str
    """Why."""


class AddressMap(Protocol):
    """Address text to value, for readers: an index that can always be made again.

    One process writes. Every method may raise StoreBusy (locked, full, unreachable: keep the
    changes, try again) and, where noted, StoreDamaged (make it again with `rebuild`).
    """

    def mark_incomplete(self) -> None:
        """The journal has changes which the map lacks: until a `write` that is `complete` a lookup
        that finds nothing is told "not now", whatever becomes of this process. Raises: StoreBusy.
        """

    def give_up(self, why: str) -> None:
        """The map lacks something for good, or has wrong times: as `mark_incomplete`, and nothing
        more is written to it; `rebuild` mends that. Raises: StoreBusy.
        """

    def write(self, changes: Mapping[str, bytes | None], *, complete: bool = True) -> None:
        """Store each value, remove where it is None. Repeating it changes nothing.

        Args:
            changes: address to value.
            complete: with these the map has everything.

        Raises: StoreBusy, StoreDamaged.
        """

    def get(self, address: str) -> bytes | None:
        """Return the value, or None where there is none. Raises: StoreBusy, StoreDamaged."""

    def items(self, *, whatever: bool = False) -> Iterator[tuple[str, bytes]]:
        """Every address and value of one moment, in no order, in memory of a fixed size.

        Args:
            whatever: also of a map that is not complete: what there is of it.

        Raises: StoreBusy, StoreDamaged.
        """

    def count(self) -> int:
        """Return how many addresses are stored. Raises: StoreBusy, StoreDamaged."""

    def rebuild(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """Make the map anew with exactly `entries`, in one step. Raises: StoreBusy."""

    def should_rebuild(self, live: int) -> bool:
        """Return whether the map takes much more room than `live` entries need."""

    def begin_rebuild(self) -> None:
        """Start a new map beside the present one; `write` goes to both. Raises: StoreBusy."""

    def rebuild_step(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """Add entries, as they are now, to the new map. Raises: StoreBusy (it is given up)."""

    def finish_rebuild(self, wait_seconds: float = 0.0) -> bool:
        """Let the new map take over; False: not done yet, call again. Raises: StoreBusy."""

    def abort_rebuild(self) -> None:
        """Give the new map up, if there is one."""

    def behind(self) -> Behind | None:
        """Return the backlog that lookups cannot see yet; None: they see everything."""

    def damaged(self) -> str | None:
        """Return a sentence on what is wrong with the map, None where nothing is seen."""

    def mark_clean(self, of: str) -> None:
        """Orderly end: the map is complete, and was made from the journal position `of`.

        Raises: StoreBusy.
        """

    def was_clean(self, of: str) -> bool:
        """At start: the map is what it was when it was marked clean, for this position."""

    def close(self) -> None:
        """Give everything back."""
