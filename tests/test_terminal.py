"""Text for terminals: nothing of a user's name does more than be shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.terminal import STYLES, Span, ansi, clip, cut, fit, safe, table, wants_colour, width


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("bob", "bob"),
        ("?[31mbob??", "\x1b[31mbob\n\x7f"),
        ("bob?moc", "bob\u202emoc"),
        ("?", "\ud800"),
        ("zoë 王", "zoë 王"),
    ],
)
def test_what_is_not_printable_is_a_question_mark(expected, text):
    assert expected == safe(text)


@pytest.mark.parametrize(
    ("columns", "text"), [(0, ""), (3, "bob"), (3, "zoë"), (3, "zoe\u0308"), (4, "王五"), (2, "Ａ")]
)
def test_wide_characters_take_two_columns_and_accents_none(columns, text):
    assert columns == width(text)


@pytest.mark.parametrize(
    ("expected", "text", "columns"),
    [
        ("bob", "bob", 3),
        ("b…", "bob", 2),
        ("…", "bob", 1),
        ("", "bob", 0),
        ("王…", "王五六", 4),
        ("王五", "王五", 4),
    ],
)
def test_a_text_is_cut_between_characters(expected, text, columns):
    assert expected == cut(text, columns)


@given(st.text(), st.integers(0, 30))
def test_any_text_fits_exactly(text, columns):
    assert columns == width(fit(text, columns))
    assert fit(text, columns).isprintable()


@given(st.lists(st.builds(Span, st.text(), st.sampled_from(sorted(STYLES)))), st.integers(0, 30))
def test_a_clipped_line_is_never_wider(line, columns):
    clipped = clip(line, columns)
    assert width("".join(text for text, _ in clipped)) <= columns
    assert ansi(clipped, colour=False).isprintable()


def test_colours_are_written_only_when_wanted_and_only_ours():
    line = [Span("a\x1b[31m"), Span("b\n", "red"), Span("c")]
    assert "a?[31mb?c" == ansi(line, colour=False)
    assert "a?[31m\x1b[31mb?\x1b[0mc" == ansi(line, colour=True)


def test_columns_of_a_table_are_as_wide_as_their_widest_cell():
    rows = [[Span("A"), Span("B")], [Span("王"), Span("x", "red")], [Span("\n"), Span("yyy")]]
    assert ["A   B", "王  x", "?   yyy"] == [ansi(line, colour=False) for line in table(rows)]


@pytest.mark.parametrize(
    ("expected", "choice", "environ", "is_terminal"),
    [
        (True, "auto", {"TERM": "xterm"}, True),
        (True, "auto", {"TERM": "xterm", "NO_COLOR": ""}, True),
        (False, "auto", {"TERM": "xterm"}, False),
        (False, "auto", {"TERM": "xterm", "NO_COLOR": "1"}, True),
        (False, "auto", {"TERM": "dumb"}, True),
        (False, "auto", {}, True),
        (True, "always", {"NO_COLOR": "1"}, False),
        (False, "never", {"TERM": "xterm"}, True),
    ],
)
def test_colours_are_for_terminals_that_have_them_unless_somebody_said_otherwise(
    expected, choice, environ, is_terminal
):
    assert expected == wants_colour(choice, environ, is_terminal=is_terminal)
