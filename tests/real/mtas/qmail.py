"""mailfront, a qmail-like SMTP server, under tcpserver and relaylock."""

from __future__ import annotations

from collections.abc import Sequence

from ..daemons.process import Process
from . import Mta


class Qmail(Mta):
    name = "qmail"
    packages = ("mailfront", "ucspi-tcp", "dash", "coreutils")
    service_accounts = (("qmaild", 61231),)

    on_trouble = "continue"

    def configure(self) -> Sequence[Process]:
        # 192.0.2.8 may relay anyway.
        self.root.write(
            "/etc/tcp.smtp", self.example("qmail/tcp.smtp") + '192.0.2.8:allow,RELAYCLIENT=""\n'
        )
        self.root.run("/usr/bin/tcprules", "/etc/tcp.smtp.cdb", "/etc/tcp.smtp.tmp",
                      text=(self.root.path / "etc/tcp.smtp").read_text())  # fmt: skip
        self.root.write("/var/lib/qmail/control/rcpthosts", "lab.test\n")
        self.root.write("/var/lib/qmail/control/me", "mx1.lab.test\n")
        run = self.example("qmail/run").replace(
            "--on-trouble=continue", f"--on-trouble={self.on_trouble}"
        )
        self.root.write("/service/run", run, mode=0o755)
        return [self.process("/bin/sh", "/service/run", name="tcpserver")]
