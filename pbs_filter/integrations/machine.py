"""A machine holds what --setup and --doctor know of one, as plain values. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSummary:
    """The summary of the end of a mail log, made by the real reader."""

    path: str
    """The file, or the command that printed it."""
    lines: int
    logins: Mapping[str, int] = field(default_factory=dict)
    """Logins by server."""
    unread: Mapping[str, int] = field(default_factory=dict)
    """Lines of known programs that no rule reads, by program."""
    uncertain: Mapping[str, str] = field(default_factory=dict)
    """Servers with logins there that count only if the configuration names them, since pieces of a
    client's text cannot be told from them: what to do, by server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine as `discover` found it."""

    program: str
    """The path of pbs-filter."""
    lookup: str
    """The path of pbs-lookup."""
    share: str
    """The directory of the shipped files."""
    map: str
    """The map by the configuration."""
    state: str
    """The directory of the journal."""
    versions: Mapping[str, str]
    """Of the daemons and MTAs that are installed, by the names of their integrations."""
    closed: str = ""
    """The directory on the way to `program` that others may not enter; "": there is none."""
    running: frozenset[str] = frozenset()
    """The names of the installed ones that run."""
    started: Mapping[str, int] = field(default_factory=dict)
    """When the oldest process of each was started, in seconds of the epoch."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The text of the configuration files that are there, by path."""
    changed: Mapping[str, int] = field(default_factory=dict)
    """When each of them was changed, in seconds of the epoch."""
    directories: frozenset[str] = frozenset()
    """The directories of interest that are there."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """The outputs of commands, by the command."""
    accounts: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    systemd: bool = True
    """Whether systemd runs the services."""
    service_program: str = "service"
    """Without systemd: the program that starts and stops services; "" where there is none."""
    root: bool = True
    """Whether root looked: another account does not see whose processes run."""
    gdbm: bool = True
    """Whether the Python of pbs-filter can use GDBM files."""
    host: str = "mx1.example.org"
    """Its full name, as programs find it out."""
    log: LogSummary | None = None
    counted: frozenset[str] = frozenset()
    """Servers whose logins the filter has counted in the last `history_days`."""

    def restart(self, service: str, verb: str = "restart") -> str:
        """Return the command that makes `service` read its configuration."""
        if self.systemd:
            return f"systemctl {verb} {service}"
        if self.service_program:
            return f"{self.service_program} {service} {verb}"
        return f"{verb} {service} by hand: this machine has no program for its services"


def version(text: str) -> tuple[int, ...]:
    """Return the numbers that `text` begins with: `3.38.1` is (3, 38, 1)."""
    match = re.match(r"[0-9.]*[0-9]", text)
    return tuple(int(number) for number in match[0].split(".") if number) if match else ()
