"""nginx as a mail proxy in front of a Dovecot of its own; we are its auth server."""

from __future__ import annotations

import http.server
import threading
import urllib.parse
from collections.abc import Sequence
from typing import ClassVar

from ..roots import ACCOUNTS, ODD_ACCOUNTS
from .dovecot import Dovecot
from .process import Process
from .server import Server

_CONFIG = """\
user www-data;
daemon off;
pid /run/nginx.pid;
load_module /usr/lib/nginx/modules/ngx_mail_module.so;
error_log syslog:server=unix:/dev/log,facility=mail,tag=nginx,nohostname info;
events {{ }}
mail {{
  auth_http 127.0.0.1:{auth}/;
  pop3_auth plain apop;
  imap_auth plain login;
  server {{
    listen 127.0.0.1:{pop3};
    listen [::1]:{pop3};
    protocol pop3;
  }}
  server {{
    listen 127.0.0.1:{imap};
    listen [::1]:{imap};
    protocol imap;
  }}
}}
"""


class _Backend(Dovecot):
    """nginx says the same for every protocol; the port of the server behind tells which it is."""

    listen = "127.0.0.77"
    fixed_ports: ClassVar[dict[str, int]] = {"pop3": 110, "imap": 143}


class _Auth(http.server.BaseHTTPRequestHandler):
    """nginx's auth protocol: who may pass, and to which backend."""

    backend: dict[str, int]

    def do_GET(self) -> None:
        user, password, protocol = (
            urllib.parse.unquote(self.headers.get(f"Auth-{name}", ""), "latin-1")
            for name in ("User", "Pass", "Protocol")
        )
        self.send_response(200)
        accounts = ACCOUNTS + ODD_ACCOUNTS
        if any((user, password) == (account.name, account.password) for account in accounts):
            self.send_header("Auth-Status", "OK")
            self.send_header("Auth-Server", _Backend.listen)
            self.send_header("Auth-Port", str(self.backend[protocol]))
        else:
            self.send_header("Auth-Status", "Invalid login or password")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Nothing: pytest's output is not the place."""


class Nginx(Server):
    name = "nginx"
    packages = ("nginx-core", "libnginx-mod-mail")

    def configure(self) -> Sequence[Process]:
        (self.directory / "backend").mkdir()
        self.backend = self._running.enter_context(_Backend(self.directory / "backend"))
        handler = type("Auth", (_Auth,), {"backend": self.backend.ports})
        auth = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=auth.serve_forever)
        thread.start()
        self._running.callback(thread.join)
        self._running.callback(auth.server_close)
        self._running.callback(auth.shutdown)
        self.root.directory("/var/log/nginx")
        self.root.directory("/var/lib/nginx")
        self.root.write(
            "/etc/nginx/nginx.conf",
            _CONFIG.format(auth=auth.server_address[1], **self.ports),
        )
        return [self.process("/usr/sbin/nginx")]
