"""The life of a filter (edge): start, run, reload, end.

Started by a syslog daemon, so: it may be started twice at once (the lock waits), its environment
and signals belong to the daemon, and while it starts nobody is told that it is ready.
"""

from __future__ import annotations

import contextlib
import gc
import grp
import os
import pwd
import select
import signal
import stat
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import assemble, clock, omprog, redis_location, requests
from .clock import Clock
from .config import Config
from .control import Control
from .cursor import Cursor
from .errors import ConfigError, PbsFilterError, StoreBusy, StoreDamaged
from .exporter import Exporter
from .feed import Feed
from .filter import Filter
from .keeper import Keeper
from .living import whole
from .log import Log
from .metrics_file import MetricsFile
from .sight import Sight
from .store import AddressMap, files
from .store.journal import Journal
from .store.lock import Lock
from .store.memory import MemoryMap
from .value import decode

if TYPE_CHECKING:
    from .store.gdbm import GdbmMap
    from .store.redis import RedisMap

RETRY_SECONDS = 10
LOCK_SECONDS = 600
"""How long a second filter waits for the first: daemons overlap by seconds when they reload, and a
filter that leaves gives its store up to four seconds."""
FOREIGN = (
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
)


def run(
    make_config: Callable[[], Config], *, retry: bool, logto: str = "", cursor_path: str = ""
) -> int:
    """Filter stdin until end of input; the exit status.

    Args:
        make_config: reads the configuration; called again for each attempt and on SIGHUP.
        retry: when the start fails, try again inside until the input ends.
        logto: where to say that, while no configuration can be read that tells.
        cursor_path: keep here how far the journal of systemd has been taken; empty: do not.

    Raises:
        PbsFilterError: the start failed (with `retry`: only when the input has ended).
    """
    for name in FOREIGN:
        os.environ.pop(name, None)  # systemd's words are for the daemon that started us
    # Until the feed listens to them: the daemon's stop and rotation signals must not kill us.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    log = Log(logto if logto.startswith("/") else "")
    while True:
        try:
            return _run(make_config, cursor_path)
        except PbsFilterError as error:
            if not retry:
                raise
            with contextlib.suppress(PbsFilterError):
                logto = make_config().logto
            log.path = logto
            log.reopen()
            log.say(f"{error}; trying again in {RETRY_SECONDS} seconds")
            status = error.exit_status
        # What --confirm says may be in the configuration that cannot be read.
        if _input_ended(RETRY_SECONDS, _keep_alive if confirming("auto") else _silence):
            return status


def _input_ended(seconds: float, keep_alive: Callable[[], None]) -> bool:
    """Wait, and say each second that we do; whether the input ended meanwhile with nothing left."""
    poller = select.poll()
    poller.register(0, 0)
    end = time.monotonic() + seconds
    while (rest := end - time.monotonic()) > 0:
        keep_alive()
        if poller.poll(min(rest, 1.0) * 1000):
            poller.modify(0, select.POLLIN)
            return not any(event & select.POLLIN for _, event in poller.poll(0))
    return False


def _run(make_config: Callable[[], Config], cursor_path: str) -> int:
    config = make_config()
    os.umask(0o027)
    log = Log(config.logto, debug=config.debug)
    confirm = confirming(config.confirm)
    if confirm and config.logto == "-":
        raise ConfigError(
            "logto '-' is stdout, which belongs to the replies while confirming; log to a file"
        )
    become(config, log.say)
    if os.isatty(0):
        log.say(
            "reading mail log lines from this terminal, until Ctrl-D. A syslog daemon should pipe "
            "them in: see rsyslog/ and syslog-ng/; for one thing at a time see pbs-filter --help"
        )
    filter_ = assemble.filter_of(config, log.say)
    # Until the feed runs: all that the store brings stays, and nothing in it is a cycle.
    gc.disable()
    store = Store(config, filter_, log.say, _keep_alive if confirm else _silence)
    try:
        reload = _Reload(make_config, filter_, log)
        control = Control(config.control) if config.write else None
        exporter = Exporter(config.export, log)
        cursor = Cursor(cursor_path, log) if cursor_path else None
        servers = [server.name for server in filter_.reader.servers]
        sight = Sight(log, MetricsFile(config.metrics, servers, log))

        def every_second(now: int) -> None:
            sight.look(feed, now)
            exporter.run(now, lambda: filter_.ledger.living(now), filter_.ledger.version)
            if cursor is not None:
                cursor.save()

        keeper = Keeper(
            filter_=filter_,
            journal=store.journal,
            address_map=store.map,
            log=log,
            clock_=store.clock,
            patient=confirm,
            on_clock=store.tell_clock,
        )
        feed = Feed(
            filter_=filter_,
            keeper=keeper,
            log=log,
            confirm=confirm,
            greet=config.confirm != "lines",
            clock_=store.clock,
            control=control,
            on_hangup=reload,
            every_second=every_second,
            status=lambda now: sight.status(feed, now),
            on_taken=_silence if cursor is None else cursor.taken,
        )
        _say_what_can_be_trusted(config, log)
        feed.run()
        exporter.stop()
        if cursor is not None:
            cursor.save()
        if control is not None:
            control.close()
        store.close(clean=feed.clean)
    finally:
        store.release()
    return 0


