"""The declaration of an option: a field of a table, with all that is told of it. Pure.

    grace_seconds: int = option(seconds(1, WEEK), 1800, "How long an address may relay ...")

A class of such fields (`options.Config`, the classes of `tables`) is the only place that knows its
keys. `checked` reads a TOML table by it; the command line and the documents are made from it.

`Table` does the few things of a frozen dataclass that are needed here: `dataclasses`, with what it
imports and compiles for these classes, would take a fifth of the time of --list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, NoReturn, Self, dataclass_transform

from ..errors import ConfigError
from ..text import nearest
from .kinds import YES_NO, Kind

REQUIRED: Any = object()
"""The default of a key that must be given."""


class Option(NamedTuple):
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


class _Field(NamedTuple):
    """What stands in the class for an option, whose name is the attribute's."""

    kind: Kind
    default: Any
    about: str
    synonym: str
    reload: bool


def option(kind: Kind, default: Any, about: str, *, synonym: str = "", reload: bool = False) -> Any:
    """Return a field of `default` (checked already, or `REQUIRED`); see `Option` for the rest."""
    return _Field(kind, default, about, synonym, reload)


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Table:
    """A table of the configuration: its fields are given by their names, and do not change.

    A field is an `option`, or any other annotated attribute with its default.
    """

    options: ClassVar[dict[str, Option]] = {}
    """The declared options by name, in their order."""
    defaults: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        given = {name: vars(cls)[name] for name in cls.__annotations__}
        cls.options = cls.options | {
            name: Option(name, *value) for name, value in given.items() if type(value) is _Field
        }
        cls.defaults = cls.defaults | given
        cls.defaults |= {name: each.default for name, each in cls.options.items()}

    def __init__(self, **values: Any) -> None:
        for name in values:
            if name not in self.defaults:
                raise TypeError(f"{type(self).__name__} has no {name!r}")
        for name, value in (self.defaults | values).items():
            if value is REQUIRED:
                raise TypeError(f"{type(self).__name__}: {name!r} is missing")
            vars(self)[name] = value

    def changed(self, **values: Any) -> Self:
        """Return a copy with these values."""
        return type(self)(**{**vars(self), **values})

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} does not change")

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if type(other) is type(self) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"


def checked(table: type[Table], values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the values of a TOML table as the kinds of the options make them.

    Args:
        table: the class that declares the keys.
        values: the given ones.
        where: the file, and the table in it, for messages.

    Raises:
        ConfigError: a key is unknown, or a value is not valid.
    """
    known = table.options
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


def tables(name: str, table: type[Table], unique: str = "") -> Kind:
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
        for option in table.options.values():
            if option.default is REQUIRED and option.name not in given:
                raise ConfigError(f"{where}: {option.name} is missing. {option.about}")
        return table(**given)

    return Kind(check, on_command_line=False, table=table)
