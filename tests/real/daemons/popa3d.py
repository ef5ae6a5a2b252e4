"""popa3d: standalone, shadow passwords through PAM."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Self

from ..packages import exclusive
from .process import DaemonError, Process, listening
from .server import Server

_PORT = 110


class Popa3d(Server):
    name = "popa3d"
    packages = ("popa3d",)
    service_accounts = (("popa3d", 61111),)
    protocols = ("pop3",)
    ipv6 = False

    def choose_port(self, protocol: str) -> int:
        """The one that is compiled into it: 110 of every address."""
        return _PORT

    def start(self) -> Self:
        self._port = contextlib.ExitStack()
        self._port.enter_context(exclusive(f"port-{_PORT}"))
        if listening(_PORT):
            raise DaemonError("popa3d knows no port but 110, and something listens there")
        return super().start()

    def configure(self) -> Sequence[Process]:
        self.root.directory("/var/lib/popa3d")
        return [self.process("/usr/sbin/popa3d", "-D", forks=True)]

    def stop(self) -> None:
        super().stop()
        self._port.close()
