"""--setup's better way behind syslog-ng on a booted machine: with the rights that syslog-ng has
there, with faults of the filter, and what --undo leaves.

`TEST_SUITES="bookworm trixie"` takes Debian 12's syslog-ng, too.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .booted import Booted
from .daemons.process import wait_for
from .packages import CHECKOUT

BURST = 200
"""Logins that are sent in each trouble."""
PROGRAM = "/usr/bin/pbs-filter"
REPLACED_SECONDS = 60.0
"""A filter that hangs is given up after 10 s and killed after 5 more."""


@pytest.fixture(params=os.environ.get("TEST_SUITES", "trixie").split())
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Booted]:
    built = subprocess.run(
        [CHECKOUT / "examples/debian/build", tmp_path],
        check=True, stdout=subprocess.PIPE, text=True,
    ).stdout.strip()  # fmt: skip
    names = ("syslog-ng-core", "syslog-ng-scl", "syslog-ng-mod-python")
    with Booted(tmp_path, *names, suite=request.param) as booted:
        booted.install(Path(built))
        yield booted


def do_what_it_says(machine: Booted, said: str) -> None:
    for command in said.partition("what it read before):\n")[2].partition("\n\n")[0].splitlines():
        machine.shell(command)


def log_in(machine: Booted, number: int) -> None:
    """The logins of BURST addresses of their own; `number` is that of the burst."""
    lines = [
        f"imap-login: Login: user=<u{number}-{last}>, method=PLAIN, rip=198.18.{number}.{last}, "
        f"lip=192.0.2.1, mpid={last}, TLS\n"
        for last in range(1, 1 + BURST)
    ]
    (machine.path / "root/logins").write_text("".join(lines))
    machine.run("logger", "-p", "mail.info", "-t", "dovecot", "-f", "/root/logins")


def counted(machine: Booted) -> int:
    """How many addresses may relay."""
    said = machine.run("pbs-filter", "--status", "--json", status=None)
    return int(json.loads(said)["authorised"]) if said.startswith("{") else -1


def filter_of(machine: Booted) -> str:
    return machine.run("pgrep", "-f", "--", "--confirm=lines", status=None).strip()


def test_it_is_offered_and_taken_back_and_no_login_is_lost_between(machine: Booted) -> None:
    before = machine.shell("cd /etc && find . | sort")
    assert "--setup syslog-ng postfix --apply" in machine.run("pbs-filter", "--setup")
    said = machine.run("pbs-filter", "--setup", "--apply")
    assert "checked: syslog-ng --version" in said
    do_what_it_says(machine, said)
    said = machine.run("pbs-filter", "--doctor")
    assert re.search(r"(?m)^ok +daemon .*: each line is answered$", said), said

    log_in(machine, 0)
    wait_for(lambda: counted(machine) == BURST, "the logins")
    machine.run("kill", "-KILL", filter_of(machine))
    log_in(machine, 1)
    wait_for(lambda: counted(machine) == 2 * BURST, "those of a killed filter")

    # It has become another account, whose processes syslog-ng itself may not kill.
    hanging = filter_of(machine)
    machine.run("kill", "-STOP", hanging)
    log_in(machine, 2)
    wait_for(lambda: counted(machine) == 3 * BURST, "those of one that hangs", REPLACED_SECONDS)
    assert machine.status("kill", "-0", hanging) != 0

    machine.run("mv", PROGRAM, "/root")
    machine.run("kill", "-KILL", filter_of(machine))
    log_in(machine, 3)
    machine.run("systemctl", "restart", "syslog-ng")
    log_in(machine, 4)
    machine.run("systemctl", "reload", "syslog-ng")
    machine.run("mv", "/root/pbs-filter", PROGRAM)
    wait_for(lambda: counted(machine) == 5 * BURST, "those of one that was away", 30)

    said = machine.run("pbs-filter", "--setup", "--undo")
    do_what_it_says(machine, said)
    machine.shell(re.findall(r"when the daemon has been restarted: (rm .*)", said)[0])
    assert before == machine.shell("cd /etc && find . | sort")
    assert not filter_of(machine)
    assert "No such file" in machine.run("ls", "/var/lib/syslog-ng/pbs-filter", status=2)

    # The package is purged while the filter is at work.
    do_what_it_says(machine, machine.run("pbs-filter", "--setup", "syslog-ng-confirmed", "--apply"))
    wait_for(lambda: counted(machine) == 5 * BURST, "the filter")
    machine.run("apt-get", "-q", "-y", "purge", "pbs-filter")
    assert not filter_of(machine)
    assert "active" == machine.run("systemctl", "is-active", "syslog-ng").strip()
    left = [path for name in ("etc", "run", "usr", "var/lib", "var/log") for path in
            (machine.path / name).rglob("*pbs*") if "dpkg" not in str(path)]  # fmt: skip
    assert [] == left
