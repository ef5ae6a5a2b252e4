"""A private syslog-ng, unpacked: Debian's cannot be installed beside rsyslog. Of 12, or of 13."""

from __future__ import annotations

import csv
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from ..packages import CHECKOUT, launch, unpack
from ..shipped import Installed, shipped
from .process import Process
from .syslog_daemon import SyslogDaemon, public_directory

PACKAGES = ("syslog-ng-core", "syslog-ng-scl")
WITH_PYTHON = (*PACKAGES, "syslog-ng-mod-python")


def _root(suite: str, packages: Sequence[str]) -> Path:
    return unpack(*packages, suite=suite)


def command(suite: str = "", packages: Sequence[str] = PACKAGES) -> list[str]:
    """The first words of a command that runs syslog-ng of this machine's Debian, or of `suite`."""
    root = _root(suite, packages)
    modules = root / "usr/lib/syslog-ng"
    words = launch(root, "/usr/sbin/syslog-ng")
    at = words.index("--library-path") + 1
    words[at] += f":{modules}"
    return [*words, f"--module-path={modules / version(suite, packages)}"]


def version(suite: str = "", packages: Sequence[str] = PACKAGES) -> str:
    """Its version as configurations name it, `3.38`."""
    modules = _root(suite, packages) / "usr/lib/syslog-ng"
    return next(path.name for path in modules.iterdir() if re.fullmatch(r"\d+\.\d+", path.name))


def head(suite: str = "", packages: Sequence[str] = PACKAGES) -> str:
    """The beginning of a configuration: version, and where SCL is."""
    root = _root(suite, packages)
    include = root / "usr/share/syslog-ng/include"
    return (
        f"@version: {version(suite, packages)}\n"
        f'@define include-path "{include}:{root}/etc/syslog-ng"\n'
        '@include "scl.conf"\n'
    )


def _environment(suite: str) -> dict[str, str]:
    """Tells syslog-ng that its Python module and Python are beside it, and not in /usr."""
    root = _root(suite, WITH_PYTHON)
    module = root / "usr/lib/syslog-ng" / version(suite, WITH_PYTHON) / "python"
    return {**os.environ, "PYTHONHOME": f"{root}/usr", "PYTHONPATH": str(module)}


class SyslogNg(SyslogDaemon):
    """syslog-ng with `configuration` (behind `head()`) in a `directory` of its own.

    `within` is written before its command.
    """

    def __init__(
        self,
        directory: Path,
        configuration: str,
        socket: Path = Path("/nonexistent"),
        *,
        within: Sequence[str] = (),
        suite: str = "",
        packages: Sequence[str] = PACKAGES,
    ) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.socket = socket
        self.everything = directory / "everything.log"
        self.config = directory / "syslog-ng.conf"
        self.config.write_text(head(suite, packages) + configuration)
        self._suite = suite
        self._packages = packages
        self._control = directory / "ctl"
        self.process = Process(
            "syslog-ng",
            [
                *within,
                *command(suite, packages),
                *("-F", "-e", "--no-caps"),
                *("-f", str(self.config)),
                *("-R", str(directory / "persist")),
                *("-c", str(self._control)),
                *("--pidfile", str(directory / "pid")),
            ],
            output=directory / "syslog-ng.out",
            ready=self._control.exists,
            environment=_environment(suite) if packages == WITH_PYTHON else None,
        )

    @classmethod
    def with_filter(
        cls,
        directory: Path,
        installed: Installed,
        *,
        confirmed: bool = False,
        more: str = "",
        behind: str = "",
        within: Sequence[str] = (),
        suite: str = "",
    ) -> Self:
        """One with the shipped files behind a private log socket; `more` are further sources.

        `confirmed`: each line is answered, by the destination in Python. `behind` stands at the end
        of its configuration.
        """
        directory.mkdir(exist_ok=True)
        (directory / "queue").mkdir(exist_ok=True)
        blocks = shipped("syslog-ng/pbs-filter/plugin.conf", installed.paths)
        log_path = shipped("syslog-ng/log-path.conf", {})
        if confirmed:
            blocks += shipped(
                "syslog-ng/pbs-filter/confirmed.conf",
                {
                    **installed.paths,
                    "/etc/syslog-ng/pbs-filter": str(CHECKOUT / "syslog-ng"),
                    'dir("/var/lib/syslog-ng/pbs-filter")': f'dir("{directory}/queue")',
                },
            )
            log_path = log_path.replace("{ pbs-filter(); }", "{ pbs-filter-confirmed(); }")
        public = public_directory()
        everything = directory / "everything.log"
        return cls(
            directory,
            "options { stats-level(1); use-dns(no); };\n"
            f'source s_src {{ unix-dgram("{public}/log"); internal(); {more} }};\n'
            f'destination d_all {{ file("{everything}" template("$MSGHDR$MSG\\n")); }};\n'
            "log { source(s_src); destination(d_all); };\n" + blocks + log_path + behind,
            public / "log",
            within=within,
            suite=suite,
            packages=WITH_PYTHON if confirmed else PACKAGES,
        )

    def start(self) -> Self:
        self._control.unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)
        self.process.start()
        return self

    def dropped(self) -> int:
        """Lines that the filter's queue had no room for."""
        return self.counter("dst.p", "dropped")

    def waiting(self) -> int:
        """Lines in the filter's queue."""
        return self.counter("dst.p", "queued")

    def counter(self, kind: str, name: str) -> int:
        """The sum of the counters `name` (dropped, written, ...) of what starts with `kind`."""
        root = _root(self._suite, self._packages)
        words = command(self._suite, self._packages)
        words = words[: 1 + words.index("--library-path") + 1]
        done = subprocess.run(
            [*words, str(root / "usr/sbin/syslog-ng-ctl"), "stats", "-c", str(self._control)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        rows = csv.reader(done.stdout.splitlines(), delimiter=";")
        return sum(
            int(row[5])
            for row in rows
            if len(row) == 6 and row[0].startswith(kind) and row[4] == name
        )
