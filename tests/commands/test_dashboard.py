"""The screens of --watch, for terminals of every size; test_watch.py has a real terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.commands.dashboard import KEPT, Dashboard
from pbs_filter.map_format.entry import Entry
from pbs_filter.terminal import ansi, width

from ..generated.picture import NOW, sample
from ..pipelines import values

GRACE = 1800


def entry(left: int, *, last: int = NOW - 60, **more) -> Entry:
    """An entry with so many seconds left."""
    given = {"sessions": 0, "server": "dovecot", "protocol": "imap", "user": "bob"} | more
    return Entry(NOW + left, NOW - 60, NOW - 60, last, **given)


def drawn(watching: Dashboard, columns: int = 100, rows: int = 30, now: int = NOW) -> list[str]:
    return [ansi(line, colour=False) for line in watching.lines(columns, rows, now)]


def watched(**status) -> Dashboard:
    made = Dashboard("mx1", GRACE)
    made.filter_says({**values(), **status})
    return made


@given(st.integers(1, 200), st.integers(1, 70))
def test_it_fits_any_terminal(columns, rows):
    lines = drawn(sample(), columns, rows)
    assert rows == len(lines), "all that was there before is drawn over"
    assert all(width(line) <= columns for line in lines)


def test_on_a_usual_terminal_everything_is_there():
    lines = drawn(sample(), 80, 24)
    text = "\n".join(lines)
    for words in (
        "pbs-filter  mx1  ",
        "q: quit",
        "lines 1,204,331 per second 122",
        "last line 1 s ago, 0 s late  open sessions 311  store ok",
        "! forged: uid 1000 wrote lines as 'dovecot', refused",
        "logins per minute  now 6, at most 33 in the last hour",
        "may relay  7 addresses, the newest login first",
        "192.0.2.7         29:50  ████████████████",
        "       812  +4       the server refused the login",
    ):
        assert words in text


def test_the_newest_login_stands_first_and_the_ended_are_gone():
    made = watched()
    made.map_says(
        [
            ("192.0.2.1", entry(500, last=NOW - 300)),
            ("192.0.2.2", entry(400, last=NOW - 10)),
            ("192.0.2.3", entry(10, last=NOW - 5)),
            ("192.0.2.4", entry(0)),
        ],
        NOW,
    )
    shown = [line.split()[0] for line in drawn(made) if line.startswith("192.")]
    assert ["192.0.2.3", "192.0.2.2", "192.0.2.1"] == shown
    assert "may relay  3 addresses" in "\n".join(drawn(made))
    later = [line.split()[0] for line in drawn(made, now=NOW + 10) if line.startswith("192.")]
    assert ["192.0.2.2", "192.0.2.1"] == later, "it ended although the map was not read again"


@pytest.mark.parametrize(
    ("bar", "left"),
    [
        ("████████████████", 9999),
        ("████████████████", GRACE),
        ("████████░░░░░░░░", GRACE // 2),
        ("▏░░░░░░░░░░░░░░░", 1),
    ],
)
def test_a_bar_is_the_part_of_the_grace_that_is_left(bar, left):
    made = watched()
    made.map_says([("192.0.2.7", entry(left))], NOW)
    (row,) = (line for line in drawn(made) if line.startswith("192."))
    assert bar == row.split()[2]


def test_only_so_many_addresses_are_remembered_but_all_are_counted():
    made = watched()
    made.map_says(((f"2001:db8::{i:x}", entry(500)) for i in range(KEPT + 100)), NOW)
    assert f"may relay  {KEPT + 100} addresses" in "\n".join(drawn(made))
    assert KEPT == sum(line.startswith("2001:") for line in drawn(made, 100, 2 * KEPT))


def test_refusals_of_the_last_minute_stand_out_and_noise_is_left_out():
    first, second = values(), values()
    first |= {"now": NOW - 30, "reasons": {"refused": {"count": 5, "text": "no password"}}}
    second["reasons"] = {
        "other_program": {"count": 10**6, "text": "another program"},
        "refused": {"count": 7, "text": "no password"},
        "too_many": {"count": 900, "text": "too many"},
        "not_an_address": {"count": 900, "text": "no address"},
    }
    made = Dashboard("mx1", GRACE)
    made.filter_says({**first, "reasons": {**second["reasons"], **first["reasons"]}})
    made.filter_says(second)
    lines = drawn(made)
    at = next(number for number, line in enumerate(lines) if line.startswith("refused"))
    assert [
        "         7  +2       no password",
        "       900           too many",
        "       900           no address",
    ] == lines[at + 1 :]


def test_what_is_a_minute_old_is_no_longer_new():
    made = Dashboard("mx1", GRACE)
    for second in (0, 30, 61):
        made.filter_says({**values(), "now": NOW + second, "lines": second * 100})
    assert "per second 100\n" in "\n".join(drawn(made))
    assert 2 == len(made._samples)


def test_a_filter_that_was_started_anew_counts_anew():
    made = watched(lines=10**6)
    made.filter_says({**values(), "since": NOW, "now": NOW + 1, "lines": 5})
    assert "per second 0\n" in "\n".join(drawn(made))


def test_without_a_filter_the_map_is_still_shown_and_why_is_said():
    made = watched()
    made.map_says([("192.0.2.7", entry(500))], NOW)
    made.filter_away("no filter is running; waiting for one")
    text = "\n".join(drawn(made))
    assert "no filter is running; waiting for one" in text
    assert "192.0.2.7" in text
    assert "refused" not in text
    assert "logins per minute" not in text
    made.filter_says(values())
    assert "waiting" not in "\n".join(drawn(made))


def test_before_anybody_answered_it_says_that_it_asks():
    assert "asking the filter" in "\n".join(drawn(Dashboard("mx1", GRACE)))


def test_a_map_that_cannot_be_read_is_told_and_what_it_said_last_stays():
    made = watched()
    made.map_says([("192.0.2.7", entry(500))], NOW)
    made.map_away("the map is locked")
    text = "\n".join(drawn(made))
    assert "the map is locked" in text
    assert "192.0.2.7" in text


def test_a_map_that_breaks_off_half_way_changes_nothing():
    def broken():
        yield "192.0.2.8", entry(500)
        raise OSError("broken")

    made = watched()
    made.map_says([("192.0.2.7", entry(500))], NOW)
    with pytest.raises(OSError, match="broken"):
        made.map_says(broken(), NOW)
    text = "\n".join(drawn(made))
    assert "may relay  1 address" in text
    assert "192.0.2.8" not in text


def test_trouble_and_silence_are_told():
    made = watched(trouble="the disk is full", last_input=None, lag_seconds=None)
    text = "\n".join(drawn(made))
    assert "last line none yet  open sessions 0  store the disk is full" in text
    assert "none" in text.partition("refused")[2]


def test_a_users_name_does_nothing_to_the_terminal():
    made = watched()
    made.map_says([("192.0.2.7", entry(500, user="\x1b[2J王\u202e", server="a\nb"))], NOW)
    lines = drawn(made)
    assert all(line.isprintable() for line in lines)
    assert any("?[2J王?" in line and "a?b" in line for line in lines)


def test_without_utf_8_it_is_ascii():
    made = Dashboard("mx1", GRACE, plain=True)
    made.filter_says({**values(), "logins_per_minute": [0, 1, 5]})
    made.map_says([("192.0.2.7", entry(GRACE // 2))], NOW)
    lines = drawn(made)
    assert all(line.isascii() for line in lines)
    assert any("########........" in line for line in lines)
    assert "   ##" in lines


@pytest.mark.parametrize(("chart_rows", "rows"), [(1, 23), (3, 24)])
def test_a_low_terminal_has_a_low_chart(chart_rows, rows):
    made = watched(logins_per_minute=[4] * 10)
    assert chart_rows == drawn(made, 80, rows).count("  " + "█" * 10)
