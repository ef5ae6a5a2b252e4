"""Places we may trust."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pbs_filter import files
from pbs_filter.errors import ConfigError

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "state"
    directory.mkdir(0o750)
    return directory


def test_a_directory_of_our_own_is_good(place: Path) -> None:
    files.check_directory(str(place))


@pytest.mark.parametrize("mode", [0o770, 0o757, 0o1777])
def test_a_directory_that_others_may_write_is_refused(place: Path, mode: int) -> None:
    place.chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:04o}, so that others could swap") as refused:
        files.check_directory(str(place))
    # Nobody is told to change the mode of a directory like /tmp.
    assert ("chmod" in str(refused.value)) == (mode < 0o1000)


def test_what_is_no_directory_is_refused(place: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory; create it, mode 0750"):
        files.check_directory(str(place / "none"))
    (place / "file").touch()
    with pytest.raises(ConfigError, match="is not a directory"):
        files.check_directory(str(place / "file"))


@ROOT_ONLY
def test_a_foreign_directory_is_refused_unless_its_owner_is_named(place: Path) -> None:
    os.chown(place, 12345, -1)
    with pytest.raises(ConfigError, match="belongs to uid 12345, who could swap"):
        files.check_directory(str(place))
    files.check_directory(str(place), uids=[12345])


@ROOT_ONLY
def test_a_foreign_link_to_a_good_directory_is_refused(place: Path) -> None:
    link = place.with_name("link")
    link.symlink_to(place)
    files.check_directory(str(link))
    os.chown(link, 12345, -1, follow_symlinks=False)
    with pytest.raises(ConfigError, match="belongs to uid 12345"):
        files.check_directory(str(link))


def test_a_directory_we_may_not_write_in_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.os, "access", lambda *_: False)
    with pytest.raises(ConfigError, match="may not write in the directory"):
        files.check_directory(str(place))


@ROOT_ONLY
def test_a_file_of_the_directory_s_owner_is_as_good_as_the_directory(place: Path) -> None:
    file = place / "file"
    file.touch(0o640)
    os.chown(place, 12345, -1)
    os.chown(file, 12345, -1)
    files.check_file(str(file))
    os.chown(file, 23456, -1)
    with pytest.raises(ConfigError, match="belongs to uid 23456"):
        files.check_file(str(file))


def test_a_missing_file_and_a_directory_are_left_to_others(place: Path) -> None:
    files.check_file(str(place / "none"))
    files.check_file(str(place))


def test_a_file_that_never_was_a_map_is_not_taken_for_a_damaged_one(place):
    file, state = place / "passwd", place / "passwd.state"
    file.write_text("root:x:0:0:root:/root:/bin/bash\n")
    with pytest.raises(ConfigError, match=r"passwd' is no map.*is that path what you mean\?"):
        files.check_not_anothers(str(file), (str(state),))
    state.touch()
    files.check_not_anothers(str(file), (str(state),))


def test_a_directory_that_was_there_before_us_is_not_put_aside(place):
    directory = place / "etc"
    directory.mkdir()
    with pytest.raises(ConfigError, match="etc' is a directory, and none of our files"):
        files.check_not_anothers(str(directory), (str(place / "etc.state"),))
    (place / "etc.state").touch()
    files.check_not_anothers(str(directory), (str(place / "etc.state"),))


@pytest.mark.parametrize("head", [b"", b"\xcf\x9a\x57\x13", b"\x13\x57\x9a\xce", None])
def test_a_map_alone_or_no_file_is_taken(place, head):
    file = place / "map"
    if head is not None:
        file.write_bytes(head + b"..." * bool(head))
    files.check_not_anothers(str(file), ())


def test_files_set_aside_in_one_second_have_different_names(place: Path) -> None:
    file = place / "map"
    names = set()
    for _ in range(3):
        file.touch()
        names.add(files.set_aside(str(file)))
    assert len(names) == 3


def test_work_goes_on_where_no_thread_can_be_had(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_thread: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(files.Apart, "start", none)
    done: list[int] = []
    apart = files.Apart(done.append, 7)
    assert done == [7]
    assert not apart.is_alive()
    assert apart.error is None


def test_a_big_file_is_gone_at_once(place: Path) -> None:
    file = place / "file"
    file.write_bytes(b"x")
    files.remove_big(str(file))
    assert not file.exists()
    files.remove_big(str(file))
    file.symlink_to("elsewhere")
    files.remove_big(str(file))
    assert not file.is_symlink()


def test_a_write_that_the_system_takes_in_parts_is_whole(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    monkeypatch.setattr(files.os, "pwrite", lambda fd, data, at: real(fd, data[:3], at))
    fd = os.open(place / "file", os.O_RDWR | os.O_CREAT)
    files.write_all(fd, b"0123456789", 2)
    os.close(fd)
    assert (place / "file").read_bytes() == b"\0\x000123456789"
