"""Names of users: one user's spellings, and a site's patterns."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.authorisation.user_names import UserPatterns, user_key


@pytest.mark.parametrize(
    ("expected", "user"),
    [("bob", "BoB"), ("bob", "bob*admin"), ("*admin", "*admin"), ("", ""), ("strasse", "STRAßE")],
)
def test_one_user_has_one_key(expected: str, user: str):
    assert expected == user_key(user)


@pytest.mark.parametrize(
    ("items", "user", "expected"),
    [
        (["demo"], "demo", "demo"),
        (["Demo"], "dEMO", "Demo"),
        (["demo"], "demo2", None),
        (["bob"], "bob*admin", "bob"),
        (["*@Example.org"], "bob@example.ORG", "*@Example.org"),
        (["*@example.org"], "bob@example.org.example.com", None),
        (["*@example.org"], "@example.org", "*@example.org"),
        (["EXAMPLE\\*"], "example\\bob", "EXAMPLE\\*"),
        (["EXAMPLE\\*"], "example", None),
        (["a*b*c"], "a1b2b3c", "a*b*c"),
        (["a*b*c"], "ac", None),
        (["ab*ba"], "aba", None),
        (["*"], "", "*"),
        (["**x**"], "y", None),
        (["**x**"], "axb", "**x**"),
        (["*admin"], "bob*admin", "*admin"),
        (["a?c", "[ab]"], "abc", None),
        ([], "bob", None),
    ],
)
def test_a_list_of_users_means_names_and_patterns(items: list[str], user: str, expected):
    assert expected == UserPatterns(items).find(user)


@given(st.lists(st.text("ab", max_size=2), min_size=1, max_size=4), st.text("ab", max_size=8))
def test_a_pattern_fits_as_a_shells_does(parts: list[str], user: str):
    pattern = "*".join(parts)
    assert fnmatchcase(user, pattern) == (UserPatterns([pattern]).find(user) is not None)
