"""The doctor's probes: a test line through a real log socket to a real filter, and the rest."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pbs_filter.doctor import probe
from pbs_filter.doctor.findings import FeedProbe

from ..running import Running


@contextmanager
def log_socket(
    path: Path, pipeline: Running | None, kind: int = socket.SOCK_DGRAM
) -> Iterator[str]:
    """Takes lines at `path`, as a syslog daemon does, and gives the first to the filter."""
    with socket.socket(socket.AF_UNIX, kind) as log:
        log.bind(str(path))
        log.settimeout(10)
        if kind == socket.SOCK_STREAM:
            log.listen()

        def pass_on() -> None:
            if kind == socket.SOCK_STREAM:
                peer, _ = log.accept()
                with peer:
                    data = peer.recv(4096)
            else:
                data = log.recv(4096)
            if pipeline is not None:
                # As rsyslog writes it into a file: without the priority, with a host.
                _, _, text = data.decode().rstrip("\n").partition(">")
                pipeline.send(f"{text[:15]} mx1 {text[16:]}\n")

        thread = threading.Thread(target=pass_on)
        thread.start()
        yield str(path)
        thread.join()


def tried(pipeline: Running, path: str, seconds: float = 10.0) -> FeedProbe:
    return probe.feed(
        f"{pipeline.map}.control", daemon="rsyslog", restart="r", path=path, seconds=seconds
    )


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_line_through_the_log_socket_is_seen_by_the_filter(tmp_path: Path, kind: int) -> None:
    with (
        Running(tmp_path, confirm="no") as running,
        log_socket(tmp_path / "dev-log", running, kind) as path,
    ):
        found = tried(running, path)
        assert found.seen is not None
        assert ("", True) == (found.problem, found.answered)
        assert found.version
        assert set() == running.addresses()


def test_a_line_that_the_daemon_keeps_is_not_seen(tmp_path: Path) -> None:
    with Running(tmp_path, confirm="yes") as running:
        assert b"OK" == running.reply()
        with log_socket(tmp_path / "dev-log", None) as path:
            found = tried(running, path, 0.1)
        assert (True, None) == (found.answered, found.seen)


def test_without_a_filter_nobody_answers(tmp_path: Path) -> None:
    with log_socket(tmp_path / "dev-log", None) as path:
        control = str(tmp_path / "map.control")
        found = probe.feed(control, daemon="", restart="r", path=path, seconds=0.1)
    assert (False, None) == (found.answered, found.seen)


def test_a_log_socket_that_nobody_reads_is_a_problem(tmp_path: Path) -> None:
    path = str(tmp_path / "dev-log")
    found = probe.feed("x", daemon="", restart="r", path=path, seconds=10)
    assert "No such file or directory" == found.problem
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(path)
    assert "Connection refused" == probe.feed("x", daemon="", restart="r", path=path).problem


def test_a_service_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    reply, problem = probe.ask(str(tmp_path / "s"), b"x")
    assert (b"", "No such file or directory") == (reply, problem)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user: needs root")
def test_a_program_that_cannot_be_run_says_so() -> None:
    status, said = probe.as_user(["/no/such"], "root", "")
    assert 126 == status
    assert "No such file" in said
    assert 126 == probe.as_user(["/bin/true"], "no such user", "")[0]


def test_this_machine_has_its_loopback_address() -> None:
    assert "127.0.0.1" in probe.own_addresses()


def test_where_no_smtp_server_is_there_is_no_reply() -> None:
    assert "" == probe.rcpt("127.0.0.213")
