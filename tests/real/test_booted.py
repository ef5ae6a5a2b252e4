"""--setup journal on booted machines without a syslog daemon, with Debian 12's systemd and 13's."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .booted import Booted
from .daemons.process import wait_for
from .mtas import CLIENT, SERVER, STRANGER
from .packages import CHECKOUT

LOGIN = f"imap-login: Login: user=<bob>, method=PLAIN, rip={CLIENT}, lip={SERVER}, mpid=7, TLS"
UNIT = "pbs-filter-journal"
BROKEN = f"""\
mkdir -p /run/systemd/system/{UNIT}.service.d
cat >/run/systemd/system/{UNIT}.service.d/broken.conf <<'END'
[Service]
ExecStart=
ExecStart=/bin/sh -c "echo it is broken >&2; exit 3"
Restart=no
END
systemctl daemon-reload
systemctl restart {UNIT}
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = subprocess.run(
        [CHECKOUT / "examples/debian/build", tmp_path_factory.mktemp("package")],
        check=True, stdout=subprocess.PIPE, text=True,
    ).stdout.strip()  # fmt: skip
    return Path(built)


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def booted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Booted]:
    """A machine for both tests: each leaves nothing of the package behind, as it shows itself."""
    with Booted(
        tmp_path_factory.mktemp("machine"),
        suite=request.param,
        addresses=[CLIENT, STRANGER, SERVER],
    ) as machine:
        yield machine


@pytest.fixture
def machine(booted: Booted, package: Path) -> Booted:
    booted.install(package)
    return booted


def findings(machine: Booted) -> dict[str, tuple[str, str, list[str]]]:
    said = machine.run("pbs-filter", "--doctor", "--json", status=None)
    return {f["subject"]: (f["state"], f["text"], f["todo"]) for f in json.loads(said)["findings"]}


def may_relay(machine: Booted, address: str) -> bool:
    return machine.status("runuser", "-u", "pbs-lookup", "--", "pbs-lookup", "check", address) == 0


def test_the_journal_is_set_up_used_looked_at_and_taken_back(machine: Booted) -> None:
    said = machine.run("pbs-filter", "--setup")
    assert "--setup journal postfix --apply" in said
    machine.run("logger", "-t", "dovecot", LOGIN)

    said = machine.run("pbs-filter", "--setup", "--apply")
    assert 'servers = ["dovecot"]' in said
    for command in said.partition("what it read before):\n")[2].partition("\n\n")[0].splitlines():
        machine.shell(command)
    wait_for(lambda: may_relay(machine, CLIENT), "the login from before the start")
    assert not may_relay(machine, STRANGER)
    found = findings(machine)
    assert "ok" == found["feed"][0], found
    assert "ok" == found["forgery"][0], found
    assert "ok" == found["daemon"][0], found
    # bob cannot speak for the server.
    machine.run("useradd", "bob")
    forged = LOGIN.replace(CLIENT, STRANGER)
    machine.run("runuser", "-u", "bob", "--", "logger", "-t", "dovecot", forged)
    wait_for(lambda: "bob" in machine.run("pbs-filter", "--status"), "the forged line")
    assert not may_relay(machine, STRANGER)
    machine.run("userdel", "bob")

    # A mistake in the configuration is named, does not end the unit, and heals when it is mended.
    settings = machine.path / "etc/pbs-filter.d/90-local.toml"
    settings.write_text("grase_seconds = 7\n")
    machine.run("systemctl", "restart", UNIT)
    log = machine.path / "var/log/pbs-filter.log"
    wait_for(lambda: "grase_seconds" in log.read_text(), "its words")
    assert "active" == machine.run("systemctl", "is-active", UNIT).strip()
    settings.unlink()
    wait_for(lambda: machine.status("pbs-filter", "--status") == 0, "the filter", 30)

    # What ends it is shown, with the program's own last words.
    machine.shell(BROKEN)
    wait_for(
        lambda: "failed" in machine.run("systemctl", "is-active", UNIT, status=None), "its end"
    )
    found = findings(machine)
    assert "wrong" == found["unit"][0], found
    assert "failed, exit-code, exit status 3" in found["unit"][1], found
    assert "the log ends with 'it is broken'" in found["feed"][1], found
    machine.shell(f"rm -r /run/systemd/system/{UNIT}.service.d; systemctl daemon-reload")
    machine.run("systemctl", "restart", UNIT)

    said = machine.run("pbs-filter", "--setup", "--undo")
    assert "enable" not in said
    assert "inactive" == machine.run("systemctl", "is-active", UNIT, status=None).strip()
    assert [] == list((machine.path / "etc/systemd/system").rglob(f"{UNIT}*"))
    machine.run("apt-get", "-q", "-y", "purge", "pbs-filter")
    left = [path for name in ("etc", "run", "usr", "var/lib", "var/log") for path in
            (machine.path / name).rglob("*pbs*") if "dpkg" not in str(path)]  # fmt: skip
    assert [] == left


def test_the_socket_unit_is_stopped_and_leaves_nothing(machine: Booted) -> None:
    machine.run("pbs-filter", "--setup", "journal", "postfix", "--apply")
    machine.run("systemctl", "enable", "--now", "pbs-lookup.socket")
    machine.run("apt-get", "-q", "-y", "purge", "pbs-filter")
    assert [] == list((machine.path / "etc/systemd/system").rglob("pbs*"))
    assert "pbs-lookup" not in machine.run("ls", "/run")
    assert "pbs" not in machine.run("systemctl", "list-units", "--all", "--no-legend")
