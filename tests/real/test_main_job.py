"""The main job: a real login, through a real syslog daemon, into the map, listed, and gone again.

Dovecot and popa3d write to their own /dev/log; rsyslogd reads it with the shipped
rsyslog/pbs-filter.conf, which starts pbs-filter and waits for its answers.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .clients import Client
from .daemons.dovecot import Dovecot
from .daemons.popa3d import Popa3d
from .daemons.process import wait_for
from .daemons.server import Server
from .roots import ACCOUNTS
from .scenario import ALICE, BOB, CAROL
from .shipped import Installed, shipped

GRACE_SECONDS = 2
SOON_SECONDS = 1.0
"""From a login to its line in --list; the promise of issue 2."""

Listed = dict[str, tuple[str, str, int]]
"""User, protocol and open sessions by address."""


class Site:
    """One mail server with its syslog daemon and filter, as an administrator sets it up."""

    def __init__(self, make: type[Server], directory: Path) -> None:
        # The accounts of the server's private root are not this machine's: by their numbers.
        uids = [uid for _, uid in make.service_accounts]
        if make.writes_as_user:
            uids += [account.uid for account in ACCOUNTS]
        self.installed = Installed(
            directory / "installed",
            f"grace_seconds = {GRACE_SECONDS}\n"
            "local_networks = []\n"
            "require_vouched = true\n"
            f"trusted_accounts = {{ {make.name} = {uids} }}\n",
        )
        self.server = make(
            directory, rules=shipped("rsyslog/pbs-filter.conf", self.installed.paths)
        )

    def list(self) -> Listed:
        """What `pbs-filter --list --json` says now."""
        done = subprocess.run(
            [str(self.installed.program), "--list", "--json"], capture_output=True, check=False
        )
        if done.returncode != 0:
            return {"": (done.stderr.decode(), "", 0)}
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return {
            row["address"]: (row["user"], row["protocol"], row["open_sessions"]) for row in rows
        }

    def wait_for(self, expected: Listed, seconds: float = SOON_SECONDS) -> None:
        """Return when --list says exactly `expected`; fail after `seconds`, with the log."""
        seen: list[Listed] = [{}]

        def there() -> bool:
            seen[0] = self.list()
            return expected == seen[0]

        try:
            wait_for(there, "the list", seconds)
        except AssertionError:
            assert expected == seen[0], self.installed.said()

    def login(self, protocol: str, last: int, user: Any, password: str | None = None) -> Client:
        """A client at 127.0.0.`last` that tries to log in."""
        client = self.server.client(protocol, source=f"127.0.0.{last}")
        assert (password is None) == client.login(user.name, password or user.password)
        return client


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    made = Site(request.param, tmp_path)
    with made.server:
        # The first line starts the filter; wait for it, to measure logins and not Python's start.
        made.server.client("pop3", source="127.0.0.99").logout()
        wait_for(made.installed.map.exists, "the filter's map")
        yield made


@pytest.mark.parametrize("site", [Dovecot], indirect=True)
def test_dovecot_logins_are_listed_within_a_second_and_end_without_a_line(site: Site) -> None:
    alice = site.login("imap", 11, ALICE)
    site.wait_for({"127.0.0.11": ("alice", "imap", 1)})
    bob = site.login("pop3", 12, BOB)
    alice_again = site.login("pop3", 11, ALICE)
    site.login("imap", 21, BOB, "wrong").logout()
    site.login("pop3", 22, CAROL, "wrong").logout()
    carol = site.login("imap", 13, CAROL)
    site.wait_for(
        {
            "127.0.0.11": ("alice", "pop3", 2),
            "127.0.0.12": ("bob", "pop3", 1),
            "127.0.0.13": ("carol", "imap", 1),
        }
    )
    # Open sessions hold their addresses beyond the grace.
    wait_until = time.monotonic() + GRACE_SECONDS + 1
    wait_for(lambda: time.monotonic() > wait_until, "the grace to pass")
    bob.logout()
    alice.logout()
    site.wait_for(
        {
            "127.0.0.11": ("alice", "pop3", 1),
            "127.0.0.12": ("bob", "pop3", 0),
            "127.0.0.13": ("carol", "imap", 1),
        }
    )
    alice_again.logout()
    carol.drop()
    # Every connection is over: from here on Dovecot has nothing to write.
    site.wait_for({}, GRACE_SECONDS + 2)


@pytest.mark.parametrize("site", [Popa3d], indirect=True)
def test_popa3d_logins_of_two_lines_are_listed_within_a_second_and_end_without_a_line(
    site: Site,
) -> None:
    first, second = site.login("pop3", 11, ALICE), site.login("pop3", 12, BOB)
    site.login("pop3", 21, CAROL, "wrong").close()
    site.wait_for({"127.0.0.11": ("alice", "pop3", 1), "127.0.0.12": ("bob", "pop3", 1)})
    second.logout()
    site.wait_for({"127.0.0.11": ("alice", "pop3", 1), "127.0.0.12": ("bob", "pop3", 0)})
    first.drop()
    site.wait_for({}, GRACE_SECONDS + 2)
