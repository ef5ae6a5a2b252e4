"""The life of a filter (edge): start, run, reload, end.

Started by a syslog daemon, so: it may be started twice at once (the lock waits), its environment
and signals belong to the daemon, and while it starts nobody is told that it is ready.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import stat
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .. import __version__, files, privileges
from ..authorisation.failures import place_of
from ..config.options import Config
from ..errors import ConfigError, NoMemory, PbsFilterError, StoreBusy
from ..log import Log
from . import build, site
from .control import Control
from .feed import Feed
from .hooks import Hooks
from .journald_cursor import Cursor
from .local_networks import LocalNetworks
from .lookup_counts import LookupCounts
from .metrics_file import MetricsFile
from .monitor import Monitor
from .persister import Persister
from .reload import Reload
from .storage import LOCK_SECONDS, Storage, log_of
from .usage_file import UsageFile
from .waiting import Waiting

if TYPE_CHECKING:
    from ..export.exporter import Exporter

RETRY_SECONDS = 10
FOREIGN = (
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
)


def run(
    make_config: Callable[[], Config],
    *,
    retry: bool,
    confirm: str = "auto",
    logto: str = "",
    cursor_path: str = "",
) -> int:
    """Filter stdin until end of input; the exit status.

    Args:
        make_config: reads the configuration; called again for each attempt and on SIGHUP.
        retry: when the start fails, try again inside until the input ends.
        confirm: the setting of that name, while no configuration can be read that tells.
        logto: where to say that, likewise.
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
    waiting = Waiting(confirm=confirming(confirm), greet=confirm != "lines")
    while True:
        try:
            try:
                return _run(make_config, cursor_path, waiting, retry=retry)
            except (MemoryError, OSError, ImportError) as error:
                if waiting.is_over or (isinstance(error, PermissionError) and not retry):
                    raise
                raise _no_start(error) from error
        except PbsFilterError as error:
            if not retry:
                raise
            with contextlib.suppress(PbsFilterError, MemoryError, OSError, ImportError):
                logto = make_config().logto
            log.path = logto
            log.reopen()
            log.once(str(error), f"{error}; trying again in {RETRY_SECONDS} seconds")
            status = error.exit_status
            why = str(error)
        # The failed start switched it off, and left what it had made in cycles.
        gc.enable()
        gc.collect()
        if waiting.until_end(RETRY_SECONDS, why):
            return status


def _no_start(error: MemoryError | OSError | ImportError) -> PbsFilterError:
    """Return what to say of a start that failed where nobody expects it: an import, too, wants
    descriptors and memory."""
    if isinstance(error, MemoryError):
        return NoMemory()
    place = place_of(error)
    if isinstance(error, OSError):
        return files.busy("start with", str(error.filename or place), error)
    return StoreBusy(
        f"cannot start ({place}): {error}; install it, or raise the limit of open files"
    )


def _run(
    make_config: Callable[[], Config], cursor_path: str, waiting: Waiting, *, retry: bool
) -> int:
    config = make_config()
    os.umask(0o027)
    log = log_of(config)
    try:
        return _run_with(config, log, make_config, cursor_path, waiting, retry=retry)
    finally:
        log.close()


