"""solid-pop3d, Debian's build (with logextend, connect, resolve), under inetd as it is packaged."""

from __future__ import annotations

from collections.abc import Sequence

from .process import Process
from .server import Server

_CONFIG = """\
<Global>
    MailDropName "/var/mail/%s"
    MailDropType mailbox
    LogStatistics yes
</Global>
"""
_INETD = """\
localhost:{pop3} stream tcp4 nowait.1000 root /usr/sbin/solid-pop3d solid-pop3d
localhost:{pop3} stream tcp6 nowait.1000 root /usr/sbin/solid-pop3d solid-pop3d
"""


class SolidPop3d(Server):
    name = "solid-pop3d"
    packages = ("solid-pop3d", "openbsd-inetd")
    writes_as_user = True
    service_accounts = (("spop3d", 61131),)
    protocols = ("pop3",)

    def configure(self) -> Sequence[Process]:
        self.root.write("/etc/spop3d.conf", _CONFIG)
        self.root.write("/etc/inetd.conf", _INETD.format(**self.ports))
        return [self.process("/usr/sbin/inetd", "-i", "/etc/inetd.conf")]
