"""--history: when and by whom an address was authorised, and by which line (edge).

The journal has states, not events (see `ledger`): each `a` payload names the newest login of its
address, and comes again when the session ends, by hand, and when the journal is rewritten. So a
login is known by its time, user and server, and what comes later of it only moves its end. Times
are as the filter's clock told them then.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from typing import Any

from ..config.options import Config
from ..errors import StoreBusy
from ..store import journal_lines
from ..terminal import Span, ansi, json_line, moment, table
from ..text import counted
from .arguments import colour_of, key_of

COLUMNS = ("LOGIN", "UNTIL", "USER", "PROTO", "SERVER")
_FIELDS = 10


def run(config: Config, options: argparse.Namespace) -> int:
    """Show the logins of the address; return 0 if the journal knows one, 1 if not.

    Raises:
        StoreBusy: there is no journal, or it cannot be read.
    """
    key = key_of("--history", options.history, config)
    if not os.path.lexists(config.journal) and not os.path.lexists(config.journal + ".1"):
        raise StoreBusy(
            f"nothing was recorded yet: there is no journal {config.journal!r}, which the filter "
            "makes when it starts first; pbs-filter --doctor looks for what is missing"
        )
    history = history_of(config.journal, key)
    if options.json:
        sys.stdout.write(json_line(history.as_object()))
    else:
        sys.stdout.write(history.as_text(colour=colour_of(options)))
    return 0 if history.logins() else 1


def history_of(path: str, address: str) -> History:
    """Return all that the journal at `path`, and the one before it, know of `address`.

    Needs no lock. The newer one is read first: renamed meanwhile it is read twice, and nothing is
    missed.

    Raises:
        StoreBusy: it cannot be read.
    """
    history = History(address)
    newer = list(filter(history.wants, journal_lines.read(path)))
    older = path + ".1"
    if os.path.exists(older):
        history.take(filter(history.wants, journal_lines.read(older)))
    history.take(newer)
    return history


class Login:
    """One login of the address. Times are seconds since the epoch."""

    def __init__(self, time: int, user: str, protocol: str, server: str) -> None:
        self.time = time
        self.user = user
        self.protocol = protocol
        self.server = server
        self.until = 0
        """The end it led to, as far as the journal was told."""
        self.line = ""
        """The message that was read; empty where the journal no longer has it."""
        self.forgotten = False
        """The authorisation was ended by hand."""


class History:
    """The history has what journals say of one address: give it the payloads of the older file
    first."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.since: int | None = None
        """The time of the oldest login (of anybody) whose line is still there."""
        self._logins: dict[tuple[int, str, str], Login] = {}
        self._newest: Login | None = None
        self._wanted = (f"a\t{address}\t", f"d\t{address}")

    def wants(self, payload: str) -> bool:
        """Return whether `take` has a use for `payload`: almost none of a journal's lines."""
        return payload.startswith(self._wanted) or (self.since is None and payload[:2] == "a\t")

    def take(self, payloads: Iterable[str]) -> None:
        """Take payloads that are wanted; what is not one of the ledger's is passed over."""
        for payload in payloads:
            fields = payload.split("\t")
            if fields[:2] == ["d", self.address] and self._newest is not None:
                self._newest.forgotten = True
            elif len(fields) == _FIELDS and fields[2].isdigit() and fields[5].isdigit():
                self._state(fields)

    def _state(self, fields: list[str]) -> None:
        _, address, until, _, _, last, server, protocol, user, line = fields
        if line and self.since is None:
            self.since = int(last)
        if address != self.address:
            return
        key = int(last), user, server
        login = self._logins.get(key)
        if login is None:
            login = self._logins[key] = Login(int(last), user, protocol, server)
        login.until = max(login.until, int(until))
        login.line = login.line or line
        login.forgotten = False
        self._newest = login

    def logins(self) -> list[Login]:
        """Return the logins, the oldest first."""
        return sorted(self._logins.values(), key=lambda login: login.time)

    def as_object(self) -> dict[str, Any]:
        """For --json: times in seconds since the epoch."""
        return {
            "address": self.address,
            "journal_since": self.since,
            "logins": [
                {
                    "time": login.time,
                    "until": login.until,
                    "user": login.user,
                    "protocol": login.protocol or None,
                    "server": login.server,
                    "line": login.line or None,
                    "forgotten": login.forgotten,
                }
                for login in self.logins()
            ],
        }

    def as_text(self, *, colour: bool = False) -> str:
        """For people: a row for each login, and its line below."""
        found = self.logins()
        logins = counted(len(found), "login")
        back = "is empty" if self.since is None else f"goes back to {moment(self.since)}"
        said = f"{self.address}: {logins}; the journal {back}"
        rows = [[Span(name, "bold") for name in COLUMNS]]
        for login in found:
            until = "ended by hand" if login.forgotten else moment(login.until)
            cells = (moment(login.time), until, login.user, login.protocol, login.server)
            rows.append([Span(cell or "-") for cell in cells])
        head, *lines = [ansi(line, colour=colour) for line in table(rows)]
        if not found:
            return f"{said}\n"
        shown = [said, head]
        for login, line in zip(found, lines, strict=True):
            why = login.line or "(the journal no longer has the line)"
            shown += [line, ansi([Span(f"    {why}", "dim")], colour=colour)]
        return "".join(f"{line}\n" for line in shown)
