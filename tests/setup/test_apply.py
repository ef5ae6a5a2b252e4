"""--apply and --undo on real files: written whole, kept, taken back, closed to other users."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pbs_filter.errors import ConfigError
from pbs_filter.integrations.machine import Machine
from pbs_filter.integrations.plan import Change, Check, Directory, Plan
from pbs_filter.setup import apply as applying
from pbs_filter.setup.backup import UndoRecord, load
from pbs_filter.setup.record import Record, Written
from pbs_filter.setup.undo import undo

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="changes owners: needs root")

MACHINE = Machine(
    program="/p",
    lookup="/l",
    share="/s",
    map="/m",
    state="/",
    versions={},
    groups=frozenset({"pbs-filter"}),
)
NOBODY = 65534


class Site:
    """A directory with two files, and a place for the record."""

    def __init__(self, directory: Path) -> None:
        self.place = str(directory / "record")
        self.etc = directory / "etc"
        self.etc.mkdir()
        self.file = self.etc / "main.cf"
        self.file.write_text("old\n")
        self.file.chmod(0o640)
        os.chown(self.file, 0, NOBODY)
        os.utime(self.file, (1_000_000_000, 1_000_000_000))
        self.new = self.etc / "deep" / "er" / "new.conf"
        self.said: list[str] = []

    def plan(self, *checks: Check, **more: object) -> Plan:
        changes = (
            Change(path=str(self.file), before="old\n", after="other\n", why=""),
            Change(path=str(self.new), before=None, after="#!/bin/sh\n", why="", mode=0o755),
        )
        return Plan(changes=changes, checks=checks, restart_commands=("reload",), **more)  # type: ignore[arg-type]

    def apply(self, plan: Plan) -> None:
        applying.apply(MACHINE, plan, self.said.append, place=self.place)

    def undo(self) -> tuple[str, ...]:
        return undo(self.said.append, place=self.place)

    def seen(self) -> dict[str, object]:
        def described(path: Path) -> tuple[object, ...]:
            status = path.stat()
            text = path.read_text() if path.is_file() else ""
            return status.st_mode, status.st_uid, status.st_gid, text

        return {str(path): described(path) for path in sorted(self.etc.rglob("*"))}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_what_was_applied_is_undone_to_the_last_bit(site: Site) -> None:
    before = site.seen()
    site.apply(site.plan())
    assert "other\n" == site.file.read_text()
    assert (0o100640, NOBODY) == (site.file.stat().st_mode, site.file.stat().st_gid)
    assert 0o100755 == site.new.stat().st_mode
    assert ("reload",) == site.undo()
    assert before == site.seen()
    assert 1_000_000_000 == site.file.stat().st_mtime
    assert not os.path.exists(site.place)


def test_two_runs_are_undone_as_one(site: Site) -> None:
    before = site.seen()
    site.apply(site.plan())
    site.apply(
        Plan(changes=(Change(path=str(site.file), before="other\n", after="third\n", why=""),))
    )
    site.undo()
    assert before == site.seen()


@pytest.mark.parametrize(
    "check",
    [Check(argv=("false",)), Check(argv=("true",), contains="yes"), Check(argv=("no-such",))],
)
def test_a_check_that_fails_takes_this_run_back_and_no_earlier_one(
    site: Site, check: Check
) -> None:
    first = Change(path=str(site.etc / "first"), before=None, after="1\n", why="")
    site.apply(Plan(changes=(first,)))
    before = site.seen()
    with pytest.raises(ConfigError, match="has taken back what it did: everything is as it was"):
        site.apply(site.plan(check))
    assert before == site.seen()
    site.undo()
    assert not os.path.exists(first.path)


def test_where_nothing_can_be_put_back_the_record_stays_and_it_is_said(site: Site) -> None:
    copy = f"{site.place}/0-main.cf"
    lost = Check(argv=("sh", "-c", f"mv {copy} {copy}.away; false"))
    with pytest.raises(ConfigError, match=r"cannot put everything back.*No such file.*--undo"):
        site.apply(site.plan(lost))
    with pytest.raises(ConfigError, match="cannot put everything back"):
        site.undo()
    os.rename(f"{copy}.away", copy)
    site.undo()
    assert "old\n" == site.file.read_text()


def test_what_cannot_be_written_takes_the_rest_back(site: Site) -> None:
    before = site.seen()
    below_a_file = Change(path=f"{site.file}/x", before=None, after="", why="")
    plan = site.plan()
    with pytest.raises(ConfigError, match="taken back"):
        site.apply(Plan(changes=(*plan.changes, below_a_file)))
    assert before == site.seen()


def test_a_file_that_changed_while_we_looked_is_not_written(site: Site) -> None:
    plan = site.plan()
    site.file.write_text("somebody's\n")
    with pytest.raises(ConfigError, match="was changed just now"):
        site.apply(plan)
    assert "somebody's\n" == site.file.read_text()


def test_a_link_stays_one(site: Site) -> None:
    link = site.etc / "link"
    link.symlink_to("main.cf")
    site.apply(Plan(changes=(Change(path=str(link), before="old\n", after="new\n", why=""),)))
    assert link.is_symlink()
    assert "new\n" == site.file.read_text()
    site.undo()
    assert "old\n" == link.read_text()


def test_bytes_that_are_no_utf_8_come_through(site: Site) -> None:
    site.file.write_bytes(b"caf\xe9\n")
    before = site.file.read_text("utf-8", "surrogateescape")
    change = Change(path=str(site.file), before=before, after=before + "more\n", why="")
    site.apply(Plan(changes=(change,)))
    assert b"caf\xe9\nmore\n" == site.file.read_bytes()
    site.undo()
    assert b"caf\xe9\n" == site.file.read_bytes()


def test_an_apply_that_was_killed_before_it_wrote_is_undone(site: Site) -> None:
    before = site.seen()
    undo_record = UndoRecord(site.place)
    item = Written(path=str(site.new), before=None, after="0" * 64, backup="")
    undo_record.note(written=(item,))
    site.undo()
    assert before == site.seen()


def test_a_new_file_that_was_changed_since_is_kept_under_a_name_that_nobody_reads(
    site: Site,
) -> None:
    before = site.seen()
    site.apply(site.plan())
    site.new.write_text("mine\n")
    site.undo()
    kept = Path(f"{site.new}.undone~")
    assert "mine\n" == kept.read_text()
    assert f"{site.new} was changed since: it is now {kept}; to remove it: rm {kept}" in site.said
    kept.unlink()
    kept.parent.rmdir()
    kept.parent.parent.rmdir()
    assert before == site.seen()


def test_a_file_that_an_earlier_undo_kept_stays(site: Site) -> None:
    for number, name in enumerate((".undone~", ".undone1~", ".undone2~")):
        site.apply(site.plan())
        site.new.write_text(f"mine {number}\n")
        site.undo()
        kept = Path(f"{site.new}{name}")
        assert any(line.endswith(f": rm {kept}") for line in site.said)
        assert f"mine {number}\n" == kept.read_text()


def test_our_lines_are_taken_out_of_a_file_that_was_changed_since(site: Site) -> None:
    site.apply(site.plan())
    site.file.write_text("mine\nother\n")
    os.chmod(site.file, 0o600)
    os.chown(site.file, NOBODY, NOBODY)
    site.undo()
    assert "mine\nold\n" == site.file.read_text()
    # Owner and mode are those that somebody gave it.
    assert (0o100600, NOBODY) == (site.file.stat().st_mode, site.file.stat().st_uid)
    at = site.said.index(f"{site.file} was changed since: only our lines were taken out:")
    assert ["    -other", "    +old"] == site.said[at + 5 : at + 7]
    assert not site.new.exists()
    assert not os.path.exists(site.place)


@pytest.mark.parametrize("name", ["main.cf", "a link"])
def test_a_line_that_may_be_ours_is_named_and_nothing_is_undone(site: Site, name: str) -> None:
    site.apply(site.plan())
    if name == "a link":
        site.file.rename(site.etc / "real")
        site.file.symlink_to("real")
    else:
        site.file.write_text("other\nmine\nother\n")
    before = site.seen()
    copy = f"{site.place}/0-main.cf"
    with pytest.raises(
        ConfigError,
        match=rf"{site.file}: take out 'other'.*\n.*diff -u {copy} {site.file}\)\nThen run this",
    ):
        site.undo()
    assert before == site.seen()


def test_a_changed_file_without_our_lines_is_left_and_the_rest_undone(site: Site) -> None:
    site.apply(site.plan())
    site.file.write_text("mine\n")
    site.undo()
    assert "mine\n" == site.file.read_text()
    assert f"left, since our lines are not in it any more: {site.file}" in site.said
    assert not site.new.exists()


def test_without_a_record_there_is_nothing_to_undo(site: Site) -> None:
    assert () == site.undo()
    assert "Nothing to undo: " in site.said[-1]


@pytest.mark.parametrize("how", ["another's", "writable", "a link"])
def test_a_record_that_somebody_else_could_write_is_not_believed(site: Site, how: str) -> None:
    site.apply(site.plan())
    if how == "another's":
        os.chown(site.place, NOBODY, NOBODY)
    elif how == "writable":
        os.chmod(site.place, 0o770)
    else:
        os.rename(site.place, site.place + ".real")
        os.symlink(site.place + ".real", site.place)
    before = site.seen()
    with pytest.raises(ConfigError, match="not a directory that only root can write"):
        site.undo()
    with pytest.raises(ConfigError, match="not a directory that only root can write"):
        site.apply(site.plan())
    assert before == site.seen()


def test_a_directory_gets_its_account_and_back(site: Site) -> None:
    data = site.etc / "data"
    data.mkdir(0o700)
    (data / "map").write_text("x")
    (data / "link").symlink_to(site.file)
    before = site.seen()
    wanted = Directory(path=str(data), owner="nobody", group="nogroup", mode=0o750)
    site.apply(Plan(directories=(wanted,)))
    assert (NOBODY, 0o40750) == (data.stat().st_uid, data.stat().st_mode)
    assert NOBODY == (data / "map").stat().st_uid
    assert 0 == site.file.stat().st_uid
    site.undo()
    assert before == site.seen()


def test_a_directory_that_is_in_use_stays_and_is_named(site: Site) -> None:
    data = site.etc / "data"
    wanted = Directory(path=str(data), owner="nobody", group="nogroup", mode=0o750)
    site.apply(Plan(directories=(wanted,)))
    (data / "map").write_text("x")
    site.undo()
    assert (data / "map").exists()
    assert any(f"rm -r {data}" in line for line in site.said)


def test_the_record_is_roots_alone(site: Site) -> None:
    site.apply(site.plan())
    for path in Path(site.place).iterdir():
        assert 0o600 == path.stat().st_mode & 0o777
    assert 0o700 == Path(site.place).stat().st_mode & 0o777
    assert Record() != load(site.place)
    assert time.time() > site.file.stat().st_mtime


# ------------------------------------------------------------------ another account's directory


class Owned:
    """A directory with a file that --apply has given to nobody, and a file that is root's alone."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.data = site.etc / "data"
        self.data.mkdir(0o755)
        self.metrics = self.data / "metrics.prom"
        self.metrics.write_text("x")
        self.metrics.chmod(0o644)
        self.victim = site.etc / "victim"
        self.victim.write_text("secret\n")
        self.victim.chmod(0o600)
        wanted = Directory(path=str(self.data), owner="nobody", group="nogroup", mode=0o750)
        site.apply(Plan(directories=(wanted,)))
        assert NOBODY == self.metrics.stat().st_uid

    def victim_is_as_it_was(self) -> bool:
        status = self.victim.stat()
        return (0o100600, 0, 0) == (status.st_mode, status.st_uid, status.st_gid)


