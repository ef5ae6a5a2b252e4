"""What is made from the code: `python -m tests.generated` writes all of it anew.

`FILES` and `REGIONS` are the list. A new one is a line there, and a function that returns its text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from pbs_filter.service import shipped_servers

from . import kept, options, picture, servers, status

CHECKOUT = Path(__file__).resolve().parents[2]
COMMAND = "python -m tests.generated"

FILES: dict[str, Callable[[], str]] = {
    "examples/watch.svg": picture.picture,
    f"pbs_filter/{shipped_servers.KEPT}": kept.text,
    **options.FILES,
}
"""Path in the checkout -> what makes the whole file."""

REGIONS: dict[tuple[str, str], Callable[[], str]] = {
    ("README.md", "servers"): servers.table,
    ("SECURITY.md", "carriages"): servers.carriages,
    ("rsyslog/pbs-filter.conf", "programs"): servers.rsyslog_of_filter,
    ("rsyslog/client.conf", "programs"): servers.rsyslog,
    ("syslog-ng/pbs-filter/plugin.conf", "programs"): servers.syslog_ng,
    ("examples/grafana/README.md", "metrics"): status.metrics_table,
    ("examples/json.md", "status"): status.names_table,
}
"""Path and name -> what makes the lines between the file's lines with `NAME:begin`, `NAME:end`."""


def replaced(text: str, name: str, lines: str) -> str:
    """Returns `text` with `lines` between its two markers, each of which is a line of its own.

    Raises:
        ValueError: the markers are not there, once each and in this order.
    """
    begin, end = f"{name}:begin", f"{name}:end"
    region = rf"(?ms)^([^\n]*{begin}\b[^\n]*\n).*?^([^\n]*{end}\b)"
    if text.count(begin) != 1 or text.count(end) != 1 or not re.search(region, text):
        raise ValueError(f"needs one line with {begin!r} and, below it, one with {end!r}")
    return re.sub(region, lambda match: f"{match[1]}{lines.rstrip()}\n{match[2]}", text)


def text_of(path: str) -> str:
    """Returns what should stand in the file at `path`."""
    if path in FILES:
        return FILES[path]()
    text = (CHECKOUT / path).read_text(encoding="utf-8")
    for (file, name), make in REGIONS.items():
        if file == path:
            text = replaced(text, name, make())
    return text


def paths() -> list[str]:
    """Returns every file that is made, or has a part that is."""
    return sorted({*FILES, *(path for path, _ in REGIONS)})


def write() -> list[str]:
    """Writes those that are stale, and returns their paths."""
    stale = [path for path in paths() if text_of(path) != _written(path)]
    for path in stale:
        (CHECKOUT / path).write_text(text_of(path), encoding="utf-8")
    return stale


def _written(path: str) -> str:
    try:
        return (CHECKOUT / path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
