"""The other feeds: systemd's journal by each way, and a log file that is followed."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from .booted import PACKAGES
from .daemons.journald import Journald
from .daemons.process import Process, wait_for
from .daemons.rsyslog import Rsyslog
from .daemons.syslog_ng import SyslogNg
from .debian import pristine
from .shipped import (
    CANARY,
    NOBODY,
    Installed,
    LogSocket,
    address,
    forged,
    login,
    send_as_nobody,
    shipped,
)

JOURNAL_UNIT = "examples/systemd/pbs-filter-journal.service"
TAIL_UNIT = "examples/systemd/pbs-filter-tail.service"
DEV_LOG, NATIVE_SOCKET = "/run/systemd/journal/dev-log", "/run/systemd/journal/socket"
CURSOR = "/var/lib/pbs-filter/journal-cursor"
GRACE = 6
"""Seconds, in which a busy machine, too, takes a login and shows it."""
SHORT = f"require_vouched = true\ngrace_seconds = {GRACE}\n"


def exec_start(unit: str, paths: dict[str, str]) -> list[str]:
    """The command of a shipped unit, as systemd runs it."""
    text = shipped(unit, paths).replace("\\\n", " ")
    (line,) = re.findall(r"(?m)^ExecStart=(.*)$", text)
    return [word.replace("$$", "$") for word in shlex.split(line)]


class Service:
    """A command as a service of systemd: stopped with SIGTERM to all of its processes."""

    def __init__(self, name: str, argv: Sequence[str], directory: Path) -> None:
        self.process = Process(name, argv, output=directory / f"{name}.out", ready=lambda: True)

    def __enter__(self) -> Service:
        self.process.start()
        return self

    def __exit__(self, *_: object) -> None:
        group = self.process.pid
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGTERM)

        def gone() -> bool:
            self.process.running()  # takes note of its end, or it would stay in the group
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                return True
            return False

        try:
            wait_for(gone, "the end of the service", 10)
        finally:
            self.process.stop()

    def ended(self) -> bool:
        return not self.process.running()


@pytest.fixture
def journald(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Journald]:
    suite = getattr(request, "param", "")
    root = pristine(suite, PACKAGES) if suite else None
    with Journald(tmp_path / "journald", root) as running:
        yield running


each_systemd = pytest.mark.parametrize("journald", ["", "trixie"], indirect=True)
"""With systemd 252 and 257, which refuses options beside each other that 252 takes."""


@pytest.fixture
def log(journald: Journald) -> Iterator[LogSocket]:
    with LogSocket(journald.log_socket) as opened:
        yield opened


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    return Installed(tmp_path / "installed", "require_vouched = true\n")


def journal_feed(journald: Journald, installed: Installed) -> Service:
    programs = installed.directory / "bin"
    programs.mkdir(exist_ok=True)
    journalctl = programs / "journalctl"
    journalctl.write_text(
        f'#!/bin/sh\nexec {shlex.join(journald.program("/usr/bin/journalctl"))} "$@"\n'
    )
    journalctl.chmod(0o755)
    paths = {path: other for path, other in installed.paths.items() if path.startswith("/opt")}
    command = exec_start(JOURNAL_UNIT, {**paths, CURSOR: str(cursor_of(installed))})
    path = f"PATH={programs}:{os.environ['PATH']}"
    return Service("journal-feed", [*journald.within(), "env", path, *command], installed.directory)


def cursor_of(installed: Installed) -> Path:
    return installed.directory / "journal-cursor"


# ------------------------------------------------------------------ journalctl -f


@each_systemd
def test_a_login_in_the_journal_authorises_and_a_forged_one_does_not(
    journald: Journald, installed: Installed, log: LogSocket
) -> None:
    with journal_feed(journald, installed):
        log.send(login(1))
        installed.wait_for_count(1)
        send_as_nobody(DEV_LOG, forged(), *journald.within())
        forge_by_the_native_protocol(journald)
        log.send(b"caf\xe9 \x01")
        log.send(login(2))
        installed.wait_for_count(2)
        assert {address(1), address(2)} == set(installed.entries())
        status = installed.status()
        assert {NOBODY} == {entry["uid"] for entry in status["forged"]}
        assert 5 <= sum(entry["count"] for entry in status["forged"])


def forge_by_the_native_protocol(journald: Journald) -> None:
    """Fields as sd_journal_send(3) writes them, with journald's own among them."""
    message = forged()[0].decode().partition(": ")[2]
    send_as_nobody(
        NATIVE_SOCKET,
        [
            f"SYSLOG_IDENTIFIER=dovecot\n_UID=0\nUID=0\n_HOSTNAME=mx1\nMESSAGE={message}\n".encode(),
            f"SYSLOG_IDENTIFIER=dovecot\nMESSAGE={message}\nMESSAGE=x\n_UID=0\n".encode(),
            f"SYSLOG_IDENTIFIER=x\nSYSLOG_IDENTIFIER=dovecot\nMESSAGE={message}\n".encode(),
        ],
        *journald.within(),
    )


@each_systemd
def test_after_a_stop_it_goes_on_where_it_was(
    journald: Journald, installed: Installed, log: LogSocket
) -> None:
    with journal_feed(journald, installed):
        log.send(login(1))
        installed.wait_for_count(1)
    assert cursor_of(installed).exists()
    log.send(login(2))
    with journal_feed(journald, installed):
        installed.wait_for_count(2)
        assert 1 == installed.status()["lines"], "nothing is read twice"
    half_a_day_ago = time.time() - 12 * 3600 - 60
    os.utime(cursor_of(installed), (half_a_day_ago, half_a_day_ago))
    with journal_feed(journald, installed):
        wait_for(lambda: installed.status()["lines"] >= 2, "the last half hour")


