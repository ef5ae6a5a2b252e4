"""OpenSMTPD: the table program with Debian 13's, the exported SQLite file with Debian 12's."""

from __future__ import annotations

import os
import signal
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pbs_filter.config.options import OPTIONS
from pbs_filter.export import exporter

from .. import hang
from .daemons.process import Process, wait_for
from .mtas import CLIENT, IPV6_CLIENT, LOCAL, STRANGER, Mta
from .mtas.contract import Contract
from .mtas.opensmtpd import OpenSmtpd, OpenSmtpd7

YES = "250 2.1.5 Destination address valid: Recipient ok"
NO = "550 Invalid recipient: <foo@remote.example>"


def table_programs(mta: Mta) -> dict[int, int]:
    """pid -> parent of the processes that run pbs-lookup."""
    found = {}
    for pid in mta.root.pids():
        if b"pbs-lookup\0opensmtpd" in Path(f"/proc/{pid}/cmdline").read_bytes():
            found[pid] = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return found


def reader(mta: Mta) -> int:
    """The child of the table program, which reads the map for it."""
    programs = table_programs(mta)
    return next(pid for pid, parent in programs.items() if parent in programs)


class TestTableProgram(Contract):
    make = OpenSmtpd7
    counted_as = ("opensmtpd", "opensmtpd")
    yes, no = YES, NO
    later = "451 Temporary failure: <foo@remote.example>"

    def test_smtpd_outlives_what_a_damaged_map_does_to_the_program(self, mta: Mta) -> None:
        mta.allow(CLIENT)
        assert YES == mta.rcpt(CLIENT)
        os.kill(reader(mta), signal.SIGSEGV)
        assert self.later == mta.rcpt(CLIENT)
        assert YES == mta.rcpt(CLIENT)

    def test_a_map_that_hangs_is_not_now_in_time(self, mta: Mta) -> None:
        mta.allow(CLIENT)
        assert YES == mta.rcpt(CLIENT)
        os.kill(reader(mta), signal.SIGSTOP)
        with hang.ends():
            assert self.later == mta.rcpt(CLIENT)
        assert YES == mta.rcpt(CLIENT)

    def test_the_log_says_what_is_wrong_with_the_map(self, mta: Mta) -> None:
        mta.map.unlink()
        mta.rcpt(CLIENT)
        said = "cannot answer: map /var/lib/pbs-filter/map.gdbm: No such file or directory"
        wait_for(lambda: said in mta.processes["smtpd"].said(), said, 10)


class OwnSenders(OpenSmtpd7):
    """As the README has it: only senders of one's own domains."""

    def example(self, name: str) -> str:
        text = super().example(name)
        if name != "opensmtpd/smtpd.conf":
            return text
        readme = super().example("opensmtpd/README.md")
        rules = readme.partition("<!-- senders -->\n")[2].partition("<!-- /senders -->")[0]
        before = 'match from src <pbs> for any action "relay"\n'
        assert before in text
        return text.replace(before, textwrap.dedent(rules))


def test_an_address_relays_only_for_senders_of_our_domains(tmp_path: Path) -> None:
    with OwnSenders(tmp_path) as mta:
        mta.allow(CLIENT)
        for source, sender, reply in (
            (CLIENT, "alice@example.org", YES),
            (CLIENT, "bob@example.net", YES),
            (CLIENT, "spammer@evil.example", NO),
            (CLIENT, "", NO),
            (STRANGER, "alice@example.org", NO),
        ):
            assert reply == mta.rcpt(source, sender=sender), (source, sender)
        assert YES == mta.rcpt(STRANGER, LOCAL, sender="spammer@evil.example")
        mta.map.unlink()
        assert mta.rcpt(CLIENT, sender="alice@example.org").startswith("451")


class Sqlite(OpenSmtpd):
    def configure(self) -> Sequence[Process]:
        directory = self.root.path / "var/lib/pbs-filter"
        directory.chmod(0o755)
        table = {"format": "sqlite", "path": str(directory / "map.sqlite")}
        (self.table,) = OPTIONS["export"].kind.check([table])
        self.export({})
        return super().configure()

    def export(self, ends: dict[str, int]) -> None:
        assert "" == exporter._bring_out(self.table, sorted(ends.items()), {})


class TestSqlite:
    @pytest.fixture(scope="class")
    @classmethod
    def mta(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sqlite]:
        with Sqlite(tmp_path_factory.mktemp("opensmtpd")) as mta:
            yield mta

    def test_the_relay_is_closed_before_a_login_and_open_after(self, mta: Sqlite) -> None:
        mta.export({})
        for client in (CLIENT, IPV6_CLIENT):
            assert NO == mta.rcpt(client)
        now = int(time.time())
        mta.export({CLIENT: now + 1000, IPV6_CLIENT: now + 1000})
        for client in (CLIENT, IPV6_CLIENT):
            assert YES == mta.rcpt(client)
        assert NO == mta.rcpt(STRANGER)
        assert YES == mta.rcpt(STRANGER, LOCAL)

    def test_an_authorisation_ends_with_the_clock_although_nobody_writes(self, mta: Sqlite) -> None:
        mta.export({CLIENT: int(time.time()) + 3})
        assert YES == mta.rcpt(CLIENT)
        wait_for(lambda: mta.rcpt(CLIENT) == NO, "the end of 3 s", 5)

    def test_without_its_table_relaying_waits_and_mail_for_us_comes_in(self, mta: Sqlite) -> None:
        path = Path(mta.table.path)
        mta.export({CLIENT: int(time.time()) + 1000})
        original = path.read_bytes()
        try:
            path.write_bytes(b"\xff" * len(original))
            assert mta.rcpt(CLIENT).startswith("4")
            assert YES == mta.rcpt(STRANGER, LOCAL)
        finally:
            path.write_bytes(original)
        assert YES == mta.rcpt(CLIENT)
