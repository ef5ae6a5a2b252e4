"""The common behaviour of rsyslog and syslog-ng, of Debian 12 and 13, with the shipped files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .daemons.process import wait_for
from .daemons.rsyslog import Rsyslog
from .daemons.syslog_ng import SyslogNg
from .shipped import (
    KNOWN,
    NOBODY,
    UNKNOWN,
    Installed,
    LogSocket,
    address,
    filter_of,
    forged,
    log_as_nobody,
    login,
    odd_messages,
    send_as_nobody,
)

Daemon = Rsyslog | SyslogNg
Another = Callable[[Path], Daemon]
"""Makes one more daemon of the same kind, in a directory of its own, with the same filter."""


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    return Installed(tmp_path / "installed", "require_vouched = true\n")


@pytest.fixture(
    params=[(Rsyslog, ""), (Rsyslog, "trixie"), (SyslogNg, ""), (SyslogNg, "trixie")],
    ids=["rsyslog 8.2302", "rsyslog 8.2504", "syslog-ng 3.38", "syslog-ng 4.8"],
)
def another(request: pytest.FixtureRequest, installed: Installed) -> Another:
    kind, suite = request.param
    return lambda directory: kind.with_filter(directory, installed, suite=suite)


@pytest.fixture
def daemon(another: Another, tmp_path: Path) -> Iterator[Daemon]:
    with another(tmp_path / "first") as running:
        yield running


@pytest.fixture
def log(daemon: Daemon) -> Iterator[LogSocket]:
    with daemon.log() as opened:
        yield opened


def test_a_second_daemon_waits_for_the_filter_of_the_first(
    another: Another, tmp_path: Path, daemon: Daemon, installed: Installed, log: LogSocket
) -> None:
    log.send(login(0))
    installed.wait_for_count(1)
    with another(tmp_path / "second") as second, second.log() as other_log:
        for number in range(1, 1000):
            (log if number % 2 else other_log).send(login(number))
        installed.wait_for_count(501)
        waiting = filter_of(second.pid)
        daemon.stop()
        installed.wait_for_count(1000)
        assert waiting == filter_of(second.pid), "it waited, and was not started again"


def test_nobody_gets_in_who_may_not_speak_for_a_server(
    daemon: Daemon, installed: Installed, log: LogSocket
) -> None:
    log.send(login(1))
    installed.wait_for_count(1)
    send_as_nobody(daemon.socket, forged(filter_of(daemon.pid)))
    log_as_nobody(daemon.socket, daemon.pid)
    log.send(login(2))
    installed.wait_for_count(2)
    assert {address(1), address(2)} == set(installed.entries())
    status = installed.status()
    of_dovecot = [entry for entry in status["forged"] if entry["program"] == "dovecot"]
    assert [NOBODY] == [entry["uid"] for entry in of_dovecot]
    assert of_dovecot[0]["count"] >= 4 + 3
    assert {NOBODY} == {entry["uid"] for entry in status["forged"]}
    wait_for(lambda: f"forged: uid {NOBODY}" in installed.said(), "the log to say so")


def test_exactly_the_lines_of_known_servers_reach_the_filter(
    daemon: Daemon, installed: Installed, log: LogSocket
) -> None:
    for program in (*UNKNOWN, *KNOWN):
        log.send(b"text that no rule reads", tag=f"{program}[4711]")
    log.send(login(1))
    installed.wait_for_count(1)
    # rsyslogd's own line about its start comes, too, and starts the filter.
    others = 1 if isinstance(daemon, Rsyslog) else 0
    assert len(KNOWN) + 1 + others == installed.status()["lines"]
    assert len(KNOWN) + 1 == installed.lines()


def test_no_bytes_disturb_the_feed(daemon: Daemon, installed: Installed, log: LogSocket) -> None:
    log.send(login(1))
    installed.wait_for_count(1)
    running = filter_of(daemon.pid)
    sent = installed.status()["lines"]
    for odd in odd_messages():
        log.send(odd)
        sent += 1
    log.send(login(2))
    sent += 1
    installed.wait_for_count(2)
    assert {address(1), address(2)} == set(installed.entries())
    status = installed.status()
    assert sent == status["lines"]
    assert "bad_json" not in status["reasons"]
    assert running == filter_of(daemon.pid)
