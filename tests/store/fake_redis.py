"""A server whose reply to each command the test chooses: errors that a real one rarely gives."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self

HANG = "hang"
"""In place of a reply: none comes, until the server is closed."""
DROP = "drop"
"""In place of a reply: the connection ends."""

Answer = Callable[[tuple[bytes, ...]], "bytes | str"]


def commands(data: bytes) -> tuple[list[tuple[bytes, ...]], bytes]:
    """The complete commands at the beginning of `data`, and what is left."""
    found = []
    while data:
        head, _, rest = data.partition(b"\r\n")
        words = []
        for _ in range(int(head[1:])):
            size, _, rest = rest.partition(b"\r\n")
            words.append(rest[: int(size[1:])])
            rest = rest[int(size[1:]) + 2 :]
        found.append(tuple(words))
        data = rest
    return found, data


class FakeRedis:
    """Listens on a port of 127.0.0.1; `answer` may be replaced while it runs.

    `asked` are the commands so far, `connections` how many came. A client here sends each batch
    with one call, and the batches are smaller than a read.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[tuple[bytes, ...]] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._peers: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                self.connections += 1
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._peers.append(peer)
                thread = threading.Thread(target=self._serve, args=(peer,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError):
            while data := peer.recv(65536):
                for words in commands(data)[0]:
                    self.asked.append(words)
                    reply = self.answer(words)
                    if reply == DROP:
                        return
                    if isinstance(reply, bytes):
                        peer.sendall(reply)

    def drop_all(self) -> None:
        """End every connection, as a restart does."""
        for peer in self._peers:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop listening and end every connection."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_all()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
