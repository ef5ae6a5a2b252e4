"""Filters and a Redis that lose, keep, lag and part in any order: the rule of `redis_members`.

The server is a dict here, and time is told, so that thousands of steps take a second; with real
servers the same is in `tests/real/test_redis_members.py`.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from pbs_filter.errors import StoreBusy
from pbs_filter.map_format import redis_members
from pbs_filter.map_format.redis_members import RETIRED, SILENT_MS, Mark, Members, decode, spelled
from pbs_filter.map_format.redis_site import FORGOTTEN, Site
from pbs_filter.map_format.redis_site import RETIRED as GONE
from pbs_filter.store.redis_commands import Seen, stamp
from pbs_filter.store.redis_membership import Membership
from pbs_filter.store.redis_queue import SendQueue

from . import LONG, figure

NAMES = ("a", "b", "c")
ADDRESSES = ("192.0.2.1", "192.0.2.2")
LONGEST = 45_000
HISTORIES = 400


class World:
    """The server that lookups ask, and its clock; a `redis_client.Link` for the filters."""

    def __init__(self) -> None:
        self.serial = itertools.count(1)
        self.now_ms = 1_800_000_000_000
        self.marks: dict[str, bytes] = {}
        self.revoked: dict[str, bytes] = {}
        self.addresses: dict[str, dict[str, int]] = {}
        self.is_told = True
        """A filter has reached this server since it came with older data."""
        self.change_server()

    def change_server(self) -> None:
        self.replid = f"{next(self.serial):040x}"

    def data(self) -> Any:
        return copy.deepcopy((self.marks, self.revoked, self.addresses))

    def see(self) -> Seen:
        return Seen(self.replid, self.now_ms, dict(self.marks))

    def claim(self, field: str, value: bytes) -> None:
        self.marks.setdefault(field, value)

    def mark(self, field: str, value: bytes) -> None:
        self.marks[field] = value

    def forgotten(self) -> dict[str, bytes]:
        return dict(self.revoked)

    def forget(self, name: str, words: Mapping[str, tuple[int, int]]) -> None:
        for address, (at, until) in words.items():
            self.addresses.setdefault(address, {})[f"!{name}"] = at
            self.revoked[address] = b"%d %d" % (at, until)

    def unlist(self, addresses: list[str]) -> None:
        for address in addresses:
            self.revoked.pop(address, None)

    def answer(self, address: str) -> str:
        """What a lookup says."""
        fields = self.addresses.get(address, {})
        revoked = max((at for name, at in fields.items() if name[0] == "!"), default=-1)
        if any(at > revoked for name, at in fields.items() if name[0] != "!"):
            return "yes"
        doubt = Members(self.marks.values()).doubt({}, self.replid.encode(), self.now_ms)
        return "not now" if doubt else "no"


class Filter:
    """A filter: its journal lasts, its process does not."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.site = Site()
        self.logins: dict[str, int] = {}
        """By address, the millisecond of the login."""
        self.runs = self.reaches = True
        self.is_retired = False
        self.start()

    def start(self) -> None:
        self.runs = True
        self.queue = SendQueue("redis")
        self.queue.is_new = self.site.name(f"journal-{self.name}")
        self.site.journaled()
        self.queue.instance = self.site.instance
        self.queue.tell(self.site.words)
        self.membership = Membership(self.queue, self.name, LONGEST)
        self.synced = ""

    def work(self, world: World) -> None:
        """What the thread and the loop do in a second."""
        if not (self.runs and self.reaches):
            return
        try:
            server = self.membership.look(world)  # type: ignore[arg-type]
        except StoreBusy:
            return
        self.is_retired = False
        if server != self.synced:
            self.membership.claim(world)  # type: ignore[arg-type]
        if self.membership.must_gossip:
            self.membership.gossip(world, server)  # type: ignore[arg-type]
            world.is_told = True
        for address, at in self.logins.items():
            world.addresses.setdefault(address, {})[self.name] = at // 1000
        self.membership.sign(world, self.membership.millis)  # type: ignore[arg-type]
        self.synced = server
        with self.queue.changed:
            heard, self.queue.heard = self.queue.heard, {}
        self.site.hear(heard, world.now_ms // 1000)
        self.site.journaled()
        self.queue.tell(self.site.news())


class Redis(RuleBasedStateMachine):
    """A site through a history."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.filters = {name: Filter(name) for name in NAMES}
        self.revoked: dict[str, int] = {}
        self.old = self.world.data()
        for _ in range(3):
            self.everybody_works()
        self.old = self.world.data()

    def everybody_works(self) -> None:
        for one in self.filters.values():
            one.work(self.world)

    @rule(name=st.sampled_from(NAMES))
    def one_works(self, name: str) -> None:
        self.filters[name].work(self.world)

    @rule(seconds=st.integers(1, 4))
    def seconds_pass(self, seconds: int) -> None:
        for _ in range(seconds):
            self.world.now_ms += 1000
            self.everybody_works()

    @rule(seconds=st.sampled_from((1, 2, 4, 600)))
    def master_hangs(self, seconds: int) -> None:
        self.world.now_ms += seconds * 1000

    @rule(name=st.sampled_from(NAMES), address=st.sampled_from(ADDRESSES))
    def login(self, name: str, address: str) -> None:
        one = self.filters[name]
        if one.runs:
            self.world.now_ms += 1000
            one.logins[address] = self.world.now_ms

    @rule(name=st.sampled_from(NAMES))
    def kill(self, name: str) -> None:
        self.filters[name].runs = False

    @rule(name=st.sampled_from(NAMES))
    def start(self, name: str) -> None:
        if not self.filters[name].runs:
            self.filters[name].start()

    @rule(name=st.sampled_from(NAMES), reaches=st.booleans())
    def cut(self, name: str, reaches: bool) -> None:
        self.filters[name].reaches = reaches

    @rule()
    def flush(self) -> None:
        self.world.marks, self.world.revoked, self.world.addresses = {}, {}, {}

    @rule(empty=st.booleans())
    def restart(self, empty: bool) -> None:
        if empty:
            self.flush()
        self.world.change_server()

    @rule()
    def replica_falls_behind(self) -> None:
        self.old = self.world.data()

    @rule()
    def promote(self) -> None:
        self.world.marks, self.world.revoked, self.world.addresses = copy.deepcopy(self.old)
        self.world.change_server()
        self.world.is_told = False

    @rule(name=st.sampled_from(NAMES), address=st.sampled_from(ADDRESSES))
    def forget(self, name: str, address: str) -> None:
        one = self.filters[name]
        if not (one.runs and one.reaches):
            return
        at = self.world.now_ms // 1000
        word = {address: (at, at + LONGEST)}
        one.site.hear({FORGOTTEN + address: word[address]})
        one.site.journaled()
        one.queue.tell(one.site.news())
        self.world.forget(name, word)
        self.world.mark("!forgotten", stamp())
        self.revoked[address] = at

    @rule(name=st.sampled_from(NAMES), by=st.sampled_from(NAMES))
    def retire(self, name: str, by: str) -> None:
        gone, one = self.filters[name], self.filters[by]
        mark = decode(self.world.marks.get(name, b""))
        if gone.runs or not (one.runs and one.reaches) or mark is None:
            return
        if mark.millis > self.world.now_ms - SILENT_MS:
            return
        word = self.world.now_ms, mark.end + 3600
        one.site.hear({GONE + name: word})
        one.site.journaled()
        one.queue.tell(one.site.news())
        self.world.mark(name, Mark(spelled(name), word[0], mark.end, RETIRED).encode())
        gone.is_retired = True

    @invariant()
    def promises_hold(self) -> None:
        for address in ADDRESSES:
            revoked = self.revoked.get(address, -1)
            awaited = [
                one.name
                for one in self.filters.values()
                if address in one.logins
                and one.logins[address] // 1000 > revoked
                and one.logins[address] < self.world.now_ms - SILENT_MS
                and not one.is_retired
            ]
            answer = self.world.answer(address)
            assert not (awaited and answer == "no"), f"{address}, known to {awaited}"
            lives = any(one.logins.get(address, 0) // 1000 > revoked
                        for one in self.filters.values())  # fmt: skip
            heard = self.world.is_told and all(
                one.site.words.get(FORGOTTEN + address, (-1, 0))[0] >= revoked
                for one in self.filters.values()
            )
            assert not (heard and answer == "yes" and not lives), f"{address} was revoked"


def histories(number: int, **more: Any) -> None:
    run_state_machine_as_test(
        Redis,
        settings=settings(
            max_examples=number,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            **more,
        ),
    )


def test_any_faults_of_redis_in_any_order() -> None:
    number = HISTORIES * (50 if LONG else 1)
    histories(number)
    figure("histories of filters and a Redis with faults in any order", number)


def _believes_whoever_has_sent(patch: pytest.MonkeyPatch) -> None:
    """Signs of life do not matter."""
    patch.setattr(redis_members, "SILENT_MS", 10**12)


def _knows_nobody(patch: pytest.MonkeyPatch) -> None:
    """Members are known to Redis alone."""
    patch.setattr(Membership, "_tell", lambda *_: None)


def _sends_no_revocation(patch: pytest.MonkeyPatch) -> None:
    """What was revoked is sent to no new server."""
    gossip = Membership.gossip

    def only_hears(self: Membership, link: World, server: str) -> None:
        patched = copy.copy(link)
        patched.forget = lambda *_: None  # type: ignore[method-assign]
        gossip(self, patched, server)  # type: ignore[arg-type]

    patch.setattr(Membership, "gossip", only_hears)


@pytest.mark.parametrize("fault", [_believes_whoever_has_sent, _knows_nobody, _sends_no_revocation])
def test_a_fault_of_old_is_found(fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        histories(20 * HISTORIES, phases=[Phase.generate])
