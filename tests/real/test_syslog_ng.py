"""The block and log path of syslog-ng/ with the real syslog-ng: what is lost, who is refused."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pbs_filter.integrations.syslog_ng import CLAIM

from ..store.store_tools import filled, small_file_system
from . import certificates
from .certificates import TLS
from .daemons.process import wait_for
from .daemons.syslog_ng import SyslogNg
from .mtas.namespace import Namespace
from .packages import install
from .shipped import (
    CANARY,
    Installed,
    LogSocket,
    address,
    addresses,
    alive,
    filter_of,
    from_mx1,
    kill_filter_of,
    login,
    shipped,
    speaker,
    wait_for_new_filter,
)

LINES = 20_000
"""100,000 for the figures of syslog-ng/README.md."""
KILLS = 5
LOST_PER_KILL = 400
"""More than this for one kill would mean that something else loses lines, too."""
HANG_LINES = 200_000
SLOWEST_SEND_SECONDS = 0.05
CONFIRMED_LINES = 5_000
"""100,000 for the figures of syslog-ng/README.md."""
FIFO = 20_000
"""log-fifo-size() of the block."""
LONGEST_LINE = 65_536
"""syslog-ng's log-msg-size()."""
LONGER_THAN_A_PIPE = b"\1" * 20_000
"""In JSON each character is six."""
_MANY_CONNECTIONS = (
    sys.executable,
    "-Ec",
    "import os, sys, resource as r\n"
    "r.setrlimit(r.RLIMIT_NOFILE, (4096, 4096))\n"
    "for number in range(3, 1100): os.dup2(0, number)\n"
    "os.execv(sys.argv[1], sys.argv[1:])",
)
"""Starts a syslog-ng whose own descriptors are all above 1,023, as with many log hosts' connections
to it."""


@pytest.fixture
def daemon(request: pytest.FixtureRequest, place: Path, installed: Installed) -> Iterator[SyslogNg]:
    suite = getattr(request, "param", "")
    with SyslogNg.with_filter(place / "syslog-ng", installed, suite=suite) as running:
        yield running


of_each_debian = pytest.mark.parametrize(
    "daemon", ["", "trixie"], ids=["3.38", "4.8"], indirect=True
)


@pytest.fixture
def log(daemon: SyslogNg) -> Iterator[LogSocket]:
    with daemon.log() as opened:
        yield opened


# ------------------------------------------------------------------ what is lost, and what is not


