"""`python -m tests.bench.starts`: how long it takes to start, by the clock.

The filter until its first answer, and `--list` and `--status` beside a filter that runs; started
with the distribution's Python, as a package installs them.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from . import inputs
from .command import options, tell
from .measure import PYTHON, environment
from .rows import Row


class Sizes(NamedTuple):
    """How much is measured."""

    starts: int = 5
    commands: int = 25


SHORT = Sizes(starts=1, commands=2)


def rows(sizes: Sizes) -> Iterator[Row]:
    """The rows; a first run of each writes what Python keeps of the modules."""
    taken = [_until_answered(commands=0)[0] for _ in range(sizes.starts + 1)][1:]
    yield Row("start until the first line is answered", statistics.median(taken), "s", 0.12)
    _, commands = _until_answered(sizes.commands)
    for name, seconds in commands.items():
        target = 45 if name.startswith("--") else 0
        yield Row(f"start of {name}", statistics.median(seconds) * 1000, "ms", target)


def _until_answered(commands: int) -> tuple[float, dict[str, list[float]]]:
    """Seconds until a login, the first line, is answered; and of each command so many times."""
    line = inputs.json(inputs.login(1, 1, int(time.time()))).encode()
    with TemporaryDirectory(prefix="pbs-bench-") as name:
        directory = Path(name)
        program = (
            PYTHON, "-m", "pbs_filter", "--config=/dev/null", f"--dbfile={directory}/map",
            f"--logto={directory}/log",
        )  # fmt: skip
        began = time.perf_counter()
        with subprocess.Popen(
            (*program, "--confirm=yes"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(line)
            process.stdin.flush()
            replies = [process.stdout.readline() for _ in range(2)]
            taken = time.perf_counter() - began
            assert [reply.lstrip(b".") for reply in replies] == [b"OK\n", b"OK\n"], replies
            found = _commands(program, commands)
            process.stdin.close()
    return taken, found


def _commands(program: Sequence[str], times: int) -> dict[str, list[float]]:
    """The seconds of each, in turns."""
    commands = {
        "python3 -c pass": (PYTHON, "-c", "pass"),
        "--list": (*program, "--list"),
        "--status": (*program, "--status"),
    }
    found: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(times + 1 if times else 0):
        for name, command in commands.items():
            began = time.perf_counter()
            done = subprocess.run(
                command, env=environment(), capture_output=True, text=True, check=False
            )
            if turn:
                found[name].append(time.perf_counter() - began)
            # --status ends with 1 where something is to be said.
            if done.returncode not in (0, 1):
                raise RuntimeError(f"{command}: exit {done.returncode}\n{done.stderr}")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status; figures that miss their target are no error."""
    arguments = options("starts", __doc__).parse_args(argv)
    tell(rows(SHORT if arguments.short else Sizes()), arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
