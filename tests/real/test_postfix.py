"""Postfix: socketmap and policy by spawn(8), a chrooted smtpd, and what it says in trouble."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import smtplib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from .. import hang
from .daemons.process import Process, wait_for
from .mtas import CLIENT, LOCAL, LOOKUP_UID, OTHER_CLIENT, REMOTE, STRANGER, Mta, Sink, hung_socket
from .mtas.contract import Contract, logged
from .mtas.postfix import Postfix

NO = "554 5.7.1 <foo@remote.example>: Relay access denied"


class Policy(Postfix):
    main, master = "main-policy.cf", "master-policy.cf"


class BoundSenders(Policy):
    """As the README has it: only for senders of the user who logged in."""

    def configure(self) -> Sequence[Process]:
        processes = super().configure()
        master = self.root.path / "etc/postfix/master.cf"
        text = master.read_text()
        self.root.write(
            "/etc/postfix/master.cf",
            text.replace("pbs-lookup policy", "pbs-lookup policy --senders=/etc/pbs-senders"),
        )
        self.root.write("/etc/pbs-senders", self.example("postfix/senders"))
        return processes


class Traced(Postfix):
    """As the README has it: header and log name the login."""

    def configure(self) -> Sequence[Process]:
        processes = super().configure()
        for name, part in (("main.cf", "trace.cf"), ("master.cf", "master-trace.cf")):
            text = (self.root.path / "etc/postfix" / name).read_text()
            self.root.write(f"/etc/postfix/{name}", text + self.example(f"postfix/{part}"))
        return processes


def lookups(mta: Mta) -> list[int]:
    """The processes of pbs-lookup that Postfix has started (not the spawn(8) that did so)."""
    return [
        pid
        for pid in mta.root.pids()
        if (words := Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"))[0].endswith(b"python3")
        and words[1] == b"/opt/pbs-filter/bin/pbs-lookup"
    ]


@contextlib.contextmanager
def renamed(path: Path) -> Iterator[None]:
    away = path.with_name("away")
    path.rename(away)
    try:
        yield
    finally:
        away.rename(path)


class TestSocketmap(Contract):
    make = Postfix
    counted_as = ("postfix", "socketmap")
    yes, no = "250 2.1.5 Ok", NO
    later = r"451 4\.3\.5 <unknown\[[0-9.]+\]>: Client host rejected: Server configuration error"

    def test_smtpd_is_chrooted_and_pbs_lookup_is_nobody_special(self, mta: Postfix) -> None:
        mta.allow(CLIENT)
        with mta.client(CLIENT) as smtp:
            smtp.ehlo()
            smtp.mail("bob@example.org")
            smtp.rcpt(REMOTE)
            for pid in lookups(mta):
                assert LOOKUP_UID == Path(f"/proc/{pid}").stat().st_uid
            roots = {
                os.readlink(f"/proc/{pid}/root")
                for pid in mta.root.pids()
                if b"smtpd" in Path(f"/proc/{pid}/cmdline").read_bytes()
            }
        assert {f"{mta.root.path}/var/spool/postfix"} == roots

    @pytest.mark.parametrize(
        ("address", "stored"),
        [
            ("192.0.2.8", "192.0.2.8"),
            ("IPv6:2001:0DB8:0000:0001:0:0:0:00aB", "2001:db8:0:1::ab"),
            ("IPv6:::ffff:192.0.2.9", "192.0.2.9"),
        ],
    )
    def test_clients_anywhere_are_known_by_their_address(
        self, mta: Postfix, address: str, stored: str
    ) -> None:
        assert NO == self.as_client(mta, address)
        mta.allow(stored)
        assert self.yes == self.as_client(mta, address)

    def test_a_name_that_a_client_gives_itself_opens_nothing(self, mta: Postfix) -> None:
        mta.allow("192.0.2.7")
        for name in ("192.0.2.7.evil.example", "mail.evil.example"):
            assert NO == self.as_client(mta, "203.0.113.66", name)

    def as_client(self, mta: Postfix, address: str, name: str = "[UNAVAILABLE]") -> str:
        with mta.client(STRANGER) as smtp:
            smtp.ehlo("client.example")
            assert 220 == smtp.docmd(f"XCLIENT ADDR={address} NAME={name}")[0]
            smtp.ehlo("192.0.2.7")
            smtp.mail("bob@example.org")
            code, text = smtp.rcpt(REMOTE)
            return f"{code} {text.decode()}"

    def test_without_the_service_relaying_waits_and_mail_for_us_comes_in(
        self, mta: Postfix
    ) -> None:
        mta.allow(CLIENT)
        with renamed(mta.root.path / "var/spool/postfix/private/pbs"):
            for pid in lookups(mta):
                os.kill(pid, signal.SIGKILL)
            self.assert_not_now(mta)
            logged(mta, "socketmap:unix:private/pbs")
        assert self.yes == mta.rcpt(CLIENT)

    def test_a_lookup_that_dies_is_replaced_before_anybody_notices(self, mta: Postfix) -> None:
        mta.allow(CLIENT)
        assert self.yes == mta.rcpt(CLIENT)
        for pid in lookups(mta):
            os.kill(pid, signal.SIGKILL)
        assert self.yes == mta.rcpt(CLIENT)

    def test_the_log_says_what_is_wrong_with_the_map(self, mta: Postfix) -> None:
        mta.map.unlink()
        mta.rcpt(CLIENT)
        logged(mta, "map /var/lib/pbs-filter/map.gdbm: No such file or directory")

    def test_postmap_asks_the_same_service(self, mta: Postfix) -> None:
        mta.allow(CLIENT)
        table = "socketmap:unix:/var/spool/postfix/private/pbs:pbs"
        assert "OK\n" == mta.root.run("/usr/sbin/postmap", "-q", CLIENT, table)

    def test_twenty_clients_at_once_do_not_wait_for_each_other(self, mta: Postfix) -> None:
        mta.allow(CLIENT)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(mta.client(CLIENT)) for _ in range(20)]
            for smtp in clients:
                smtp.ehlo("client.example")
                smtp.mail("bob@example.org")
                assert 250 == smtp.rcpt(REMOTE)[0]


class Shared(Postfix):
    """One `pbs-lookup serve` for all smtpd processes, as the README has it."""

    def configure(self) -> Sequence[Process]:
        postfix = super().configure()
        main = self.root.path / "etc/postfix/main.cf"
        self.root.write(
            "/etc/postfix/main.cf",
            main.read_text().replace("unix:private/pbs:", "unix:pbs/socketmap:"),
        )
        self.root.directory("/var/spool/postfix")
        directory = self.root.directory("/var/spool/postfix/pbs", mode=0o750)
        shutil.chown(directory, "root", self.service_accounts[0][1])
        where = "unix:/var/spool/postfix/pbs/socketmap"
        served = self.serve("--user=pbs-lookup", "--group=postfix", f"--socketmap={where}")
        return [served, *postfix]


class TestShared(Contract):
    make = Shared
    counted_as = ("postfix", "socketmap")
    yes, no, later = TestSocketmap.yes, TestSocketmap.no, TestSocketmap.later

    def test_without_the_service_relaying_waits_and_mail_for_us_comes_in(
        self, mta: Postfix
    ) -> None:
        mta.allow(CLIENT)
        assert self.yes == mta.rcpt(CLIENT)
        mta.processes["pbs-lookup"].stop()
        try:
            self.assert_not_now(mta)
        finally:
            mta.processes["pbs-lookup"].start()
        assert self.yes == mta.rcpt(CLIENT)


class TestPolicy(Contract):
    make = Policy
    counted_as = ("postfix", "policy")
    yes, no = "250 2.1.5 Ok", NO
    later = (
        r"451 4\.3\.0 <foo@remote\.example>: Recipient address rejected: "
        r"Cannot check now whether you may relay, try again later"
    )

    def without_the_service(self, mta: Postfix, seconds: int) -> None:
        for source in (CLIENT, STRANGER):
            with hang.ends(seconds):
                assert (
                    "451 4.3.5 <foo@remote.example>: Recipient address rejected: "
                    "Server configuration problem"
                ) == mta.rcpt(source)
        assert mta.rcpt(STRANGER, LOCAL).startswith(self.yes)

    def test_without_the_service_relaying_waits_and_mail_for_us_comes_in(
        self, mta: Postfix
    ) -> None:
        mta.allow(CLIENT)
        with renamed(mta.root.path / "var/spool/postfix/private/pbs-policy"):
            for pid in lookups(mta):
                os.kill(pid, signal.SIGKILL)
            self.without_the_service(mta, 30)
        assert self.yes == mta.rcpt(CLIENT)

    def test_a_lookup_that_dies_is_replaced_before_anybody_notices(self, mta: Postfix) -> None:
        mta.allow(CLIENT)
        assert self.yes == mta.rcpt(CLIENT)
        for pid in lookups(mta):
            os.kill(pid, signal.SIGKILL)
        assert self.yes == mta.rcpt(CLIENT)

    def test_a_service_that_hangs_costs_no_more_than_the_timeout_in_main_cf(
        self, mta: Postfix
    ) -> None:
        mta.allow(CLIENT)
        place = mta.root.path / "var/spool/postfix/private/pbs-policy"
        with renamed(place):
            for pid in lookups(mta):
                os.kill(pid, signal.SIGKILL)
            with hung_socket(mta.root.alias / "var/spool/postfix/private/pbs-policy"):
                self.without_the_service(mta, 50)
            place.unlink()
        assert self.yes == mta.rcpt(CLIENT)

    def test_what_a_client_says_is_not_what_is_asked(self, mta: Postfix) -> None:
        mta.allow("192.0.2.7")
        with mta.client(STRANGER) as smtp:
            smtp.ehlo("client_address=192.0.2.7")
            smtp.mail("client_address=192.0.2.7@example.org")
            assert 554 == smtp.rcpt("client_address=192.0.2.7@remote.example")[0]

    def test_the_log_says_what_is_wrong_and_the_client_is_not_told(self, mta: Postfix) -> None:
        mta.map.unlink()
        assert "/var/lib" not in mta.rcpt(CLIENT)
        logged(mta, "map /var/lib/pbs-filter/map.gdbm: No such file or directory")


class TestBoundSenders:
    @pytest.fixture(scope="class")
    @classmethod
    def mta(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postfix]:
        with BoundSenders(tmp_path_factory.mktemp("senders")) as postfix:
            postfix.allow(CLIENT, user="bob@example.org")
            postfix.allow(OTHER_CLIENT, user="carol@example.org")
            yield postfix

    @pytest.mark.parametrize(
        ("expected", "source", "sender"),
        [
            ("250 2.1.5 Ok", CLIENT, "bob@example.org"),
            ("250 2.1.5 Ok", CLIENT, "Sales@Example.org"),
            (NO, CLIENT, "carol@example.org"),
            (NO, CLIENT, ""),
            (NO, CLIENT, "spammer@evil.example"),
            ("250 2.1.5 Ok", OTHER_CLIENT, "carol@example.org"),
            (NO, OTHER_CLIENT, "sales@example.org"),
            (NO, STRANGER, "bob@example.org"),
        ],
    )
    def test_an_address_relays_only_for_the_senders_of_its_user(
        self, mta: Postfix, expected: str, source: str, sender: str
    ) -> None:
        assert expected == mta.rcpt(source, sender=sender)


def test_a_message_of_an_authorised_client_arrives(tmp_path: Path) -> None:
    with Postfix(tmp_path) as mta, Sink(mta.network) as sink:
        mta.allow(CLIENT)
        message = "From: bob@example.org\r\nTo: foo@remote.example\r\n\r\nfrom the scanner\r\n"
        with mta.client(STRANGER) as smtp, pytest.raises(smtplib.SMTPRecipientsRefused):
            smtp.sendmail("bob@example.org", [REMOTE], message)
        with mta.client(CLIENT) as smtp:
            smtp.sendmail("bob@example.org", [REMOTE], message)
        wait_for(lambda: len(sink.messages) == 1, "the message to arrive", 30)
    assert b"from the scanner" in sink.messages[0]


def test_header_and_log_name_the_login_that_let_a_message_out(tmp_path: Path) -> None:
    with Traced(tmp_path) as mta, Sink(mta.network) as sink:
        mta.allow(CLIENT, user="bob\tsmith@example.org")
        forged = "X-Pop-Before-Smtp: user=nobody\r\nSubject: x\r\n\r\nhello\r\n"
        with mta.client(CLIENT) as smtp:
            smtp.sendmail("bob@example.org", [REMOTE], forged)
        wait_for(lambda: len(sink.messages) == 1, "the message to arrive", 30)
        named = rb"user=bob\?smith@example\.org server=dovecot until=\d+"
        header, _, _ = sink.messages[0].partition(b"\r\n\r\n")
        found = re.findall(rb"(?m)^X-Pop-Before-Smtp: (.*)\r$", header)
        assert 2 == len(found)
        assert re.fullmatch(named, found[0]), "the first is ours: the other is the client's"
        logged(mta, "pop-before-smtp user=bob?smith@example.org server=dovecot until=")
        # It lets nobody relay, and its own trouble stops no mail.
        assert NO == mta.rcpt(STRANGER)
        with mta.client(STRANGER) as smtp:
            smtp.sendmail("eve@example.net", [LOCAL], "Subject: x\r\n\r\nhello\r\n")
        with renamed(mta.root.path / "var/spool/postfix/private/pbs-header"):
            with mta.client(CLIENT) as smtp:
                smtp.sendmail("bob@example.org", [REMOTE], forged)
            wait_for(lambda: len(sink.messages) == 2, "the second message to arrive", 30)


class Postfix13(Postfix):
    """Postfix 3.10 of Debian 13, which fills its chroot by a program in Perl."""

    suite = "trixie"
    packages = (*Postfix.packages, "perl-base")


class TestSocketmapOfDebian13(TestSocketmap):
    make = Postfix13
