"""What GDBM does not do by itself: damage is seen, half a batch not believed, files stay small."""

from __future__ import annotations

import builtins
import contextlib
import errno
import itertools
import os
import random
import stat
import subprocess
import sys
from collections.abc import Iterator
from dbm import gnu
from pathlib import Path

import pytest

from pbs_filter import files
from pbs_filter.errors import ConfigError, StoreBusy, StoreDamaged
from pbs_filter.map_format.check import is_intact
from pbs_filter.map_format.entry import decode
from pbs_filter.store import gdbm_file, gdbm_map, gdbm_state
from pbs_filter.store.gdbm_file import GdbmFile
from pbs_filter.store.gdbm_map import GdbmMap

from .store_tools import ROOT, filled, memory_directory, small_file_system
from .store_writer import address_of, value_of

A, B, C = "192.0.2.1", "198.51.100.2", "2001:db8::3"


@pytest.fixture
def path() -> Iterator[Path]:
    with memory_directory() as directory:
        yield directory / "map"


def genuine(address: str, value: bytes) -> bool:
    return is_intact(address.encode("ascii", "replace"), value)


def opened(path: Path, **options: object) -> GdbmMap:
    return GdbmMap(str(path), genuine=genuine, **options)  # type: ignore[arg-type]


def made(path: Path, *addresses: str, **options: object) -> GdbmMap:
    address_map = opened(path, **options)
    address_map.rebuild((a, value_of(a, 1)) for a in addresses)
    return address_map


def state_of(path: Path) -> str:
    return path.with_name("map.state").read_text().split()[0]


# ---------------------------------------------------------------------- locks


def test_a_lock_of_another_program_is_waited_for_and_then_said(path: Path) -> None:
    address_map = made(path, A, lock_wait_seconds=0.01)
    with (
        gnu.open(str(path), "w"),
        pytest.raises(StoreBusy, match=r"has been locked by process \d+ \("),
    ):
        address_map.write({B: value_of(B, 2)})
    with gnu.open(str(path), "w"):
        with pytest.raises(StoreBusy, match="has been locked"):
            address_map.get(A)
        with pytest.raises(StoreBusy, match="has been locked"):
            list(address_map.items())
        with pytest.raises(StoreBusy, match="has been locked"):
            address_map.count()
        assert address_map.damaged() is None
    address_map.write({B: value_of(B, 2)})
    assert address_map.get(B) == value_of(B, 2)


