"""What --explain and --list print, text by text; tests/test_cli.py has the modes themselves."""

from __future__ import annotations

import json

import pytest

from pbs_filter.authorisation.pipeline import Outcome
from pbs_filter.commands import report
from pbs_filter.map_format.entry import Entry
from pbs_filter.model import Reason

from ..authorisation.test_pipeline import NOW, as_json, new
from ..reading import read as read_line
from ..running import login, logout


def told(line: str | bytes, made=None, *, near: bool = False) -> str:
    """The story of one line, read by a new filter."""
    made = made or new(local_networks=["10.0.0.0/8"])
    raw = line.rstrip("\n").encode() if isinstance(line, str) else line
    record = read_line(raw)
    outcome = made.read(record, NOW)
    misses = made.reader.explain(record) if near else ()
    return report.story(1, raw, record, outcome, misses)


def test_a_login_and_its_end():
    made = new()
    story = told(login("192.0.2.7", session="abc"), made)
    assert "  record       program 'dovecot' host 'mx1'\n" in story
    assert "  server       dovecot, rule login\n" in story
    assert "  observation  Accepted(user='bob', address='192.0.2.7', protocol='imap'" in story
    assert story.endswith("  decision     login: 192.0.2.7 may relay\n")
    assert told(logout("abc"), made).endswith("logout: a session of 192.0.2.7 ended\n")


def test_what_decided_is_named():
    assert told(login("10.0.0.1")).endswith(
        "  decision     nothing: may relay anyway (local_networks) (10.0.0.0/8)\n"
    )


def test_what_the_daemon_vouches_for_is_shown():
    assert " uid 12345\n" in told(as_json("words", p="popa3d", uid=12345))


def test_a_near_miss_shows_where_reading_stopped():
    story = told(login("192.0.2.7").replace(", TLS", ", wip=1"), near=True)
    assert "  near miss    dovecot, rule login: read up to '" in story
    assert "stopped at 'wip=1'\n" in story
    assert story.endswith("nothing: no rule reads this line\n")


@pytest.mark.parametrize("line", [b"", b"nonsense", b"\xff\x00\x1b[31m", b"{broken"])
def test_what_is_no_record_is_shown_as_it_came_but_printable(line):
    story = told(line)
    assert "record  " not in story
    assert all(row.isprintable() for row in story.splitlines())


def test_a_login_that_the_policy_refuses_is_a_login_for_programs():
    outcome = Outcome("none", Reason.DENIED_USER, "dovecot", address="192.0.2.7", user="eve")
    assert ("login", Reason.DENIED_USER.value) == (
        report.story_object(7, outcome)["event"],
        report.story_object(7, outcome)["reason"],
    )
    assert None is report.story_object(7, Outcome("login"))["reason"]


ENTRY = Entry(2000, 900, 900, 900, 0, "dovecot", "imap", "王\x1b[2J\u202e")


def test_a_users_name_cannot_move_a_column_or_the_cursor():
    other = ENTRY._replace(user="bob")
    table = report.as_table([("192.0.2.7", ENTRY), ("192.0.2.8", other)], 1000)
    head, first, second = table.splitlines()
    assert "王?[2J?" in first
    assert head.index("PROTO") == second.index("imap") == first.index("imap") + 1, "王 is wide"


@pytest.mark.parametrize(
    ("style", "left"), [("", 300), ("33", 299), ("33", 60), ("31", 59), ("2", 0)]
)
def test_an_end_that_is_near_is_seen_by_its_colour(style, left):
    table = report.as_table([("192.0.2.7", ENTRY)], ENTRY.until - left, colour=True)
    said = report.left(left)
    assert (f"\x1b[{style}m{said}" if style else f"  {said}") in table
    assert "\x1b" not in report.as_table([("192.0.2.7", ENTRY)], 1000)


def test_json_is_one_line_of_ascii_whatever_the_name():
    (found,) = report.as_objects([("192.0.2.7", ENTRY)], 1000)
    line = report.to_json(found)
    assert (1, True) == (line.count("\n"), line.isascii())
    assert ENTRY.user == json.loads(line)["user"]
