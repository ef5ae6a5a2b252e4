"""A private rsyslogd: its own configuration, log socket and files; of Debian 12, or of 13."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Self

from ..packages import CHECKOUT, install, launch, unpack
from ..shipped import Installed, LogSocket, shipped
from .process import Process, wait_for
from .syslog_daemon import SyslogDaemon, contains, public_directory

HOST_NAME = "mx1"
FORMATS = ("json", "iso", "bsd", "rfc5424")
PACKAGES = ("rsyslog", "rsyslog-relp", "rsyslog-gnutls")
MODULES = "/usr/lib/x86_64-linux-gnu/rsyslog"

_HEAD = """\
global(workDirectory="{directory}" localHostname="{host}" processInternalMessages="on")
module(load="impstats" interval="1" log.syslog="off" resetCounters="off"
       log.file="{directory}/impstats")
"""
_OWN = """\
template(name="text" type="string" string="%syslogtag%%msg%\\n")
if $programname startswith "rsyslogd" then
  action(type="omfile" file="{directory}/own.log" template="text")
"""
_INPUT = """\
input(type="imuxsock" Socket="{socket}" CreatePath="on" RateLimit.Interval="0"
      Annotate="on" ParseTrusted="on" UsePIDFromSystem="off")
"""
_FILES = """\
if not ($programname startswith "rsyslogd") then {{
  action(type="omfile" file="{directory}/iso.log" template="RSYSLOG_FileFormat")
  action(type="omfile" file="{directory}/bsd.log" template="RSYSLOG_TraditionalFileFormat")
  action(type="omfile" file="{directory}/rfc5424.log" template="RSYSLOG_SyslogProtocol23Format")
  action(type="omfile" file="{directory}/json.log" template="json")
}}
"""
_EVERYTHING = 'action(type="omfile" file="{directory}/everything.log" template="text")\n'


def json_template() -> str:
    """The template of the shipped rsyslog/pbs-filter.conf, under the name `json`."""
    text = (CHECKOUT / "rsyslog" / "pbs-filter.conf").read_text()
    begin = text.index('template(name="pbs-filter"')
    end = text.index("\n}\n", begin) + 3
    return text[begin:end].replace('"pbs-filter"', '"json"', 1)


def _command(suite: str) -> list[str]:
    if suite:
        root = unpack(*PACKAGES, suite=suite)
        return [*launch(root, "/usr/sbin/rsyslogd"), "-M", f"{root}{MODULES}"]
    install(*PACKAGES)
    return [shutil.which("rsyslogd", path="/usr/sbin:/sbin") or "/usr/sbin/rsyslogd"]


class Rsyslog(SyslogDaemon):
    """rsyslogd with `configuration`, which reads `sockets`.

    `directory` is its own. The first of `sockets` also takes `send`'s and `settle`'s messages.
    `within` is written before its command. `suite` names a Debian of which it is to be; without it,
    it is this machine's own.
    """

    def __init__(
        self,
        directory: Path,
        configuration: str,
        sockets: Sequence[Path],
        *,
        within: Sequence[str] = (),
        suite: str = "",
    ) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.socket = sockets[0] if sockets else Path("/nonexistent")
        self.everything = directory / "everything.log"
        self._sockets = sockets
        self._own = directory / "own.log"
        self._starts = 0
        config = directory / "rsyslog.conf"
        config.write_text(
            _HEAD.format(directory=directory, host=HOST_NAME)
            + _OWN.format(directory=directory)
            + configuration
        )
        self._marks = itertools.count(1)
        self.process = Process(
            "rsyslogd",
            [
                *within,
                *_command(suite),
                *("-n", "-f", str(config), "-i", str(directory / "rsyslogd.pid")),
            ],
            output=directory / "rsyslogd.out",
            ready=self._ready,
        )

    @classmethod
    def with_files(
        cls,
        directory: Path,
        sockets: Sequence[Path],
        *,
        rules: str = "",
        within: Sequence[str] = (),
    ) -> Self:
        """One that writes all it gets to three files, and does `rules` besides."""
        return cls(
            directory,
            'module(load="imuxsock" SysSock.Use="off")\n'
            + "".join(_INPUT.format(socket=path) for path in sockets)
            + json_template()
            + _FILES.format(directory=directory)
            + rules,
            sockets,
            within=within,
        )

    @classmethod
    def with_filter(
        cls,
        directory: Path,
        installed: Installed,
        *,
        source: str = "rsyslog/imuxsock.conf",
        settings: Mapping[str, str] = MappingProxyType({}),
        behind: str = "",
        within: Sequence[str] = (),
        suite: str = "",
    ) -> Self:
        """One with the shipped files, and a log of everything behind them, as Debian has it.

        `settings` are changes to pbs-filter.conf, `behind` stands behind it.
        """
        public = public_directory()
        sockets = [public / "log"] if "imuxsock" in source else []
        own = {'load="imuxsock" ': f'load="imuxsock" SysSock.Name="{public}/log" '}
        return cls(
            directory,
            shipped(source, own if sockets else {})
            + shipped("rsyslog/pbs-filter.conf", {**installed.paths, **settings})
            + behind
            + _EVERYTHING.format(directory=directory),
            sockets,
            within=within,
            suite=suite,
        )

    def _ready(self) -> bool:
        """Its sockets are there, and it has said that it started. (What comes to a socket before
        that may be from nobody: it asks for the senders' uids only after it has made it.)"""
        if not (self._own.exists() and all(path.exists() for path in self._sockets)):
            return False
        return self._own.read_bytes().count(b"] start\n") > self._starts

    def start(self) -> Self:
        for path in self._sockets:
            path.unlink(missing_ok=True)
        self._starts = self._own.read_bytes().count(b"] start\n") if self._own.exists() else 0
        self.process.start()
        return self

    def send(self, text: str | bytes, *, tag: str = "pbs-test", priority: int = 22) -> None:
        """One datagram as syslog(3) makes it; from this process, so with our own uid."""
        message = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
        with LogSocket(self.socket) as log:
            log.send_raw(b"<%d>%s: %s" % (priority, tag.encode(), message))

    def settle(self) -> None:
        """Return when everything sent to the first socket before is in all four files."""
        mark = f"mark {next(self._marks)} of {id(self)}"
        self.send(mark, tag="pbs-test")
        for form in FORMATS:
            log = self.directory / f"{form}.log"
            wait_for(partial(contains, log, mark.encode()), f"{mark} in {log.name}")

    def lines(self, form: str = "json") -> list[bytes]:
        """The lines written so far without our marks, in one of FORMATS; call `settle` first."""
        log = self.directory / f"{form}.log"
        if not log.exists():
            return []
        lines = log.read_bytes().split(b"\n")
        return [line for line in lines if line and b"pbs-test" not in line]

    def discarded(self) -> int:
        """Lines that the action's queues, in memory and on disk, had no room for."""
        statistics = (self.directory / "impstats").read_text()
        latest = {
            name: int(number)
            for name, number in re.findall(
                r"(pbs-filter queue(?:\[DA\])?): .* discarded\.full=(\d+)", statistics
            )
        }
        return sum(latest.values())
