"""Many living addresses in one process: `python -m tests.bench.living NUMBER`.

Prints JSON: microseconds for a login of one of them, and the bytes of memory an address takes.
"""

from __future__ import annotations

import gc
import json
import random
import statistics
import sys
import time

from . import inputs, stages

BLOCK = 380
"""Lines: the 64 KiB that the feed reads at once."""
TURNS = 130


def resident_bytes() -> int:
    """Memory of this process that is there."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


def living(number: int) -> dict[str, float]:
    """The figures for `number` addresses without open sessions, made by logins."""
    made = stages.new_filter(max_session_seconds=0)
    warm = inputs.text(inputs.logins(1, stages.NOW))
    made.block(warm, stages.NOW)
    gc.collect()
    before = resident_bytes()
    for start in range(0, number, BLOCK):
        events = (
            inputs.login(client, client, stages.NOW)
            for client in range(start, min(start + BLOCK, number))
        )
        made.block(inputs.text(events), stages.NOW)
        made.state.journaled()
        made.ledger.mapped(made.ledger.map_changes())
    gc.collect()
    held = resident_bytes() - before
    gc.freeze()  # as in service, where the collector seldom looks at what lives
    random_ = random.Random(inputs.SEED)
    taken = []
    for turn in range(TURNS):
        now = stages.NOW + 1 + turn
        clients = random_.sample(range(number), BLOCK)
        events = (inputs.login(turn, client, now) for client in clients)
        block = inputs.text(events)
        began = time.process_time()
        made.block(block, now)
        made.state.journal_payloads()
        made.state.journaled()
        made.ledger.mapped(made.ledger.map_changes())
        taken.append((time.process_time() - began) / BLOCK * 1e6)
    return {
        "login_microseconds": statistics.median(taken),
        "bytes_per_address": held / number,
    }


if __name__ == "__main__":
    print(json.dumps(living(int(sys.argv[1]))))
