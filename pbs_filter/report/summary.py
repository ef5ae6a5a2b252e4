"""The summary joins the filter's usage file and the journal for --report. Pure.

The usage file has each login since it was begun, and the last lookup that let each address in. The
journal has logins from before that, and the ends of authorisations. Its payloads are states: a
rewritten journal has only the newest login of each address, known by its time.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from datetime import date, timedelta
from typing import Any, NamedTuple

from ..authorisation.authorisations import MANUAL
from ..authorisation.counters import Login
from ..monitor.usage import ANSWERS, DAY_SECONDS, MAX_DEVICES, Day, Usage

_FIELDS = {"a": 10, "u": 9}
LATE_SECONDS = 1
"""The usage takes logins once a second: its times may be so much later than the journal's."""


class Device(NamedTuple):
    """Logins of one user by one server and protocol from one address. Times: epoch seconds."""

    login: Login
    first: int
    last: int
    logins: int
    """Number of known logins."""
    until: int
    """The end of the address's authorisation; 0: unknown, or ended by hand."""
    used: int
    """The last time a lookup let the address in, after the first login; 0: never."""
    days: dict[str, int]
    """Day -> number of logins."""


class JournalLogins:
    """The newest logins in journals, whose payloads are taken from the older file first."""

    def __init__(self, horizon: int, tried: Container[tuple[Login, int]] = ()) -> None:
        self._tried = tried
        """Logins that --doctor made, with their times."""
        self._horizon = horizon
        """Logins before this time (epoch) are left out."""
        self.logins: dict[Login, list[int]] = {}
        """Login -> first time, last time (epoch) and number."""
        self.until: dict[str, int] = {}

    def take(self, payloads: Iterable[str]) -> None:
        """Add the logins in `payloads`; other payloads are skipped."""
        for payload in payloads:
            kind, *fields = payload.split("\t")
            if kind == "d" and len(fields) in (1, 2):
                self.until.pop(fields[0], None)
            elif len(fields) + 1 == _FIELDS.get(kind):
                if kind == "a":
                    address, until, _, _, last, server, protocol, user, _ = fields
                    if until.isdigit():
                        self.until[address] = int(until)
                else:
                    address, user, _, _, _, last, server, protocol = fields
                if last.isdigit() and int(last) >= self._horizon:
                    self._login(Login(address, user, server, protocol), int(last))

    def _login(self, login: Login, at: int) -> None:
        if (login, at) in self._tried:
            return
        known = self.logins.setdefault(login, [at, at - 1, 0])
        known[0] = min(known[0], at)
        if at > known[1]:
            known[1] = at
            known[2] += 1


class Summary:
    """The devices that logged in during the last days, and whether lookups let them in.

    Args:
        usage: the filter's counts; None: there are none.
        journal: the logins in the journal.
        now: epoch seconds.
        today: the local day, `2026-11-28`.
    """

    def __init__(self, usage: Usage | None, journal: JournalLogins, now: int, today: str) -> None:
        self.now = now
        self.today = today
        self.since = None if usage is None else usage.since
        """The time (epoch) since which the filter counts; None: it does not."""
        self.days = {} if usage is None else dict(_each_day(usage.days, today))
        """Every day, the oldest first, without a gap."""
        used = {} if usage is None else usage.used
        self.devices = sorted(
            _devices(usage, journal, used),
            key=lambda device: (device.used, device.last, device.login),
            reverse=True,
        )[:MAX_DEVICES]
        """The devices, the one whose address was let in last first."""
        known = {device.login.address for device in self.devices}
        self.strangers = sorted(set(used) - known)
        """Addresses that a lookup let in, and that logged in at another filter."""

    @property
    def lookups(self) -> bool:
        """Whether the answers of any lookup were counted."""
        return any(sum(day.answers.values()) for day in self.days.values())

    def depending(self) -> set[str]:
        """Return the addresses that logged in, and that a lookup let in."""
        return {device.login.address for device in self.devices if device.used}

    def as_object(self) -> dict[str, Any]:
        """Return the object for --json, with times in seconds since the epoch."""
        return {
            "now": self.now,
            "counted_since": self.since,
            "lookups_counted": self.lookups,
            "devices": [
                {
                    **device.login._asdict(),
                    "protocol": device.login.protocol or None,
                    "first_login": device.first,
                    "last_login": device.last,
                    "logins": device.logins,
                    "until": device.until or None,
                    "last_used": device.used or None,
                    "by_hand": device.login.server == MANUAL,
                }
                for device in self.devices
            ],
            "used_without_login": self.strangers,
            "days": [
                {
                    "day": name,
                    "logins": day.logins,
                    "most_authorised": day.most,
                    "lookups": {answer: day.answers.get(answer, 0) for answer in ANSWERS},
                    "refused": day.reasons,
                }
                for name, day in self.days.items()
            ],
        }


def _devices(usage: Usage | None, journal: JournalLogins, used: dict[str, int]) -> Iterator[Device]:
    counted = {} if usage is None else usage.devices
    for login in dict.fromkeys((*counted, *journal.logins)):
        first, last, number = journal.logins.get(login, (1 << 40, 0, 0))
        days: dict[str, int] = {}
        device = counted.get(login)
        if device is not None:
            first = min(first, device.first)
            if device.last > last + LATE_SECONDS:
                last = device.last
            days = device.days
            number = max(number, sum(days.values()))
        at = used.get(login.address, 0)
        yield Device(
            login,
            first,
            last,
            number,
            journal.until.get(login.address, 0),
            at if at >= first - LATE_SECONDS else 0,
            days,
        )


def _each_day(days: dict[str, Day], today: str) -> Iterator[tuple[str, Day]]:
    """Yield every day from the first to today."""
    day = date.fromisoformat(min(days, default=today))
    while (name := day.isoformat()) <= today:
        yield name, days.get(name) or Day()
        day += timedelta(days=1)


def horizon(now: int, days: int) -> int:
    """Return the time (epoch) at which the report begins."""
    return now - days * DAY_SECONDS
