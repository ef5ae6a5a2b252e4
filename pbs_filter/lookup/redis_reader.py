"""The reader of the map in Redis, for lookups.

One connection is kept for each server. Every lookup ends within TOTAL_SECONDS, before
`answer.Guarded` would end the process (the resolution of a host name may take longer: configure
addresses, or names of /etc/hosts).
"""

from __future__ import annotations

import time

from ..errors import PbsFilterError, StoreBusy
from ..map_format import redis_url
from ..map_format.check import user_keys
from ..map_format.redis_fields import FILTERS, choose, current, is_forgetting, is_unheard
from ..map_format.redis_members import Members
from . import redis_connection, resp
from .redis_connection import Lost, RedisConnection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..map_format.redis_url import Location
    from .known_members import KnownMembers
    from .redis_connection import Target

TOTAL_SECONDS = 1.2
"""A lookup may ask all servers together for this long; `answer.HANG_SECONDS` is longer."""
HOPS = 5
"""Redirections that one lookup follows."""
MAX_SERVERS = 1000
"""Most connections that are kept for one location."""

_INFO = resp.command(b"INFO", b"server", b"replication")
_ASKING = resp.command(b"ASKING")


class RedisTarget:
    """The servers of one location: one server, the nodes of a cluster, or those of a Sentinel."""

    def __init__(self, location: Location, known: KnownMembers | None = None) -> None:
        self._location = location
        self._known = known
        self._prefix = location.prefix.encode()
        self._filters = resp.command(b"HVALS", self._prefix + FILTERS.encode())
        self._marks_at: RedisConnection | None = None
        """The node of a cluster that has the filters' marks; None: the node that is asked."""
        self._members = Members()
        """The members by the marks as last read."""
        self._servers: dict[Target, RedisConnection] = {}
        self._targets: list[Target] = []
        """The servers to ask, in this order."""
        self._sentinels: list[RedisConnection] = []
        """The sentinels that name the targets."""
        self._look_at = 0.0
        """The time (monotonic) from which on a sentinel may be asked again."""
        self._moved = False
        """Whether one of `_targets` failed, so that the sentinels may name others by now."""
        if location.kind == "sentinel":
            self._sentinels = [
                RedisConnection(location, host, sentinel=True) for host in location.hosts
            ]
        elif location.kind == "unix":
            self._targets = [(location.path, 0)]
        else:
            self._targets = [*location.hosts, *location.seeds]

    def entries(
        self, address: bytes, now: float, deadline: float, *, users: bool
    ) -> list[tuple[bytes, bytes]]:
        """Return key and value of `address` at `now` (epoch), and with `users` those of its users.

        The list is empty only if it is certain that nothing authorises the address.

        Raises:
            PbsFilterError: no server could give a certain answer before `deadline` (monotonic).
        """
        if self._sentinels and (self._moved or not self._targets):
            self._look(deadline)
        troubles = []
        # Nodes of a cluster that redirections named, for when the configured ones are down.
        others = self._servers.keys() - set(self._targets) if not self._sentinels else ()
        for target in (*self._targets, *others):
            try:
                return self._entries(self._server(target), address, now, deadline, users=users)
            except PbsFilterError as error:
                troubles.append(str(error))
                self._moved = True
        raise StoreBusy("; ".join(dict.fromkeys(troubles)))

    def _look(self, deadline: float) -> None:
        """Ask the sentinels for the servers of the service.

        Raises:
            StoreBusy: no sentinel has ever named one.
        """
        asked = time.monotonic()
        if self._targets and asked < self._look_at:
            return
        self._look_at = asked + redis_connection.REST_SECONDS
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

    def _server(self, target: Target) -> RedisConnection:
        if target not in self._servers:
            if len(self._servers) >= MAX_SERVERS:
                for server in self._servers.values():
                    server.close()
                self._servers.clear()
            self._servers[target] = RedisConnection(self._location, target)
        return self._servers[target]

    def _entries(
        self, server: RedisConnection, address: bytes, now: float, deadline: float, *, users: bool
    ) -> list[tuple[bytes, bytes]]:
        values, value = self._get(server, address, now, deadline)
        if value is None:
            return []
        entries = [(address, value)]
        if users:
            # Each filter numbers the users of an address; a single user has no key of its own.
            counted = current(address, values, now)
            entries += [(address, each) for each in counted if not user_keys(address, each)]
            forgotten = list(filter(is_forgetting, values))
            for key in sorted({key for each in counted for key in user_keys(address, each)}):
                found = current(key, [*self._hvals(server, key, deadline), *forgotten], now)
                entries += [(key, each) for each in found]
        return entries

    def _hvals(self, server: RedisConnection, key: bytes, deadline: float) -> list[bytes]:
        """Return the values of `key` from `server`, or from the node that it redirects to."""
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

    def _get(
        self, server: RedisConnection, address: bytes, now: float, deadline: float
    ) -> tuple[list[bytes], bytes | None]:
        """Return the values of `address` from `server`, or from the node that it redirects to, and
        the value that authorises at `now`; None: it is certain that none does.

        Raises: StoreBusy.
        """
        key = resp.command(b"HVALS", self._prefix + address)
        asking: list[bytes] = []
        marks_at, self._marks_at = self._marks_at, None
        for _ in range(HOPS):
            try:
                # The marks before the address: only if all addresses were there before does a
                # missing one mean "no". Each lookup reads them, for the case that the server was
                # emptied just now.
                proof, trouble = None, None
                commands = [_INFO, self._filters, *asking, key]
                if marks_at is not None:
                    commands = [_INFO, *asking, key]
                    try:
                        proof = marks_at.ask([_INFO, self._filters], deadline)
                    except StoreBusy as error:
                        trouble = error
                found = server.ask(commands, deadline)
            except Lost:
                continue
            elsewhere = resp.redirection(found[-1])
            if elsewhere is not None:
                host, port, ask = elsewhere
                server = self._server((host or server.target[0], port))
                asking = [_ASKING] if ask else []
                continue
            values = resp.texts(found[-1])
            value = choose(address, values, now)
            if value is not None:
                self._marks_at = marks_at
                return values, value
            if isinstance(trouble, Lost):
                continue
            if trouble is not None:
                raise trouble
            marks = (proof or found)[1]
            elsewhere = resp.redirection(marks)
            if elsewhere is not None:
                marks_at = self._server((elsewhere[0] or server.target[0], elsewhere[1]))
                continue
            asked = resp.Server(found[0])
            holder = asked if proof is None else resp.Server(proof[0])
            doubt = holder.doubt or asked.doubt
            if not doubt:
                values_of_marks = resp.texts(marks)
                # Marks change once a second, and there may be hundreds of misses a second.
                if values_of_marks != self._members.values:
                    self._members = Members(values_of_marks)
                unheard = is_unheard(address, values, now)
                doubt = self._doubt(asked.replid, holder.millis, is_unheard=unheard)
            if doubt:
                raise StoreBusy(f"Redis at {server.name}: {doubt}")
            self._marks_at = marks_at
            return values, None
        raise StoreBusy(f"Redis at {server.name}: it sends us from server to server")

    def _doubt(self, server: bytes, now_ms: int, *, is_unheard: bool) -> str:
        """See `Members.doubt`."""
        remembered: Mapping[bytes, int] = {}
        if self._known is not None:
            self._known.learn(self._members.ends(), now_ms // 1000)
            remembered = self._known.ends()
        return self._members.doubt(remembered, server, now_ms, is_unheard=is_unheard)


class RedisReader:
    """An `answer.Reader` of the map that the filters keep in Redis."""

    def __init__(
        self,
        locations: Sequence[str],
        now: Callable[[], float] = time.time,
        seeds: Iterable[Target] = (),
        known: KnownMembers | None = None,
    ) -> None:
        """Parse the locations.

        Args:
            locations: asked in this order; the first certain answer counts.
            now: returns the time, seconds since the epoch.
            seeds: further nodes of the cluster that is the last location.
            known: remembers the filters that write to the map; None: nothing does.

        Raises: ConfigError.
        """
        places = [redis_url.parse(location) for location in locations]
        if seeds:
            places[-1].seeds = tuple(seeds)
        self._places = [RedisTarget(place, known) for place in places]
        self._now = now

    def get(self, address: str) -> bytes | None:
        """See `answer.Reader.get`. Raises: StoreBusy."""
        entries = self.entries(address, users=False)
        return entries[0][1] if entries else None

    def entries(self, address: str, *, users: bool = True) -> list[tuple[bytes, bytes]]:
        """See `answer.Reader.entries`. Raises: StoreBusy."""
        deadline = time.monotonic() + TOTAL_SECONDS
        troubles = []
        for place in self._places:
            try:
                return place.entries(address.encode("ascii"), self._now(), deadline, users=users)
            except PbsFilterError as error:
                troubles.append(str(error))
        raise StoreBusy(f"map: {'; '.join(dict.fromkeys(troubles))}")
