"""The queue holds the changes and the whole state that are to be sent to Redis.

The filter's thread fills the queue, the thread of `redis_sender` empties it; both hold `changed`.
No method waits for the network. Memory is bounded: while Redis is away, more than `MAX_WAITING`
changes are dropped, and the whole state is sent when Redis is back.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import StoreBusy
from ..map_format.redis_members import Mark
from ..map_format.redis_site import FORGOTTEN, Word
from .address_map import Behind

MAX_WAITING = 100_000
"""Changes kept while Redis is away, some 300 bytes each."""
FLUSH_SECONDS = 3.5
"""An orderly end waits this long for unsent changes: rsyslog kills us after five seconds."""


class Whole:
    """A whole state on its way to one server."""

    def __init__(self, server: str) -> None:
        self.server = server
        """The server's replication ids; "": not known yet, and nothing was sent."""
        self.claimed = False
        self.complete = False
        """The filter has handed over all of it."""
        self.ahead: int | None = None
        """Number of changes that were queued when the last part of the whole state was sent, and
        are still unsent; None before that."""


class SendQueue:
    """The changes and the whole state on their way to Redis, under one lock.

    Args:
        place: the map's location, for messages.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self.changed = threading.Condition()
        """The lock of all other attributes; notified of each change."""
        self.fresh: dict[str, bytes | None] = {}
        """Unsent changes, the oldest first."""
        self.again: dict[str, bytes | None] = {}
        """The unsent rest of the whole state; changes are sent before it."""
        self.sending = 0
        """Number of addresses in the round trip that runs now."""
        self.whole: Whole | None = None
        self.known: set[str] | None = None
        """The addresses of the whole state, from its begin until the fields of our name that are
        not in it were removed; else None."""
        self.server = ""
        """The replication ids of the connected server; "": no connection."""
        self.synced = ""
        """The replication ids of the server that has everything; "": none."""
        self.trouble = ""
        """The reason why there is no connection; "": there is one."""
        self.refused = ""
        """The reason why the connected server refused the last commands; "": it did not."""
        self.away_since: int | None = None
        """The time (epoch) since which nothing can be sent; None: it can."""
        self.closing = False
        self.instance = ""
        """The instance of our journal."""
        self.is_new = True
        """The journal had no instance before this start."""
        self.newest_login = 0
        """The newest one that the journal had at this start, seconds since the epoch."""
        self.words: dict[str, Word] = {}
        """The words of our journal, see `redis_site`."""
        self.has_news = False
        """Some words were not told to the other members yet."""
        self.heard: dict[str, Word] = {}
        """Words of the other members, for the journal."""
        self.heard_at = 0
        """The server's clock (epoch) when they were last asked for; 0: never."""
        self.offset = 0.0
        """What the server's clock had then beside CLOCK_BOOTTIME, seconds; as `Clock.offset`."""
        self.marks: dict[str, Mark] = {}
        """Name -> mark of the members, as last read."""
        self._heard_ms = self._handed_ms = 0
        """When the oldest revocation was heard that our loop has not taken, or that our journal
        lacks; by the server's clock, 0: there is none."""
        self._seen_ms = 0
        self._seen_at = 0.0

    # ------------------------------------------------------------------ the site

    def part(self) -> None:
        """Give our journal another instance: the one that it has is that of a living filter, too,
        whose place we must not take when that is silent."""
        with self.changed:
            self.instance = os.urandom(8).hex()
            self.is_new = False

    def tell(self, words: Mapping[str, Word], values: Mapping[str, bytes | None]) -> None:
        """Add words of our journal, for the other members, and the `values` that are left of the
        revoked addresses: they and all later ones are those of a filter that has heard of it."""
        with self.changed:
            self.words.update(words)
            self.write(values)
            self._handed_ms = 0
            self.has_news = self.has_news or any(key.startswith(FORGOTTEN) for key in words)
            self.changed.notify_all()

    def revoked_at(self, address: str) -> int:
        """Return the AT of the newest revocation that our journal knows of an address, or of that
        of a user's key; 0: it knows none."""
        return self.words.get(FORGOTTEN + address.partition("#")[0], (0, 0))[0]

    def hear(self, key: str, word: Word) -> None:
        """Keep a word of another member for our journal."""
        self.heard[key] = max(word, self.heard.get(key, word))
        if key.startswith(FORGOTTEN):
            self._heard_ms = self._heard_ms or self._seen_ms

    def hand_over(self) -> dict[str, Word]:
        """Return the words of the other members since the last call; `tell` says that the journal
        has them."""
        with self.changed:
            heard, self.heard = self.heard, {}
            self._handed_ms, self._heard_ms = self._handed_ms or self._heard_ms, 0
            return heard

    def proven(self, millis: int) -> int:
        """Return up to when, not later than `millis`, Redis has what our journal has: while that
        lacks a revocation, a login that came after it does not count there."""
        return min(filter(None, (millis, self._handed_ms, self._heard_ms)), default=0)

    def see(self, millis: int, marks: dict[str, Mark]) -> None:
        """Keep the marks that were read at `millis`, by the server's clock."""
        self.marks, self._seen_ms, self._seen_at = marks, millis, time.monotonic()

    def members(self) -> list[dict[str, Any]]:
        """Return the members for --status, see `monitor.status`."""
        with self.changed:
            if not self._seen_ms:
                return []
            now = self._seen_ms / 1000 + time.monotonic() - self._seen_at
            return [
                {
                    "name": name,
                    "last_sign": mark.millis // 1000 or None,
                    "silent_seconds": int(max(now - mark.millis / 1000, 0)),
                    "awaited_until": None if mark.is_retired else mark.end,
                }
                for name, mark in sorted(self.marks.items())
            ]

    # ------------------------------------------------------------------ unsent changes

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        """Queue the newest value of each address."""
        with self.changed:
            for address, value in changes.items():
                self.again.pop(address, None)
                self.fresh[address] = value
                if self.known is not None:
                    if value is None:
                        self.known.discard(address)
                    else:
                        self.known.add(address)
            self.bound()

    def bound(self) -> None:
        """Drop the changes for the whole state if Redis is away and they are too many."""
        if self.trouble and len(self.fresh) + len(self.again) > MAX_WAITING:
            self.fresh.clear()
            self.void()

    def void(self) -> None:
        """Forget what the server has, so that the whole state is sent again."""
        self.again.clear()
        self.whole = self.known = None
        self.synced = ""

    def behind(self) -> Behind | None:
        """Return the number of unsent changes and the reason, None if there are none."""
        with self.changed:
            waiting = len(self.fresh) + len(self.again) + self.sending
            lacks = not self.synced and self.whole is None
            trouble = self.trouble or self.refused
            if not (waiting or lacks or trouble):
                return None
            return Behind(None if lacks else waiting, self.away_since, trouble)

    def should_rebuild(self) -> bool:
        """Return whether the connected server may lack a part of the state."""
        with self.changed:
            return bool(self.server) and self.server != self.synced and self.whole is None

    def begin_rebuild(self) -> None:
        """Begin a whole state. Raises: StoreBusy."""
        with self.changed:
            if self.trouble:
                raise StoreBusy(self.trouble)
            self.again.clear()
            self.whole = Whole(self.server)
            self.known = {address for address, value in self.fresh.items() if value is not None}

    def rebuild_step(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """Queue a part of the whole state. Raises: StoreBusy."""
        with self.changed:
            self._going_on()
            assert self.known is not None
            for address, value in entries:
                self.known.add(address)
                (self.fresh if address in self.fresh else self.again)[address] = value
            self.bound()
            self.changed.notify_all()

    def finish_rebuild(self) -> None:
        """End the whole state: all of it has been queued. Raises: StoreBusy."""
        with self.changed:
            self._going_on().complete = True
            self.changed.notify_all()

    def _going_on(self) -> Whole:
        if self.whole is None:
            raise StoreBusy(
                self.trouble or f"the map {self._place!r} has moved to another server meanwhile"
            )
        return self.whole

    def abort_rebuild(self) -> None:
        """Drop a whole state that was not queued to its end; a complete one is sent."""
        with self.changed:
            if self.whole is not None and not self.whole.complete:
                self.again.clear()
                self.whole = self.known = None

    def wait_until_sent(self, seconds: float) -> None:
        """Wait until Redis has everything. Raises: StoreBusy, at once where it is away."""
        with self.changed:

            def idle() -> bool:
                if self.fresh or self.again or self.sending or self.closing:
                    return False
                # A whole state that is still being queued need not be waited for.
                coming = self.whole is not None and not self.whole.complete
                over = self.whole is None and self.known is None
                return (coming or over) and self.synced == self.server != ""

            self.changed.wait_for(lambda: idle() or self.trouble or self.refused, seconds)
            if not idle():
                raise StoreBusy(
                    self.trouble
                    or self.refused
                    or f"the map {self._place!r} has not taken everything in {seconds:g} s"
                )
