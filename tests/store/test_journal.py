"""The journal: what was appended is there afterwards; what was damaged is never believed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbs_filter import files
from pbs_filter.errors import ConfigError, StoreBusy
from pbs_filter.store import journal, journal_file, journal_lines
from pbs_filter.store.journal import Journal

from .store_tools import (
    ROOT,
    filled,
    last_states,
    memory_directory,
    payloads_of,
    replayed,
    small_file_system,
)

PAYLOADS = st.lists(
    st.text(st.characters(exclude_characters="\n"), max_size=40)
    | st.sampled_from(["", "\0", "\r", "\udcff", "a\tb", "é\u2028"]),
    max_size=8,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def in_memory() -> Iterator[Path]:
    with memory_directory() as directory:
        yield directory


def written(path: Path, payloads: list[str]) -> None:
    log, _ = replayed(path)
    log.append(payloads)
    log.close()


@settings(max_examples=60, deadline=None)
@given(blocks=st.lists(PAYLOADS, max_size=5))
def test_what_was_appended_is_replayed_in_order(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[list[str]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    log, before = replayed(path)
    assert before == []
    for block in blocks:
        log.append(block)
    # Neither an orderly end nor a second process is needed for it to be there.
    assert [p for block in blocks for p in block] == list(journal_lines.read(str(path)))
    position = log.position
    log.close()
    log, again = replayed(path)
    assert [p for block in blocks for p in block] == again
    assert position == log.position
    assert not log.lost_lines or not path.exists()


def test_a_journal_that_was_not_there_says_so(path: Path) -> None:
    log, _ = replayed(path)
    assert log.lost_lines
    log.close()
    log, _ = replayed(path)
    assert not log.lost_lines


@pytest.mark.parametrize("bad", ["a\nb", "x" * (journal_lines.MAX_PAYLOAD_BYTES + 1)])
def test_a_payload_that_is_not_one_line_is_refused_and_nothing_of_its_block_is_written(
    path: Path, bad: str
) -> None:
    log, _ = replayed(path)
    with pytest.raises(ValueError, match="not a journal payload"):
        log.append(["good", bad])
    assert list(journal_lines.read(str(path))) == []


def test_files_have_the_mode_asked_for_whatever_the_umask(path: Path) -> None:
    for umask in (0, 0o777):
        old = os.umask(umask)
        try:
            written(path, ["a"])
        finally:
            os.umask(old)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.unlink()


# ---------------------------------------------------------------------- torn and damaged


def test_a_last_line_cut_at_any_byte_is_dropped_and_the_next_append_is_not_glued_to_it(
    path: Path,
) -> None:
    written(path, ["k=1", "k=2"])
    whole = path.read_bytes()
    for cut in range(len(whole) - len(b"k=2\n") - 9 + 1, len(whole)):
        path.write_bytes(whole[:cut])
        said: list[str] = []
        log, payloads = replayed(path, say=said.append)
        assert payloads == ["k=1"], cut
        assert "unfinished last line" in said[0]
        assert path.read_bytes() == whole[: -len(b"12345678 k=2\n")]
        log.append(["k=3"])
        log.close()
        assert payloads_of(path) == ["k=1", "k=3"]
    assert list(path.parent.glob("*damaged*")) == []


def test_zero_bytes_behind_the_last_line_mean_nothing(path: Path) -> None:
    written(path, ["k=1"])
    path.write_bytes(path.read_bytes() + bytes(5000))
    said: list[str] = []
    assert replayed(path, say=said.append)[1] == ["k=1"]
    assert said == []


def test_a_damaged_line_is_skipped_the_rest_used_and_the_file_kept_aside(path: Path) -> None:
    written(path, [f"k={i}" for i in range(100)])
    damaged = path.read_bytes().replace(b" k=50\n", b" k=51\n")
    path.write_bytes(damaged)
    said: list[str] = []
    log, payloads = replayed(path, say=said.append)
    assert [f"k={i}" for i in range(100) if i != 50] == payloads
    [aside] = path.parent.glob("journal.damaged-*")
    assert damaged == aside.read_bytes()
    assert said == [
        f"the journal {str(path)!r}: 1 damaged lines skipped; "
        f"the damaged one is kept as {str(aside)!r}"
    ]
    log.append(["k=last"])
    log.close()
    said.clear()
    assert [*payloads, "k=last"] == replayed(path, say=said.append)[1]
    assert said == [], "the rewritten journal is whole"


def test_damage_that_cannot_be_repaired_now_does_not_keep_the_filter_from_starting(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(path, [f"k={i}" for i in range(9)])
    path.write_bytes(path.read_bytes().replace(b" k=5\n", b" k=6\n") + b"torn")
    said: list[str] = []
    with monkeypatch.context() as patch:
        let_the_journal_fail(patch, Failing("fdatasync", errno.ENOSPC))
        log, payloads = replayed(path, say=said.append)
    assert payloads == [f"k={i}" for i in range(9) if i != 5]
    assert "could not be written anew" in said[-1]
    log.append(["k=9"])
    log.close()
    assert list(path.parent.glob("journal?*")) == []
    monkeypatch.setattr(journal, "SPARE_LINES", 3)
    assert payloads_of(path) == [*payloads, "k=9"]
    assert len(list(path.parent.glob("*damaged*"))) == 1
    assert replayed(path)[1] == [*payloads, "k=9"]


@pytest.mark.parametrize("number", [0, 1, 2, 30])
def test_a_damaged_first_line_costs_no_other_line(path: Path, number: int) -> None:
    payloads = [f"k={i}" for i in range(number)]
    written(path, payloads)
    whole = path.read_bytes()
    for place in range(whole.index(b"\n")):
        data = bytearray(whole)
        data[place] ^= 4
        path.write_bytes(data)
        found = payloads_of(path)
        if number == 1 and journal_lines.MARK_AT.start <= place < journal_lines.MARK_AT.stop:
            # One line and a mark that do not agree: nobody can tell which of them is damaged.
            assert found == []
        else:
            assert payloads == found, place


@pytest.mark.parametrize("filling", [b"\0", b"x"])
def test_what_went_with_the_end_of_the_first_line_is_lost(path: Path, filling: bytes) -> None:
    written(path, [f"k={i}" for i in range(9)])
    whole = path.read_bytes()
    length = whole.index(b" k=3")
    path.write_bytes(filling * length + whole[length:])
    log, payloads = replayed(path)
    assert [f"k={i}" for i in range(4, 9)] == payloads
    assert log.lost_lines
    log.close()
    path.write_bytes(filling + whole[1:])
    log, payloads = replayed(path)
    assert (9, False) == (len(payloads), log.lost_lines)


@pytest.mark.parametrize(
    ("what", "content"),
    [
        ("is empty", b""),
        ("not a journal", b"\0" * 5000),
        ("not a journal", b"another format\nwith lines\n"),
        ("not a journal", b"first\n" + b"deadbeef k=forged\n" * 3),
        ("not a journal", bytes(range(256)) * 3000),
        ("not a journal", b"x" * 300_000),
        ("not a journal", b"pbs-filter journal 1 0000"),
    ],
)
def test_something_else_in_its_place_is_kept_aside_and_a_new_journal_begun(
    path: Path, what: str, content: bytes
) -> None:
    path.write_bytes(content)
    said: list[str] = []
    log, payloads = replayed(path, say=said.append)
    assert payloads == []
    assert log.lost_lines
    assert what in said[0]
    assert [content] * bool(content) == [f.read_bytes() for f in path.parent.glob("*damaged*")]
    log.append(["a"])
    log.close()
    assert replayed(path)[1] == ["a"]


def test_a_directory_in_its_place_is_kept_aside(path: Path) -> None:
    path.mkdir()
    said: list[str] = []
    log, _ = replayed(path, say=said.append)
    log.append(["a"])
    assert "a directory" in said[0]
    assert [f.is_dir() for f in path.parent.glob("*damaged*")] == [True]


def test_only_the_newest_damaged_files_are_kept(path: Path) -> None:
    for i in range(files.KEPT_ASIDE + 3):
        path.write_bytes(b"damage %d" % i)
        os.utime(path, ns=(i, i))
        replayed(path)[0].close()
    kept = {f.read_bytes() for f in path.parent.glob("*damaged*")}
    assert {b"damage 3", b"damage 4", b"damage 5"} == kept


def test_a_journal_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    text = b"pbs-filter journal 2 00000000"
    content = b"%b %08x\nwhatever\n" % (text, journal_lines.crc32(text))
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"has format 2, this version knows 1; install"):
        replayed(path)
    assert content == path.read_bytes()


def test_lines_of_another_journal_behind_the_end_are_not_believed(path: Path) -> None:
    """What a file system may leave behind the last line after a power cut: older data."""
    other = path.with_name("other")
    written(other, ["k=forged"] * 3)
    written(path, ["k=1"])
    lines_of_other = other.read_bytes().split(b"\n", 1)[1]
    path.write_bytes(path.read_bytes() + lines_of_other)
    assert replayed(path)[1] == ["k=1"]


def test_no_flipped_or_lost_byte_makes_a_payload_nobody_wrote(in_memory: Path) -> None:
    path = in_memory / "journal"
    chance = random.Random(6)
    payloads = [f"a\t198.51.100.{i}\t{1_795_170_000 + i}" for i in range(60)]
    written(path, payloads)
    whole = path.read_bytes()
    for _ in range(500):
        data = bytearray(whole)
        kind = chance.randrange(4)
        at = chance.randrange(len(data))
        if kind == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            data[at : at + chance.randrange(200)] = bytes(chance.randrange(200))
        else:
            del data[at : at + chance.randrange(1, 200)]
        path.write_bytes(data)
        log, found = replayed(path)
        assert set(found) <= set(payloads)
        if kind == 0 and at > whole.index(b"\n"):
            assert len(found) >= len(payloads) - 2, "a flipped newline costs two lines"
        log.append(["next"])
        log.close()
        assert [*found, "next"] == list(journal_lines.read(str(path)))
        for name in path.parent.glob("journal.*"):
            name.unlink()


# ---------------------------------------------------------------------- places we do not use


def test_a_symbolic_link_is_refused(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere"))
    with pytest.raises(ConfigError, match="is a symbolic link"):
        replayed(path)


def test_a_second_writer_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after the journal was written anew, and after it was removed and put back."""
    monkeypatch.setattr(journal_file, "LEAVING_SECONDS", 0.05)

    def refused() -> None:
        with pytest.raises(StoreBusy, match="somebody removed its lock file"):
            replayed(path)

    log, _ = replayed(path)
    refused()
    log.append(["k=1"])
    log.begin_rewrite()
    log.rewrite_step(["k=1"])
    log.finish_rewrite()
    refused()
    path.unlink()
    log.append(["k=2"])
    refused()
    log.close()
    assert payloads_of(path) == ["k=1", "k=2"]


