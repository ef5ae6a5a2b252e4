"""Words and numbers that people type."""

from __future__ import annotations

import pytest

from pbs_filter.text import duration_seconds, nearest


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (0, "0"),
        (90, "90"),
        (90, "90s"),
        (1800, "30m"),
        (5400, "1h30m"),
        (172800, "2d"),
        (604800, "1w"),
        (None, ""),
        (None, "m"),
        (None, "1h30"),
        (None, "-5"),
        (None, "1 h"),
        (None, "1H"),
        (None, "1.5h"),
        (None, "٣"),
        (None, "9" * 19),
    ],
)
def test_a_duration_is_digits_or_numbers_with_units(expected: int | None, text: str):
    assert expected == duration_seconds(text)


@pytest.mark.parametrize(
    ("expected", "word"),
    [
        (" Did you mean 'grace_seconds'?", "grace_second"),
        (" Did you mean 'grace_seconds'?", "grace"),
        ("", "xyzzy"),
        ("", "gr"),
    ],
)
def test_the_nearest_word_is_proposed(expected: str, word: str):
    assert expected == nearest(word, ("grace_seconds", "patience_seconds"))
