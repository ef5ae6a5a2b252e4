"""Exported files: the bytes of each format, the times of writing, and errors."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import stat
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.config.options import OPTIONS
from pbs_filter.export import formats as export
from pbs_filter.export.exporter import Exporter
from pbs_filter.map_format.entry import Entry

NOW = 1_795_170_000
LIVING = [("192.0.2.7", NOW + 60), ("2001:db8::7", NOW + 90)]

# ------------------------------------------------------------------ formats


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("texthash", "192.0.2.7 OK\n2001:db8::7 OK\n"),
        ("lmdb", "192.0.2.7 OK\n2001:db8::7 OK\n"),
        ("cidr", "192.0.2.7/32 OK\n2001:db8::7/128 OK\n"),
        ("tcprules", '192.0.2.7:allow,RELAYCLIENT=""\n'),
        ("sendmail", "Connect:192.0.2.7\tRELAY\nConnect:IPv6:2001:db8:0:0:0:0:0:7\tRELAY\n"),
    ],
)
def test_the_bytes_of_each_format(name: str, expected: str) -> None:
    assert expected.encode() == export.FORMATS[name].render(LIVING)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("texthash", b""),
        ("lmdb", b""),
        ("sendmail", b""),
        ("tcprules", b""),
        ("cidr", b"2001:db8:1::/64 OK\n"),
    ],
)
def test_a_network_is_only_where_the_format_knows_networks(name: str, expected: bytes) -> None:
    """Postfix asks indexed files for `2001:db8:1` too: a prefix in them would open all of it."""
    assert expected == export.FORMATS[name].render([("2001:db8:1::/64", NOW + 1)])


def test_sqlite_has_ipv6_in_brackets_as_smtpd_asks_for_it() -> None:
    rows = export.sqlite_rows([*LIVING, ("2001:db8:1::/64", NOW)])
    assert [("192.0.2.7", NOW + 60), ("[2001:db8::7]", NOW + 90)] == rows


def find(database: bytes, key: bytes) -> bytes | None:
    """A reader of constant databases, as its specification has it."""
    value_hash = 5381
    for byte in key:
        value_hash = ((value_hash << 5) + value_hash & 0xFFFFFFFF) ^ byte
    position, slots = struct.unpack_from("<II", database, value_hash % 256 * 8)
    for step in range(slots):
        slot = (value_hash // 256 + step) % slots
        found_hash, record = struct.unpack_from("<II", database, position + slot * 8)
        if record == 0:
            return None
        if found_hash == value_hash:
            key_size, size = struct.unpack_from("<II", database, record)
            begin = record + 8 + key_size
            if database[record + 8 : begin] == key:
                return database[begin : begin + size]
    return None


@given(st.dictionaries(st.binary(max_size=20), st.binary(max_size=20), max_size=300))
def test_a_cdb_answers_for_every_key_and_for_no_other(items: dict[bytes, bytes]) -> None:
    database = export.constant_database(items.items())
    for key, value in items.items():
        assert value == find(database, key)
    assert find(database, b"a key of more than 20 bytes") is None


def test_a_cdb_of_living_addresses_has_their_ends() -> None:
    database = export.cdb([*LIVING, ("2001:db8:1::/64", NOW)])
    assert b"%d" % (NOW + 60) == find(database, b"192.0.2.7")
    assert b"%d" % (NOW + 90) == find(database, b"2001:db8::7")
    assert find(database, b"2001:db8:1::/64") is None


# ------------------------------------------------------------------ writing


class Ledger:
    """What an exporter sees of the filter."""

    def __init__(self) -> None:
        self.ends: dict[str, int] = {}
        self.version = 0

    def allow(self, address: str, until: int) -> None:
        self.version += address not in self.ends
        self.ends[address] = until

    def living(self, now: float) -> Callable[[], Iterable[tuple[str, Entry]]]:
        def iterate() -> Iterable[tuple[str, Entry]]:
            for address, until in self.ends.items():
                if now < until:
                    last = list(self.ends).index(address)
                    yield address, Entry(until, 0, 0, last, 0, "dovecot", "imap", "bob")

        return iterate


class Said:
    """A log that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def once(self, key: str, text: str) -> None:
        if text not in self.lines:
            self.lines.append(text)

    def recovered(self, key: str, text: str) -> None:
        if any(line.startswith(key + ":") for line in self.lines):
            self.lines.append(text)


