"""perdition, the POP3 and IMAP proxy, in front of a Dovecot of its own."""

from __future__ import annotations

from collections.abc import Sequence

from .dovecot import Dovecot
from .process import Process
from .server import Server


class Perdition(Server):
    name = "perdition"
    packages = ("perdition",)
    ipv6 = False  # Debian's build does not listen there

    def configure(self) -> Sequence[Process]:
        (self.directory / "backend").mkdir()
        self.backend = self._running.enter_context(Dovecot(self.directory / "backend"))
        return [
            self.process(
                f"/usr/sbin/perdition.{name}",
                "--no_daemon",
                "--no_lookup",
                "--map_library",
                "",
                "--listen_port",
                str(self.ports[protocol]),
                "--outgoing_server",
                "127.0.0.1",
                "--outgoing_port",
                str(self.backend.ports[protocol]),
                "--ssl_mode",
                "none",
            )
            for name, protocol in (("pop3", "pop3"), ("imap4", "imap"))
        ]
