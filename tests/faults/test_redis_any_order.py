"""Filters and a Redis that lose, keep, lag and part in any order: the rule of `redis_members`.

The server is a dict here, and time is told, so that thousands of steps take a second; with real
servers the same is in `tests/real/test_redis_members.py`.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

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
from pbs_filter.map_format.entry import Entry, encode
from pbs_filter.map_format.redis_fields import choose, forgetting, is_unheard, sealed
from pbs_filter.map_format.redis_members import RETIRED, SILENT_MS, Mark, Members, decode, spelled
from pbs_filter.map_format.redis_site import FORGOTTEN, MEMBER, ROUGH_SECONDS, Site, Word
from pbs_filter.map_format.redis_site import RETIRED as GONE
from pbs_filter.store import redis_membership
from pbs_filter.store.redis_commands import Seen
from pbs_filter.store.redis_membership import Membership, Predecessor
from pbs_filter.store.redis_queue import SendQueue
from pbs_filter.store.redis_sweep import Sweep

from . import LONG, figure

NAMES = ("a", "b", "c")
ADDRESSES = ("192.0.2.1", "192.0.2.2")
OF_CLONE, STRANGER = "192.0.2.3", "198.51.100.9"
LONGEST = 45_000
HISTORIES = 400


def living(address: str, heard: int) -> bytes:
    """The value of a filter that has heard of a revocation."""
    entry = Entry(9_999_999_999, 0, 0, 0, 0, "dovecot", "imap", "bob")
    return sealed(address.encode(), encode(address, entry), heard)


def next_number(fields: Mapping[str, tuple[int, int]], now: int) -> int:
    """The AT of a revocation, as `commands.forget` has it."""
    return max([now, *(at + 1 for name, (at, _) in fields.items() if name[0] == "!")])


def time_of(now: Any) -> Any:
    """The module `time` with another wall clock."""
    return SimpleNamespace(
        time=now, clock_gettime=time.clock_gettime, CLOCK_BOOTTIME=time.CLOCK_BOOTTIME
    )


class World:
    """The server that lookups ask, and its clock; a `redis_client.Link` for the filters."""

    def __init__(self) -> None:
        self.serial = itertools.count(1)
        self.now_ms = 1_800_000_000_000
        self.marks: dict[str, bytes] = {}
        self.revoked: dict[str, bytes] = {}
        self.addresses: dict[str, dict[str, tuple[int, int]]] = {}
        """The fields of each: last login and AT that the filter had heard of, or AT and UNTIL."""
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

    def note_revocation(self) -> None:
        self.mark("!forgotten", redis_members.revoked(self.now_ms, b"%d" % next(self.serial)))

    def forgotten(self) -> dict[str, bytes]:
        return dict(self.revoked)

    def forget(self, name: str, words: Mapping[str, tuple[int, int]]) -> None:
        for address, (at, until) in words.items():
            self.addresses.setdefault(address, {})[f"!{name}"] = at, until - ROUGH_SECONDS
            self.revoked[address] = b"%d %d" % (at, until)
            self.note_revocation()

    def unlist(self, addresses: list[str]) -> None:
        for address in addresses:
            self.revoked.pop(address, None)

    def for_sweep(self) -> Any:
        """The link of a sweep."""
        slices = iter([list(self.addresses)])
        return SimpleNamespace(addresses=lambda: slices, fields=self.fields, write=self.write)

    def fields(self, addresses: list[str]) -> list[dict[str, bytes]]:
        found = (self.addresses.get(address, {}) for address in addresses)
        return [{name: b"%43d" % at for name, (at, _) in each.items()} for each in found]

    def write(self, name: str, values: Mapping[str, None]) -> None:
        for address in values:
            self.addresses[address].pop(name, None)

    def answer(self, address: str) -> str:
        """What a lookup says."""
        fields = self.addresses.get(address, {})
        values = [
            forgetting(*each) if name[0] == "!" else living(address, each[1])
            for name, each in fields.items()
        ]
        if choose(address.encode(), values, self.now_ms / 1000) is not None:
            return "yes"
        unheard = is_unheard(address.encode(), values, self.now_ms / 1000)
        members = Members(self.marks.values())
        doubt = members.doubt({}, self.replid.encode(), self.now_ms, is_unheard=unheard)
        return "not now" if doubt else "no"


class Login(NamedTuple):
    """A login: its millisecond, and the second that the filter's own clock showed."""

    at: int
    told: int


