"""`pbs-lookup serve`: many conversations on sockets (edge)."""

from __future__ import annotations

import os
import signal

from ..errors import ConfigError
from .protocols import sockets
from .protocols.server import IDLE_SECONDS, MAX_CONNECTIONS, REQUEST_SECONDS, SocketServer

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from ..log import LookupLog
    from .answer import Lookup
    from .options import Options


def run(options: Options, lookup: Lookup, log: LookupLog) -> int:
    """`pbs-lookup serve`: open the sockets, give up root, serve until SIGTERM. The exit status."""
    account = sockets.user_entry(options.text("user")) if options.flag("user") else None
    if account is None and os.geteuid() == 0:
        raise ConfigError("serve needs no privileges: as root, give --user=NAME to become")
    listeners = _open(options, account.pw_uid if account else -1)
    if account is not None:
        sockets.become(account)
    server = SocketServer(
        listeners,
        lookup,
        log,
        idle_seconds=options.number("idle-seconds", IDLE_SECONDS, 1, 86400),
        request_seconds=options.number("request-seconds", REQUEST_SECONDS, 1, 3600),
        max_connections=options.number("max-connections", MAX_CONNECTIONS, 1, 1_000_000),
    )
    signal.signal(signal.SIGTERM, server.stop)
    signal.signal(signal.SIGINT, server.stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nothing is kept that could be read again
    sockets.notify(os.environ, "READY=1")
    server.run()
    sockets.notify(os.environ, "STOPPING=1")
    return 0


def _open(options: Options, owner: int) -> list[tuple[socket.socket, str]]:
    mode = options.number("mode", 0o660, 0, 0o777, base=8)
    group = sockets.group_id(options.text("group")) if options.flag("group") else -1
    listeners = sockets.activated(os.environ)
    for kind in sockets.KINDS:
        for where in options.all(kind):
            listeners.append((sockets.listen(where, mode=mode, owner=owner, group=group), kind))
    if not listeners:
        raise ConfigError("serve has nothing to serve: give --socketmap=unix:/PATH or --policy=...")
    return listeners
