"""What lookups remember of the filters that share a map, in a file of their own."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from pbs_filter import files
from pbs_filter.errors import ConfigError, StoreBusy
from pbs_filter.lookup import known_members
from pbs_filter.lookup.answer import NO, NOT_NOW, YES, Lookup, open_reader
from pbs_filter.lookup.known_members import PAUSE_SECONDS, ROUGH_SECONDS, KnownMembers
from pbs_filter.lookup.redis_reader import RedisReader
from pbs_filter.map_format.redis_members import Mark

from ..running import ENVIRONMENT
from ..store.fake_redis import FakeRedis
from .redis_answers import ABSENT, FILTERS, ID, KNOWN, MARKS, NOW_MS, holding, texts

HERE = ("unix:///run/redis.sock", "redis://r1.example")
NOW = NOW_MS // 1000
END = NOW + 45_000


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def known(tmp_path: Path, said: list[str]) -> Callable[..., KnownMembers]:
    def known(*locations: str) -> KnownMembers:
        return KnownMembers(
            str(tmp_path), locations or HERE, lambda _cause, text: said.append(text)
        )

    return known


def the_file(directory: Path) -> Path:
    (found,) = directory.iterdir()
    return found


def test_what_was_learned_is_known_at_the_next_start(
    known: Callable[..., KnownMembers], tmp_path: Path, said: list[str]
) -> None:
    first = known()
    assert {} == first.ends()
    first.learn({b"pop1": END, b"pop2": END + 1}, NOW)
    expected = {b"pop1": END + ROUGH_SECONDS, b"pop2": END + 1 + ROUGH_SECONDS}
    assert expected == first.ends() == known().ends()
    assert 0o644 == the_file(tmp_path).stat().st_mode & 0o777, "a person may ask as root"
    assert [] == said


def test_of_another_map_nothing_is_remembered(
    known: Callable[..., KnownMembers], tmp_path: Path
) -> None:
    known().learn({b"pop1": END}, NOW)
    assert {} == known("redis://other.example").ends()
    known("redis://other.example").learn({b"pop9": END}, NOW)
    assert [b"pop1"] == list(known().ends())
    assert 2 == len(list(tmp_path.iterdir()))


def test_it_is_not_written_at_each_sign_of_life(
    known: Callable[..., KnownMembers], tmp_path: Path
) -> None:
    memory = known()
    memory.learn({b"pop1": END}, NOW)
    number = the_file(tmp_path).stat().st_ino
    for seconds in range(1, ROUGH_SECONDS + 1, 100):
        memory.learn({b"pop1": END + seconds}, NOW + seconds)
    assert number == the_file(tmp_path).stat().st_ino
    memory.learn({b"pop1": END + ROUGH_SECONDS + 1}, NOW + ROUGH_SECONDS + 1)
    assert {b"pop1": END + 2 * ROUGH_SECONDS + 1} == known().ends()


def test_who_is_retired_leaves_and_so_does_who_has_ended(
    known: Callable[..., KnownMembers], tmp_path: Path
) -> None:
    known().learn({b"pop1": END, b"pop2": END, b"pop3": NOW + 1}, NOW)
    known().learn({b"pop2": 0}, NOW + 1)
    assert {b"pop1", b"pop3"} == known().ends().keys()
    known().learn({}, NOW + ROUGH_SECONDS + 1)
    assert {b"pop1"} == known().ends().keys()
    known().learn({b"pop2": END + 1, b"pop4": 0}, NOW)
    assert {b"pop1", b"pop2"} == known().ends().keys(), "it has written again"


def test_two_processes_do_not_forget_what_the_other_one_learned(
    known: Callable[..., KnownMembers], tmp_path: Path
) -> None:
    one, other = known(), known()
    assert {} == one.ends() == other.ends()
    one.learn({b"pop1": END}, NOW)
    other.learn({b"pop2": END}, NOW)
    assert {b"pop1", b"pop2"} == known().ends().keys()
    # Nor does one bring back whom the other one has seen retired.
    one.learn({b"pop1": END, b"pop2": 0}, NOW)
    other.learn({b"pop2": 0, b"pop3": END}, NOW)
    assert {b"pop1", b"pop3"} == known().ends().keys()


def test_a_crowd_of_processes_leaves_one_whole_file(tmp_path: Path) -> None:
    script = (
        "import sys; from pbs_filter.lookup.known_members import KnownMembers\n"
        "memory = KnownMembers(sys.argv[1], ['redis://r'], lambda _, text: print(text))\n"
        f"for n in range(100): memory.learn({{b'pop%d' % n: {END} + n}}, {NOW})\n"
    )
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    assert [b""] * len(crowd) == [process.communicate()[0] for process in crowd]
    the_file(tmp_path)
    memory = KnownMembers(str(tmp_path), ["redis://r"], lambda _, text: pytest.fail(text))
    assert 100 == len(memory.ends())


@pytest.mark.parametrize("content", [b"", b"\0\xff", b"00000000\n5 pop1\n", b"x" * 100_000])
def test_a_damaged_file_is_an_error_until_it_is_removed_or_one_who_knows_writes_it(
    content: bytes, known: Callable[..., KnownMembers], tmp_path: Path, said: list[str]
) -> None:
    memory = known()
    memory.learn({b"pop1": END}, NOW)
    path = the_file(tmp_path)
    path.write_bytes(content)
    late = known()
    for _ in range(2):
        with pytest.raises(StoreBusy, match=f"'{path}' is damaged.*remove it"):
            late.learn({b"pop1": END}, NOW)
    assert content == path.read_bytes()
    memory.learn({b"pop1": END, b"pop2": END}, NOW)
    assert f"{str(path)!r} was damaged" in said[0]
    assert {b"pop1", b"pop2"} == late.ends().keys(), "what the process knew is not lost"
    path.write_bytes(content)
    path.unlink()
    assert {} == known().ends()


@pytest.mark.parametrize(
    "spoil",
    [
        Path.unlink,
        lambda path: path.write_bytes(b"xx\n"),
        lambda path: shutil.rmtree(path.parent),
        lambda path: path.unlink() or os.mkfifo(path),
    ],
    ids=["removed", "spoilt", "with its directory", "a pipe"],
)
def test_a_file_that_is_lost_is_written_from_memory_at_the_next_look(
    spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    directory = tmp_path / "there"
    directory.mkdir()
    now = 0.0
    said: list[str] = []
    memory = KnownMembers(str(directory), HERE, lambda _, text: said.append(text), lambda: now)
    memory.learn({b"pop1": END}, NOW)
    path = the_file(directory)
    whole = path.read_bytes()

    def is_whole() -> bool:
        return path.is_file() and whole == path.read_bytes()

    spoil(path)
    memory.learn({b"pop1": END}, NOW)
    assert not is_whole(), "not looked at for each miss"
    now += PAUSE_SECONDS
    memory.learn({b"pop1": END}, NOW)
    if not directory.exists():
        for _ in range(1000):
            memory.learn({b"pop1": END}, NOW)
        assert f"the directory {str(directory)!r} of --members is missing" in "".join(said)
        assert 1 == len(said), "not tried at each miss"
        directory.mkdir()
        now += PAUSE_SECONDS
        memory.learn({b"pop1": END}, NOW)
    assert is_whole()
    number = path.stat().st_ino
    now += PAUSE_SECONDS
    memory.learn({b"pop1": END}, NOW)
    assert number == path.stat().st_ino, "a whole file is let alone"


def test_no_process_writes_an_earlier_end_or_leaves_out_what_it_knows(tmp_path: Path) -> None:
    now = 0.0

    def process() -> KnownMembers:
        return KnownMembers(str(tmp_path), HERE, lambda _, text: None, lambda: now)

    idle, busy = process(), process()
    idle.learn({b"pop1": NOW + 1000}, NOW)
    busy.learn({b"pop1": NOW + 8000, b"pop2": NOW + 8000}, NOW + 4500)
    idle.learn({b"pop2": NOW + 8000}, NOW + 4550)
    for each in (process(), idle, busy):
        assert {b"pop1", b"pop2"} == each.ends().keys()
        assert min(each.ends().values()) >= NOW + 8000
    the_file(tmp_path).unlink()
    one = process()
    one.learn({b"pop2": NOW + 8000}, NOW + 4600)
    now += PAUSE_SECONDS
    idle.learn({b"pop2": NOW + 8000}, NOW + 4610)
    assert {b"pop1", b"pop2"} == process().ends().keys()


def test_a_missing_directory_is_an_error_that_says_what_to_do(
    tmp_path: Path, said: list[str]
) -> None:
    directory = tmp_path / "there"
    memory = KnownMembers(str(directory), HERE, lambda _, text: said.append(text))
    for _ in range(2):
        with pytest.raises(StoreBusy, match=f"directory '{directory}' of --members.*create it"):
            memory.learn({b"pop1": END}, NOW)
    directory.mkdir()
    memory.learn({b"pop1": END}, NOW)
    assert the_file(directory)


def test_a_file_that_cannot_be_written_is_said_and_tried_again(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "there"
    directory.mkdir()
    now = 0.0
    memory = KnownMembers(str(directory), HERE, lambda _, text: said.append(text), lambda: now)
    full = OSError(errno.ENOSPC, "full")
    with monkeypatch.context() as patched:
        patched.setattr(files, "write_all", Mock(side_effect=full))
        for _ in range(1000):
            memory.learn({b"pop1": END}, NOW)
    assert 1 == len(said), "not tried at each miss"
    assert [b"pop1"] == list(memory.ends())
    assert "cannot write" in said[0]
    assert "make room" in said[0]
    memory.learn({b"pop1": END}, NOW)
    assert [] == list(directory.iterdir())
    now += PAUSE_SECONDS
    memory.learn({b"pop1": END}, NOW)
    assert the_file(directory)
    assert 1 == len(said)


def test_a_file_that_cannot_be_read_is_an_error_that_says_which(
    known: Callable[..., KnownMembers], tmp_path: Path, said: list[str]
) -> None:
    early = known()
    early.learn({b"pop1": END}, NOW)
    path = the_file(tmp_path)
    path.unlink()
    path.mkdir()
    for _ in range(2):
        with pytest.raises(StoreBusy, match=f"cannot read '{path}'"):
            known().learn({b"pop1": END}, NOW)
    early.learn({b"pop1": END, b"pop2": END}, NOW)
    assert f"cannot read '{path}'" in said[0]
    assert {b"pop1", b"pop2"} == early.ends().keys()
    path.rmdir()
    path.symlink_to("/etc/passwd")
    with pytest.raises(StoreBusy):
        known().ends()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(StoreBusy):  # and it waits for nobody
        known().ends()


def test_what_is_no_name_is_not_kept_and_the_file_is_bounded(
    known: Callable[..., KnownMembers], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = known()
    memory.learn({b"": END, b"a\n5 b": END, b"x" * 300: END, b"\xff": END, b"good": END}, NOW)
    assert [b"good"] == list(memory.ends()) == list(known().ends())
    monkeypatch.setattr(known_members, "MOST", 3)
    memory.learn({b"pop%d" % number: END for number in range(9)}, NOW)
    assert 3 == len(memory.ends())
    memory.learn({b"good": END + 2 * ROUGH_SECONDS}, NOW)
    assert END + 3 * ROUGH_SECONDS == memory.ends()[b"good"]


# ------------------------------------------------------------------ what lookups make of it


@pytest.fixture
def lookup(known: Callable[..., KnownMembers]) -> Iterator[Callable[[FakeRedis], Lookup]]:
    readers = []

    def lookup(server: FakeRedis) -> Lookup:
        readers.append(RedisReader([server.url], known=known()))
        return Lookup(readers[-1])

    yield lookup
    for reader in readers:
        for place in reader._places:
            for server in place._servers.values():
                server.close()


def test_a_filter_that_redis_and_the_others_have_forgotten_is_awaited(
    lookup: Callable[[FakeRedis], Lookup],
) -> None:
    pop2 = Mark(b"pop2", NOW_MS - 500, 9_000_000, b"i", b"r", b"L1", [ID])
    with FakeRedis(holding(marks=(*MARKS, pop2.encode()))) as server:
        assert NO == lookup(server).ask(ABSENT)
    with FakeRedis(holding()) as emptied:
        asks = lookup(emptied)
        assert (NOT_NOW, YES) == (asks.ask(ABSENT), asks.ask(KNOWN))
        assert "filter pop2 has not sent its addresses" in asks.trouble
        assert "pbs-filter --retire pop2" in asks.trouble
    retired = Mark(b"pop2", NOW_MS, 9_000_000, b"retired")
    with FakeRedis(holding(marks=(*MARKS, retired.encode()))) as server:
        assert NO == lookup(server).ask(ABSENT)
    with FakeRedis(holding()) as server:
        assert NO == lookup(server).ask(ABSENT), "it has left"


def test_while_the_file_cannot_be_read_no_miss_is_believed(
    lookup: Callable[[FakeRedis], Lookup], tmp_path: Path
) -> None:
    with FakeRedis(holding()) as server:
        assert NO == lookup(server).ask(ABSENT)
        path = the_file(tmp_path)
        path.unlink()
        path.mkdir()
        asks = lookup(server)
        assert (YES, NOT_NOW) == (asks.ask(KNOWN), asks.ask(ABSENT))
        assert f"cannot read {str(path)!r}" in asks.trouble
        path.rmdir()
        assert NO == asks.ask(ABSENT)


def test_a_map_in_a_file_has_no_members(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--members is for a map in Redis"):
        open_reader(str(tmp_path / "map"), members=str(tmp_path))


def test_the_program_remembers_where_it_is_told(tmp_path: Path) -> None:
    directory = tmp_path / "members"
    directory.mkdir()

    def check(server: FakeRedis) -> subprocess.CompletedProcess[str]:
        words = ["check", f"--members={directory}", f"--map={server.url}", ABSENT.decode()]
        return subprocess.run(
            [sys.executable, "-m", "pbs_filter.lookup", *words],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )

    told = {FILTERS: texts(*MARKS)}

    def answer(words: tuple[bytes, ...]) -> bytes | str:
        return told.get(words) or holding()(words)

    with FakeRedis(answer) as server:
        assert (1, "") == (check(server).returncode, check(server).stderr)
        told[FILTERS] = texts(
            b"life L2", Mark(b"new", NOW_MS, 9_000_000, b"i", b"r", b"L2", [ID]).encode()
        )
        done = check(server)
        assert 75 == done.returncode
        assert "filter pop1 has not sent" in done.stderr
        the_file(directory).write_text("damaged")
        done = check(server)
        assert 75 == done.returncode
        assert "is damaged" in done.stderr
        assert "Traceback" not in done.stderr
        the_file(directory).unlink()
        assert 1 == check(server).returncode, "as at the first start"
        shutil.rmtree(directory)
        done = check(server)
        assert 75 == done.returncode
        assert f"the directory {str(directory)!r} of --members is missing" in done.stderr
