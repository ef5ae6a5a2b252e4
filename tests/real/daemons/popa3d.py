"""popa3d: standalone, shadow passwords through PAM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from .process import Process
from .server import Server


class Popa3d(Server):
    name = "popa3d"
    packages = ("popa3d",)
    writes_as_user = True
    service_accounts = (("popa3d", 61111),)
    protocols = ("pop3",)
    at_once = 10
    ipv6 = False
    fixed_ports: ClassVar[dict[str, int]] = {"pop3": 110}  # compiled in, and of every address

    def configure(self) -> Sequence[Process]:
        self.root.directory("/var/lib/popa3d")
        return [self.process("/usr/sbin/popa3d", "-D", forks=True)]
