"""Words and numbers that people type."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import pbs_filter
from pbs_filter.text import counted, duration_seconds, nearest, waited


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


@pytest.mark.parametrize(
    ("expected", "number", "noun"),
    [
        ("0 addresses", 0, "address"),
        ("1 address", 1, "address"),
        ("2 addresses", 2, "address"),
        ("1,200 times", 1200, "time"),
        ("1 damaged entry", 1, "damaged entry"),
        ("-2 entries", -2, "entry"),
        ("3 days", 3, "day"),
    ],
)
def test_a_number_with_its_noun(expected, number, noun):
    assert expected == counted(number, noun)


@pytest.mark.parametrize(
    ("expected", "seconds"),
    [("1 second", 1.2), ("60 seconds", 60), ("90 seconds", 90), ("10 minutes", 600)],
)
def test_a_time_to_wait(expected, seconds):
    assert expected == waited(seconds)


NOUN = re.compile(
    r" (?:more |open )?(?:addresse|byte|change|character|command|count|day|device|entrie|"
    r"event|hour|line|login|minute|name|replica|rule|sample|second|session|source|time|user)s\b"
)
LIMIT = re.compile(r"[A-Z_]+|int\(length\)|limit|length|most|seconds")
"""Values of texts about limits, which are never 1."""


def test_one_function_writes_numbers_with_their_nouns():
    wrong = []
    for path in sorted(Path(pbs_filter.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.JoinedStr):
                continue
            for value, text in zip(node.values, node.values[1:], strict=False):
                if (
                    isinstance(value, ast.FormattedValue)
                    and value.conversion == -1
                    and isinstance(text, ast.Constant)
                    and NOUN.match(str(text.value))
                    and not LIMIT.fullmatch(ast.unparse(value.value))
                ):
                    place = f"{path.name}:{node.lineno}"
                    wrong.append(f"{place}: {ast.unparse(value.value)}{text.value!r}")
    assert [] == wrong
