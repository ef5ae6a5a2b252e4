"""The control socket (edge): one JSON object in, one out, for people on this host.

A unix socket beside the map that only the filter's own account (and root) can connect to.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import StoreBusy

MAX_REQUEST = 4096
PEER_SECONDS = 2.0
"""From the connection to the last byte of the answer; then the peer is dropped."""
MAX_PEERS = 8
"""Peers that are served at one time; one more drops the oldest."""
ANSWER_SECONDS = 10.0
REST_SECONDS = 1.0
"""No connection is looked at for so long where none can be taken (no descriptor is left)."""


def short_path(path: str) -> tuple[int, str]:
    """Return a name for `path` that fits into a socket address (108 bytes), and what to close
    after."""
    directory, name = os.path.split(path)
    descriptor = os.open(directory or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return descriptor, f"/proc/self/fd/{descriptor}/{name}"


class _Peer:
    """One connection: a request that is not complete yet, or an answer that is not sent yet."""

    __slots__ = ("deadline", "reply", "request", "socket")

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self.socket = connection
        self.deadline = deadline
        self.request = b""
        self.reply = b""


class Control:
    """The filter's side.

    No call waits for a peer: what a peer has sent is taken, what it takes is sent, and the rest is
    done when `fileno()` is ready again. Nothing that a peer does raises.

    Raises:
        StoreBusy: the socket cannot be made.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._peers: dict[int, _Peer] = {}
        """By descriptor, the oldest first."""
        self._rests_until: float | None = None
        try:
            if os.path.lexists(path):
                os.unlink(path)  # left by a filter that was killed; we hold its lock
            descriptor, name = short_path(path)
            umask = os.umask(0o177)
            try:
                self._socket.bind(name)
            finally:
                os.umask(umask)
                os.close(descriptor)
            self._socket.listen(4)
            self._ready = select.epoll()
            self._ready.register(self._socket, select.EPOLLIN)
        except OSError as error:
            raise StoreBusy(
                f"cannot make the control socket {path!r}: {error.strerror}; move away what is "
                "there, and let this account write in its directory"
            ) from None

    def fileno(self) -> int:
        """Return a descriptor for poll, readable when `serve` has something to do."""
        return self._ready.fileno()

    def serve(self, answer: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        """Do for each peer what can be done without waiting."""
        for descriptor, events in self._ready.poll(0):
            if descriptor == self._socket.fileno():
                self._accept()
            elif descriptor in self._peers and events & select.EPOLLHUP:
                # Whoever left was told "not now": this filter hung, for hours maybe, and what was
                # asked for then may be wrong by now.
                self._drop(descriptor)
            elif descriptor in self._peers:
                peer = self._peers[descriptor]
                try:
                    self._go_on(peer, answer)
                except OSError:
                    self._drop(descriptor)
        self.expire()

    def expire(self) -> None:
        """Drop the peers whose time is over, and listen again. Call about once a second."""
        now = time.monotonic()
        for descriptor in [fd for fd, peer in self._peers.items() if peer.deadline <= now]:
            self._drop(descriptor)
        if self._rests_until is not None and self._rests_until <= now:
            self._rests_until = None
            self._ready.register(self._socket, select.EPOLLIN)

    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError:
            # It is still there, and would have us called at once, again and again.
            self._ready.unregister(self._socket)
            self._rests_until = time.monotonic() + REST_SECONDS
            return
        connection.setblocking(False)
        if len(self._peers) >= MAX_PEERS:
            self._drop(next(iter(self._peers)))
        self._peers[connection.fileno()] = _Peer(connection, time.monotonic() + PEER_SECONDS)
        self._ready.register(connection, select.EPOLLIN)

    def _go_on(self, peer: _Peer, answer: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        """Raises: OSError: the peer is gone, or done."""
        try:
            if not peer.reply:
                data = peer.socket.recv(MAX_REQUEST)
                if not data:
                    raise ConnectionError
                peer.request += data
                if b"\n" not in data and len(peer.request) < MAX_REQUEST:
                    return
                reply = _answer(peer.request, answer, _uid_of(peer.socket))
                peer.reply = json.dumps(reply).encode() + b"\n"
                self._ready.modify(peer.socket, select.EPOLLOUT)
            peer.reply = peer.reply[peer.socket.send(peer.reply) :]
        except BlockingIOError:
            return
        if not peer.reply:
            raise ConnectionError

    def _drop(self, descriptor: int) -> None:
        peer = self._peers.pop(descriptor)
        self._ready.unregister(descriptor)
        peer.socket.close()

    def close(self) -> None:
        """Stop listening and remove the socket."""
        for descriptor in [*self._peers]:
            self._drop(descriptor)
        self._ready.close()
        self._socket.close()
        try:
            os.unlink(self._path)
        except OSError:
            pass


def _uid_of(connection: socket.socket) -> int:
    """Return the uid of the peer's process, which the kernel vouches for."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("3i", credentials)[1])


def _answer(
    data: bytes, answer: Callable[[Mapping[str, Any]], dict[str, Any]], uid: int
) -> Mapping[str, object]:
    try:
        request = json.loads(data)
    except (ValueError, RecursionError):
        request = None
    if not isinstance(request, dict):
        return {"error": "not a JSON object"}
    return answer(request | {"uid": uid})


def ask(
    path: str, request: Mapping[str, Any], patience_seconds: float = ANSWER_SECONDS
) -> dict[str, Any] | None:
    """Ask the filter that runs on the map of this socket; None: none does.

    Raises:
        StoreBusy: one does, and it does not answer.
        PermissionError: not our business.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(patience_seconds)
        try:
            descriptor, name = short_path(path)
            try:
                peer.connect(name)
            finally:
                os.close(descriptor)
            peer.sendall(json.dumps(request).encode() + b"\n")
            data = b""
            while not data.endswith(b"\n"):
                more = peer.recv(65536)
                if not more:
                    break
                data += more
            if not data.endswith(b"\n"):
                raise OSError("it ended before it had answered; ask again when it runs")
            answer = json.loads(data)
        except PermissionError:
            raise
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except TimeoutError:
            raise StoreBusy(
                f"the filter at {path!r} has not answered in {patience_seconds:g} s; it may have "
                "begun on what it was asked: look with --list when it goes on, or ask again"
            ) from None
        except (OSError, ValueError) as error:
            raise StoreBusy(f"the filter at {path!r} does not answer: {error}") from None
    return answer if isinstance(answer, dict) else None
