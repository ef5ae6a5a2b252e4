"""The common part of the benchmarks that are programs of their own (`__main__.MODULES`)."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from .__main__ import add_builds, as_text
from .measure import machine
from .rows import Row, figures


def options(name: str, about: str | None, *, builds: bool = False) -> argparse.ArgumentParser:
    """The options of all; the figures are written where --json says. `builds`: also which other
    builds take turns with this checkout."""
    made = argparse.ArgumentParser(prog=f"python -m tests.bench.{name}", description=about)
    made.add_argument("--short", action="store_true", help="only see that it works")
    made.add_argument("--json", metavar="FILE", type=Path, help="write the figures there")
    if builds:
        add_builds(made)
    return made


def tell(rows: Iterable[Row], path: Path | None) -> None:
    """Print each row as it comes; then write the figures, if `path` says where."""
    found = []
    for row in rows:
        found.append(row)
        print(as_text(row), flush=True)
    if path is not None:
        result = {"machine": machine(), "rows": [figures(row) for row in found]}
        path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
