"""The life of a filter (edge): start, run, reload, end.

Started by a syslog daemon, so: it may be started twice at once (the lock waits), its environment
and signals belong to the daemon, and while it starts nobody is told that it is ready.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import stat
import time
from collections.abc import Callable

from .. import privileges
from ..authorisation.pipeline import Pipeline
from ..config.options import Config
from ..errors import ConfigError, PbsFilterError
from ..export.exporter import Exporter
from ..log import Log
from ..monitor.metrics_file import MetricsFile
from . import build, omprog
from .control import Control
from .feed import Feed
from .journald_cursor import Cursor
from .monitor import Monitor
from .persister import Persister
from .storage import Storage

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
    privileges.become(config, log.say)
    if os.isatty(0):
        log.say(
            "reading mail log lines from this terminal, until Ctrl-D. A syslog daemon should pipe "
            "them in: see rsyslog/ and syslog-ng/; for one thing at a time see pbs-filter --help"
        )
    pipeline = build.pipeline_of(config, log.say)
    # Until the feed runs: all that the store brings stays, and nothing in it is a cycle.
    gc.disable()
    store = Storage(config, pipeline, log.say, _keep_alive if confirm else _silence)
    try:
        reload = _Reload(make_config, pipeline, log)
        control = Control(config.control) if config.write else None
        exporter = Exporter(config.export, log)
        cursor = Cursor(cursor_path, log) if cursor_path else None
        servers = [server.name for server in pipeline.reader.servers]
        monitor = Monitor(log, MetricsFile(config.metrics, servers, log))

        def every_second(now: int) -> None:
            monitor.tick(feed, now)
            exporter.run(now, lambda: pipeline.ledger.living(now), pipeline.ledger.version)
            if cursor is not None:
                cursor.save()

        persister = Persister(
            pipeline=pipeline,
            journal=store.journal,
            address_map=store.map,
            log=log,
            clock_=store.clock,
            patient=confirm,
            on_clock=store.tell_clock,
        )
        feed = Feed(
            pipeline=pipeline,
            persister=persister,
            log=log,
            confirm=confirm,
            greet=config.confirm != "lines",
            clock_=store.clock,
            control=control,
            on_hangup=reload,
            every_second=every_second,
            status=lambda now: monitor.status(feed, now),
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

    def __init__(self, make_config: Callable[[], Config], pipeline: Pipeline, log: Log) -> None:
        self._make_config = make_config
        self._filter = pipeline
        self._log = log

    def __call__(self) -> None:
        try:
            config = self._make_config()
            policy = build.policy_of(config, self._filter.reader.servers, self._log.say)
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
