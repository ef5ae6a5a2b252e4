"""The sockets of `pbs-lookup serve`: which accounts may connect, and as which one we run.

A unix socket is as safe as its directory: whoever may write there can put his own socket in our
place and say "yes" to the MTA. So a directory that others can write to is refused (sendmail refuses
it too).
"""

from __future__ import annotations

import grp
import os
import pwd
import socket
import stat
import struct

from ...errors import ConfigError
from ..counts import mta_of_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

BACKLOG = 256
"""Connections that may wait to be accepted."""
FIRST_ACTIVATED = 3
"""The first descriptor of systemd's socket activation, sd_listen_fds(3)."""
KINDS = ("socketmap", "policy", "trace-header", "trace-log")
ACCOUNTS = {
    "Debian-exim": "exim",
    "exim": "exim",
    "postfix": "postfix",
    "smmsp": "sendmail",
    "smmta": "sendmail",
}
"""The MTA that runs as an account."""


_CREDENTIALS = struct.Struct("3i")
MAX_PIDS = 1000


class Mtas:
    """The MTA at the other end of a unix socket, for the counts: by its account, which is looked up
    once, or for root by the process."""

    def __init__(self) -> None:
        self._of_uid = {-1: ""}
        self._of_pid: dict[int, str] = {}

    def of_peer(self, sock: socket.socket) -> str:
        """Return the MTA that has connected; empty where that cannot be seen, as by TCP."""
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _ = _CREDENTIALS.unpack(credentials)
        mta = self._of_uid.get(uid)
        if mta is None:
            try:
                mta = ACCOUNTS.get(pwd.getpwuid(uid).pw_name, "")
            except KeyError:
                mta = ""
            self._of_uid[uid] = mta
        if mta or uid:
            return mta
        if pid not in self._of_pid:
            if len(self._of_pid) >= MAX_PIDS:
                self._of_pid.clear()
            self._of_pid[pid] = mta_of_process(pid)
        return self._of_pid[pid]


def listen(where: str, *, mode: int, owner: int = -1, group: int = -1) -> socket.socket:
    """Return a listening socket at `where`: `unix:/PATH` or `inet:ADDRESS:PORT` (loopback only).

    `mode`, `owner` and `group` (ids, -1: as it comes) are for the file of a unix socket. Raises
    `ConfigError` for a place that cannot be used, or is not safe.
    """
    kind, _, rest = where.partition(":")
    if kind == "unix" and rest.startswith("/"):
        return _listen_unix(rest, mode, owner, group)
    host, colon, port = rest.rpartition(":")
    if kind == "inet" and colon and port.isdigit() and int(port) < 65536:
        return _listen_inet(host.strip("[]"), int(port))
    raise ConfigError(f"cannot listen at {where!r}: write unix:/PATH or inet:127.0.0.1:PORT")


def _listen_inet(host: str, port: int) -> socket.socket:
    if not loopback(host):
        raise ConfigError(
            f"cannot listen at {host!r}: the answers tell who reads mail from where, so only "
            "127.0.0.0/8 and ::1 are served; run pbs-lookup on the MTA's own host"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it: no reply waits for the acknowledgement of the one before.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"cannot listen at {host} port {port}: {error.strerror}; name a port that nobody has "
            "(`ss -ltnp` shows who has which)"
        ) from None
    return sock


def loopback(host: str) -> bool:
    """Return whether `host` is an address of the loopback interface, as numbers."""
    try:
        return socket.inet_pton(socket.AF_INET, host)[0] == 127
    except OSError:
        return host == "::1"


def _listen_unix(path: str, mode: int, owner: int, group: int) -> socket.socket:
    check_directory(os.path.dirname(path), owner)
    if os.path.lexists(path):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise ConfigError(
                f"cannot listen at {path!r}: there is something that is no socket; move it away, "
                "or name another path"
            )
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(path) == 0:
                raise ConfigError(
                    f"cannot listen at {path!r}: another program serves it; stop that first, or "
                    "name another path"
                )
    # Under another name until it has its mode, then renamed: no moment with the wrong rights, and
    # none without a socket where an old one was left behind.
    draft = f"{path}.{os.getpid()}"
    sock = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    try:
        sock.bind(draft)
        try:
            os.chown(draft, owner, group)
            os.chmod(draft, mode)
            sock.listen(BACKLOG)
            os.rename(draft, path)
        except OSError:
            os.unlink(draft)
            raise
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"cannot listen at {path!r}: {error.strerror}; name a path in a directory where "
            "pbs-lookup may make a socket"
        ) from None
    finally:
        os.umask(mask)
    return sock


