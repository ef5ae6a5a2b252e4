"""The whole chain: a POP3 login at Dovecot, through a syslog daemon, a message relayed by Postfix.

Nothing stands in for anything: Dovecot and Postfix run in private roots of their own, the syslog
daemon is the shipped configuration's, the filter writes the map that Postfix's pbs-lookup reads,
and the message is delivered to a sink. Refused before the login and after the grace.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .daemons.dovecot import Dovecot
from .daemons.process import wait_for
from .daemons.syslog_ng import SyslogNg
from .mtas import REMOTE, STRANGER, Sink
from .mtas.postfix import Postfix
from .scenario import BOB
from .shipped import Installed, shipped

CLIENT = "127.0.0.11"
"""One address in both worlds: the loopback network of Dovecot's host, and of Postfix's namespace,
where it is a client like any other."""
GRACE_SECONDS = 4
REFUSED = f"554 5.7.1 <{REMOTE}>: Relay access denied"


class Chain:
    """Postfix, Dovecot and one syslog daemon, and a filter between them."""

    def __init__(self, directory: Path, postfix: Postfix, sink: Sink) -> None:
        self.postfix = postfix
        self.sink = sink
        # The filter's own map, in Postfix's root; what is made there belongs to the lookups' group.
        place = postfix.map.parent
        for left in place.iterdir():
            left.unlink()
        shutil.chown(place, 0, postfix.map_group)
        place.chmod(0o2750)
        self.installed = Installed(directory / "installed")
        self.installed.map = postfix.map
        self.installed.config.write_text(
            f'map = "{postfix.map}"\ngrace_seconds = {GRACE_SECONDS}\nlocal_networks = []\n'
            "max_session_seconds = 0\nrequire_vouched = true\n"
        )

    def log_in(self, dovecot: Dovecot) -> None:
        client = dovecot.client("pop3", source=CLIENT)
        assert client.login(BOB.name, BOB.password)
        client.logout()

    def send(self, source: str) -> str:
        """Send a message to somebody elsewhere: what Postfix says to its recipient."""
        with self.postfix.client(source) as smtp:
            smtp.ehlo("scanner.example")
            smtp.mail("bob@example.org")
            code, text = smtp.rcpt(REMOTE)
            if code == 250:
                assert smtp.data(b"Subject: a scan\r\n\r\nfrom " + source.encode())[0] == 250
            return f"{code} {text.decode()}"

    def relays(self) -> bool:
        return self.send(CLIENT).startswith("250")

    def run(self, dovecot: Dovecot) -> None:
        # The first line starts the filter; before it has made a map Postfix is told "not now".
        dovecot.client("pop3", source="127.0.0.99").close()
        wait_for(self.installed.map.exists, "the filter's map")
        wait_for(lambda: self.send(CLIENT) == REFUSED, "the answer no")
        self.log_in(dovecot)
        wait_for(self.relays, "the relay to be open")
        assert REFUSED == self.send(STRANGER)
        wait_for(lambda: self.sink.messages, "the message at the sink")
        assert b"from 127.0.0.11" in self.sink.messages[0]
        wait_for(lambda: not self.relays(), "the end of the grace")
        assert REFUSED == self.send(CLIENT)


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    directory = tmp_path / "postfix"
    directory.mkdir()
    with Postfix(directory) as postfix, Sink(postfix.network) as sink:
        yield Chain(tmp_path, postfix, sink)


def test_through_rsyslog(chain: Chain, tmp_path: Path) -> None:
    rules = shipped("rsyslog/pbs-filter.conf", chain.installed.paths)
    directory = tmp_path / "dovecot"
    directory.mkdir()
    with Dovecot(directory, rules=rules) as dovecot:
        chain.run(dovecot)


def test_through_syslog_ng(chain: Chain, tmp_path: Path) -> None:
    directory = tmp_path / "dovecot"
    directory.mkdir()
    with Dovecot(directory) as dovecot:
        # The same /dev/log of Dovecot's root, read by syslog-ng from here on.
        dovecot.syslog.stop()
        log = dovecot.root.alias / "dev/log"
        log.unlink(missing_ok=True)
        daemon = SyslogNg(
            tmp_path / "syslog-ng",
            "options { use-dns(no); };\n"
            f'source s_src {{ unix-dgram("{log}" perm(0666)); internal(); }};\n'
            + shipped("syslog-ng/pbs-filter/plugin.conf", chain.installed.paths)
            + shipped("syslog-ng/log-path.conf", {}),
        )
        daemon.start()
        try:
            chain.run(dovecot)
        finally:
            daemon.stop()
