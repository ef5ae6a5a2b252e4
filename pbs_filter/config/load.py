"""The configuration: texts of files and the command line to a frozen `Config`. Pure.

The later wins: defaults, the files in their order (see `files`), the command line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError, UsageError
from .declare import checked
from .options import OPTIONS, Config
from .tables import HOLDS_NETWORKS


def build(files: Mapping[str, str], command_line: Mapping[str, Any] | None = None) -> Config:
    """Return the configuration that these texts make.

    Args:
        files: each file's text by its name; a later file replaces what an earlier one says, adds
            its [[tables]] to the earlier ones, and its keys to a table like trusted_accounts.
        command_line: a text or a TOML value by the option's name.

    Raises:
        ConfigError: file, key, value, and what is valid.
        UsageError: the same of the command line.
    """
    values: dict[str, Any] = {}
    sources = dict.fromkeys(OPTIONS, "default")
    for file, text in files.items():
        table = _parsed(text, file)
        if isinstance(table.get("group"), list):  # the account's group is a text
            table["groups"] = [*table.pop("group"), *table.get("groups", [])]
        for name, value in checked(Config, table, file).items():
            before = values.get(name)
            if before and isinstance(value, dict):
                value = {**before, **value}
            elif before and OPTIONS[name].kind.table:
                value = (*before, *value)
            else:
                before = None
            values[name] = value
            sources[name] = f"{sources[name]}, {file}" if before else file
    for name, value in (command_line or {}).items():
        option = OPTIONS[name]
        try:
            given = option.kind.parse(value) if isinstance(value, str) else value
            values[name] = option.kind.check(given)
        except ConfigError as error:
            raise UsageError(f"{option.flags[0]}: {error}") from None
        sources[name] = "command line"
    config = Config(**values, sources=sources, files_read=tuple(files))
    _check_exports(config)
    return config


def _check_exports(config: Config) -> None:
    """Refuse an export that would leave out every IPv6 client."""
    for export in config.export:
        if config.ipv6_prefix < 128 and export.format != HOLDS_NETWORKS:
            raise ConfigError(
                f"{config.sources['export']}: [[export]] to {export.path!r}: format = "
                f"{export.format!r} cannot hold the networks that ipv6_prefix = "
                f"{config.ipv6_prefix} makes; write {HOLDS_NETWORKS}, or leave ipv6_prefix away"
            )


def _parsed(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"at line (\d+)", str(error))
        lines = text.splitlines() or [""]
        line = lines[min(int(match[1]), len(lines)) - 1 if match else -1]
        raise ConfigError(
            f"{file}: not TOML: {error}: {line!r}; write KEY = VALUE, and a text in quotes: "
            'user = "mail"'
        ) from None
