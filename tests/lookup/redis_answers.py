"""The replies of a Redis with one living address to lookups, for `fake_redis`."""

from __future__ import annotations

import socket

from pbs_filter.map_format.entry import encode
from pbs_filter.map_format.redis_members import Mark

from ..store.fake_redis import Answer
from . import maps

ID = b"a" * 40
KNOWN, ABSENT = b"192.0.2.7", b"198.51.100.1"
LIVING = encode(KNOWN.decode(), maps.value())
ENDED = encode(KNOWN.decode(), maps.value(maps.EXPIRED))
INFO, FILTERS = (b"INFO", b"server", b"replication"), (b"HVALS", b"pbs:!filters")
NOW_MS = 1_000_000_000
INFO_OF = b"# Server\r\nserver_time_usec:%d000\r\n# Replication\r\n%%b\r\n" % NOW_MS
MASTER = INFO_OF % (b"role:master\r\nmaster_replid:%b" % ID)
STALE_REPLICA = INFO_OF % (b"role:slave\r\nmaster_link_status:down\r\nmaster_replid:%b" % ID)
MARKS = (b"life L1", Mark(b"pop1", NOW_MS - 500, 9_000_000, b"i", b"r", b"L1", [ID]).encode())


def bulk(text: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(text), text)


def texts(*items: bytes) -> bytes:
    return b"*%d\r\n%b" % (len(items), b"".join(map(bulk, items)))


def get(address: bytes) -> tuple[bytes, bytes]:
    """The command that asks for `address`."""
    return b"HVALS", b"pbs:" + address


def holding(
    known: dict[tuple[bytes, ...], bytes | str] | None = None,
    *,
    info: bytes = MASTER,
    marks: tuple[bytes, ...] = MARKS,
) -> Answer:
    """The answers of a server that has KNOWN, and says `known` to other commands."""
    told: dict[tuple[bytes, ...], bytes | str] = {
        INFO: bulk(info),
        FILTERS: texts(*marks),
        get(KNOWN): texts(LIVING),
        (b"SELECT", b"2"): b"+OK\r\n",
        (b"AUTH", b"pbs", b"s3cret"): b"+OK\r\n",
        (b"AUTH", b"s3cret"): b"+OK\r\n",
        **(known or {}),
    }

    def answer(words: tuple[bytes, ...]) -> bytes | str:
        return told.get(words, b"*0\r\n" if words[0] == b"HVALS" else b"-ERR unknown command\r\n")

    return answer


def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])
