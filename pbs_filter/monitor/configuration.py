"""The sentence for people about a configuration that the running filter does not have yet. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def not_in_use(values: Mapping[str, Any]) -> str:
    """Return what to say of a configuration that is not in use yet; empty: all of it is.

    `values` are those of `status.collect`, also of an older filter.
    """
    found = values.get("configuration") or {}
    if found.get("error"):
        return f"the running filter cannot read it again: {found['error']}"
    parts = [
        f"{', '.join(names)} (in use after {what})"
        for names, what in (
            (found.get("restart"), "a restart of rsyslog, syslog-ng or pbs-filter-journal"),
            (found.get("reload"), f"kill -HUP {values.get('pid', 'PID')}, or a restart"),
        )
        if names
    ]
    return f"changed since the filter read it: {'; '.join(parts)}" if parts else ""