class Feed:
    """The feed's loop around an exporter, on a clock of its own."""

    def __init__(self, *tables: dict[str, object]) -> None:
        self.now = float(NOW)
        self.ledger = Ledger()
        self.log = Said()
        self.exporter = Exporter(OPTIONS["export"].kind.check(tables), self.log)

    def turn(self) -> None:
        """One look, and then the writing it started, if any, to its end."""
        self.run()
        deadline = time.monotonic() + 120
        while self.exporter._child is not None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
            self.run()

    def run(self) -> None:
        self.exporter.run(self.now, self.ledger.living(self.now), self.ledger.version)

    def sleep(self) -> float:
        """A block of lines, and then on to the time that the exporter asks for; how long it was."""
        self.turn()
        due = self.exporter.due(self.now)
        assert due is not None
        slept, self.now = due - self.now, max(due, self.now)
        return slept


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[Callable[..., Feed]]:
    feeds: list[Feed] = []

    def make(*formats: str, **more: object) -> Feed:
        tables = [{"format": f, "path": str(tmp_path / f), **more} for f in formats]
        feeds.append(Feed(*tables))
        return feeds[-1]

    yield make
    for one in feeds:
        one.exporter.stop()


def test_a_file_is_written_at_once_even_if_empty(feed: Callable[..., Feed], tmp_path: Path) -> None:
    """Postfix refuses everything while a table that main.cf names is not there."""
    pipeline = feed("texthash")
    assert pipeline.exporter.due(pipeline.now) <= pipeline.now
    pipeline.turn()
    assert b"" == (tmp_path / "texthash").read_bytes()
    assert pipeline.exporter.due(pipeline.now) is None
    assert [tmp_path / "texthash"] == list(tmp_path.iterdir())


def test_a_file_follows_the_set_but_not_faster_than_its_interval(
    feed: Callable[..., Feed], tmp_path: Path
) -> None:
    pipeline = feed("cidr", interval_seconds=10)
    pipeline.turn()
    pipeline.ledger.allow("192.0.2.7", NOW + 1000)
    pipeline.turn()
    assert b"" == (tmp_path / "cidr").read_bytes()
    pipeline.ledger.allow("192.0.2.8", NOW + 1000)
    assert 10 == pipeline.sleep()
    pipeline.turn()
    assert b"192.0.2.7/32 OK\n192.0.2.8/32 OK\n" == (tmp_path / "cidr").read_bytes()


def test_an_address_that_ends_leaves_the_file_although_no_line_arrives(
    feed: Callable[..., Feed], tmp_path: Path
) -> None:
    pipeline = feed("cidr")
    pipeline.ledger.allow("192.0.2.7", NOW + 100)
    pipeline.turn()
    assert 100 == pipeline.sleep()
    pipeline.turn()
    assert b"" == (tmp_path / "cidr").read_bytes()
    assert pipeline.exporter.due(pipeline.now) is None


def test_a_file_of_addresses_is_left_alone_when_only_an_end_moves(
    feed: Callable[..., Feed], tmp_path: Path
) -> None:
    pipeline = feed("cidr", command=["sh", "-c", f"echo x >> {tmp_path}/ran"])
    pipeline.ledger.allow("192.0.2.7", NOW + 100)
    pipeline.turn()
    pipeline.ledger.allow("192.0.2.7", NOW + 200)
    pipeline.sleep()
    pipeline.turn()
    assert 100 == pipeline.sleep()  # the new end
    assert "x\n" == (tmp_path / "ran").read_text()


def test_a_file_with_ends_follows_them(feed: Callable[..., Feed], tmp_path: Path) -> None:
    pipeline = feed("cdb", interval_seconds=5)
    pipeline.ledger.allow("192.0.2.7", NOW + 100)
    pipeline.turn()
    pipeline.ledger.allow("192.0.2.7", NOW + 200)
    assert 5 == pipeline.sleep()
    pipeline.turn()
    assert b"%d" % (NOW + 200) == find((tmp_path / "cdb").read_bytes(), b"192.0.2.7")


