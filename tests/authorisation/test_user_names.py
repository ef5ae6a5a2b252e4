"""Names of users: one user's spellings, and a site's patterns."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.authorisation.user_names import UserPatterns, folded, user_key


@pytest.mark.parametrize(
    ("expected", "user"),
    [
        ("bob", "BoB"),
        ("bob", "bob*admin"),
        ("*admin", "*admin"),
        ("", ""),
        ("strasse", "STRAßE"),
        ("bob", "bób"),
        ("bob", "bo\u0301b"),
        ("bob", "\uff22\uff2f\uff22"),
        ("bob", " bob  "),
        ("bob@example.org", "bob@example.org."),
        ("kate", "\u212aate"),
        ("ivan", "İvan"),
        (" ", " "),
        ("bob", "bob+INBOX.a"),
        ("bob@example.org", "bob@example.org+a b"),
        ("bob@example.org", "Bob+a@example.org"),
        ("bob", "bob+a*admin"),
        ("+a", "+A"),
        ("+49301234@example.org", "+49301234@Example.org"),
        ("+49301234@example.org", "+49301234+INBOX.a@example.org+b"),
        ("+49301234@example.org", " +49301234@example.org"),
        ("++a@example.org", "++A@example.org"),
    ],
)
def test_one_user_has_one_key(expected: str, user: str):
    assert expected == user_key(user)


@given(st.text(alphabet="a9A@._-* é", max_size=6))
def test_a_name_that_is_its_own_key_is_read_as_others_are(user: str):
    general = folded(folded(user).partition("*")[0]).lstrip(" ").rstrip(" .")
    assert (general or user.casefold()) == user_key(user)


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


@pytest.mark.parametrize("user", ["bob+x", "BOB+x*admin", "bob", "bob+"])
def test_a_folder_of_the_clients_choice_makes_no_other_user(user: str):
    assert "bob" == UserPatterns(["bob"]).find(user)
    assert "bob+x" == UserPatterns(["bob+x"]).find("BOB+x*admin")
    assert "*+x" == UserPatterns(["*+x"]).find("bob+x*admin")


@pytest.mark.parametrize("user", ["bób", "BÓB*admin", "bob ", "\uff42ob", "bob.", "bo\u0301b*x"])
def test_another_spelling_is_denied_and_is_not_allowed(user: str):
    assert UserPatterns(["bob"]).find(user) == "bob"
    assert UserPatterns(["bób"]).find(user) == "bób"
    assert UserPatterns(["bob"], exact=True).find(user) is None
    assert UserPatterns(["*@example.org"]).find(f"{user}@example.org.") == "*@example.org"


def test_an_exact_list_takes_capitals_and_master_users_all_the_same():
    assert UserPatterns(["bob"], exact=True).find("BOB*admin") == "bob"
    assert UserPatterns(["*admin"], exact=True).find("bob*admin") == "*admin"


@given(st.lists(st.text("ab", max_size=2), min_size=1, max_size=4), st.text("ab", max_size=8))
def test_a_pattern_fits_as_a_shells_does(parts: list[str], user: str):
    pattern = "*".join(parts)
    assert fnmatchcase(user, pattern) == (UserPatterns([pattern]).find(user) is not None)
