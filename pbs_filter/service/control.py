"""The control socket (edge): one JSON object in, one out, for people on this host.

A unix socket beside the map that only the filter's own account (and root) can connect to.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import StoreBusy

MAX_REQUEST = 4096
PEER_SECONDS = 0.2
"""How long the filter waits for somebody who connected and does not ask."""
ANSWER_SECONDS = 10.0


def _short(path: str) -> tuple[int, str]:
    """A name for `path` that fits into a socket address (108 bytes), and what to close after."""
    directory, name = os.path.split(path)
    descriptor = os.open(directory or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return descriptor, f"/proc/self/fd/{descriptor}/{name}"


class Control:
    """The filter's side.

    Raises:
        StoreBusy: the socket cannot be made.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if os.path.lexists(path):
                os.unlink(path)  # left by a filter that was killed; we hold its lock
            descriptor, name = _short(path)
            umask = os.umask(0o177)
            try:
                self._socket.bind(name)
            finally:
                os.umask(umask)
                os.close(descriptor)
            self._socket.listen(4)
        except OSError as error:
            raise StoreBusy(
                f"cannot make the control socket {path!r}: {error.strerror}; "
                "is its directory writable for this account?"
            ) from None

    def fileno(self) -> int:
        """The listening socket, for poll."""
        return self._socket.fileno()

    def serve(self, answer: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        """Serve one connection. Nothing a peer does raises, or takes longer than a blink."""
        try:
            peer, _ = self._socket.accept()
        except OSError:
            return
        with peer:
            peer.settimeout(PEER_SECONDS)
            try:
                data = b""
                while b"\n" not in data and len(data) < MAX_REQUEST:
                    more = peer.recv(MAX_REQUEST)
                    if not more:
                        return
                    data += more
                try:
                    request = json.loads(data)
                except ValueError:
                    request = None
                if isinstance(request, dict):
                    reply = answer(request)
                else:
                    reply = {"error": "not a JSON object"}
                peer.sendall(json.dumps(reply).encode() + b"\n")
            except OSError:
                return

    def close(self) -> None:
        """Stop listening and remove the socket."""
        self._socket.close()
        try:
            os.unlink(self._path)
        except OSError:
            pass


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
            descriptor, name = _short(path)
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
            answer = json.loads(data)
        except PermissionError:
            raise
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except (OSError, ValueError) as error:
            raise StoreBusy(f"the filter at {path!r} does not answer: {error}") from None
    return answer if isinstance(answer, dict) else None
