"""GNU mailutils' pop3d and imap4d, with the settings that make their lines usable.

Without `acl` no address is logged, and without `session-id` nothing ties it to the login.
"""

from __future__ import annotations

from collections.abc import Sequence

from .process import Process
from .server import Server

_CONFIG = """\
mode daemon;
foreground yes;
max-children 50;
logging {{
  syslog yes;
  facility mail;
  session-id yes;
}};
acl {{
  log any;
  allow any;
}};
auth {{
  authorization system;
  authentication pam;
}};
pam {{
  service {protocol};
}};
server 127.0.0.1:{port} {{
}};
server "[::1]:{port}" {{
}};
"""


class Mailutils(Server):
    name = "mailutils"
    packages = ("mailutils-pop3d", "mailutils-imap4d", "libpam-modules")
    writes_as_user = True
    must_be_named = True
    at_once = 10

    def configure(self) -> Sequence[Process]:
        programs = {"pop3": "/usr/sbin/pop3d", "imap": "/usr/sbin/imap4d"}
        processes = []
        for protocol, program in programs.items():
            config = f"/etc/{protocol}.conf"
            self.root.write(config, _CONFIG.format(protocol=protocol, port=self.ports[protocol]))
            processes.append(self.process(program, "--config-file", config))
        return processes
