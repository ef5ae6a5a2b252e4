"""The drop-ins of rsyslog/ with the real rsyslogd: no login is lost, and none is made up."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from . import certificates
from .certificates import TLS
from .daemons.process import wait_for
from .daemons.rsyslog import Rsyslog
from .losses import lost
from .mtas.namespace import Namespace
from .shipped import (
    CANARY,
    Installed,
    LogSocket,
    address,
    addresses,
    children,
    filter_of,
    from_mx1,
    kill_filter_of,
    login,
    shipped,
    speaker,
)

LINES = 20_000
"""100,000 for the figures of rsyslog/README.md."""
KILLS = 5
HANG_LINES = 200_000
SLOWEST_SEND_SECONDS = 0.05
DEEP = 13_000
"""More than queue.highWatermark, so that a part of them is on disk."""
LONGEST_LINE = 8096
"""rsyslog's maxMessageSize in this Debian: imtcp cuts there."""


@pytest.fixture
def rsyslogd(
    request: pytest.FixtureRequest, place: Path, installed: Installed
) -> Iterator[Rsyslog]:
    suite = getattr(request, "param", "")
    with Rsyslog.with_filter(place / "rsyslog", installed, suite=suite) as daemon:
        yield daemon


of_each_debian = pytest.mark.parametrize(
    "rsyslogd", ["", "trixie"], ids=["8.2302", "8.2504"], indirect=True
)


@pytest.fixture
def log(rsyslogd: Rsyslog) -> Iterator[LogSocket]:
    with rsyslogd.log() as opened:
        yield opened


# ------------------------------------------------------------------ nothing is lost


