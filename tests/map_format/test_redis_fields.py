"""Several filters' values of one address, and the one that counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.errors import PbsFilterError, StoreBusy, StoreDamaged
from pbs_filter.map_format import check
from pbs_filter.map_format.entry import Entry, encode
from pbs_filter.map_format.redis_fields import choose, last_login

ADDRESS = "192.0.2.7"
KEY = ADDRESS.encode()
NOW = 10_000


def entry(*, until: int = NOW + 100, renewed: int = NOW, last: int = NOW - 50, user: str = "bob",
          address: str = ADDRESS) -> bytes:  # fmt: skip
    return encode(address, Entry(until, renewed, last, last, 0, "dovecot", "imap", user))


LIVING, ENDED = entry(), entry(until=NOW)
DAMAGED = LIVING[:-1] + b"x"
FUTURE = entry(renewed=NOW + 2)
OTHERS = entry(address="192.0.2.8")


def epoch(second: int) -> bytes:
    return b"%010d" % second


@pytest.mark.parametrize(
    ("expected", "values"),
    [
        (None, []),
        (LIVING, [LIVING]),
        (None, [ENDED]),
        (LIVING, [ENDED, LIVING, DAMAGED, FUTURE, OTHERS]),
        (LIVING, [DAMAGED, FUTURE, OTHERS, LIVING, ENDED]),
        (None, [entry(until=NOW, renewed=NOW + 1)]),
    ],
    ids=["none", "one", "ended", "one among others", "the other way round", "ended just now"],
)
def test_any_living_value_is_enough(expected: bytes | None, values: list[bytes]) -> None:
    assert expected == choose(KEY, values, NOW)


def test_the_user_is_the_one_who_logged_in_last_not_the_one_who_is_held() -> None:
    held = entry(until=NOW + 1800, last=NOW - 500, user="bob")
    fresh = entry(until=NOW + 900, last=NOW - 5, user="alice")
    for values in ([held, fresh], [fresh, held]):
        assert fresh == choose(KEY, values, NOW)
    longer = entry(until=NOW + 901, last=NOW - 5, user="carol")
    for values in ([longer, fresh], [fresh, longer]):
        assert longer == choose(KEY, values, NOW)


@pytest.mark.parametrize("values", [[DAMAGED], [ENDED, DAMAGED], [OTHERS], [b""], [FUTURE, b"x"]])
def test_damage_beside_no_living_value_is_told(values: list[bytes]) -> None:
    with pytest.raises(StoreDamaged, match=r"the entry of 192\.0\.2\.7 is damaged"):
        choose(KEY, values, NOW)


def test_a_value_from_a_clock_that_is_ahead_is_no_answer() -> None:
    with pytest.raises(StoreBusy, match="the clocks of the hosts disagree"):
        choose(KEY, [ENDED, FUTURE], NOW)
    assert FUTURE == choose(KEY, [FUTURE], NOW + 1)


@pytest.mark.parametrize(
    ("expected", "forgotten"),
    [(None, NOW - 50), (None, NOW), (LIVING, NOW - 51)],
    ids=["in its second", "later", "before"],
)
def test_who_was_forgotten_must_log_in_again(expected: bytes | None, forgotten: int) -> None:
    for values in ([LIVING, epoch(forgotten)], [epoch(forgotten), epoch(1), LIVING]):
        assert expected == choose(KEY, values, NOW)


def test_a_login_after_the_forgetting_counts_beside_older_ones() -> None:
    again = entry(last=NOW - 1)
    assert again == choose(KEY, [LIVING, epoch(NOW - 50), again], NOW)


def test_a_forgotten_value_from_the_future_is_forgotten() -> None:
    assert choose(KEY, [entry(renewed=NOW + 9, last=NOW - 9), epoch(NOW)], NOW) is None


_SPOILT = st.tuples(st.integers(0, len(LIVING) - 1), st.binary(min_size=1, max_size=3)).map(
    lambda t: (LIVING[: t[0]] + t[1] + LIVING[t[0] + len(t[1]) :])[: len(LIVING)]
)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=200),
            st.sampled_from([LIVING, ENDED, FUTURE, OTHERS]),
            _SPOILT,
            st.integers(0, 2 * NOW).map(epoch),
        ),
        max_size=6,
    )
)
def test_whatever_is_there_nothing_but_a_living_value_is_chosen(values: list[bytes]) -> None:
    try:
        chosen = choose(KEY, values, NOW)
    except PbsFilterError:
        return
    assert chosen is None or (chosen in values and check.is_current(KEY, chosen, NOW))


def test_the_login_of_a_value_is_read_without_its_address() -> None:
    entry = Entry(NOW + 600, NOW, NOW - 50, NOW - 5, 1, "dovecot", "imap", "bob")
    assert NOW - 5 == last_login(encode(KEY.decode(), entry))
    for other in (b"", b"stale", b"x" * 128):
        assert 0 == last_login(other)
