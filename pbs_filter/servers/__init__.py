"""The servers that pbs-filter reads: every file of this folder is one. There is no other list."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from ..grammar import Server


def _servers() -> tuple[Server, ...]:
    """Return what the files declare, by the files' names; some declare two."""
    modules = [import_module(f"{__name__}.{name}") for _, name, _ in pkgutil.iter_modules(__path__)]
    return tuple(
        value for module in modules for value in vars(module).values() if isinstance(value, Server)
    )


SERVERS = _servers()
