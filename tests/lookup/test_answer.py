"""Keys in every spelling, the map in every condition, and the senders that users may have."""

from __future__ import annotations

import _gdbm
import contextlib
import os
import subprocess
import sys
import threading
import time
from binascii import crc32
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter import addresses
from pbs_filter.errors import ConfigError, PbsFilterError, StoreBusy, StoreDamaged, StoreLocked
from pbs_filter.lookup.address import canonical
from pbs_filter.lookup.answer import (
    NO,
    NOT_NOW,
    YES,
    Lookup,
    open_reader,
)
from pbs_filter.map_format import check, gdbm_reader
from pbs_filter.map_format import entry as value
from pbs_filter.map_format.completeness import Completeness
from pbs_filter.map_format.gdbm_reader import GdbmReader
from pbs_filter.store.lock import Lock

from .. import hang
from . import maps

# ------------------------------------------------------------------ keys


@pytest.mark.parametrize(
    ("expected", "key"),
    [
        ("192.0.2.7", b"192.0.2.7"),
        ("192.0.2.7", b"[192.0.2.7]"),
        ("192.0.2.7", b"::ffff:192.0.2.7"),
        ("192.0.2.7", b"::FFFF:c000:207"),
        ("192.0.2.7", b"IPv6:::ffff:192.0.2.7"),
        ("192.0.2.7", b"ipv6:0:0:0:0:0:ffff:c000:207"),
        ("::1", b"::1"),
        ("::1", b"[::1]"),
        ("::1", b"0:0:0:0:0:0:0:1"),
        ("2001:db8::1", b"IPv6:2001:DB8::1"),
        ("2001:db8::1", b"[IPv6:2001:db8::1]"),
        ("2001:db8:0:1::7", b"ipv6:2001:db8:0:1:0:0:0:7"),
        ("2001:db8:0:1::ab", b"2001:0DB8:0000:0001:0:0:0:00aB"),
        ("2001:db8:0:1:2:3:4:5", b"2001:db8:0:1:2:3:4:5"),
    ],
)
def test_every_spelling_of_an_address_is_one_key(expected: str, key: bytes) -> None:
    assert expected == canonical(key)


NOT_ADDRESSES = [
    b"",
    b"unknown",
    b"mail.evil.example.com",
    b"192.0.2",
    b"192.0.2.07",
    b"192.0.2.0/24",
    b"192.0.2.7 ",
    b" 192.0.2.7",
    b"192.0.2.7\n",
    b"192.0.2.7\0",
    b"192.0.2.7.example.com",
    b"0xc0000207",
    b"3221225991",
    b"[192.0.2.7",
    b"IPv6:192.0.2.7",
    b"IPv6:",
    b"[]",
    b"[[::1]]",
    b"fe80::1%eth0",
    b"[fe80::1%2]",
    b"2001:db8::/32",
    b"2001:db8::1::2",
    b"2001:db8::12345",
    b"::ffff:192.0.2.007",
    b"\xff\xfe",
    "１９２.0.2.7".encode(),
    b"1" * 10_000,
    b":" * 10_000,
]


@pytest.mark.parametrize("key", NOT_ADDRESSES)
def test_what_is_not_an_address_is_not_there_and_the_map_is_not_touched(key: bytes) -> None:
    class Untouchable:
        def get(self, address: str) -> bytes | None:
            raise AssertionError(f"the map was asked for {address!r}")

    assert canonical(key) is None
    assert NO == Lookup(Untouchable()).ask(key)


@given(
    st.one_of(
        st.ip_addresses().map(str),
        st.ip_addresses(v=6).map(lambda a: a.exploded.upper()),
        st.ip_addresses(v=4).map(lambda a: f"::ffff:{a}"),
        st.text("0123456789abcdefABCDEF:.%/[] ", max_size=45),
    )
)
def test_readers_and_the_filter_spell_every_address_alike(text: str) -> None:
    filter_spells = addresses.canonical(text)
    if filter_spells is not None or "[" not in text:
        assert filter_spells == canonical(text.encode())


@given(st.ip_addresses(v=6).map(str), st.integers(1, 128))
def test_readers_widen_ipv6_addresses_as_the_filter_does(text: str, prefix: int) -> None:
    address = addresses.canonical(text)
    assert address is not None
    assert addresses.widen(address, prefix) == canonical(text.encode(), prefix)


# ------------------------------------------------------------------ values

ADDRESS = b"192.0.2.7"
GOOD = value.encode(ADDRESS.decode(), maps.value())