def test_a_filter_that_was_killed_and_has_not_quite_left_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies gives its files up one by one, the lock file first."""
    log, _ = replayed(path)
    monkeypatch.setattr(journal_file.time, "sleep", lambda _seconds: log.close())
    assert payloads_of(path) == []


def test_a_reader_that_shares_its_lock_keeps_nobody_out_and_gets_a_new_journal(path: Path) -> None:
    """Whoever may read the journal can share its lock, for as long as he likes. Only of a new file
    a second writer sees that it is taken."""
    written(path, ["k=1"])
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        log, payloads = replayed(path)
        assert (payloads, log.should_rewrite(1)) == (["k=1"], True)
        log.begin_rewrite()
        log.rewrite_step(payloads)
        log.finish_rewrite()
        assert not log.should_rewrite(1)
        with pytest.raises(StoreBusy, match="somebody removed its lock file"):
            replayed(path)


def test_a_journal_that_its_writer_has_just_written_anew_is_not_opened(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our opening it and our locking it."""
    written(path, ["k=1"])
    log, _ = replayed(path)
    log.begin_rewrite()

    def locked(fd: int, kind: int) -> None:
        if log.rewriting:
            log.finish_rewrite()
        fcntl.flock(fd, kind)

    monkeypatch.setattr(journal_file, "flock", locked)
    with pytest.raises(StoreBusy, match="has just written the journal"):
        replayed(path)


