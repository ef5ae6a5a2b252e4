"""A process that writes a journal and a map as a filter does, to be killed: `DIRECTORY BATCH`.

It says `started` (and `clean` before that, if it believed the map), waits for a line, and then
works through batches from number BATCH on: `j N` when a batch is in the journal, `m N` when it is
in the map. Journal and map are made anew all the time. SIGTERM: an orderly end.

No pytest here: a life must not be mostly imports.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Iterator

from pbs_filter.map_format.entry import Entry, encode
from pbs_filter.store.gdbm_map import GdbmMap
from pbs_filter.store.journal import Journal

State = dict[str, int]


def value_of(address: str, number: int) -> bytes:
    """A genuine value for `address` with `number` in it."""
    return encode(address, Entry(number, number, 0, 0, 0, "popa3d", "pop3", f"user{number}"))


def address_of(number: int) -> str:
    """One of 16 million sample addresses, of several lengths."""
    if number % 3 == 0:
        return f"2001:db8::{number:x}" if number else "2001:db8::"
    return f"{(192, 198)[number % 2]}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def batch_of(number: int) -> list[tuple[str, int]]:
    """What batch `number` does, in order: (address, its new number; 0: remove it)."""
    chance = random.Random(number)
    size = chance.choice((1, 1, 5, 20, 400))
    return [
        (address_of(chance.randrange(3000)), number * 1000 + i if chance.random() < 0.7 else 0)
        for i in range(1, size + 1)
    ]


def apply(state: State, changes: list[tuple[str, int]]) -> None:
    """Let `state` be what it is after `changes`."""
    for address, number in changes:
        if number:
            state[address] = number
        else:
            state.pop(address, None)


def read_state(payloads: Iterator[str]) -> State:
    """What a journal's payloads mean."""
    state: State = {}
    for payload in payloads:
        address, _, number = payload.partition("=")
        apply(state, [(address, int(number))])
    return state


def entries(state: State) -> dict[str, bytes]:
    """What the map holds for `state`."""
    return {address: value_of(address, number) for address, number in state.items()}


def _say(text: str) -> None:
    os.write(1, text.encode() + b"\n")


def main(directory: str, first: int) -> None:
    """Work until killed."""
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    journal = Journal(f"{directory}/journal")
    state = read_state(journal.replay())
    journal.start()
    address_map = GdbmMap(f"{directory}/map")
    if address_map.was_clean(journal.position):
        _say("clean")
    else:
        address_map.rebuild(entries(state).items())
    _say("started")
    sys.stdin.readline()
    unwritten: list[str] = []
    unmapped: list[str] = []
    number = first
    while not ended:
        changes = batch_of(number)
        apply(state, changes)
        journal.append([f"{address}={n}" for address, n in changes])
        _say(f"j {number}")
        address_map.write({a: value_of(a, state[a]) if a in state else None for a, _ in changes})
        _say(f"m {number}")
        number += 1
        if not journal.rewriting:
            journal.begin_rewrite()
            unwritten = list(state)
        journal.rewrite_step([f"{a}={state[a]}" for a in unwritten[:200] if a in state])
        del unwritten[:200]
        if not unwritten:
            journal.finish_rewrite()
        if not unmapped:
            address_map.begin_rebuild()
            unmapped = list(state)
        address_map.rebuild_step((a, value_of(a, state[a])) for a in unmapped[:200] if a in state)
        del unmapped[:200]
        if not unmapped:
            while not address_map.finish_rebuild():
                pass
    address_map.mark_clean(journal.position)
    address_map.close()
    journal.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
