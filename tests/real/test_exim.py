"""Exim: the socketmap protocol through readsocket, an exported cdb, and one process a question."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pbs_filter.export import formats as export

from .daemons.process import Process
from .mtas import CLIENT, EXAMPLES, IPV6_CLIENT, LOCAL, STRANGER, Mta, hung_socket
from .mtas.contract import Contract
from .mtas.exim import Exim

NO = "550 relay not permitted"


def main_log(mta: Mta) -> str:
    return (mta.root.path / "var/log/exim4/mainlog").read_text()


class TestReadsocket(Contract):
    make = Exim
    counted_as = ("exim", "socketmap")
    yes, no = "250 Accepted", NO
    later = "451 Cannot check now whether you may relay, try again later"

    def test_without_the_service_relaying_waits_and_mail_for_us_comes_in(self, mta: Exim) -> None:
        mta.allow(CLIENT)
        mta.processes["pbs-lookup"].stop()
        try:
            self.assert_not_now(mta)
        finally:
            mta.processes["pbs-lookup"].start()
        assert "failed to connect to socket /run/pbs-lookup/socketmap" in main_log(mta)
        assert self.yes == mta.rcpt(CLIENT)

    def test_a_service_that_hangs_costs_two_seconds(self, mta: Exim) -> None:
        mta.allow(CLIENT)
        mta.processes["pbs-lookup"].stop()
        try:
            with hung_socket(mta.root.alias / "run/pbs-lookup/socketmap"):
                self.assert_not_now(mta, seconds=4)
        finally:
            mta.processes["pbs-lookup"].start()
        assert self.yes == mta.rcpt(CLIENT)

    def test_the_log_says_what_is_wrong_with_the_map(self, mta: Exim) -> None:
        mta.map.unlink()
        mta.rcpt(CLIENT)
        assert "TEMP map /var/lib/pbs-filter/map.gdbm: No such file or directory" in main_log(mta)

    def test_the_readmes_session_without_a_network_gives_the_same(self, mta: Exim) -> None:
        mta.allow(CLIENT)
        session = "HELO x\nMAIL FROM:<you@example.org>\nRCPT TO:<you@elsewhere.example>\nQUIT\n"
        for address, reply in ((CLIENT, self.yes), (STRANGER, NO)):
            assert reply in mta.root.run("/usr/sbin/exim4", "-bh", address, text=session)

    def test_one_answer_is_not_taken_for_the_next_recipient(self, mta: Exim) -> None:
        mta.allow(CLIENT)
        with mta.client(CLIENT) as smtp:
            smtp.ehlo("client.example")
            smtp.mail("bob@example.org")
            assert 250 == smtp.rcpt("one@remote.example")[0]
            mta.map.unlink()
            assert 451 == smtp.rcpt("two@remote.example")[0]
            assert 250 == smtp.rcpt(LOCAL)[0]
            mta.clear()
            assert 550 == smtp.rcpt("three@remote.example")[0]


class Named(Exim):
    """As the README has it: log and header name the login."""

    def configure(self) -> Sequence[Process]:
        acl = self.example("exim/pbs-filter.acl")
        self.named = (
            acl.replace("= pbs $sender", "= pbs-user $sender")
            + (
                self.example("exim/README.md")
                .partition("<!-- named -->\n")[2]
                .partition("<!-- /named -->")[0]
            )
        )
        processes = super().configure()
        self.root.write("/etc/exim4/pbs-filter.acl", self.named)
        return processes


def test_log_and_header_name_the_login_that_let_a_message_out(tmp_path: Path) -> None:
    with Named(tmp_path) as mta:
        mta.allow(CLIENT, user="bob\nX-Spam: no@example.org")
        assert "250 Accepted" == mta.rcpt(CLIENT)
        assert NO == mta.rcpt(STRANGER)
        with mta.client(CLIENT) as smtp:
            smtp.sendmail("bob@example.org", ["foo@remote.example"], "Subject: x\r\n\r\nhello\r\n")
        spool = mta.root.path / "var/spool/exim4/input"
        (headers,) = (path.read_text() for path in spool.rglob("*-H"))
        named = r"user=bob\?X-Spam\+3A\+20no@example\.org server=dovecot until=\d+"
        assert re.search(rf"(?m)^\d+ +X-Pop-Before-Smtp: {named}$", headers)
        assert not re.search(r"(?m)^\d+ +X-Spam", headers)
        assert re.search(rf"pop-before-smtp {named}", main_log(mta))


SENDERS = (EXAMPLES / "postfix/senders").read_text()
BOUND: dict[str, type[Exim]] = {
    "Debian 12": type("Bound", (Exim,), {"senders": SENDERS}),
    "Debian 13": type("Bound13", (Exim,), {"senders": SENDERS, "suite": "trixie"}),
}


class TestBoundSenders:
    @pytest.fixture(scope="class", params=list(BOUND))
    @classmethod
    def mta(
        cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Exim]:
        with BOUND[request.param](tmp_path_factory.mktemp("senders")) as mta:
            yield mta

    def test_an_address_relays_only_for_the_senders_of_its_users(self, mta: Exim) -> None:
        mta.allow(CLIENT, user="alice@example.org")
        for sender, reply in (
            ("alice@example.org", "250 Accepted"),
            ("Alice@Example.org", "250 Accepted"),
            ("mallory@example.org", NO),
            ("bob@example.org", NO),
            ('"x alice"@example.org', NO),
            ("", NO),
        ):
            assert reply == mta.rcpt(CLIENT, sender=sender), sender
        assert NO == mta.rcpt(STRANGER, sender="alice@example.org")
        mta.allow(CLIENT, user="bob@example.org")
        for sender, reply in (("sales@example.org", "250 Accepted"), ("alice@example.org", NO)):
            assert reply == mta.rcpt(CLIENT, sender=sender)
        assert "250 Accepted" == mta.rcpt(STRANGER, LOCAL, sender="mallory@example.org")

    def test_while_the_map_cannot_be_read_relaying_waits(self, mta: Exim) -> None:
        mta.map.unlink()
        assert mta.rcpt(CLIENT, sender="alice@example.org").startswith("451")
        assert "250 Accepted" == mta.rcpt(STRANGER, LOCAL)
        mta.clear()


class Unsplit(Exim):
    split = False


def test_the_include_does_the_same_in_the_one_file_configuration(tmp_path: Path) -> None:
    with Unsplit(tmp_path) as mta:
        mta.allow(CLIENT)
        assert "250 Accepted" == mta.rcpt(CLIENT)
        assert NO == mta.rcpt(STRANGER)


class Run(Exim):
    acl = "pbs-filter-run.acl"
    service = False

    def configure(self) -> Sequence[Process]:
        # Exim's user must be able to read the map.
        self.root.write("/etc/group", (self.root.path / "etc/group").read_text().replace(
            "pbs-filter:x:61200:", "pbs-filter:x:61200:Debian-exim"))  # fmt: skip
        return super().configure()


class TestRun(Contract):
    make = Run
    counted_as = ("exim", "check")
    yes, no = "250 Accepted", NO
    later = "451 Temporary local problem - please try later"


class Cdb(Exim):
    acl = "pbs-filter-cdb.acl"
    service = False


class TestCdb:
    @pytest.fixture(scope="class")
    @classmethod
    def mta(cls, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
        with Cdb(tmp_path_factory.mktemp("exim")) as mta:
            yield mta

    def export(self, mta: Exim, entries: dict[str, int]) -> None:
        path = mta.root.path / "var/lib/pbs-filter/map.cdb"
        fresh = path.with_name("fresh.cdb")
        fresh.write_bytes(export.cdb(list(entries.items())))
        fresh.rename(path)
        path.chmod(0o644)
        path.parent.chmod(0o755)

    def test_exim_compares_the_end_with_its_own_clock(self, mta: Exim) -> None:
        now = int(time.time())
        self.export(mta, {CLIENT: now + 1000, IPV6_CLIENT: now + 1000, STRANGER: now - 1})
        assert "250 Accepted" == mta.rcpt(CLIENT)
        assert "250 Accepted" == mta.rcpt(IPV6_CLIENT)
        assert NO == mta.rcpt(STRANGER)
        self.export(mta, {})
        assert NO == mta.rcpt(CLIENT)

    def test_without_the_file_relaying_waits_and_mail_for_us_comes_in(self, mta: Exim) -> None:
        self.export(mta, {})
        (mta.root.path / "var/lib/pbs-filter/map.cdb").unlink()
        assert mta.rcpt(CLIENT).startswith("451")
        assert "250 Accepted" == mta.rcpt(STRANGER, LOCAL)


class Exim13(Exim):
    """Exim 4.98 of Debian 13."""

    suite = "trixie"


class TestReadsocketOfDebian13(TestReadsocket):
    make = Exim13
