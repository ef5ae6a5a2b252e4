"""An integration declares what --setup and --doctor ask of a syslog daemon or an MTA: one
declaration a module. Pure.

A module of this package that has an INTEGRATION is one daemon or MTA, and the only place that knows
of it: how it is found, what to put where, where it asks, how to see that its relay is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from .finding import Finding
from .machine import Machine
from .plan import Plan

if TYPE_CHECKING:
    from .lookups import LookupConfig

Shipped = Mapping[str, str]
"""The texts of shipped files by their names."""


def _nothing(_machine: Machine) -> list[Any]:
    return []


def _no_words(_machine: Machine) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """A syslog daemon or an MTA."""

    name: str
    plan: Callable[[Machine, Shipped], Plan]
    """The part of --setup."""
    other_names: tuple[str, ...] = ()
    version_command: tuple[str, ...] = ()
    """The command that prints its version."""
    version_pattern: str = ""
    """The expression whose first group is the version in that."""
    witness: str = ""
    """A file that is there where it is installed, if no command prints its version."""
    executables: tuple[str, ...] = ()
    """How the paths of its running programs end."""
    shipped: tuple[str, ...] = ()
    """The shipped files that the plan is made of."""
    files: tuple[str, ...] = ()
    """The configuration files that are read."""
    commands: tuple[tuple[str, ...], ...] = ()
    """The commands whose answers are read, where it is installed."""
    package: str = ""
    """The package of Debian that has it; "": none."""
    service: str = ""
    """Its unit of systemd, if that has another name."""
    facts: Callable[[Machine], list[tuple[str, str]]] = _nothing
    """What a person should know of it on this machine: rows of a name and a value."""
    ways: Mapping[str, Callable[[Machine, Shipped], Plan]] = field(default_factory=dict)
    """Other plans, by the word with which a person asks for each."""
    way: str = ""
    """The word of them that was asked for."""

    kind = ""

    @property
    def word(self) -> str:
        """The word by which --setup makes this plan."""
        return self.way or self.name

    def by_way(self, way: str) -> Self:
        """Return it with another of its plans."""
        return replace(self, plan=self.ways[way], way=way)

    @property
    def unit(self) -> str:
        """The unit of systemd that runs it."""
        return self.service or self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed(Integration):
    """A syslog daemon, or what does its work: lines come from it."""

    drop_in: Callable[[Machine], str]
    """The path of the file by which it feeds us; "" where it has no place for one."""
    enabled: str = ""
    """The link that systemd makes when that file, a unit, is enabled."""
    beside: tuple[str, ...] = ()
    """Further files of ours that it may need for that."""
    answers: Callable[[Machine], str] = _no_words
    """What to say of how it hands over lines; "": nothing."""
    last_resort: bool = False
    """It is taken only where no other one is installed, or where it was set up."""

    kind = "syslog daemon"

    def is_set_up(self, machine: Machine) -> bool:
        """Return whether it has the file by which it feeds us."""
        paths = [path for path in (self.drop_in(machine), self.enabled) if path]
        return bool(paths) and all(path in machine.files for path in paths)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A conversation of a stranger that the MTA plays through by itself, without a network."""

    argv: tuple[str, ...]
    text: str
    """What it gets on stdin."""
    judge: Callable[[str, int], Finding]
    """What its output means, for a port."""
    at_port: tuple[str, ...] = ()
    """What to add to the command for another port, `{port}`, than 25; nothing: it holds for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mta(Integration):
    """A mail server: it asks the map."""

    lookups: Callable[[Machine], LookupConfig | Finding]
    """Where it asks, by its configuration; or a finding that it does not."""
    settings: Callable[[Machine], Sequence[Finding]] = _nothing
    """What is wrong with its settings about relaying."""
    session: Session | None = None
    """How to try whether the relay is closed."""
    trusted: Callable[[Machine], str] | None = None
    """The networks that may relay anyway, where a stranger must be tried by SMTP from an address of
    this machine outside of them."""
    untried: Finding
    """What to say where nothing could be tried."""
    read_once: str = ""
    """The file that its daemon reads only when it starts or is told to."""

    kind = "MTA"


def choose(machine: Machine, kinds: Mapping[str, Integration]) -> str:
    """Return the name of the one of `kinds` to work with: set up already, else running, else
    installed.

    "" where none is installed.

    Raises:
        ValueError: several are, and it cannot be seen which is meant.
    """
    installed = [each for each in kinds.values() if each.name in machine.versions]
    ready = [each for each in installed if isinstance(each, Feed) and each.is_set_up(machine)]
    first = [each for each in installed if not (isinstance(each, Feed) and each.last_resort)]
    running = [each for each in first if each.name in machine.running]
    names = [each.name for each in ready or running or first or installed]
    if len(names) > 1:
        state = "are set up" if ready else "run" if running else "are installed"
        kind = installed[0].kind
        raise ValueError(f"{' and '.join(names)} {state}: say which {kind}")
    return names[0] if names else ""
