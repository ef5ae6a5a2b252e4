"""While there is no feed, the daemon's lines are refused, so that none is taken and lost."""

from __future__ import annotations

import os
import select

import pytest

from pbs_filter.service import waiting
from pbs_filter.service.waiting import Waiting


class Daemon:
    """The other ends of a filter's stdin and stdout."""

    def __init__(self, *, confirm: bool = True, greet: bool = False) -> None:
        stdin, self.to_filter = os.pipe()
        self.from_filter, stdout = os.pipe()
        self.waiting = Waiting(confirm=confirm, greet=greet, stdin=stdin, stdout=stdout)

    def send(self, data: bytes) -> None:
        os.write(self.to_filter, data)

    def heard(self) -> bytes:
        if not select.select([self.from_filter], [], [], 0)[0]:
            return b""
        return os.read(self.from_filter, 65536)

    def close(self) -> None:
        os.close(self.to_filter)


@pytest.fixture
def no_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "HOLD_SECONDS", 0.0)


def test_a_question_is_kept_open_and_then_the_feed_begins_with_it() -> None:
    daemon = Daemon()
    daemon.waiting.tick()
    assert b"" == daemon.heard(), "nobody listens"
    daemon.send(b"\n")
    daemon.waiting.tick()
    daemon.waiting.tick()
    assert b".." == daemon.heard()
    assert b"\n" == daemon.waiting.unanswered


@pytest.mark.usefixtures("no_hold")
@pytest.mark.parametrize("what", [b"\n", b"{}\n"])
def test_what_was_open_for_too_long_is_refused_and_not_kept(what: bytes) -> None:
    daemon = Daemon()
    daemon.send(what)
    daemon.waiting.tick("no\nspace")
    assert b"Error: no?space\n" == daemon.heard()
    assert b"" == daemon.waiting.unanswered
    daemon.waiting.tick()
    assert b"" == daemon.heard()


@pytest.mark.usefixtures("no_hold")
def test_a_line_that_is_not_complete_is_kept_for_the_feed() -> None:
    daemon = Daemon()
    daemon.send(b'\n{"msg": "')
    daemon.waiting.tick("why")
    assert b"Error: why\n" == daemon.heard()
    daemon.waiting.tick("why")
    assert b"" == daemon.heard()
    assert b'{"msg": "' == daemon.waiting.unanswered


@pytest.mark.parametrize("confirm", [True, False])
def test_it_waits_until_the_input_ends_and_no_line_left_there_keeps_it(confirm: bool) -> None:
    daemon = Daemon(confirm=confirm)
    assert not daemon.waiting.until_end(0.01, "why")
    daemon.send(b"{}\n")
    daemon.close()
    # Where it goes by the line that is left, it comes back after the ten minutes, with False.
    assert daemon.waiting.until_end(600, "why")


def test_without_confirmation_the_lines_stay_where_they_are() -> None:
    daemon = Daemon(confirm=False)
    daemon.send(b"{}\n")
    daemon.waiting.tick()
    assert not daemon.waiting.until_end(0.01, "why")
    assert b"{}\n" == os.read(daemon.waiting.stdin, 100)
    assert b"" == daemon.heard()


@pytest.mark.usefixtures("no_hold")
def test_a_daemon_that_no_longer_listens_is_no_error() -> None:
    daemon = Daemon()
    os.close(daemon.from_filter)
    daemon.send(b"\n")
    daemon.waiting.tick()
    daemon.close()
    assert daemon.waiting.until_end(600, "why")


def test_a_daemon_that_waits_for_the_first_ok_is_kept_waiting_without_a_line() -> None:
    daemon = Daemon(greet=True)
    daemon.waiting.tick()
    assert b"." == daemon.heard()
