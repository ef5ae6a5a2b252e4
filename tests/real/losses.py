"""Pairs of faults behind rsyslog: logins that are lost when it is stopped while the filter is ill.

python -m tests.real.losses [SUITE] [TROUBLE] [ENDING] [RUNS]     the table of rsyslog/README.md
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from ..store.store_tools import memory_directory, small_file_system
from .daemons.process import wait_for
from .daemons.rsyslog import Rsyslog
from .shipped import Installed, LogSocket, addresses, filter_of, filters, login

LOGINS = 500
BEFORE = 100
"""Logins that are sent before the trouble begins. A filter that is killed for it (the program is
missing, the configuration wrong) has stored them; other troubles begin somewhere among them."""
KILLS = 5
STOP_SECONDS = 60
"""rsyslogd gives up its queue and a filter that hangs before this is over."""
QUIET_SECONDS = 30.0
"""When no login comes for so long, no more are expected."""


class Site:
    """rsyslogd with the shipped drop-in, a filter, and 500 logins that are on their way."""

    def __init__(self, directory: Path, suite: str) -> None:
        self.installed = Installed(directory / "installed", "require_vouched = true\n")
        self.state = self.installed.map.parent
        self.daemon = Rsyslog.with_filter(directory / "rsyslog", self.installed, suite=suite)
        self.good = self.installed.config.read_text()
        self._filler = self.state / "filler"

    def send(self, log: LogSocket, first: int, end: int) -> None:
        for number in range(first, end):
            log.send(login(number))

    def stop(self) -> None:
        """SIGTERM to rsyslogd alone, and its end."""
        self.daemon.process.signal(signal.SIGTERM)
        self.daemon.process.wait(STOP_SECONDS)
        self.daemon.process.stop()

    # ------------------------------------------------------------------ troubles

    def missing(self) -> None:
        self.installed.remove()
        self._kill()

    def misconfigured(self) -> None:
        self.installed.config.write_text("nonsense = 1\n")
        self._kill()

    def full(self) -> None:
        """Fill the file system of the store to its last byte."""
        with self._filler.open("wb", buffering=0) as filler:
            for size in (65536, 4096, 1):
                try:
                    while filler.write(b"x" * size) == size:
                        pass
                except OSError:
                    continue

    def hangs(self) -> None:
        os.kill(filter_of(self.daemon.pid), signal.SIGSTOP)

    def killed(self) -> None:
        threading.Thread(target=self._kills).start()

    def mend(self) -> None:
        """End each trouble. A filter that hangs is killed by rsyslogd."""
        self.installed.install()
        self.installed.config.write_text(self.good)
        self._filler.unlink(missing_ok=True)

    def _kill(self) -> None:
        self.installed.wait_for_count(BEFORE)
        for pid in filters(self.daemon.pid):
            os.kill(pid, signal.SIGKILL)

    def _kills(self) -> None:
        last = 0
        for _ in range(KILLS):
            try:
                last = wait_for(
                    lambda last=last: next(
                        (pid for pid in filters(self.daemon.pid) if pid != last), 0
                    ),
                    "a filter",
                )
                os.kill(last, signal.SIGKILL)
            except (AssertionError, OSError):
                return  # rsyslogd is away

    # ------------------------------------------------------------------ what happens to rsyslogd

    def stopped(self) -> None:
        self.stop()
        self.mend()
        self.daemon.start()

    def restarted_twice(self) -> None:
        """What an administrator does who looks for the mistake."""
        for _ in range(2):
            self.stop()
            self.daemon.start()
            time.sleep(3)  # until it is as deep in trouble as it can be
        self.mend()

    def hung_up(self) -> None:
        for pid in (self.daemon.pid, *filters(self.daemon.pid)):
            os.kill(pid, signal.SIGHUP)
        self.mend()

    def killed_itself(self) -> None:
        self.daemon.process.stop(signal.SIGKILL)
        self.mend()
        self.daemon.start()


TROUBLES: dict[str, Callable[[Site], None]] = {
    "program missing": Site.missing,
    "configuration wrong": Site.misconfigured,
    "store full": Site.full,
    "hangs": Site.hangs,
    "killed 5 times": Site.killed,
}
ENDINGS: dict[str, Callable[[Site], None]] = {
    "SIGHUP": Site.hung_up,
    "stop, start": Site.stopped,
    "two restarts": Site.restarted_twice,
    "kill -9": Site.killed_itself,
}


def lost(trouble: str, ending: str, suite: str = "") -> int:
    """How many of 500 logins never come into the map."""
    with ExitStack() as stack:
        directory = stack.enter_context(memory_directory())
        site = Site(directory, suite)
        if trouble == "store full":
            site.state.parent.mkdir(exist_ok=True)
            stack.enter_context(small_file_system(site.state, "4m"))
        daemon = stack.enter_context(site.daemon)
        with daemon.log() as log:
            site.send(log, 0, 1)
            site.installed.wait_for_count(1)
            site.send(log, 1, BEFORE)
            TROUBLES[trouble](site)
            site.send(log, BEFORE, LOGINS)
            daemon.wait_for_line(login(LOGINS - 1))
            time.sleep(3)  # until rsyslogd and the filter are as deep in trouble as they can be
            ENDINGS[ending](site)
        try:
            site.installed.wait_for_count(LOGINS, QUIET_SECONDS)
        except AssertionError:
            missing = set(addresses(range(LOGINS))) - set(site.installed.entries())
            return len(missing)
        return 0


def main(suite: str = "", trouble: str = "", ending: str = "", runs: str = "3") -> None:
    for one in [trouble] if trouble else TROUBLES:
        for end in [ending] if ending else ENDINGS:
            figures = [lost(one, end, suite) for _ in range(int(runs))]
            print(f"{suite or 'here'} | {one} | {end} | {figures}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
