"""Mail that arrives: Postfix's ports, limits, postscreen and OpenDKIM with examples/ as shipped."""

from __future__ import annotations

import os
import shlex
import signal
import smtplib
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pbs_filter.export import formats

from .daemons.process import Process, wait_for
from .mtas import (
    CLIENT,
    IPV6_CLIENT,
    IPV6_SERVER,
    LOCAL,
    OTHER_CLIENT,
    REMOTE,
    SERVER,
    STRANGER,
    Sink,
    _Smtp,
)
from .mtas.postfix import Postfix
from .packages import install

LIST = "/var/lib/pbs-filter/relay.cidr"
HOSTS = "/var/lib/pbs-opendkim/hosts"
DKIM_UID, LIMIT_UID = 61281, 61282
YES, NO = 250, 554
MESSAGES = 10
"""As master-ports.cf has it, for a minute."""
RECIPIENTS = 4
"""What policyd-rate-limit lets through here."""

POSTSCREEN = """\
smtp      inet  n       -       y       -       1       postscreen
smtpd     pass  -       -       y       -       -       smtpd
dnsblog   unix  -       -       y       -       0       dnsblog
tlsproxy  unix  -       -       y       -       0       tlsproxy
"""
MAIN = """\
smtpd_tls_cert_file = /etc/tls.pem
smtpd_tls_key_file = /etc/tls.pem
smtpd_milters = unix:opendkim/socket
milter_default_action = tempfail
postscreen_greet_action = enforce
postscreen_greet_wait = 1s
postscreen_cache_map =
"""
JAIL = """\
[postfix]
enabled = true
backend = polling
logpath = /var/log/mail.log
maxretry = 2
findtime = 1h
banaction = nothing
action = nothing
"""
DKIM = """\
Domain example.org
Selector mail
KeyFile /etc/dkimkeys/mail.private
Socket local:/var/spool/postfix/opendkim/socket
UMask 000
UserID opendkim
Syslog yes
"""


