"""Decides between the values of one address that several filters keep in Redis, each in its field.

Nobody overwrites an entry of another filter: an address may relay while the value of any of them is
current.

**Revocations are ordered by what a filter knew, never by the clocks of two hosts.** Each revocation
of an address has a number AT, greater than that of each one before, and ends what every filter knew
of the address when it heard of it. A filter that has heard of it writes its later logins with that
AT behind the entry; an entry counts only if its filter had heard of the newest revocation that the
address has in Redis. So a login that was revoked stays so, however far its filter's clock is ahead,
and one that came later counts, however far it is behind. Until every filter has heard of it, a few
seconds after Redis has, "no" is not certain (`is_unheard`).
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
"""The field of an address that says that it was revoked: AT and UNTIL (epoch seconds: when nothing
that was revoked can be alive), of ten digits each. Each filter has one of its own,
`!forget:NAME`; version 0.1.0 had one for all, with the newest second that it revoked."""
_FORGET_BYTES = 21
_OLD_FORGET_BYTES = 10
_AT = slice(0, 10)
_HEARD_BYTES = 20
"""Bytes behind an entry: blank, AT, blank, checksum of both entry and AT."""

_UNTIL, _RENEWED, _LAST = slice(0, 10), slice(11, 21), slice(33, 43)


def current(address: bytes, values: Iterable[bytes], now: float) -> list[bytes]:
    """Return those of the `values` under `address` that authorise it at `now`, epoch seconds.

    Raises:
        StoreDamaged: there is none, and one of the values is damaged.
        StoreBusy: there is none, and one of the values comes from a clock that is ahead of `now`:
            it would authorise if the clocks agreed.
    """
    values = list(values)
    revoked = revocation(values, now)
    found = []
    damaged = ahead = False
    for value in values:
        if is_forgetting(value):
            continue
        entry, heard = opened(address, value)
        if not check.is_intact(address, entry):
            damaged = True
        elif is_revoked(entry, heard, revoked):
            continue
        elif check.is_current(address, entry, now):
            found.append(entry)
        elif int(entry[_RENEWED]) > now + 1:
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
    if len(value) == _FORGET_BYTES:
        return value[:10].isdigit() and value[11:].isdigit()
    return len(value) == _OLD_FORGET_BYTES and value.isdigit()


def forgetting(at: int, until: int) -> bytes:
    """Return the value of a field FORGET."""
    return b"%010d %010d" % (at, until)


def revocation(values: Iterable[bytes], now: float) -> tuple[bytes, bytes]:
    """Return the newest AT of the fields FORGET among `values` that mean something at `now`, as ten
    digits, and the second up to which 0.1.0 revoked; empty: there is none."""
    told = [value for value in values if is_forgetting(value)]
    if not told:  # as nearly always
        return b"", b""
    living = (each[_AT] for each in told if each[11:] and int(each[11:]) > now)
    return max(living, default=b""), max((each for each in told if not each[11:]), default=b"")


def is_revoked(entry: bytes, heard: bytes, revoked: tuple[bytes, bytes]) -> bool:
    """Return whether an entry, whose filter had `heard` of an AT, is one of those `revoked`."""
    return heard < revoked[0] or (not heard and entry[_LAST] <= revoked[1])


def is_unheard(address: bytes, values: Iterable[bytes], now: float) -> bool:
    """Return whether one of the `values` would live at `now` if its filter had heard of the newest
    revocation, so that it may be of a later login: where none counts, nobody knows yet."""
    values = list(values)
    revoked = revocation(values, now)[0]
    return bool(revoked) and any(
        heard < revoked and check.is_intact(address, entry) and now < int(entry[_UNTIL])
        for entry, heard in (opened(address, value) for value in values)
    )


def sealed(address: bytes, entry: bytes, heard: int) -> bytes:
    """Return the value for `entry` of a filter that has heard of the revocation `heard`; 0: of
    none."""
    if not heard:
        return entry
    digits = b"%010d" % heard
    return b"%b %b %b" % (entry, digits, check.checksum(address, entry, digits))


def opened(address: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Return the entry in `value` under `address`, and the AT that its filter had heard of as ten
    digits; empty: of none."""
    if len(address) + len(value) == check.TOTAL_BYTES + _HEARD_BYTES:
        entry, digits = value[:-_HEARD_BYTES], value[-19:-9]
        if digits.isdigit() and value[-8:] == check.checksum(address, entry, digits):
            return entry, digits
    return value, b""


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
