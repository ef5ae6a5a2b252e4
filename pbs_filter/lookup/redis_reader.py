"""The map in Redis, for lookups: a client of our own, as small as what it asks for.

redis-py would take several times the interpreter's own start. One connection is kept for each
server; one that is lost is made again at once, one that hangs is left alone for REST_SECONDS, so
that a crowd of questions does not wait in turn. Everything ends within TOTAL_SECONDS, before
`answer.Guarded` would end the process (a host name that cannot be resolved may take longer: give
addresses, or names of /etc/hosts).
"""

from __future__ import annotations

import _socket
import os
import time

from ..errors import ConfigError, PbsFilterError, ProtocolError, StoreBusy
from ..map_format import redis_url
from ..map_format.check import user_keys
from ..map_format.redis_fields import FILTERS, choose, current, is_forgetting
from . import resp

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from ..map_format.redis_url import Location

    Target: TypeAlias = tuple[str, int]
    """Host and port, or the path of a unix socket and 0."""

ANSWER_SECONDS = 0.4
"""For one server to be connected to, and to answer."""
TOTAL_SECONDS = 1.2
"""For all servers together; `answer.HANG_SECONDS` is longer."""
REST_SECONDS = 1.0
"""A server that hung, refused, or could not be reached is not asked again before."""
BELIEF_SECONDS = 1.0
"""How long a server is believed that an address is not there, once it was found in order."""
HOPS = 5
"""Redirections that one question follows."""
MAX_SERVERS = 1000
"""Connections kept for one location."""
BLOCK = 65536
"""Bytes of one read."""

_INFO = resp.command(b"INFO", b"replication")
_ASKING = resp.command(b"ASKING")


class Lost(StoreBusy):
    """The kept connection has ended since it was last used: ask again."""


class Server:
    """A kept connection to one server."""

    def __init__(self, location: Location, target: Target, *, sentinel: bool = False) -> None:
        self.target = target
        self.name = f"{target[0]}:{target[1]}" if target[1] else target[0]
        self.believed_until = 0.0
        """Until when (monotonic) a miss needs no proof."""
        self._location = location
        self._sentinel = sentinel
        self._sock: _socket.socket | ssl.SSLSocket | None = None
        self._rest_until = 0.0
        self._trouble = ""

    def ask(self, commands: list[bytes], deadline: float) -> list[resp.Reply]:
        """The replies to `commands`, before `deadline` (monotonic). Raises `StoreBusy`."""
        now = time.monotonic()
        if now < self._rest_until:
            raise StoreBusy(self._trouble)
        deadline = min(deadline, now + ANSWER_SECONDS)
        kept = self._sock is not None
        try:
            found = self._exchange(commands, deadline) if kept else self._start(commands, deadline)
        except (EOFError, OSError, ProtocolError, ValueError) as error:  # of a name that is none
            if kept and isinstance(error, EOFError | ConnectionError):
                # It was idle for too long, or the server was restarted.
                self.close()
                raise Lost(f"Redis at {self.name}: {error}") from None
            raise self._rest(getattr(error, "strerror", None) or str(error)) from None
        for reply in found:
            if isinstance(reply, resp.Refusal) and not resp.redirection(reply):
                raise self._rest(reply[:120].decode("utf-8", "replace"))
        return found[-len(commands) :]

    def _rest(self, why: str) -> StoreBusy:
        """End the connection and leave the server alone for a while; the error that says so."""
        self.close()
        self._rest_until = time.monotonic() + REST_SECONDS
        self._trouble = f"Redis at {self.name}: {why}"
        return StoreBusy(self._trouble)

    def close(self) -> None:
        """End the connection, if there is one, and what was believed."""
        self.believed_until = 0.0
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _start(self, commands: list[bytes], deadline: float) -> list[resp.Reply]:
        """Connect, say who we are, and ask, all at once; the replies to all of that."""
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
            # Bytes: a text is encoded as IDNA, whose import takes as long as the interpreter.
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
    """Seconds until `deadline` (monotonic). Raises `TimeoutError` where it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _with_tls(sock: _socket.socket, location: Location, host: str) -> ssl.SSLSocket:
    """`sock`, connected, as a TLS connection to `host`, whose certificate must be its own."""
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
    """The password in a file. Raises `ConfigError`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            mode, content = os.fstat(descriptor).st_mode, os.read(descriptor, 1024)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ConfigError(f"password file {path!r}: {error.strerror}") from None
    return redis_url.password(path, mode, content)


