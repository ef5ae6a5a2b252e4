"""CPU time of programs: each run on the same input, taking turns, so that a machine with other work
on it is as slow for one as for the other."""

from __future__ import annotations

import contextlib
import ctypes
import os
import statistics
import subprocess
import sys
import sysconfig
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
LIBRARIES = sysconfig.get_path("purelib")
PYTHON = os.path.join(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
"""The distribution's own: a developer's virtual environment starts slower and is larger, by what
its .pth files load."""


def environment(build: Path = ROOT) -> dict[str, str]:
    """The environment of a program of `build`, a directory with `pbs_filter` in it: this checkout,
    a compiled build of it, or an older one."""
    path = os.pathsep.join(dict.fromkeys((str(build), str(ROOT), LIBRARIES)))
    return {**ENVIRONMENT, "PYTHONPATH": path}


class Cost(NamedTuple):
    """What one run took."""

    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int


class Program(NamedTuple):
    """A command and its input."""

    command: Sequence[str]
    input: Path
    build: Path = ROOT

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
                command,
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=environment(self.build),
                cwd=self.build,  # -m looks there first
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


def commit(build: Path = ROOT) -> str:
    """The commit of a checkout, with a "+" where files differ from it; "": it is none."""
    git = ["git", "-C", str(build)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    found = subprocess.run([*git, "rev-parse", "HEAD"], **options, check=False)  # type: ignore[call-overload]
    if found.returncode:
        return ""
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--untracked-files=no"], **options, check=False
    )  # type: ignore[call-overload]
    # The figures themselves are written while this runs.
    names = [line for line in changed.stdout.splitlines() if not line.endswith("results.json")]
    return str(found.stdout.strip() + ("+" if names else ""))


IDLE_SHARE = 0.05
"""The machine is idle if all other programs together take no more of its cores."""


_PR_SET_CHILD_SUBREAPER = 36
"""prctl(2)."""


class Others:
    """What other programs than ours take of the machine while this object lives."""

    def __init__(self) -> None:
        # A filter whose syslog daemon has ended before it becomes our child, and counts as ours.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._began = time.monotonic()
        self._busy = _busy_seconds()
        self._ours = _our_seconds()

    def share(self) -> float:
        """Their part of all cores' time; to be asked while no child of ours runs."""
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        busy = _busy_seconds() - self._busy - (_our_seconds() - self._ours)
        return max(0.0, busy / ((time.monotonic() - self._began) * (os.cpu_count() or 1)))


def _busy_seconds() -> float:
    """Seconds of all cores that were spent in programs and in the kernel for them."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system = map(int, file.readline().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def _our_seconds() -> float:
    """The same of this process and of its children that have ended."""
    return sum(os.times()[:4])