class Filter:
    """A filter: its journal lasts, its process does not."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.site = Site()
        self.logins: dict[str, Login] = {}
        self.sent: dict[str, Login] = {}
        """Those that came to Redis."""
        self.is_holder = True
        """No other filter has written in its name since it did."""
        self.has_parted = False
        """It has met a living filter of its name and journal."""
        self.ahead_seconds = 0
        """How much its clock is ahead."""
        self.runs = self.reaches = True
        self.is_stuck = False
        """Its loop waits, for a disk that is full, and its thread does not."""
        self.is_retired = False
        self.start()

    def clone(self) -> Filter:
        """Return the filter of a machine that was cloned."""
        other = Filter(self.name)
        for payload in self.site.live_payloads():
            other.site.apply(payload)
        other.logins = dict(self.logins)
        other.ahead_seconds = self.ahead_seconds
        other.is_holder = False
        other.start()
        return other

    def start(self) -> None:
        self.runs = True
        self.queue = SendQueue("redis")
        self.queue.is_new = self.site.name(f"journal-{self.name}")
        self.site.journaled()
        self.queue.instance = self.site.instance
        self.queue.newest_login = max((each.told for each in self.logins.values()), default=0)
        self.queue.tell(self.site.words, {})
        self.membership = Membership(self.queue, self.name, LONGEST)
        self.sweep = Sweep(self.queue, self.name, lambda _sentence: None)
        self.synced = ""

    @property
    def knows_other(self) -> bool:
        """Whether its journal knows another filter of its name, to which that belongs."""
        at, _ = self.site.words.get(MEMBER + self.name, (-1, 0))
        return not self.is_holder and at > self.site.words.get(GONE + self.name, (-1, 0))[0]

    def has_heard(self, address: str, at: int) -> bool:
        """Whether its journal knows that logins from an address were revoked."""
        return self.site.words.get(FORGOTTEN + address, (-1, 0))[0] >= at

    def is_revoked(self, address: str, login: Login, heard: dict[str, Word]) -> bool:
        """Whether somebody else has revoked a login."""
        return login.told - self.ahead_seconds < heard.get(FORGOTTEN + address, (-1, 0))[0] + 1

    def stop(self, world: World) -> None:
        """End in order."""
        link: Any = world
        if self.runs and self.reaches and self.synced:
            self.membership.leave(link)
        self.runs = False

    def set_clock(self, ahead_seconds: int) -> None:
        """Let the clock be so much ahead; what is left stays what it was, and is sent again."""
        step, self.ahead_seconds = ahead_seconds - self.ahead_seconds, ahead_seconds
        for address, login in self.logins.items():
            self.logins[address] = login._replace(told=login.told + step)
        self.synced = ""

    def work(self, world: World) -> bool:
        """What the thread and the loop do in a second; whether Redis has everything."""
        if not (self.runs and self.reaches):
            return False
        link: Any = world
        try:
            server = self.membership.look(link)
        except Predecessor:
            return False
        except StoreBusy:
            self.is_holder = False
            self.has_parted = self.queue.instance != self.site.instance or self.has_parted
            self.site.rename(self.queue.instance)
            self.site.journaled()
            if not self.is_stuck:
                self.hear(world)
            return False
        self.is_retired = False
        if server != self.synced and self.membership.claim(link):
            self.sweep.spare()
        if self.membership.must_gossip:
            self.membership.gossip(link, server)
            world.is_told = True
        if not self.is_stuck:
            self.hear(world)
        elif server != self.synced:
            return False
        for address, login in self.logins.items():
            told = login.told, self.queue.revoked_at(address)
            world.addresses.setdefault(address, {})[self.name] = told
            self.membership.lives_until(login.told + LONGEST)
        self.membership.sign(link, self.membership.millis)
        if server != self.synced:
            self.queue.known = set(self.logins)
            while self.queue.known is not None:
                self.sweep.step(world.for_sweep())
        self.synced = server
        self.sent = dict(self.logins)
        self.is_holder = True
        self.site.journaled()
        return True

    def hear(self, world: World) -> None:
        """Take the words of the others."""
        heard = self.queue.hand_over()
        if not self.queue.heard_at:
            return
        self.site.hear(heard, world.now_ms // 1000)
        for address in [a for a, each in self.logins.items() if self.is_revoked(a, each, heard)]:
            del self.logins[address]
            world.addresses.get(address, {}).pop(self.name, None)
        self.site.journaled()
        self.queue.tell(self.site.news(), {})


WHICH = st.integers(0, len(NAMES) - 1)


class Redis(RuleBasedStateMachine):
    """A site through a history."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.filters = [Filter(name) for name in NAMES]
        self.clone: Filter | None = None
        self.clock = 0
        self.revoked: dict[str, int] = {}
        self.revoked_ms: dict[str, int] = {}
        """When that was."""
        self.old = self.world.data()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(redis_membership, "time", time_of(lambda: self.clock))
        for _ in range(3):
            self.everybody_works()
        self.old = self.world.data()

    def teardown(self) -> None:
        self.patch.undo()

    def everybody(self) -> list[Filter]:
        """Return the filters, and the clone where there is one."""
        return [*self.filters, *([self.clone] if self.clone else [])]

    def everybody_works(self) -> None:
        for one in self.everybody():
            self.work(one)

    def work(self, one: Filter) -> None:
        self.clock = self.world.now_ms // 1000 + one.ahead_seconds
        if not one.work(self.world) or self.clone is None:
            return
        for other in self.everybody():
            if other is not one and other.name == one.name:
                other.is_holder = False
                # What both know is as the holder has it.
                for address in one.logins:
                    other.sent.pop(address, None)

    def data_are_lost(self) -> None:
        """Nobody sends again what a filter sent that has lost its place, or loses it before it has
        sent all again: a clone that has not met it alive may be its next process."""
        for one in self.everybody():
            others = [o for o in self.everybody() if o is not one]
            is_awaited = any(o.name == one.name and o.knows_other for o in others)
            if not (one.is_holder and is_awaited):
                one.sent.clear()

    @rule(name=WHICH)
    def one_works(self, name: int) -> None:
        self.work(self.filters[name])

    @rule(seconds=st.integers(1, 4))
    def seconds_pass(self, seconds: int) -> None:
        for _ in range(seconds):
            self.world.now_ms += 1000
            self.everybody_works()

    @rule(seconds=st.sampled_from((1, 2, 4, 600)))
    def master_hangs(self, seconds: int) -> None:
        self.world.now_ms += seconds * 1000

    @rule(name=WHICH, address=st.sampled_from(ADDRESSES))
    def login(self, name: int, address: str) -> None:
        self.log_in(self.filters[name], address)

    def log_in(self, one: Filter, address: str) -> None:
        if one.runs and not one.is_stuck:
            self.world.now_ms += 1000
            told = self.world.now_ms // 1000 + one.ahead_seconds
            one.logins[address] = Login(self.world.now_ms, told)

    @rule(name=WHICH)
    def kill(self, name: int) -> None:
        self.filters[name].runs = False

    @rule(name=WHICH)
    def stop(self, name: int) -> None:
        self.filters[name].stop(self.world)

    @rule(name=WHICH)
    def start(self, name: int) -> None:
        if not self.filters[name].runs:
            self.filters[name].start()

    @rule(name=WHICH, reaches=st.booleans())
    def cut(self, name: int, reaches: bool) -> None:
        self.filters[name].reaches = reaches

    @rule(name=WHICH, is_stuck=st.booleans())
    def fill_disk(self, name: int, is_stuck: bool) -> None:
        self.filters[name].is_stuck = is_stuck

    @rule(name=WHICH, seconds=st.sampled_from((-300, 0, 86400)))
    def set_clock(self, name: int, seconds: int) -> None:
        self.filters[name].set_clock(seconds)

    @rule(name=WHICH)
    def clone_machine(self, name: int) -> None:
        if self.clone is None and self.filters[name].is_holder:
            self.clone = self.filters[name].clone()

    @rule(reaches=st.booleans(), again=st.booleans())
    def clone_is_in_trouble(self, reaches: bool, again: bool) -> None:
        if self.clone is not None:
            self.clone.reaches = reaches
            if again:
                self.clone.start()

    @rule()
    def login_at_clone(self) -> None:
        # What it takes before it has seen Redis makes its journal newer than another host's logins.
        if self.clone is not None and (self.clone.is_holder or self.clone.has_parted):
            self.log_in(self.clone, OF_CLONE)

    @rule()
    def flush(self) -> None:
        self.world.marks, self.world.revoked, self.world.addresses = {}, {}, {}
        self.data_are_lost()

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
        self.data_are_lost()

    @rule(name=WHICH, address=st.sampled_from(ADDRESSES))
    def forget(self, name: int, address: str) -> None:
        one = self.filters[name]
        if not one.runs or one.is_stuck:
            return
        fields = self.world.addresses.get(address, {}) if one.reaches else {}
        at = next_number(fields, self.world.now_ms // 1000)
        until = at + LONGEST + ROUGH_SECONDS
        one.logins.pop(address, None)
        at = one.site.revoke(address, at, until)
        word = {address: (at, until)}
        one.site.journaled()
        one.queue.tell(one.site.news(), {})
        self.revoked[address] = at
        self.revoked_ms[address] = self.world.now_ms
        if not one.reaches:
            return
        self.world.forget(one.name, word)
        # The command waits.
        while self.world.now_ms < min((at + 2) * 1000, self.revoked_ms[address] + 3000):
            self.seconds_pass(1)

    @rule(name=WHICH, by=WHICH)
    def retire(self, name: int, by: int) -> None:
        gone, one = self.filters[name], self.filters[by]
        mark = decode(self.world.marks.get(gone.name, b""))
        if gone.runs or not (one.runs and one.reaches) or one.is_stuck or mark is None:
            return
        if mark.millis > self.world.now_ms - SILENT_MS:
            return
        word = self.world.now_ms, mark.end + 3600
        one.site.hear({GONE + gone.name: word})
        one.site.journaled()
        one.queue.tell(one.site.news(), {})
        self.world.mark(gone.name, Mark(spelled(gone.name), word[0], mark.end, RETIRED).encode())
        for each in self.everybody():
            if each.name == gone.name:  # also a clone that lives and is cut off
                each.is_retired = True

    @rule()
    def all_is_well_again(self) -> None:
        """All filters run and reach Redis: soon a stranger is told so."""
        if self.clone is not None:
            return
        for one in self.filters:
            one.reaches, one.is_stuck = True, False
            if not one.runs:
                one.start()
        self.seconds_pass(SILENT_MS // 1000 + 3)
        assert self.world.answer(STRANGER) == "no"

    @invariant()
    def promises_hold(self) -> None:
        for address in (*ADDRESSES, OF_CLONE):
            revoked = self.revoked.get(address, -1)
            awaited = [
                one.name
                for one in self.everybody()
                for login in [(one.logins if one.is_holder else one.sent).get(address)]
                if login is not None
                and login.at > self.revoked_ms.get(address, -1)
                and login.at < self.world.now_ms - SILENT_MS
                and not one.is_retired
            ]
            answer = self.world.answer(address)
            assert not (awaited and answer == "no"), f"{address}, known to {awaited}"
            lives = any(
                address in one.logins and one.logins[address].at > self.revoked_ms.get(address, -1)
                for one in self.everybody()
            )
            # A clone, too, may come to an emptied Redis before anybody who knows.
            heard = self.world.is_told and all(
                one.has_heard(address, revoked) for one in self.everybody()
            )
            assert not (heard and answer == "yes" and not lives), f"{address} was revoked"

    @invariant()
    def nobody_is_awaited_for_ever(self) -> None:
        for value in self.world.marks.values():
            mark = decode(value)
            end = self.world.now_ms // 1000 + LONGEST + 3 * ROUGH_SECONDS
            assert mark is None or mark.end <= end, "a wrong clock"


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
    """The short form has the same histories each time: a new finding is for the long one."""
    number = HISTORIES * (50 if LONG else 1)
    histories(number, derandomize=not LONG)
    figure("histories of filters and a Redis with faults in any order", number)


def logs_in_after_a_revocation(site: Redis, ahead_seconds: int) -> None:
    """A login after a revocation counts, whatever its filter's clock shows."""
    address = ADDRESSES[0]
    site.set_clock(0, ahead_seconds)
    for by in (1, 2, 1):
        site.login(0, address)
        site.seconds_pass(3)
        assert site.world.answer(address) == "yes"
        site.forget(by, address)
        site.seconds_pass(1)
        assert site.world.answer(address) == "no"
    site.promises_hold()


def is_revoked_twice(site: Redis, ahead_seconds: int) -> None:
    """The second revocation ends a login that was not in Redis when it was made."""
    address = ADDRESSES[0]
    site.set_clock(0, ahead_seconds)
    site.login(0, address)
    site.seconds_pass(3)
    site.forget(1, address)
    site.seconds_pass(3)
    site.cut(0, False)
    site.login(0, address)
    site.forget(2, address)
    site.promises_hold()
    site.cut(0, True)
    site.seconds_pass(3)
    assert address not in site.filters[0].logins
    assert site.world.answer(address) == "no"
    site.promises_hold()


def cannot_hear_of_a_revocation(site: Redis, ahead_seconds: int) -> None:
    """A filter whose disk is full sends a login that came after a revocation, and does not know of
    that: while it is so, strangers are "not now"."""
    address = ADDRESSES[0]
    site.set_clock(0, ahead_seconds)
    site.seconds_pass(3)
    site.cut(0, False)
    site.forget(1, address)
    site.login(0, address)
    site.fill_disk(0, True)
    site.cut(0, True)
    site.seconds_pass(5)
    assert site.world.answer(address) == "not now"
    site.promises_hold()
    site.fill_disk(0, False)
    site.seconds_pass(3)
    assert site.world.answer(address) == "yes"
    assert site.world.answer(STRANGER) == "no"


def logs_in_while_a_revocation_is_on_its_way(site: Redis, ahead_seconds: int) -> None:
    """A filter hears of a revocation long after Redis was away, and has a later login."""
    address = ADDRESSES[0]
    site.set_clock(0, ahead_seconds)
    site.cut(1, False)
    site.forget(1, address)
    site.login(0, address)
    site.login(2, ADDRESSES[1])
    site.seconds_pass(3)
    site.cut(1, True)
    site.seconds_pass(1)
    assert site.world.answer(address) == "not now"
    site.seconds_pass(1)
    assert site.world.answer(address) == "yes"
    site.promises_hold()


def begins_anew_and_cannot_go_on(site: Redis, ahead_seconds: int) -> None:
    """A filter's clock is set, and its disk is full before it has sent all again."""
    site.set_clock(0, ahead_seconds)
    site.login(0, ADDRESSES[0])
    site.set_clock(0, 86400)
    site.seconds_pass(3)
    site.fill_disk(0, True)
    site.set_clock(0, -300)
    site.seconds_pass(1)
    site.nobody_is_awaited_for_ever()
    site.promises_hold()


def starts_while_its_last_sign_is_on_its_way(site: Redis, ahead_seconds: int) -> None:
    """What a killed filter had sent comes when the next one has looked: no other filter lives."""
    site.set_clock(0, ahead_seconds)
    site.seconds_pass(1)
    site.kill(0)
    site.start(0)
    site.one_works(0)
    late = decode(site.world.marks[NAMES[0]])
    assert late is not None
    late.millis += 1
    site.world.mark(NAMES[0], late.encode())
    site.one_works(0)
    site.restart(empty=True)
    site.seconds_pass(4)
    assert site.world.answer(STRANGER) == "no"


def comes_back_while_its_clone_is_silent(site: Redis, ahead_seconds: int) -> None:
    """Each had the place in turn, and neither has met the other: the logins of both stay."""
    site.set_clock(1, ahead_seconds)
    site.clone_machine(1)
    site.cut(1, False)
    site.seconds_pass(4)
    assert site.clone is not None
    assert site.clone.is_holder
    site.login_at_clone()
    site.one_works(0)
    site.everybody_works()
    site.master_hangs(4)
    site.one_works(0)
    site.cut(1, True)
    site.one_works(1)
    site.seconds_pass(1)
    assert site.world.answer(OF_CLONE) == "yes"
    site.promises_hold()


def keeps_the_place_of_the_first(site: Redis, ahead_seconds: int) -> None:
    """Redis is emptied while the first filter of a name is down: the second does not take it."""
    address = ADDRESSES[0]
    site.set_clock(0, ahead_seconds)
    site.clone_machine(0)
    site.seconds_pass(4)
    site.login(0, address)
    site.seconds_pass(1)
    site.kill(0)
    site.restart(empty=True)
    for _ in range(3):
        site.seconds_pass(4)
        assert site.world.answer(address) == "not now"
        site.clone_is_in_trouble(reaches=True, again=True)
    site.start(0)
    site.seconds_pass(4)
    assert site.world.answer(address) == "yes"
    assert site.world.answer(STRANGER) == "no"
    # A person may give the place away.
    site.kill(0)
    site.restart(empty=True)
    site.seconds_pass(4)
    assert site.world.answer(STRANGER) == "not now"
    site.retire(0, 1)
    site.seconds_pass(4)
    assert site.world.answer(STRANGER) == "no"
    # It is the second's now.
    site.restart(empty=True)
    site.seconds_pass(4)
    assert site.world.answer(STRANGER) == "no"


HISTORIES_TOLD = (
    logs_in_after_a_revocation,
    is_revoked_twice,
    cannot_hear_of_a_revocation,
    logs_in_while_a_revocation_is_on_its_way,
    begins_anew_and_cannot_go_on,
    starts_while_its_last_sign_is_on_its_way,
    comes_back_while_its_clone_is_silent,
    keeps_the_place_of_the_first,
)


@pytest.fixture
def site() -> Iterator[Redis]:
    """The three filters, before anything happens."""
    machine = Redis()
    yield machine
    machine.teardown()


@pytest.mark.parametrize("ahead_seconds", [-300, 0, 86400])
@pytest.mark.parametrize("history", HISTORIES_TOLD)
def test_revocations_go_by_what_filters_know(
    history: Callable[[Redis, int], None], ahead_seconds: int, site: Redis
) -> None:
    history(site, ahead_seconds)


def _believes_whoever_has_sent(patch: pytest.MonkeyPatch) -> None:
    """Signs of life do not matter."""
    patch.setattr(redis_members, "SILENT_MS", 10**12)


def _knows_nobody(patch: pytest.MonkeyPatch) -> None:
    """Members are known to Redis alone."""
    patch.setattr(Membership, "_tell", lambda *_: None)


def _sends_no_revocation(patch: pytest.MonkeyPatch) -> None:
    """What was revoked is sent to no new server, and ends in no other filter."""
    patch.setattr(Filter, "is_revoked", lambda *_: False)
    gossip = Membership.gossip

    def only_hears(self: Membership, link: World, server: str) -> None:
        patched = copy.copy(link)
        patched.forget = lambda *_: None  # type: ignore[method-assign]
        gossip(self, patched, server)  # type: ignore[arg-type]

    patch.setattr(Membership, "gossip", only_hears)


def _numbers_revocations_by_the_clock(patch: pytest.MonkeyPatch) -> None:
    """Two revocations may have one number: a filter hears of no other one after the first."""
    revoke = Site.revoke
    patch.setitem(globals(), "next_number", lambda *_: 1)
    patch.setattr(
        Site, "revoke", lambda self, address, at, until: min(at, revoke(self, address, at, until))
    )


def _signs_before_it_has_heard(patch: pytest.MonkeyPatch) -> None:
    """A sign of life says nothing of the revocations that the journal lacks."""
    patch.setattr(SendQueue, "proven", lambda _self, millis: millis)


def _believes_what_not_all_have_heard(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(redis_members, "HEARD_MS", 0)


def _takes_a_place_that_is_empty(patch: pytest.MonkeyPatch) -> None:
    """The place of another filter of our name is ours as soon as Redis was emptied."""
    patch.setattr(Membership, "_other", lambda *_: None)


def _sends_a_later_login_like_an_earlier_one(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SendQueue, "revoked_at", lambda *_: 0)


@pytest.mark.parametrize(
    ("fault", "history"),
    [
        (_sends_a_later_login_like_an_earlier_one, logs_in_after_a_revocation),
        (_numbers_revocations_by_the_clock, is_revoked_twice),
        (_signs_before_it_has_heard, cannot_hear_of_a_revocation),
        (_believes_what_not_all_have_heard, logs_in_while_a_revocation_is_on_its_way),
        (_takes_a_place_that_is_empty, keeps_the_place_of_the_first),
    ],
)
def test_what_revocations_go_by_is_needed(
    fault: Any,
    history: Callable[[Redis, int], None],
    site: Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        history(site, 0)


@pytest.mark.parametrize(
    "fault",
    [
        _sends_a_later_login_like_an_earlier_one,
        _believes_whoever_has_sent,
        _knows_nobody,
        _sends_no_revocation,
    ],
)
def test_a_fault_of_old_is_found(fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        histories(20 * HISTORIES, phases=[Phase.generate], derandomize=True)
