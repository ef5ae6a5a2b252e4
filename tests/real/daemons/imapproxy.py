"""imapproxy (up-imapproxy) in front of a Dovecot of its own."""

from __future__ import annotations

from collections.abc import Sequence

from .dovecot import Dovecot
from .process import Process
from .server import Server

_CONFIG = """\
server_hostname 127.0.0.1
server_port {backend}
listen_port {port}
cache_size 200
cache_expiration_time 300
proc_username nobody
proc_groupname nogroup
stat_filename /run/pimpstats
protocol_log_filename /run/protocol.log
syslog_facility LOG_MAIL
send_tcp_keepalives no
enable_select_cache no
foreground_mode yes
force_tls no
enable_admin_commands no
"""


class Imapproxy(Server):
    name = "imapproxy"
    packages = ("imapproxy",)
    protocols = ("imap",)
    at_once = 5
    ipv6 = False

    def configure(self) -> Sequence[Process]:
        (self.directory / "backend").mkdir()
        self.backend = self._running.enter_context(Dovecot(self.directory / "backend"))
        config = _CONFIG.format(backend=self.backend.ports["imap"], port=self.ports["imap"])
        self.root.write("/etc/imapproxy.conf", config)
        return [self.process("/usr/sbin/imapproxyd", "-f", "/etc/imapproxy.conf")]
