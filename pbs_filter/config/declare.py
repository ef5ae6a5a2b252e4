"""The declaration of an option: a field of a dataclass, with all that is told of it. Pure.

    grace_seconds: int = option(seconds(1, WEEK), 1800, "How long an address may relay ...")

A class of such fields (`options.Config`, the classes of `tables`) is the only place that knows its
keys. `checked` reads a TOML table by it; the command line and the documents are made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any

from ..errors import ConfigError
from ..text import nearest
from .kinds import YES_NO, Kind

REQUIRED = MISSING
"""The default of a key that must be given."""


@dataclass(frozen=True, slots=True)
class Option:
    """One key of the configuration, or of one of its tables."""

    name: str
    kind: Kind
    default: Any
    about: str
    """One or more sentences, for people; the unit is in them or in the name."""
    synonym: str = ""
    """A second name on the command line."""
    reload: bool = False
    """Whether SIGHUP reads it again; else a change takes effect when the filter starts again."""

    @property
    def flags(self) -> tuple[str, ...]:
        """The names on the command line, first the one that follows from the key."""
        if not self.kind.on_command_line:
            return ()
        word = self.name.replace("_", "-")
        no = (f"--no{word}", f"--no-{word}") if self.kind is YES_NO else ()
        return (f"--{word}", *((self.synonym,) if self.synonym else ()), *no)


def option(kind: Kind, default: Any, about: str, *, synonym: str = "", reload: bool = False) -> Any:
    """Return a field of `default` (checked already, or `REQUIRED`); see `Option` for the rest."""
    metadata = {"option": (kind, about, synonym, reload)}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


@cache
def options_of(table: type) -> dict[str, Option]:
    """Return the options that a class declares, by name, in its order."""
    return {
        each.name: Option(
            each.name,
            kind,
            {} if each.default_factory is not MISSING else each.default,
            about,
            synonym,
            reload,
        )
        for each in fields(table)
        if "option" in each.metadata
        for kind, about, synonym, reload in [each.metadata["option"]]
    }


def checked(table: type, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the values of a TOML table as the kinds of the options make them.

    Args:
        table: the class that declares the keys.
        values: the given ones.
        where: the file, and the table in it, for messages.

    Raises:
        ConfigError: a key is unknown, or a value is not valid.
    """
    known = options_of(table)
    result = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(
                f"{where}: unknown key {name!r}.{nearest(name, known)} "
                "pbs-filter.toml(5) lists every key."
            )
        kind = known[name].kind
        try:
            result[name] = kind.check(value)
        except ConfigError as error:
            # The tables of a [[list]] say by themselves where they are.
            key = "" if kind.table else f"{name}: "
            raise ConfigError(f"{where}: {key}{error}") from None
    return result


def tables(name: str, table: type, unique: str = "") -> Kind:
    """Tables `[[name]]` with the keys that the class `table` declares; no two have one `unique`."""

    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(v, dict) for v in value):
            raise ConfigError(f"{name}: write [[{name}]] tables, not {value!r}")
        found = tuple(_table(f"[[{name}]]", number, each) for number, each in enumerate(value, 1))
        labels = [getattr(each, unique) for each in found] if unique else []
        for label in labels:
            if label and labels.count(label) > 1:
                raise ConfigError(
                    f"two [[{name}]] tables have {unique} = {label!r}; give each its own"
                )
        return found

    def _table(head: str, number: int, values: Mapping[str, Any]) -> Any:
        title = values.get("name")
        where = f"{head} {title!r}" if title and isinstance(title, str) else f"{head} {number}"
        given = checked(table, values, where)
        for option in options_of(table).values():
            if option.default is REQUIRED and option.name not in given:
                raise ConfigError(f"{where}: {option.name} is missing. {option.about}")
        return table(**given)

    return Kind(check, on_command_line=False, table=table)
