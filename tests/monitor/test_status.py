"""The values of --status, for people and for programs."""

from __future__ import annotations

import json
import re
from argparse import Namespace
from datetime import UTC
from pathlib import Path

import pytest

from pbs_filter import __version__
from pbs_filter.authorisation.outcome import Outcome
from pbs_filter.commands import explain, listing, status
from pbs_filter.commands.history import History
from pbs_filter.commands.status import SHOWN, size, text
from pbs_filter.commands.stored import Row
from pbs_filter.config.options import Config
from pbs_filter.map_format.entry import Entry
from pbs_filter.model import Reason
from pbs_filter.monitor.status import FIELDS, collect
from pbs_filter.monitor.warnings import KINDS, Warnings
from pbs_filter.terminal import moment

from ..pipelines import NOW, RUN, as_json, feed, new, values
from ..running import login

STATUS = Path(__file__).resolve().parents[2] / "examples/json.md"


def test_every_name_is_documented_and_every_documented_name_is_there():
    assert list(FIELDS) == sorted(values(), key=list(FIELDS).index)


def test_every_kind_of_warning_is_documented():
    rows = re.findall(r"(?m)^\| `(\w+)` \| a? ?[a-z]", STATUS.read_text(encoding="utf-8"))
    assert set(KINDS) <= set(rows)


def named(title: str) -> set[str]:
    """The names in backticks that a section of the list has."""
    text = STATUS.read_text(encoding="utf-8")
    section = text.partition(f"## `pbs-filter {title}`")[2].partition("\n## ")[0]
    return set(re.findall(r"`([a-z_]+)`", section))


def test_the_names_of_the_other_modes_are_documented():
    entry = Entry(2000, 900, 900, 900, 0, "dovecot", "imap", "bob")
    listed = listing.as_object(Row("192.0.2.7", entry, ("mx1",)), 1000)
    assert set(listed) | {"imap", "manual"} == named("--list --json") - {"pop3"}
    history = History("192.0.2.7")
    history.take(["a\t192.0.2.7\t1800\t0\t0\t0\tdovecot\timap\tbob\tLogin"])
    found = history.as_object()
    assert set(found) | set(found["logins"][0]) == named("--history ADDRESS --json")
    story = explain.story_object(1, Outcome("login"))
    assert set(story) | {"login", "logout", "none"} == named("--explain --json")


def test_a_filter_that_has_seen_nothing_says_so():
    found = values(last_input=0, journal=None)
    assert (None, None, None, 0) == tuple(
        found[name] for name in ("last_input", "lag_seconds", "journal", "lines")
    )
    shown = text(found)
    assert "last line        none yet: does the syslog daemon feed us?\n" in shown
    assert "journal          none: --nowrite\n" in shown
    assert "writes           nothing: --nowrite\n" in shown
    assert "logins           none; 0 in the last hour\n" in shown
    assert "warnings" not in shown


def test_what_happened_is_told_with_an_example_of_each_reason():
    made = feed(
        new(local_networks=["10.0.0.0/8"]),
        login("192.0.2.7").rstrip("\n"),
        login("10.0.0.1").rstrip("\n"),
        "Nov 20 10:00:00 mx1 popa3d[9]: brand new words",
    )
    found = values(made)
    assert {"dovecot": 1} == found["logins"]
    assert [1] == found["logins_per_minute"]
    assert (1, Reason.LOCAL_NETWORK.value) == (
        found["reasons"]["local_network"]["count"],
        found["reasons"]["local_network"]["text"],
    )
    shown = text(found)
    for row in (
        f"running since    {moment(NOW - 3600)}, version {__version__}, pid 4711\n",
        f"last line        {moment(NOW - 2)}, 2 s ago\n",
        "lines            3\n",
        "authorised now   1 address, 0 open sessions, 0 pending\n",
        "store            ok\n",
        "journal          4.0 KiB, position 5f3a9c01-4096\n",
        "logins           dovecot 1; 1 in the last hour\n",
        "           1  may relay anyway (local_networks)\n",
        "              e.g. 'dovecot: imap-login: Login: user=<bob>",
        "           1  popa3d: 'brand new words'\n",
    ):
        assert row in shown


