"""The configuration as text: --dumpconfig, the example file, and a value in TOML. Pure."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from typing import Any

from .declare import REQUIRED, Option, Table
from .kinds import MODE
from .options import OPTIONS, Config

_HEAD = """\
# pbs-filter.toml: every option, with its default. Set only what should differ.
# Check it with: pbs-filter --config=FILE --check
# A change takes effect when the filter starts again, or, where it says so, on SIGHUP.
"""


def dump(config: Config) -> str:
    """Return each value and its source, as TOML with comments."""
    read = ", ".join(config.files_read) or "none"
    lines = [f"# configuration files: {read}"]
    lines += [
        f"{name} = {toml(value)}  # {config.sources[name]}"
        for name, value in plain_values(config).items()
    ]
    return "\n".join(lines) + "\n"


def dump_json(config: Config) -> str:
    """Return each value and its source, as one line of JSON."""
    options = {
        name: {"value": value, "source": config.sources[name]}
        for name, value in plain_values(config).items()
    }
    return json.dumps({"files": config.files_read, "options": options}) + "\n"


def plain_values(table: Table) -> dict[str, Any]:
    """Return the values of a checked table as TOML and JSON have them, [[tables]] without
    defaults."""
    values = {}
    for name, option in table.options.items():
        value = getattr(table, name)
        if isinstance(table, Config) or value != option.default:
            values[name] = f"{value:04o}" if option.kind is MODE else _plain(value)
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, Table):
        return plain_values(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def toml(value: Any) -> str:
    """Return one value in TOML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    # What JSON writes for a number, true, false and a text is TOML but for one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(text: str) -> str:
    bare = text.isascii() and text.replace("_", "").replace("-", "").isalnum()
    return text if bare else toml(text)


def notes(option: Option) -> list[str]:
    """The sentences about an option's values, its flags, and when a change takes effect."""
    sentences = [option.kind.accepts] if option.kind.accepts else []
    if option.flags:
        sentences.append(f"Command line: {', '.join(option.flags)}")
    if option.reload:
        sentences.append("Read again on SIGHUP.")
    return sentences


def example() -> str:
    """Return `examples/pbs-filter.toml`: every option with its default, as comments to copy
    from."""
    return "\n".join([_HEAD, *(_example(option) for option in OPTIONS.values())])


def _example(option: Option) -> str:
    sentences = "".join(f"\n# {sentence}" for sentence in notes(option))
    text = _comment(option.about) + sentences
    if option.kind.table is None:
        return f"{text}\n#{option.name} = {toml(option.default)}\n"
    keys = [
        _comment(f"{label(key)}: {key.about} {key.kind.accepts}".rstrip(), "  ")
        for key in option.kind.table.options.values()
    ]
    head = f"# Write [[{option.name}]] and its keys at the end of the file, once for each:"
    return "\n".join([text, head, *keys]) + "\n"


def label(key: Option) -> str:
    """Return a key of a table with its default, where that is more than nothing."""
    if key.default in (REQUIRED, None, "", ()):
        return key.name
    return f"{key.name} = {toml(f'{key.default:04o}' if key.kind is MODE else key.default)}"


def _comment(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, 94, initial_indent=f"# {indent}", subsequent_indent=f"# {indent}{indent}"
    )
