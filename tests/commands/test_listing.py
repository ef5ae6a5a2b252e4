"""The output of --list, which never disagrees with a lookup."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pbs_filter.commands import listing, stored
from pbs_filter.commands.dashboard import Dashboard
from pbs_filter.commands.stored import Row
from pbs_filter.commands.watch import DashboardFeed
from pbs_filter.config.load import build
from pbs_filter.errors import PbsFilterError, StoreBusy, StoreDamaged
from pbs_filter.lookup import __main__ as lookup
from pbs_filter.map_format.entry import Entry, encode
from pbs_filter.map_format.redis_fields import FILTERS
from pbs_filter.map_format.redis_members import Mark
from pbs_filter.service import storage
from pbs_filter.store.gdbm_map import GdbmMap
from pbs_filter.terminal import ansi, json_line, left

from ..lookup import maps
from ..running import ENVIRONMENT, run
from ..store.fake_redis import FakeRedis

NOW = 1000
ROWS = [
    Row("192.0.2.7", Entry(2000, 900, 900, 900, 1, "dovecot", "imap", "bob@example.org")),
    Row("192.0.2.8", Entry(1500, 900, 900, 900, 0, "popa3d", "pop3", "alice")),
    Row("2001:db8::7", Entry(8722, 900, 900, 900, 0, "manual", "", "")),
    Row("192.0.2.9", Entry(1000, 900, 900, 900, 0, "popa3d", "pop3", "gone")),
    Row("203.0.113.66", Entry(5000, 1002, 900, 900, 0, "popa3d", "pop3", "from the future")),
]
ENTRY = Entry(2000, 900, 900, 900, 0, "dovecot", "imap", "王\x1b[2J\u202e")


def options(address: str = "", **more: object) -> Namespace:
    """The command line `--list ADDRESS` with more of its options."""
    return Namespace(
        **{"list": address, "json": False, "plain": False, "all": False, "color": "never", **more}
    )


def listed(monkeypatch, rows, config: str = "", **more: object) -> str:
    """The text of --list where the map has `rows`, and what is raised at its end."""

    def read(*_: object):
        for row in rows:
            if isinstance(row, Exception):
                raise row
            yield row

    monkeypatch.setattr(stored, "rows", read)
    monkeypatch.setattr(stored, "now", lambda _config: NOW)
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(StoreDamaged):
        assert 0 == listing.run(build({"pbs.toml": config}), options(**more))
        assert not any(isinstance(row, Exception) for row in rows)
    return text.getvalue()


def test_only_the_living_are_listed_the_first_to_end_first(monkeypatch):
    plain = listed(monkeypatch, ROWS, plain=True).split()
    assert ["192.0.2.8", "192.0.2.7", "2001:db8::7"] == plain
    assert 5 == len(json.loads(listed(monkeypatch, ROWS, json=True, all=True)))


def test_the_table_is_aligned_and_says_who_and_why(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert [
        "ADDRESS      LEFT     UNTIL                LAST LOGIN           OPEN  USER             "
        "PROTO  SERVER",
        "192.0.2.8    8:20     1970-01-01 00:25:00  1970-01-01 00:15:00  0     alice            "
        "pop3   popa3d",
        "192.0.2.7    16:40    1970-01-01 00:33:20  1970-01-01 00:15:00  1     bob@example.org  "
        "imap   dovecot",
        "2001:db8::7  2:08:42  1970-01-01 02:25:22  1970-01-01 00:15:00  0     -                "
        "-      manual",
    ] == listed(monkeypatch, ROWS).splitlines()
    monkeypatch.undo()
    time.tzset()


GROUPS = """
[[groups]]
name = "staff"
users = ["bob@example.org"]
grace_seconds = 3600
[[groups]]
name = "home"
networks = ["192.0.2.8/32"]
grace_seconds = 3600
"""


def test_the_group_that_decides_is_named(monkeypatch):
    many = Row("192.0.2.8", ROWS[1].entry, users=(ROWS[0].entry._replace(user="bob@Example.org"),))
    lines = listed(monkeypatch, [*ROWS, many], GROUPS).splitlines()
    assert ["GROUP", "home", "staff", "staff", "-"] == [line.split()[-1] for line in lines]
    groups = {
        (row["address"], row["user"]): row["group"]
        for each in json.loads(listed(monkeypatch, [*ROWS, many], GROUPS, json=True))
        for row in (each, *({"address": each["address"], **user} for user in each["users"]))
    }
    assert {
        ("192.0.2.8", "alice"): "home",
        ("192.0.2.8", "bob@Example.org"): "staff",
        ("192.0.2.7", "bob@example.org"): "staff",
        ("2001:db8::7", ""): None,
    } == groups


def test_users_that_cannot_be_read_leave_the_list_without_groups(monkeypatch, capsys):
    groups = '[[groups]]\nname = "staff"\nusers = ["/nowhere/staff"]\ngrace_seconds = 60\n'
    assert "GROUP" not in listed(monkeypatch, ROWS, groups)
    assert "'/nowhere/staff'" in capsys.readouterr().err


def test_a_users_name_cannot_move_a_column_or_the_cursor(monkeypatch):
    rows = [Row("192.0.2.7", ENTRY), Row("192.0.2.8", ENTRY._replace(user="bob"))]
    head, first, second = listed(monkeypatch, rows).splitlines()
    assert "王?[2J?" in first
    assert head.index("PROTO") == second.index("imap") == first.index("imap") + 1, "王 is wide"


@pytest.mark.parametrize(
    ("style", "seconds"), [("", 300), ("33", 299), ("33", 60), ("31", 59), ("2", 0)]
)
def test_an_end_that_is_near_is_seen_by_its_colour(style, seconds, monkeypatch):
    rows = [Row("192.0.2.7", ENTRY._replace(until=NOW + seconds))]
    table = listed(monkeypatch, rows, color="always", all=True)
    text = left(seconds)
    assert (f"\x1b[{style}m{text}" if style else f"  {text}") in table
    assert "\x1b" not in listed(monkeypatch, rows, all=True)


@pytest.mark.parametrize(
    ("expected", "seconds"), [("ended", 0), ("ended", -5), ("0:09", 9), ("1:00:00", 3600)]
)
def test_time_left_for_people(expected, seconds):
    assert expected == left(seconds)


def test_json_is_one_line_of_ascii_whatever_the_name():
    line = json_line(listing.as_object(Row("192.0.2.7", ENTRY), NOW))
    assert (1, True) == (line.count("\n"), line.isascii())
    assert ENTRY.user == json.loads(line)["user"]


def test_a_shared_list_names_the_filters_of_each_address(monkeypatch):
    rows = [Row("192.0.2.7", ENTRY._replace(user="alice"), ("mx1", "mx2"))]
    head, row = listed(monkeypatch, rows).splitlines()
    assert "FILTERS" == head[row.index("mx1 mx2") :]
    assert ["mx1", "mx2"] == listing.as_object(rows[0], NOW)["filters"]
    assert "filters" not in listing.as_object(ROWS[0], NOW)


@pytest.mark.parametrize("form", ["json", "plain", "table"])
def test_of_very_many_addresses_the_first_come_at_once_and_none_is_missed(form, monkeypatch):
    monkeypatch.setattr(listing, "SORTED_ROWS", 2)
    seen = []
    text = io.StringIO()
    complaints = io.StringIO()

    def rows():
        for row in ROWS[:3]:
            seen.append(text.getvalue())
            yield row

    monkeypatch.setattr(stored, "rows", lambda *_: rows())
    monkeypatch.setattr(stored, "now", lambda _config: NOW)
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(complaints):
        assert 0 == listing.run(build({}), options(**{form: True}))
    assert "192.0.2.8" in seen[2], "the third address is read when the first ones are written"
    if form == "json":
        found = [entry["address"] for entry in json.loads(text.getvalue())]
    else:
        words = [line.split()[0] for line in text.getvalue().splitlines()]
        found = [word for word in words if word != "ADDRESS"]
    assert ["192.0.2.8", "192.0.2.7", "2001:db8::7"] == found
    assert "more than 2 addresses: they are not sorted" in complaints.getvalue()


def limit_memory() -> None:
    """For a process that is to begin: what it may have of its own. (A map's file is no part.)"""
    resource.setrlimit(resource.RLIMIT_DATA, (40 << 20, 40 << 20))


@pytest.mark.parametrize("form", ["", "--json"], ids=["table", "json"])
def test_a_list_of_very_many_addresses_takes_no_more_memory_than_one_of_many(form, tmp_path):
    now = int(time.time())
    stored_map = GdbmMap(str(tmp_path / "map"))
    stored_map.rebuild(
        (address, encode(address, ENTRY._replace(until=now + 600, renewed=now)))
        for address in (f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(30_000))
    )
    stored_map.close()
    options = (f"--dbfile={tmp_path}/map", "--config=/dev/null", "--list")
    done = run(*options, *filter(None, [form]), preexec_fn=limit_memory)
    assert 0 == done.returncode, done.stderr
    rows = json.loads(done.stdout) if form else done.stdout.splitlines()[1:]
    assert 30_000 == len(rows)


@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_what_can_be_read_is_listed_and_the_trouble_is_told_at_the_end(before, monkeypatch):
    monkeypatch.setattr(listing, "SORTED_ROWS", 2)
    rows = [*ROWS[:before], StoreDamaged("one entry is damaged")]
    text = listed(monkeypatch, rows, json=True)
    found = json.loads(text) if before else []
    assert bool(text) == bool(before)
    assert {row.address for row in ROWS[:before]} == {entry["address"] for entry in found}
    with pytest.raises(StoreDamaged, match="one entry"):
        listing.run(build({}), options(json=True))


# ---------------------------------------------------------------------- the same answer everywhere

ADDRESSES = [f"192.0.2.{last}" for last in range(1, 40)]
ABSENT = "198.51.100.1"


def in_a_child(function) -> str:
    """What `function` returns, or "died": GDBM may crash on a damaged file."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_RDWR), 2)
        try:
            os.write(write, str(function()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        text = file.read().decode()
    os.waitpid(pid, 0)
    return text or "died"


def list_status(location: str, address: str) -> int:
    """The exit status of `--list ADDRESS`."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return listing.run(build({}, {"map": location}), options(address))
    except PbsFilterError as error:
        return error.exit_status


def lookup_status(location: str, address: str) -> int:
    """The exit status of `pbs-lookup check ADDRESS`."""
    return lookup.main(["check", f"--map={location}", address])


def watched(location: str) -> str:
    """The text of --watch."""
    dashboard = Dashboard("mx1", 1800)
    DashboardFeed(build({}, {"map": location}), dashboard).update()
    lines = dashboard.lines(300, 200, int(time.time()))
    return "\n".join(ansi(line, colour=False) for line in lines)


@pytest.fixture(scope="module")
def map_bytes(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("map") / "map.gdbm"
    maps.write(path, {address: maps.value(30_000) for address in ADDRESSES})
    return path.read_bytes()


def gdbm_elements(data: bytes, key: bytes) -> list[int]:
    """Where the bucket elements of `key` stand in a map file."""
    found, at = [], 0
    while (at := data.find(key[:4], at)) >= 0:
        for offset in (4, 8):
            pointer = int.from_bytes(data[at + offset : at + offset + 8], "little")
            if 0 < pointer < len(data) and data[pointer : pointer + len(key)] == key:
                found.append(at - 4)
                break
        at += 1
    return found


def test_a_flipped_bit_in_a_closed_map_is_no_no(map_bytes, tmp_path):
    """The map says "not there", and neither --list nor --watch nor a lookup takes that for "no"."""
    path = tmp_path / "map.gdbm"
    address = ADDRESSES[6]
    data = bytearray(map_bytes)
    elements = gdbm_elements(map_bytes, address.encode())
    assert elements
    for at in elements:
        data[at] ^= 1
    path.write_bytes(map_bytes)
    maps.state(path)
    assert (0, 0) == (list_status(str(path), address), lookup_status(str(path), address))
    path.write_bytes(data)
    assert (75, 75) == (list_status(str(path), address), lookup_status(str(path), address))
    assert "not what it was when it was closed" in watched(str(path))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    damage=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), max_size=6
    ),
    cut=st.one_of(st.none(), st.floats(0, 1)),
    state=st.sampled_from(["closed", "ready", "another", "writing", "none"]),
    address=st.sampled_from([*ADDRESSES, ABSENT]),
)
@example(damage=[], cut=None, state="ready", address=ABSENT)
@example(damage=[], cut=0.5, state="closed", address=ADDRESSES[0])
def test_list_and_lookup_agree_about_any_damage(
    map_bytes, tmp_path_factory, damage, cut, state, address
):
    directory = tmp_path_factory.mktemp("damaged")
    path = directory / "map.gdbm"
    path.write_bytes(map_bytes)
    maps.state(path, _state(path, state))
    data = bytearray(map_bytes)
    for where, noise in damage:
        at = int(where * len(data))
        data[at : at + len(noise)] = noise
    with path.open("r+b") as file:
        file.write(data[: len(map_bytes)])
        if cut is not None:
            file.truncate(int(cut * len(map_bytes)))
    expected = in_a_child(lambda: lookup_status(str(path), address))
    assert expected == in_a_child(lambda: list_status(str(path), address))
    assert expected in ("0", "1", "75", "died")
    if expected == "0":
        assert address != ABSENT
    if state in ("writing", "none", "another"):
        assert expected != "1"


