"""The address map in Redis, for the lookups of many hosts; several filters may write to one.

Nothing here waits for the network: what is to be written is kept, the newest value of each address,
and a thread of its own sends it. So lines are acknowledged by the journal alone, whatever Redis
does; what it has not taken when the filter ends the next one sends, because at its start all of the
living state is sent.

Each filter has one field in the hash of an address, so that filters never overwrite or end what
another one knows. Redis itself ends the key when the last of its values has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..errors import StoreBusy, StoreDamaged
from ..map_format.redis_fields import FORGOTTEN
from ..map_format.redis_members import NONE, SILENT_MS, decode
from ..map_format.redis_site import Word
from ..map_format.redis_url import Location
from .address_map import Behind
from .redis_client import Link, library, password
from .redis_commands import BATCH, Seen, stamp
from .redis_nodes import KnownNodes
from .redis_queue import FLUSH_SECONDS, SendQueue
from .redis_sender import Sender

LOOK_SECONDS = 0.2


class RedisMap:
    """An `AddressMap`; see there. Reading starts no thread, and waits for the network.

    Args:
        location: where it is.
        name: of this filter; no other one may have it.
        say: takes a sentence the operator should read; called by the thread.
        ends: when a value ends, seconds since the epoch.
        genuine: whether a value belongs to its address.
        longest_seconds: the longest that one login lets an address in.
        known: the nodes of a cluster that were seen before.

    Raises:
        ConfigError: redis-py is missing, or a password file is not as it should be.
    """

    def __init__(
        self,
        location: Location,
        name: str,
        *,
        say: Callable[[str], None] = lambda _sentence: None,
        ends: Callable[[bytes], int],
        genuine: Callable[[str, bytes], bool] = lambda _address, _value: True,
        longest_seconds: int = 0,
        known: KnownNodes | None = None,
    ) -> None:
        library()
        password(location.password_file)
        password(location.sentinel_password_file)
        self._location = location
        self._name = name
        self._say = say
        self._genuine = genuine
        self._reader: Link | None = None
        self._queue = SendQueue(location.text)
        self._known = known
        self._sender = Sender(
            self._queue,
            location,
            name,
            say=say,
            ends=ends,
            longest_seconds=longest_seconds,
            known=known,
        )

    # ------------------------------------------------------------------ writing

    def mark_incomplete(self) -> None:
        """Nothing: what lookups believe here is told by the markers."""

    def give_up(self, why: str) -> None:
        """Nothing: `begin_rebuild` sends the whole state again."""

    def write(self, changes: Mapping[str, bytes | None], *, complete: bool = True) -> None:
        """See `AddressMap`. It is taken note of; `get`, `count` and `mark_clean` wait for it."""
        with self._queue.changed:
            self._queue.write(changes)
            self._sender.wake()

    def behind(self) -> Behind | None:
        """See `AddressMap`."""
        return self._queue.behind()

    # ------------------------------------------------------------------ the whole state

    def should_rebuild(self, live: int) -> bool:
        """See `AddressMap`: whether the server may lack something."""
        return self._queue.should_rebuild()

    def rebuild(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """See `AddressMap`. Nothing waits for Redis to take it."""
        with self._queue.changed:  # so that nothing goes wrong in between
            self.begin_rebuild()
            self.rebuild_step(entries)
            self.finish_rebuild()

    def begin_rebuild(self) -> None:
        """See `AddressMap`: the whole state is sent again."""
        with self._queue.changed:
            self._queue.begin_rebuild()
            self._sender.wake()

    def rebuild_step(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """See `AddressMap`."""
        self._queue.rebuild_step(entries)

    def finish_rebuild(self, wait_seconds: float = 0.0) -> bool:
        """See `AddressMap`."""
        self._queue.finish_rebuild()
        return True

    def abort_rebuild(self) -> None:
        """See `AddressMap`. What has been handed over completely is sent all the same."""
        self._queue.abort_rebuild()

    # ------------------------------------------------------------------ reading

    def _read(self) -> Link:
        """A connection of the caller's own, when everything has been sent."""
        self.flush()
        if self._reader is None:
            seeds = self._known.nodes if self._known is not None else ()
            self._reader = Link(self._location, f"pbs-filter-{self._name}", seeds)
        return self._reader

    def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Wait until Redis has everything. Raises: StoreBusy, at once where it is away."""
        with self._queue.changed:
            if self._sender.has_started:
                self._queue.wait_until_sent(seconds)

    def get(self, address: str) -> bytes | None:
        """See `AddressMap`: what this filter wrote."""
        (fields,) = self._read().fields([address])
        value = fields.get(self._name)
        if value is not None and not self._genuine(address, value):
            raise StoreDamaged(
                f"the map {self._location.text!r}: the entry of {address} is damaged"
            )
        return value

    def items(self, *, whatever: bool = False) -> Iterator[tuple[str, bytes]]:
        """See `AddressMap`: what this filter wrote, without damage; of one moment as far as a walk
        through all keys can be."""
        return iter(
            [
                (address, fields[self._name])
                for address, fields in self.everybodys()
                if self._name in fields and self._genuine(address, fields[self._name])
            ]
        )

    def count(self) -> int:
        """See `AddressMap`: what this filter wrote."""
        return sum(self._name in fields for _, fields in self.everybodys())

    def everybodys(self, address: str = "") -> Iterator[tuple[str, dict[str, bytes]]]:
        """The fields of every address, or of one, by their filters' names. Raises: StoreBusy."""
        link = self._read()
        for addresses in [[address]] if address else link.addresses():
            for start in range(0, len(addresses), BATCH):
                some = addresses[start : start + BATCH]
                for one, fields in zip(some, link.fields(some), strict=True):
                    if fields:
                        yield one, fields

    # ------------------------------------------------------------------ the site

    def join(self, instance: str, *, is_new: bool, words: Mapping[str, Word]) -> None:
        """Tell what our journal knows of the site, before anything is written.

        Args:
            instance: of the journal.
            is_new: the journal had none before.
            words: see `redis_site`.
        """
        self._queue.instance, self._queue.is_new = instance, is_new
        self._queue.tell(words)

    def tell(self, words: Mapping[str, Word]) -> None:
        """Take more words that our journal has, for the other members."""
        self._queue.tell(words)

    def heard(self) -> tuple[int, dict[str, Word]]:
        """Return the server's clock (epoch seconds; 0: unknown) and what others have said since."""
        with self._queue.changed:
            heard, self._queue.heard = self._queue.heard, {}
            return self._queue.heard_at, heard

    def members(self) -> list[dict[str, Any]]:
        """Return the members as they were last seen, see `SendQueue.members`."""
        return self._queue.members()

    def advice(self) -> str:
        """Return what the operator of the server should mend. Raises: StoreBusy."""
        self._read()
        assert self._reader is not None
        return self._reader.warning

    def see(self) -> Seen:
        """Return what the server says of itself and of the members. Raises: StoreBusy."""
        return self._read().see()

    def revoke(self, words: Mapping[str, Word], wait_seconds: float) -> tuple[int, int]:
        """Let logins from each address up to a second count no more, whichever filter it was, until
        another second; return how many of how many replicas have that, too.

        Raises: StoreBusy.
        """
        link = self._read()
        link.forget(self._name, words)
        link.mark(FORGOTTEN, stamp())
        return link.copies(wait_seconds)

    def retire(self, name: str, mark: bytes, wait_seconds: float) -> tuple[int, int]:
        """Set the mark of a member that is gone; return as `revoke`. Raises: StoreBusy."""
        link = self._read()
        link.mark(name, mark)
        return link.copies(wait_seconds)

    # ------------------------------------------------------------------ start and end

    def damaged(self) -> str | None:
        """Never: who reads an entry sees whether it is whole."""
        return None

    def mark_clean(self, of: str) -> None:
        """See `AddressMap`: everything has been sent."""
        self.flush()

    def was_clean(self, of: str) -> bool:
        """Never: all is sent again at each start, Redis may have lost what it had."""
        return False

    def exists(self) -> bool:
        """At start: a filter of our name has written here, and is no more. Waits for Redis,
        `TIMEOUT_SECONDS` at the most for each answer, and until it is seen whether another one
        lives."""
        give_up = time.monotonic() + 2 * SILENT_MS / 1000
        try:
            while True:
                seen = self.see()
                mark = decode(seen.marks.get(self._name, b""))
                if mark is None:
                    return False
                if mark.run == NONE or mark.millis < seen.millis - SILENT_MS:
                    return True
                if time.monotonic() > give_up:
                    return False
                time.sleep(LOOK_SECONDS)
        except StoreBusy as error:
            self._say(str(error))
            return False

    def in_order(self) -> bool:
        """Never believed, see `was_clean`."""
        return False

    def close(self) -> None:
        """See `AddressMap`."""
        self._sender.close()
        if self._reader is not None:
            self._reader.close()
