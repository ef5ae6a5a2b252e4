"""Takes the counts that lookups send (edge): see `lookup.counts`.

Whoever may read the map may send: the counts are for people, and no decision rests on them.
"""

from __future__ import annotations

import os
import socket

from .. import files
from ..lookup.counts import ANSWERS, MAX_BYTES, PROTOCOLS
from .control import short_path

MAX_DATAGRAMS = 1000
"""Taken in one second."""
_DIGITS = 9


class LookupCounts:
    """The socket beside the map at `path`, and all that came so far.

    Raises:
        StoreBusy: the socket cannot be made.
    """

    def __init__(self, path: str, group: str = "") -> None:
        self._path = path + ".lookups"
        self.numbers: dict[str, dict[str, int]] = {}
        """Protocol to answer (`yes`, `no`, `not_now`) to number."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            if os.path.lexists(self._path):
                os.unlink(self._path)  # left by a filter that was killed; we hold its lock
            umask = os.umask(0o177)
            try:
                descriptor, name = short_path(self._path)
                try:
                    self._socket.bind(name)
                finally:
                    os.close(descriptor)
            finally:
                os.umask(umask)
            gid = files.gid_of(group)
            if gid is not None:
                os.chown(self._path, -1, gid)
            os.chmod(self._path, 0o620)
        except OSError as error:
            self._socket.close()
            raise files.busy("make", self._path, error) from None

    def take(self) -> None:
        """Take what has come. Does not raise, and does not wait."""
        for _ in range(MAX_DATAGRAMS):
            try:
                data = self._socket.recv(MAX_BYTES)
            except OSError:
                return
            self._add(data)

    def _add(self, data: bytes) -> None:
        version, _, rest = data.partition(b" ")
        protocol, *numbers = rest.decode("ascii", "replace").split(" ")
        if version != b"1" or protocol not in PROTOCOLS or len(numbers) != len(ANSWERS):
            return
        if not all(n.isascii() and n.isdigit() and len(n) <= _DIGITS for n in numbers):
            return
        known = self.numbers.setdefault(protocol, dict.fromkeys(map(_name, ANSWERS), 0))
        for answer, number in zip(ANSWERS, numbers, strict=True):
            known[_name(answer)] += int(number)

    def close(self) -> None:
        """Stop listening and remove the socket."""
        self._socket.close()
        try:
            os.unlink(self._path)
        except OSError:
            pass


def _name(answer: str) -> str:
    return answer.replace(" ", "_")
