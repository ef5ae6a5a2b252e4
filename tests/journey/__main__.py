"""The journeys by hand: `python -m tests.journey [WORD...]`, as root.

Each machine is named `SUITE+FEED+MTA`; without a word all of them are travelled, else those whose
name has one of the words. Debian 12's machines are upgraded to 13 on the way.
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from pathlib import Path

from .journey import ALL, build, travel, why_not


def main(words: list[str]) -> int:
    """Travel; the number of journeys that failed."""
    known = [str(kind) for kind in ALL]
    if strange := [word for word in words if not any(word in name for name in known)]:
        print(f"no journey is named {strange[0]!r}; there are: {' '.join(known)}")
        return 2
    if why := why_not():
        print(f"no machine can be booted here: {why}")
        return 1
    failed = []
    with tempfile.TemporaryDirectory() as directory:
        package = build(Path(directory) / "package")
        for kind in ALL:
            if words and not any(word in str(kind) for word in words):
                continue
            place = Path(directory, str(kind))
            place.mkdir()
            try:
                travel(
                    kind, package, place, lambda step: print(step, flush=True),
                    debian=kind.suite == "bookworm",
                )  # fmt: skip
            except Exception:
                traceback.print_exc()
                failed.append(str(kind))
    print(f"failed: {' '.join(failed)}" if failed else "every journey ended well")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
