"""`python -m tests.bench`: measure, print the table, write JSON. A full run takes 25 minutes.

With `--old` an older commit takes turns with this checkout, with `--compiled` a compiled build,
which only commit 4a29dbe can make:

    git worktree add DIRECTORY COMMIT
    PBS_FILTER_COMPILE=1 pip install --no-deps --target DIRECTORY .

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
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from . import rows
from .measure import IDLE_SHARE, Others, commit, machine

MODULES = ("confirmed", "starts", "lookups", "system_calls", "transports", "chain")
"""Benchmarks that are programs of their own, with --short and --json as here."""
WITH_DAEMONS = ("system_calls", "transports", "chain")
"""Only for root, who installs and starts real programs; the short form leaves it to its own."""
PARTS = ("programs", "stages", "living", *MODULES)
RESULTS = Path(__file__).parent / "results.json"


def add_builds(parser: argparse.ArgumentParser) -> None:
    """The options for other builds."""
    parser.add_argument(
        "--compiled", metavar="DIRECTORY", type=_build, help="measure this compiled build, too"
    )
    parser.add_argument(
        "--old", metavar="DIRECTORY", type=_build, help="compare with this older checkout"
    )


def _build(text: str) -> Path:
    path = Path(text).resolve()
    if not (path / "pbs_filter/__main__.py").exists():
        raise argparse.ArgumentTypeError(f"{text!r} has no pbs_filter in it")
    return path


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
    add_builds(parser)
    arguments = parser.parse_args(argv)
    sizes = rows.SHORT if arguments.short else rows.FULL
    sizes = sizes._replace(repeat=arguments.repeat or sizes.repeat)
    parts = PARTS
    if arguments.only:
        parts = (arguments.only,)
    elif arguments.short or os.geteuid() != 0:
        parts = tuple(part for part in PARTS if part not in WITH_DAEMONS)
    found: list[rows.Row] = []
    began = time.monotonic()
    others = Others()
    time.sleep(0 if arguments.short else 5)
    before = others.share()
    others = Others()
    result: dict[str, object] = {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit(),
        "old_commit": commit(arguments.old) if arguments.old else None,
        "machine": machine(),
        "others_share_before": round(before, 3),
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
        during = others.share()
        result["others_share"] = round(during, 3)
        result["machine_was_idle"] = max(before, during) < IDLE_SHARE
        result["minutes"] = round((time.monotonic() - began) / 60, 1)
        if path is not None:
            text = json.dumps(result, indent=1, ensure_ascii=False)
            path.write_text(text + "\n", encoding="utf-8")

    if "programs" in parts:
        with TemporaryDirectory(prefix="pbs-bench-") as directory:
            costs = rows.runs(
                Path(directory), sizes, shlex.split(arguments.peer), arguments.compiled
            )
        result["programs"] = {name: cost._asdict() for name, cost in costs.items()}
        show(rows.speed(costs, sizes))
    if "stages" in parts:
        more, result["stages_microseconds"] = rows.stages(sizes, arguments.compiled)
        show(more)
    if "living" in parts:
        show(rows.living(sizes))
    chosen = {"compiled": arguments.compiled, "old": arguments.old}
    builds = [f"--{name}={build}" for name, build in chosen.items() if build]
    for name in MODULES:
        if name in parts:
            with_builds = builds if name == "confirmed" else []
            show(rows.of_module(name, short=arguments.short, more=with_builds))
    return 0


def as_text(row: rows.Row) -> str:
    """One line of the table."""
    verdict = {None: "", True: "met", False: "MISSED"}[row.met]
    target = f"{'>=' if row.at_least else '<='} {row.target:,g}" if row.target else ""
    value = f"{row.value:,.0f}" if row.value >= 1000 else f"{row.value:.3g}"
    return f"{row.what:66} {value:>11} {row.unit:17} {target:>12} {verdict}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