def _state(path: Path, kind: str) -> str | None:
    inode = path.stat().st_ino
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return {
        "closed": None,
        "ready": f"ready {boot} {inode}",
        "another": f"ready {boot} {inode + 1}",
        "writing": "writing",
        "none": "",
    }[kind]


@pytest.mark.parametrize("damaged", [True, False])
def test_a_damaged_field_in_redis_is_no_no(damaged, monkeypatch):
    """One filter's field is damaged and nothing else is there: nobody can say."""
    key, marks = b"pbs:192.0.2.7", b"pbs:" + FILTERS.encode()
    fields = {"mx1": b"not an entry"} if damaged else {}

    def bulk(text: bytes) -> bytes:
        return b"$%d\r\n%b\r\n" % (len(text), text)

    def answer(words: tuple[bytes, ...]) -> bytes:
        if words[0] == b"INFO":
            info = b"\r\nrole:master\r\nmaster_replid:%b\r\nserver_time_usec:5000000\r\n"
            return bulk(info % (b"a" * 40))
        mark = Mark(b"mx1", 5000, 9999, b"i", b"r", b"L", [b"a" * 40]).encode()
        values = {marks: [b"life L", mark], key: list(fields.values())}[words[1]]
        return b"*%d\r\n%b" % (len(values), b"".join(map(bulk, values)))

    class SharedMap:
        def everybodys(self, _address: str):
            yield "192.0.2.7", fields

        def close(self) -> None:
            pass

    monkeypatch.setattr(storage, "redis_map_of", lambda _config: SharedMap())
    with FakeRedis(answer) as server:
        expected = "75" if damaged else "1"
        assert expected == in_a_child(lambda: lookup_status(server.url, "192.0.2.7"))
        assert expected == in_a_child(lambda: list_status(server.url, "192.0.2.7"))
        assert damaged == ("the entry of 192.0.2.7 is damaged" in watched(server.url))


def test_a_map_that_cannot_be_asked_says_what_to_do(tmp_path):
    config = build({}, {"map": str(tmp_path / "map")})
    with pytest.raises(StoreBusy, match="the filter makes it when it starts"):
        stored.answer(config, "192.0.2.7")
    (tmp_path / "map").mkdir()
    with pytest.raises(StoreDamaged, match="not a regular file"):
        list(stored.rows(config, NOW))


@pytest.mark.parametrize("mode", ["--list", "--status"])
def test_what_people_wait_for_starts_without_the_heavy_libraries(mode, tmp_path):
    """netaddr alone takes longer than the interpreter's own start."""
    path = tmp_path / "map"
    maps.write(path, {"192.0.2.7": maps.value()})
    script = (
        "import sys; from pbs_filter.cli import main;"
        f"main(['--config=/dev/null', '--dbfile={path}', {mode!r}]);"
        "print(*sys.modules, sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    heavy = {"netaddr", "pyparsing", "redis", "zoneinfo", "pbs_filter.servers"}
    assert set() == heavy & set(done.stdout.split("\n"))
