"""The address map in Redis, for the lookups of many hosts; several filters may write to one.

Nothing here waits for the network: what is to be written is kept, the newest value of each address,
and a thread of its own sends it. So lines are acknowledged by the journal alone, whatever Redis
does; what it has not taken when the filter ends the next one sends, because at its start all of the
living state is sent.

* **The whole state is sent again** to a server that may lack some of it: one that we never sent it
  to, one that was restarted, and a replica that became the master (replication is asynchronous).
  All of these have another replication id. `should_rebuild` asks for it.
* **Each filter has one field in the hash of an address**, so that filters never overwrite or end
  what another one knows. Redis itself ends the key when the last of its values has.
* **A marker** (`PREFIX!filters`, one field a filter) with the replication id is set when the server
  has everything, and renewed; lookups believe a "not there" by it. After that, fields of our name
  that we know nothing of are removed (a `--forget` which an earlier run could not send).
* **Memory is bounded**: while Redis is away, changes beyond `MAX_WAITING` are dropped for the whole
  state, which is then sent when it is back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

from ..errors import PbsFilterError, StoreBusy, StoreDamaged
from ..map_format.redis_url import Location
from .address_map import Behind
from .redis_client import Link, library, password

BATCH = 500
"""Addresses in one round trip: some ten milliseconds."""
MAX_WAITING = 100_000
"""Changes that are kept one by one while Redis is away; some 300 bytes each."""
RETRY_SECONDS = 1.0
RENEW_SECONDS = 2.0
"""How often the marker is renewed, and the server asked who it is."""
SAY_SECONDS = 60.0
FLUSH_SECONDS = 3.5
"""How long an orderly end waits for what is unsent: rsyslog kills us after five seconds."""
READ_ADDRESSES = 500


class _Whole:
    """A whole state on its way to one server."""

    def __init__(self, server: str) -> None:
        self.server = server
        """Its replication ids; "": not known yet, and nothing was sent."""
        self.claimed = False
        self.complete = False
        """All of it has been handed over."""
        self.ahead: int | None = None
        """Changes that waited when the last of it had been sent, and still do."""


class RedisMap:
    """An `AddressMap`; see there. Reading starts no thread, and waits for the network.

    Args:
        location: where it is.
        name: of this filter; no other one may have it.
        say: takes a sentence the operator should read; called by the thread.
        ends: when a value ends, seconds since the epoch.
        genuine: whether a value belongs to its address.

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
    ) -> None:
        library()
        password(location.password_file)
        password(location.sentinel_password_file)
        self._location = location
        self._name = name
        self._say = say
        self._ends = ends
        self._genuine = genuine
        self._reader: Link | None = None
        self._thread: threading.Thread | None = None
        # What both threads use, under this lock:
        self._changed = threading.Condition()
        self._fresh: dict[str, bytes | None] = {}
        """Changes that wait, the oldest first."""
        self._again: dict[str, bytes | None] = {}
        """The whole state, as far as it waits; it lets the changes pass."""
        self._sending = 0
        self._whole: _Whole | None = None
        self._known: set[str] | None = None
        """While a whole state is sent, and until the fields of others were removed: what is in it.
        """
        self._server = ""
        """The replication ids of the connected server; "": there is none."""
        self._synced = ""
        """The ids of the server that has everything."""
        self._trouble = ""
        self._away_since: int | None = None
        self._closing = False
        # The thread's own:
        self._nodes: tuple[tuple[str, int], ...] = ()
        self._slices: Iterator[list[str]] | None = None
        self._mark = ""
        self._renew_at = 0.0
        self._said: dict[str, float] = {}
        """What was said, and when."""

    # ------------------------------------------------------------------ writing

    def mark_incomplete(self) -> None:
        """Nothing: what lookups believe here is told by the markers."""

    def give_up(self, why: str) -> None:
        """Nothing: `begin_rebuild` sends the whole state again."""

    def write(self, changes: Mapping[str, bytes | None], *, complete: bool = True) -> None:
        """See `AddressMap`. It is taken note of; `get`, `count` and `mark_clean` wait for it."""
        with self._changed:
            for address, value in changes.items():
                self._again.pop(address, None)
                self._fresh[address] = value
                if self._known is not None:
                    if value is None:
                        self._known.discard(address)
                    else:
                        self._known.add(address)
            self._bound()
            self._wake()

    def _wake(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="pbs-filter redis", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # no more threads for this account: the next call tries
                self._note(f"the map {self._location.text!r} cannot be written: {error}")
                return
            self._thread = thread
        self._changed.notify_all()

    def _bound(self) -> None:
        if self._trouble and len(self._fresh) + len(self._again) > MAX_WAITING:
            self._fresh.clear()
            self._void()

    def _void(self) -> None:
        """The server lacks something, and nobody knows what: all must be sent again."""
        self._again.clear()
        self._whole = self._known = None
        self._synced = ""

    def behind(self) -> Behind | None:
        """See `AddressMap`."""
        with self._changed:
            waiting = len(self._fresh) + len(self._again) + self._sending
            lacks = not self._synced and self._whole is None
            if not (waiting or lacks or self._trouble):
                return None
            return Behind(None if lacks else waiting, self._away_since, self._trouble)

    # ------------------------------------------------------------------ the whole state

    def should_rebuild(self, live: int) -> bool:
        """See `AddressMap`: whether the server may lack something."""
        with self._changed:
            return bool(self._server) and self._server != self._synced and self._whole is None

    def rebuild(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """See `AddressMap`. Nothing waits for Redis to take it."""
        with self._changed:  # so that nothing goes wrong in between
            self.begin_rebuild()
            self.rebuild_step(entries)
            self.finish_rebuild()

    def begin_rebuild(self) -> None:
        """See `AddressMap`: the whole state is sent again."""
        with self._changed:
            if self._trouble:
                raise StoreBusy(self._trouble)
            self._again.clear()
            self._whole = _Whole(self._server)
            self._known = {address for address, value in self._fresh.items() if value is not None}
            self._wake()

    def rebuild_step(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """See `AddressMap`."""
        with self._changed:
            self._going_on()
            assert self._known is not None
            for address, value in entries:
                self._known.add(address)
                (self._fresh if address in self._fresh else self._again)[address] = value
            self._bound()
            self._changed.notify_all()

    def finish_rebuild(self, wait_seconds: float = 0.0) -> bool:
        """See `AddressMap`."""
        with self._changed:
            self._going_on().complete = True
            self._changed.notify_all()
        return True

    def _going_on(self) -> _Whole:
        if self._whole is None:
            raise StoreBusy(
                self._trouble
                or f"the map {self._location.text!r} has moved to another server meanwhile"
            )
        return self._whole

    def abort_rebuild(self) -> None:
        """See `AddressMap`. What has been handed over completely is sent all the same."""
        with self._changed:
            if self._whole is not None and not self._whole.complete:
                self._again.clear()
                self._whole = self._known = None

    # ------------------------------------------------------------------ the thread

    def _run(self) -> None:
        while not self._closing:
            link = None
            try:
                link = Link(self._location, f"pbs-filter-{self._name}", self._nodes)
                self._connected(link)
                while (job := self._next()) is not None:
                    job(link)
            except Exception as error:  # whatever redis-py does: the state is ours, begin again
                # Only our own words: a library's may hold a password.
                ours = isinstance(error, PbsFilterError)
                self._lost(str(error) if ours else f"redis-py failed with {type(error).__name__}")
            finally:
                if link is not None:
                    link.close()

    def _connected(self, link: Link) -> None:
        self._nodes = link.nodes or self._nodes
        self._slices = None
        self._renew_at = time.monotonic() + RENEW_SECONDS
        if link.warning:
            self._once("warning", link.warning)
        server = link.identity()
        with self._changed:
            self._trouble, self._away_since = "", None
            waiting = len(self._fresh)
        self._see(server)
        if self._said.pop("away", None) is not None:
            self._say(f"the map {self._location.text!r} is there again; {waiting} changes waited")

    def _see(self, server: str) -> None:
        """We are connected to the server with these ids."""
        with self._changed:
            if self._synced and self._synced != server:
                self._say(
                    f"the map {self._location.text!r} is on another server, or was restarted: all "
                    "of the state is sent again"
                )
                self._synced = ""
            self._server = server
            whole = self._whole
            if whole is not None and whole.server != server:
                if whole.server:
                    self._void()
                else:
                    whole.server = server

    def _lost(self, why: str) -> None:
        self._note(why)
        with self._changed:
            self._changed.wait_for(lambda: self._closing, RETRY_SECONDS)

    def _note(self, why: str) -> None:
        """Redis is away."""
        with self._changed:
            self._trouble = why
            self._server = ""
            if self._away_since is None:
                self._away_since = int(time.time())
            self._bound()
            self._changed.notify_all()
        self._once(
            "away", f"{why}; logins are kept and sent later, lookups elsewhere do not see them"
        )

    def _once(self, key: str, text: str) -> None:
        """Say `text`, unless something with this key was said within `SAY_SECONDS`."""
        now = time.monotonic()
        if now - self._said.get(key, -SAY_SECONDS) >= SAY_SECONDS:
            self._said[key] = now
            self._say(text)

    def _next(self) -> Callable[[Link], None] | None:
        """What is to be done next; None: nothing any more."""
        with self._changed:
            while not self._closing:
                now = time.monotonic()
                whole = self._whole
                if whole is not None and not whole.claimed:
                    return self._claim
                if now >= self._renew_at:
                    return self._renew
                if whole is not None and whole.complete and not self._again:
                    # More may come for ever, so it is not waited until there are none.
                    if whole.ahead is None:
                        whole.ahead = len(self._fresh)
                    if whole.ahead <= 0:
                        return self._finish
                if self._fresh or self._again:
                    return self._send
                if whole is None and self._known is not None:
                    return self._sweep
                self._changed.wait(self._renew_at - now)
            return None

    def _claim(self, link: Link) -> None:
        link.claim(self._name)
        with self._changed:
            if self._whole is not None:
                self._whole.server = self._whole.server or self._server
                self._whole.claimed = True

    def _send(self, link: Link) -> None:
        with self._changed:
            fresh = {a: self._fresh.pop(a) for a in list(islice(self._fresh, BATCH))}
            again: dict[str, bytes | None] = {}
            while self._again and len(fresh) + len(again) < BATCH:
                # Not the oldest: to find the first key of a dict that lost many takes long.
                address, value = self._again.popitem()
                again[address] = value
            self._sending = len(fresh) + len(again)
            whole = self._whole
            if whole is not None and whole.ahead is not None:
                whole.ahead -= len(fresh)
        now = time.time()
        values = {}
        for address, value in (*again.items(), *fresh.items()):
            end = 0 if value is None else self._ends(value)
            # What has ended must not end the key under other filters' fields.
            values[address] = (value, end) if value is not None and end > now else None
        try:
            wrong = link.write(self._name, values)
        except BaseException:
            with self._changed:
                self._fresh = {**fresh, **self._fresh}
                if whole is not None and whole is self._whole:  # else it was given up
                    whole.ahead = None
                    for address, value in again.items():
                        if address not in self._fresh:
                            self._again.setdefault(address, value)
            raise
        finally:
            with self._changed:
                self._sending = 0
                self._changed.notify_all()
        if wrong:
            self._once(
                "wrong",
                f"the map {self._location.text!r}: the key of {wrong[0]} is not a hash, so it was "
                "not made by a filter; remove it, or choose another prefix",
            )

    def _finish(self, link: Link) -> None:
        """The server has everything: say so to the lookups."""
        whole = self._whole
        server = link.identity()
        self._see(server)
        if self._whole is not whole:
            return  # it went to another server
        self._mark = f"{int(time.time())} {server}"
        there = link.mark(self._name, self._mark)
        with self._changed:
            if self._whole is not whole:
                return  # another one has been begun
            if there:
                self._whole = None
                self._synced = server
                self._slices = None
            else:
                self._void()
            self._changed.notify_all()

    def _renew(self, link: Link) -> None:
        self._renew_at = time.monotonic() + RENEW_SECONDS
        server = link.identity()
        self._see(server)
        with self._changed:
            if self._synced != server:
                return
        seen = link.marked(self._name)
        if seen is not None and seen != self._mark:
            self._once(
                "name",
                f"the map {self._location.text!r}: another filter writes as {self._name!r} and "
                "removes our entries; give each its own redis_name",
            )
        mark = f"{int(time.time())} {server}"
        if seen is None or not link.mark(self._name, mark):
            self._say(
                f"the map {self._location.text!r} was emptied; all of the state is sent again"
            )
            with self._changed:
                self._void()
            return
        self._mark = mark

    def _sweep(self, link: Link) -> None:
        """Remove the next of the fields that have our name and that we know nothing of."""
        if self._slices is None:
            self._slices = link.addresses()
        addresses = next(self._slices, None)
        with self._changed:
            known = self._known
            if addresses is None or known is None:
                self._known = self._slices = None
                self._changed.notify_all()
                return
            strangers = [address for address in addresses if address not in known]
        link.write(self._name, dict.fromkeys(strangers))

    # ------------------------------------------------------------------ reading

    def _read(self) -> Link:
        """A connection of the caller's own, when everything has been sent."""
        self.flush()
        if self._reader is None:
            self._reader = Link(self._location, f"pbs-filter-{self._name}")
        return self._reader

    def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Wait until Redis has everything. Raises: StoreBusy, at once where it is away."""
        with self._changed:
            if self._thread is None:
                return

            def idle() -> bool:
                if self._fresh or self._again or self._sending or self._closing:
                    return False
                # A whole state that is just being handed over is for later.
                coming = self._whole is not None and not self._whole.complete
                over = self._whole is None and self._known is None
                return (coming or over) and self._synced == self._server != ""

            self._changed.wait_for(lambda: idle() or self._trouble, seconds)
            if not idle():
                raise StoreBusy(
                    self._trouble
                    or f"the map {self._location.text!r} has not taken everything in {seconds:g} s"
                )

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
            for start in range(0, len(addresses), READ_ADDRESSES):
                some = addresses[start : start + READ_ADDRESSES]
                for one, fields in zip(some, link.fields(some), strict=True):
                    if fields:
                        yield one, fields

    def forget(self, address: str, at: int, until: int) -> None:
        """Let no login from `address` up to the second `at` count any more, whichever filter it
        was; nobody sends one after `until`. Raises: StoreBusy."""
        link = self._read()
        link.forget(address, at, until)

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
        """At start: a filter of our name has written here. Waits for Redis, `TIMEOUT_SECONDS` at
        the most for each answer."""
        try:
            return self._read().marked(self._name) is not None
        except StoreBusy as error:
            self._say(str(error))
            return False

    def in_order(self) -> bool:
        """Never believed, see `was_clean`."""
        return False

    def close(self) -> None:
        """See `AddressMap`."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            # One that waits for a hung server is left behind: it holds nothing that matters.
            self._thread.join(0 if self._trouble else 1)
        if self._reader is not None:
            self._reader.close()
