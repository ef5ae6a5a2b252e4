"""The files of the configuration: which are read, in which order, and which are refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pbs_filter.config import files
from pbs_filter.errors import ConfigError


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tmp_path.chmod(0o755)
    monkeypatch.setattr(files, "DEFAULT_PATH", f"{tmp_path}/pbs-filter.toml")
    return tmp_path


def drop_in(place: Path, name: str, text: str = "") -> Path:
    path = place / "pbs-filter.d" / name
    path.parent.mkdir(exist_ok=True)
    path.parent.chmod(0o755)
    path.write_text(text)
    path.chmod(0o644)
    return path


def test_without_a_file_there_is_none(place: Path):
    assert {} == files.read_files()


def test_drop_ins_come_after_the_main_file_by_their_names(place: Path):
    (place / "pbs-filter.toml").write_text("main")
    for name in ("90-site.toml", "50-setup.toml", ".hidden.toml", "60-x.toml.dpkg-old", "README"):
        drop_in(place, name, name)
    assert [
        (f"{place}/pbs-filter.toml", "main"),
        (f"{place}/pbs-filter.d/50-setup.toml", "50-setup.toml"),
        (f"{place}/pbs-filter.d/90-site.toml", "90-site.toml"),
    ] == list(files.read_files().items())


def test_drop_ins_count_without_a_main_file(place: Path):
    path = drop_in(place, "50-setup.toml", "x")
    assert {str(path): "x"} == files.read_files()


def test_another_main_file_has_drop_ins_of_its_own(place: Path):
    drop_in(place, "50-setup.toml", "not this one")
    other = place / "other.toml"
    other.write_text("")
    assert [str(other)] == list(files.read_files(str(other)))
    (place / "other.d").mkdir(0o755)
    (place / "other.d/a.toml").write_text("")
    assert [str(other), f"{place}/other.d/a.toml"] == list(files.read_files(str(other)))


def test_a_main_file_of_another_kind_has_none(place: Path):
    assert ["/dev/null"] == list(files.read_files("/dev/null"))


def test_a_named_file_must_be_there(place: Path):
    with pytest.raises(ConfigError, match=r"cannot read '/nonexistent.toml': No such file"):
        files.read_files("/nonexistent.toml")


def test_what_is_not_utf8_is_said(place: Path):
    (place / "pbs-filter.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        files.read_files()


@pytest.mark.parametrize("which", ["pbs-filter.toml", "pbs-filter.d", "pbs-filter.d/50-setup.toml"])
def test_what_somebody_else_could_have_written_is_refused(place: Path, which: str):
    (place / "pbs-filter.toml").write_text("")
    drop_in(place, "50-setup.toml")
    (place / which).chmod(0o777)
    with pytest.raises(ConfigError, match="may be written by everybody"):
        files.read_files()
    (place / which).chmod(0o755)
    files.read_files()
    if os.geteuid() == 0:
        os.chown(place / which, 12345, -1)
        with pytest.raises(ConfigError, match="belongs to uid 12345"):
            files.read_files()


def test_what_may_not_be_read_is_said(place: Path, monkeypatch: pytest.MonkeyPatch):
    drop_in(place, "50-setup.toml")

    def refuse(path: str, **_: object) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(files, "open", refuse, raising=False)
    with pytest.raises(ConfigError, match="Permission denied; run this as root"):
        files.read_files()
    monkeypatch.setattr(files.os, "listdir", refuse)
    with pytest.raises(ConfigError, match=r"pbs-filter.d': Permission denied; run this as root"):
        files.read_files()


def test_a_list_has_one_item_a_line(tmp_path: Path):
    path = tmp_path / "denied"
    path.write_text("# those who left\n\n bob \n*@example.org\n")
    assert ["bob", "*@example.org"] == files.read_list(str(path))
    path.chmod(0o666)
    with pytest.raises(ConfigError, match="may be written by everybody"):
        files.read_list(str(path))
    with pytest.raises(ConfigError, match=r"No such file or directory; mend the path$"):
        files.read_list(f"{path}s")
