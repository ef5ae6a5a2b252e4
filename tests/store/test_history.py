"""The files beside a journal: kept for people, and not for longer than the site says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pbs_filter.errors import StoreBusy
from pbs_filter.store import history, journal_lines
from pbs_filter.store.journal import Journal

from .store_tools import replayed

DAY = 86400


@pytest.mark.parametrize(
    ("age", "seconds", "expected"),
    [
        (10**9, None, False),
        (DAY - 1, 2 * DAY, False),
        (DAY, 2 * DAY, True),
        (3599, 0, False),
        (3600, 0, True),
        (-1, 2 * DAY, True),  # the clock was set back
    ],
)
def test_a_journal_is_old_when_it_has_half_of_the_history(age, seconds, expected):
    assert expected == history.is_half(2 * 10**9 - age, 2 * 10**9, seconds)
    assert history.is_half(None, 2 * 10**9, 2 * DAY), "nobody knows when it was begun"


def rewritten(path: Path, **options: object) -> Journal:
    """A journal that was rewritten when `old` was in it."""
    journal, _ = replayed(path, **options)
    journal.append(["old=1", "bob=2"])
    journal.begin_rewrite()
    journal.rewrite_step(["old=2", journal.birth(50)])
    journal.finish_rewrite()
    return journal


def test_without_history_no_old_journal_is_kept(tmp_path: Path) -> None:
    rewritten(tmp_path / "journal", history_seconds=1).close()
    assert (tmp_path / "journal.1").exists()
    rewritten(tmp_path / "journal", history_seconds=0).close()
    assert not (tmp_path / "journal.1").exists()


def test_a_rewriting_that_is_given_up_leaves_the_journal_as_old_as_it_was(tmp_path: Path) -> None:
    journal = rewritten(tmp_path / "journal", history_seconds=2 * DAY)
    assert journal.is_old(50 + DAY)
    journal.begin_rewrite()
    journal.rewrite_step([journal.birth(50 + DAY)])
    assert not journal.is_old(50 + 9 * DAY), "one is being written"
    journal.abort_rewrite()
    assert journal.is_old(50 + DAY)
    journal.close()


def test_erased_lines_are_gone_from_the_journal_before(tmp_path: Path) -> None:
    path = str(tmp_path / "journal")
    history.erase(path, lambda _text: True, gid=None)  # there is none
    journal = rewritten(tmp_path / "journal")
    journal.append([f"{number}=x" for number in range(history.LINES + 5)])
    journal.begin_rewrite()
    journal.finish_rewrite()
    journal.close()
    before = list(journal_lines.read(path + ".1"))
    history.erase(path, lambda text: text.startswith("old"), gid=None)
    left = list(journal_lines.read(path + ".1"))
    assert [line for line in before if not line.startswith("old")] == left
    assert len(left) == len(before) - 1
    assert ["journal", "journal.1"] == sorted(os.listdir(tmp_path))


def test_what_cannot_be_erased_is_said_and_stays(tmp_path: Path) -> None:
    (tmp_path / "journal.1").mkdir()
    with pytest.raises(StoreBusy, match=r"journal\.1"):
        history.erase(str(tmp_path / "journal"), lambda _text: True, gid=None)
    with pytest.raises(StoreBusy, match="remove old copies of"):
        history.remove_copies(str(tmp_path / "missing" / "journal"), 1)


def test_old_copies_of_damaged_files_are_removed_and_new_ones_are_not(tmp_path: Path) -> None:
    for name, time in (("old", 100), ("new", 300)):
        copy = tmp_path / f"map.damaged-{name}"
        copy.write_text("x")
        os.utime(copy, (time, time))
    (tmp_path / "other.damaged-old").write_text("x")
    (tmp_path / "map.damaged-directory").mkdir()
    history.remove_copies(str(tmp_path / "map"), 200)
    left = {"map.damaged-new", "map.damaged-directory", "other.damaged-old"}
    assert left == set(os.listdir(tmp_path))
