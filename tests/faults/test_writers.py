"""Promise 7: two filters on one map. The second waits, says so, and refuses in the end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pbs_filter.errors import StoreBusy
from pbs_filter.service import build, storage

from ..running import PATIENCE, Running, login, wait_for
from . import figure, number
from .lives import made, map_of


def said(log: Path) -> str:
    """What a filter wrote to its log so far."""
    return log.read_text() if log.exists() else ""


def test_the_second_waits_says_so_and_takes_over(place: Path) -> None:
    with Running(place) as first:
        assert b"OK" == first.reply()
        assert b"OK" == first.ask(login("192.0.2.1", session="a"))
        with Running(place, f"--logto={place}/second") as second:
            second.send(login("192.0.2.2"))
            wait_for(
                lambda: "waiting: another" in said(place / "second"),
                "the second to say that it waits",
            )
            assert b"OK" == first.ask(login("192.0.2.3"))
            assert {"192.0.2.1", "192.0.2.3"} == first.addresses()
            assert 0 == first.end()
            assert b"OK" == second.reply()
            assert b"OK" == second.reply()
            assert {"192.0.2.1", "192.0.2.2", "192.0.2.3"} == second.addresses()
            assert 1 == second.status()["open_sessions"]
            assert 0 == second.end()


def test_a_second_that_has_waited_long_enough_says_what_to_do(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = made(place)
    with Running(place) as first:
        assert b"OK" == first.reply()
        said: list[str] = []
        with pytest.raises(StoreBusy) as caught:
            storage.Storage(
                settings,
                build.pipeline_of(settings, said.append).state,
                said.append,
                lock_seconds=0,
            )
        assert f"pid {first.process.pid}" in str(caught.value)
        assert "give this one another map" in str(caught.value)
        assert b"OK" == first.ask(login("192.0.2.1"))


def test_a_lock_file_that_somebody_removed_does_not_let_two_write(place: Path) -> None:
    """The journal's place is taken by the second; the first acknowledges nothing any more."""
    with Running(place) as first:
        assert b"OK" == first.reply()
        assert b"OK" == first.ask(login("192.0.2.1"))
        wait_for(lambda: {"192.0.2.1"} == first.addresses(), "the map")
        (place / "map.lock").unlink()
        (place / "map.journal").unlink()
        with Running(place, f"--logto={place}/second") as second:
            assert b"OK" == second.reply()
            assert b"OK" == second.ask(login("192.0.2.2"))
            assert first.ask(login("192.0.2.3")).startswith(b"Error: ")
            assert "192.0.2.3" not in second.addresses()
            first.kill()
            assert 0 == second.end()


def test_a_lock_file_that_somebody_removed_lets_no_second_filter_start(place: Path) -> None:
    """Both would write one journal, each over the other's lines."""
    with Running(place) as first:
        assert b"OK" == first.reply()
        assert b"OK" == first.ask(login("192.0.2.1"))
        (place / "map.lock").unlink()
        with Running(place) as second:
            assert 75 == second.process.wait(PATIENCE)
            assert b"somebody removed its lock file" in second.process.stderr.read()
        assert b"OK" == first.ask(login("192.0.2.2"))
        first.kill()
    with Running(place) as third:
        assert b"OK" == third.reply()
        assert {"192.0.2.1", "192.0.2.2"} == third.addresses()


def test_many_at_once_are_one_after_the_other(place: Path) -> None:
    """As a daemon with several workers starts them: each line is taken, by whichever."""
    count = number(4, 12)
    filters = [Running(place, f"--logto={place}/log{n}") for n in range(count)]
    try:
        for n, pipeline in enumerate(filters):
            pipeline.send(login(f"192.0.2.{n + 1}", session=f"s{n}"))
        left = list(filters)
        while left:
            ready = wait_for(lambda: [f for f in left if f.reply(0.05) == b"OK"], "the next one")
            assert 1 == len(ready)
            assert b"OK" == ready[0].reply()
            assert 0 == ready[0].end()
            left.remove(ready[0])
    finally:
        for pipeline in filters:
            pipeline.__exit__()
    settings = made(place)
    assert {f"192.0.2.{n + 1}" for n in range(count)} == set(map_of(settings))
    assert not os.path.exists(settings.map + ".new")
    figure("filters started at once", count)