@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(min_size=len(GOOD), max_size=len(GOOD)),
        st.tuples(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=3)).map(
            lambda t: (GOOD[: t[0]] + t[1] + GOOD[t[0] + len(t[1]) :])[: len(GOOD)]
        ),
    ),
    st.floats(0, 2e10),
)
def test_a_reader_never_grants_what_the_filter_would_not(raw: bytes, now: float) -> None:
    if check.is_current(ADDRESS, raw, now):
        entry = value.decode(ADDRESS.decode(), raw)
        assert entry is not None
        assert entry.renewed - 1 <= now < entry.until
        assert not check.is_current(b"192.0.2.8", raw, now)


@given(st.text(max_size=60), st.integers(0, 10**10 - 1), st.integers(0, 10**10 - 1))
def test_what_the_filter_writes_is_whole_and_names_its_user(user: str, end: int, now: int) -> None:
    raw = value.encode("192.0.2.7", value.Entry(end, 5, 4, 3, 2, "dovecot", "imap", user))
    entry = value.decode("192.0.2.7", raw)
    assert entry is not None
    assert check.is_intact(ADDRESS, raw)
    assert check.is_current(ADDRESS, raw, now) == (now >= 4 and now < end)
    assert check.Grant(raw).user == entry.user


@pytest.mark.parametrize(
    ("expected", "renewed", "until"),
    [
        (YES, 1000, 1001),
        (YES, 1001, 1800),
        (NO, 1002, 1800),
        (NO, 900, 1000),
        (NO, 900, 999),
    ],
    ids=["last second", "written a second ahead", "from the future", "just ended", "ended"],
)
def test_the_end_and_the_renewal_are_compared_with_the_clock(
    expected: str, renewed: int, until: int
) -> None:
    made = value.Entry(until, renewed, 900, 900, 0, "dovecot", "imap", "bob")
    entry = value.encode("192.0.2.7", made)

    class Stored:
        def get(self, address: str) -> bytes | None:
            return entry

    assert expected == Lookup(Stored()).attempt(b"192.0.2.7", None, 1000.0)


# ------------------------------------------------------------------ the map


@pytest.fixture
def map_path(tmp_path: Path) -> Path:
    path = tmp_path / "map.gdbm"
    maps.write(
        path,
        {
            "192.0.2.7": maps.value(),
            "192.0.2.8": maps.value(maps.EXPIRED),
            "192.0.2.9": b"OK",
            "2001:db8::7": maps.value(),
        },
    )
    return path


def lookup_in(path: Path) -> Lookup:
    return Lookup(open_reader(str(path)))


@pytest.mark.parametrize(
    ("expected", "key"),
    [
        (YES, b"192.0.2.7"),
        (YES, b"::ffff:192.0.2.7"),
        (YES, b"[2001:DB8::7]"),
        (NO, b"192.0.2.8"),
        (NO, b"198.51.100.1"),
        (NO, b"192.0.2"),
        (NOT_NOW, b"192.0.2.9"),
    ],
    ids=["living", "mapped", "IPv6", "ended", "absent", "prefix", "not our value"],
)
def test_one_question_one_answer(expected: str, key: bytes, map_path: Path) -> None:
    assert expected == lookup_in(map_path).ask(key)


def test_an_entry_that_is_written_later_is_seen_by_the_same_reader(map_path: Path) -> None:
    lookup = lookup_in(map_path)
    assert NO == lookup.ask(b"198.51.100.1")
    maps.write(map_path, {"198.51.100.1": maps.value()})
    assert YES == lookup.ask(b"198.51.100.1")


def test_a_map_that_is_replaced_by_rename_is_seen_by_the_same_reader(map_path: Path) -> None:
    lookup = lookup_in(map_path)
    assert YES == lookup.ask(b"192.0.2.7")
    other = map_path.with_name("other")
    maps.write(other, {"198.51.100.1": maps.value()})
    other.rename(map_path)
    maps.state(map_path)
    assert NO == lookup.ask(b"192.0.2.7")
    assert YES == lookup.ask(b"198.51.100.1")


def _absent(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_text("192.0.2.7 OK\n" * 2000)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _cut(path: Path) -> None:
    os.truncate(path, 4096 + 100)


def _zeroed_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(4096))


@pytest.mark.parametrize(
    "damage",
    [_absent, _empty, _text, _directory, _fifo, _cut, _zeroed_header, maps.lose_a_bucket],
)
@pytest.mark.parametrize("key", [b"192.0.2.7", b"192.0.2.8", b"198.51.100.1"])
def test_a_map_that_cannot_be_read_is_not_now_and_says_why(
    damage: object, key: bytes, map_path: Path
) -> None:
    damage(map_path)  # type: ignore[operator]
    lookup = lookup_in(map_path)
    with hang.ends():
        assert NOT_NOW == lookup.ask(key)
    assert str(map_path) in lookup.trouble


