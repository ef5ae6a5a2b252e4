"""A small Redis client for lookups keeps a connection to one server.

The import of redis-py takes several times as long as the interpreter's start. A lost connection is
opened again at once; a server that hangs is not asked for REST_SECONDS, so that many lookups do not
wait for it one after the other.
"""

from __future__ import annotations

import _socket
import os
import time

from ..errors import ConfigError, ProtocolError, StoreBusy
from ..map_format import redis_url
from . import resp

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from typing import TypeAlias

    from ..map_format.redis_url import Location

    Target: TypeAlias = tuple[str, int]
    """Host and port, or the path of a unix socket and 0."""

ANSWER_SECONDS = 0.4
"""One server must have accepted the connection and answered within this time."""
REST_SECONDS = 1.0
"""A server that hung, refused or could not be reached is not asked again for this long."""
BLOCK = 65536
"""Bytes of one read."""


class Lost(StoreBusy):
    """The kept connection was closed since it was last used; a new one may succeed."""


class RedisConnection:
    """A kept connection to one server."""

    def __init__(self, location: Location, target: Target, *, sentinel: bool = False) -> None:
        self.target = target
        self.name = f"{target[0]}:{target[1]}" if target[1] else target[0]
        self._location = location
        self._sentinel = sentinel
        self._sock: _socket.socket | ssl.SSLSocket | None = None
        self._rest_until = 0.0
        self._trouble = ""

    def ask(self, commands: list[bytes], deadline: float) -> list[resp.Reply]:
        """Return the replies to `commands` before `deadline` (monotonic). Raises: StoreBusy."""
        now = time.monotonic()
        if now < self._rest_until:
            raise StoreBusy(self._trouble)
        deadline = min(deadline, now + ANSWER_SECONDS)
        kept = self._sock is not None
        try:
            found = self._exchange(commands, deadline) if kept else self._start(commands, deadline)
        except (EOFError, OSError, ProtocolError, ValueError) as error:  # of a name that is none
            if kept and isinstance(error, EOFError | ConnectionError):
                # The connection was idle for too long, or the server was restarted.
                self.close()
                raise Lost(f"Redis at {self.name}: {error}") from None
            raise self._rest(getattr(error, "strerror", None) or str(error)) from None
        for reply in found:
            if isinstance(reply, resp.Refusal) and not resp.redirection(reply):
                raise self._rest(reply[:120].decode("utf-8", "replace"))
        return found[-len(commands) :]

    def _rest(self, why: str) -> StoreBusy:
        """Close the connection for REST_SECONDS; return the error to raise."""
        self.close()
        self._rest_until = time.monotonic() + REST_SECONDS
        self._trouble = f"Redis at {self.name}: {why}"
        return StoreBusy(self._trouble)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _start(self, commands: list[bytes], deadline: float) -> list[resp.Reply]:
        """Connect and send login, database and `commands` in one go; return all the replies."""
        location = self._location
        user, file = location.user, location.password_file
        if self._sentinel:
            user, file = location.sentinel_user, location.sentinel_password_file
        greeting = []
        if file:
            words = [user.encode()] if user else []
            greeting.append(resp.command(b"AUTH", *words, _password(file).encode()))
        if location.database and not self._sentinel:
            greeting.append(resp.command(b"SELECT", b"%d" % location.database))
        self._sock = self._connect(deadline)
        return self._exchange(greeting + commands, deadline)

    def _connect(self, deadline: float) -> _socket.socket | ssl.SSLSocket:
        host, port = self.target
        places: list[tuple[int, str | tuple[str, int]]] = [(_socket.AF_UNIX, host)]
        if port:
            # Bytes, as text is encoded by IDNA, whose import doubles the program's start.
            found = _socket.getaddrinfo(host.encode("ascii"), port, 0, _socket.SOCK_STREAM)
            places = [(family, address) for family, _, _, _, address in found]  # type: ignore[misc]
        trouble: OSError = OSError("no address")
        for family, address in places:
            sock = _socket.socket(family, _socket.SOCK_STREAM)
            try:
                sock.settimeout(_left(deadline))
                sock.connect(address)
                return _with_tls(sock, self._location, host) if self._location.tls else sock
            except OSError as error:
                sock.close()
                trouble = error
        raise trouble

    def _exchange(self, commands: list[bytes], deadline: float) -> list[resp.Reply]:
        assert self._sock is not None
        sock = self._sock
        sock.settimeout(_left(deadline))
        sock.sendall(b"".join(commands))
        data = sock.recv(BLOCK)
        while (found := resp.replies(data, len(commands))) is None:
            sock.settimeout(_left(deadline))
            block = sock.recv(BLOCK)
            if not block:
                raise EOFError("the connection was closed")
            data += block
        return found


def _left(deadline: float) -> float:
    """Return the seconds until `deadline` (monotonic). Raises: TimeoutError where it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _with_tls(sock: _socket.socket, location: Location, host: str) -> ssl.SSLSocket:
    """Return TLS on the connected `sock`; the certificate must be that of `host`."""
    import socket
    import ssl

    timeout = sock.gettimeout()
    plain = socket.socket(fileno=sock.detach())
    try:
        plain.settimeout(timeout)
        try:
            context = ssl.create_default_context(cafile=location.ca_file or None)
            if location.cert_file:
                context.load_cert_chain(location.cert_file, location.key_file)
        except OSError as error:
            names = filter(None, (location.ca_file, location.cert_file, location.key_file))
            raise OSError(f"TLS with {', '.join(names)}: {error}") from None
        return context.wrap_socket(plain, server_hostname=host.encode("ascii"))
    except BaseException:
        plain.close()
        raise


def _password(path: str) -> str:
    """Return the password in the file `path`. Raises: ConfigError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            mode, content = os.fstat(descriptor).st_mode, os.read(descriptor, 1024)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ConfigError(f"password file {path!r}: {error.strerror}") from None
    return redis_url.password(path, mode, content)
