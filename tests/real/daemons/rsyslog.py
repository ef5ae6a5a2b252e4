"""A private rsyslogd: its own configuration, log socket and files."""

from __future__ import annotations

import itertools
import shutil
import signal
import socket
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ..packages import CHECKOUT, install
from .process import Process, wait_for

HOST_NAME = "mx1"

_HEAD = """\
global(workDirectory="{directory}" localHostname="{host}" processInternalMessages="on")
module(load="imuxsock" SysSock.Use="off")
"""
_INPUT = """\
input(type="imuxsock" Socket="{socket}" CreatePath="on" RateLimit.Interval="0"
      Annotate="on" ParseTrusted="on" UsePIDFromSystem="off")
"""
_FILES = """\
if $programname != "rsyslogd" then {{
  action(type="omfile" file="{directory}/iso.log" template="RSYSLOG_FileFormat")
  action(type="omfile" file="{directory}/bsd.log" template="RSYSLOG_TraditionalFileFormat")
  action(type="omfile" file="{directory}/json.log" template="json")
}}
"""
FORMATS = ("json", "iso", "bsd")


def json_template() -> str:
    """The template of the shipped rsyslog/pbs-filter.conf, under the name `json`."""
    shipped = (CHECKOUT / "rsyslog" / "pbs-filter.conf").read_text()
    begin = shipped.index('template(name="pbs-filter"')
    end = shipped.index("\n}\n", begin) + 3
    return shipped[begin:end].replace('"pbs-filter"', '"json"', 1)


class Rsyslog:
    """rsyslogd reading `sockets`, writing all it gets to three files, and doing `rules` besides.

    `directory` must exist and is its own. The first of `sockets` also takes `settle`'s marks.
    """

    def __init__(self, directory: Path, sockets: Sequence[Path], *, rules: str = "") -> None:
        install("rsyslog")
        self.directory = directory
        self.socket = sockets[0]
        config = directory / "rsyslog.conf"
        config.write_text(
            _HEAD.format(directory=directory, host=HOST_NAME)
            + "".join(_INPUT.format(socket=path) for path in sockets)
            + json_template()
            + _FILES.format(directory=directory)
            + rules
        )
        self._marks = itertools.count(1)
        program = shutil.which("rsyslogd", path="/usr/sbin:/sbin") or "/usr/sbin/rsyslogd"
        self.process = Process(
            "rsyslogd",
            [program, "-n", "-f", str(config), "-i", str(directory / "rsyslogd.pid")],
            output=directory / "rsyslogd.out",
            ready=lambda: all(path.exists() for path in sockets),
        )

    def start(self) -> Rsyslog:
        self.process.start()
        return self

    def stop(self) -> None:
        self.process.stop()

    def hang_up(self) -> None:
        """What log rotation does."""
        self.process.signal(signal.SIGHUP)

    def send(self, text: str | bytes, *, tag: str = "pbs-test", priority: int = 22) -> None:
        """One datagram as syslog(3) makes it; from this process, so with our own uid."""
        message = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.connect(str(self.socket))
            log.send(b"<%d>%s: %s" % (priority, tag.encode(), message))

    def settle(self) -> None:
        """Return when everything sent to the first socket before is in all three files."""
        mark = f"mark {next(self._marks)} of {id(self)}"
        self.send(mark, tag="pbs-test")
        for form in FORMATS:
            log = self.directory / f"{form}.log"
            wait_for(partial(_contains, log, mark.encode()), f"{mark} in {log.name}")

    def lines(self, form: str = "json") -> list[bytes]:
        """The lines written so far without our marks, in one of FORMATS; call `settle` first."""
        log = self.directory / f"{form}.log"
        if not log.exists():
            return []
        lines = log.read_bytes().split(b"\n")
        return [line for line in lines if line and b"pbs-test" not in line]


def _contains(path: Path, text: bytes) -> bool:
    return path.exists() and text in path.read_bytes()
