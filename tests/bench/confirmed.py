"""`python -m tests.bench.confirmed`: lines a second, each confirmed, over bare pipes.

A line goes into the program, its answer comes out, then the next. In turns with the least program
that does that, and if asked with a compiled build and with an older one.
"""

from __future__ import annotations

import os
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
from .measure import ROOT, environment
from .rows import Row

LEAST = (
    sys.executable,
    "-c",
    r"""
import os
os.write(1, b"OK\n")
while data := os.read(0, 1 << 16):
    os.write(1, b"OK\n" * data.count(b"\n"))
""",
)


class Sizes(NamedTuple):
    """How much is measured."""

    lines: int = 20_000
    repeat: int = 5


SHORT = Sizes(lines=100, repeat=1)


def rate(lines: Sequence[bytes], build: Path | None) -> float:
    """Lines a second through the filter of `build`; None: through the least program."""
    with TemporaryDirectory(prefix="pbs-bench-", dir="/dev/shm") as directory:
        command: Sequence[str] = LEAST
        if build is not None:
            command = (
                sys.executable, "-m", "pbs_filter", "--config=/dev/null", "--confirm=yes",
                f"--dbfile={directory}/map", f"--logto={directory}/log",
            )  # fmt: skip
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(build or ROOT),
            cwd=build,
            bufsize=0,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            into, out = process.stdin.fileno(), process.stdout.fileno()
            _answer(out)  # of the start
            for line in lines[:50]:  # the first of its kind compiles what reads it
                os.write(into, line)
                _answer(out)
            began = time.perf_counter()
            for line in lines:
                os.write(into, line)
                _answer(out)
            taken = time.perf_counter() - began
            process.stdin.close()
            # The end is no part of it, but must be an orderly one.
            if process.wait():
                raise RuntimeError(f"{command}: exit {process.returncode}")
    return len(lines) / taken


def _answer(out: int) -> None:
    """Read one answer; before it a filter that is busy may write dots."""
    answer = os.read(out, 100)
    while not answer.endswith(b"\n"):
        more = os.read(out, 100)
        assert more, f"the program ended after {answer!r}"
        answer += more
    assert answer.lstrip(b".") == b"OK\n", answer


def rows(sizes: Sizes, compiled: Path | None, old: Path | None) -> Iterator[Row]:
    """Each kind of line through each program, in turns."""
    now = int(time.time())
    login = [inputs.json(inputs.login(i, i % 3000, now)).encode() for i in range(sizes.lines)]
    nothing = [line.replace(b"Login: user", b"Aborted login: user") for line in login]
    builds: dict[str, Path | None] = {"the least": None, "this": ROOT}
    if compiled is not None:
        builds["compiled"] = compiled
    if old is not None:
        builds["old"] = old
    for what, lines in (("changes nothing", nothing), ("a login, store on a tmpfs", login)):
        taken: dict[str, list[float]] = {name: [] for name in builds}
        for _ in range(sizes.repeat):
            for name, build in builds.items():
                taken[name].append(rate(lines, build))
        found = {name: statistics.median(rates) for name, rates in taken.items()}
        row = f"confirmed over pipes, {what}"
        for name, value in found.items():
            yield Row(f"{row}: {name}", value, "lines per s", 0)
        for name in ("this", "compiled"):
            if name in found:
                yield Row(
                    f"{row}: {name} / the least", found[name] / found["the least"], "times", 0
                )
                if old is not None:
                    yield Row(f"{row}: {name} / old", found[name] / found["old"], "times", 3, True)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status; figures that miss their target are no error."""
    arguments = options("confirmed", __doc__, builds=True).parse_args(argv)
    sizes = SHORT if arguments.short else Sizes()
    tell(rows(sizes, arguments.compiled, arguments.old), arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
