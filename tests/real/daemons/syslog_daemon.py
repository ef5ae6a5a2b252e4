"""The common part of the private rsyslogd and syslog-ng: how they are stopped, and their log."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Self

from ..shipped import LogSocket, children
from . import process
from .process import Process, wait_for


def public_directory() -> Path:
    """A directory for a log socket: a test's own is closed to others, and its name too long."""
    public = Path(tempfile.mkdtemp(prefix="pbs-"))
    public.chmod(0o755)
    return public


STOP_SECONDS = 60.0
"""systemd gives 90 s; rsyslogd with a filter that is ill needs 34."""


class SyslogDaemon:
    """A syslog daemon that reads `socket` and writes every line to `everything`."""

    process: Process
    socket: Path
    everything: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self) -> Self:
        raise NotImplementedError

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Stop it as systemd does: SIGTERM to every process of the service, and then time."""
        for pid in children(self.pid) if self.process.running() else ():
            os.kill(pid, signal.SIGTERM)
        self.process.stop(seconds=seconds)

    def hang_up(self) -> None:
        """What `systemctl reload` and log rotation do."""
        self.process.signal(signal.SIGHUP)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop(process.STOP_SECONDS)
        if self.socket.parent.name.startswith("pbs-"):
            shutil.rmtree(self.socket.parent)

    def log(self) -> LogSocket:
        return LogSocket(self.socket, self.pid)

    def received(self, message: bytes) -> bool:
        """Whether it has come through the socket: is in the log of everything."""
        return contains(self.everything, message)

    def wait_for_line(self, message: bytes) -> None:
        wait_for(lambda: self.received(message), "the last line", 60)


def contains(path: Path, text: bytes) -> bool:
    """Whether the end of a file has `text` in it."""
    if not path.exists():
        return False
    with path.open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - 100_000))
        return text in log.read()