def test_the_lag_behind_the_daemon_is_that_of_the_newest_line():
    made, out = new(), Warnings()
    out.line(as_json("words", t="2027-01-15T07:59:50+00:00"), NOW - 2, 60, UTC)
    found = collect(made, out, RUN, NOW)
    assert (NOW - 10, 8) == (found["newest_stamp"], found["lag_seconds"])
    assert ", 2 s ago, 8 s behind the syslog daemon\n" in text(found)


def test_trouble_with_the_store_is_told():
    found = values(troubles={"journal": "full", "map": "locked"})
    assert "full; locked" == found["trouble"]
    assert "store            full; locked\n" in text(found)


@pytest.mark.parametrize(
    ("expected", "waiting", "away"),
    [
        ("5 addresses to be sent", 5, None),
        (f"nothing is taken since {moment(NOW)}, all of the state to be sent: refused", None, NOW),
    ],
)
def test_a_map_elsewhere_that_is_behind_is_told(expected, waiting, away):
    behind = {"waiting": waiting, "away_since": away, "trouble": "refused"}
    assert f"map              {expected}\n" in text(values(behind=behind))


@pytest.mark.parametrize(
    ("troubles", "trouble", "expected"),
    [({}, None, 0), ({}, "", 0), ({}, "refused", 1), ({"journal": "full"}, None, 1)],
)
def test_a_store_that_takes_nothing_is_seen_by_the_exit_status(
    troubles, trouble, expected, monkeypatch
):
    behind = trouble if trouble is None else {"waiting": 5, "away_since": NOW, "trouble": trouble}
    found = values(troubles=troubles, behind=behind)
    monkeypatch.setattr(status.control, "ask", lambda _path, _request: {"status": found})
    assert expected == status.run(Config(), Namespace(json=True, color=None))


def test_a_warning_stands_there_with_what_to_do():
    made = feed(new(), *(login("192.0.2.7", user=f"u{i}").rstrip("\n") for i in range(9)))
    made.block(as_json(" LOGIN, user=x, ip=[203.0.113.66], port=[1]", uid=12345) + b"\n", NOW)
    found = values(made)
    assert ["crowded", "forged"] == [warned["kind"] for warned in found["warnings"]]
    shown = text(found)
    assert f"warnings\n  {moment(NOW)}  5 users and more logged in from 192.0.2.7" in shown
    assert "\n      if a proxy or webmail host is there, name it in proxy_networks" in shown
    assert "           1  uid 12345 as pop3d\n" in shown
    assert "  192.0.2.7: u0, u1, u2, u3, u4, ...\n" in shown


def test_no_byte_of_a_line_reaches_the_terminal_as_it_is():
    made = feed(new(), "Nov 20 10:00:00 mx1 popa3d[9]: \x1b]0;owned\x07 \u202e")
    shown = text(values(made), colour=False)
    assert "\\x1b]0;owned\\x07" in shown
    assert all(row.isprintable() for row in shown.splitlines())
    assert json.loads(json.dumps(values(made)))


def test_many_of_a_kind_are_counted_not_shown():
    made = new()
    made.counts.forged = {(uid, "pop3d"): 1 for uid in range(SHOWN + 5)}
    shown = text(values(made))
    assert f"uid {SHOWN - 1} as pop3d" in shown
    assert f"uid {SHOWN} as pop3d\n" not in shown
    assert shown.endswith("  and 5 more: see --json\n")


def test_of_a_line_of_the_feed_the_program_and_its_words_are_the_example():
    line = as_json("pop3-login: Disconnected: Inactivity" + " and so on" * 60, p="dovecot:", uid=0)
    made = feed(new(), line.decode())
    assert "e.g. 'dovecot: pop3-login: Disconnected: Inactivity and so on" in text(values(made))


def test_a_reason_may_have_no_example():
    made = new()
    made.counts.lines = 3
    made.counts.add(Reason.TOO_LONG, 3)
    assert text(values(made)).endswith(
        "lines that led to nothing, and why\n           3  line too long\n"
    )


def test_colours_only_when_wanted():
    assert "\x1b[32mok\x1b[0m" in text(values(), colour=True)
    assert "\x1b" not in text(values())


@pytest.mark.parametrize(
    ("expected", "number"), [("5 bytes", 5), ("1.0 KiB", 1024), ("1.5 MiB", 3 << 19)]
)
def test_sizes_for_people(expected, number):
    assert expected == size(number)
