"""A dict in parts behaves like a dict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.authorisation.shards import PART, Shards

MOST = 4 * PART
KEYS = st.text("abc", max_size=3)


@given(st.lists(st.tuples(st.sampled_from(["set", "delete", "pop"]), KEYS, st.integers())))
def test_whatever_is_done_it_holds_what_a_dict_would(steps: list[tuple[str, str, int]]) -> None:
    shards: Shards[str, int] = Shards(3 * PART)
    model: dict[str, int] = {}
    for what, key, value in steps:
        if what == "set":
            shards[key] = model[key] = value
        elif what == "pop":
            assert model.pop(key, None) == shards.pop(key, None)
        elif key in model:
            del shards[key], model[key]
        else:
            with pytest.raises(KeyError):
                del shards[key]
        assert model.get(key) == shards.get(key)
        assert (key in model) == (key in shards)
        assert len(model) == len(shards)
    assert model == shards
    assert sorted(model) == sorted(shards)
    assert sorted(model.items()) == sorted(shards.items())
    assert sorted(model) == sorted(shards.snapshot())


def test_a_snapshot_bears_that_its_keys_go() -> None:
    shards: Shards[str, None] = Shards(MOST)
    for number in range(MOST):
        shards[str(number)] = None
    for key in shards.snapshot():
        del shards[key]
    assert 0 == len(shards)


def test_entries_are_spread() -> None:
    shards: Shards[str, None] = Shards(MOST)
    for number in range(MOST):
        shards[f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"] = None
    assert 4 == len(shards.parts)
    assert max(map(len, shards.parts)) < shards.share * 1.1


@pytest.mark.parametrize("most", [0, 1, 2, PART - 1, PART, 3 * PART + 1, 2_000_000])
def test_the_shares_are_what_it_may_have(most: int) -> None:
    shards: Shards[str, None] = Shards(most)
    assert most <= shards.share * len(shards.parts) < most + len(shards.parts)
