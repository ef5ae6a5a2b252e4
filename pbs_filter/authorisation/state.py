"""The state of one filter: ledger, pending sessions, pieces of lines, the others of its site. Pure.

The journal keeps all of it, the map the authorisations; whoever keeps either speaks to this.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from ..map_format.entry import Entry
from ..map_format.redis_site import Site
from .correlator import Correlator
from .countries import Countries
from .ledger import Ledger
from .pieces import Pieces
from .trace import Trace


class State:
    """The state is what lines have led to, with the part that journal and map still lack."""

    def __init__(self, ledger: Ledger, correlator: Correlator, pieces: Pieces) -> None:
        self.ledger = ledger
        self.correlator = correlator
        self.pieces = pieces
        self.trace = Trace()
        self.site = Site()
        self.countries = Countries()
        self._parts = (ledger, correlator, pieces, self.site, self.countries)

    # ------------------------------------------------------------------ time

    def tick(self, now: int) -> None:
        """Housekeeping: what has ended goes, what is held is renewed."""
        self.ledger.tick(now)
        self.correlator.tick(now)
        self.trace.tick(now)

    def shift(self, seconds: int) -> None:
        """The wall clock was set by `seconds` (negative: back)."""
        self.ledger.shift(seconds)
        self.correlator.shift(seconds)
        self.countries.shift(seconds)

    def next_due(self) -> int | None:
        """Return when `tick` has something to do, seconds since the epoch."""
        return self.ledger.next_due()

    # ------------------------------------------------------------------ the journal

    def live(self) -> int:
        """Return how many payloads a new journal would have."""
        ledger = self.ledger
        return (
            len(ledger.authorisations)
            + len(ledger.sessions)
            + len(self.correlator.pending)
            + len(self.site.words)
            + self.countries.number
        )

    def changes(self) -> int:
        """Return how many payloads the journal lacks."""
        return (
            self.ledger.changes()
            + self.correlator.changes()
            + self.pieces.changes()
            + self.site.changes()
            + self.countries.changes()
        )

    def journal_payloads(self) -> list[str]:
        """Return the payloads that the journal lacks, and needs before the lines so far are
        acknowledged."""
        return [payload for part in self._parts for payload in part.journal_payloads()]

    def journaled(self) -> None:
        """The journal has what `journal_payloads` gave."""
        for part in self._parts:
            part.journaled()

    def live_payloads(self) -> Iterator[str]:
        """Return all payloads, for a new journal."""
        for part in self._parts:
            yield from part.live_payloads()

    def apply(self, payload: str) -> bool:
        """Take one payload of the journal; whether it was one of ours, and whole."""
        try:
            return any(part.apply(payload) for part in self._parts)
        except ValueError:
            return False

    def learn(self, address: str, entry: Entry, now: int, *, surely: bool = False) -> bool:
        """Take what an old map says; whether it is more than the journal did."""
        return self.ledger.learn(address, entry, now, surely=surely)

    def keep_only(self, addresses: Collection[str]) -> int:
        """Drop all other addresses, before `restored`; return how many there were."""
        return self.ledger.keep_only(addresses)

    def tell_again(self, addresses: Iterable[str]) -> None:
        """Let the journal be told of these once more."""
        self.ledger.tell_again(addresses)

    def restored(self, now: int) -> None:
        """After the last `apply` and `learn`."""
        self.ledger.restored(now)
        self.correlator.restored(now)
        self.countries.restored(now)

    # ------------------------------------------------------------------ the map

    def addresses(self) -> int:
        """Return how many addresses a new map would have."""
        return len(self.ledger.authorisations)

    def map_dirty(self) -> int:
        """Return how many addresses the map lacks."""
        return self.ledger.map_dirty()

    def map_changes(self, limit: int) -> dict[str, bytes | None]:
        """Return the changes that the map lacks, the oldest `limit`, until `mapped` is called."""
        return self.ledger.map_changes(limit)

    def map_entries(self, address: str) -> Mapping[str, bytes | None]:
        """Return each key of the map for `address` with its value; None: it is not there."""
        return self.ledger.map.entries(address)

    def mapped(self, written: Mapping[str, bytes | None]) -> None:
        """The map has `written`."""
        self.ledger.mapped(written)
        self.trace.mapped(written)

    def map_forgotten(self) -> None:
        """The map is made anew from `map_values`: nothing has to be told."""
        self.ledger.map_forgotten()

    def map_values(self) -> Iterator[tuple[str, bytes]]:
        """Return all entries, for a new map."""
        return self.ledger.map_values()
