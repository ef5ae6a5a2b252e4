"""The filter's log: text, JSON, levels, and the syslog daemon, which nobody waits for."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import pytest

from pbs_filter import log
from pbs_filter.log import SYSLOG, Log

HAPPENED = [
    ("authorised", {"address": "192.0.2.7", "user": 'b"o b', "until": 2_000_000_000, "uid": 0})
]


def test_an_event_is_a_line_of_words_that_no_text_can_break(tmp_path: Path) -> None:
    written = Log(f"{tmp_path}/log")
    written.events(HAPPENED, 0)
    written.events([("refused", {"user": "a=b\x1b[31m\nx", "detail": "plain"})], 0)
    first, second = (tmp_path / "log").read_text().splitlines()
    assert 'authorised address=192.0.2.7 user="b\\"o b" until=2033-05-1' in first
    assert first.endswith(" uid=0")
    assert second.endswith('refused user="a=b\\u001b[31m\\nx" detail=plain')


def test_where_nothing_is_written_each_event_says_so(tmp_path: Path) -> None:
    Log(f"{tmp_path}/log", nowrite=True).events(HAPPENED, 0)
    assert " authorised nowrite=yes address=192.0.2.7 " in (tmp_path / "log").read_text()


def test_json_has_one_object_a_line(tmp_path: Path) -> None:
    written = Log(f"{tmp_path}/log", as_json=True)
    written.events(HAPPENED, 0)
    written.say("a text")
    happened, said = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert ("authorised", 'b"o b', 0) == (happened["event"], happened["user"], happened["uid"])
    assert ("message", "a text") == (said["event"], said["text"])


@pytest.mark.parametrize(("level", "lines"), [("warning", 1), ("info", 2), ("debug", 3)])
def test_the_level_decides_what_is_written(tmp_path: Path, level: str, lines: int) -> None:
    written = Log(f"{tmp_path}/log", level=level)
    written.say("somebody should know")
    written.events(HAPPENED, 0)
    written.debug("a detail")
    assert lines == len((tmp_path / "log").read_text().splitlines())


def test_events_that_were_too_many_are_told_with_their_number(tmp_path: Path) -> None:
    Log(f"{tmp_path}/log").events([], 12)
    assert "12 more events" in (tmp_path / "log").read_text()


def test_the_syslog_daemon_gets_it_and_nobody_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_DEVICE", f"{tmp_path}/dev-log")
    written = Log(SYSLOG)
    written.say("there is no daemon yet")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(f"{tmp_path}/dev-log")
        written.events(HAPPENED, 0)
        data = daemon.recv(4096)
        assert data.startswith(b"<30>pbs-filter[")
        assert b"]: authorised address=192.0.2.7 " in data
        for _ in range(10_000):  # more than the socket takes
            written.say("a flood")
        assert daemon.recv(4096).startswith(b"<28>pbs-filter[")
        written.reopen()
        while b"after" not in daemon.recv(4096):
            written.say("after")
    assert written._syslog is not None
    written._syslog.close()


def test_nobody_waits_for_a_reader_that_takes_no_more() -> None:
    """In a thread: on a fault it would wait for ever."""
    reading, writing = os.pipe()
    before = os.dup(2)
    os.dup2(writing, 2)
    try:
        written = Log()

        def flood() -> None:
            for number in range(1000):
                written.say(f"{number} " + "x" * 100)
            written.events(HAPPENED * 1000, 0)

        flooding = threading.Thread(target=flood, daemon=True)
        flooding.start()
        flooding.join(20)
        was_stuck = flooding.is_alive()
        taken = os.read(reading, 1 << 20)  # lets a thread that is stuck go on, too
        assert not was_stuck
        written.say("one more")
        rest = os.read(reading, 1 << 20).decode()
    finally:
        os.dup2(before, 2)
        for descriptor in (before, reading, writing):
            os.close(descriptor)
    assert b" 17 xxx" in taken
    assert "one more" in rest
    assert "lines of this log were dropped: its reader took no more" in rest
