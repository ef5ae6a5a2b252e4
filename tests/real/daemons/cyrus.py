"""Cyrus IMAP's imapd and pop3d under its own master, passwords in sasldb."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..roots import ACCOUNTS, ODD_ACCOUNTS
from .process import Process
from .server import Server

_IMAPD = """\
configdirectory: /var/lib/cyrus
proc_path: /run/cyrus/proc
mboxname_lockpath: /run/cyrus/lock
defaultpartition: default
partition-default: /var/spool/cyrus/mail
admins: cyrus
allowanonymouslogin: no
allowplaintext: yes
autocreate_quota: 0
popminpoll: 0
servername: mx1
failedloginpause: 0
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_mech_list: PLAIN LOGIN
idlesocket: /run/cyrus/socket/idle
syslog_prefix: cyrus
"""
_MASTER = """\
START {{
  recover cmd="/usr/lib/cyrus/bin/ctl_cyrusdb -r"
}}
SERVICES {{
  imap cmd="imapd" listen="{imap}" prefork=0
  pop3 cmd="pop3d" listen="{pop3}" prefork=0
}}
EVENTS {{
}}
"""


class Cyrus(Server):
    name = "cyrus"
    packages = ("cyrus-imapd", "cyrus-pop3d", "sasl2-bin")
    service_accounts = (("cyrus", 61141),)
    protocol_in_rfc5424 = False
    logs_refused_mailboxes = True
    odd_names = 3  # saslpasswd2 takes no UTF-8, POP3 no backslash, brace or backtick

    def configure(self) -> Sequence[Process]:
        self.root.write("/etc/imapd.conf", _IMAPD)
        self.root.write("/etc/cyrus.conf", _MASTER.format(**self.ports))
        for name in ("/var/lib/cyrus", "/var/spool/cyrus/mail", "/run/cyrus", "/run/cyrus/proc",
                     "/run/cyrus/lock", "/run/cyrus/socket"):  # fmt: skip
            self.root.directory(name, owner=61141)
        for name in ("db", "socket", "log", "proc", "msg", "quota", "user", "sieve", "ptclient"):
            self.root.directory(f"/var/lib/cyrus/{name}", owner=61141)
        for account in ACCOUNTS + ODD_ACCOUNTS:
            self.root.run("/usr/sbin/saslpasswd2", "-p", "-c", "-u", "mx1", account.name,
                          text=account.password)  # fmt: skip
        os.chown(self.root.path / "etc/sasldb2", 61141, 61141)
        return [
            self.process("/usr/sbin/cyrmaster", "-C", "/etc/imapd.conf", "-M", "/etc/cyrus.conf")
        ]


class Cyrus310(Cyrus):
    """Debian 13's."""

    suite = "trixie"
