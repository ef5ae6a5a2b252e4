"""What a journal lost is taken from the map at a start (edge).

`PATH.state` says where the journal was (MARK-BYTES, `Journal.position`) when the map was last
written: the map knows nothing that was told later. So a journal that ends before that place lost
its end, or is an older one that somebody put back; where it was not damaged either, the map knows
no more than it.

**The map was closed in order, later than the journal**: then it is the truth, and the journal's
addresses that it lacks had been ended. **Else** each entry in it was somebody's login and says
itself whether it is whole: what the map has comes to what the journal has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from .. import clock
from ..clock import Clock
from ..errors import StoreBusy, StoreDamaged
from ..map_format.entry import Entry, decode
from ..store.journal_lines import bytes_at
from ..text import counted

if TYPE_CHECKING:
    from ..authorisation.state import State
    from ..store.gdbm_map import GdbmMap
    from ..store.journal import Journal
    from ..store.redis_map import RedisMap


class Salvage(NamedTuple):
    """What a start learned from the map."""

    keys: list[str]
    """Keys of the map of which the journal knew less."""
    is_all: bool
    """The state is exactly the map's now: nothing of the journal counts beside it."""


NOTHING = Salvage([], is_all=False)


def salvage(
    state: State,
    journal: Journal,
    address_map: GdbmMap | RedisMap,
    map_stamp: str,
    journal_step: int,
    clock_: Clock,
    say: Callable[[str], None],
) -> Salvage:
    """Let `state`, which has what was replayed, learn what the map knows beyond the journal.

    Args:
        state: of the filter.
        journal: after `replay`.
        address_map: not written yet by this run.
        map_stamp: `Clock.stamp` of the times in the map; empty where nobody knows it. Then their
            clock is the journal's if that was set back: an end may come early, and never late.
        journal_step: by how much the clock was set since the journal's last word.
        clock_: of the filter.
        say: takes what the operator should know.
    """
    noted = journal.bytes_known
    here = bytes_at(journal.position)
    in_order = address_map.in_order()
    is_shorter = journal.lost_lines or noted > here
    # Where the map does not say its place, the end of a journal may have been cut off unseen; where
    # it was not closed, only the room behind the end tells.
    may_be_shorter = not noted if in_order else journal.may_be_cut
    if not (is_shorter or may_be_shorter) or not address_map.exists():
        return NOTHING
    is_all = in_order and is_shorter and noted >= here and bool(map_stamp)
    step = clock.between(map_stamp, clock_.stamp()) if map_stamp else min(0, journal_step)
    now = clock_.now()
    found: list[str] = []
    try:
        for address, entry in _entries(address_map, step):
            if state.learn(address, entry, now, surely=is_all):
                found.append(address)
    except (StoreBusy, StoreDamaged) as error:
        say(f"{error}; what the journal lost cannot all be looked up there")
        is_all = False
    if is_all:
        gone = state.keep_only(set(found))
        say(
            "the journal ends before the map was closed, or is damaged: what it says is that of "
            f"the map now ({counted(len(found), 'address')}, {gone:,} had been ended)"
        )
    elif found:
        say(f"found in the map what the journal lost: {counted(len(found), 'address')}")
    return Salvage(found, is_all)


def _entries(address_map: GdbmMap | RedisMap, step: int) -> Iterator[tuple[str, Entry]]:
    """Yield the map's whole entries, by a clock that was set by `step`: each address, and behind
    them all the users of those that have several."""
    users = []
    for address, value in address_map.items(whatever=True):
        entry = decode(address, value)
        if entry is None:
            continue
        if step:
            entry = entry.shifted(step)
        if "#" in address:
            users.append((address, entry))
        else:
            yield address, entry
    yield from users