def test_a_lock_that_is_let_go_in_time_is_no_trouble(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address_map = made(path, A)
    with contextlib.ExitStack() as holder:
        monkeypatch.setattr(gdbm_file.time, "sleep", lambda _seconds: holder.close())
        for flag, use in (
            ("w", lambda: address_map.get(A)),
            ("r", lambda: address_map.write({A: None})),
            ("w", lambda: list(address_map.items())),
        ):
            holder.enter_context(gnu.open(str(path), flag))
            use()
    assert address_map.count() == 0


def test_without_locking_nobody_waits(path: Path) -> None:
    address_map = made(path, A, flock=False)
    with gnu.open(str(path), "r"):
        address_map.write({B: value_of(B, 2)})
    with gnu.open(str(path), "w"):
        assert len(list(address_map.items())) == 2


# ---------------------------------------------------------------------- the state


class Dies(BaseException):
    """Stands for kill -9 inside a batch."""


def test_a_miss_in_a_map_whose_writer_died_in_a_batch_is_not_believed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address_map = made(path, A)

    def die(_database: object, _changes: object) -> None:
        raise Dies

    with monkeypatch.context() as patch:
        patch.setattr(GdbmFile, "put", staticmethod(die))
        with pytest.raises(Dies):
            address_map.write({B: value_of(B, 2)})
    reader = opened(path)
    assert reader.get(A) == value_of(A, 1)
    with pytest.raises(StoreBusy, match="is not complete"):
        reader.get(B)
    with pytest.raises(StoreBusy, match="is not complete"):
        list(reader.items())
    with pytest.raises(StoreBusy, match="is not complete"):
        reader.count()
    assert not reader.was_clean("1-1")
    reader.rebuild([(A, value_of(A, 1))])
    assert opened(path).get(B) is None


def test_a_map_of_an_earlier_boot_that_was_not_closed_is_not_believed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(path, A).close()
    monkeypatch.setattr(gdbm_state, "boot_id", lambda: b"another")
    with pytest.raises(StoreBusy, match="is not complete"):
        opened(path).get(B)


def test_a_map_that_took_another_s_place_is_not_believed(path: Path) -> None:
    made(path, A).close()
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.rename(path)
    assert opened(path).get(A) == value_of(A, 1)
    with pytest.raises(StoreBusy, match="is not complete"):
        opened(path).get(B)
    with pytest.raises(StoreBusy, match="is not complete"):
        opened(path).count()


def test_a_map_that_was_closed_is_believed_in_any_boot(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(path, A).mark_clean("1-1")
    monkeypatch.setattr(gdbm_state, "boot_id", lambda: b"another")
    assert opened(path).get(B) is None


def test_a_map_without_its_state_is_not_believed_until_the_next_batch(path: Path) -> None:
    address_map = made(path, A)
    path.with_name("map.state").unlink()
    with pytest.raises(StoreBusy, match="is not complete"):
        opened(path).get(B)
    address_map.write({C: value_of(C, 1)})
    assert opened(path).get(B) is None


def test_a_map_that_nobody_checked_does_not_become_complete_by_a_batch(path: Path) -> None:
    made(path, A).mark_clean("1-1")
    careless = opened(path)
    careless.write({B: value_of(B, 1)})
    assert state_of(path) == "writing"
    with pytest.raises(AssertionError, match="neither made nor found clean"):
        careless.mark_clean("1-2")


def test_while_an_unclean_map_is_made_again_its_misses_are_not_believed(path: Path) -> None:
    made(path, A).close()
    assert state_of(path) == "ready"
    address_map = opened(path)
    assert not address_map.was_clean("1-1")
    address_map.begin_rebuild()
    with pytest.raises(StoreBusy, match="is not complete"):
        opened(path).get(B)
    address_map.write({C: value_of(C, 1)})
    assert state_of(path) == "writing"
    address_map.rebuild_step([(A, value_of(A, 1))])
    while not address_map.finish_rebuild():
        pass
    assert opened(path).get(B) is None
    assert opened(path).get(C) == value_of(C, 1)


def test_a_running_rebuild_is_given_up_at_the_end(path: Path) -> None:
    address_map = made(path, A)
    address_map.begin_rebuild()
    address_map.mark_clean("1-1")
    assert not path.with_name("map.new").exists()
    again = opened(path)
    assert again.was_clean("1-1")
    again.begin_rebuild()
    again.close()
    assert not path.with_name("map.new").exists()


def test_both_files_have_the_mode_asked_for_whatever_the_umask(path: Path) -> None:
    old = os.umask(0o777)
    try:
        made(path, A)
    finally:
        os.umask(old)
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o640, file


# ---------------------------------------------------------------------- damage


@pytest.mark.parametrize(
    ("what", "content"),
    [
        ("empty", b""),
        ("cannot be used", b"another format"),
        ("cannot be used", bytes(20_000)),
        ("not there", None),
    ],
)
def test_a_map_that_is_none_is_damaged_and_made_again(
    path: Path, what: str, content: bytes | None
) -> None:
    address_map = made(path, A)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    assert address_map.damaged() is not None
    with pytest.raises(StoreDamaged):
        address_map.write({B: value_of(B, 2)})
    with pytest.raises((StoreDamaged, StoreBusy)):
        opened(path).get(A)
    again = opened(path)
    assert not again.was_clean("1-1")
    assert again.damaged() is not None
    again.rebuild([(A, value_of(A, 1))])
    assert again.get(A) == value_of(A, 1)
    assert [content] * (content is not None) == [
        f.read_bytes() for f in path.parent.glob("map.damaged-*")
    ]


def test_a_directory_in_its_place_is_kept_aside(path: Path) -> None:
    path.mkdir()
    said: list[str] = []
    address_map = made(path, A, say=said.append)
    assert address_map.get(A) == value_of(A, 1)
    assert "not a file; kept as" in said[0]


def test_a_map_that_was_replaced_while_the_filter_runs_is_made_again(path: Path) -> None:
    address_map = made(path, A, B)
    other = made(path.with_name("other"), A)
    other.close()
    path.with_name("other").rename(path)
    with pytest.raises(StoreDamaged, match="replaced by somebody"):
        address_map.write({C: value_of(C, 1)})


def test_any_change_to_a_closed_map_is_seen_at_the_next_start(path: Path) -> None:
    chance = random.Random(3)
    addresses = [address_of(i) for i in range(300)]
    made(path, *addresses).mark_clean("1-1")
    content = path.read_bytes()
    assert opened(path).was_clean("1-1")
    for _ in range(300):
        damaged = bytearray(content)
        if chance.random() < 0.8:
            damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        else:
            del damaged[chance.randrange(len(content)) :]
        path.write_bytes(damaged)
        again = opened(path)
        assert not again.was_clean("1-1")
        assert again.damaged() is not None


def test_damage_while_it_is_in_use_never_makes_an_entry_nobody_wrote(path: Path) -> None:
    """A lookup of a damaged map says nothing false: the right value, an error, or, where GDBM sees
    no damage, no value."""
    chance = random.Random(4)
    addresses = [address_of(i) for i in range(150)]
    made(path, *addresses).close()
    content = path.read_bytes()
    right = {address: decode(address, value_of(address, 1)) for address in addresses}
    refused = 0
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(chance.choice((1, 1, 4))):
            # Header, directory and the first bucket as often as everything else.
            end = chance.choice((4096 * 3, len(content)))
            damaged[chance.randrange(end)] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        reader = opened(path)
        for address in [*addresses[:20], "203.0.113.66"]:
            try:
                value = reader.get(address)
                if value is not None:
                    assert decode(address, value) == right[address]
                elif address in right:
                    with gnu.open(str(path), "r") as database:
                        assert len(database) >= 0, "raises where GDBM sees the damage"
            except (StoreDamaged, StoreBusy):
                refused += 1
        try:
            for address, value in reader.items():
                assert decode(address, value) == right[address]
        except (StoreDamaged, StoreBusy):
            refused += 1
    assert refused > 100


def test_a_circle_in_a_damaged_map_ends(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address_map = made(path, A, B)

    class Circle:
        def __len__(self) -> int:
            return 2

        def firstkey(self) -> bytes:
            return A.encode()

        def nextkey(self, _key: bytes) -> bytes:
            return A.encode()

        def get(self, _key: bytes) -> bytes:
            return value_of(A, 1)

        def close(self) -> None:
            pass

    monkeypatch.setattr(GdbmFile, "open", lambda *_: Circle())
    assert len(list(address_map.items())) == 2
    monkeypatch.setattr(Circle, "nextkey", lambda *_: None)
    with pytest.raises(StoreDamaged, match="1 address cannot be found"):
        list(address_map.items())


# ---------------------------------------------------------------------- full disks


def test_a_full_disk_stops_batches_before_they_begin_and_removals_go_on(tmp_path: Path) -> None:
    with small_file_system(tmp_path / "small", "8m") as where:
        address_map = made(where / "map", A)
        with filled(where, leaving=500_000):
            with pytest.raises(StoreBusy, match="make room"):
                address_map.write({B: value_of(B, 1)})
            with pytest.raises(StoreBusy, match="make room"):
                address_map.rebuild([(B, value_of(B, 1))])
            assert address_map.get(B) is None
            address_map.write({A: None})
            assert address_map.get(A) is None
        address_map.write({B: value_of(B, 1)})
        assert address_map.get(B) == value_of(B, 1)
        address_map.close()


def test_a_disk_that_fills_inside_a_batch_breaks_the_map_until_it_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_file_system(tmp_path / "small", "4m") as where:
        said: list[str] = []
        address_map = made(where / "map", A, say=said.append)
        monkeypatch.setattr(gdbm_file, "RESERVE_BYTES", 0)
        many = {address_of(i): value_of(address_of(i), i) for i in range(5000)}
        with filled(where, leaving=500_000):
            with pytest.raises(StoreDamaged, match="broke while it was written: No space left"):
                address_map.write(many)
            with pytest.raises(StoreDamaged, match="No space left"):
                address_map.write({B: value_of(B, 1)})
            with pytest.raises(StoreBusy, match="No space left"):
                address_map.mark_clean("1-1")
            with pytest.raises((StoreBusy, StoreDamaged)):
                opened(where / "map").get("203.0.113.66")
            with pytest.raises(StoreBusy, match="make room"):
                address_map.rebuild(many.items())
            assert not (where / "map.new").exists()
        address_map.rebuild(many.items())
        assert dict(address_map.items()) == many
        assert said == [], "nothing worth keeping aside on a full disk"
        address_map.close()


def test_a_new_map_that_cannot_be_written_leaves_the_old_one_in_use(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    address_map = made(path, A, say=said.append)
    address_map.begin_rebuild()
    assert address_map._next is not None
    new = address_map._next.database
    real = GdbmFile.put

    def full(database: object, changes: dict[str, bytes | None]) -> None:
        if database is new:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(database, changes)

    monkeypatch.setattr(GdbmFile, "put", staticmethod(full))
    address_map.write({B: value_of(B, 1)})
    assert address_map._next is None
    assert "make room" in said[0]
    assert address_map.get(B) == value_of(B, 1)


def test_a_failed_sync_of_a_new_map_leaves_the_old_one_in_use(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address_map = made(path, A)

    def fail(_fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(StoreBusy, match="look at the disk"):
            address_map.rebuild([])
        with pytest.raises(StoreBusy, match="look at the disk"):
            address_map.mark_clean("1-1")
    assert address_map.get(A) == value_of(A, 1)
    assert not opened(path).was_clean("1-1")


@pytest.mark.parametrize("how", ["fails", "ends early"])
def test_a_map_that_cannot_be_copied_is_said(
    path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    address_map = made(path, A)

    def sendfile(*_: object) -> int:
        if how == "fails":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return 0

    monkeypatch.setattr(gdbm_map.os, "sendfile", sendfile)
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises((StoreBusy, StoreDamaged), match=r"look at the disk|cannot be used"):
        list(address_map.items())
    assert set(os.listdir("/proc/self/fd")) == before


def test_the_end_of_a_map_that_is_no_more_is_not_clean(path: Path) -> None:
    address_map = made(path, A)
    address_map.mark_clean("1-1")
    path.unlink()
    with pytest.raises(StoreBusy, match="No such file"):
        address_map.mark_clean("1-2")
    assert not opened(path).was_clean("1-1")
    path.write_bytes(b"")
    with pytest.raises(StoreBusy, match="is empty"):
        address_map.mark_clean("1-2")


def test_where_the_boot_cannot_be_known_every_boot_is_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", missing)
        assert "-" == gdbm_state.State(str(path), mode=0o600, gid=None)._boot


@pytest.mark.parametrize("call", ["stat", "statvfs", "pwrite"])
def test_trouble_before_a_batch_is_no_damage(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    address_map = made(path, A)

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(gdbm_map.os, call, fail)
        with pytest.raises(StoreBusy, match="look at the disk"):
            address_map.write({B: value_of(B, 1)})
    address_map.write({B: value_of(B, 1)})
    assert address_map.get(B) == value_of(B, 1)


# ---------------------------------------------------------------------- size


def test_churn_does_not_let_the_map_grow(path: Path) -> None:
    """Records of one length: GDBM uses the room of a removed one again."""
    chance = random.Random(5)
    numbers = list(range(1000))
    address_map = made(path, *map(address_of, numbers))
    before = address_map.size_bytes()
    fresh = 1000
    for _ in range(100):
        changes: dict[str, bytes | None] = {}
        for _ in range(100):
            at = chance.randrange(1000)
            changes[address_of(numbers[at])] = None
            numbers[at] = fresh
            changes[address_of(fresh)] = value_of(address_of(fresh), 1)
            fresh += 1
        address_map.write(changes)
    assert address_map.count() == 1000
    assert address_map.size_bytes() < 1.5 * before
    assert address_map.size_bytes() < gdbm_map.BYTES_PER_ADDRESS * 1000


def test_a_map_much_bigger_than_what_lives_is_worth_making_again(path: Path) -> None:
    addresses = [address_of(i) for i in range(8000)]
    address_map = made(path, *addresses)
    assert not address_map.should_rebuild(len(addresses))
    address_map.write(dict.fromkeys(addresses[1:]))
    assert address_map.should_rebuild(1)
    address_map.begin_rebuild()
    assert not address_map.should_rebuild(1)
    address_map.abort_rebuild()
    address_map.rebuild(address_map.items())
    assert not address_map.should_rebuild(1)
    assert list(address_map.items()) == [(addresses[0], value_of(addresses[0], 1))]
    assert opened(path.with_name("none")).size_bytes() == 0


def test_the_order_of_storing_is_that_of_the_buckets(path: Path) -> None:
    """Only speed rests on it, but a great deal of that."""
    addresses = [address_of(i) for i in range(20_000)]
    made(path, *addresses)
    with gnu.open(str(path), "r") as database:
        found = [key.decode() for key in database.keys()]  # noqa: SIM118
    ranks = [gdbm_file.bucket((address, b"")) >> 24 for address in found]
    assert sum(a > b for a, b in itertools.pairwise(ranks)) < len(ranks) * 0.5
    low, high = ranks[: len(ranks) // 4], ranks[-len(ranks) // 4 :]
    assert max(low) <= min(high)


# ---------------------------------------------------------------------- places, Pythons


def test_a_symbolic_link_in_its_place_is_refused(path: Path) -> None:
    path.symlink_to("elsewhere")
    address_map = opened(path)
    with pytest.raises(ConfigError, match="symbolic link"):
        address_map.was_clean("1-1")
    with pytest.raises(ConfigError, match="symbolic link"):
        address_map.rebuild([])
    path.unlink()
    path.with_name("map.state").unlink(missing_ok=True)
    path.with_name("map.state").symlink_to("elsewhere")
    with pytest.raises(ConfigError, match="symbolic link"):
        opened(path).rebuild([])


def test_a_missing_directory_is_said_in_one_sentence(path: Path) -> None:
    with pytest.raises(StoreBusy, match="No such file or directory; create the directory again"):
        made(path / "below" / "map", A)


def test_a_python_without_gdbm_is_told_which_package_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: object, **named: object) -> object:
        if name == "dbm":
            raise ImportError
        return real(name, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match="python3-gdbm") as caught:
        GdbmMap("map")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two accounts")
def test_a_member_of_the_group_reads_and_cannot_write(path: Path) -> None:
    made(path, A)
    group = 54321
    path.parent.chmod(0o750)
    for file in (path.parent, path, path.with_name("map.state")):
        os.chown(file, -1, group)
    script = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from pbs_filter.errors import StoreBusy
from pbs_filter.store.gdbm_map import GdbmMap
os.setgroups([{group}]); os.setuid(54321)  # who may not be able to read this checkout
reader = GdbmMap(sys.argv[1])
assert reader.get({A!r}) is not None
assert reader.get({B!r}) is None
assert [a for a, _ in reader.items()] == [{A!r}]
assert reader.count() == 1
try:
    reader.write({{{B!r}: b"x"}})
except StoreBusy as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert "Permission denied" in done.stdout
    assert opened(path).count() == 1


def test_a_group_we_are_not_in_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    address_map = opened(path)
    address_map._gid = 54321
    monkeypatch.setattr(files.os, "fchown", refuse)
    with pytest.raises(ConfigError, match=r"cannot give .* to group 54321"):
        address_map.rebuild([])


def test_readers_that_never_let_go_do_not_keep_the_writer_waiting(path: Path) -> None:
    """A lock of readers alone: the writer changes a copy, which takes the map's name."""
    replaced: list[int] = []
    address_map = GdbmMap(str(path), on_replace=replaced.append)
    address_map.rebuild([(A, value_of(A, 1))])
    first = path.stat().st_ino
    with gnu.open(str(path), "r") as held:
        address_map.write({A: value_of(A, 2), B: value_of(B, 2)})
        address_map.write({A: value_of(A, 3)}, complete=False)
        assert held[A.encode()] == value_of(A, 1)
    assert [first, path.stat().st_ino] == replaced
    assert first != path.stat().st_ino
    reader = GdbmMap(str(path))
    assert reader.get(A) == value_of(A, 3)
    with pytest.raises(StoreBusy, match="not complete"):
        reader.get("192.0.2.200")
    address_map.write({}, complete=True)
    assert reader.get("192.0.2.200") is None
    address_map.mark_clean("position")
    address_map.close()
    assert GdbmMap(str(path)).was_clean("position")
    assert not path.with_name("map.copy").exists()


def test_a_copy_that_cannot_be_written_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address_map = made(path, A)

    def fails(_to: int, _source: int) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(files, "send_all", fails)
    with gnu.open(str(path), "r"), pytest.raises(StoreBusy, match="copy of the map"):
        address_map.write({B: value_of(B, 2)})
    monkeypatch.undo()
    address_map.write({B: value_of(B, 2)})
    assert address_map.get(B) == value_of(B, 2)


def test_a_map_that_was_given_up_is_written_no_more_until_it_is_made_again(path: Path) -> None:
    address_map = made(path, A)
    address_map.give_up("the clock was set")
    with pytest.raises(StoreDamaged, match="the clock was set"):
        address_map.write({B: value_of(B, 2)})
    with pytest.raises(StoreBusy, match="the clock was set"):
        address_map.mark_clean("position")
    assert "writing" == state_of(path)
    address_map.begin_rebuild()
    address_map.write({B: value_of(B, 2)})  # goes to the new one alone
    address_map.rebuild_step([(A, value_of(A, 2))])
    while not address_map.finish_rebuild(1.0):
        pass
    assert "writing" == state_of(path)
    address_map.write({})
    assert "ready" == state_of(path)
    assert {A: value_of(A, 2), B: value_of(B, 2)} == dict(address_map.items())


def spoil_end(path: Path) -> None:
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size - 1)
        file.write(b"x")


def test_a_map_that_somebody_changed_while_it_was_in_use_is_not_closed(path: Path) -> None:
    """It would be believed at the next start; what he did to it nobody knows."""
    address_map = made(path, A, B)
    address_map.write({A: value_of(A, 2)})
    spoil_end(path)
    with pytest.raises(StoreBusy, match="somebody changed the map"):
        address_map.mark_clean("1-1")
    assert "ready" == state_of(path)
    address_map.rebuild((a, value_of(a, 3)) for a in (A, B))
    address_map.mark_clean("1-1")
    assert "closed" == state_of(path)


def test_a_change_of_somebody_is_not_hidden_by_ours(path: Path) -> None:
    """A closed map says itself that it was changed, one that is ready does not."""
    address_map = made(path, A, B)
    address_map.mark_clean("1-1")
    spoil_end(path)
    with pytest.raises(StoreDamaged, match="somebody changed the map"):
        address_map.write({B: value_of(B, 2)})
    assert "writing" == state_of(path)
    address_map.rebuild((a, value_of(a, 3)) for a in (A, B))
    address_map.write({B: value_of(B, 4)})
    assert "ready" == state_of(path)