def test_a_file_that_somebody_removed_is_written_again(
    feed: Callable[..., Feed], tmp_path: Path
) -> None:
    pipeline = feed("cidr")
    pipeline.ledger.allow("192.0.2.7", NOW + 100)
    pipeline.turn()
    (tmp_path / "cidr").unlink()
    pipeline.ledger.version += 1
    pipeline.sleep()
    pipeline.turn()
    assert b"192.0.2.7/32 OK\n" == (tmp_path / "cidr").read_bytes()


def test_the_file_has_its_mode_and_is_replaced_not_overwritten(
    feed: Callable[..., Feed], tmp_path: Path
) -> None:
    path = tmp_path / "cidr"
    path.write_text("old\n")
    with path.open() as reader:
        pipeline = feed("cidr", mode=0o640)
        pipeline.turn()
        assert "old\n" == reader.read()
    assert 0o640 == stat.S_IMODE(path.stat().st_mode)


def test_a_link_in_the_place_of_the_draft_is_not_followed(
    feed: Callable[..., Feed], tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "cidr.new").symlink_to(victim)
    pipeline = feed("cidr")
    pipeline.turn()
    assert "precious" == victim.read_text()
    assert not (tmp_path / "cidr").is_symlink()


def test_sqlite_is_changed_in_place_so_that_a_reader_sees_it(
    feed: Callable[..., Feed], tmp_path: Path
) -> None:
    pipeline = feed("sqlite", interval_seconds=1)
    pipeline.turn()
    with contextlib.closing(sqlite3.connect(tmp_path / "sqlite")) as reader:
        ask = "SELECT ip, exp FROM pbs ORDER BY ip"
        assert [] == reader.execute(ask).fetchall()
        pipeline.ledger.allow("192.0.2.7", NOW + 100)
        pipeline.sleep()
        pipeline.turn()
        assert [("192.0.2.7", NOW + 100)] == reader.execute(ask).fetchall()


def test_a_database_that_is_a_link_or_has_a_second_name_is_not_written(
    feed: Callable[..., Feed], tmp_path: Path
) -> None:
    """In a directory that another account owns it could lead to any database of this machine."""
    victim = tmp_path / "victim"
    for plant in (Path.symlink_to, Path.hardlink_to):
        victim.write_bytes(b"")
        plant(tmp_path / "sqlite", victim)
        pipeline = feed("sqlite")
        pipeline.ledger.allow("192.0.2.7", NOW + 100)
        pipeline.turn()
        assert b"" == victim.read_bytes()
        (tmp_path / "sqlite").unlink()


