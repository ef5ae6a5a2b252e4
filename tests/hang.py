"""A time limit lets a test fail that would wait for ever."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

PATIENCE_SECONDS = 60
"""Far more than a busy machine needs: it bounds a hang, and no speed is asserted by it."""


@contextlib.contextmanager
def ends(seconds: int = PATIENCE_SECONDS) -> Iterator[None]:
    """Fail what stands inside after `seconds`, at the place where it hangs."""

    def fail(_number: int, _frame: object) -> None:
        raise AssertionError(f"it hangs: no end within {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
