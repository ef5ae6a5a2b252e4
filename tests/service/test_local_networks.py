"""The command that prints the networks delays no line, and a start only for a bounded time."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pbs_filter.service import local_networks
from pbs_filter.service.local_networks import CommandError, LocalNetworks, ask

from ..running import wait_for


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def networks(said: list[str]) -> LocalNetworks:
    return LocalNetworks(said.append)


def finished(networks: LocalNetworks) -> bool:
    """`tick`, when the command has ended."""
    for thread in threading.enumerate():
        if thread.name == "local_networks_command":
            thread.join(20)
    return networks.tick()


class Fifo:
    """A command that answers when the test writes to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self.command = f"cat {path}"

    def answer(self, text: str) -> None:
        self.path.write_text(text)


@pytest.fixture
def fifo(tmp_path: Path) -> Fifo:
    return Fifo(tmp_path / "fifo")


def test_a_start_takes_the_answer_that_comes_at_once(
    networks: LocalNetworks, said: list[str]
) -> None:
    networks.start("echo 192.0.2.0/24 cidr:/etc/nets")
    networks.wait()
    assert ("192.0.2.0/24",) == networks.answer
    (text,) = said
    assert "skipped 'cidr:/etc/nets'" in text


def test_a_start_goes_on_without_an_answer_and_takes_it_when_it_comes(
    networks: LocalNetworks, fifo: Fifo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_networks, "TICK_SECONDS", 0.01)
    ticks: list[int] = []
    networks.start(fifo.command)
    networks.wait(lambda: ticks.append(1), 0.03)
    assert [1, 1, 1] == ticks
    assert () == networks.answer
    assert not networks.tick()
    fifo.answer("192.0.2.0/24\n")
    assert finished(networks)
    assert ("192.0.2.0/24",) == networks.answer


def test_the_last_good_answer_counts_while_the_command_hangs_and_when_it_fails(
    networks: LocalNetworks, fifo: Fifo, said: list[str]
) -> None:
    networks.start(fifo.command)
    fifo.answer("192.0.2.0/24\n")
    assert finished(networks)
    networks.start(fifo.command)
    assert not networks.tick()
    assert ("192.0.2.0/24",) == networks.answer
    networks.stop()
    assert not finished(networks)
    assert ("192.0.2.0/24",) == networks.answer
    (text,) = said
    assert "it ended with -9" in text
    assert "going on with the networks that it gave before" in text


def test_an_answer_of_another_command_than_the_configurations_is_not_taken(
    networks: LocalNetworks, fifo: Fifo
) -> None:
    networks.start(fifo.command)
    networks.start("echo 198.51.100.0/24")
    fifo.answer("192.0.2.0/24\n")
    assert not finished(networks)
    assert finished(networks)
    assert ("198.51.100.0/24",) == networks.answer
    networks.start("")
    assert () == networks.answer


def test_a_command_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = f"sh -c 'sleep 1000 & echo $! >{pid}; wait'"
    with pytest.raises(CommandError, match=r"did not end within 0\.5 seconds and was killed"):
        ask(command, 0.5)
    child = Path("/proc", pid.read_text().strip(), "stat")

    def is_dead() -> bool:
        try:
            return child.read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    wait_for(is_dead, "the end of what it started")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("/no/such/program", "No such file"),
        ("false", "it ended with 1: ''"),
        ("sh -c 'echo no disk >&2; exit 7'", "it ended with 7: 'no disk'"),
        ("'", "No closing quotation"),
    ],
)
def test_a_command_that_fails_is_told(
    networks: LocalNetworks, said: list[str], command: str, why: str
) -> None:
    networks.start(command)
    assert not finished(networks)
    (text,) = said
    assert why in text
    assert "going on with local_networks alone" in text
