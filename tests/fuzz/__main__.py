"""`python -m tests.fuzz`: attack until the time is over, and say how many lines there were."""

from __future__ import annotations

import argparse
import sys

from pbs_filter.servers import SERVERS

from .run import Campaign, run, targets


def main() -> int:
    """Run the campaigns that the command line asks for; 1 if something got through."""
    known = targets(SERVERS)
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together")
    parser.add_argument("--server", action="append", choices=sorted(known), help="only this one")
    options = parser.parse_args()
    names = options.server or sorted(known)
    made = Campaign(SERVERS)
    total = 0
    for name in names:
        try:
            tally = run(made, known[name], options.seconds / len(names))
        except AssertionError as failure:
            print(f"{name}: {failure}", file=sys.stderr)
            return 1
        total += tally.lines
        print(
            f"{name:14}{tally.lines:>12,} lines {tally.texts:>9,} texts {tally.read:>9,} read, "
            f"slowest {tally.slowest_ns / 1000:,.0f} microseconds",
            flush=True,
        )
    print(f"{'all':14}{total:>12,} lines, no canary")
    return 0


if __name__ == "__main__":
    sys.exit(main())
