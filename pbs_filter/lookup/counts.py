"""Counts answers, and tells the running filter (edge).

A lookup may only read the map, so the counts go as a datagram to the filter's socket `PATH.lookups`
beside it: at most one a second, never before the answer has been sent, and never waiting. Where no
filter takes them they are kept for the next time, and lost at the end.

    1 policy 12 3 0        version, protocol, and how often yes, no and "not now" were answered
"""

from __future__ import annotations

import _socket
import time

EVERY_SECONDS = 1.0
PROTOCOLS = ("check", "opensmtpd", "policy", "relaylock", "socketmap", "trace")
ANSWERS = ("yes", "no", "not now")
MAX_BYTES = 64
"""Of a datagram."""


class Counts:
    """The answers of one process, by protocol. `path` is that of the map; empty: nobody is told."""

    def __init__(self, path: str = "") -> None:
        self._path = path and path + ".lookups"
        self._numbers: dict[str, dict[str, int]] = {}
        self._next = 0.0

    def add(self, protocol: str, answer: str) -> None:
        """Count an answer."""
        if protocol not in self._numbers:
            self._numbers[protocol] = dict.fromkeys(ANSWERS, 0)
        self._numbers[protocol][answer] += 1

    def tell(self, *, last: bool = False) -> None:
        """Tell the filter if that was not done within EVERY_SECONDS, or for the `last` time."""
        if not self._numbers:
            return
        now = time.monotonic()
        if not self._path or (now < self._next and not last):
            return
        self._next = now + EVERY_SECONDS
        try:
            sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        except OSError:
            return
        try:
            sock.setblocking(False)
            for protocol, numbers in list(self._numbers.items()):
                text = f"1 {protocol} {' '.join(map(str, numbers.values()))}"
                sock.sendto(text.encode(), self._path)
                del self._numbers[protocol]
        except OSError:
            pass  # no filter runs, or it has not yet taken those before
        finally:
            sock.close()
