"""examples/quickstart, as somebody types it who has just cloned this."""

from __future__ import annotations

import re
import resource
import subprocess

import pytest

from .packages import CHECKOUT

CANARY = "203.0.113.66"


def typed(command: str) -> str:
    """What `command`, typed in the checkout, says; it ends well or answers "no"."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout
    return done.stdout


def processor_seconds() -> float:
    """The processor time of our children: others may be busy on this machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def said() -> str:
    # Debian 13, Ubuntu and Fedora give this umask to an ordinary user.
    return typed("umask 0002; examples/quickstart")


def test_quickstart_lists_those_who_logged_in(said: str) -> None:
    listed = said[said.index("ADDRESS") : said.index("May 192.0.2.7 relay?")].splitlines()[1:]
    assert {
        "192.0.2.7",
        "192.0.2.90",
        "192.0.2.120",
        "198.51.100.23",
        "2001:db8::25",
    } == {line.split()[0] for line in listed if line}
    assert "    192.0.2.7 may relay\n" in said
    assert f"    {CANARY} may not relay\n" in said
    assert "login: 192.0.2.7 may relay" in said
    assert "nothing: the server refused the login" in said


def test_quickstart_shows_no_warning_and_ends_with_the_next_step(said: str) -> None:
    assert "require_vouched" not in said
    assert "Setting it up" in said.splitlines()[-3]
    assert "examples/debian/build" in said.splitlines()[-1]


def test_each_command_that_it_shows_can_be_typed_and_says_the_same(said: str) -> None:
    commands = re.findall(r"(?m)^    \$ (.*)\n", said)
    assert len(commands) >= 5
    for command in commands:
        again = typed(command)
        if "--explain" in command or "check" in command:
            assert "".join(f"    {line}\n" for line in again.splitlines()) in said


def test_quickstart_starts_quickly_the_second_time(said: str) -> None:
    before = processor_seconds()
    typed("examples/quickstart")
    assert processor_seconds() - before < 3
