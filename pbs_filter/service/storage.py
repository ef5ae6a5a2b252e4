"""The store of one filter, opened (edge): its lock, its journal, and the map that lookups read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .. import clock, files, privileges
from ..authorisation.erasure import mentions
from ..clock import Clock
from ..config.options import DAY, Config
from ..errors import StoreBusy
from ..log import Log
from ..map_format import redis_url
from ..map_format.check import is_intact
from ..map_format.map_clock import clock_lines, line_with_sum
from ..store import history
from ..store.address_map import AddressMap
from ..store.journal import BORN, Journal
from ..store.journal_lines import bytes_at
from ..store.lock import Lock
from ..store.memory_map import MemoryMap
from ..text import counted
from . import site
from .salvage import NOTHING, salvage

if TYPE_CHECKING:
    from ..authorisation.state import State
    from ..store.gdbm_map import GdbmMap
    from ..store.redis_map import RedisMap

LOCK_SECONDS = 600
"""How long a second filter waits for the first: daemons overlap by seconds when they reload, and a
filter that leaves gives its store up to four seconds."""


def map_of(
    config: Config,
    say: Callable[[str], None] = lambda _sentence: None,
    on_replace: Callable[[int], None] = lambda _inode: None,
    position: Callable[[], str] = str,
) -> GdbmMap | RedisMap:
    """Return the map of `config`. Reading it needs no right but that.

    Raises:
        ConfigError: this Python has no GDBM, or no redis-py; there is no such group; a password
            file is not as it should be.
    """
    if not redis_url.is_redis(config.map):
        from ..store.gdbm_map import GdbmMap

        return GdbmMap(
            config.map,
            flock=config.flock,
            group=config.group,
            say=say,
            genuine=_is_genuine,
            on_replace=on_replace,
            position=position,
        )
    return redis_map_of(config, say)


def redis_map_of(config: Config, say: Callable[[str], None] = lambda _sentence: None) -> RedisMap:
    """Return the map of `config`, which is in Redis.

    Raises:
        ConfigError: as `map_of`.
    """
    from ..store.redis_map import RedisMap
    from ..store.redis_nodes import KnownNodes

    return RedisMap(
        redis_url.parse(config.map),
        config.redis_name or os.uname().nodename,
        say=say,
        ends=lambda value: int(value[:10]),
        genuine=_is_genuine,
        longest_seconds=config.longest_seconds,
        known=KnownNodes(f"{config.files}.nodes", config.map, config.group, say),
    )


def _is_genuine(address: str, value: bytes) -> bool:
    return is_intact(address.encode("ascii", "replace"), value)


class Storage:
    """Lock, journal and map of one filter, opened: the ledger is what it was.

    Args:
        config: which files.
        state: becomes what it was.
        say: takes what the operator should know.
        keep_alive: called about once a second while this takes long.
        lock_seconds: how long another filter may have the store.
        give_up: asked about once a second meanwhile, whether it is no longer needed.

    Raises:
        StoreBusy: another filter has it, or the files cannot be used now.
        ConfigError: the files are not fit to be used (whose they are, who may write them).
    """

    def __init__(
        self,
        config: Config,
        state: State,
        say: Callable[[str], None],
        keep_alive: Callable[[], None] = lambda: None,
        *,
        lock_seconds: float = LOCK_SECONDS,
        give_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self._say = say
        self._lock: Lock | None = None
        self.journal: Journal | None = None
        self.map: AddressMap = MemoryMap()
        self.state = state
        self._config = config
        self.clock = Clock()
        self._clock_marks: tuple[int, ...] = ()
        """Inode, size and time of `PATH.clock` as it was written last."""
        self._clock_trouble = False
        """That it cannot be written was said."""
        self._is_open = True
        if not config.write:
            return
        files.check_directory(os.path.dirname(config.files) or ".", privileges.others(config))
        files.check_not_anothers(config.map, (config.journal, f"{config.map}.state"))
        self._lock = Lock(config.lock, group=config.group)
        lock = self._lock
        waiting = _once(lambda: say(f"waiting: {lock.holder()} holds {config.lock!r}"))

        def wait() -> None:
            waiting()
            keep_alive()
            if give_up():
                raise StoreBusy(f"the input ended while {lock.holder()} held {config.lock!r}")

        self._lock.acquire(lock_seconds, wait)
        try:
            self._open(config, keep_alive)
        except BaseException:
            self.release()
            raise

    def _open(self, config: Config, keep_alive: Callable[[], None]) -> None:
        state = self.state
        self.journal = journal = Journal(
            config.journal,
            say=self._say,
            group=config.group,
            history_seconds=config.history_days * DAY,
        )
        self.map = address_map = map_of(config, self._say, self._new_map, lambda: journal.position)
        stamp = ""
        unknown = 0
        for number, payload in enumerate(self.journal.replay()):
            if payload.startswith(clock.STAMP + "\t"):
                # What was told before is in the time of another clock.
                self._shift(clock.between(stamp, payload))
                stamp = payload
            elif payload.startswith(BORN + "\t"):
                self.journal.born_epoch = int(payload.partition("\t")[2])
            elif not state.apply(payload):
                unknown += 1
            if number % 100_000 == 99_999:
                keep_alive()
        if unknown:
            self._say(
                f"{config.journal!r}: this version does not know {counted(unknown, 'line')} of it"
            )
        step = self.clock.resume(stamp)
        if step:
            self._say(f"the clock was set by {counted(step, 'second')} while no filter was running")
            self._shift(step)
        position = "" if journal.lost_lines else journal.position
        clean = not step and self.map.was_clean(position)
        journal.bytes_known = bytes_at(address_map.journal_position())
        found = NOTHING
        if not clean:
            found = salvage(
                state, journal, address_map, self._map_stamp(), step, self.clock, self._say
            )
        state.restored(self.clock.now())
        recovered = []
        if found.is_all:
            journal.is_outdone, journal.born_epoch = True, None
            recovered = [self.clock.stamp(), *state.live_payloads()]
        elif found.keys or step or clock.is_of_another_boot(stamp):
            # With a stamp also where nothing was found: after a power cut nobody could know of it,
            # nor, in another start of the machine, of a clock that is set before the next login.
            state.tell_again(found.keys)
            recovered = [self.clock.stamp(), *state.journal_payloads()]
            state.journaled()
        shared_map = site.shared(config, address_map)
        is_new = shared_map is not None and state.site.name(os.urandom(8).hex())
        if self.journal.born_epoch is None:
            recovered.append(self.journal.birth(self.clock.now()))
        journal.start(recovered, anew=found.is_all or bool(found.keys))
        self.tidy()
        self.journal.append(state.site.journal_payloads())
        state.site.journaled()
        if shared_map is not None:
            shared_map.join(
                state.site.instance,
                is_new=is_new,
                words=state.site.words,
                newest_login=max((a.last for a in state.ledger.authorisations.values()), default=0),
            )
        if not clean:
            keep_alive()
            self.map.rebuild(state.map_values())
            state.map_forgotten()
        self.tell_clock()

    def tidy(self) -> None:
        """Remove the copies of damaged files that are older than the history."""
        try:
            self._remove_copies(self.clock.now() - self._config.history_days * DAY)
        except StoreBusy as error:
            self._say(str(error))

    def erase_history(self, request: Mapping[str, Any]) -> None:
        """Take whom `request` names out of what is kept for people.

        Raises:
            StoreBusy: it cannot be done now.
        """
        if self.journal is None:
            return
        user, address = str(request.get("user", "")), str(request.get("address", ""))
        config = self._config
        speaks_of = mentions(user=user, address=address)
        history.erase(config.journal, speaks_of, gid=files.gid_of(config.group))
        self._remove_copies(self.clock.now() + DAY)

    def _remove_copies(self, before_epoch: int) -> None:
        for path in {self._config.journal, self._config.files}:
            history.remove_copies(path, before_epoch)

    def _shift(self, step: int) -> None:
        if step:
            self.state.shift(step)

    # ------------------------------------------------------------------ the map's clock

    def _map_stamp(self) -> str:
        """Return the clock by which the times in the map are told, as `Clock.stamp` has it;
        empty where that is not known."""
        try:
            inode = os.stat(self._config.map).st_ino
        except OSError:
            return ""
        for offset, boot, number in clock_lines(self._config.map + ".clock"):
            if number in (b"", b"%d" % inode):  # 0.1.0 named none
                return f"{clock.STAMP}\t{offset.decode()}\t{boot.decode('ascii', 'replace')}"
        return ""

    def _new_map(self, inode: int) -> None:
        """The file `inode` is about to become the map: whoever looks finds the clock of either."""
        self._write_clock(self._map_stamp(), inode)

    def tell_clock(self) -> None:
        """Let readers know the clock by which the map's times are told.

        Without it they cannot see that the clock was set. With an old one they answer no earlier
        than they should.
        """
        try:
            self._write_clock("", os.stat(self._config.map).st_ino)
        except OSError:
            pass  # it is made again

    def keep_clock(self) -> None:
        """Write `PATH.clock` again if somebody removed or changed it: without it lookups say "not
        now" to everybody who may relay."""
        if self._clock_marks and self._clock_marks != _marks(self._config.map + ".clock"):
            if not self._clock_trouble:  # else it is tried each second
                path = self._config.map + ".clock"
                self._say(f"{path!r} was removed or changed; it is written again")
            self.tell_clock()

    def _write_clock(self, old: str, inode: int) -> None:
        """Write `PATH.clock`: a line (see `MapClock`) for the map's file, and one for the file that
        it had before, whose stamp was `old`."""
        config = self._config
        if config.files != config.map:
            return  # hosts in many places read the map, each by its own clock
        path = config.map + ".clock"
        lines = [f"{self.clock.offset:.3f} {clock.boot_id() or '-'} {inode}"]
        try:
            if old:
                _, offset, boot = old.split("\t")
                lines.insert(0, f"{offset} {boot} {os.stat(config.map).st_ino}")
            content = b"".join(line_with_sum(line.encode()) for line in lines)
            files.write_anew(path, content, 0o640, files.gid_of(config.group))
            self._clock_marks = _marks(path)
            self._clock_trouble = False
        except OSError as error:
            if not self._clock_trouble:
                self._say(str(files.busy("write", path, error)))
            self._clock_trouble = True

    def close(self, *, clean: bool) -> None:
        """The end: with `clean` (all of it is in the map) the next start trusts the map."""
        try:
            if clean and self.journal is not None:
                self.map.mark_clean(self.journal.position)
        except StoreBusy as error:
            self._say(f"{error}; the next start makes the map again")
        self._leave(cut=True)

    def _leave(self, *, cut: bool) -> None:
        if self._is_open:
            self._is_open = False
            self.map.close()
            if self.journal is not None:
                self.journal.close(cut=cut)

    def release(self) -> None:
        """Give the lock up, and before that the files, as they are, if they have not been closed:
        a filter that cannot start tries again in one process, for days."""
        self._leave(cut=False)
        if self._lock is not None:
            self._lock.release()


def _marks(path: str) -> tuple[int, ...]:
    """Return what a change of the file changes; zeros where it is missing."""
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return status.st_ino, status.st_size, status.st_mtime_ns


def log_of(config: Config) -> Log:
    """Return the log as it is configured."""
    return Log(
        config.logto,
        level="debug" if config.debug else config.log_level,
        as_json=config.log_format == "json",
        nowrite=not config.write,
    )


def _once(say: Callable[[], None]) -> Callable[[], None]:
    """Return `say`, the first time it is called."""
    left = [say]
    return lambda: left.pop()() if left else None
