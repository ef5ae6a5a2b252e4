"""The journeys by hand: `python -m tests.journey [WORD...]`, as root.

Each machine is named `SUITE+FEED+MTA`; without a word all of them are travelled, else those whose
name has one of the words. Debian 12's machines are upgraded to 13 on the way.
"""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
from pathlib import Path

from .journey import build, chosen, travel, why_not


def main(words: list[str]) -> int:
    """Travel; the number of journeys that failed."""
    try:
        kinds = chosen(words)
    except ValueError as error:
        print(error)
        return 2
    if why := why_not():
        print(f"no machine can be booted here: {why}")
        return 1
    failed = []
    with tempfile.TemporaryDirectory() as directory:
        package = build(Path(directory) / "package")
        for kind in kinds:
            place = Path(directory, str(kind))
            place.mkdir()
            try:
                began = time.monotonic()
                travel(kind, package, place, lambda step: print(step, flush=True))
                print(f"{kind} ended well after {time.monotonic() - began:.0f} s")
            except Exception:
                traceback.print_exc()
                failed.append(str(kind))
    print(f"failed: {' '.join(failed)}" if failed else "every journey ended well")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
