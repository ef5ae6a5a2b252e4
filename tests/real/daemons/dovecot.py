"""Dovecot: passwd-file users, no TLS, logging by syslog(3); of Debian 12 and of Debian 13.

Beside the users of its file, whoever has `ANYBODYS_PASSWORD` may log in, under any name at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ..roots import ACCOUNTS
from .process import Process
from .server import Server

ANYBODYS_PASSWORD = "anybody-4"
_COMMON = """\
protocols = imap pop3
listen = {listen}
base_dir = /run/dovecot
state_dir = /run/dovecot-state
ssl = no
auth_mechanisms = plain login
auth_username_chars =
auth_failure_delay = 0
auth_verbose = yes
first_valid_uid = 1000
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service anvil {{
  # Failures from one address would be answered ever more slowly, up to 17 seconds.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""
_CONFIG = """\
disable_plaintext_auth = no
login_trusted_networks =
mail_location = mbox:/home/%u/mail:INBOX=/var/mail/%u
default_vsz_limit = 0
passdb {{
  driver = passwd-file
  args = /etc/dovecot/users
}}
passdb {{
  driver = static
  args = password=anybody-4
}}
userdb {{
  driver = passwd-file
  args = /etc/dovecot/users
}}
userdb {{
  driver = static
  args = uid=61009 gid=61009 home=/tmp/anybody mail=mbox:/tmp/anybody/mail:INBOX=/tmp/anybody/inbox
}}
"""
_CONFIG_24 = """\
dovecot_config_version = 2.4.1
dovecot_storage_version = 2.4.1
auth_allow_cleartext = yes
mail_driver = mbox
mail_path = %{{home}}/mail
mail_inbox_path = /var/mail/%{{user}}
default_vsz_limit = unlimited
passdb passwd-file {{
  passwd_file_path = /etc/dovecot/users
}}
passdb static {{
  password = anybody-4
}}
userdb passwd-file {{
  passwd_file_path = /etc/dovecot/users
}}
userdb static {{
  fields {{
    uid = 61009
    gid = 61009
    home = /tmp/anybody
    mail_inbox_path = /tmp/anybody/inbox
  }}
}}
"""


class Dovecot(Server):
    name = "dovecot"
    packages = ("dovecot-imapd", "dovecot-pop3d")
    service_accounts = (("dovecot", 61101), ("dovenull", 61102))
    names_itself = True
    listen: ClassVar[str] = "127.0.0.1, ::1"
    config: ClassVar[str] = _CONFIG + _COMMON
    more: ClassVar[str] = ""
    """More configuration, as it is."""

    def configure(self) -> Sequence[Process]:
        text = self.config.format(listen=self.listen, **self.ports)
        self.root.write("/etc/dovecot/dovecot.conf", text + self.more)
        self.root.directory("/tmp/anybody", owner=61009)
        users = [
            f"{user.name}:{{PLAIN}}{user.password}:{user.uid}:{user.uid}::/home/{user.name}::"
            for user in ACCOUNTS
        ]
        self.root.write("/etc/dovecot/users", "\n".join(users) + "\n")
        return [self.process("/usr/sbin/dovecot", "-F")]


class Dovecot24(Dovecot):
    """Debian 13's."""

    suite = "trixie"
    config = _CONFIG_24 + _COMMON