class Mail(Postfix):
    """At port 25 postscreen, at 587 and 465 smtpd, and behind it OpenDKIM."""

    packages = (
        *Postfix.packages, "opendkim", "opendkim-tools", "policyd-rate-limit", "fail2ban",
    )  # fmt: skip
    service_accounts = (
        *Postfix.service_accounts, ("opendkim", DKIM_UID), ("policyd-rate-limit", LIMIT_UID)
    )  # fmt: skip
    main = "main-ports.cf"

    def configure(self) -> Sequence[Process]:
        processes = super().configure()
        master = (self.root.path / "etc/postfix/master.cf").read_text()
        first = next(line for line in master.splitlines(True) if line.startswith("smtp "))
        self.root.write(
            "/etc/postfix/master.cf",
            master.replace(first, POSTSCREEN, 1) + self.example("postfix/master-ports.cf"),
        )
        main = (self.root.path / "etc/postfix/main.cf").read_text()
        # The recipients of one more client are limited by policyd-rate-limit, as the README has it.
        asks = "    check_client_access socketmap:unix:private/pbs:pbs,\n"
        assert asks in main
        limit = "    check_policy_service { unix:ratelimit/policy, default_action=DUNNO },\n"
        main = main.replace(asks, limit + asks)
        self.root.write("/etc/postfix/main.cf", main + MAIN + self.example("filters/postscreen.cf"))
        self.root.write("/etc/tls.pem", _certificate(self.directory))
        self.listed()
        return [self._dkim(), self._limit(), self._fail2ban(), *processes]

    def _dkim(self) -> Process:
        self.root.directory("/etc/dkimkeys", owner=DKIM_UID, mode=0o700)
        self.root.run("/usr/bin/openssl", "genrsa", "-out", "/etc/dkimkeys/mail.private", "1024")
        os.chown(self.root.path / "etc/dkimkeys/mail.private", DKIM_UID, DKIM_UID)
        self.root.write("/etc/opendkim-hosts", self.example("filters/opendkim-hosts"))
        self.root.directory(HOSTS.rpartition("/")[0])
        self.dkim_hosts()
        self.root.write("/etc/opendkim.conf", DKIM + self.example("filters/opendkim.conf"))
        self.root.directory("/var/spool/postfix")
        self.root.directory("/var/spool/postfix/opendkim", owner=DKIM_UID)
        process = self.process("/usr/sbin/opendkim", "-f", name="opendkim")
        process.ready = lambda: self._answers("/var/spool/postfix/opendkim/socket")
        return process

    def _limit(self) -> Process:
        shipped = (self.root.path / "etc/policyd-rate-limit.yaml").read_text()
        ours = self.example("filters/policyd-rate-limit.yaml")
        for line in ours.splitlines():
            name = line.partition(":")[0]
            if not line.startswith(("#", " ")) and name != "limits":
                before = next(row for row in shipped.splitlines() if row.startswith(f"{name}:"))
                shipped = shipped.replace(before, line)
        shipped = shipped.replace("    - [10, 60]", f"    - [{RECIPIENTS}, 3600]")
        # Only the one client, so that the others' tests are not limited.
        shipped = shipped.replace('["0.0.0.0/0", "::/0"]', f'["{OTHER_CLIENT}/32"]')
        self.root.write("/etc/policyd-rate-limit.yaml", shipped)
        process = self.process("/usr/bin/policyd-rate-limit", name="policyd-rate-limit")
        process.ready = lambda: self._answers("/var/spool/postfix/ratelimit/policy")
        return process

    def _fail2ban(self) -> Process:
        jail = self.example("filters/fail2ban.conf")
        self.root.write("/etc/fail2ban/jail.d/pbs-filter.local", jail)
        self.root.write("/etc/fail2ban/jail.d/defaults-debian.conf", JAIL)
        self.root.write("/etc/fail2ban/action.d/nothing.conf", "[Definition]\nactionban = true\n")
        self.root.write("/var/log/mail.log", "")
        for directory in ("/run/fail2ban", "/var/lib/fail2ban"):
            self.root.directory(directory)
        process = self.process("/usr/bin/fail2ban-server", "-f", "-x", "start", name="fail2ban")
        process.ready = lambda: "Jail 'postfix' started" in self.banned()
        return process

    def banned(self) -> str:
        """fail2ban's log."""
        log = self.root.path / "var/log/fail2ban.log"
        return log.read_text() if log.exists() else ""

    def listed(self, *addresses: str) -> None:
        """Put them into the list, as the exporter does."""
        text = formats.FORMATS["cidr"].render([(each, 0) for each in addresses]).decode()
        self.root.write(LIST, text)

    def dkim_hosts(self) -> None:
        """The first command of pbs-opendkim.service, as systemd runs it."""
        unit = self.example("filters/pbs-opendkim.service")
        command = next(
            line.partition("=")[2] for line in unit.splitlines() if line.startswith("ExecStart=")
        )
        self.root.run(*shlex.split(command))

    def dkim_reload(self) -> None:
        """The second: what `systemctl reload opendkim` does, by Debian's unit."""
        unit = (self.root.path / "usr/lib/systemd/system/opendkim.service").read_text()
        assert "ExecReload=/bin/kill -USR1 $MAINPID" in unit
        os.kill(self.processes["opendkim"].pid, signal.SIGUSR1)

    def _listens(self) -> bool:
        rows = Path(f"/proc/{self.network.pid}/net/tcp").read_text()
        return all(f":{port:04X} 00000000:0000 0A" in rows for port in (25, 465, 587))

    def at(self, port: int, source: str) -> smtplib.SMTP:
        """A client's connection to `port`, by TLS at 465."""
        server = IPV6_SERVER if ":" in source else SERVER
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE

        def connect() -> smtplib.SMTP:
            if port == 465:
                return smtplib.SMTP_SSL(
                    server, port, source_address=(source, 0), timeout=60, context=context
                )
            return _Smtp(server, port, source_address=(source, 0), timeout=60)

        return self.network.inside(connect)

    def told(self, port: int, source: str, recipient: str = REMOTE) -> int:
        """The code of the reply to RCPT."""
        with self.at(port, source) as smtp:
            smtp.ehlo("client.example")
            smtp.mail("bob@example.org")
            return smtp.rcpt(recipient)[0]

    def greeted(self, source: str) -> str:
        """The first line to a client that does not wait for it: 220- while it is being tested."""

        def talk() -> str:
            server = IPV6_SERVER if ":" in source else SERVER
            with socket.create_connection((server, 25), 60, (source, 0)) as sock:
                sock.sendall(b"EHLO client.example\r\n")
                with sock.makefile("rb") as replies:
                    return replies.readline().decode()

        return self.network.inside(talk)


def _certificate(directory: Path) -> str:
    install("openssl")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=mx1.lab.test",
         "-keyout", directory / "key", "-out", directory / "cert"],
        check=True, capture_output=True,
    )  # fmt: skip
    return (directory / "key").read_text() + (directory / "cert").read_text()


@pytest.fixture(scope="module")
def mta(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mail]:
    with Mail(tmp_path_factory.mktemp("mail")) as mail:
        yield mail


@pytest.fixture(autouse=True)
def _fresh_map(mta: Mail) -> None:
    mta.clear()
    mta.listed()


# ---------------------------------------------------------------------- ports


@pytest.mark.parametrize("source", [CLIENT, IPV6_CLIENT])
def test_the_map_lets_relay_at_587_and_465_and_never_at_25(mta: Mail, source: str) -> None:
    assert [NO, NO, NO] == [mta.told(port, source) for port in (25, 465, 587)]
    mta.allow(source)
    assert [NO, YES, YES] == [mta.told(port, source) for port in (25, 465, 587)]
    assert NO == mta.told(587, STRANGER)


