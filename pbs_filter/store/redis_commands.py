"""What is said to the Redis that keeps the map, on a connection of `redis_client` (edge).

Under `PREFIX` and an address there is a hash, in which each filter has one field, its name, and
another one that says up to when it revoked logins; under `PREFIX!filters` one field for each filter
(`redis_members` tells what lookups make of it); under `PREFIX!forgotten` what persons revoked.
Every command is for one key, so that a cluster can spread them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from ..errors import StoreBusy
from ..map_format.redis_fields import FILTERS, FORGET, FORGOTTEN
from ..map_format.redis_url import Location

SPARE_SECONDS = 60
"""A key outlives its values by this: the machine's clock may be so much ahead of ours."""
SCAN_KEYS = 1000
"""Keys in one slice of a walk through all of them."""
BATCH = 500
"""Addresses in one round trip: some ten milliseconds."""


def stamp() -> bytes:
    """Return a value for the field FORGOTTEN of the marks: something was revoked."""
    return b"revoked " + os.urandom(6).hex().encode()


class Seen(NamedTuple):
    """What a server says of itself and of the members."""

    server: str
    """The replication ids of every master, which change where data may have been lost: by a
    restart, and by a failover."""
    millis: int
    """Its clock, milliseconds since the epoch."""
    marks: dict[str, bytes]
    """The fields of the marks."""


class Commands:
    """The commands. Each raises StoreBusy where the server cannot take it."""

    _client: Any
    _cluster: bool
    _location: Location
    _prefix: bytes

    def _patience(self) -> contextlib.AbstractContextManager[None]:
        """Tell what redis-py raises as StoreBusy."""
        raise NotImplementedError

    # ------------------------------------------------------------------ who it is

    def _infos(self) -> list[dict[str, Any]]:
        """INFO of every master."""
        if not self._cluster:
            return [self._client.info()]
        target = self._client.PRIMARIES
        return list(self._client.info(target_nodes=target).values())

    def see(self) -> Seen:
        """What the server says of itself and of the members."""
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
        """How many replicas have what this connection wrote, within `wait_seconds`; and how many
        there are."""
        with self._patience():
            info = self._client.info("replication")
            connected = int(info.get("connected_slaves", 0))
            if self._cluster or not connected:
                return 0, connected
            return int(self._client.wait(connected, int(wait_seconds * 1000))), connected

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

    # ------------------------------------------------------------------ what was revoked

    def forgotten(self) -> dict[str, bytes]:
        """What the filters have revoked, by address."""
        with self._patience():
            fields = self._client.hgetall(self._location.prefix + FORGOTTEN)
        return {name.decode("utf-8", "replace"): value for name, value in fields.items()}

    def forget(self, name: str, words: Mapping[str, tuple[int, int]]) -> None:
        """Let logins from each address up to a second count no more, until another one.

        In the name of the filter `name`: none overwrites what another one has revoked.
        """
        listed = (self._location.prefix + FORGOTTEN).encode()
        addresses = iter(words)
        while some := list(islice(addresses, BATCH)):
            with self._patience():
                pipeline = self._client.pipeline(transaction=False)
                for address in some:
                    at, until = words[address]
                    key = self._key(address)
                    _set(pipeline, key, f"{FORGET}:{name}", b"%010d" % at, until)
                    _set(pipeline, listed, address, b"%d %d" % (at, until), until)
                self._execute(pipeline)

    def unlist(self, addresses: Iterable[str]) -> None:
        """Drop from the list of what was revoked what means nothing any more."""
        with self._patience():
            self._client.hdel(self._location.prefix + FORGOTTEN, *addresses)

    # ------------------------------------------------------------------ addresses

    def _key(self, address: str) -> bytes:
        return self._prefix + address.encode("ascii")

    def _execute(self, pipeline: Any) -> list[Any]:
        """The answers; the first error that is not about one key alone is raised."""
        answers: list[Any] = pipeline.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception) and not _is_wrong_type(answer):
                raise answer
        return answers

    def write(self, name: str, values: Mapping[str, tuple[bytes, int] | None]) -> list[str]:
        """Set the field `name` of each address to its value, until its end (epoch seconds); remove
        it where there is none. What is returned could not be written: its key is not a hash.
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
                _set(pipeline, key, name, value[0], value[1] + SPARE_SECONDS)
                sent += [address] * 3
            answers = self._execute(pipeline)
        wrong = [a for a, answer in zip(sent, answers, strict=True) if _is_wrong_type(answer)]
        return list(dict.fromkeys(wrong))

    def addresses(self) -> Iterator[list[str]]:
        """All addresses, in slices; one that comes or goes meanwhile may be missing."""
        with self._patience():
            keys = self._client.scan_iter(match=self._prefix + b"*", count=SCAN_KEYS)
            while some := list(islice(keys, SCAN_KEYS)):
                behind = (key[len(self._prefix) :].decode("ascii", "replace") for key in some)
                yield [address for address in behind if not address.startswith("!")]

    def fields(self, addresses: Iterable[str]) -> list[dict[str, bytes]]:
        """The fields of each address."""
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


def _set(pipeline: Any, key: bytes, field: str, value: bytes, end: int) -> None:
    """Set a field by three commands; the key lasts until `end` (epoch seconds), or longer."""
    # First, so that a key which is just about to end does not take the field along.
    pipeline.execute_command("EXPIREAT", key, end, "GT")
    pipeline.hset(key, field, value)
    pipeline.execute_command("EXPIREAT", key, end, "NX")


def _is_wrong_type(answer: object) -> bool:
    return isinstance(answer, Exception) and str(answer).startswith("WRONGTYPE")