def test_a_damaged_bucket_reads_as_a_miss_unless_one_asks_again(map_path: Path) -> None:
    """The reason for `_refuse_damage`: should GDBM itself say it one day, this can go."""
    maps.lose_a_bucket(map_path)
    with _gdbm.open(str(map_path), "r") as database:
        assert database.get(b"192.0.2.7") is None
    with pytest.raises(StoreDamaged, match="recovery"):
        GdbmReader(str(map_path)).get("192.0.2.7")


@pytest.mark.skipif(os.geteuid() != 0, reason="root reads everything, so it must become nobody")
@pytest.mark.parametrize(
    ("expected", "words"),
    [
        (NO, "closed {size} {sum:08x} x-1"),
        (NOT_NOW, "closed {size} 00000000 x-1"),
        (NOT_NOW, "closed 1 {sum:08x} x-1"),
        (NO, "ready {boot} {inode}"),
        (NOT_NOW, "ready {boot} 1"),
        (NOT_NOW, "ready another-boot {inode}"),
        (NOT_NOW, "writing"),
        (NOT_NOW, ""),
    ],
    ids=[
        "closed",
        "closed and changed",
        "closed and cut",
        "ready",
        "another file",
        "before a power cut",
        "died in a change",
        "nothing",
    ],
)
def test_absence_is_believed_only_where_the_filter_says_that_nothing_is_missing(
    expected: str, words: str, map_path: Path
) -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    content = map_path.read_bytes()
    maps.state(
        map_path,
        words.format(
            boot=boot, inode=map_path.stat().st_ino, size=len(content), sum=crc32(content)
        ),
    )
    assert expected == lookup_in(map_path).ask(b"198.51.100.1")
    assert YES == lookup_in(map_path).ask(b"192.0.2.7")


@pytest.mark.parametrize(
    ("expected", "who", "later"),
    [(NO, "a filter", 0), (NO, "a filter", 1), (NOT_NOW, "a filter", -1), (NOT_NOW, "nobody", 1)],
    ids=["in its first moment", "written since", "not written since its start", "no filter"],
)
def test_another_boots_id_is_believed_of_a_filter_that_runs_and_has_written(
    expected: str, who: str, later: int, map_path: Path
) -> None:
    """In a container a sandboxed unit sees the machine's id, and all others the container's."""
    maps.state(map_path, f"ready another-boot {map_path.stat().st_ino}")
    lock = Lock(f"{map_path}.lock")
    lock.acquire(0)
    started = os.stat(f"{map_path}.lock").st_mtime_ns
    os.utime(f"{map_path}.state", ns=(started + later, started + later))
    if who == "nobody":
        lock.release()
    assert expected == lookup_in(map_path).ask(b"198.51.100.1")
    assert YES == lookup_in(map_path).ask(b"192.0.2.7")
    inode = map_path.stat().st_ino
    assert (expected == NO) == Completeness(str(map_path)).is_complete(inode)
    assert not Completeness(str(map_path)).is_complete(inode + 1)
    lock.release()


def test_a_map_without_its_state_lacks_nobody_who_is_in_it(map_path: Path) -> None:
    Path(f"{map_path}.state").unlink()
    assert NOT_NOW == lookup_in(map_path).ask(b"198.51.100.1")
    assert YES == lookup_in(map_path).ask(b"192.0.2.7")


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another account: needs root")
def test_a_map_without_the_right_to_read_it_is_not_now(map_path: Path) -> None:
    map_path.chmod(0o600)
    script = (
        "import os, sys; from pbs_filter.lookup.answer import *;"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        "l = Lookup(open_reader(sys.argv[1])); print(l.ask(b'192.0.2.7'), l.trouble)"
    )
    for directory in (map_path.parent, map_path.parent.parent, map_path.parent.parent.parent):
        directory.chmod(0o755)
    said = subprocess.run(
        [sys.executable, "-c", script, map_path], capture_output=True, text=True, check=True
    ).stdout
    assert f"not now map {map_path}: Permission denied\n" == said


def test_a_question_waits_for_a_writer_that_is_quick(map_path: Path) -> None:
    writer = _gdbm.open(str(map_path), "w")
    release = threading.Timer(0.05, writer.close)
    with pytest.raises(StoreLocked):
        GdbmReader(str(map_path)).get("192.0.2.7")
    release.start()
    assert YES == lookup_in(map_path).ask(b"192.0.2.7")
    release.join()


