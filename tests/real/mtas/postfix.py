"""Postfix as Debian ships it: smtpd in its chroot, the map asked through spawn(8)."""

from __future__ import annotations

from collections.abc import Sequence

from ..daemons.process import Process
from . import Mta

BASE = """\
compatibility_level = 3.6
myhostname = mx1.lab.test
mydestination = lab.test
mynetworks = 198.51.100.0/28
inet_interfaces = all
inet_protocols = all
local_recipient_maps =
alias_maps =
alias_database =
local_transport = discard:
smtpd_peername_lookup = no
smtpd_authorized_xclient_hosts = 198.51.100.99
relayhost = [192.0.2.1]:2525
in_flow_delay = 0
"""
"""A site's own settings, as far as the tests need them; XCLIENT lends documentation addresses."""


class Postfix(Mta):
    name = "postfix"
    packages = (
        "postfix", "postfix-lmdb", "postfix-cdb", "dash", "coreutils", "sed", "grep", "findutils",
        "diffutils",
    )  # fmt: skip
    service_accounts = (("postfix", 61201), ("postdrop", 61202))

    main = "main.cf"
    master = "master.cf"

    def configure(self) -> Sequence[Process]:
        shipped = (self.root.path / "usr/share/postfix/master.cf.dist").read_text()
        self.root.write("/etc/postfix/master.cf", shipped + self.example(f"postfix/{self.master}"))
        self.root.write("/etc/postfix/main.cf", BASE + self.example(f"postfix/{self.main}"))
        dynamic = (self.root.path / "usr/share/postfix/dynamicmaps.cf").read_text()
        self.root.write("/etc/postfix/dynamicmaps.cf", dynamic)
        self.root.directory("/var/lib/postfix", owner=61201)
        return [self.process("/usr/sbin/postfix", "start-fg", name="postfix")]
