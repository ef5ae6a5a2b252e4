"""The contract of an address map: memory, GDBM and a real Redis alike, held against a dict."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pbs_filter.map_format import redis_url
from pbs_filter.map_format.check import is_intact
from pbs_filter.store.address_map import AddressMap
from pbs_filter.store.gdbm_map import GdbmMap
from pbs_filter.store.memory_map import MemoryMap
from pbs_filter.store.redis_map import RedisMap

from ..real.daemons.redis import RedisServer
from .store_tools import memory_directory
from .store_writer import address_of, value_of


@contextlib.contextmanager
def memory() -> Iterator[Callable[[], AddressMap]]:
    """A map in memory; opened again it is the same object, since nobody else can have it."""
    kept = MemoryMap()
    yield lambda: kept


@contextlib.contextmanager
def gdbm() -> Iterator[Callable[[], AddressMap]]:
    """A map in a file; opened again it is another object on the same file."""
    with memory_directory() as directory:
        yield lambda: GdbmMap(
            str(directory / "map"), genuine=lambda a, v: is_intact(a.encode("ascii", "replace"), v)
        )


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    # Not in pytest's directory, whose name is too long for a socket.
    with tempfile.TemporaryDirectory() as name, RedisServer(Path(name)) as running:
        yield running


PREFIXES = itertools.count()


@contextlib.contextmanager
def redis(server: RedisServer) -> Iterator[Callable[[], RedisMap]]:
    """A map in a Redis, under a prefix of its own; opened again it is a filter started again."""
    opened: list[RedisMap] = []
    location = f"{server.url}?prefix=test{next(PREFIXES)}:"

    def open_map() -> RedisMap:
        for earlier in opened:
            earlier.close()
        made = RedisMap(
            redis_url.parse(location),
            "mx1",
            ends=lambda _value: 4_000_000_000,
            genuine=lambda a, v: is_intact(a.encode("ascii", "replace"), v),
        )
        opened.append(made)
        return made

    try:
        yield open_map
    finally:
        for one in opened:
            one.close()


KINDS = ("gdbm", "memory", "redis")


def factory(
    kind: str, request: pytest.FixtureRequest
) -> contextlib.AbstractContextManager[Callable[[], AddressMap]]:
    if kind == "redis":
        return redis(request.getfixturevalue("server"))
    return memory() if kind == "memory" else gdbm()


@pytest.fixture(params=KINDS)
def open_map(request: pytest.FixtureRequest) -> Iterator[Callable[[], AddressMap]]:
    with factory(request.param, request) as made:
        yield made


@pytest.fixture
def address_map(open_map: Callable[[], AddressMap]) -> AddressMap:
    opened = open_map()
    opened.rebuild([])
    return opened


def test_a_stored_value_is_found_and_a_removed_one_is_not(address_map: AddressMap) -> None:
    address_map.write({"192.0.2.1": value_of("192.0.2.1", 1), "2001:db8::1": b"any bytes"})
    assert address_map.get("192.0.2.1") == value_of("192.0.2.1", 1)
    assert address_map.get("192.0.2.11") is None
    address_map.write({"192.0.2.1": None})
    assert address_map.get("192.0.2.1") is None
    assert address_map.count() == 1


def test_removing_what_is_not_there_changes_nothing(address_map: AddressMap) -> None:
    address_map.write({"192.0.2.1": None})
    address_map.write({})
    assert address_map.count() == 0


def test_the_items_are_those_of_one_moment(address_map: AddressMap) -> None:
    stored = {address_of(i): value_of(address_of(i), i) for i in range(200)}
    address_map.write(dict(stored))
    items = address_map.items()
    first = next(items)
    address_map.write(dict.fromkeys(stored))
    assert dict([first, *items]) == stored
    assert list(address_map.items()) == []


@pytest.mark.parametrize("kind", ["gdbm", "memory"])
def test_a_map_marked_clean_is_believed_for_that_position_alone(
    kind: str, request: pytest.FixtureRequest
) -> None:
    with factory(kind, request) as open_map:
        marked_clean(open_map)


def marked_clean(open_map: Callable[[], AddressMap]) -> None:
    first = open_map()
    assert not first.was_clean("1-1")
    first.rebuild([("192.0.2.1", value_of("192.0.2.1", 1))])
    first.mark_clean("1-1")
    first.close()
    second = open_map()
    assert not second.was_clean("1-2")
    assert second.was_clean("1-1")
    assert second.get("192.0.2.1") == value_of("192.0.2.1", 1)
    second.write({"192.0.2.2": value_of("192.0.2.2", 2)})
    assert not open_map().was_clean("1-1")


def test_a_rebuilt_map_is_not_clean_until_it_is_marked(open_map: Callable[[], AddressMap]) -> None:
    first = open_map()
    first.rebuild([])
    first.mark_clean("1-1")
    first.rebuild([("192.0.2.1", value_of("192.0.2.1", 1))])
    assert not open_map().was_clean("1-1")


def test_a_new_map_that_is_given_up_changes_nothing(address_map: AddressMap) -> None:
    stored = {address_of(i): value_of(address_of(i), i) for i in range(20)}
    address_map.write(dict(stored))
    assert address_map.count() == 20
    address_map.begin_rebuild()
    address_map.rebuild_step(list(stored.items())[:5])
    change = {address_of(3): value_of(address_of(3), 300), address_of(4): None}
    address_map.write(change)
    address_map.abort_rebuild()
    del stored[address_of(4)]
    assert dict(address_map.items()) == stored | {address_of(3): change[address_of(3)]}


def test_a_healthy_map_has_no_damage(address_map: AddressMap) -> None:
    address_map.write({address_of(i): value_of(address_of(i), i) for i in range(500)})
    assert address_map.damaged() is None


NUMBERS = st.integers(0, 40)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.dictionaries(NUMBERS, st.none() | st.integers(0, 9))),
        st.tuples(st.just("rebuild"), st.dictionaries(NUMBERS, st.integers(0, 9))),
        st.tuples(st.sampled_from(["begin", "slice", "finish", "abort", "reopen"]), st.none()),
    ),
    max_size=25,
)


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=80,
    deadline=None,
    # The server is for all examples, each has a prefix of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_whatever_is_done_the_map_holds_what_a_dict_would(
    request: pytest.FixtureRequest,
    kind: str,
    steps: list[tuple[str, dict[int, int | None] | None]],
) -> None:
    with factory(kind, request) as open_map:
        address_map = open_map()
        address_map.rebuild([])
        assert address_map.count() == 0
        expected: dict[str, bytes] = {}
        unsent: list[str] | None = None
        """While a new map is made: the addresses that have not been copied into it."""
        for step, argument in steps:
            if step == "write":
                assert argument is not None
                changes = {
                    address_of(number): None if n is None else value_of(address_of(number), n)
                    for number, n in argument.items()
                }
                address_map.write(changes)
                for address, value in changes.items():
                    expected.pop(address, None)
                    if value is not None:
                        expected[address] = value
            elif step == "rebuild":
                assert argument is not None
                expected = {
                    address_of(number): value_of(address_of(number), n or 0)
                    for number, n in argument.items()
                }
                address_map.rebuild(expected.items())
                unsent = None
            elif step == "begin":
                address_map.begin_rebuild()
                unsent = list(expected)
            elif step == "abort":
                address_map.abort_rebuild()
                unsent = None
            elif step == "reopen":
                address_map.close()
                address_map.abort_rebuild()
                unsent = None
                address_map = open_map()
                if kind != "memory":
                    # Not marked clean: it has everything, and this run cannot know.
                    assert not address_map.was_clean("1-1")
                    address_map.rebuild(expected.items())
            elif unsent is not None:
                part = unsent if step == "finish" else unsent[:3]
                address_map.rebuild_step([(a, expected[a]) for a in part if a in expected])
                unsent = unsent[len(part) :]
                if step == "finish":
                    while not address_map.finish_rebuild():
                        pass
                    unsent = None
            assert dict(address_map.items()) == expected
            assert address_map.count() == len(expected)
            for number in range(41):
                address = address_of(number)
                assert address_map.get(address) == expected.get(address)
        address_map.close()


def test_what_an_interrupted_rebuild_left_is_removed_at_start() -> None:
    with gdbm() as open_map:
        first = open_map()
        first.rebuild([])
        first.mark_clean("1-1")
        second = open_map()
        assert second.was_clean("1-1")
        second.begin_rebuild()
        third = open_map()
        [left_over] = Path(str(third._path)).parent.glob("*.new")  # type: ignore[attr-defined]
        assert third.was_clean("1-1")
        assert not left_over.exists()


def test_memory_never_needs_a_rebuild() -> None:
    assert not MemoryMap().should_rebuild(0)
    assert MemoryMap().damaged() is None