@pytest.fixture
def owned(site: Site) -> Owned:
    return Owned(site)


def test_undo_does_not_follow_a_link_that_the_account_planted(owned: Owned) -> None:
    owned.metrics.unlink()
    owned.metrics.symlink_to(owned.victim)
    owned.site.undo()
    assert owned.victim_is_as_it_was()
    assert any(f"left: {owned.metrics} is not the file" in line for line in owned.site.said)


def test_undo_does_not_change_a_second_name_of_another_file(owned: Owned) -> None:
    owned.metrics.unlink()
    os.link(owned.victim, owned.metrics)
    owned.site.undo()
    assert owned.victim_is_as_it_was()


def test_undo_does_not_change_a_file_that_took_the_place_of_the_recorded_one(owned: Owned) -> None:
    owned.metrics.rename(owned.data / "other")
    owned.metrics.write_text("new")
    owned.metrics.chmod(0o600)
    owned.site.undo()
    assert 0o600 == owned.metrics.stat().st_mode & 0o777


def test_undo_gives_no_file_of_the_account_a_bit_that_lends_roots_rights(owned: Owned) -> None:
    record = load(owned.site.place)
    items = tuple(replace(item, mode=0o4755) for item in record.owned)
    UndoRecord(owned.site.place).save(replace(record, owned=items))
    owned.site.undo()
    assert (0, 0o755) == (owned.metrics.stat().st_uid, owned.metrics.stat().st_mode & 0o7777)


