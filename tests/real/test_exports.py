"""Exported files, read by the programs they are for. (cdb: test_exim; sqlite: test_opensmtpd.)"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pbs_filter.export import formats as export

from .daemons.process import Process, wait_for
from .mtas import CLIENT, IPV6_CLIENT, LOCAL, OTHER_CLIENT, STRANGER
from .mtas.postfix import Postfix
from .mtas.qmail import Qmail
from .mtas.sendmail import Sendmail

LATER = int(time.time()) + 3600


def render(name: str, *addresses: str) -> str:
    ends = sorted((address, LATER) for address in addresses)
    return export.FORMATS[name].render(ends).decode()


class PostfixWithTables(Postfix):
    """One table of each type in a row; the README's way for those who want files."""

    def configure(self) -> Sequence[Process]:
        processes = super().configure()
        main = (self.root.path / "etc/postfix/main.cf").read_text()
        asked = "check_client_access socketmap:unix:private/pbs:pbs"
        assert asked in main
        tables = (f"check_client_access {kind}:/var/lib/pbs-filter/{kind}" for kind in KINDS)
        self.root.write("/etc/postfix/main.cf", main.replace(asked, ",\n    ".join(tables)))
        for kind in KINDS:
            self.export(kind)
        return processes

    def export(self, kind: str, *addresses: str) -> None:
        """As the exporter does it: the file, and then postmap or a reload."""
        self.root.write(f"/var/lib/pbs-filter/{kind}", render(kind, *addresses))
        if kind == "lmdb":
            self.root.run("/usr/sbin/postmap", "lmdb:/var/lib/pbs-filter/lmdb")


KINDS = ("lmdb", "texthash", "cidr")


class TestPostfix:
    yes, no = "250 2.1.5 Ok", "554 5.7.1 <foo@remote.example>: Relay access denied"

    @pytest.fixture(scope="class")
    @classmethod
    def mta(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostfixWithTables]:
        with PostfixWithTables(tmp_path_factory.mktemp("tables")) as mta:
            yield mta

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_table_opens_the_relay_for_its_addresses_alone(
        self, mta: PostfixWithTables, kind: str
    ) -> None:
        for address in (CLIENT, IPV6_CLIENT):
            assert self.no == mta.rcpt(address)
        mta.export(kind, CLIENT, IPV6_CLIENT)
        if kind != "lmdb":
            assert self.no == mta.rcpt(CLIENT)  # hence the reload
            mta.root.run("/usr/sbin/postfix", "reload")
        for address in (CLIENT, IPV6_CLIENT):
            wait_for(lambda a=address: self.yes == mta.rcpt(a), "the table with the address")
        for address in (OTHER_CLIENT, STRANGER):
            assert self.no == mta.rcpt(address)
        assert self.yes == mta.rcpt(STRANGER, LOCAL)
        mta.export(kind)
        if kind != "lmdb":
            mta.root.run("/usr/sbin/postfix", "reload")
        for address in (CLIENT, IPV6_CLIENT):
            wait_for(lambda a=address: self.no == mta.rcpt(a), "the table without the address")


def test_sendmail_takes_the_lines_into_its_access_map(tmp_path: Path) -> None:
    with Sendmail(tmp_path) as mta:
        mta.processes["pbs-lookup"].stop()  # the access map alone must do
        own = (mta.root.path / "etc/mail/access").read_text()
        makemap = ("/usr/libexec/sendmail/makemap", "hash", "/etc/mail/access")
        for address in (CLIENT, IPV6_CLIENT):
            assert mta.rcpt(address).startswith("4")
        mta.root.run(*makemap, text=own + render("sendmail", CLIENT, IPV6_CLIENT))
        for address in (CLIENT, IPV6_CLIENT):
            assert mta.rcpt(address).startswith("250 2.1.5")
        assert mta.rcpt(STRANGER).startswith("4")
        mta.root.run(*makemap, text=own)
        assert mta.rcpt(CLIENT).startswith("4")


class Tcprules(Qmail):
    """Without relaylock: the rules alone."""

    def configure(self) -> Sequence[Process]:
        processes = super().configure()
        run = (self.root.path / "service/run").read_text()
        lock = "    /opt/pbs-filter/bin/pbs-lookup relaylock --keep --on-trouble=continue \\\n"
        assert lock in run
        self.root.write("/service/run", run.replace(lock, ""), mode=0o755)
        return processes


def test_tcpserver_reads_the_rules(tmp_path: Path) -> None:
    with Tcprules(tmp_path) as mta:
        own = (mta.root.path / "etc/tcp.smtp").read_text()
        assert mta.rcpt(CLIENT).startswith("550")
        rules = render("tcprules", CLIENT, IPV6_CLIENT) + own
        make = ("/usr/bin/tcprules", "/etc/tcp.smtp.cdb", "/etc/tcp.smtp.tmp")
        mta.root.run(*make, text=rules)
        assert mta.rcpt(CLIENT).startswith("250")
        assert mta.rcpt(STRANGER).startswith("550")
        assert mta.rcpt(STRANGER, LOCAL).startswith("250")