def _keep_alive() -> None:
    try:
        os.write(1, omprog.KEEP_ALIVE)
    except OSError:
        pass  # the daemon is gone: end of input will tell


def _silence(*_: object) -> None:
    return


def confirming(setting: str) -> bool:
    """Whether stdout takes our replies: as set, or (`auto`) when both ends are pipes, as rsyslog
    makes them for confirmMessages; syslog-ng's and an unconfirmed stdout are /dev/null or a file.
    """
    if setting != "auto":
        return setting != "no"
    return all(stat.S_ISFIFO(os.fstat(descriptor).st_mode) for descriptor in (0, 1))


class _Reload:
    """SIGHUP: read networks, users and accounts again."""

    def __init__(self, make_config: Callable[[], Config], filter_: Filter, log: Log) -> None:
        self._make_config = make_config
        self._filter = filter_
        self._log = log

    def __call__(self) -> None:
        try:
            config = self._make_config()
            policy = assemble.policy_of(config, self._filter.reader.servers, self._log.say)
        except PbsFilterError as error:
            self._log.say(f"SIGHUP: {error}; going on with the old networks")
            return
        self._filter.policy = policy
        self._log.say("SIGHUP: log reopened, networks and accounts read again")


def _say_what_can_be_trusted(config: Config, log: Log) -> None:
    if not config.require_vouched:
        log.say(
            "require_vouched is off: where the syslog daemon does not say who wrote a line, "
            "anybody who can write to the log can authorise an address"
        )


def accounts(config: Config) -> tuple[pwd.struct_passwd | None, grp.struct_group | None]:
    """The account and the group of the configuration, None where it names none.

    Raises:
        ConfigError: this machine does not have it.
    """
    account = group = None
    try:
        if config.user:
            account = pwd.getpwnam(config.user)
    except KeyError:
        raise ConfigError(
            f"user: this machine has no account {config.user!r}; make it (useradd --system "
            f"--shell /usr/sbin/nologin {config.user}), or mend the name"
        ) from None
    try:
        if config.group:
            group = grp.getgrnam(config.group)
    except KeyError:
        raise ConfigError(
            f"group: this machine has no group {config.group!r}; make it (groupadd --system "
            f"{config.group}), or mend the name"
        ) from None
    return account, group


def become(config: Config, say: Callable[[str], None]) -> None:
    """Become the account of the configuration, if started as root.

    Where the daemon's sandbox takes CAP_SETUID away (Debian 13, RHEL) we stay, and say so once.

    Raises:
        ConfigError: there is no such account or group.
    """
    directory = os.path.dirname(config.files)
    account, group = accounts(config)
    if os.geteuid() != 0:
        return
    if config.write and not os.path.isdir(directory):
        os.makedirs(directory, 0o750)
        os.chmod(directory, 0o750)
        if account or group:
            os.chown(
                directory,
                account.pw_uid if account else -1,
                group.gr_gid if group else account.pw_gid if account else -1,
            )
    if account is None:
        return
    gid = group.gr_gid if group else account.pw_gid
    try:
        os.setgroups([gid])
        os.setgid(gid)
        os.setuid(account.pw_uid)
    except PermissionError:
        say(
            f"cannot become {config.user!r}: no CAP_SETUID here (the daemon's sandbox); going on "
            f"as uid {os.geteuid()}"
        )


def _uids(config: Config) -> tuple[int, ...]:
    """Who beside us may own the directory: the account that we could not become."""
    try:
        return (pwd.getpwnam(config.user).pw_uid,) if config.user else ()
    except KeyError:
        return ()


def _once(say: Callable[[], None]) -> Callable[[], None]:
    """`say`, the first time it is called."""
    left = [say]
    return lambda: left.pop()() if left else None


def map_of(
    config: Config, say: Callable[[str], None] = lambda _sentence: None
) -> GdbmMap | RedisMap:
    """The map of `config`. Reading it needs no right but that.

    Raises:
        ConfigError: this Python has no GDBM, or no redis-py; there is no such group; a password
            file is not as it should be.
    """

    def genuine(address: str, value: bytes) -> bool:
        return whole(address.encode("ascii", "replace"), value)

    if not redis_location.is_redis(config.map):
        from .store.gdbm import GdbmMap

        return GdbmMap(config.map, flock=config.flock, group=config.group, say=say, genuine=genuine)
    from .store.redis import RedisMap

    return RedisMap(
        redis_location.parse(config.map),
        config.redis_name or os.uname().nodename,
        say=say,
        ends=lambda value: int(value[:10]),
        genuine=genuine,
    )


