"""Kept servers are the shipped ones as values for JSON, without expressions and samples. Pure.

To make the patterns of all rules from their expressions takes half of a start, and pyparsing. So
they are kept, as the compiler made them, with all else that a filter in service needs of a server.
Whoever asks for more (--explain, the contract) gets it from the server's file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

from ..model import Accepted
from ..syslog.headers import OwnLog
from .carriage import SYSLOG, Carriage
from .reading import Reading, Usual
from .rules import KINDS, Rule, Sample, Server

if TYPE_CHECKING:
    import pyparsing as pp

_KINDS = {kind.__name__: kind for kind in KINDS}
_IN_THE_FILE = ("expression", "samples")
"""What a kept rule lacks."""


class KeptRule(Rule):
    """A rule of which the reading is kept; `find` returns the rule itself, by its name."""

    __slots__ = ("_find", "_full_name", "_reading", "_usual")
    _find: Callable[[str], Rule]
    _full_name: str
    _reading: dict[str, Any]
    _usual: dict[str, Any] | None

    def __init__(self, server: str, values: Mapping[str, Any], find: Callable[[str], Rule]) -> None:
        for name, value in values.items():
            object.__setattr__(self, f"_{name}" if name in ("reading", "usual") else name, value)
        object.__setattr__(self, "_full_name", _full_name(server, values["name"]))
        object.__setattr__(self, "kind", _KINDS[values["kind"]])
        object.__setattr__(self, "session", tuple(values["session"]))
        object.__setattr__(self, "_find", find)

    def reading(self) -> Reading:
        """Return what was kept."""
        kept = self._reading
        groups = {result: tuple(numbers) for result, numbers in kept["groups"].items()}
        return Reading(kept["text"], kept["group_count"], groups, frozenset(kept["begins"]))

    def usual(self) -> Usual | None:
        """Return what was kept."""
        kept = self._usual
        if kept is None:
            return None
        return Usual(kept["text"], kept["group_count"], kept["groups"], kept["key"])

    def may_share_lines(self, rival: Rule) -> bool:
        """Return what was kept; of a site's own rule its expression tells."""
        if self._usual is None or not isinstance(rival, KeptRule):
            return super().may_share_lines(rival)
        return rival._full_name in self._usual["rivals"].split()

    @property
    def expression(self) -> pp.ParserElement:
        """The expression, from the server's file."""
        return self._find(self.name).expression

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The samples, from the server's file."""
        return self._find(self.name).samples


def values_of(server: Server, servers: Iterable[Server]) -> dict[str, Any]:
    """Return what is kept of `server`, one of `servers`. Raises: GrammarError."""
    values = _values(server)
    values["own_logs"] = [_values(log) for log in server.own_logs]
    values["carriage"] = {} if server.carriage is SYSLOG else _values(server.carriage)
    values["carriages"] = {name: _values(way) for name, way in server.carriages.items()}
    values["rules"] = [_values_of_rule(rule, servers) for rule in server.rules]
    return values


def _full_name(server: str, rule: str) -> str:
    return f"{server}-{rule}"


def _values_of_rule(rule: Rule, servers: Iterable[Server]) -> dict[str, Any]:
    values = {name: value for name, value in _values(rule).items() if name not in _IN_THE_FILE}
    reading = rule.reading()._asdict()
    usual = rule.usual() if rule.kind is Accepted else None
    rivals = [
        _full_name(server.name, rival.name)
        for server in servers
        for rival in server.rules
        if usual is not None and rival is not rule and rule.may_share_lines(rival)
    ]
    return values | {
        "usual": None if usual is None else usual._asdict() | {"rivals": " ".join(rivals)},
        "kind": rule.kind.__name__,
        "reading": reading | {"begins": sorted(reading["begins"])},
    }


def _values(record: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by which it can be made again."""
    return {each.name: getattr(record, each.name) for each in fields(record) if each.init}


def server_of(values: Mapping[str, Any], find: Callable[[str, str], Rule]) -> Server:
    """Return the server of which `values` were kept.

    `find` returns a rule from its server's file, by the names of both.
    """
    name: str = values["name"]
    find_rule = partial(find, name)
    made: dict[str, Any] = {
        **values,
        "accounts": tuple(values["accounts"]),
        "own_logs": tuple(OwnLog(**log) for log in values["own_logs"]),
        "carriage": Carriage(**values["carriage"]) if values["carriage"] else SYSLOG,
        "carriages": {program: Carriage(**way) for program, way in values["carriages"].items()},
        "rules": tuple(KeptRule(name, rule, find_rule) for rule in values["rules"]),
    }
    return Server(**made)
