"""Counters count lines, logins and reasons since the start. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..model import Reason, Record
from .authorisations import clean

MAX_PROGRAMS = 200
"""Program names (instance paths are anybody's text) whose unread lines are counted."""

EXAMPLE_BYTES = 500
"""The example of an unread message has so many characters at most."""

LINE_BYTES = 2000
"""The example of a reason has so many bytes of its line at most: one of JSON is mostly whole, and
can be read again."""


MAX_WAITING = 50_000
"""Different logins that wait to be taken at most: that is done once a second, or never."""


class Login(NamedTuple):
    """A device, as far as a log can tell one: where a user logs in from, and by what."""

    address: str
    user: str
    server: str
    protocol: str


def line_count(block: bytes) -> int:
    """Return how many newlines `block` has. `count` takes 0.13 µs a line, five times as long."""
    return len(block) - len(block.replace(b"\n", b""))


class Counts:
    """Counts tell what happened since the start: numbers for --status and the metrics."""

    def __init__(self) -> None:
        self.lines = 0
        self.candidates = 0
        self.logins: dict[str, int] = {}
        """Authorised, by server."""
        self._waiting: dict[tuple[str, str, str, str], int] = {}
        """The same by `Login`, since they were taken last."""
        self.tried: list[tuple[Login, int]] = []
        """Logins that --doctor made, with their times, until the usage leaves them out."""
        self.logouts = 0
        self.reasons: dict[Reason, int] = {}
        self.examples: dict[Reason, bytes] = {}
        """The newest line of each reason, at most `LINE_BYTES` of it."""
        self.unread: dict[str, int] = {}
        """Lines of a known program that no rule reads, by program."""
        self.unread_examples: dict[str, str] = {}
        self.forged: dict[tuple[int, str], int] = {}
        """By uid and program."""
        self.forged_servers: dict[tuple[int, str], str] = {}
        """For which server such lines spoke."""

    def add(self, reason: Reason, number: int = 1) -> None:
        """Count lines that led to nothing."""
        self.candidates += number
        self.reasons[reason] = self.reasons.get(reason, 0) + number

    def add_login(self, address: str, user: str, server: str, known_as: str, protocol: str) -> None:
        """Count a login of `server` that authorised, and note it for `take_logins`.

        `known_as` is the server's name in the ledger; the others are those of `Login`.
        """
        self.candidates += 1
        self.logins[server] = self.logins.get(server, 0) + 1
        waiting = self._waiting
        login = address, user, known_as, protocol  # as a plain tuple it is made in no time
        number = waiting.get(login, 0)
        if number or len(waiting) < MAX_WAITING:
            waiting[login] = number + 1

    def take_logins(self) -> dict[Login, int]:
        """Return the logins since the last call, with their numbers."""
        taken = {Login(*login): number for login, number in self._waiting.items()}
        self._waiting.clear()
        return taken

    def forget_logins(self, is_meant: Callable[[Login], bool]) -> None:
        """Let no call of `take_logins` tell of logins that are meant."""
        for login in [each for each in self._waiting if is_meant(Login(*each))]:
            del self._waiting[login]

    def by_reason(self) -> dict[Reason, int]:
        """Every reason with its count; other programs' lines are what the scan passed over."""
        counts = dict(self.reasons)
        passed_over = self.lines - self.candidates
        if passed_over:
            counts[Reason.OTHER_PROGRAM] = counts.get(Reason.OTHER_PROGRAM, 0) + passed_over
        return counts

    def add_unread(self, record: Record) -> None:
        """Count a line of a known program that no rule reads, and keep it as the example."""
        program = clean(record.program)
        if program in self.unread or len(self.unread) < MAX_PROGRAMS:
            self.unread[program] = self.unread.get(program, 0) + 1
            self.unread_examples[program] = clean(record.message[:EXAMPLE_BYTES])

    def add_forged(self, record: Record, server: str) -> None:
        """Count a line by which an account that is not trusted spoke for `server`."""
        assert record.uid is not None
        writer = record.uid, clean(record.program)
        if writer in self.forged or len(self.forged) < MAX_PROGRAMS:
            self.forged[writer] = self.forged.get(writer, 0) + 1
            self.forged_servers[writer] = server
