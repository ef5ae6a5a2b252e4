"""Replies of Redis and its Sentinel are read here, as bytes: RESP2, as far as reading the map needs
it.

Sources: redis.io, "Redis serialization protocol specification", "Redis Cluster specification"
(redirections), "High availability with Redis Sentinel". Whatever arrives, a parser here takes no
more than MAX_BYTES of it, and raises nothing but `ProtocolError`.
"""

from __future__ import annotations

from ..errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

Reply: TypeAlias = "bytes | int | list[Reply] | None"
"""One reply; a `Refusal` among the bytes is an error."""

MAX_BYTES = 1 << 18
"""Of all replies to one question. An address has 160 bytes for each POP host, and `INFO` of a
master about 80 for each replica."""
_DEPTH = 3
_DIGITS = 10


class Refusal(bytes):
    """An error that the server answers, without its `-`: `NOAUTH Authentication required.`"""


def command(*words: bytes) -> bytes:
    """Return the bytes that send one command."""
    return b"*%d\r\n%b" % (len(words), b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words))


def replies(data: bytes, count: int) -> list[Reply] | None:
    """Return the `count` replies that `data` consists of; None where they have not arrived in full.

    Raises `ProtocolError` for what can never become that.
    """
    if len(data) > MAX_BYTES:
        raise ProtocolError(f"replies of more than {MAX_BYTES} bytes")
    found: list[Reply] = []
    at = 0
    for _ in range(count):
        reply, at = _reply(data, at, _DEPTH)
        if at < 0:
            return None
        found.append(reply)
    if at != len(data):
        raise ProtocolError(f"more than was asked for: {data[at : at + 80]!r}")
    return found


def _reply(data: bytes, at: int, depth: int) -> tuple[Reply, int]:
    """Return the reply at `at` and where it ends: below 0 where it is not complete."""
    kind = data[at : at + 1]
    if kind not in (b"", b"$", b"*", b"+", b"-", b":"):
        raise ProtocolError(f"not Redis's protocol: {data[at : at + 80]!r}")
    end = data.find(b"\r\n", at)
    if end < 0:
        return None, -1
    line = data[at + 1 : end]
    at = end + 2
    if kind == b"+":
        return line, at
    if kind == b"-":
        return Refusal(line), at
    number = _number(line)
    if kind == b":":
        return number, at
    if number == -1:
        return None, at
    if not 0 <= number <= MAX_BYTES or depth == 0:
        raise ProtocolError(f"not a reply to what was asked: {(kind + line)[:80]!r}")
    if kind == b"$":
        end = at + number
        if data[end : end + 2] != b"\r\n"[: max(0, len(data) - end)]:
            raise ProtocolError(f"a text of another length than {number}")
        return (data[at:end], end + 2) if len(data) >= end + 2 else (None, -1)
    items: list[Reply] = []
    for _ in range(number):
        item, at = _reply(data, at, depth - 1)
        if at < 0:
            return None, -1
        items.append(item)
    return items, at


def _number(line: bytes) -> int:
    digits = line.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > _DIGITS:
        raise ProtocolError(f"not a number: {line[:80]!r}")
    return int(line)


def texts(reply: Reply) -> list[bytes]:
    """Return the texts that a list of texts consists of. Raises `ProtocolError` for any other
    reply."""
    if isinstance(reply, list):
        found = [item for item in reply if type(item) is bytes]
        if len(found) == len(reply):
            return found
    raise ProtocolError(f"not a list of texts: {str(reply)[:80]}")


def redirection(reply: Reply) -> tuple[str, int, bool] | None:
    """Host ("": the same), port and whether to say ASKING, where another node has the answer.

    `MOVED 3999 127.0.0.1:6381` once its slot has moved, `ASK ...` while it does. None for all other
    replies.
    """
    if not isinstance(reply, Refusal):
        return None
    words = reply.split(b" ")
    if len(words) != 3 or words[0] not in (b"MOVED", b"ASK"):
        return None
    host, _, port = words[2].rpartition(b":")
    if not _is_port(port):
        return None
    return host.decode("utf-8", "replace"), int(port), words[0] == b"ASK"


def _is_port(text: bytes) -> bool:
    return text.isdigit() and len(text) < 6 and 0 < int(text) < 65536


class Server:
    """What `INFO server replication` says that matters here. Raises `ProtocolError`."""

    def __init__(self, info: Reply) -> None:
        if type(info) is not bytes:
            raise ProtocolError(f"INFO: {str(info)[:80]}")
        self.replid = _field(info, b"master_replid")
        """Whose data it has: another one after a restart, and after a failover."""
        microseconds = _field(info, b"server_time_usec")
        self.millis = int(microseconds) // 1000 if microseconds.isdigit() else 0
        """Its clock, milliseconds since the epoch."""
        self.doubt = ""
        """Why it does not know what its filters write now."""
        if _field(info, b"role") != b"master" and _field(info, b"master_link_status") != b"up":
            self.doubt = "this replica has lost its master"


def _field(info: bytes, name: bytes) -> bytes:
    found = info.find(b"\n%b:" % name)
    if found < 0:
        return b""
    at = found + len(name) + 2
    return info[at : info.find(b"\r", at)]


def watched(master: Reply, replicas: Reply) -> list[tuple[str, int]]:
    """Return the place of a service, by Sentinel's `get-master-addr-by-name` and `replicas`: the
    master first.

    Replicas that Sentinel thinks are down are left out. Raises `ProtocolError`.
    """
    found = []
    if master is not None:
        words = texts(master)
        found.append(_address(words[0], words[1]) if len(words) == 2 else _address(b"", b""))
    for replica in replicas if isinstance(replicas, list) else []:
        words = texts(replica)
        told = dict(zip(words[::2], words[1::2], strict=False))
        flags = told.get(b"flags", b"").split(b",")
        if not {b"s_down", b"o_down", b"disconnected"}.intersection(flags):
            found.append(_address(told.get(b"ip", b""), told.get(b"port", b"")))
    return found


def _address(host: bytes, port: bytes) -> tuple[str, int]:
    if not host or not _is_port(port):
        raise ProtocolError(f"not an address: {host[:80]!r} port {port[:80]!r}")
    return host.decode("utf-8", "replace"), int(port)
