"""`python -m tests.bench`: measure, print the table, write JSON.

pop-before-smtp itself is not here: its rows compare shares of the bare loop's speed, which was
measured beside it once (`rows`). With `--peer` another program is timed on the same input, in
turns with ours.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from . import rows
from .measure import machine

MODULES = ("lookups", "system_calls", "transports", "chain")
"""Benchmarks that are programs of their own, with --short and --json as here."""
WITH_DAEMONS = ("system_calls", "transports", "chain")
"""Only for root, who installs and starts real programs; the short form leaves it to its own."""
PARTS = ("programs", "stages", "living", *MODULES)
RESULTS = Path(__file__).parent / "results.json"


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status; figures that miss their target are no error."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="only see that it works")
    parser.add_argument(
        "--peer", metavar="COMMAND", default="",
        help="time this too: it reads the log on stdin, or {input} in it is the log's path",
    )  # fmt: skip
    parser.add_argument("--json", metavar="FILE", type=Path, help="default: results.json beside")
    parser.add_argument("--only", choices=PARTS, help="a part; writes JSON only if asked")
    parser.add_argument("--repeat", type=int, metavar="N", help="runs of each (default: 5)")
    arguments = parser.parse_args(argv)
    sizes = rows.SHORT if arguments.short else rows.FULL
    sizes = sizes._replace(repeat=arguments.repeat or sizes.repeat)
    parts = PARTS
    if arguments.only:
        parts = (arguments.only,)
    elif arguments.short or os.geteuid() != 0:
        parts = tuple(part for part in PARTS if part not in WITH_DAEMONS)
    found: list[rows.Row] = []
    result: dict[str, object] = {
        "machine": machine(),
        "lines": sizes.lines,
        "repeat": sizes.repeat,
    }

    path = arguments.json
    if path is None and not arguments.short and arguments.only is None:
        path = RESULTS

    def show(more: Iterable[rows.Row]) -> None:
        for row in more:
            found.append(row)
            print(as_text(row), flush=True)
        result["rows"] = [rows.figures(row) for row in found]
        if path is not None:
            text = json.dumps(result, indent=1, ensure_ascii=False)
            path.write_text(text + "\n", encoding="utf-8")

    if "programs" in parts:
        with TemporaryDirectory(prefix="pbs-bench-") as directory:
            costs = rows.runs(Path(directory), sizes, shlex.split(arguments.peer))
        result["programs"] = {name: cost._asdict() for name, cost in costs.items()}
        show(rows.speed(costs, sizes))
        show(rows.first_line(sizes))
    if "stages" in parts:
        more, result["stages_microseconds"] = rows.stages(sizes)
        show(more)
    if "living" in parts:
        show(rows.living(sizes))
    for name in MODULES:
        if name in parts:
            show(rows.of_module(name, short=arguments.short))
    return 0


def as_text(row: rows.Row) -> str:
    """One line of the table."""
    verdict = {None: "", True: "met", False: "MISSED"}[row.met]
    target = f"{'>=' if row.at_least else '<='} {row.target:,g}" if row.target else ""
    value = f"{row.value:,.0f}" if row.value >= 1000 else f"{row.value:.3g}"
    return f"{row.what:55} {value:>11} {row.unit:17} {target:>12} {verdict}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
