"""A private syslog-ng, from the unpacked package: Debian's cannot be installed beside rsyslog."""

from __future__ import annotations

import csv
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..packages import launch, unpack
from .process import Process

PACKAGES = ("syslog-ng-core", "syslog-ng-scl")


def command() -> list[str]:
    """The first words of a command that runs syslog-ng."""
    root = unpack(*PACKAGES)
    modules = root / "usr/lib/syslog-ng"
    words = launch(root, "/usr/sbin/syslog-ng")
    at = words.index("--library-path") + 1
    words[at] += f":{modules}"
    return [*words, f"--module-path={modules / version()}"]


def version() -> str:
    """Its version as configurations name it, `3.38`."""
    modules = unpack(*PACKAGES) / "usr/lib/syslog-ng"
    return next(path.name for path in modules.iterdir() if re.fullmatch(r"\d+\.\d+", path.name))


def head() -> str:
    """The beginning of a configuration: version, and where SCL is."""
    root = unpack(*PACKAGES)
    return (
        f"@version: {version()}\n"
        f'@define include-path "{root}/usr/share/syslog-ng/include:{root}/etc/syslog-ng"\n'
        '@include "scl.conf"\n'
    )


class SyslogNg:
    """syslog-ng with `configuration` (behind `head()`) in a `directory` of its own.

    `within` is written before its command.
    """

    def __init__(self, directory: Path, configuration: str, *, within: Sequence[str] = ()) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.config = directory / "syslog-ng.conf"
        self.config.write_text(head() + configuration)
        self._control = directory / "ctl"
        self.process = Process(
            "syslog-ng",
            [
                *within,
                *command(),
                "-F",
                "-e",
                "--no-caps",
                *("-f", str(self.config)),
                *("-R", str(directory / "persist")),
                *("-c", str(self._control)),
                *("--pidfile", str(directory / "pid")),
            ],
            output=directory / "syslog-ng.out",
            ready=self._control.exists,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self) -> SyslogNg:
        self._control.unlink(missing_ok=True)
        self.process.start()
        return self

    def stop(self) -> None:
        self.process.stop()

    def reload(self) -> None:
        """What `systemctl reload` and log rotation do."""
        self.process.signal(signal.SIGHUP)

    def counter(self, kind: str, name: str) -> int:
        """The sum of the counters `name` (dropped, written, ...) of what starts with `kind`."""
        root = unpack(*PACKAGES)
        words = command()[: 1 + command().index("--library-path") + 1]
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
