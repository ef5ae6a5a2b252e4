"""Courier's pop3d and imapd under couriertcpd, passwords through PAM, one courierlogger each."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Sequence
from typing import ClassVar

from ..clients import Client, Imap, Pop3
from ..packages import install
from ..roots import ACCOUNTS, ODD_ACCOUNTS
from .process import Process
from .server import Server

_AUTH = """\
authmodulelist="authpam"
authmodulelistorig="authpam"
daemons=3
authdaemonvar=/run/courier/authdaemon
DEBUG_LOGIN=0
DEFAULTOPTIONS=""
LOGGEROPTS=""
"""

_MANY = "MAXDAEMONS=100\nMAXPERIP=100\nIMAPACCESSFILE=\n"
"""As many clients at one time as a test may have, from one address."""


class Courier(Server):
    name = "courier"
    text_hides_pieces = True
    # The shell and its helpers, because Courier's daemons are started by scripts.
    packages = ("courier-pop", "courier-imap", "dash", "coreutils")
    service_accounts = (("courier", 61121),)
    daemons: ClassVar[dict[str, str]] = {"pop3": "pop3d", "imap": "imapd"}

    def configure(self) -> Sequence[Process]:
        self.root.write("/etc/courier/authdaemonrc", _AUTH)
        self.root.directory("/run/courier/authdaemon", owner=0, mode=0o755)
        for user in ACCOUNTS + ODD_ACCOUNTS:
            for name in ("", "/cur", "/new", "/tmp"):
                self.root.directory(f"/home/{user.name}/Maildir{name}", owner=user.uid, mode=0o700)
        for protocol, daemon in self.daemons.items():
            shipped = (self.root.path / "etc/courier" / daemon).read_text()
            self.root.write(f"/etc/courier/{daemon}", shipped + self.changes(protocol))
        return [
            self.process("/usr/sbin/authdaemond", "start", forks=True),
            *(
                self.process(f"/usr/lib/courier/{daemon}", "start", forks=True)
                for daemon in self.daemons.values()
            ),
        ]

    def changes(self, protocol: str) -> str:
        """What is added to the shipped file of the daemon for `protocol`."""
        return f"\nPORT={self.ports[protocol]}\n{_MANY}"


class Courier14(Courier):
    """Debian 13's."""

    suite = "trixie"


class CourierTls(Courier):
    """Courier's pop3d-ssl and imapd-ssl: couriertls between the client and the server."""

    daemons: ClassVar[dict[str, str]] = {"pop3": "pop3d-ssl", "imap": "imapd-ssl"}

    def configure(self) -> Sequence[Process]:
        install("openssl")
        certificate = self.directory / "courier.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
             "-keyout", certificate, "-out", self.directory / "public.pem"],
            check=True, capture_output=True,
        )  # fmt: skip
        both = certificate.read_text() + (self.directory / "public.pem").read_text()
        self.root.write("/etc/courier/test.pem", both, mode=0o600, owner=61121)
        self.root.directory("/var/lib/courier", owner=61121)
        return super().configure()

    def changes(self, protocol: str) -> str:
        return (
            f"\nSSLPORT={self.ports[protocol]}\n{_MANY}"
            "TLS_CERTFILE=/etc/courier/test.pem\nTLS_TRUSTCERTS=\nTLS_DHPARAMS=\n"
        )

    def client(self, protocol: str, *, source: str | None = None, ipv6: bool = False) -> Client:
        kind = {"pop3": Pop3, "imap": Imap}[protocol]
        context = ssl.create_default_context(cafile=str(self.directory / "public.pem"))
        context.check_hostname = False
        address = "::1" if ipv6 else "127.0.0.1"
        return kind(address, self.ports[protocol], source=source, tls=context)


class CourierTls14(CourierTls):
    """Debian 13's."""

    suite = "trixie"
