"""System calls of one confirmed line: `python -m tests.bench.system_calls`. Needs root, for strace.

The filter gets one line at a time over a pipe, and the next one after its answer, as from rsyslog.
Two runs of different length are compared, so that what the start costs does not count.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ..real.packages import install
from . import inputs
from .command import options, tell
from .measure import ENVIRONMENT
from .rows import Row

LINES = 2000
SHORT_LINES = 100
_call = re.compile(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+)(?: +\d+)? +([a-z]\w+)$", re.MULTILINE)
WAITING = ("poll", "read", "write")
"""What every confirmed line needs."""
DURABLE = ("pwrite64", "fdatasync")
"""What a login needs besides."""


def counted(lines: Sequence[bytes]) -> dict[str, int]:
    """The number of each system call while `lines` are confirmed, with start and end."""
    with TemporaryDirectory(prefix="pbs-bench-", dir="/dev/shm") as directory:
        counts = f"{directory}/counts"
        command = [
            "strace", "-c", "-U", "time-percent,total-time,avg-time,calls,errors,name",
            "-o", counts, sys.executable, "-m", "pbs_filter", "--config=/dev/null",
            "--confirm=yes", f"--dbfile={directory}/map", f"--logto={directory}/log",
        ]  # fmt: skip
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for line in (b"", *lines):
                process.stdin.write(line)
                process.stdin.flush()
                reply = process.stdout.readline()
                assert reply.lstrip(b".") == b"OK\n", reply
            process.stdin.close()
        text = Path(counts).read_text(encoding="ascii")
    return {name: int(number) for number, name in _call.findall(text) if name != "total"}


def per_line(lines: Sequence[bytes]) -> dict[str, float]:
    """The number of each system call for one more line."""
    half = len(lines) // 2
    counted(lines[:1])  # writes what Python keeps of the modules
    some, all_ = counted(lines[:half]), counted(lines)
    return {
        name: (number - some.get(name, 0)) / (len(lines) - half) for name, number in all_.items()
    }


def rows(number: int) -> list[Row]:
    """The rows; each target is what such a line needs by itself."""
    now = int(time.time())
    login = [inputs.json(inputs.login(i, i % 3000, now)).encode() for i in range(number)]
    nothing = [line.replace(b"Login: user", b"Aborted login: user") for line in login]
    found = []
    for what, lines, needed in (
        ("changes nothing", nothing, WAITING),
        ("is a login", login, (*WAITING, *DURABLE)),
    ):
        calls = per_line(lines)
        total = sum(calls.values())
        found.append(
            Row(f"system calls, a confirmed line that {what}", total, "calls", len(needed))
        )
        # A login's stat looks whether the journal is still in its place. The map is written in the
        # time between two lines.
        others = {name: n for name, n in calls.items() if name not in needed and n >= 0.05}
        worst = ", ".join(f"{name} {n:.2f}" for name, n in sorted(others.items()))
        print(f"  beside {', '.join(needed)}: {worst or 'nothing'}", file=sys.stderr)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status; figures that miss their target are no error."""
    arguments = options("system_calls", __doc__).parse_args(argv)
    install("strace")
    tell(rows(SHORT_LINES if arguments.short else LINES), arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
