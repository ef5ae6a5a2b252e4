"""mailfront's POP3 server under tcpserver, their stderr sent to syslog by logger."""

from __future__ import annotations

from collections.abc import Sequence

from ..roots import ACCOUNTS, ODD_ACCOUNTS
from .process import Process
from .server import Server

_RUN = """\
export CVM_PWFILE_PATH=/etc/mailfront-users
tcpserver -v -H -R -l mx1 -c 100 127.0.0.1 {port} \
  pop3front-auth cvm-pwfile pop3front-maildir Maildir 2>&1 | logger -t mailfront -p mail.info
"""


class Mailfront(Server):
    name = "mailfront"
    packages = ("mailfront", "ucspi-tcp", "cvm", "dash", "bsdutils")
    protocols = ("pop3",)
    names_user = False
    must_be_named = True
    ipv6 = False  # tcpserver knows IPv4 only

    def configure(self) -> Sequence[Process]:
        users = [
            f"{user.name}:{user.password}:{user.uid}:{user.uid}::/home/{user.name}:/bin/sh"
            for user in ACCOUNTS + ODD_ACCOUNTS
        ]
        self.root.write("/etc/mailfront-users", "\n".join(users) + "\n")
        for user in ACCOUNTS + ODD_ACCOUNTS:
            for name in ("", "/cur", "/new", "/tmp"):
                self.root.directory(f"/home/{user.name}/Maildir{name}", owner=user.uid, mode=0o700)
        return [self.process("/usr/bin/dash", "-c", _RUN.format(port=self.ports["pop3"]))]