class Place:
    """What one location names: a server, the nodes of its cluster, or what Sentinel watches."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._prefix = location.prefix.encode()
        self._filters = resp.command(b"HVALS", self._prefix + FILTERS.encode())
        self._servers: dict[Target, Server] = {}
        self._targets: list[Target] = []
        """The servers to ask, in this order."""
        self._sentinels: list[Server] = []
        """Who knows them."""
        self._look_at = 0.0
        """When (monotonic) a sentinel may be asked again."""
        self._moved = False
        """Whether one of `_targets` was in trouble, and there may be others by now."""
        if location.kind == "sentinel":
            self._sentinels = [Server(location, host, sentinel=True) for host in location.hosts]
        elif location.kind == "unix":
            self._targets = [(location.path, 0)]
        else:
            self._targets = list(location.hosts)

    def entries(
        self, address: bytes, now: float, deadline: float, *, users: bool
    ) -> list[tuple[bytes, bytes]]:
        """Return key and value of `address` at `now` (epoch), and with `users` those of its users.

        Empty: it is certain that nothing authorises it. Raises a `PbsFilterError` where nobody can
        say before `deadline` (monotonic).
        """
        if self._sentinels and (self._moved or not self._targets):
            self._look(deadline)
        troubles = []
        for target in self._targets:
            try:
                return self._entries(self._server(target), address, now, deadline, users=users)
            except PbsFilterError as error:
                troubles.append(str(error))
                self._moved = True
        raise StoreBusy("; ".join(dict.fromkeys(troubles)))

    def _look(self, deadline: float) -> None:
        """Ask the sentinels where the service is now. Raises `StoreBusy` if it never was."""
        asked = time.monotonic()
        if self._targets and asked < self._look_at:
            return
        self._look_at = asked + REST_SECONDS
        service = self._location.service.encode()
        commands = [
            resp.command(b"SENTINEL", b"get-master-addr-by-name", service),
            resp.command(b"SENTINEL", b"replicas", service),
        ]
        trouble = ""
        for sentinel in self._sentinels:
            try:
                found = resp.watched(*sentinel.ask(commands, deadline))
            except PbsFilterError as error:
                trouble = str(error)
                continue
            finally:
                sentinel.close()
            if found:
                self._targets, self._moved = found, False
                return
            trouble = f"Sentinel at {sentinel.name}: it knows no {self._location.service!r}"
        if not self._targets:
            raise StoreBusy(trouble)

    def _server(self, target: Target) -> Server:
        if target not in self._servers:
            if len(self._servers) >= MAX_SERVERS:
                for server in self._servers.values():
                    server.close()
                self._servers.clear()
            self._servers[target] = Server(self._location, target)
        return self._servers[target]

    def _entries(
        self, server: Server, address: bytes, now: float, deadline: float, *, users: bool
    ) -> list[tuple[bytes, bytes]]:
        values = self._get(server, address, now, deadline)
        value = choose(address, values, now)
        if value is None:
            return []
        entries = [(address, value)]
        if users:
            # Each filter numbers the users that it has seen; a single one has no key of his own.
            counted = current(address, values, now)
            entries += [(address, each) for each in counted if not user_keys(address, each)]
            forgotten = list(filter(is_forgetting, values))
            for key in sorted({key for each in counted for key in user_keys(address, each)}):
                found = current(key, [*self._hvals(server, key, deadline), *forgotten], now)
                entries += [(key, each) for each in found]
        return entries

    def _hvals(self, server: Server, key: bytes, deadline: float) -> list[bytes]:
        """Return the values of `key` from `server`, or from where it sends us."""
        command = resp.command(b"HVALS", self._prefix + key)
        asking: list[bytes] = []
        for _ in range(HOPS):
            try:
                reply = server.ask([*asking, command], deadline)[-1]
            except Lost:
                continue
            elsewhere = resp.redirection(reply)
            if elsewhere is None:
                return resp.texts(reply)
            host, port, ask = elsewhere
            server = self._server((host or server.target[0], port))
            asking = [_ASKING] if ask else []
        raise StoreBusy(f"Redis at {server.name}: it sends us from server to server")

    def _get(self, server: Server, address: bytes, now: float, deadline: float) -> list[bytes]:
        """Return the values of `address` from `server`, or from where it sends us.

        Where none authorises at `now` it is certain that this is so.
        """
        key = resp.command(b"HVALS", self._prefix + address)
        asking: list[bytes] = []
        for _ in range(HOPS):
            asked = time.monotonic()
            # Before the address: it is not there if it is missing after all addresses were there.
            proof = [_INFO, self._filters] if asked >= server.believed_until else []
            try:
                found = server.ask([*proof, *asking, key], deadline)
                elsewhere = resp.redirection(found[-1])
                if elsewhere is not None:
                    host, port, ask = elsewhere
                    server = self._server((host or server.target[0], port))
                    asking = [_ASKING] if ask else []
                    continue
                values = resp.texts(found[-1])
                value = choose(address, values, now)
                if not proof:
                    return values
                marks = found[1]
                elsewhere = resp.redirection(marks)
                if elsewhere is not None:
                    if value is not None:
                        return values
                    other = self._server((elsewhere[0] or server.target[0], elsewhere[1]))
                    marks = other.ask([self._filters], deadline)[0]
            except Lost:
                continue
            doubt = resp.doubt(found[0], resp.texts(marks))
            if not doubt:
                server.believed_until = asked + BELIEF_SECONDS
            if value is not None:
                return values
            if doubt:
                raise StoreBusy(f"Redis at {server.name}: {doubt}")
            if elsewhere is None:
                return values
        raise StoreBusy(f"Redis at {server.name}: it sends us from server to server")


class RedisReader:
    """Reads what the filters keep in Redis: `answer.Reader`."""

    def __init__(self, locations: Sequence[str], now: Callable[[], float] = time.time) -> None:
        """`locations` are asked in this order; the first that can say decides.

        Raises `ConfigError` for a location that is none.
        """
        self._places = [Place(redis_url.parse(location)) for location in locations]
        self._now = now

    def get(self, address: str) -> bytes | None:
        """See `answer.Reader.get`. Raises `StoreBusy`."""
        entries = self.entries(address, users=False)
        return entries[0][1] if entries else None

    def entries(self, address: str, *, users: bool = True) -> list[tuple[bytes, bytes]]:
        """See `answer.Reader.entries`. Raises `StoreBusy`."""
        deadline = time.monotonic() + TOTAL_SECONDS
        troubles = []
        for place in self._places:
            try:
                return place.entries(address.encode("ascii"), self._now(), deadline, users=users)
            except PbsFilterError as error:
                troubles.append(str(error))
        raise StoreBusy(f"map: {'; '.join(dict.fromkeys(troubles))}")