@contextlib.contextmanager
def told_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """Give the lookup a monotonic clock that only its own sleeping moves."""
    clock = SimpleNamespace(slept=0.0)

    def sleep(seconds: float) -> None:
        clock.slept += seconds

    with monkeypatch.context() as patched:
        patched.setattr(
            gdbm_reader,
            "time",
            SimpleNamespace(
                monotonic=lambda: clock.slept,
                sleep=sleep,
                time=time.time,
                clock_gettime=time.clock_gettime,
                CLOCK_BOOTTIME=time.CLOCK_BOOTTIME,
            ),
        )
        yield clock


def test_a_question_does_not_wait_long_for_a_writer_that_is_slow(
    map_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookup = lookup_in(map_path)
    with _gdbm.open(str(map_path), "w"), told_time(monkeypatch) as clock:
        assert NOT_NOW == lookup.ask(b"192.0.2.7")
    assert 0.2 <= clock.slept < 0.21
    assert f"map {map_path}: locked by a writer" == lookup.trouble


def test_questions_in_a_row_share_their_patience(
    map_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookup = lookup_in(map_path)
    with _gdbm.open(str(map_path), "w"), told_time(monkeypatch) as clock:
        for _ in range(10):
            assert NOT_NOW == lookup.ask(b"192.0.2.7", None, 0.1)
    assert 0.1 <= clock.slept < 0.11


def test_a_read_that_hangs_ends_the_process_in_time(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    script = (
        "import sys\n"
        "from pbs_filter.lookup import answer as lookup\n"
        "class Hangs:\n"
        "    def get(self, address): open(sys.argv[1]).read()\n"
        "print(lookup.Lookup(lookup.Guarded(Hangs())).ask(b'192.0.2.7'))\n"
    )
    with hang.ends():
        done = subprocess.run(
            [sys.executable, "-c", script, fifo], capture_output=True, check=False
        )
    assert b"" == done.stdout
    assert -14 == done.returncode  # SIGALRM


def test_a_map_of_a_kind_that_nobody_reads_is_refused_with_advice() -> None:
    with pytest.raises(
        ConfigError, match=r"'http' is no kind of map; give the path of a GDBM file"
    ):
        open_reader("http://localhost/0")


@pytest.mark.parametrize("locations", [("/map", "/other"), ("redis://r1", "/map")])
def test_a_map_in_a_file_is_alone(locations: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"map '/map' is a file, and a map in a file is alone"):
        open_reader(*locations)


class Troubled:
    """A reader that raises."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def get(self, address: str) -> bytes | None:
        raise self._error


@pytest.mark.parametrize(
    "error",
    [StoreBusy("x"), StoreDamaged("x"), OSError(5, "x"), MemoryError(), PbsFilterError("x")],
    ids=lambda e: type(e).__name__,
)
def test_whatever_the_reader_says_trouble_is_not_now(error: BaseException) -> None:
    lookup = Lookup(Troubled(error))
    assert NOT_NOW == lookup.ask(b"192.0.2.7")
    assert lookup.trouble


# ------------------------------------------------------------------ whose address


def test_a_binding_decides_only_over_living_entries(map_path: Path) -> None:
    asked = []

    def owns(user: str, sender: bytes) -> bool:
        asked.append((user, sender))
        return sender == b"bob@example.org"

    lookup = Lookup(open_reader(str(map_path)), owns=owns)
    assert YES == lookup.ask(b"192.0.2.7", b"bob@example.org")
    assert NO == lookup.ask(b"192.0.2.7", b"eve@example.org")
    assert NO == lookup.ask(b"192.0.2.7", None)
    assert NO == lookup.ask(b"192.0.2.8", b"bob@example.org")
    assert [
        ("bob@example.org", b"bob@example.org"),
        ("bob@example.org", b"eve@example.org"),
    ] == asked


def test_each_user_of_an_address_may_send_until_his_own_end(map_path: Path) -> None:
    ended = maps.value(maps.EXPIRED, user="dave")
    maps.write(
        map_path,
        {
            "192.0.2.7": maps.value(user="bob")._replace(users=3),
            "192.0.2.7#1": maps.value(user="alice"),
            "192.0.2.7#2": ended,
            "192.0.2.7#3": maps.value(user="bob"),
        },
    )

    def ask(user: str) -> str:
        asked = Lookup(open_reader(str(map_path)), owns=lambda name, _sender: name == user)
        return asked.ask(b"192.0.2.7", b"x@example.org")

    assert [YES, YES, NO, NO] == [ask(user) for user in ("alice", "bob", "dave", "eve")]
    assert YES == lookup_in(map_path).ask(b"192.0.2.7")
    assert NO == lookup_in(map_path).ask(b"192.0.2.7#1"), "a user's key is no address"
    maps.write(map_path, {"192.0.2.7#1": b"damaged"})
    assert NOT_NOW == ask("alice")
    with _gdbm.open(str(map_path), "w") as database:
        del database["192.0.2.7#1"]
    maps.state(map_path)
    assert NOT_NOW == ask("bob"), "they are written together, so one that is missing is damage"


def test_a_name_that_the_map_may_have_cut_owns_nothing(map_path: Path) -> None:
    maps.write(map_path, {"192.0.2.7": maps.value(user="u" * 200)})
    lookup = Lookup(open_reader(str(map_path)), owns=lambda user, sender: True)
    assert NO == lookup.ask(b"192.0.2.7", b"bob@example.org")


def test_a_binding_that_cannot_be_read_is_not_now(map_path: Path) -> None:
    def owns(user: str, sender: bytes) -> bool:
        raise StoreBusy("senders: gone")

    lookup = Lookup(open_reader(str(map_path)), owns=owns)
    assert NOT_NOW == lookup.ask(b"192.0.2.7", b"bob@example.org")
    assert "senders: gone" == lookup.trouble


# ------------------------------------------------------------------ start-up


IN_REDIS = {
    "pbs_filter.lookup.redis_connection",
    "pbs_filter.lookup.redis_reader",
    "pbs_filter.lookup.resp",
    "pbs_filter.map_format.redis_url",
    "pbs_filter.map_format.redis_fields",
    "pbs_filter.map_format.redis_members",
}


@pytest.mark.parametrize(
    ("location", "more"),
    [
        ("/nonexistent", set()),
        ("unix:///nonexistent", IN_REDIS),
        ("redis://127.0.0.1:1", IN_REDIS),
    ],
)
def test_a_check_imports_nothing_that_costs_more_than_it_does(
    location: str, more: set[str]
) -> None:
    script = (
        "import sys; before = set(sys.modules);"
        "from pbs_filter.lookup.__main__ import main;"
        f"main(['check', '--map={location}', '192.0.2.7']);"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run(
        [sys.executable, "-ISc", f"import os, sys; sys.path.insert(0, {os.getcwd()!r}); {script}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    ours = {name for name in loaded if name.startswith("pbs_filter")}
    assert {
        "pbs_filter",
        "pbs_filter.errors",
        "pbs_filter.map_format",
        "pbs_filter.map_format.check",
        "pbs_filter.map_format.completeness",
        "pbs_filter.map_format.gdbm_reader",
        "pbs_filter.map_format.map_clock",
        "pbs_filter.lookup",
        "pbs_filter.lookup.__main__",
        "pbs_filter.lookup.address",
        "pbs_filter.log",
        "pbs_filter.lookup.counts",
        "pbs_filter.lookup.answer",
        "pbs_filter.lookup.options",
        "pbs_filter.text",
    } | more == ours
    library = {"__future__", "_gdbm", "_socket", "binascii", "select"}
    # errno is there from the start in Python 3.14.
    assert (library - {"_gdbm"} if more else library) == set(loaded) - ours - {"errno"}


@pytest.mark.parametrize("owns", [None, lambda _user, _sender: True])
@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((5000, 5001), YES),
        ((900, 900), NO),
        # The entry was still told by the clock that was set back meanwhile, or on.
        ((5000, 1400), NOT_NOW),
        ((5000, 95_000), NOT_NOW),
    ],
)
def test_a_clock_that_is_set_while_the_map_is_read_is_no_no(
    times: tuple[int, int], expected: str, owns: Callable[[str, bytes], bool] | None
) -> None:
    key = b"192.0.2.7"
    stored = value.encode(
        key.decode(), value.Entry(6800, 5000, 5000, 5000, 0, "dovecot", "imap", "bob")
    )

    class Stored:
        def get(self, address: str) -> bytes | None:
            return stored

        def entries(self, address: str) -> list[tuple[bytes, bytes]]:
            return [(key, stored), (key, stored)]

    shown = iter(times)
    lookup = Lookup(Stored(), owns=owns, now=lambda: next(shown))
    try:
        verdict = lookup.attempt(key, b"bob")
    except StoreLocked:
        verdict = NOT_NOW
    assert expected == verdict