@pytest.mark.parametrize("how", ["newer version", "locked", "given up while it is read"])
def test_a_journal_that_cannot_be_opened_leaves_no_descriptor(path: Path, how: str) -> None:
    """A filter that cannot start tries again for days, in one process."""
    writer = None
    if how == "newer version":
        text = b"pbs-filter journal 2 00000000"
        path.write_bytes(b"%b %08x\nwhatever\n" % (text, journal_lines.crc32(text)))
    else:
        written(path, ["k=1", "k=2"])
        writer = replayed(path)[0] if how == "locked" else None
    before = os.listdir("/proc/self/fd")
    log = Journal(str(path))
    with contextlib.suppress(ConfigError, StoreBusy):
        next(log.replay())
    log.close()
    assert before == os.listdir("/proc/self/fd")
    del writer


def test_a_pipe_is_refused_without_waiting_for_a_writer(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="not a regular file"):
        replayed(path)


def test_a_file_that_others_may_write_is_refused(path: Path) -> None:
    written(path, ["a"])
    path.chmod(0o666)
    with pytest.raises(ConfigError, match="mode 0666, so that others could write it"):
        replayed(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_foreign_file_is_refused(path: Path) -> None:
    written(path, ["a"])
    os.chown(path, 12345, -1)
    with pytest.raises(ConfigError, match="belongs to uid 12345"):
        replayed(path)


def test_a_directory_that_is_not_there_is_said_in_one_sentence(path: Path) -> None:
    with pytest.raises(StoreBusy, match=r"No such file or directory; create the directory again"):
        replayed(path / "below" / "journal")


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become another account")
def test_a_journal_of_our_own_that_we_may_not_read_gets_its_mode_back(in_memory: Path) -> None:
    path = in_memory / "journal"
    written(path, ["k=1"])
    path.chmod(0)
    for file in (in_memory, path):
        os.chown(file, 12345, -1)
    done = subprocess.run(
        [sys.executable, "-c", READS, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == "['k=1']\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


READS = """
import os, sys
from pbs_filter.store.journal import Journal
# Not before, because a clone below /root can be read by root alone.
os.setgroups([])
os.setuid(12345)
print(list(Journal(sys.argv[1]).replay()))
"""


# ---------------------------------------------------------------------- trouble while running


def let_the_journal_fail(patch: pytest.MonkeyPatch, failing: object) -> None:
    """Let `failing` stand in for `os` in all of the journal's modules that write."""
    for module in (journal, journal_file):
        patch.setattr(module, "os", failing)


class Failing:
    """`os`, but the named call fails until told otherwise; a failed write writes half of it."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.on = True

    def __getattr__(self, name: str) -> object:
        real = getattr(os, name)
        if name != self.name or not self.on:
            return real

        def fail(*arguments: object) -> object:
            if name == "pwrite":
                fd, data, offset = arguments
                real(fd, data[: len(data) // 2], offset)  # type: ignore[index, arg-type]
            raise OSError(self.number, os.strerror(self.number))

        return fail


@pytest.mark.parametrize("call", ["pwrite", "fdatasync", "posix_fallocate"])
def test_after_a_failed_append_nothing_of_it_counts_and_the_next_one_is_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    log, _ = replayed(path)
    if call != "posix_fallocate":
        log.append(["k=1"])
    position = log.position
    failing = Failing(call, errno.ENOSPC)
    with monkeypatch.context() as patch:
        let_the_journal_fail(patch, failing)
        patch.setattr(files, "os", failing)
        for _ in range(2):
            with pytest.raises(StoreBusy, match=r"cannot append .*No space left.*make room"):
                log.append(["k=2", "k=3"])
    assert position == log.position
    assert "k=2" not in list(journal_lines.read(str(path)))
    log.append(["k=4"])
    assert list(journal_lines.read(str(path)))[-1] == "k=4"
    assert (call == "fdatasync") == log.should_rewrite(0), "a failed sync leaves the file suspect"


def test_if_even_cutting_back_fails_it_is_done_before_the_next_append(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, _ = replayed(path)
    log.append(["k=1"])
    with monkeypatch.context() as patch:
        patch.setattr(files, "os", Failing("pwrite", errno.EIO))
        let_the_journal_fail(patch, Failing("ftruncate", errno.EIO))
        with pytest.raises(StoreBusy, match="Input/output error"):
            log.append(["k=2"])
    log.append(["k=3"])
    log.close()
    said: list[str] = []
    assert replayed(path, say=said.append)[1] == ["k=1", "k=3"]
    assert said == []


def test_a_file_system_without_fallocate_is_good_enough(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, _ = replayed(path)
    let_the_journal_fail(monkeypatch, Failing("posix_fallocate", errno.EOPNOTSUPP))
    log.append(["k=1"])
    assert list(journal_lines.read(str(path))) == ["k=1"]


def test_a_full_disk_costs_nothing_but_time(tmp_path: Path) -> None:
    with small_file_system(tmp_path / "small", "4m") as where:
        log, _ = replayed(where / "journal")
        count = 0
        with filled(where, leaving=200_000):
            with contextlib.suppress(StoreBusy):
                while count < 10_000:
                    log.append([f"k={count}"] * 100)
                    count += 1
            with pytest.raises(StoreBusy, match="make room"):
                log.append([f"k={count}"] * 100)
            before = list(journal_lines.read(str(where / "journal")))
            assert len(before) == count * 100 < 1_000_000
        log.append(["k=end"])
        log.close()
        assert [*before, "k=end"] == replayed(where / "journal")[1]


def test_a_removed_journal_comes_back_with_everything_in_it(path: Path) -> None:
    said: list[str] = []
    log, _ = replayed(path, say=said.append)
    log.append(["k=1", "k=2"])
    path.unlink()
    log.append(["k=3"])
    log.append(["k=4"])
    log.close()
    assert "was removed; it is back" in said[0]
    assert replayed(path)[1] == ["k=1", "k=2", "k=3", "k=4"]


def test_a_removed_journal_takes_its_name_back_only_when_it_is_durable(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, _ = replayed(path)
    log.append(["k=1"])
    path.unlink()
    with monkeypatch.context() as patch:
        let_the_journal_fail(patch, Failing("fsync", errno.EIO))
        with pytest.raises(StoreBusy, match="look at the disk"):
            log.append(["k=2"])
    assert not path.exists()
    log.append(["k=3"])
    assert list(journal_lines.read(str(path))) == ["k=1", "k=3"]


def test_a_removed_directory_stops_appending_until_it_is_there_again(path: Path) -> None:
    directory = path.parent / "state"
    directory.mkdir()
    log, _ = replayed(directory / "journal")
    log.append(["k=1"])
    (directory / "journal").unlink()
    directory.rmdir()
    with pytest.raises(StoreBusy, match="create the directory again"):
        log.append(["k=2"])
    directory.mkdir()
    log.append(["k=3"])
    log.close()
    assert replayed(directory / "journal")[1] == ["k=1", "k=3"]


def test_another_file_in_its_place_is_not_written_to(path: Path) -> None:
    log, _ = replayed(path)
    log.append(["k=1"])
    other = path.with_name("other")
    written(other, ["k=other"])
    other.rename(path)
    with pytest.raises(StoreBusy, match="another file took its place"):
        log.append(["k=2"])
    assert list(journal_lines.read(str(path))) == ["k=other"]


def test_a_journal_cut_short_by_somebody_takes_new_lines_and_asks_to_be_rewritten(
    path: Path,
) -> None:
    log, _ = replayed(path)
    log.append(["k=1"] * 10)
    path.write_bytes(b"")
    log.append(["k=3"])
    assert list(journal_lines.read(str(path))) == ["k=3"]
    log.append(["k=4"])
    assert list(journal_lines.read(str(path))) == ["k=3", "k=4"]
    assert log.should_rewrite(live=1000)
    log.begin_rewrite()
    log.rewrite_step(["k=1", "k=4"])
    log.finish_rewrite()
    assert not log.should_rewrite(live=1000)
    log.close()
    assert replayed(path)[1] == ["k=1", "k=4"]


def test_a_journal_cut_short_and_removed_comes_back_with_what_is_left(path: Path) -> None:
    log, _ = replayed(path)
    log.append(["k=1"] * 10)
    path.write_bytes(b"")
    path.unlink()
    log.append(["k=2"])
    log.append(["k=3"])
    assert log.should_rewrite(live=1000)
    assert list(journal_lines.read(str(path))) == ["k=2", "k=3"]


# ---------------------------------------------------------------------- rewriting


def test_a_journal_much_longer_than_what_lives_is_worth_rewriting(path: Path) -> None:
    log, _ = replayed(path)
    log.append(["k=1"] * (journal.SPARE_LINES + 20))
    assert not log.should_rewrite(live=10)
    log.append(["k=1"])
    assert log.should_rewrite(live=10)
    log.begin_rewrite()
    assert not log.should_rewrite(live=10)
    log.finish_rewrite()
    assert not log.should_rewrite(live=10)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_is_appended_while_it_is_rewritten_nothing_is_lost_or_goes_back(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    log, _ = replayed(path)
    state: dict[str, str] = {}
    number = 0

    def append() -> None:
        nonlocal number
        keys = data.draw(st.lists(st.sampled_from("abcdef"), max_size=3))
        block = []
        for key in keys:
            number += 1
            state[key] = str(number)
            block.append(f"{key}={number}")
        log.append(block)

    for _ in range(data.draw(st.integers(0, 3))):
        append()
    log.begin_rewrite()
    for key in list(state):
        log.rewrite_step([f"{key}={state[key]}"])
        append()
        if data.draw(st.integers(0, 9)) == 0:
            log.abort_rewrite()
            break
    if log.rewriting:
        log.finish_rewrite()
    append()
    log.close()
    assert state == last_states(replayed(path)[1])
    assert not path.with_name("journal.new").exists()


def test_the_old_journal_is_kept_once_for_history(path: Path) -> None:
    log, _ = replayed(path)
    for generation in range(3):
        log.append([f"old={generation}"])
        log.begin_rewrite()
        log.rewrite_step([f"new={generation}"])
        log.finish_rewrite()
    assert list(journal_lines.read(str(path))) == ["new=2"]
    assert list(journal_lines.read(str(path) + ".1")) == ["new=1", "old=2"]
    assert {"journal", "journal.1"} == {f.name for f in path.parent.iterdir()}
    assert not path.with_name("journal.1").read_bytes().endswith(b"\0")


@pytest.mark.parametrize("call", ["fdatasync", "pwrite", "fsync", "rename"])
def test_a_rewriting_that_fails_leaves_the_old_journal_in_use(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    log, _ = replayed(path)
    log.append(["k=1"])
    failing = Failing(call, errno.ENOSPC)
    let_the_journal_fail(monkeypatch, failing)
    monkeypatch.setattr(files, "os", failing)

    def rewrite() -> None:
        log.begin_rewrite()
        log.rewrite_step(["k=1"])
        log.finish_rewrite()

    with pytest.raises(StoreBusy, match="make room"):
        rewrite()
    log.abort_rewrite()
    assert not log.rewriting
    failing.on = False
    log.append(["k=2"])
    log.close()
    assert replayed(path)[1] == ["k=1", "k=2"]
    assert not path.with_name("journal.new").exists()


def test_an_append_that_the_new_journal_cannot_take_still_counts(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    log, _ = replayed(path, say=said.append)
    log.append(["k=1"])
    log.begin_rewrite()
    new = log._next
    assert new is not None
    real = files.write_all

    def full(fd: int, data: bytes, offset: int) -> None:
        if fd == new.fd:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(fd, data, offset)

    monkeypatch.setattr(files, "write_all", full)
    log.append(["k=2"])
    assert not log.rewriting
    assert "make room" in said[0]
    assert list(journal_lines.read(str(path))) == ["k=1", "k=2"]


def test_while_the_new_name_may_not_be_durable_nothing_can_be_appended(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, _ = replayed(path)
    log.append(["k=1"])
    log.begin_rewrite()
    log.rewrite_step(["k=1"])
    with monkeypatch.context() as patch:

        def broken(_path: str) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        patch.setattr(files, "sync_directory", broken)
        with pytest.raises(StoreBusy, match="look at the disk"):
            log.finish_rewrite()
        with pytest.raises(StoreBusy, match="look at the disk"):
            log.append(["k=2"])
    log.append(["k=3"])
    assert list(journal_lines.read(str(path))) == ["k=1", "k=3"]


def test_a_left_over_of_an_interrupted_rewriting_is_removed_at_start(path: Path) -> None:
    written(path, ["k=1"])
    left_over = path.with_name("journal.new")
    left_over.write_bytes(b"half")
    assert replayed(path)[1] == ["k=1"]
    assert not left_over.exists()


def test_a_file_system_without_hard_links_costs_the_history_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    log, _ = replayed(path, say=said.append)
    log.append(["k=1"])
    log.begin_rewrite()
    log.rewrite_step(["k=1"])
    let_the_journal_fail(monkeypatch, Failing("link", errno.EPERM))
    log.finish_rewrite()
    assert "cannot keep the old journal" in said[0]
    log.append(["k=2"])
    assert list(journal_lines.read(str(path))) == ["k=1", "k=2"]


def test_reading_for_people_says_what_is_wrong(path: Path) -> None:
    with pytest.raises(StoreBusy, match="cannot read the journal"):
        list(journal_lines.read(str(path)))
    with pytest.raises(StoreBusy, match="Is a directory"):
        list(journal_lines.read(str(path.parent)))
    path.write_bytes(b"not a journal\n")
    assert list(journal_lines.read(str(path))) == []


def test_a_later_journal_has_more_bytes(path: Path) -> None:
    """Also when it was written anew and is shorter, opened again, or lost and known once."""
    log, _ = replayed(path)
    found = [log.position]
    for number in range(3):
        log.append(["k=1"] * 100)
        found.append(log.position)
        log.begin_rewrite()
        log.append([f"j={number}"])
        log.rewrite_step(["k=1"])
        log.finish_rewrite()
        found.append(log.position)
        log.close()
        log, payloads = replayed(path)
        assert [f"j={number}", "k=1"] == payloads
        assert found[-1] == log.position
        assert not any(payload.startswith(journal_lines.BEFORE) for payload in payloads)
    log.close()
    path.unlink()
    log = Journal(str(path))
    assert [] == list(log.replay())
    log.bytes_known = journal_lines.bytes_at(found[-1])
    log.start()
    found.append(log.position)
    numbers = [journal_lines.bytes_at(position) for position in found]
    assert sorted(set(numbers)) == numbers
    assert [0, 0, 0] == [journal_lines.bytes_at(no) for no in ("", "writing", "5f3a9c01-x")]


def test_every_position_names_one_content(path: Path) -> None:
    log, _ = replayed(path)
    seen = {log.position}
    for payload in ("a", "a"):
        log.append([payload])
        seen.add(log.position)
    log.begin_rewrite()
    log.rewrite_step(["a"])
    log.finish_rewrite()
    seen.add(log.position)
    assert len(seen) == 4


def test_a_journal_that_was_never_opened_can_be_closed(path: Path) -> None:
    Journal(str(path)).close()
    assert not path.exists()


def test_an_unusable_group_is_refused() -> None:
    with pytest.raises(ConfigError, match="no group 'no-such-group'"):
        Journal("journal", group="no-such-group")
