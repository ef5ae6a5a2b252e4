"""What --setup and --doctor know of a machine, as plain values. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

DAEMONS = ("rsyslog", "syslog-ng")
MTAS = ("postfix", "exim", "sendmail", "opensmtpd", "courier", "qmail")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the real reader made of the end of a mail log."""

    path: str
    lines: int
    logins: Mapping[str, int] = field(default_factory=dict)
    """Logins by server."""
    unread: Mapping[str, int] = field(default_factory=dict)
    """Lines of known programs that no rule reads, by program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine as `look` found it."""

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
    """Of the daemons and MTAs that are installed, by the names in DAEMONS and MTAS."""
    closed: str = ""
    """The directory on the way to `program` that others may not enter; "": there is none."""
    running: frozenset[str] = frozenset()
    """Those of them that run."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The text of the configuration files that are there, by path."""
    directories: frozenset[str] = frozenset()
    """Those of interest that are there."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """What programs said, by the command."""
    accounts: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    systemd: bool = True
    """Whether systemd runs the services."""
    seen: Seen | None = None

    def restart(self, service: str, verb: str = "restart") -> str:
        """The command that makes `service` read its configuration."""
        return f"systemctl {verb} {service}" if self.systemd else f"service {service} {verb}"


def choose(machine: Machine, kinds: tuple[str, ...], what: str) -> str:
    """The one of `kinds` to work with: the one that runs, or else the one that is installed.

    "" where none is installed.

    Raises:
        ValueError: several are, and which is meant cannot be seen.
    """
    installed = [kind for kind in kinds if kind in machine.versions]
    running = [kind for kind in installed if kind in machine.running]
    found = running or installed
    if len(found) > 1:
        state = "run" if running else "are installed"
        raise ValueError(f"{' and '.join(found)} {state}: say which {what}")
    return found[0] if found else ""


def version(text: str) -> tuple[int, ...]:
    """The numbers that `text` begins with: `3.38.1` is (3, 38, 1)."""
    found = re.match(r"[0-9.]*[0-9]", text)
    return tuple(int(number) for number in found[0].split(".") if number) if found else ()
