"""The commands for the Redis that keeps the map, on a connection of `redis_client`. Edge.

    PREFIX ADDRESS      a hash: a field for each filter, its name, with the entry that it wrote; and
                        another with its revocation (`map_format.redis_fields`)
    PREFIX!filters      a hash: the mark of each filter (`map_format.redis_members`)
    PREFIX!forgotten    a hash: address -> the logins that were revoked by hand

Each command is for one key, so that a cluster can spread the keys over its nodes.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from ..errors import StoreBusy
from ..map_format.redis_fields import FILTERS, FORGET, FORGOTTEN, forgetting
from ..map_format.redis_members import revoked
from ..map_format.redis_site import ROUGH_SECONDS
from ..map_format.redis_url import Location

SPARE_SECONDS = 60
"""A key outlives its values by this: the server's clock may be this much ahead of ours."""
SCAN_KEYS = 1000
"""Keys in one slice of a scan of all keys."""
BATCH = 500
"""Addresses in one round trip, which takes some ten milliseconds."""


class Seen(NamedTuple):
    """The identity, clock and marks of a server."""

    server: str
    """The replication ids of every master. They change with a restart and with a failover, both of
    which may lose data."""
    millis: int
    """The server's clock, milliseconds since the epoch."""
    marks: dict[str, bytes]
    """Field -> value of `PREFIX!filters`."""