def test_a_command_runs_after_the_file_is_there_and_speaks_to_nobody(
    feed: Callable[..., Feed], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """stdout is where the syslog daemon reads acknowledgements."""
    pipeline = feed("cidr", command=["sh", "-c", f"cat {tmp_path}/cidr > {tmp_path}/seen; echo OK"])
    pipeline.ledger.allow("192.0.2.7", NOW + 100)
    pipeline.turn()
    assert "192.0.2.7/32 OK\n" == (tmp_path / "seen").read_text()
    assert ("", "") == capfd.readouterr()


def test_a_command_is_told_what_a_hook_is_told_of_the_newest_login(
    feed: Callable[..., Feed], tmp_path: Path
) -> None:
    """PATH is the filter's own: commands need it."""
    script = tmp_path / "script"
    names = "EVENT ADDRESS USER SERVER UNTIL TEXT"
    words = " ".join(f'"$PBS_{name}"' for name in names.split())
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" {words} "$PATH" > {tmp_path}/told\n')
    script.chmod(0o755)
    pipeline = feed("cidr", command=str(script))
    pipeline.turn()
    told = (tmp_path / "told").read_text().split("\n")
    path = os.environ["PATH"]
    assert ["exported", "", "", "", "", f"0 addresses in {tmp_path}/cidr", path, ""] == told
    pipeline.ledger.allow("192.0.2.7", NOW + 100)
    pipeline.ledger.allow("192.0.2.8", NOW + 90)
    pipeline.sleep()
    pipeline.turn()
    told = (tmp_path / "told").read_text().split("\n")
    assert ["exported", "192.0.2.8", "bob", "dovecot", str(NOW + 90)] == told[:5]
    assert f"2 addresses in {tmp_path}/cidr" == told[5]


def test_a_command_gets_none_of_the_filters_descriptors(
    feed: Callable[..., Feed], tmp_path: Path
) -> None:
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        pipeline = feed("cidr", command=["sh", "-c", f"ls -l /proc/self/fd > {tmp_path}/fds"])
        pipeline.turn()
    assert "secret" not in (tmp_path / "fds").read_text()


def test_a_command_that_fails_is_said_and_tried_again(
    feed: Callable[..., Feed], tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\necho no disk; exit 3\n")
    script.chmod(0o755)
    pipeline = feed("cidr", command=str(script))
    pipeline.ledger.allow("192.0.2.7", NOW + 100)
    pipeline.turn()
    assert [
        f"export {tmp_path}/cidr: command '{script}' ended with 3: 'no disk'; trying again in 10 s"
    ] == pipeline.log.lines
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/done\n")
    assert 10 == pipeline.sleep()
    pipeline.turn()
    assert (tmp_path / "done").exists()
    assert f"export {tmp_path}/cidr: written again" == pipeline.log.lines[-1]
    pipeline.sleep()


def test_a_command_that_hangs_is_ended_with_all_it_started(
    feed: Callable[..., Feed], tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    hang = ["sh", "-c", f"sleep 1000 & echo $! $$ > {pids}; wait"]
    pipeline = feed("cidr", command=hang, command_timeout_seconds=1)
    pipeline.run()
    assert pipeline.exporter._child is not None  # the feed goes on meanwhile
    pipeline.turn()
    assert "did not end within 1 s and was killed" in pipeline.log.lines[0]
    for pid in map(int, pids.read_text().split()):
        for _ in range(1000):  # a killed process is there until its parent has looked
            state = Path(f"/proc/{pid}/stat")
            if not state.exists() or state.read_text().split()[2] == "Z":
                break
            time.sleep(0.01)
        else:
            raise AssertionError(f"{pid} still runs")


def test_a_command_that_is_not_there_is_named(feed: Callable[..., Feed]) -> None:
    pipeline = feed("cidr", command="/nonexistent -x")
    pipeline.turn()
    assert "'/nonexistent -x' cannot be started: No such file" in pipeline.log.lines[0]


def test_a_directory_that_is_not_there_is_said_and_the_rest_is_written(tmp_path: Path) -> None:
    pipeline = Feed(
        {"format": "cidr", "path": str(tmp_path / "absent" / "x")},
        {"format": "texthash", "path": str(tmp_path / "y")},
    )
    pipeline.turn()
    assert [
        f"export {tmp_path}/absent/x: cannot be written: No such file or directory; "
        "trying again in 10 s"
    ] == pipeline.log.lines
    assert (tmp_path / "y").exists()


def test_a_worker_that_dies_is_said_and_started_again(
    feed: Callable[..., Feed], tmp_path: Path
) -> None:
    pipeline = feed("cidr", command="sleep 1000")
    pipeline.run()
    assert pipeline.exporter._child is not None
    os.kill(pipeline.exporter._child[0], signal.SIGKILL)
    while pipeline.exporter._child is not None:
        pipeline.run()
    assert ["export: the writing process ended with -9; trying again"] == pipeline.log.lines
    assert pipeline.exporter.due(pipeline.now) == NOW + 10


def test_a_stop_ends_the_worker_and_leaves_the_old_file(
    feed: Callable[..., Feed], tmp_path: Path
) -> None:
    (tmp_path / "cidr").write_text("old\n")
    pipeline = feed("cidr")
    released = tmp_path / "fifo"
    os.mkfifo(released)

    def never() -> Iterable[tuple[str, Entry]]:
        released.read_text()
        raise AssertionError

    pipeline.exporter.run(pipeline.now, never, 1)
    assert pipeline.exporter._child is not None
    pipeline.exporter.stop()
    assert "old\n" == (tmp_path / "cidr").read_text()


def test_a_clock_that_is_set_back_does_not_stop_the_exports(
    feed: Callable[..., Feed], tmp_path: Path
) -> None:
    pipeline = feed("cidr", interval_seconds=10)
    pipeline.turn()
    pipeline.now -= 86400
    pipeline.ledger.allow("192.0.2.7", int(pipeline.now) + 100)
    pipeline.run()
    assert 10 == pipeline.sleep()
    pipeline.turn()
    assert b"192.0.2.7/32 OK\n" == (tmp_path / "cidr").read_bytes()


def test_without_exports_nothing_is_ever_due() -> None:
    pipeline = Feed()
    pipeline.run()
    assert pipeline.exporter.due(pipeline.now) is None
