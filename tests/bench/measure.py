"""CPU time of programs: each run on the same input, taking turns, so that a machine with other work
on it is as slow for one as for the other."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_bytecode = TemporaryDirectory(prefix="pbs-bench-")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": _bytecode.name}
"""As an installed program starts: compiled before, by the first of the runs."""
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)
MAP = "{map}"
"""Stands in a command for a path in a directory of its own, new for each run."""
LINES = "{input}"
"""Stands in a command for the input's path; a command without it reads stdin."""


class Cost(NamedTuple):
    """What one run took."""

    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int


class Program(NamedTuple):
    """A command and its input."""

    command: Sequence[str]
    input: Path

    def run(self, directory: Path | None = None) -> Cost:
        """Run it once; `directory` is where the map goes, if not into a new one."""
        if directory is None:
            with TemporaryDirectory(prefix="pbs-bench-") as name:
                return self.run(Path(name))
        words = {MAP: str(directory / "map"), LINES: str(self.input)}
        command = list(self.command)
        for word, value in words.items():
            command = [part.replace(word, value) for part in command]
        began = time.monotonic()
        with self.input.open("rb") as stdin, (directory / "errors").open("w+b") as errors:
            process = subprocess.Popen(
                command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=errors, env=ENVIRONMENT
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                errors.seek(0)
                complaint = errors.read().decode(errors="replace")
                raise RuntimeError(f"{command}: exit {process.returncode}\n{complaint}")
        wall = time.monotonic() - began
        return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024)


def take_turns(programs: Mapping[str, Program], repeat: int) -> dict[str, Cost]:
    """The medians of `repeat` runs of each."""
    taken: dict[str, list[Cost]] = {name: [] for name in programs}
    for turn in range(repeat):
        for name, program in programs.items():
            taken[name].append(program.run())
            print(f"\r\x1b[K{turn + 1}/{repeat} {name}", end="", file=sys.stderr, flush=True)
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return {name: _median(costs) for name, costs in taken.items()}


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(
        statistics.median(cost.cpu_seconds for cost in costs),
        statistics.median(cost.wall_seconds for cost in costs),
        max(cost.peak_bytes for cost in costs),
    )


def machine() -> dict[str, object]:
    """What the figures were taken on. No names, no paths."""
    model = ""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "python": sys.version.split()[0],
        "kernel": os.uname().release.partition("-")[0],
    }
