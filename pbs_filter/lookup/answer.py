"""Answers one question: may this address relay now? Yes, no, or "not now".

Nothing here says YES on trouble, and trouble is not NO either: the MTA must be able to say "try
again" to somebody who may relay.

Start-up time decides what is imported: no `socket`, `signal`, `typing` (each costs milliseconds),
but the C modules below them.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import time

from ..errors import ConfigError, PbsFilterError, StoreDamaged, StoreLocked
from ..map_format import check
from ..map_format.gdbm_reader import GdbmReader, patiently
from .address import canonical
from .counts import Counts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from ..log import Reporter

    class Reader(Protocol):
        """The face of a map for lookups."""

        def get(self, address: str) -> bytes | None:
            """Return the value of a canonical address, None where it is certain there is none.

            Raises:
                StoreLocked: another attempt within milliseconds may succeed.
                PbsFilterError: the map cannot say.
            """

        def entries(self, address: str) -> list[tuple[bytes, bytes]]:
            """Return key and value of `address`, and those of its users if it has several."""

    Owns = Callable[[str, bytes], bool]
    """(user, sender): may the user send as `sender`?"""

YES, NO, NOT_NOW = "yes", "no", "not now"
SAME_CLOCK_SECONDS = 5.0
"""A clock that goes on by as much while a map is read was set."""

DEFAULT_MAP = "/var/lib/pbs-filter/map.gdbm"
HANG_SECONDS = 1.5
"""An attempt that takes longer ends the process (see `Guarded`)."""


def open_reader(*locations: str, members: str = "", log: Reporter | None = None) -> Reader:
    """Return the reader for the map at `locations`: the path of a GDBM file, or places in Redis.

    Several places are servers with the same map, asked in this order until one can say.

    Args:
        members: the directory of a file that remembers who writes to a map in Redis; empty: none.
        log: takes trouble with that file.

    Raises:
        ConfigError: there is no reader for that.
    """
    files = [location for location in locations if "://" not in location]
    if files and members:
        raise ConfigError(f"--members is for a map in Redis, and the map {files[0]!r} is a file")
    if len(locations) == 1 and files:
        return GdbmReader(files[0])
    if files:
        raise ConfigError(
            f"map {files[0]!r} is a file, and a map in a file is alone; give it without "
            "the others, or several maps in Redis"
        )
    from .redis_reader import RedisReader

    if not members or log is None:
        return RedisReader(locations)
    from .known_members import KnownMembers

    return RedisReader(locations, known=KnownMembers(members, locations, log.once))


class Guarded:
    """A reader that ends the process (SIGALRM) where an answer takes HANG_SECONDS.

    The MTA takes a lost connection for "not now", at once, where a hung one costs it 100 seconds.
    Nothing gentler works: a file system that hangs does so inside GDBM, with Python's lock held.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, address: str) -> bytes | None:
        """See `Reader.get`."""
        _signal.setitimer(_signal.ITIMER_REAL, HANG_SECONDS)
        try:
            return self._reader.get(address)
        finally:
            _signal.setitimer(_signal.ITIMER_REAL, 0)

    def entries(self, address: str) -> list[tuple[bytes, bytes]]:
        """See `Reader.entries`."""
        _signal.setitimer(_signal.ITIMER_REAL, HANG_SECONDS)
        try:
            return self._reader.entries(address)
        finally:
            _signal.setitimer(_signal.ITIMER_REAL, 0)


