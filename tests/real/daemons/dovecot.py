"""Dovecot: passwd-file users, no TLS, logging by syslog(3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ..roots import ACCOUNTS
from .process import Process
from .server import Server

_CONFIG = """\
protocols = imap pop3
listen = {listen}
base_dir = /run/dovecot
state_dir = /run/dovecot-state
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_username_chars =
auth_failure_delay = 0
auth_verbose = yes
login_trusted_networks =
mail_location = mbox:/home/%u/mail:INBOX=/var/mail/%u
first_valid_uid = 1000
default_vsz_limit = 0
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
passdb {{
  driver = passwd-file
  args = /etc/dovecot/users
}}
userdb {{
  driver = passwd-file
  args = /etc/dovecot/users
}}
"""


class Dovecot(Server):
    name = "dovecot"
    packages = ("dovecot-imapd", "dovecot-pop3d")
    service_accounts = (("dovecot", 61101), ("dovenull", 61102))
    names_itself = True
    listen: ClassVar[str] = "127.0.0.1, ::1"

    def configure(self) -> Sequence[Process]:
        self.root.write(
            "/etc/dovecot/dovecot.conf", _CONFIG.format(listen=self.listen, **self.ports)
        )
        users = [
            f"{user.name}:{{PLAIN}}{user.password}:{user.uid}:{user.uid}::/home/{user.name}::"
            for user in ACCOUNTS
        ]
        self.root.write("/etc/dovecot/users", "\n".join(users) + "\n")
        return [self.process("/usr/sbin/dovecot", "-F")]
