"""Courier's pop3d and imapd under couriertcpd, passwords through PAM, one courierlogger each."""

from __future__ import annotations

from collections.abc import Sequence

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


class Courier(Server):
    name = "courier"
    text_hides_pieces = True
    # The shell and its helpers, because Courier's daemons are started by scripts.
    packages = ("courier-pop", "courier-imap", "dash", "coreutils")
    service_accounts = (("courier", 61121),)

    def configure(self) -> Sequence[Process]:
        self.root.write("/etc/courier/authdaemonrc", _AUTH)
        self.root.directory("/run/courier/authdaemon", owner=0, mode=0o755)
        for user in ACCOUNTS + ODD_ACCOUNTS:
            for name in ("", "/cur", "/new", "/tmp"):
                self.root.directory(f"/home/{user.name}/Maildir{name}", owner=user.uid, mode=0o700)
        for protocol, daemon in (("pop3", "pop3d"), ("imap", "imapd")):
            shipped = (self.root.path / "etc/courier" / daemon).read_text()
            self.root.write(
                f"/etc/courier/{daemon}",
                shipped + f"\nPORT={self.ports[protocol]}\nMAXPERIP=100\nIMAPACCESSFILE=\n",
            )
        return [
            self.process("/usr/sbin/authdaemond", "start", forks=True),
            self.process("/usr/lib/courier/pop3d", "start", forks=True),
            self.process("/usr/lib/courier/imapd", "start", forks=True),
        ]


class Courier14(Courier):
    """Debian 13's."""

    suite = "trixie"