class Commands:
    """The commands, each of which raises StoreBusy where the server cannot execute it."""

    _client: Any
    _cluster: bool
    _location: Location
    _prefix: bytes

    def _patience(self) -> contextlib.AbstractContextManager[None]:
        """Raise the errors of redis-py as StoreBusy."""
        raise NotImplementedError

    # ------------------------------------------------------------------ the server

    def _infos(self) -> list[dict[str, Any]]:
        """Return the INFO of every master."""
        if not self._cluster:
            return [self._client.info()]
        target = self._client.PRIMARIES
        return list(self._client.info(target_nodes=target).values())

    def see(self) -> Seen:
        """Ask the server for its identity, its clock and the marks."""
        marker = self._marker()
        with self._patience():
            infos = self._infos()
            at = infos[0]
            if self._cluster:
                # By the clock of the node that has the marks: lookups ask it.
                at = self._client.info(target_nodes=self._client.get_node_from_key(marker))
            fields = self._client.hgetall(marker)
        if any(info.get("role") != "master" for info in infos):
            raise StoreBusy(f"the map {self._location.text!r} is no longer a master")
        return Seen(
            " ".join(sorted(str(info["master_replid"]) for info in infos)),
            int(at["server_time_usec"]) // 1000,
            {name.decode("utf-8", "replace"): value for name, value in fields.items()},
        )

    def copies(self, wait_seconds: float) -> tuple[int, int]:
        """Return how many replicas have the writes of this connection within `wait_seconds`, and
        how many replicas there are."""
        have = replicas = 0
        give_up = time.monotonic() + wait_seconds
        with self._patience():
            for master in self._masters():
                connected = int(master.info("replication").get("connected_slaves", 0))
                if connected:
                    replicas += connected
                    # For ever, where it is 0.
                    millis = max(int((give_up - time.monotonic()) * 1000), 1)
                    have += min(int(master.wait(connected, millis)), connected)
        return have, replicas

    def _masters(self) -> list[Any]:
        """Return a client for each master, on the connection that the commands went through."""
        if not self._cluster:
            return [self._client]
        nodes = self._client.get_primaries()
        return [self._client.get_redis_connection(node) for node in nodes]

    # ------------------------------------------------------------------ the marks

    def _marker(self) -> str:
        return self._location.prefix + FILTERS

    def claim(self, field: str, value: bytes) -> None:
        """Set a field of the marks, if it is not there."""
        with self._patience():
            self._client.hsetnx(self._marker(), field, value)

    def mark(self, field: str, value: bytes) -> None:
        """Set a field of the marks."""
        with self._patience():
            self._client.hset(self._marker(), field, value)

    # ------------------------------------------------------------------ revoked logins

    def forgotten(self) -> dict[str, bytes]:
        """Return the revoked logins of all filters: address -> value."""
        with self._patience():
            fields = self._client.hgetall(self._location.prefix + FORGOTTEN)
        return {name.decode("utf-8", "replace"): value for name, value in fields.items()}

    def forget(self, name: str, words: Mapping[str, tuple[int, int]]) -> None:
        """Revoke logins in the name of the filter `name`, which overwrites no other filter's.

        Args:
            name: of this filter.
            words: address -> AT and UNTIL, see `redis_site`.
        """
        listed = (self._location.prefix + FORGOTTEN).encode()
        addresses = iter(words)
        while some := list(islice(addresses, BATCH)):
            # Before them for lookups, and behind them for the other filters.
            self._note_revocation()
            with self._patience():
                pipeline = self._client.pipeline(transaction=False)
                for address in some:
                    at, until = words[address]
                    key = self._key(address)
                    field = forgetting(at, until - ROUGH_SECONDS)
                    _set(pipeline, key, f"{FORGET}:{name}", field, until)
                    _set(pipeline, listed, address, b"%d %d" % (at, until), until)
                self._execute(pipeline)
        if words:
            self._note_revocation()

    def _note_revocation(self) -> None:
        self.mark(FORGOTTEN, revoked(self.see().millis, os.urandom(6).hex().encode()))

    def unlist(self, addresses: Iterable[str]) -> None:
        """Remove addresses from the list of revoked logins."""
        with self._patience():
            self._client.hdel(self._location.prefix + FORGOTTEN, *addresses)

    # ------------------------------------------------------------------ addresses

    def _key(self, address: str) -> bytes:
        return self._prefix + address.encode("ascii")

    def _execute(self, pipeline: Any) -> list[Any]:
        """Return the replies; raise the first error that is not about the type of one key."""
        answers: list[Any] = pipeline.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception) and not _is_wrong_type(answer):
                raise answer
        return answers

    def write(self, name: str, values: Mapping[str, tuple[bytes, int] | None]) -> list[str]:
        """Set or remove the field `name` of each address.

        Args:
            name: of this filter.
            values: address -> (value, its end in epoch seconds), or None, which removes the field.

        Returns:
            The addresses whose key is not a hash, and was not written.
        """
        with self._patience():
            pipeline = self._client.pipeline(transaction=False)
            sent = []
            for address, value in values.items():
                key = self._key(address)
                if value is None:
                    pipeline.hdel(key, name)
                    sent.append(address)
                    continue
                number = _set(pipeline, key, name, value[0], value[1] + SPARE_SECONDS)
                sent += [address] * number
            answers = self._execute(pipeline)
        wrong = [a for a, answer in zip(sent, answers, strict=True) if _is_wrong_type(answer)]
        return list(dict.fromkeys(wrong))

    def addresses(self) -> Iterator[list[str]]:
        """Yield all addresses in slices; one that is added or removed meanwhile may be missing."""
        with self._patience():
            keys = self._client.scan_iter(match=self._prefix + b"*", count=SCAN_KEYS)
            while some := list(islice(keys, SCAN_KEYS)):
                behind = (key[len(self._prefix) :].decode("ascii", "replace") for key in some)
                yield [address for address in behind if not address.startswith("!")]

    def fields(self, addresses: Iterable[str]) -> list[dict[str, bytes]]:
        """Return field -> value for each of `addresses`, in their order."""
        with self._patience():
            pipeline = self._client.pipeline(transaction=False)
            for address in addresses:
                pipeline.hgetall(self._key(address))
            answers = self._execute(pipeline)
        return [
            {}
            if isinstance(answer, Exception)
            else {name.decode("utf-8", "replace"): value for name, value in answer.items()}
            for answer in answers
        ]


def _set(pipeline: Any, key: bytes, field: str, value: bytes, end: int) -> int:
    """Set a field; the key lasts until `end` (epoch seconds), or longer. Return the number of
    commands."""
    commands = (
        # Prolonged first, so that a key which expires just now does not take the new field along.
        ("EXPIREAT", key, end, "GT"),
        ("HSET", key, field, value),
        ("EXPIREAT", key, end, "NX"),
    )
    for command in commands:
        pipeline.execute_command(*command)
    return len(commands)


def _is_wrong_type(answer: object) -> bool:
    return isinstance(answer, Exception) and str(answer).startswith("WRONGTYPE")