def test_mail_for_us_comes_in_at_25_alone(mta: Mail) -> None:
    assert [YES, NO, NO] == [mta.told(port, STRANGER, LOCAL) for port in (25, 465, 587)]


def test_without_the_service_users_wait_and_mail_for_us_comes_in(mta: Mail) -> None:
    mta.map.unlink()
    assert 451 == mta.told(587, CLIENT)
    assert YES == mta.told(25, STRANGER, LOCAL)


# ---------------------------------------------------------------------- postscreen


@pytest.mark.parametrize("source", [CLIENT, IPV6_CLIENT])
def test_postscreen_does_not_test_whom_the_map_lets_relay(mta: Mail, source: str) -> None:
    assert mta.greeted(source).startswith("220-")
    mta.allow(source)
    assert mta.greeted(source).startswith("220 ")
    assert mta.greeted(STRANGER).startswith("220-")


def test_postscreen_tests_everybody_where_the_map_cannot_be_read(mta: Mail) -> None:
    mta.allow(CLIENT)
    mta.map.unlink()
    assert mta.greeted(CLIENT).startswith("220-")


# ---------------------------------------------------------------------- OpenDKIM


def test_opendkim_signs_for_the_addresses_in_the_list_once_it_is_told(mta: Mail) -> None:
    def signed(source: str) -> bool:
        mta.allow(source)
        with Sink(mta.network) as sink, mta.at(587, source) as smtp:
            text = "From: bob@example.org\r\nSubject: x\r\n\r\nhello\r\n"
            smtp.sendmail("bob@example.org", [REMOTE], text)
            wait_for(lambda: len(sink.messages) == 1, "the message to arrive", 60)
            return b"\nDKIM-Signature: v=1; a=rsa-sha256;" in b"\n" + sink.messages[0]

    def listed(*addresses: str) -> None:
        mta.listed(*addresses)
        mta.dkim_hosts()

    assert [False, False] == [signed(CLIENT), signed(IPV6_CLIENT)]
    listed(CLIENT, IPV6_CLIENT)
    assert not signed(CLIENT), "hence the reload"
    mta.dkim_reload()
    assert [True, True, False] == [signed(each) for each in (CLIENT, IPV6_CLIENT, STRANGER)]
    listed(IPV6_CLIENT)
    mta.dkim_reload()
    assert [False, True] == [signed(CLIENT), signed(IPV6_CLIENT)]


# ---------------------------------------------------------------------- fail2ban


def test_fail2ban_bans_nobody_who_may_relay_now(mta: Mail) -> None:
    refused = "NOQUEUE: reject: RCPT from unknown[{}]: 554 5.7.1 <foo@remote.example>: Relay access"
    for source in (CLIENT, STRANGER):
        mta.told(25, source)
        mta.told(25, source)
    mta.allow(CLIENT)
    wait_for(lambda: _count(mta.log(), refused.format(STRANGER)) >= 2, "the refusals", 30)
    lines = [line for line in mta.log() if "NOQUEUE: reject: RCPT" in line]
    with (mta.root.path / "var/log/mail.log").open("a") as log:
        log.writelines(line.rstrip("\n") + "\n" for line in lines)
    wait_for(lambda: f"[postfix] Ban {STRANGER}" in mta.banned(), "the ban", 60)
    wait_for(lambda: f"[postfix] Ignore {CLIENT} by command" in mta.banned(), "no ban", 60)
    assert f"Ban {CLIENT}" not in mta.banned()


def _count(lines: Sequence[str], text: str) -> int:
    return sum(text in line for line in lines)


# ---------------------------------------------------------------------- limits


def test_policyd_limits_the_recipients_of_an_address(mta: Mail) -> None:
    mta.allow(OTHER_CLIENT)
    with mta.at(587, OTHER_CLIENT) as smtp:
        smtp.ehlo("client.example")
        smtp.mail("bob@example.org")
        codes = [smtp.rcpt(f"{number}@remote.example")[0] for number in range(RECIPIENTS + 2)]
    assert [YES] * RECIPIENTS + [450] * 2 == codes


def test_anvil_limits_the_messages_of_an_address(mta: Mail) -> None:
    mta.allow(CLIENT)
    accepted = 0
    with mta.at(587, CLIENT) as smtp:
        smtp.ehlo("client.example")
        while (reply := smtp.mail("bob@example.org"))[0] == YES:
            accepted += 1
            smtp.rset()
    assert (450, b"4.7.1 Error: too much mail from 192.0.2.7") == reply
    # A minute may have ended meanwhile, and earlier tests may have sent in it.
    assert 0 < accepted <= 2 * MESSAGES
    assert YES == mta.told(465, CLIENT), "each service counts for itself"
