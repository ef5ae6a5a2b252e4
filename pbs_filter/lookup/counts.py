"""Counts answers, notes which addresses were let in, and tells the running filter (edge).

A lookup may only read the map, so it sends datagrams to the filter's socket `PATH.lookups` beside
it: at most once a second, never before the answer has been sent, and never waiting. Where no filter
takes them they are kept for the next time, and lost at the end. A datagram has lines:

    2 postfix policy 12 3 0      MTA, protocol, and how often yes, no and "not now" were answered
    used 1795170000 192.0.2.7    when this address was last answered "yes"
"""

from __future__ import annotations

import _socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

EVERY_SECONDS = 1.0
PROTOCOLS = ("check", "opensmtpd", "policy", "relaylock", "socketmap", "trace")
ANSWERS = ("yes", "no", "not now")
OTHER = "other"
"""The MTA where that is not known."""
MTAS = ("courier", "exim", "opensmtpd", "postfix", "qmail", "sendmail", OTHER)
MAX_BYTES = 4096
"""Of a datagram."""
MAX_USED = 10_000
"""Addresses that wait to be told of."""
REDIS_PATH = "/var/lib/pbs-filter/redis"
"""How the names of a filter's own files begin where its map is in Redis (option local_state)."""

_PROGRAMS = {
    "courieresmtpd": "courier",
    "couriertcpd": "courier",
    "esmtpd": "courier",
    "exim": "exim",
    "exim4": "exim",
    "mailfront": "qmail",
    "mailfront-qmail": "qmail",
    "master": "postfix",
    "proxymap": "postfix",
    "qmail-smtpd": "qmail",
    "sendmail": "sendmail",
    "sendmail-mta": "sendmail",
    "smtpd": "postfix",
    "smtpfront-qmail": "qmail",
    "spawn": "postfix",
    "tcpserver": "qmail",
}
"""The MTA to which a program belongs, by the name of its process."""
_BY_PROTOCOL = {"opensmtpd": "opensmtpd", "policy": "postfix", "trace": "postfix"}


class Counts:
    """The answers of one process.

    Args:
        path: of the map, or how the filter's own files begin; empty: nobody is told.
        mta: the MTA that asks, whatever a question says; empty: it is not known.
    """

    def __init__(self, path: str = "", mta: str = "") -> None:
        self._path = path and path + ".lookups"
        self._mta = mta
        self._numbers: dict[tuple[str, str], list[int]] = {}
        self._used: dict[str, int] = {}
        self._next = 0.0

    def add(self, protocol: str, answer: str, address: str = "", mta: str = "") -> None:
        """Count an answer.

        Args:
            protocol: one of `PROTOCOLS`.
            answer: one of `ANSWERS`.
            address: the key that a "yes" was read from.
            mta: the one that asked, as far as that can be seen; empty: by the protocol.
        """
        key = self._mta or mta or _BY_PROTOCOL.get(protocol, OTHER), protocol
        numbers = self._numbers.get(key)
        if numbers is None:
            numbers = self._numbers[key] = [0] * len(ANSWERS)
        numbers[ANSWERS.index(answer)] += 1
        # A trace only names the login: the question that lets the client in is another.
        if (
            answer == "yes"
            and address
            and protocol != "trace"
            and (address in self._used or len(self._used) < MAX_USED)
        ):
            self._used[address] = int(time.time())

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
            # The numbers go last: while there are some, the next `tell` goes on.
            while self._used:
                some = dict(zip(self._used, range(MAX_BYTES // 64), strict=False))
                lines = [f"used {self._used[address]} {address}\n" for address in some]
                sock.sendto("".join(lines).encode(), self._path)
                for address in some:
                    del self._used[address]
            lines = [
                f"2 {mta} {protocol} {' '.join(map(str, numbers))}\n"
                for (mta, protocol), numbers in self._numbers.items()
            ]
            sock.sendto("".join(lines).encode(), self._path)
            self._numbers.clear()
        except OSError:
            pass  # no filter runs, or it has not yet taken those before
        finally:
            sock.close()


def mta_of_words(words: Sequence[str]) -> str:
    """Return the MTA whose program is the first of `words` that is one; empty: none is."""
    names = (word[word.rfind("/") + 1 :] for word in words)
    return next((_PROGRAMS[name] for name in names if name in _PROGRAMS), "")


def mta_of_process(pid: int) -> str:
    """Return the MTA to which the process `pid` belongs; empty: that cannot be seen."""
    try:
        with open(f"/proc/{pid}/comm", "rb", 0) as file:
            return _PROGRAMS.get(file.read().strip().decode("ascii", "replace"), "")
    except OSError:
        return ""
