"""The address map in Redis, for the lookups of many hosts; several filters may write to one.

Writing does not wait for the network: the newest value of each address is queued, and a thread
sends it. So the journal alone acknowledges lines, whatever Redis does. Changes that are unsent when
the filter ends are sent by the next one, which sends the whole state at its start.

Each filter has one field in the hash of an address, so that filters never overwrite or end each
other's entries. Redis itself removes the key when the last of its values has ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import StoreBusy, StoreDamaged
from ..map_format.redis_fields import opened
from ..map_format.redis_members import NONE, SILENT_MS, decode
from ..map_format.redis_site import Word
from ..map_format.redis_url import Location
from .address_map import Behind
from .redis_client import Link, library, password
from .redis_commands import BATCH, Seen
from .redis_nodes import KnownNodes
from .redis_queue import FLUSH_SECONDS, SendQueue
from .redis_sender import Sender

LOOK_SECONDS = 0.2


class RedisMap:
    """An `AddressMap` in Redis. Reading starts no thread, and waits for the network.

    Args:
        location: of the map.
        name: of this filter; no other filter may have it.
        say: logs a sentence for the operator; called by the thread.
        ends: returns the end of a value, seconds since the epoch.
        genuine: returns whether a value belongs to its address.
        longest_seconds: the longest time for which one login authorises an address.
        known: the file with the nodes of a cluster; None: no cluster.

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
        """Do nothing: the marks tell lookups whether the map is complete."""

    def give_up(self, why: str) -> None:
        """Do nothing: `begin_rebuild` sends the whole state again."""

    def write(self, changes: Mapping[str, bytes | None], *, complete: bool = True) -> None:
        """Queue the changes, see `AddressMap`; `get`, `count` and `mark_clean` wait for them."""
        with self._queue.changed:
            self._queue.write(changes)
            self._sender.wake()

    def behind(self) -> Behind | None:
        """See `AddressMap`."""
        return self._queue.behind()

    # ------------------------------------------------------------------ the whole state

    def should_rebuild(self, live: int) -> bool:
        """Return whether the server may lack a part of the state."""
        return self._queue.should_rebuild()

    def rebuild(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """Queue the whole state."""
        with self._queue.changed:  # all three steps, or none
            self.begin_rebuild()
            self.rebuild_step(entries)
            self.finish_rebuild()

    def begin_rebuild(self) -> None:
        """Begin to queue the whole state."""
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
        """See `AddressMap`. A whole state that was queued to its end is sent all the same."""
        self._queue.abort_rebuild()

    # ------------------------------------------------------------------ reading

    def _read(self) -> Link:
        """Return a connection of the caller's own, when all changes have been sent."""
        self.flush()
        if self._reader is None:
            seeds = self._known.nodes if self._known is not None else ()
            self._reader = Link(self._location, f"pbs-filter-{self._name}", seeds)
        return self._reader

    def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Wait until all changes were sent. Raises: StoreBusy, at once where Redis is away."""
        with self._queue.changed:
            if self._sender.has_started:
                self._queue.wait_until_sent(seconds)

    def get(self, address: str) -> bytes | None:
        """Return the value that this filter wrote, see `AddressMap`."""
        (fields,) = self._read().fields([address])
        value = self._entry(address, fields)
        if value is not None and not self._genuine(address, value):
            raise StoreDamaged(
                f"the map {self._location.text!r}: the entry of {address} is damaged"
            )
        return value

    def items(self, *, whatever: bool = False) -> Iterator[tuple[str, bytes]]:
        """Yield the undamaged values that this filter wrote, see `AddressMap`; changes during the
        scan of all keys may be missing."""
        ours = ((a, self._entry(a, fields)) for a, fields in self.everybodys())
        return iter([(a, entry) for a, entry in ours if entry and self._genuine(a, entry)])

    def _entry(self, address: str, fields: Mapping[str, bytes]) -> bytes | None:
        """Return the entry of ours in the fields of an address."""
        value = fields.get(self._name)
        return value if value is None else opened(address.encode("ascii", "replace"), value)[0]

    def count(self) -> int:
        """Return the number of addresses that this filter wrote."""
        return sum(self._name in fields for _, fields in self.everybodys())

    def everybodys(self, those: Sequence[str] = ()) -> Iterator[tuple[str, dict[str, bytes]]]:
        """Yield the fields of every address, or of `those`, by their filters' names.

        Raises: StoreBusy.
        """
        link = self._read()
        for addresses in [those] if those else link.addresses():
            for start in range(0, len(addresses), BATCH):
                some = addresses[start : start + BATCH]
                for one, fields in zip(some, link.fields(some), strict=True):
                    if fields:
                        yield one, fields

    # ------------------------------------------------------------------ the site

    def join(
        self, instance: str, *, is_new: bool, words: Mapping[str, Word], newest_login: int = 0
    ) -> None:
        """Hand over the instance and words of our journal, before anything is written.

        Args:
            instance: of the journal.
            is_new: the journal had no instance before.
            words: see `redis_site`.
        """
        self._queue.instance, self._queue.is_new = instance, is_new
        self._queue.newest_login = newest_login
        self._queue.tell(words, {})

    @property
    def instance(self) -> str:
        """The instance that our journal has to have."""
        return self._queue.instance

    def tell(self, words: Mapping[str, Word], values: Mapping[str, bytes | None]) -> None:
        """Hand over more words of our journal and what is left of the addresses that they revoke,
        see `SendQueue.tell`."""
        with self._queue.changed:
            self._queue.tell(words, values)
            if values:
                self._sender.wake()

    def heard(self) -> tuple[int, float, dict[str, Word]]:
        """Return the server's clock (epoch seconds; 0: unknown), its offset as `Clock` has it, and
        the words of the other members since the last call."""
        with self._queue.changed:
            return self._queue.heard_at, self._queue.offset, self._queue.hand_over()

    def members(self) -> list[dict[str, Any]]:
        """Return the members as last read, see `SendQueue.members`."""
        return self._queue.members()

    def advice(self) -> str:
        """Return a sentence on what the server's operator should mend, "" for nothing.

        Raises: StoreBusy.
        """
        self._read()
        assert self._reader is not None
        return self._reader.warning

    def see(self) -> Seen:
        """Return the server's identity and clock, and the marks. Raises: StoreBusy."""
        return self._read().see()

    def revoke(self, words: Mapping[str, Word], wait_seconds: float) -> tuple[str, int, int]:
        """Revoke logins, of whichever filter, see `Commands.forget`; return which server has that,
        and how many of how many replicas.

        Raises: StoreBusy.
        """
        link = self._read()
        server = link.see().server
        link.forget(self._name, words)
        return server, *link.copies(wait_seconds)

    def is_still_master(self, server: str) -> bool:
        """Return whether `server`, of `revoke`, is where a new connection finds the map.

        One that was replaced a moment ago does not know it, and has lost its replicas.

        Raises: StoreBusy.
        """
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        return self.see().server == server

    def retire(self, name: str, mark: bytes, wait_seconds: float) -> tuple[int, int]:
        """Set the mark of a member that is gone; return as `revoke`. Raises: StoreBusy."""
        link = self._read()
        link.mark(name, mark)
        return link.copies(wait_seconds)

    # ------------------------------------------------------------------ start and end

    def damaged(self) -> str | None:
        """Return None: readers check each entry."""
        return None

    def mark_clean(self, of: str) -> None:
        """Wait until all changes have been sent."""
        self.flush()

    def was_clean(self, of: str) -> bool:
        """Return False: the whole state is sent at each start, as Redis may have lost some."""
        return False

    def exists(self) -> bool:
        """Return, at start, whether a filter of our name has written here.

        Waits for Redis, `TIMEOUT_SECONDS` at the most for each answer, and until it is certain that
        no other filter of our name runs.
        """
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
        """Return False, see `was_clean`."""
        return False

    def journal_position(self) -> str:
        """Return that nobody knows it."""
        return ""

    def close(self) -> None:
        """See `AddressMap`."""
        self._sender.close()
        if self._reader is not None:
            self._reader.close()
