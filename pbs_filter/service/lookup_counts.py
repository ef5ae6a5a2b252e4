"""Takes the counts that lookups send (edge): see `lookup.counts`.

Whoever may read the map may send: the counts are for people, and no decision rests on them.
"""

from __future__ import annotations

import os
import socket

from .. import files
from ..lookup.address import canonical
from ..lookup.counts import ANSWERS, MAX_BYTES, MTAS, PROTOCOLS
from .control import short_path

MAX_DATAGRAMS = 1000
"""Taken in one second."""
MAX_USED = 10_000
"""Addresses that are taken in one second."""
_DIGITS = 9
_NAMES = tuple(answer.replace(" ", "_") for answer in ANSWERS)


class LookupCounts:
    """The socket beside the map at `path`, and all that came so far.

    Raises:
        StoreBusy: the socket cannot be made.
    """

    def __init__(self, path: str, group: str = "") -> None:
        self._path = path + ".lookups"
        self.by_mta: dict[str, dict[str, dict[str, int]]] = {}
        """MTA to protocol to answer (`yes`, `no`, `not_now`) to number."""
        self._used: dict[str, int] = {}
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

    def take(self) -> dict[str, int]:
        """Take what has come; return when (epoch) which address was last let in by a lookup.

        Does not raise, and does not wait.
        """
        self._used = {}
        for _ in range(MAX_DATAGRAMS):
            try:
                data = self._socket.recv(MAX_BYTES)
            except OSError:
                break
            for line in data.decode("ascii", "replace").split("\n"):
                self._add(line.split(" "))
        return self._used

    def _add(self, words: list[str]) -> None:
        kind, *rest = words
        if kind == "2" and len(rest) == 2 + len(ANSWERS) and all(map(_is_number, rest[2:])):
            mta, protocol, *numbers = rest
            if mta not in MTAS or protocol not in PROTOCOLS:
                return
            known = self.by_mta.setdefault(mta, {})
            total = known.setdefault(protocol, dict.fromkeys(_NAMES, 0))
            for answer, number in zip(_NAMES, numbers, strict=True):
                total[answer] += int(number)
        elif kind == "used" and len(rest) == 2 and _is_number(rest[0], 12):
            at, key = int(rest[0]), rest[1]
            address, _, prefix = key.partition("/")
            if (
                len(self._used) < MAX_USED
                and canonical(address.encode("ascii", "replace")) == address
                and (address == key or _is_number(prefix, 3))
            ):
                self._used[key] = max(at, self._used.get(key, 0))

    def close(self) -> None:
        """Stop listening and remove the socket."""
        self._socket.close()
        try:
            os.unlink(self._path)
        except OSError:
            pass


def _is_number(text: str, digits: int = _DIGITS) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= digits