@of_each_debian
def test_a_filter_killed_in_bursts_and_idle_loses_no_login(
    rsyslogd: Rsyslog, installed: Installed, log: LogSocket
) -> None:
    chosen = random.Random()
    in_bursts = {chosen.randrange(1000, LINES) for _ in range(KILLS - 2)}
    when_idle = {LINES * 2 // 5, LINES * 4 // 5}
    print("killed at line", sorted(in_bursts), "and idle at", sorted(when_idle))
    killers = []
    for number in range(LINES):
        if number in in_bursts:
            killers.append(threading.Thread(target=kill_filter_of, args=(rsyslogd.pid,)))
            killers[-1].start()
        if number in when_idle:
            installed.wait_for_count(number)
            kill_filter_of(rsyslogd.pid)
        log.send(login(number))
    for killer in killers:
        killer.join()
    installed.wait_for_count(LINES)
    assert 0 == rsyslogd.discarded()
    entries = installed.entries()
    assert set(addresses(range(LINES))) == set(entries)
    assert {1} == {entry.sessions for entry in entries.values()}, "a line taken twice counts once"


TROUBLES = (
    ("program missing", "two restarts"),
    ("configuration wrong", "stop, start"),
    ("store full", "two restarts"),
    ("hangs", "stop, start"),
    ("killed 5 times", "two restarts"),
)


@pytest.fixture(scope="module")
def losses() -> dict[tuple[str, str], Future[int]]:
    """Side by side, because each of them mostly waits for its rsyslogd."""
    with ThreadPoolExecutor(len(TROUBLES)) as pool:
        return {pair: pool.submit(lost, *pair) for pair in TROUBLES}


@pytest.mark.parametrize("pair", TROUBLES, ids="-".join)
def test_no_login_is_lost_by_a_restart_in_a_time_of_trouble(
    pair: tuple[str, str], losses: dict[tuple[str, str], Future[int]]
) -> None:
    """The other pairs, and Debian 13's rsyslogd, by `python -m tests.real.losses`."""
    assert 0 == losses[pair].result()


def test_a_stop_with_more_lines_than_memory_takes_in_a_time_of_trouble_ends_and_loses_none(
    rsyslogd: Rsyslog, installed: Installed, log: LogSocket
) -> None:
    """Two of rsyslogd's threads then wait for the filter, and one of them for the other."""
    log.send(login(0))
    installed.wait_for_count(1)
    good = installed.config.read_text()
    installed.config.write_text("nonsense = 1\n")
    kill_filter_of(rsyslogd.pid)
    for number in range(1, DEEP):
        log.send(login(number))
    rsyslogd.wait_for_line(login(DEEP - 1))
    wait_for(lambda: [*rsyslogd.directory.glob("pbs-filter.0*")], "the queue on disk")
    rsyslogd.process.signal(signal.SIGTERM)
    assert 0 == rsyslogd.process.wait(60)
    rsyslogd.process.stop()
    installed.config.write_text(good)
    rsyslogd.start()
    installed.wait_for_count(DEEP)


@of_each_debian
def test_a_stop_with_lines_waiting_loses_none_of_them(
    rsyslogd: Rsyslog, installed: Installed, log: LogSocket
) -> None:
    pid = filter_of(rsyslogd.pid)
    wait_for(lambda: installed.holder() == pid, "the filter to be ready")
    os.kill(pid, signal.SIGSTOP)  # however quick it is, lines wait
    for number in range(LINES):
        log.send(login(number))
    rsyslogd.wait_for_line(login(LINES - 1))
    assert installed.count() < LINES, "nothing was waiting; the test shows nothing"
    os.kill(pid, signal.SIGCONT)
    began = time.monotonic()
    rsyslogd.stop()
    print(f"stopped in {time.monotonic() - began:.1f} s with {installed.count()} in the map")
    rsyslogd.start()
    installed.wait_for_count(LINES)
    assert set(addresses(range(LINES))) == set(installed.entries())


def test_the_filter_starts_with_rsyslogd_and_not_with_the_first_login(
    rsyslogd: Rsyslog, installed: Installed, log: LogSocket
) -> None:
    for _ in range(2):
        running = filter_of(rsyslogd.pid)
        wait_for(lambda running=running: installed.holder() == running, "the filter to be ready")
        rsyslogd.stop()
        rsyslogd.start()
    log.send(login(1))
    installed.wait_for_count(1)


def test_a_session_of_two_lines_is_a_login_though_the_filter_dies_between_them(
    rsyslogd: Rsyslog, installed: Installed, log: LogSocket
) -> None:
    for round_ in range(5):
        log.send(b"Session from 192.0.2.%d" % round_, tag=f"popa3d[{round_ + 100}]")
        wait_for(lambda: installed.status()["half_sessions"] == 1, "the first line to be taken")
        kill_filter_of(rsyslogd.pid)
        log.send(b"Authentication passed for bob", tag=f"popa3d[{round_ + 100}]")
        installed.wait_for_address(f"192.0.2.{round_}")


# ------------------------------------------------------------------ nobody is held up


@of_each_debian
def test_a_filter_that_hangs_holds_nobody_up_and_is_replaced(
    rsyslogd: Rsyslog, installed: Installed, log: LogSocket
) -> None:
    log.send(login(0))
    installed.wait_for_count(1)
    hanging = filter_of(rsyslogd.pid)
    os.kill(hanging, signal.SIGSTOP)
    failed = b"imap-login: Aborted login (auth failed, 1 attempts): user=<bob>, rip=192.0.2.9"
    for number in range(1, HANG_LINES):
        # As in a real log, not each line is a login.
        log.send(login(number) if number % 10 == 1 else failed + b" %d" % number)
    print(f"slowest send: {log.slowest_seconds * 1000:.1f} ms")
    assert log.slowest_seconds < SLOWEST_SEND_SECONDS
    last = failed + b" %d" % (HANG_LINES - 1)
    rsyslogd.wait_for_line(last)
    with rsyslogd.everything.open("rb") as everything:
        assert HANG_LINES == sum(b"imap-login: " in line for line in everything)
    wait_for(lambda: hanging not in children(rsyslogd.pid), "the end of what hangs")
    new = filter_of(rsyslogd.pid)
    log.send(login(HANG_LINES))
    installed.wait_for_address(address(HANG_LINES), 120)
    print(f"{rsyslogd.discarded()} of {HANG_LINES} lines did not fit into the queue")
    assert new == filter_of(rsyslogd.pid)


def test_a_networks_command_that_hangs_holds_no_login_up(tmp_path: Path) -> None:
    # It gives one answer, and hangs from then on: at a start, and at a rotation's HUP.
    asked = tmp_path / "asked"
    command = tmp_path / "networks"
    command.write_text(f"#!/bin/sh\necho >>{asked}\n[ -e {asked}.hang ] && exec sleep 1000\n"
                       "echo 198.51.100.0/24\n")  # fmt: skip
    command.chmod(0o755)
    installed = Installed(tmp_path / "installed", f'local_networks_command = "{command}"\n')
    with Rsyslog.with_filter(tmp_path / "rsyslog", installed) as rsyslogd, rsyslogd.log() as log:
        log.send(login(1))
        installed.wait_for_count(1)
        running = filter_of(rsyslogd.pid)
        Path(f"{asked}.hang").touch()
        os.kill(running, signal.SIGHUP)
        wait_for(lambda: len(asked.read_text()) == 2, "the second question")
        log.send(login(2).replace(address(2).encode(), b"198.51.100.7"))
        log.send(login(3))
        installed.wait_for_address(address(3), 8)
        assert "198.51.100.7" not in installed.entries(), "the last answer counts"
        kill_filter_of(rsyslogd.pid)
        for number in range(4, 50):
            log.send(login(number))
        installed.wait_for_address(address(49))
        assert "the syslog daemon no longer reads our replies" not in installed.log.read_text()


# ------------------------------------------------------------------ signals, rotation, restarts


@of_each_debian
def test_hups_rotation_and_a_restart_under_load_lose_nothing(
    rsyslogd: Rsyslog, installed: Installed, log: LogSocket
) -> None:
    first = 0

    def load(lines: int) -> None:
        nonlocal first
        for number in range(first, first + lines):
            log.send(login(number))
        first += lines

    load(1000)
    installed.wait_for_count(1000)
    running = filter_of(rsyslogd.pid)
    for _ in range(3):
        load(1000)
        rsyslogd.hang_up()
        os.kill(running, signal.SIGHUP)  # Debian 12's rotation: to every process of the service
    load(1000)
    assert running == filter_of(rsyslogd.pid)
    installed.wait_for_count(first)
    old = installed.log.rename(installed.log.with_suffix(".1"))
    size = old.stat().st_size
    rsyslogd.hang_up()
    wait_for(installed.log.exists, "a new log file after the rotation")
    assert size == old.stat().st_size
    load(5000)
    # What lies in the socket when a daemon ends is gone; that is between it and its senders.
    rsyslogd.wait_for_line(login(first - 1))
    rsyslogd.stop()
    rsyslogd.start()
    load(5000)
    installed.wait_for_count(first)
    assert set(addresses(range(first))) == set(installed.entries())


# ------------------------------------------------------------------ forgery


def test_over_tcp_only_trusted_hosts_count_and_a_long_line_makes_no_second_one(
    place: Path,
) -> None:
    trusted, stranger, here = "192.0.2.11", "192.0.2.12", "192.0.2.10"
    installed = Installed(place / "installed", f'trusted_hosts = ["{trusted}"]\n')
    tls = certificates.make(place / "tls")
    network = Namespace([trusted, stranger, here])
    try:
        daemon = Rsyslog.with_filter(
            place / "rsyslog",
            installed,
            behind=shipped("rsyslog/central.conf", {TLS: str(tls / "loghost")}),
            within=network.command(),
        )
        with daemon, daemon.log() as log:
            speak = speaker(network, here, 6514, tls / "pop1")
            forged_line = from_mx1(0, f"imap-login: Login: user=<eve>, rip={CANARY}, TLS\n")
            begin = from_mx1(0, "imap-login: Aborted login: user=<")
            for cut in LONGEST_LINE - 1, LONGEST_LINE, LONGEST_LINE + 1:
                speak(trusted, begin + "D" * (cut - len(begin)) + forged_line)
            for source in stranger, here, "127.0.0.1":
                speak(source, forged_line)
            for seconds_ago, last in (60, 7), (3600, 8):
                text = f"imap-login: Login: user=<bob>, method=PLAIN, rip=198.51.100.{last}, TLS\n"
                speak(trusted, from_mx1(seconds_ago, text))
            log.send(login(1))
            wait_for(lambda: installed.status()["lines"] >= 9, "all lines")
            installed.wait_for_count(2)
            entries = installed.entries()
            assert {"198.51.100.7", address(1)} == set(entries)
            late = entries["198.51.100.7"]
            assert 1800 - 60 >= late.until - time.time() > 1800 - 90, "the sender's clock counts"
            reasons = installed.status()["reasons"]
            assert 3 == reasons["untrusted_host"]["count"]
            assert 1 == reasons["too_late"]["count"]
            assert not daemon.received(CANARY.encode()), "the local log files get no line of TCP"
    finally:
        network.close()
