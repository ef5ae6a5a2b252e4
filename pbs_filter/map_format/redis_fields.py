"""Decides between the values of one address that several filters keep in Redis, each in its field.

Nobody overwrites an entry of another filter: an address may relay while the value of any of them is
current.
"""

from __future__ import annotations

from ..errors import StoreBusy, StoreDamaged
from . import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

FILTERS = "!filters"
"""Behind the prefix: the key whose fields are the marks of the filters, see `redis_members`."""
FORGOTTEN = "!forgotten"
"""Behind the prefix: the key whose fields are the addresses that persons revoked: `AT UNTIL`."""
FORGET = "!forget"
"""The field of an address that says when it was forgotten, as ten digits: logins up to that second
count no more, whoever sends them again. Each filter has one of its own, `!forget:NAME`."""
FORGET_BYTES = 10

_UNTIL, _RENEWED, _LAST = slice(0, 10), slice(11, 21), slice(33, 43)


def current(address: bytes, values: Iterable[bytes], now: float) -> list[bytes]:
    """Return those of the `values` under `address` that authorise it at `now`, epoch seconds.

    Raises:
        StoreDamaged: there is none, and one of the values is damaged.
        StoreBusy: there is none, and one of the values comes from a clock that is ahead of `now`:
            it would authorise if the clocks agreed.
    """
    values = list(values)
    forgotten = max(filter(is_forgetting, values), default=b"")
    found = []
    damaged = ahead = False
    for value in values:
        if is_forgetting(value):
            continue
        if not check.is_intact(address, value):
            damaged = True
        elif value[_LAST] <= forgotten:
            continue
        elif check.is_current(address, value, now):
            found.append(value)
        elif int(value[_RENEWED]) > now + 1:
            ahead = True
    if damaged and not found:
        raise StoreDamaged(f"the entry of {address.decode()} is damaged")
    if ahead and not found:
        raise StoreBusy(
            f"the entry of {address.decode()} was written in the future: the clocks of the hosts "
            "disagree; let NTP keep them"
        )
    return found


def is_forgetting(value: bytes) -> bool:
    """Return whether `value` is that of a field FORGET."""
    return len(value) == FORGET_BYTES and value.isdigit()


def last_login(value: bytes) -> int:
    """Return the second of the login that a value has; 0 where it has none."""
    digits = value[_LAST]
    return int(digits) if digits.isdigit() else 0


def choose(address: bytes, values: Iterable[bytes], now: float) -> bytes | None:
    """Return the one of `current` with the latest login, or None.

    The latest login, because senders may be bound to the user who logged in last.

    Raises:
        StoreDamaged, StoreBusy: see `current`.
    """
    found = current(address, values, now)
    return max(found, key=lambda value: (value[_LAST], value[_UNTIL])) if found else None