class Lookup:
    """Answers questions from one map, with the sender binding where there is one."""

    def __init__(
        self,
        reader: Reader,
        *,
        ipv6_prefix: int = 128,
        owns: Owns | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._reader = reader
        self._now = now
        self._ipv6_prefix = ipv6_prefix
        self._owns = owns
        self.trouble = ""
        """The cause of the last NOT_NOW, for logs."""
        self.counts = Counts()
        self.grant: check.Grant | None = None
        """The login behind the last YES."""
        self.allowed = ""
        """The key of its address in the map."""

    def attempt(self, address: bytes, sender: bytes | None, now: float | None = None) -> str:
        """Return YES, NO or NOT_NOW for `address` at `now` (seconds since the epoch; None: now).

        `sender` counts where senders are bound to users, and then None belongs to nobody.

        Raises:
            StoreLocked: another attempt may succeed. Nothing else is raised.
        """
        try:
            canonical_address = canonical(address, self._ipv6_prefix)
            if canonical_address is None:
                return NO
            key = canonical_address.encode("ascii")
            before = self._now() if now is None else now
            entries = self._entries(canonical_address, key)
            at = self._now() if now is None else now
            if not entries:
                return NO
            if not self._is_current(*entries[0], at):
                return self._no_by_one_clock(before, at)
            self.allowed = canonical_address
            if self._owns is None:
                self.grant = check.Grant(entries[0][1])
                return YES
            # Each user of the address has his own end. One user has no key of his own.
            for user_key, value in entries[1:] or entries:
                if not self._is_current(user_key, value, at) or sender is None:
                    continue
                grant = check.Grant(value)
                if not grant.is_cut and self._owns(grant.user, sender):
                    self.grant = grant
                    return YES
            return self._no_by_one_clock(before, at)
        except StoreLocked:
            raise
        except (PbsFilterError, OSError, MemoryError) as error:
            self.trouble = str(error) or type(error).__name__
            return NOT_NOW

    def _entries(self, address: str, key: bytes) -> list[tuple[bytes, bytes]]:
        """Return key and value of `address`; where senders are bound, those of its users, too."""
        if self._owns is not None:
            return self._reader.entries(address)
        value = self._reader.get(address)
        return [] if value is None else [(key, value)]

    @staticmethod
    def _no_by_one_clock(before: float, at: float) -> str:
        """Return NO, unless the clock was set between the question and its answer.

        Raises:
            StoreLocked: it was; the entry was told by the old clock, and judged by the new one.
        """
        if not 0 <= at - before < SAME_CLOCK_SECONDS:
            raise StoreLocked("the clock was set while the map was read")
        return NO

    @staticmethod
    def _is_current(key: bytes, value: bytes, now: float) -> bool:
        """Return whether `value` authorises at `now`.

        Raises:
            StoreDamaged: it is damaged.
        """
        if check.is_current(key, value, now):
            return True
        if not check.is_intact(key, value):
            raise StoreDamaged(f"the entry of {key.decode()} is damaged")
        return False

    def count(self, protocol: str, answer: str, mta: str = "") -> None:
        """Count the `answer` that was given last: see `Counts.add`."""
        self.counts.add(protocol, answer, self.allowed, mta)

    def ask(
        self, address: bytes, sender: bytes | None = None, patience: float | None = None
    ) -> str:
        """Return what `attempt` says now; ask again while a writer holds the map, until `patience`.

        `patience` is a time of `time.monotonic()`, by default PATIENCE_SECONDS from now.
        """
        try:
            return patiently(lambda: self.attempt(address, sender), patience)
        except StoreLocked as error:
            return self.give_up(address, error)

    def give_up(self, _address: bytes, error: StoreLocked) -> str:
        """Return the answer to a question that has waited long enough for a writer."""
        self.trouble = str(error)
        return NOT_NOW


class ShadowLookup(Lookup):
    """Answers NO to every question, and logs what it would have answered: to try it out."""

    log: Reporter

    def attempt(self, address: bytes, sender: bytes | None, now: float | None = None) -> str:
        """See `Lookup.attempt`."""
        verdict = super().attempt(address, sender, now)
        if verdict == YES:
            assert self.grant is not None
            self._report(address, f"would have allowed it (user {self.grant.user!r})")
        elif verdict == NOT_NOW:
            self._report(address, f'would have answered "not now": {self.trouble}')
        return NO

    def give_up(self, address: bytes, error: StoreLocked) -> str:
        """See `Lookup.give_up`."""
        self._report(address, f'would have answered "not now": {error}')
        return NO

    def _report(self, address: bytes, text: str) -> None:
        shown = address[:60].decode("ascii", "replace")
        self.log.once(f"shadow {shown} {text}", f"shadow: {shown}: {text}")
