"""What the values of one address mean that several filters keep in Redis, each in its own field.

Nobody overwrites what another one knows: an address may relay while the value of any of them lives.
"""

from __future__ import annotations

from ..errors import StoreBusy, StoreDamaged
from . import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

FILTERS = "!filters"
"""Behind the prefix: the key whose fields are the filters that have sent their whole state."""
FORGET = "!forget"
"""The field of an address that says when it was forgotten, as ten digits: logins up to that second
count no more, whoever sends them again."""
FORGET_BYTES = 10

_UNTIL, _RENEWED, _LAST = slice(0, 10), slice(11, 21), slice(33, 43)


def choose(address: bytes, values: Iterable[bytes], now: float) -> bytes | None:
    """Of the values under `address` the living one with the latest login; None where none lives.

    The latest login, because senders may be bound to the user who logged in last. Where none lives,
    raises `StoreDamaged` if one is damaged, and `StoreBusy` if one comes from a clock that is ahead
    of `now` (seconds since the epoch): it would live if the clocks agreed.
    """
    forgotten = b""
    found = []
    for value in values:
        if len(value) == FORGET_BYTES and value.isdigit():
            forgotten = max(forgotten, value)
        else:
            found.append(value)
    best = None
    damaged = ahead = False
    for value in found:
        if not check.is_intact(address, value):
            damaged = True
        elif value[_LAST] <= forgotten:
            continue
        elif check.is_current(address, value, now):
            if best is None or (value[_LAST], value[_UNTIL]) > (best[_LAST], best[_UNTIL]):
                best = value
        elif int(value[_RENEWED]) > now + 1:
            ahead = True
    if best is None and damaged:
        raise StoreDamaged(f"the entry of {address.decode()} is damaged")
    if best is None and ahead:
        raise StoreBusy(
            f"the entry of {address.decode()} was written in the future: the clocks of the hosts "
            "disagree; let NTP keep them"
        )
    return best
