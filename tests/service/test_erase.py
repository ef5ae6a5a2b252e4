"""Ended authorisations are forgotten in time, and an erased user is in no file any more."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from ..running import Running, login, wait_for

OLD = time.time() - 40 * 86400


@pytest.fixture
def place(tmp_path: Path) -> Path:
    os.chmod(tmp_path, 0o750)
    return tmp_path


def holding(place: Path, *words: str) -> set[str]:
    """The files of the store that have one of `words`, in any capitals."""
    return {
        path.name
        for path in place.iterdir()
        if path.name.startswith("map.") or path.name == "map"
        if path.is_file()
        if any(
            word.lower().encode() in path.read_bytes().lower().replace(b"malice", b"")
            for word in words
        )
    }


def with_history(place: Path, pipeline: Running) -> None:
    """Logins of alice, malice and bob, in the journal, the one before it, and copies."""
    pipeline.reply()
    pipeline.ask(login("192.0.2.6", user="alice@example.org", session="open"))
    pipeline.ask(login("192.0.2.7", user="Alice@example.org"))
    pipeline.ask(login("192.0.2.7", user="bob"))
    pipeline.ask(login("192.0.2.77", user="malice@example.org"))
    wait_for(lambda: len(pipeline.addresses()) == 3)
    shutil.copy(place / "map.journal", place / "map.journal.1")
    for name in ("map.journal", "map"):
        shutil.copy(place / name, place / f"{name}.damaged-20260101T000000Z")


@pytest.mark.parametrize("running", [True, False])
def test_an_erased_user_is_in_no_file_and_the_others_keep_theirs(place, running):
    with Running(place) as pipeline:
        with_history(place, pipeline)
        if not running:
            pipeline.end()
        done = pipeline.mode("--forget", "--erase", "ALICE@example.org")
        assert 0 == done.returncode, done.stderr
        assert b"at most 10 minutes; log lines wait meanwhile\n" in done.stderr
        assert b"erased from journal, map and history (authorised: 2 addresses)" in done.stdout
        assert b"log files" in done.stdout
        wait_for(lambda: holding(place, "alice@example.org") == set())
        assert {"192.0.2.7", "192.0.2.77"} == pipeline.addresses()
        history = pipeline.mode("--history", "192.0.2.7").stdout
        assert b"bob" in history
        assert b"lice" not in history
        assert set() == {name for name in os.listdir(place) if "damaged" in name}
        assert 0 == pipeline.mode("--forget", "--erase", "nobody-we-know").returncode


@pytest.mark.parametrize("running", [True, False])
def test_an_erased_address_is_in_no_file_not_even_one_that_only_connected(place, running):
    with Running(place) as pipeline:
        with_history(place, pipeline)
        pipeline.ask("Nov 20 10:00:00 mx1 popa3d[81]: Session from 192.0.2.7\n")
        if not running:
            pipeline.end()
        assert 0 == pipeline.mode("--forget", "--erase", "192.0.2.7").returncode
        # 192.0.2.77 has it in its text, too.
        wait_for(lambda: {"192.0.2.6", "192.0.2.77"} == pipeline.addresses())
        wait_for(lambda: holding(place, "bob") == set())
        assert b"malice" in pipeline.mode("--history", "192.0.2.77").stdout
        assert 1 == pipeline.mode("--history", "192.0.2.7").returncode


def test_what_is_asked_for_must_make_sense(place):
    with Running(place) as pipeline:
        pipeline.reply()
        both = pipeline.mode("--forget", "--erase", "bob", "--all")
        assert (2, True) == (both.returncode, b"only one of them" in both.stderr)
        assert 2 == pipeline.mode("--list", "--erase=bob").returncode


def test_a_journal_of_half_the_history_is_rewritten_and_old_copies_go(place):
    """Without any load: by time alone. The first start after an update counts from then."""
    journal, older = place / "map.journal", place / "map.journal.1"
    copy = place / "map.journal.damaged-20260101T000000Z"
    with Running(place, "--history-days=2") as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7"))
        pipeline.mode("--forget", "192.0.2.7")
        assert pipeline.end() == 0
    assert "192.0.2.7" in journal.read_text("utf-8", "replace")
    born = f"b\t{int(time.time()) - 86400 - 5}"
    backdate(journal, born)
    copy.write_text("x")
    os.utime(copy, (OLD, OLD))
    with Running(place, "--history-days=2") as pipeline:
        pipeline.reply()
        wait_for(older.exists)
        assert "192.0.2.7" not in journal.read_text("utf-8", "replace")
        assert "192.0.2.7" in older.read_text("utf-8", "replace")
        assert not copy.exists()
        assert pipeline.end() == 0
    backdate(journal, f"b\t{int(time.time()) - 3600}")
    with Running(place, "--history-days=0") as pipeline:
        pipeline.reply()
        wait_for(lambda: not older.exists())
        assert pipeline.end() == 0


def backdate(journal: Path, born: str) -> None:
    """Let the journal say that it was begun then."""
    from pbs_filter.store.journal import Journal

    changed = Journal(str(journal))
    list(changed.replay())
    changed.start()
    changed.append([born])
    changed.close()
