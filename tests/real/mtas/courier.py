"""Courier's esmtpd as Debian configures it, with relaylock before courieresmtpd."""

from __future__ import annotations

from collections.abc import Sequence

from ..daemons.process import Process
from . import Mta

_AUTH = """\
authmodulelist="authpam"
authmodulelistorig="authpam"
daemons=2
authdaemonvar=/run/courier/authdaemon
DEBUG_LOGIN=0
DEFAULTOPTIONS=""
LOGGEROPTS=""
"""


class Courier(Mta):
    name = "courier"
    packages = ("courier-mta", "dash", "coreutils", "sed", "grep")
    service_accounts = (("courier", 61241),)
    on_trouble = "continue"
    map_group = 61241  # `group = "courier"`: couriertcpd gives up every other group

    def configure(self) -> Sequence[Process]:
        shipped = (self.root.path / "etc/courier/esmtpd").read_text()
        example = self.example("courier/esmtpd").replace(
            "--on-trouble=continue", f"--on-trouble={self.on_trouble}"
        )
        # No DNS here, and no pause before a refusal.
        no_dns = 'TCPDOPTS="$TCPDOPTS -nodnslookup"\nBOFHCHECKDNS=0\nTARPIT=0\n'
        self.root.write("/etc/courier/esmtpd", shipped + example + no_dns)
        self.root.write("/etc/courier/me", "mx1.lab.test\n")
        self.root.write("/etc/courier/locals", "lab.test\n")
        self.root.write("/etc/courier/bofh", "opt BOFHCHECKDNS=0\n")
        self.root.write("/etc/courier/esmtpacceptmailfor", "lab.test\n")
        self.root.write("/etc/services", "smtp\t25/tcp\n")
        for name in ("tmp", "msgs", "msgq", "track"):
            self.root.directory(f"/var/lib/courier/{name}", owner=61241, mode=0o770)
        self.root.write("/etc/courier/authdaemonrc", _AUTH)
        self.root.directory("/run/courier/authdaemon", owner=61241)
        return [
            self.process("/usr/sbin/authdaemond", "start", forks=True),
            self.process("/usr/sbin/esmtpd", "start", name="esmtpd"),
        ]
