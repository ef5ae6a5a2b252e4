"""Several filters' values of one address, and the one that counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.errors import PbsFilterError, StoreBusy, StoreDamaged
from pbs_filter.map_format import check
from pbs_filter.map_format.entry import Entry, encode
from pbs_filter.map_format.redis_fields import choose, forgetting, is_unheard, last_login, sealed

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


def of_old(second: int) -> bytes:
    """A field FORGET of version 0.1.0."""
    return b"%010d" % second


def revoked(at: int, until: int = NOW + 1) -> bytes:
    return forgetting(at, until)


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
def test_what_version_0_1_0_revoked_stays_so(expected: bytes | None, forgotten: int) -> None:
    for values in ([LIVING, of_old(forgotten)], [of_old(forgotten), of_old(1), LIVING]):
        assert expected == choose(KEY, values, NOW)


@pytest.mark.parametrize("last", [NOW - 86400, NOW, NOW + 86400], ids=["behind", "", "ahead"])
def test_an_entry_counts_if_its_filter_had_heard_of_the_revocation(last: int) -> None:
    """Whatever its clock shows."""
    login = entry(last=last)
    for at in (NOW - 99, NOW, NOW + 99):
        for heard, expected in ((0, None), (at - 1, None), (at, login), (at + 1, login)):
            value = sealed(KEY, login, heard)
            for values in ([value, revoked(at)], [revoked(1), revoked(at), value]):
                assert expected == choose(KEY, values, NOW)
            both = choose(KEY, [value, revoked(at), of_old(NOW + 2 * 86400)], NOW)
            assert expected == both, "0.1.0 revoked before"


def test_a_revocation_is_unheard_while_a_filter_has_a_living_entry_from_before() -> None:
    ahead = entry(renewed=NOW + 99, last=NOW + 99)
    ended = entry(until=NOW)
    for expected, values in (
        (True, [LIVING, revoked(NOW)]),
        (True, [ended, revoked(NOW), sealed(KEY, ahead, NOW - 1)]),
        (False, [sealed(KEY, LIVING, NOW), revoked(NOW)]),
        (False, [ended, revoked(NOW), LIVING[:-1] + b"X", b"", b"rubbish"]),
        (False, [LIVING]),
        (False, [LIVING, revoked(NOW, NOW)]),
        (False, []),
    ):
        assert expected == is_unheard(KEY, values, NOW)


def test_a_revocation_means_nothing_when_all_that_it_ended_has_ended() -> None:
    assert choose(KEY, [LIVING, revoked(NOW, NOW + 1)], NOW) is None
    assert LIVING == choose(KEY, [LIVING, revoked(NOW, NOW)], NOW)


def test_a_login_after_the_revocation_counts_beside_older_ones() -> None:
    again = entry(last=NOW - 1)
    values = [LIVING, revoked(NOW - 50), sealed(KEY, again, NOW - 50)]
    assert again == choose(KEY, values, NOW)


def test_a_revoked_value_from_the_future_is_revoked() -> None:
    assert choose(KEY, [entry(renewed=NOW + 9, last=NOW - 9), revoked(NOW)], NOW) is None


@pytest.mark.parametrize("place", range(len(LIVING), len(LIVING) + 20))
def test_a_damaged_word_of_what_was_heard_authorises_nobody(place: int) -> None:
    value = bytearray(sealed(KEY, LIVING, NOW - 1))
    value[place] ^= 1
    if place in (len(LIVING), len(LIVING) + 11):
        return  # the blanks say nothing
    with pytest.raises(StoreDamaged):
        choose(KEY, [bytes(value), revoked(NOW - 1)], NOW)


_SPOILT = st.tuples(st.integers(0, len(LIVING) - 1), st.binary(min_size=1, max_size=3)).map(
    lambda t: (LIVING[: t[0]] + t[1] + LIVING[t[0] + len(t[1]) :])[: len(LIVING)]
)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=200),
            st.sampled_from([LIVING, ENDED, FUTURE, OTHERS]),
            _SPOILT,
            st.integers(0, 2 * NOW).map(of_old),
            st.builds(revoked, st.integers(0, 2 * NOW), st.integers(0, 2 * NOW)),
            st.builds(sealed, st.just(KEY), st.just(LIVING), st.integers(0, 2 * NOW)),
        ),
        max_size=6,
    )
)
def test_whatever_is_there_nothing_but_a_living_value_is_chosen(values: list[bytes]) -> None:
    try:
        chosen = choose(KEY, values, NOW)
    except PbsFilterError:
        return
    assert chosen is None or check.is_current(KEY, chosen, NOW)
    assert chosen is None or any(value.startswith(chosen) for value in values)


def test_the_login_of_a_value_is_read_without_its_address() -> None:
    entry = Entry(NOW + 600, NOW, NOW - 50, NOW - 5, 1, "dovecot", "imap", "bob")
    assert NOW - 5 == last_login(encode(KEY.decode(), entry))
    for other in (b"", b"stale", b"x" * 128):
        assert 0 == last_login(other)
