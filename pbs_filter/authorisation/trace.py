"""The trace keeps how the newest logins went from line to map, while `--doctor` asks. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

from ..model import Accepted, Record
from .outcome import Outcome

MAX_LOGINS = 8
"""The newest logins that are kept."""
ASK_SECONDS = 10
"""The trace ends so long after the last request for it."""


@dataclass(slots=True)
class Login:
    """One login's line with its outcome, and the time of each step in seconds of the epoch."""

    line: bytes
    outcome: Outcome
    read_epoch: float
    journal_epoch: float | None = None
    """The journal has it on the disk; None: not yet."""
    map_epoch: float | None = None
    """Lookups find it in the map; None: not yet."""

    def as_object(self, record: Record) -> dict[str, Any]:
        """Return the login for `--doctor`; `record` is made of its line."""
        outcome = self.outcome
        return {
            "line": record.message,
            "program": record.program,
            "pid": record.pid,
            "host": record.host,
            "uid": record.uid,
            "peer": record.peer,
            "server": outcome.server,
            "rule": outcome.rule,
            "address": outcome.address or getattr(outcome.observation, "address", None),
            "user": outcome.user or getattr(outcome.observation, "user", None),
            "reason": None if outcome.reason is None else outcome.reason.value,
            "detail": outcome.detail,
            "written_epoch": record.time_epoch,
            "read_epoch": self.read_epoch,
            "journal_epoch": self.journal_epoch,
            "map_epoch": self.map_epoch,
        }


class Trace:
    """The newest logins. It is off, and costs nothing, until somebody asks."""

    def __init__(self) -> None:
        self.is_on = False
        self.clock: Callable[[], float] = float  # 0.0
        """Tells seconds of the epoch, fractions included; the service sets it."""
        self.logins: deque[Login] = deque(maxlen=MAX_LOGINS)
        self._end_epoch = 0

    def ask(self, now: int) -> list[Login]:
        """Switch the trace on, or keep it on; return what it has."""
        self.is_on = True
        self._end_epoch = now + ASK_SECONDS
        return [*self.logins]

    def tick(self, now: int) -> None:
        """Switch the trace off where nobody has asked for a while."""
        if self.is_on and now >= self._end_epoch:
            self.is_on = False
            self.logins.clear()

    def add(self, line: bytes, outcome: Outcome) -> None:
        """Keep the outcome of `line`, if it tells of a login."""
        if isinstance(outcome.observation, Accepted):
            self.logins.append(Login(line, outcome, self.clock()))

    def journaled(self) -> None:
        """The journal has all of them."""
        for login in self.logins:
            if login.journal_epoch is None:
                login.journal_epoch = self.clock()

    def mapped(self, addresses: Container[str]) -> None:
        """The map has what the lines so far say of `addresses`."""
        for login in self.logins:
            if login.map_epoch is None and login.outcome.address in addresses:
                login.map_epoch = self.clock()
