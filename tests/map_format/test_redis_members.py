"""The rule by which an address that is missing in Redis may be taken for "no"."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.map_format.redis_members import (
    AHEAD_MS,
    HEARD_MS,
    RETIRED,
    SILENT_MS,
    Mark,
    Members,
    decode,
    life_of,
    revoked,
    spelled,
)

ID, OLD_ID = b"a" * 40, b"b" * 40
NOW = 1_000_000
LIFE = b"life L1"


def mark(
    name: bytes = b"pop1",
    *,
    millis: int = NOW,
    end: int = 5000,
    instance: bytes = b"i",
    life: bytes = b"L1",
    servers: tuple[bytes, ...] = (ID,),
) -> bytes:
    return Mark(name, millis, end, instance, b"r", life, servers).encode()


CLAIM = Mark(b"pop2", NOW, 5000).encode()


@pytest.mark.parametrize(
    ("said", "values"),
    [
        ("", [LIFE, mark()]),
        ("", [mark(), LIFE, mark(b"pop2", servers=(OLD_ID, ID))]),
        ("", [LIFE, mark(millis=NOW - SILENT_MS)]),
        ("", [LIFE, mark(millis=NOW + AHEAD_MS)]),
        ("", [LIFE, mark(), b"revoked 1", b"", b"1 x name i r L", b"1 2 3"]),
        ("", [LIFE, mark(), mark(b"pop2", instance=RETIRED, servers=())]),
        ("", [LIFE, mark(), mark(b"pop2", millis=0, end=NOW // 1000, servers=())]),
        ("no filter has sent", []),
        ("no filter has sent", [LIFE]),
        ("no filter has sent", [LIFE, mark(instance=RETIRED)]),
        ("filter pop1 has not sent", [mark()]),
        ("filter pop1 has not sent", [b"life L2", mark()]),
        ("filter pop1 has not sent", [LIFE, mark(servers=(OLD_ID,))]),
        ("--retire pop2)", [LIFE, mark(), CLAIM]),
        ("no sign of life is known", [LIFE, mark(), Mark(b"pop2", 0, 5000).encode()]),
        ("no sign of life of filter pop1: its last", [LIFE, mark(millis=NOW - SILENT_MS - 1)]),
        ("clocks of the Redis hosts disagree", [LIFE, mark(millis=NOW + AHEAD_MS + 1)]),
    ],
)  # fmt: skip
def test_a_miss_is_believed_only_while_every_member_says_that_nothing_is_missing(
    said: str, values: list[bytes]
) -> None:
    found = Members(values).doubt({}, ID, NOW)
    assert said in found
    assert bool(said) == bool(found)


def test_a_member_that_is_known_from_elsewhere_is_awaited_until_nothing_of_it_lives() -> None:
    for values, remembered, said in (
        ([LIFE, mark()], {b"pop1": 9999}, ""),
        ([LIFE, mark()], {b"pop2": NOW // 1000}, ""),
        ([LIFE, mark(), mark(b"pop2", instance=RETIRED)], {b"pop2": 9999}, ""),
        ([LIFE, mark()], {b"pop2": NOW // 1000 + 1}, "filter pop2 has not sent"),
        ([LIFE], {b"pop2": 9999}, "filter pop2 has not sent"),
    ):
        assert said in Members(values).doubt(remembered, ID, NOW)
        assert bool(said) == bool(Members(values).doubt(remembered, ID, NOW))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("", b"revoked"),
        ("", b"revoked x y"),
        ("", b"revoked 1" + b"0" * 15 + b" y"),
        ("", revoked(NOW - HEARD_MS, b"1")),
        ("it was revoked a moment ago", revoked(NOW - HEARD_MS + 1, b"1")),
        ("it was revoked a moment ago", revoked(NOW + 1, b"1")),
    ],
)
def test_a_miss_of_what_was_revoked_is_believed_when_every_filter_has_heard_of_it(
    said: str, told: bytes
) -> None:
    members = Members([LIFE, mark(), told])
    found = members.doubt({}, ID, NOW, is_unheard=True)
    assert said in found
    assert bool(said) == bool(found)
    assert "" == members.doubt({}, ID, NOW)


@given(st.text(), st.integers(0, 10**14), st.integers(0, 10**10), st.lists(st.just(ID), max_size=3))
def test_a_mark_is_read_as_it_was_written(
    name: str, millis: int, end: int, servers: list[bytes]
) -> None:
    found = decode(Mark(spelled(name), millis, end, b"i", b"r", b"L", servers).encode())
    assert found is not None
    assert (spelled(name), millis, end) == (found.name, found.millis, found.end)
    assert (b"i", b"r", b"L", tuple(servers)) == (
        found.instance,
        found.run,
        found.life,
        found.servers,
    )


@given(st.lists(st.binary(max_size=80), max_size=4), st.integers(0, 10**14))
def test_rubbish_is_never_believed(values: list[bytes], now: int) -> None:
    assert Members(values).doubt({}, ID, now)


def test_the_data_have_one_name() -> None:
    assert b"L1" == life_of([b"x", LIFE])
    assert b"" == life_of([b"lifeless", mark()])