def test_what_an_older_version_gave_away_is_left(owned: Owned) -> None:
    record = load(owned.site.place)
    items = tuple(replace(item, device=0, inode=0, account=-1) for item in record.owned)
    UndoRecord(owned.site.place).save(replace(record, owned=items))
    owned.site.undo()
    assert NOBODY == owned.metrics.stat().st_uid


def test_apply_does_not_give_away_a_file_with_a_second_name(site: Site) -> None:
    data = site.etc / "data"
    data.mkdir()
    os.link(site.file, data / "map")
    wanted = Directory(path=str(data), owner="nobody", group="nogroup", mode=0o750)
    site.apply(Plan(directories=(wanted,)))
    assert 0 == site.file.stat().st_uid
    assert NOBODY == data.stat().st_uid


def test_apply_does_not_write_through_a_link_that_another_account_made(site: Site) -> None:
    link = site.etc / "link"
    link.symlink_to("main.cf")
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    before = site.seen()
    change = Change(path=str(link), before="old\n", after="new\n", why="")
    with pytest.raises(ConfigError, match="is a link, and another account than root can change it"):
        site.apply(Plan(changes=(change,)))
    assert before == site.seen()


def test_a_pipe_in_the_place_of_a_file_is_left_and_not_waited_for(site: Site) -> None:
    site.apply(site.plan())
    site.file.unlink()
    os.mkfifo(site.file)
    site.undo()
    assert site.file.is_fifo()
