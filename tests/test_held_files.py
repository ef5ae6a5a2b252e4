"""What root does to a path that another account may change stays with the file that it meant."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from pbs_filter.held_files import (
    described_holders,
    lock_holders,
    make_directory,
    open_to_append,
    read_regular,
)
from pbs_filter.log import Log

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes owners: needs root")


@needs_root
@pytest.mark.parametrize("plant", [Path.symlink_to, Path.hardlink_to], ids=["link", "second name"])
def test_a_log_in_the_accounts_directory_is_no_way_to_another_file(
    tmp_path: Path, plant, capfd: pytest.CaptureFixture[str]
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("secret\n")
    logs = tmp_path / "logs"
    logs.mkdir()
    plant(logs / "pbs.log", victim)
    os.chown(logs, NOBODY, NOBODY)
    os.chown(logs / "pbs.log", NOBODY, NOBODY, follow_symlinks=False)
    log = Log(str(logs / "pbs.log"))
    log.say("a line")
    assert "secret\n" == victim.read_text()
    said = capfd.readouterr().err
    assert "cannot open the log" in said
    assert "a line" in said


@needs_root
def test_an_administrators_link_leads_the_log_where_he_wants_it(tmp_path: Path) -> None:
    (tmp_path / "real.log").touch()
    (tmp_path / "pbs.log").symlink_to("real.log")
    os.write(open_to_append(str(tmp_path / "pbs.log")), b"a line\n")
    assert "a line\n" == (tmp_path / "real.log").read_text()


def test_a_log_is_made_and_appended_to(tmp_path: Path) -> None:
    for _ in range(2):
        descriptor = open_to_append(str(tmp_path / "pbs.log"))
        os.write(descriptor, b"a line\n")
        os.close(descriptor)
    assert "a line\n" * 2 == (tmp_path / "pbs.log").read_text()


def test_a_log_that_is_a_pipe_without_a_reader_is_not_waited_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pbs.log")
    Log(str(tmp_path / "pbs.log"))
    assert "cannot open the log" in capfd.readouterr().err


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    file, link, pipe = (tmp_path / name for name in ("file", "link", "pipe"))
    file.write_bytes(b"text")
    link.symlink_to(file)
    os.mkfifo(pipe)
    assert b"text" == read_regular(str(file)) == read_regular(str(link), follow=True)
    for path in (link, pipe, tmp_path, tmp_path / "none"):
        with pytest.raises(OSError, match=r"symbolic|regular|directory"):
            read_regular(str(path))


@needs_root
def test_a_directory_is_made_for_its_account(tmp_path: Path) -> None:
    make_directory(str(tmp_path / "a/b"), 0o2750, NOBODY, -1)
    status = (tmp_path / "a/b").stat()
    assert (0o42750, NOBODY, 0) == (status.st_mode, status.st_uid, status.st_gid)
    assert 0 == (tmp_path / "a").stat().st_uid


def test_who_holds_a_lock_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "map")
    assert [] == lock_holders(path)
    with open(path, "w") as file:
        assert [] == lock_holders(path)
        for kind, name in ((fcntl.LOCK_SH, "READ"), (fcntl.LOCK_EX, "WRITE")):
            fcntl.flock(file, kind)
            assert [(os.getpid(), name)] == lock_holders(path)
        assert described_holders(path).startswith(f"process {os.getpid()} (")
    assert "" == described_holders(path)
