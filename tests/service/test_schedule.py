"""Transcripts of the persister's decisions: times, events, and the next due time."""

from __future__ import annotations

import pytest

from pbs_filter.service.schedule import (
    MAP_LAG_SECONDS,
    MAP_REST_SECONDS,
    QUIET_SECONDS,
    RETRY_SECONDS,
    SLICE_SECONDS,
    STAMP_SECONDS,
    Schedule,
)


@pytest.fixture
def schedule() -> Schedule:
    return Schedule(patient=False)


def test_nothing_happened_and_nothing_is_due(schedule: Schedule) -> None:
    assert [] == schedule.steps(100.0, quiet=True)
    assert schedule.wait_seconds(100.0) is None
    assert schedule.may_try(100.0)


def test_the_map_is_written_at_the_first_pause(schedule: Schedule) -> None:
    assert schedule.map_is_dirty(100.0)
    assert not schedule.map_is_dirty(100.001), "that is no news"
    assert [] == schedule.steps(100.001, quiet=False)
    assert QUIET_SECONDS == schedule.wait_seconds(100.001)
    assert ["write map"] == schedule.steps(100.001, quiet=True)
    schedule.map_was_written(100.001, 100.002, more=False)
    assert [] == schedule.steps(100.1, quiet=True)


def test_under_load_the_map_lags_a_little_and_then_rests(schedule: Schedule) -> None:
    schedule.map_is_dirty(100.0)
    assert ["write map"] == schedule.steps(100.0 + 2 * MAP_LAG_SECONDS, quiet=False)
    schedule.map_was_written(100.01, 100.02, more=True)  # it took 10 ms, so it rests for 40
    assert [] == schedule.steps(100.05, quiet=True)
    assert schedule.wait_seconds(100.05) == pytest.approx(0.01)
    assert ["write map"] == schedule.steps(100.061, quiet=False)
    schedule.map_was_written(101.0, 103.0, more=True)  # a busy disk
    assert [] == schedule.steps(103.0 + MAP_REST_SECONDS - 0.01, quiet=False)
    assert ["write map"] == schedule.steps(103.0 + MAP_REST_SECONDS, quiet=False)


def test_a_store_in_trouble_is_tried_each_second_and_nothing_else_is_done(
    schedule: Schedule,
) -> None:
    schedule.map_is_dirty(99.0)
    schedule.rewriting = True
    schedule.failed(100.0)
    assert [] == schedule.steps(100.5, quiet=True)
    assert not schedule.may_try(100.5)
    assert ["retry"] == schedule.steps(100.0 + RETRY_SECONDS, quiet=True)
    assert schedule.may_try(100.0 + RETRY_SECONDS)
    schedule.in_trouble = False
    assert ["write map", "rewrite"] == schedule.steps(101.0, quiet=True)


def test_a_daemon_that_waits_has_each_of_its_tries_tried() -> None:
    schedule = Schedule(patient=True)
    schedule.failed(100.0)
    assert schedule.may_try(100.0)
    assert schedule.wait_seconds(100.0) is None


def test_a_new_map_and_a_new_journal_go_on_in_slices(schedule: Schedule) -> None:
    schedule.given_up = True
    assert ["rebuild"] == schedule.steps(100.0, quiet=False)
    schedule.rebuild_failed(100.0)
    assert [] == schedule.steps(100.5, quiet=False)
    assert ["rebuild"] == schedule.steps(100.0 + RETRY_SECONDS, quiet=False)
    schedule.given_up, schedule.rebuilding, schedule.rewriting = False, True, True
    assert ["rebuild", "rewrite"] == schedule.steps(102.0, quiet=False)
    assert SLICE_SECONDS == schedule.wait_seconds(102.0)
    schedule.failed(102.0)
    assert ["rebuild"] == schedule.steps(102.5, quiet=False), "a new map mends a broken one"
    assert ["rebuild", "retry"] == schedule.steps(104.0, quiet=False)


def test_the_journal_is_stamped_now_and_then_and_when_the_clock_was_set(
    schedule: Schedule,
) -> None:
    assert schedule.must_stamp(7.0, 100.0)
    assert not schedule.must_stamp(7.0, 101.0)
    assert schedule.must_stamp(8.0, 101.0)
    assert schedule.must_stamp(8.0, 101.0 + STAMP_SECONDS)
    schedule.forget_stamp()
    assert schedule.must_stamp(8.0, 101.0 + STAMP_SECONDS)
