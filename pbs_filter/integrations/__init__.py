"""One MTA or syslog daemon a module: where it is, what it needs, how it asks.

The folder is the list: every module with an INTEGRATION is one of them.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from .integration import Feed, Integration, Mta

__all__ = ["Feed", "Integration", "Mta", "feeds", "integrations", "mtas"]


@cache
def integrations() -> tuple[Integration, ...]:
    """Return all of them, syslog daemons first, by name."""
    names = [info.name for info in pkgutil.iter_modules(__path__)]
    modules = [importlib.import_module(f".{name}", __name__) for name in names]
    found = [module.INTEGRATION for module in modules if hasattr(module, "INTEGRATION")]
    return tuple(sorted(found, key=lambda each: (isinstance(each, Mta), each.name)))


def feeds() -> dict[str, Feed]:
    """Return the syslog daemons by name."""
    return {each.name: each for each in integrations() if isinstance(each, Feed)}


def mtas() -> dict[str, Mta]:
    """Return the MTAs by name."""
    return {each.name: each for each in integrations() if isinstance(each, Mta)}
