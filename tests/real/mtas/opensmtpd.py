"""OpenSMTPD: Debian 12's 6.8 with an exported SQLite file, Debian 13's with a table program."""

from __future__ import annotations

from collections.abc import Sequence

from ..daemons.process import Process
from . import IPV6_SERVER, SERVER, Mta

_CONFIG = f"""\
listen on {SERVER}
listen on {IPV6_SERVER}
action "local" mbox
action "relay" relay host smtp://{SERVER}:2525
match from any for domain "lab.test" action "local"
match from src "198.51.100.0/28" for any action "relay"
"""


class OpenSmtpd(Mta):
    """6.8; the test writes the SQLite file."""

    name = "opensmtpd"
    packages = ("opensmtpd", "opensmtpd-extras")
    service_accounts = (("opensmtpd", 61251), ("opensmtpq", 61252))
    config = "smtpd-6.8.conf"

    def configure(self) -> Sequence[Process]:
        self.root.write("/etc/smtpd.conf", _CONFIG + self.example(f"opensmtpd/{self.config}"))
        self.root.write("/etc/pbs-sqlite.conf", self.example("opensmtpd/pbs-sqlite.conf"))
        return self.common()

    def common(self) -> Sequence[Process]:
        """What both versions need."""
        self.root.write("/etc/mailname", "mx1.lab.test\n")
        for directory in ("/var/lib/opensmtpd/empty", "/run/opensmtpd"):
            self.root.directory(directory)
        self.root.directory("/var/spool/smtpd", mode=0o711)
        return [self.process("/usr/sbin/smtpd", "-d", "-v", name="smtpd")]


class OpenSmtpd7(OpenSmtpd):
    """The one of Debian 13, which asks `pbs-lookup opensmtpd`, here under Debian 13's Python."""

    name = "opensmtpd7"
    packages = ("opensmtpd", "dash", "ca-certificates")
    suite = "trixie"
    map_group = 61251  # smtpd runs its table programs as this user, without other groups

    def configure(self) -> Sequence[Process]:
        self.root.write("/etc/smtpd.conf", _CONFIG + self.example("opensmtpd/smtpd.conf"))
        self.root.write(
            "/usr/libexec/opensmtpd/table-pbs", self.example("opensmtpd/table-pbs"), mode=0o755
        )
        # smtpd does not start without one, and ca-certificates makes it when it is installed.
        authority = next((self.root.path / "usr/share/ca-certificates/mozilla").iterdir())
        self.root.write("/etc/ssl/certs/ca-certificates.crt", authority.read_text())
        return self.common()