class Store:
    """Lock, journal and map of one filter, opened: the ledger is what it was.

    Args:
        config: which files.
        filter_: gets the state.
        say: takes what the operator should know.
        keep_alive: called about once a second while this takes long.

    Raises:
        StoreBusy: another filter has it, or the files cannot be used now.
        ConfigError: the files are not fit to be used (whose they are, who may write them).
    """

    def __init__(
        self,
        config: Config,
        filter_: Filter,
        say: Callable[[str], None],
        keep_alive: Callable[[], None] = _silence,
        *,
        lock_seconds: float = LOCK_SECONDS,
    ) -> None:
        self._say = say
        self._lock: Lock | None = None
        self.journal: Journal | None = None
        self.map: AddressMap
        self.filter = filter_
        self._config = config
        self.clock = Clock()
        if not config.write:
            self.map = MemoryMap()
            return
        files.check_directory(os.path.dirname(config.files) or ".", _uids(config))
        files.check_not_anothers(config.map, (config.journal, f"{config.map}.state"))
        self._lock = Lock(config.lock, group=config.group)
        waiting = _once(lambda: say(f"waiting for another pbs-filter: {config.lock!r} is locked"))

        def wait() -> None:
            waiting()
            keep_alive()

        self._lock.acquire(lock_seconds, wait)
        try:
            self._open(config, keep_alive)
        except BaseException:
            self.release()
            raise

    def _open(self, config: Config, keep_alive: Callable[[], None]) -> None:
        filter_ = self.filter
        self.journal = Journal(config.journal, say=self._say, group=config.group)
        self.map = address_map = map_of(config, self._say)
        stamp = ""
        unknown = 0
        for number, payload in enumerate(self.journal.replay()):
            if payload.startswith(clock.STAMP + "\t"):
                # What was told before is in the time of another clock.
                self._shift(clock.between(stamp, payload))
                stamp = payload
            elif not filter_.apply(payload):
                unknown += 1
            if number % 100_000 == 99_999:
                keep_alive()
        if unknown:
            self._say(f"{config.journal!r}: {unknown} lines of it mean nothing to this version")
        step = clock.between(stamp, self.clock.stamp())
        if step:
            self._say(f"the clock was set by {step} seconds while no filter was running")
            self._shift(step)
        clean = not step and self.map.was_clean(self.journal.position)
        found: list[str] = []
        lost = self.journal.lost_lines and address_map.exists()
        if not clean and (lost or address_map.in_order()):
            # That the end of a journal was cut off is seen only by the map.
            self._say(f"journal and map of {config.map!r} were not closed together: both count")
            found = self._salvage()
        filter_.restored(self.clock.now())
        if found:
            filter_.ledger.tell_again(found)
            self.journal.append([self.clock.stamp(), *filter_.journal_payloads()])
            filter_.journaled()
        if not clean:
            keep_alive()
            self.map.rebuild(filter_.ledger.map_values())
            filter_.ledger.map_forgotten()
        self.tell_clock(self.clock)

    def _shift(self, step: int) -> None:
        if step:
            self.filter.shift(step)

    def _salvage(self) -> list[str]:
        """What the journal lost the map may know: each entry there was somebody's login."""
        found: list[str] = []
        try:
            for address, value in self.map.items():
                entry = decode(address, value)
                if entry is not None and self.filter.ledger.learn(address, entry):
                    found.append(address)
        except (StoreBusy, StoreDamaged) as error:
            self._say(f"{error}; what the journal lost cannot be looked up there")
        if found:
            self._say(f"{len(found)} addresses that the journal lost were found in the map")
        return found

    def tell_clock(self, of: Clock) -> None:
        """Let readers know the clock by which the map's times are told.

        Without it they cannot see that the clock was set back. With an old one they answer no
        earlier than they should.
        """
        if self._config.files != self._config.map:
            return  # hosts in many places read the map, each by its own clock
        path = self._config.map + ".clock"
        boot = clock.boot_id()
        try:
            fd = files.create(path + ".new", 0o640, files.gid_of(self._config.group))
            try:
                files.write_all(fd, f"{of.offset:.3f} {boot}\n".encode(), 0)
            finally:
                os.close(fd)
            os.rename(path + ".new", path)
        except OSError as error:
            self._say(str(files.busy("write", path, error)))

    def close(self, *, clean: bool) -> None:
        """The end: with `clean` (all of it is in the map) the next start trusts the map."""
        try:
            if clean and self.journal is not None:
                self.map.mark_clean(self.journal.position)
        except StoreBusy as error:
            self._say(f"{error}; the next start makes the map again")
        self.map.close()
        if self.journal is not None:
            self.journal.close()

    def release(self) -> None:
        """Give the lock up."""
        if self._lock is not None:
            self._lock.release()


def without_feed(
    config: Config, request: dict[str, Any], say: Callable[[str], None]
) -> dict[str, Any]:
    """Do what a person asks for when no filter is running: be one for a moment.

    Raises:
        PbsFilterError: the store cannot be used.
    """
    become(config, say)
    filter_ = assemble.filter_of(config, say)
    store = Store(config, filter_, say, lock_seconds=2)
    try:
        answer = requests.handle(filter_, request, store.clock.now())
        if answer.get("changed") and store.journal is not None:
            store.journal.append([store.clock.stamp(), *filter_.journal_payloads()])
            store.map.write(filter_.ledger.map_changes())
        store.close(clean=True)
    finally:
        store.release()
    return answer
