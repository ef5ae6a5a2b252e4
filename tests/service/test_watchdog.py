"""The watchdog ends a filter whose rule hangs, only while it works on a block."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pbs_filter.authorisation.counters import Counts
from pbs_filter.service import watchdog as module
from pbs_filter.service.watchdog import LineTooSlow, Watchdog

RING_SECONDS = 0.02


@pytest.fixture
def pipeline() -> Any:
    return SimpleNamespace(counts=Counts())


@pytest.fixture
def watchdog(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watchdog]:
    monkeypatch.setattr(module, "HANG_SECONDS", RING_SECONDS)
    made = Watchdog(pipeline)
    before = signal.getsignal(signal.SIGVTALRM)
    made.start()
    yield made
    made.stop()
    signal.signal(signal.SIGVTALRM, before)


def busy(rings: float) -> Iterator[None]:
    """Keep the processor busy for so many rings, with a pause in which somebody may count."""
    end = time.process_time() + rings * RING_SECONDS
    while time.process_time() < end:
        yield


def test_a_line_that_takes_two_rings_is_given_up(watchdog: Watchdog) -> None:
    with pytest.raises(LineTooSlow), watchdog:
        for _ in busy(100):
            pass


def test_a_block_of_many_short_lines_is_not(watchdog: Watchdog, pipeline: Any) -> None:
    with watchdog:
        for _ in busy(10):
            pipeline.counts.candidates += 1


def test_work_between_two_blocks_is_not(watchdog: Watchdog) -> None:
    with watchdog:
        pass
    for _ in busy(10):
        pass


def test_a_line_after_long_work_of_another_kind_has_its_whole_time(watchdog: Watchdog) -> None:
    for _ in busy(3):
        pass
    with watchdog:
        for _ in busy(0.8):  # a whole second may have an alarm at each end
            pass


def test_no_alarm_is_left_at_the_end(watchdog: Watchdog) -> None:
    assert (0.0, 0.0) != signal.getitimer(signal.ITIMER_VIRTUAL)
    watchdog.stop()
    assert (0.0, 0.0) == signal.getitimer(signal.ITIMER_VIRTUAL)
