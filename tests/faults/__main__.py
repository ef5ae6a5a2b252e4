"""`python -m tests.faults [--long] [NAME...]`: the tests of the promises, all or those named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ALSO_LONG = [HERE.parent / "store" / f"test_{name}.py" for name in ("kills", "crash_states")]
"""What these attack on a larger scale, at the level of single files."""


def main(words: list[str]) -> int:
    """Run; pytest's exit status."""
    long = "--long" in words
    known = sorted(path.stem.removeprefix("test_") for path in HERE.glob("test_*.py"))
    names = [word for word in words if word != "--long"] or known
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; known are --long {' '.join(known)}")
        return 2
    files = [str(HERE / f"test_{name}.py") for name in names]
    environment = dict(os.environ)
    if long:
        environment["PBS_FILTER_LONG_TESTS"] = "1"
        files += map(str, ALSO_LONG)
    command = [sys.executable, "-m", "pytest", "-q", "--durations=5", *files]
    return subprocess.run(command, cwd=HERE.parents[1], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