def _run_with(
    config: Config,
    log: Log,
    make_config: Callable[[], Config],
    cursor_path: str,
    waiting: Waiting,
    *,
    retry: bool,
) -> int:
    confirm = waiting.confirm = confirming(config.confirm)
    waiting.greet = config.confirm != "lines"
    if confirm and config.logto == "-":
        raise ConfigError(
            "logto '-' is stdout, which belongs to the replies while confirming; log to a file"
        )
    privileges.become(config, log.say)
    if os.isatty(0):
        log.say(
            "reading mail log lines from this terminal, until Ctrl-D. A syslog daemon should pipe "
            "them in: see rsyslog/ and syslog-ng/; for one thing at a time see pbs-filter --help"
        )
    networks = LocalNetworks(log.say)
    networks.start(config.local_networks_command)
    networks.wait(waiting.tick)
    pipeline = build.pipeline_of(config, log.say, networks.answer)
    pipeline.trace.clock = time.time
    # Until the feed runs: all that the store brings stays, and nothing in it is a cycle.
    gc.disable()
    # A person who starts a second filter by hand is told at once; a daemon's new one waits.
    lock_seconds = 0 if os.isatty(0) and not retry else LOCK_SECONDS
    store = Storage(
        config,
        pipeline.state,
        log.say,
        waiting.tick,
        lock_seconds=lock_seconds,
        give_up=waiting.has_ended,
    )
    control = lookup_counts = None
    try:
        reload = Reload(make_config, config, pipeline, networks, log, store.clock)
        reload.review()
        control = _control(config, log)
        exporter = _exporter(config, log)
        cursor = Cursor(cursor_path, log) if cursor_path else None
        servers = [server.name for server in pipeline.matcher.servers]
        if config.write:
            try:
                lookup_counts = LookupCounts(config.files, config.group)
            except PbsFilterError as error:
                log.say(f"lookups are not counted: {error}")
        hooks = Hooks(config.hook if config.write else (), log)
        metrics_file = MetricsFile(config.metrics if config.write else "", servers, log)
        usage_file = UsageFile(
            config.usage if config.write else "",
            config.group,
            config.history_days,
            store.clock.now(),
            log,
        )
        shared_map = site.shared(config, store.map)
        monitor = Monitor(
            log,
            metrics_file,
            hooks,
            usage_file,
            lookup_counts,
            tuple if shared_map is None else shared_map.members,
            reload.stale,
        )

        def every_second(now: int) -> None:
            if shared_map is not None:
                site.exchange(pipeline.state, shared_map, persister.commit, store.clock)
            monitor.tick(feed, now)
            if exporter is not None:
                exporter.run(now, lambda: pipeline.ledger.living(now), pipeline.ledger.version)
            reload.tick()
            store.keep_clock()
            if cursor is not None:
                cursor.save()

        def erase(request: Mapping[str, Any]) -> None:
            store.erase_history(request)
            monitor.erase(feed, request, store.clock.now())

        persister = Persister(
            state=pipeline.state,
            journal=store.journal,
            address_map=store.map,
            log=log,
            clock_=store.clock,
            timer=time.monotonic,
            patient=confirm,
            on_replaced=store.tell_clock,
            on_rewritten=store.tidy,
            on_erase=erase,
        )
        feed = Feed(
            pipeline=pipeline,
            persister=persister,
            log=log,
            confirm=confirm,
            greet=waiting.greet,
            unanswered=waiting.unanswered,
            clock_=store.clock,
            control=control,
            on_hangup=reload,
            every_second=every_second,
            tell=lambda do, now: monitor.tell(feed, do, now),
            on_taken=_silence if cursor is None else cursor.taken,
        )
        _say_what_can_be_trusted(config, log)
        log.say(f"started: version {__version__}, map {config.map!r}, write {config.write}")
        if not config.write:
            log.say("nothing is written, exported or run; nowrite stands before what would be done")
        pipeline.ledger.events.debugging = log.level == "debug"
        waiting.is_over = True
        feed.run()
        log.events(*pipeline.ledger.events.take())
        log.say("the input ended: stopping")
        hooks.stop()
        if exporter is not None:
            exporter.stop()
        monitor.close(feed, store.clock.now())
        if cursor is not None:
            cursor.save()
        store.close(clean=feed.clean)
    finally:
        networks.stop()
        for listening in (control, lookup_counts):
            if listening is not None:
                listening.close()
        store.release()
    return 0


def _control(config: Config, log: Log) -> Control | None:
    """Return the socket for requests. A filter that writes must have one.

    Raises:
        StoreBusy: it cannot be made.
    """
    try:
        return Control(config.control)
    except StoreBusy as error:
        if config.write:
            raise
        log.say(f"{error}; --status cannot ask this filter")
        return None


def _exporter(config: Config, log: Log) -> Exporter | None:
    """Return what writes the exported files; None where there are none.

    Its imports (netaddr, sqlite3, hashlib) would take a fifth of a start.
    """
    if not (config.export and config.write):
        return None
    from ..export.exporter import Exporter

    return Exporter(config.export, log)


def _silence(*_: object) -> None:
    return


def confirming(setting: str) -> bool:
    """Return whether stdout takes our replies: as set, or (`auto`) when both ends are pipes, as
    rsyslog makes them for confirmMessages; syslog-ng's and an unconfirmed stdout are /dev/null or a
    file.
    """
    if setting != "auto":
        return setting != "no"
    return all(stat.S_ISFIFO(os.fstat(descriptor).st_mode) for descriptor in (0, 1))


def _say_what_can_be_trusted(config: Config, log: Log) -> None:
    if not config.require_vouched:
        log.say(
            "require_vouched is off: where the syslog daemon does not say who wrote a line, "
            "anybody who can write to the log can authorise an address"
        )
