"""What waits to be sent to Redis: the newest value of each address, and the whole state.

The filter's thread fills the queue, the thread of `redis_sender` empties it; both hold `changed`.
Nothing here waits for the network, and memory is bounded: while Redis is away, changes beyond
`MAX_WAITING` are dropped for the whole state, which is then sent when it is back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import StoreBusy
from ..map_format.redis_members import Mark
from ..map_format.redis_site import FORGOTTEN, Word
from .address_map import Behind

MAX_WAITING = 100_000
"""Changes that are kept one by one while Redis is away; some 300 bytes each."""
FLUSH_SECONDS = 3.5
"""How long an orderly end waits for what is unsent: rsyslog kills us after five seconds."""


class Whole:
    """A whole state on its way to one server."""

    def __init__(self, server: str) -> None:
        self.server = server
        """Its replication ids; "": not known yet, and nothing was sent."""
        self.claimed = False
        self.complete = False
        """All of it has been handed over."""
        self.ahead: int | None = None
        """The number of changes that waited when the last of it had been sent, and still wait; None
        before that."""


class SendQueue:
    """The changes and the whole state on their way to Redis; under one lock.

    Args:
        place: of the map, for messages.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self.changed = threading.Condition()
        """The lock of all the rest; notified of each change."""
        self.fresh: dict[str, bytes | None] = {}
        """Changes that wait, the oldest first."""
        self.again: dict[str, bytes | None] = {}
        """The whole state, as far as it waits; it lets the changes pass."""
        self.sending = 0
        self.whole: Whole | None = None
        self.known: set[str] | None = None
        """While a whole state is sent, and until the fields of others were removed: what is in it.
        """
        self.server = ""
        """The replication ids of the connected server; "": there is none."""
        self.synced = ""
        """The ids of the server that has everything."""
        self.trouble = ""
        """Why there is no connection."""
        self.refused = ""
        """Why the server did not take what was sent last, though there is a connection."""
        self.away_since: int | None = None
        """Since when there is no connection, or nothing is taken: seconds since the epoch."""
        self.closing = False
        self.instance = ""
        """Of our journal."""
        self.is_new = True
        """The journal had no instance before this start."""
        self.words: dict[str, Word] = {}
        """What our journal knows of the site."""
        self.has_news = False
        """There are words that were not told yet."""
        self.heard: dict[str, Word] = {}
        """What others said, for the journal."""
        self.heard_at = 0
        """When, by the server's clock, seconds since the epoch; 0: never."""
        self.marks: dict[str, Mark] = {}
        """The members when the server was last looked at."""
        self._seen_ms = 0
        self._seen_at = 0.0

    # ------------------------------------------------------------------ the site

    def tell(self, words: Mapping[str, Word]) -> None:
        """Take words that our journal has."""
        with self.changed:
            self.words.update(words)
            self.has_news = self.has_news or any(key.startswith(FORGOTTEN) for key in words)
            self.changed.notify_all()

    def hear(self, key: str, word: Word) -> None:
        """Keep what another member said for our journal."""
        self.heard[key] = max(word, self.heard.get(key, word))

    def see(self, millis: int, marks: dict[str, Mark]) -> None:
        """Keep who was there at `millis`, by the server's clock."""
        self.marks, self._seen_ms, self._seen_at = marks, millis, time.monotonic()

    def members(self) -> list[dict[str, Any]]:
        """Return the members for people, see `monitor.status`."""
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

    # ------------------------------------------------------------------ what waits

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        """Let the newest value of each address wait."""
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
        """Drop the changes for the whole state where they are too many while Redis is away."""
        if self.trouble and len(self.fresh) + len(self.again) > MAX_WAITING:
            self.fresh.clear()
            self.void()

    def void(self) -> None:
        """The server lacks something, and nobody knows what: all must be sent again."""
        self.again.clear()
        self.whole = self.known = None
        self.synced = ""

    def behind(self) -> Behind | None:
        """What waits, and why; None: nothing."""
        with self.changed:
            waiting = len(self.fresh) + len(self.again) + self.sending
            lacks = not self.synced and self.whole is None
            trouble = self.trouble or self.refused
            if not (waiting or lacks or trouble):
                return None
            return Behind(None if lacks else waiting, self.away_since, trouble)

    def should_rebuild(self) -> bool:
        """Whether the server may lack something."""
        with self.changed:
            return bool(self.server) and self.server != self.synced and self.whole is None

    def begin_rebuild(self) -> None:
        """Let the whole state be sent again. Raises: StoreBusy."""
        with self.changed:
            if self.trouble:
                raise StoreBusy(self.trouble)
            self.again.clear()
            self.whole = Whole(self.server)
            self.known = {address for address, value in self.fresh.items() if value is not None}

    def rebuild_step(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """Let a part of the whole state wait. Raises: StoreBusy."""
        with self.changed:
            self._going_on()
            assert self.known is not None
            for address, value in entries:
                self.known.add(address)
                (self.fresh if address in self.fresh else self.again)[address] = value
            self.bound()
            self.changed.notify_all()

    def finish_rebuild(self) -> None:
        """All of the whole state has been handed over. Raises: StoreBusy."""
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
        """Give a whole state up, unless it has been handed over completely: that is sent."""
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
                # A whole state that is just being handed over is for later.
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
