"""Usage keeps who logged in from where, who was let in, and sums by the day: for --report. Pure.

It is kept in a file of its own, not in the journal: the journal has states, of which a rewrite
keeps the living ones, and each of its lines is made durable before its cause is acknowledged. These
are counts for people: one written some minutes ago is good enough, and none costs a line anything.
Nor are the metrics the place, which forget at each start, and have no room for a user or address.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

from ..authorisation.counters import Login
from ..authorisation.user_names import user_key

FORMAT = 1
MAX_DEVICES = 5_000
"""The newest of them are kept, and as many addresses that were let in."""
DAY_SECONDS = 86400
ANSWERS = ("yes", "no", "not_now")
NO_REFUSALS = frozenset(
    {"connected", "empty", "ended", "ignored", "nobody_logged_in", "other_program", "told_twice"}
)
"""Reasons of lines that would have authorised nobody anyway."""


class Totals(NamedTuple):
    """What the filter has counted since its start, and how many may relay now."""

    reasons: Mapping[str, int]
    answers: Mapping[str, int]
    authorised: int


class Device:
    """Logins of one user by one server and protocol from one address. Times: epoch seconds."""

    __slots__ = ("days", "first", "last")

    def __init__(self, first: int, last: int, days: dict[str, int]) -> None:
        self.first = first
        self.last = last
        self.days = days
        """Logins by day, `2026-11-28`."""


class Day:
    """The sums of one day."""

    __slots__ = ("answers", "logins", "most", "reasons")

    def __init__(self) -> None:
        self.logins = 0
        self.most = 0
        """Addresses that could relay at one time."""
        self.reasons: dict[str, int] = {}
        self.answers: dict[str, int] = {}


class Usage:
    """Usage of the last `days_kept` days; `since` (epoch) is when it was begun."""

    def __init__(self, since: int, days_kept: int) -> None:
        self.since = since
        self.days_kept = days_kept
        self.devices: dict[Login, Device] = {}
        self.used: dict[str, int] = {}
        """When an address was last let in by a lookup."""
        self.days: dict[str, Day] = {}
        self.changed = False
        """Since it was written last; whoever writes it sets it."""
        self.tried: dict[tuple[Login, int], None] = {}
        """Logins of --doctor, with their times, which the journal has, too."""
        self._before = Totals({}, {}, 0)
        self._erased: dict[str, int] = {}
        """When an address was erased: lookups tell late what they answered before."""

    def take(
        self,
        now: int,
        today: str,
        logins: Mapping[Login, int],
        used: Mapping[str, int],
        totals: Totals,
    ) -> None:
        """Take what came since the last call.

        Args:
            now: epoch seconds.
            today: the local day, `2026-11-28`.
            logins: how many of each.
            used: when (epoch) an address was let in.
            totals: since the start of this filter.
        """
        if today not in self.days:
            self.days[today] = Day()
            self.prune(now, today)
        day = self.days[today]
        for login, number in logins.items():
            device = self.devices.get(login)
            if device is None:
                device = self.devices[login] = Device(now, now, {})
            device.last = max(now, device.last)
            device.days[today] = device.days.get(today, 0) + number
            day.logins += number
        for address, at in used.items():
            if at <= self._erased.get(address, 0):
                continue
            self.used[address] = max(min(at, now), self.used.get(address, 0))
        refused = _more(self._before.reasons, totals.reasons)
        for name in refused.keys() - NO_REFUSALS:
            day.reasons[name] = day.reasons.get(name, 0) + refused[name]
        answers = _more(self._before.answers, totals.answers)
        for name, number in answers.items():
            day.answers[name] = day.answers.get(name, 0) + number
        higher = totals.authorised > day.most
        day.most = max(day.most, totals.authorised)
        self._before = totals
        self.changed = self.changed or bool(
            logins or used or answers or higher or refused.keys() - NO_REFUSALS
        )
        if len(self.devices) > MAX_DEVICES:
            _keep(self.devices, lambda item: item[1].last)
        if len(self.used) > MAX_DEVICES:
            _keep(self.used, lambda item: item[1])

    def leave_out(self, login: Login, last: int, now: int) -> None:
        """Leave out a login that was counted, because --doctor made it at `last`."""
        self.tried[login, last] = None
        device = self.devices.get(login)
        if device is None or not device.days:
            return
        newest = max(device.days)
        if newest in self.days:  # a file that somebody wrote may lack it
            self.days[newest].logins -= 1
        device.days[newest] -= 1
        if not device.days[newest]:
            del device.days[newest]
        if not device.days:
            del self.devices[login]
            self._drop_use({login.address}, now)
        self.changed = True

    def prune(self, now: int, today: str) -> None:
        """Forget what is older than `days_kept` days."""
        oldest = (date.fromisoformat(today) - timedelta(days=self.days_kept)).isoformat()
        horizon = now - self.days_kept * DAY_SECONDS
        for login, device in list(self.devices.items()):
            for name in [name for name in device.days if name < oldest]:
                del device.days[name]
            if device.last < horizon:
                del self.devices[login]
        for address in [address for address, at in self.used.items() if at < horizon]:
            del self.used[address]
        for name in [name for name in self.days if name < oldest]:
            del self.days[name]
        for tried in [each for each in self.tried if each[1] < horizon]:
            del self.tried[tried]
        self.changed = True

    def erase(self, now: int, *, user: str = "", address: str = "") -> None:
        """Forget a user, in every spelling of the name, or an address; `now` is epoch seconds."""
        key = user_key(user) if user else None
        logins = [
            login
            for login in self.devices
            if login.address == address or user_key(login.user) == key
        ]
        addresses = {login.address for login in logins} | {address}
        for login in logins:
            del self.devices[login]
        for tried in [
            each
            for each in self.tried
            if each[0].address == address or user_key(each[0].user) == key
        ]:
            del self.tried[tried]
        self._drop_use(addresses, now)
        self.changed = True

    def _drop_use(self, addresses: set[str], now: int) -> None:
        """Forget when those of `addresses` were let in that no login has any more."""
        for gone in addresses - {login.address for login in self.devices}:
            self.used.pop(gone, None)
            self._erased[gone] = now
        while len(self._erased) > MAX_DEVICES:
            del self._erased[next(iter(self._erased))]

    # ------------------------------------------------------------------ as a file has it

    def as_object(self) -> dict[str, Any]:
        """Return a copy of all of it as JSON has it."""
        return {
            "format": FORMAT,
            "since": self.since,
            "devices": [
                [*login, device.first, device.last, dict(device.days)]
                for login, device in self.devices.items()
            ],
            "used": dict(self.used),
            "tried": [[*login, last] for login, last in self.tried],
            "days": {
                name: [day.logins, day.most, dict(day.reasons), dict(day.answers)]
                for name, day in self.days.items()
            },
        }

    @classmethod
    def of_object(cls, value: Any, days_kept: int) -> Usage:
        """Return what `as_object` gave.

        Raises:
            ValueError: it is something else.
        """
        try:
            if value["format"] != FORMAT:
                raise ValueError
            made = cls(_number(value["since"]), days_kept)
            for address, user, server, protocol, first, last, days in value["devices"]:
                login = Login(*map(_text, (address, user, server, protocol)))
                made.devices[login] = Device(
                    _number(first), _number(last), _numbers(days, day=True)
                )
            made.used = _numbers(value["used"])
            for *words, last in value.get("tried", ()):
                made.tried[Login(*map(_text, words)), _number(last)] = None
            for name, (logins, most, reasons, answers) in value["days"].items():
                day = made.days[_day(name)] = Day()
                day.logins, day.most = _number(logins), _number(most)
                day.reasons, day.answers = _numbers(reasons), _numbers(answers)
        except (TypeError, KeyError, AttributeError, ValueError):
            raise ValueError("it is not as pbs-filter writes it") from None
        return made


def _more(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Return what was counted between the two."""
    return {
        name: number - before.get(name, 0)
        for name, number in after.items()
        if number > before.get(name, 0)
    }


def _keep(table: dict[Any, Any], age: Any) -> None:
    """Let the oldest tenth go, so that this need not be done again at once."""
    newest = sorted(table.items(), key=age)[len(table) - MAX_DEVICES * 9 // 10 :]
    table.clear()
    table.update(newest)


def _number(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value < 1 << 40:
        raise ValueError
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _day(value: str) -> str:
    if date.fromisoformat(value).isoformat() != value:
        raise ValueError
    return value


def _numbers(values: Mapping[str, object], *, day: bool = False) -> dict[str, int]:
    return {_day(name) if day else name: _number(number) for name, number in values.items()}