@each_systemd
def test_a_killed_filter_loses_nothing_and_ends_the_service_for_a_restart(
    journald: Journald, installed: Installed, log: LogSocket
) -> None:
    with journal_feed(journald, installed) as feed:
        log.send(login(1))
        installed.wait_for_count(1)
        os.kill(installed.holder(), signal.SIGKILL)
        for number in range(2, 200):
            log.send(login(number))
        wait_for(feed.ended, "the end of journalctl")
    with journal_feed(journald, installed):
        installed.wait_for_count(199)


@each_systemd
def test_a_replayed_login_that_is_older_than_its_grace_authorises_nobody(
    tmp_path: Path, journald: Journald, log: LogSocket
) -> None:
    installed = Installed(tmp_path / "installed", SHORT)
    log.send(login(1))
    time.sleep(GRACE + 0.1)
    with journal_feed(journald, installed):
        wait_for(installed.holder, "the filter")
        log.send(login(2))
        installed.wait_for_address(address(2))
        assert address(1) not in installed.entries()
        assert 1 == installed.status()["reasons"]["too_late"]["count"]


# ------------------------------------------------------------------ the journal by the daemons


def its_replay_authorises_nobody(installed: Installed, journald: Journald, log: LogSocket) -> None:
    """Behind a daemon that has just begun to read the journal, from before its grace on."""
    wait_for(installed.holder, "the filter")
    log.send(login(2))
    installed.wait_for_address(address(2))
    send_as_nobody(DEV_LOG, forged(), *journald.within())
    forge_by_the_native_protocol(journald)
    log.send(login(3))
    installed.wait_for_address(address(3))
    assert CANARY not in installed.entries()
    assert address(1) not in installed.entries()
    status = installed.status()
    assert 1 == status["reasons"]["too_late"]["count"]
    assert {NOBODY} == {entry["uid"] for entry in status["forged"]}


def test_rsyslog_reads_the_journal_and_its_replay_authorises_nobody(
    tmp_path: Path, journald: Journald, log: LogSocket
) -> None:
    installed = Installed(tmp_path / "installed", SHORT)
    log.send(login(1))
    time.sleep(GRACE + 0.1)
    with Rsyslog.with_filter(
        tmp_path / "rsyslog", installed, source="rsyslog/imjournal.conf", within=journald.within()
    ):
        its_replay_authorises_nobody(installed, journald, log)


LONG_NAME = b"LOGIN FAILED, user=" + b"A" * (505 - len("LOGIN FAILED, user="))
PIECE = b"Login user=bob host=x [%s]" % CANARY.encode()


def test_a_pid_that_rsyslog_adds_makes_no_login_of_a_piece(
    tmp_path: Path, journald: Journald, log: LogSocket
) -> None:
    """courierlogger writes no pid; imjournal adds it, and then the piece looks like UW imapd's."""
    installed = Installed(tmp_path / "installed", "require_vouched = true\n")
    with Rsyslog.with_filter(
        tmp_path / "rsyslog", installed, source="rsyslog/imjournal.conf", within=journald.within()
    ):
        for message in (LONG_NAME, PIECE):
            log.send(message, tag="imapd")
        log.send(login(1))
        installed.wait_for_address(address(1))
        assert CANARY not in installed.entries()
        assert 1 == installed.status()["reasons"]["piece"]["count"]


def test_syslog_ng_reads_the_journal_and_its_replay_authorises_nobody(
    tmp_path: Path, journald: Journald, log: LogSocket
) -> None:
    installed = Installed(tmp_path / "installed", SHORT)
    log.send(login(1))
    time.sleep(GRACE + 0.1)
    with SyslogNg.with_filter(
        tmp_path / "syslog-ng",
        installed,
        more="systemd-journal(); ",
        within=journald.within(),
    ):
        its_replay_authorises_nobody(installed, journald, log)


# ------------------------------------------------------------------ tail -F


def test_a_followed_file_is_read_from_its_end_and_through_rotation(tmp_path: Path) -> None:
    installed = Installed(tmp_path / "installed")
    file = tmp_path / "mail.log"

    def line(number: int) -> str:
        return f"Nov 20 10:00:00 mx1 dovecot: {login(number).decode()}\n"

    file.write_text(line(0))
    paths = {path: other for path, other in installed.paths.items() if path.startswith("/opt")}
    command = exec_start(TAIL_UNIT, {**paths, "/var/log/mail.log": str(file)})
    with Service("tail", command, tmp_path) as service:
        wait_for(installed.holder, "the filter")
        wait_for(lambda: follows(service.process.pid, file), "tail to follow")
        with file.open("a") as log:
            log.write(line(1))
        installed.wait_for_count(1)
        file.rename(tmp_path / "mail.log.1")
        file.write_text(line(2))
        installed.wait_for_count(2)
        assert {address(1), address(2)} == set(installed.entries())
        assert "anybody who can write to the log" in service.process.said()


def follows(group: int, file: Path) -> bool:
    """Whether a process of the group has the file open."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(process.name)) == group and any(
                os.readlink(descriptor) == str(file) for descriptor in (process / "fd").iterdir()
            ):
                return True
        except OSError:
            continue
    return False