@of_each_debian
def test_a_killed_filter_loses_what_is_in_its_pipe_and_nothing_else(
    daemon: SyslogNg, installed: Installed, log: LogSocket
) -> None:
    chosen = random.Random()
    in_bursts = sorted(chosen.randrange(1000, LINES) for _ in range(KILLS))
    killers = []
    for number in range(LINES):
        if number in in_bursts:
            killers.append(threading.Thread(target=kill_filter_of, args=(daemon.pid,)))
            killers[-1].start()
        if number % 500 == 0:
            # No more than the fifo takes; what it has no room for is another matter.
            wait_for(lambda: daemon.waiting() < FIFO // 2, "the queue", 60)
        log.send(login(number))
    for killer in killers:
        killer.join()
    daemon.wait_for_line(login(LINES - 1))
    wait_for(lambda: daemon.waiting() == 0, "the end of the queue", 60)
    log.send(login(LINES))
    installed.wait_for_address(address(LINES))
    lost = set(addresses(range(LINES))) - set(installed.entries())
    print(f"{len(lost)} of {LINES} lost by {KILLS} kills at {in_bursts}")
    assert 0 == daemon.dropped()
    assert len(lost) <= KILLS * LOST_PER_KILL


@of_each_debian
def test_a_filter_killed_while_idle_loses_nothing(
    daemon: SyslogNg, installed: Installed, log: LogSocket
) -> None:
    for number in range(KILLS):
        log.send(login(number))
        installed.wait_for_count(number + 1)
        # What is sent before syslog-ng has seen the end goes into the old pipe.
        wait_for_new_filter(daemon.pid, kill_filter_of(daemon.pid))
    log.send(login(KILLS))
    installed.wait_for_count(KILLS + 1)


def test_a_filter_that_cannot_start_is_not_started_again_and_again(
    place: Path, installed: Installed
) -> None:
    good = installed.config.read_text()
    installed.config.write_text("nonsense = 1\n")
    with SyslogNg.with_filter(place / "syslog-ng", installed) as daemon, daemon.log() as log:
        wait_for(lambda: "nonsense" in installed.said(), "the reason")
        running = filter_of(daemon.pid)
        for number in range(100):
            log.send(login(number))
        installed.config.write_text(good)
        installed.wait_for_count(100)
        assert running == filter_of(daemon.pid)


def test_a_session_of_two_lines_is_a_login_though_the_filter_dies_between_them(
    daemon: SyslogNg, installed: Installed, log: LogSocket
) -> None:
    for round_ in range(3):
        log.send(b"Session from 192.0.2.%d" % round_, tag=f"popa3d[{round_ + 100}]")
        wait_for(lambda: installed.status()["half_sessions"] == 1, "the first line to be taken")
        wait_for_new_filter(daemon.pid, kill_filter_of(daemon.pid))
        log.send(b"Authentication passed for bob", tag=f"popa3d[{round_ + 100}]")
        installed.wait_for_address(f"192.0.2.{round_}")


# ------------------------------------------------------------------ each line answered


@pytest.fixture(params=["", "trixie"], ids=["3.38", "4.8"])
def confirmed(
    request: pytest.FixtureRequest, place: Path, installed: Installed
) -> Iterator[SyslogNg]:
    """syslog-ng with the destination in Python, of this Debian and of 13."""
    with SyslogNg.with_filter(
        place / "syslog-ng",
        installed,
        confirmed=True,
        suite=request.param,
        within=_MANY_CONNECTIONS,
    ) as running:
        yield running


def test_answered_line_by_line_kills_of_the_filter_and_of_syslog_ng_lose_nothing(
    confirmed: SyslogNg, installed: Installed
) -> None:
    chosen = random.Random()
    kills = sorted(chosen.sample(range(1000, CONFIRMED_LINES), KILLS))
    print("killed at", kills)
    with confirmed.log() as log:
        for number in range(CONFIRMED_LINES):
            if number in kills:
                installed.wait_for_count(number - chosen.randrange(1000))
                kill_filter_of(confirmed.pid)
            log.send(login(number))
        confirmed.wait_for_line(login(CONFIRMED_LINES - 1))
        confirmed.process.stop(signal.SIGKILL)
        confirmed.start()
        installed.wait_for_count(CONFIRMED_LINES)
    entries = installed.entries()
    assert set(addresses(range(CONFIRMED_LINES))) == set(entries)
    assert {1} == {entry.sessions for entry in entries.values()}, "a line taken twice counts once"


def test_answered_line_by_line_a_restart_while_the_filter_is_missing_loses_nothing(
    confirmed: SyslogNg, installed: Installed
) -> None:
    with confirmed.log() as log:
        log.send(login(0))
        installed.wait_for_count(1)
        installed.remove()
        kill_filter_of(confirmed.pid)
        for number in range(1, 500):
            log.send(login(number))
        for _ in range(2):
            confirmed.wait_for_line(login(499))
            confirmed.stop()
            confirmed.start()
        installed.install()
        installed.wait_for_count(500)


def test_answered_line_by_line_a_filter_that_hangs_holds_nobody_up_and_is_replaced(
    confirmed: SyslogNg, installed: Installed
) -> None:
    with confirmed.log() as log:
        log.send(login(0))
        installed.wait_for_count(1)
        hanging = filter_of(confirmed.pid)
        os.kill(hanging, signal.SIGSTOP)
        log.send(b"imap-login: Aborted login: user=<%b>" % LONGER_THAN_A_PIPE)
        for number in range(1, CONFIRMED_LINES):
            log.send(login(number))
        print(f"slowest send: {log.slowest_seconds * 1000:.1f} ms")
        assert log.slowest_seconds < SLOWEST_SEND_SECONDS
        confirmed.wait_for_line(login(CONFIRMED_LINES - 1))
        assert not installed.has(address(CONFIRMED_LINES - 1))
        wait_for_new_filter(confirmed.pid, hanging)
        installed.wait_for_count(CONFIRMED_LINES)


def test_answered_line_by_line_a_full_disk_under_store_and_queue_and_a_restart_lose_nothing(
    place: Path,
) -> None:
    """As --setup writes it for a syslog-ng that can claim the room of its disk-buffer."""
    with small_file_system(place / "var", "8m") as var:
        installed = Installed(place / "installed", "require_vouched = true\n")
        installed.map = var / "map.gdbm"
        installed.config.write_text(f'map = "{installed.map}"\nrequire_vouched = true\n')
        daemon = SyslogNg.with_filter(
            place / "syslog-ng", installed, confirmed=True, suite="trixie"
        )
        text = daemon.config.read_text()
        for old, new in (
            CLAIM,
            (f"{place}/syslog-ng/queue", f"{var}/queue"),
            ("disk-buf-size(67108864)", "disk-buf-size(1048576)"),
        ):
            assert old in text
            text = text.replace(old, new)
        daemon.config.write_text(text)
        (var / "queue").mkdir()
        with daemon, daemon.log() as log:
            log.send(login(0))
            installed.wait_for_count(1)
            with filled(var, leaving=0):
                for number in range(1, 500):
                    log.send(login(number))
                daemon.wait_for_line(login(499))
                daemon.stop()
            daemon.start()
            installed.wait_for_count(500)


# ------------------------------------------------------------------ nobody is held up


def test_a_filter_that_hangs_holds_nobody_up(
    daemon: SyslogNg, installed: Installed, log: LogSocket
) -> None:
    log.send(login(0))
    installed.wait_for_count(1)
    hanging = filter_of(daemon.pid)
    os.kill(hanging, signal.SIGSTOP)
    for number in range(1, HANG_LINES):
        log.send(login(number))
    print(f"slowest send: {log.slowest_seconds * 1000:.1f} ms")
    assert log.slowest_seconds < SLOWEST_SEND_SECONDS
    daemon.wait_for_line(login(HANG_LINES - 1))
    with daemon.everything.open("rb") as everything:
        assert HANG_LINES == sum(b"imap-login: " in line for line in everything)
    dropped = daemon.dropped()
    assert dropped > HANG_LINES - FIFO - 1000, "it did not hang"
    os.kill(hanging, signal.SIGCONT)
    # What was in the pipe and in the queue is still taken, and every other line was counted.
    installed.wait_for_count(HANG_LINES - dropped)
    log.send(login(HANG_LINES))
    installed.wait_for_address(address(HANG_LINES))
    assert HANG_LINES + 1 - dropped == len(installed.entries())


# ------------------------------------------------------------------ signals, rotation, restarts


@of_each_debian
def test_reloads_rotation_and_a_restart_under_load(
    daemon: SyslogNg, installed: Installed, log: LogSocket
) -> None:
    first = 0

    def load(lines: int) -> None:
        nonlocal first
        for number in range(first, first + lines):
            log.send(login(number))
        first += lines

    load(1000)
    installed.wait_for_count(first)
    running = filter_of(daemon.pid)
    for _ in range(3):
        load(1000)
        daemon.hang_up()
        os.kill(running, signal.SIGHUP)  # what systemd sends to every process of the service
        load(1000)
    installed.wait_for_count(first)
    assert running == filter_of(daemon.pid), "keep-alive: a reload leaves the filter alone"
    old = installed.log.rename(installed.log.with_suffix(".1"))
    os.kill(running, signal.SIGHUP)
    wait_for(installed.log.exists, "a new log file after the rotation")
    load(2000)
    daemon.wait_for_line(login(first - 1))
    daemon.stop()
    # What was in the pipe is still read; what was in the queue is gone.
    wait_for(lambda: not alive(running), "the filter's end")
    lost = first - installed.count()
    print(f"{lost} of 2000 lost by a stop under load")
    assert f"[{running}]" in old.read_text()
    daemon.start()
    load(2000)
    installed.wait_for_count(first - lost)
    assert set(addresses(range(first - 2000, first))) <= set(installed.entries())


# ------------------------------------------------------------------ time


FAKED = {
    "LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "FAKETIME_NO_CACHE": "1",
    "DONT_FAKE_MONOTONIC": "1",
    "NO_FAKE_STAT": "1",
}


def test_in_the_hour_that_is_repeated_when_summer_time_ends_logins_count(
    place: Path, installed: Installed
) -> None:
    """The local sender's stamp has no zone, and syslog-ng goes on with the one before."""
    install("libfaketime")
    zone = ZoneInfo("Europe/Berlin")
    faked = place / "clock"
    daemon = SyslogNg.with_filter(place / "syslog-ng", installed)
    daemon.process.environment = {
        **os.environ,
        **FAKED,
        "FAKETIME_TIMESTAMP_FILE": str(faked),
        "TZ": zone.key,
    }
    utc = ("2026-10-24T23:50:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z")
    offsets = [int(datetime.fromisoformat(each).timestamp() - time.time()) for each in utc]
    faked.write_text(f"{offsets[0]:+d}\n")
    with daemon, daemon.log() as log:
        for number, offset in enumerate(offsets):
            fresh = place / "next"
            fresh.write_text(f"{offset:+d}\n")
            fresh.rename(faked)
            stamp = datetime.fromtimestamp(time.time() + offset, zone).strftime("%b %e %H:%M:%S")
            log.send_raw(b"<22>%b dovecot: %b" % (stamp.encode(), login(number)))
            installed.wait_for_address(address(number))


# ------------------------------------------------------------------ forgery


def test_over_tcp_only_trusted_hosts_count(place: Path) -> None:
    trusted, stranger, here = "192.0.2.11", "192.0.2.12", "192.0.2.10"
    installed = Installed(place / "installed", f'trusted_hosts = ["{trusted}"]\n')
    tls = certificates.make(place / "tls")
    network = Namespace([trusted, stranger, here])
    try:
        daemon = SyslogNg.with_filter(
            place / "syslog-ng",
            installed,
            behind=shipped("syslog-ng/central.conf", {TLS: str(tls / "loghost")}),
            within=network.command(),
        )
        with daemon, daemon.log() as log:
            speak = speaker(network, here, 6514, tls / "pop1")
            forged_line = from_mx1(0, f"imap-login: Login: user=<eve>, rip={CANARY}, TLS")
            begin = from_mx1(0, "imap-login: Aborted login: user=<")
            for cut in LONGEST_LINE - 1, LONGEST_LINE, LONGEST_LINE + 1:
                speak(trusted, _counted(begin + "D" * (cut - len(begin)) + forged_line))
            speak(trusted, _counted(begin + "\n" + forged_line))
            for source in stranger, here, "127.0.0.1":
                speak(source, _counted(forged_line))
            for seconds_ago, last in (60, 7), (3600, 8):
                text = f"imap-login: Login: user=<bob>, method=PLAIN, rip=198.51.100.{last}, TLS"
                speak(trusted, _counted(from_mx1(seconds_ago, text)))
            log.send(login(1))
            installed.wait_for_count(2)
            wait_for(lambda: installed.status()["lines"] >= 10, "all lines")
            assert {"198.51.100.7", address(1)} == set(installed.entries())
            reasons = installed.status()["reasons"]
            assert 3 == reasons["untrusted_host"]["count"]
            assert 1 == reasons["too_late"]["count"]
    finally:
        network.close()


def _counted(line: str) -> str:
    """A message in the framing of RFC 6587, 3.4.1."""
    return f"{len(line.encode())} {line}"