def check_directory(directory: str, owner: int = -1) -> None:
    """Refuse (`ConfigError`) a socket directory in which others could swap the socket.

    It and everything above it must belong to root, to us or to `owner`, and be writable by the
    owner alone; above it, a sticky directory such as /tmp will do.
    """
    ours = {0, os.geteuid(), owner}
    here = first = os.path.realpath(directory)
    while True:
        try:
            status = os.stat(here)
        except OSError as error:
            raise ConfigError(
                f"socket directory {directory!r}: {error.strerror}; create it, "
                "or let systemd do so (RuntimeDirectory=)"
            ) from None
        if status.st_uid not in ours:
            raise ConfigError(
                f"socket directory {directory!r}: {here!r} belongs to uid {status.st_uid}, who "
                "could put another socket in its place; give it to root or to our user"
            )
        sticky = status.st_mode & stat.S_ISVTX and here != first
        if status.st_mode & 0o022 and not sticky:
            raise ConfigError(
                f"socket directory {directory!r}: others can write to {here!r} (mode "
                f"{stat.S_IMODE(status.st_mode):04o}); chmod go-w {here}"
            )
        if here == "/":
            return
        here = os.path.dirname(here)


def activated(environ: Mapping[str, str]) -> list[tuple[socket.socket, str]]:
    """Return the listening sockets that systemd hands over, each with its kind, sd_listen_fds(3).

    `FileDescriptorName=` of the socket unit says the kind: `socketmap` or `policy`. Raises
    `ConfigError` for another name, and for sockets that are not ours to serve.
    """
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    text = environ.get("LISTEN_FDS", "")
    if not text.isdigit():
        raise ConfigError(f"socket activation: LISTEN_FDS={text!r} is not a number")
    count = int(text)
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    names += [""] * (count - len(names))
    listeners = []
    for descriptor, name in enumerate(names[:count], FIRST_ACTIVATED):
        if name not in KINDS:
            raise ConfigError(
                f"socket activation: descriptor {descriptor} is called {name!r}; write "
                f"FileDescriptorName={' or ='.join(KINDS)} into the socket unit"
            )
        sock = socket.socket(fileno=descriptor)
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ConfigError(
                f"socket activation: descriptor {descriptor} does not listen; with Accept=yes use "
                "`pbs-lookup socketmap` or `policy` instead of serve"
            )
        if sock.family != socket.AF_UNIX and not loopback(sock.getsockname()[0]):
            raise ConfigError(
                f"socket activation: {sock.getsockname()[0]} is not a loopback address; "
                "only 127.0.0.0/8 and ::1 are served"
            )
        listeners.append((sock, name))
    return listeners


def notify(environ: Mapping[str, str], state: str) -> None:
    """Tell systemd about us (`READY=1`, `STOPPING=1`), sd_notify(3); nothing without systemd."""
    address = environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(state.encode("ascii"), address.replace("@", "\0", 1) if address[0] == "@"
                        else address)  # fmt: skip
        except OSError:
            pass  # whoever asked to be told is gone


def group_id(name: str) -> int:
    """Return the id of a group given by name or number; `ConfigError` where there is none."""
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigError(f"there is no group {name!r}; create it, or name another") from None


def user_entry(name: str) -> pwd.struct_passwd:
    """Return the account called `name`; `ConfigError` where there is none."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise ConfigError(f"there is no user {name!r}; create it, or name another") from None


def become(account: pwd.struct_passwd) -> None:
    """Give up root for `account` and its groups, for good. Raises `ConfigError`."""
    try:
        os.initgroups(account.pw_name, account.pw_gid)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    except OSError as error:
        raise ConfigError(f"cannot become {account.pw_name!r}: {error.strerror}") from None
