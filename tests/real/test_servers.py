"""Real servers: what the filter authorises equals what the clients saw, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .daemons.courier import Courier, Courier14
from .daemons.cyrus import Cyrus, Cyrus310
from .daemons.dovecot import Dovecot, Dovecot24
from .daemons.imapproxy import Imapproxy
from .daemons.mailfront import Mailfront
from .daemons.mailutils import Mailutils
from .daemons.nginx import Nginx
from .daemons.perdition import Perdition
from .daemons.popa3d import Popa3d
from .daemons.rsyslog import FORMATS
from .daemons.server import Server
from .daemons.solid_pop3d import SolidPop3d
from .packages import CHECKOUT
from .roots import ODD_ACCOUNTS
from .scenario import ATTACKER, CANARY, Seen, play

EXAMPLES = CHECKOUT / "examples/dovecot"


class DovecotEvents(Dovecot):
    """Both feeds at once, with the shipped configuration."""

    more = (EXAMPLES / "events-2.3.conf").read_text()


class DovecotEvents24(Dovecot24):
    """The same of Debian 13."""

    more = (EXAMPLES / "events-2.4.conf").read_text()


SERVERS: list[type[Server]] = [
    Dovecot,
    Dovecot24,
    DovecotEvents,
    DovecotEvents24,
    Courier,
    Courier14,
    Cyrus,
    Cyrus310,
    Mailutils,
    Popa3d,
    SolidPop3d,
    Perdition,
    Nginx,
    Imapproxy,
    Mailfront,
]

FILTER = """
import pwd, sys
from types import SimpleNamespace
with open(sys.argv.pop(1)) as passwd:
    uids = {name: int(uid) for name, _, uid, *_ in (line.split(":") for line in passwd)}
pwd.getpwnam = lambda name: SimpleNamespace(pw_uid=uids[name])
from pbs_filter.cli import main
sys.exit(main())
"""
"""pbs-filter as it runs on the server's own machine: with the accounts of its private root."""


class Run:
    """A server's lines after `play`, and what the filter makes of them."""

    def __init__(self, server: Server, seen: Seen, directory: Path) -> None:
        self.server = server
        self.seen = seen
        self.directory = directory
        self.config = directory / "pbs-filter.toml"
        self.expected = {
            (address, user if server.names_user else "", protocol)
            for address, user, protocol in seen.accepted
            if not server.is_own_address(address)
        }
        self.config.write_text(
            f'map = "{directory}/map.gdbm"\nlocal_networks = []\n{server.settings()}'
        )

    def filter(self, form: str, *options: str) -> str:
        """What pbs-filter says to the lines in this form."""
        passwd = self.server.root.path / "etc/passwd"
        command = [sys.executable, "-c", FILTER, str(passwd), "--config", str(self.config)]
        done = subprocess.run(
            [*command, *options],
            input=b"".join(line + b"\n" for line in self.server.lines(form)),
            stdout=subprocess.PIPE,
            cwd=CHECKOUT,
            check=True,
        )
        return done.stdout.decode()

    def explained(self, form: str) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.filter(form, "--explain", "--json").splitlines()]


@pytest.fixture(scope="module", params=SERVERS, ids=lambda server: server.__name__)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    directory = tmp_path_factory.mktemp(request.param.name)
    with request.param(directory) as server:
        seen = play(server)
        server.stop()
        yield Run(server, seen, directory)


@pytest.mark.parametrize("form", FORMATS)
def test_the_filter_reads_every_login_and_no_other(run: Run, form: str) -> None:
    fields = 2 if form == "rfc5424" and not run.server.protocol_in_rfc5424 else 3
    expected = {login[:fields] for login in run.expected}
    logins = {
        (event["address"], event["user"], event["protocol"])[:fields]
        for event in run.explained(form)
        if event["event"] == "login" and event["reason"] is None
    }
    if run.server.logs_refused_mailboxes:
        odd = {account.name for account in ODD_ACCOUNTS}
        logins -= {login for login in logins - expected if login[1] in odd}
    if form != "json" and run.server.text_hides_pieces:
        assert logins <= expected
        return
    assert expected == logins


def test_odd_names_are_let_in_and_found(run: Run) -> None:
    """What each server takes is its own affair; whom it took, the other tests look for."""
    names = {account.name for account in ODD_ACCOUNTS}
    for protocol in run.server.protocols:
        let_in = {user for _, user, spoken in run.seen.accepted if spoken == protocol} & names
        assert len(let_in) >= run.server.odd_names


def test_the_list_has_who_was_let_in_and_nobody_holds_it_open(run: Run) -> None:
    """All sessions are over, dropped ones too: only the grace is left."""
    run.filter("json")
    listed = json.loads(run.filter("json", "--list", "--json"))
    authorised = {row["address"] for row in listed}
    let_in = {address for address, _, _ in run.expected}
    assert let_in == authorised if not run.server.logs_refused_mailboxes else let_in <= authorised
    assert {0} == {row["open_sessions"] for row in listed}


@pytest.mark.parametrize(
    "name",
    [
        "alice>, method=plain, rip=203.0.113.66, lip=192.0.2.1, mpid=77, session=<abc",
        "alice>, method=plain, rip=203.0.113.66",
        "alice>, rip=203.0.113.66, session=<" + "a" * 44,  # Dovecot cuts it after 80 bytes
    ],
)
def test_an_account_whose_name_imitates_a_line_gets_no_other_address_in(
    tmp_path: Path, name: str
) -> None:
    """Dovecot lets an administrator create such accounts, and logs their logins as they are."""
    with Dovecot(tmp_path) as server:
        server.root.write("/etc/dovecot/users", f"{name}:{{PLAIN}}evil:61009:61009::/tmp::\n")
        client = server.client("imap", source=ATTACKER)
        assert client.login(name, "evil")
        client.logout()
        server.stop()
        run = Run(server, Seen(), tmp_path)
        for form in FORMATS:
            logins = {event["address"] for event in run.explained(form) if event["address"]}
            assert logins <= {ATTACKER}, form


@pytest.mark.parametrize("form", FORMATS)
def test_no_hostile_text_gets_anybody_in(run: Run, form: str) -> None:
    assert ATTACKER in run.seen.refused
    authorised = {event["address"] for event in run.explained(form) if event["event"] == "login"}
    assert not authorised & {CANARY, *run.seen.refused}
