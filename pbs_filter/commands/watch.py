"""--watch (edge): a terminal, the filter's control socket, the map. The picture is `watching`'s."""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from ..config.options import Config
from ..errors import PbsFilterError, UsageError
from ..service import control
from ..terminal import ansi
from . import stored
from .arguments import colour_of
from .dashboard import Dashboard

EVERY_SECONDS = 1.0
ANSWER_SECONDS = 1.0
"""How long the filter may take to answer: meanwhile no key is heard."""
MAP_SHARE = 10
"""At most one part in so many of the time goes into reading the map: a million addresses take
seconds."""
ENTER = "\x1b[?1049h\x1b[?25l"
"""The terminal's other screen, without a cursor (xterm's private modes, known everywhere)."""
LEAVE = "\x1b[?25h\x1b[?1049l"
BEGIN, END = "\x1b[?2026h\x1b[H", "\x1b[?2026l"
"""From the upper left corner; terminals that know the mode show all of it at once."""
ERASE_LINE = "\x1b[K"
"""In front of a line: behind one that is as wide as the terminal it takes the last character."""
LEAVING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
HEARD = (*LEAVING, signal.SIGWINCH, signal.SIGTSTP)


def run(config: Config, options: argparse.Namespace) -> int:
    """Draw until somebody says stop; 0.

    Raises:
        UsageError: this is no terminal that can be drawn on.
    """
    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        raise UsageError("--watch needs a terminal to draw on; for programs: --status --json")
    colour = colour_of(options)
    plain = "utf" not in (sys.stdout.encoding or "").lower()
    watching = Dashboard(f"{os.uname().nodename}  {config.map}", config.grace_seconds, plain=plain)
    looking = DashboardFeed(config, watching)
    with Screen() as screen:
        while not screen.left:
            looking.look()
            screen.draw(watching, colour=colour)
            screen.wait(lambda: screen.draw(watching, colour=colour))
    return 0


class DashboardFeed:
    """Asks filter and map."""

    def __init__(self, config: Config, watching: Dashboard) -> None:
        self._config = config
        self._watching = watching
        self._map_at = 0.0

    def look(self) -> None:
        """Tell the picture what there is to be seen. Does not raise."""
        self._ask()
        began = time.monotonic()
        if began < self._map_at:
            return
        now = stored.now(self._config)
        try:
            rows = stored.rows(self._config, now)
            self._watching.map_says(((row.address, row.entry) for row in rows), now)
        except (PbsFilterError, OSError) as error:
            self._watching.map_away(str(error))
        ended = time.monotonic()
        self._map_at = ended + (MAP_SHARE - 1) * (ended - began)

    def _ask(self) -> None:
        try:
            answer = control.ask(self._config.control, {"do": "status"}, ANSWER_SECONDS)
        except PermissionError:
            why = "only root and the filter's account may ask the filter: this is the map alone"
        except PbsFilterError as error:
            why = str(error)
        else:
            if answer is not None and "status" in answer:
                self._watching.filter_says(answer["status"])
                return
            why = f"no filter is running; waiting for one on {self._config.map!r}"
        self._watching.filter_away(why)


def _size() -> tuple[int, int]:
    """Columns and rows. Not by COLUMNS and LINES, which no resize changes."""
    try:
        columns, rows = os.get_terminal_size(1)
    except OSError:
        columns, rows = 0, 0
    return columns or 80, rows or 24


class Screen:
    """The terminal, ours until the end of the `with`; then it is as it was."""

    def __init__(self) -> None:
        self.left = False
        """Somebody said stop."""
        self._attributes: list[Any] | None = None
        self._before: list[tuple[signal.Signals, Any]] = []
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> Screen:
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in HEARD:
            self._before.append((number, signal.signal(number, lambda *_: None)))
        if os.isatty(0):
            self._attributes = termios.tcgetattr(0)
        self._take()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._give_back()
        signal.set_wakeup_fd(-1)
        for number, handler in self._before:
            signal.signal(number, handler)
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _take(self) -> None:
        if self._attributes is not None:
            # Told to stop while it was in the background, where the terminal is somebody else's.
            with contextlib.suppress(termios.error):
                tty.setcbreak(0)
        self._write(ENTER)

    def _give_back(self) -> None:
        self._write(LEAVE)
        if self._attributes is not None:
            with contextlib.suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(0, termios.TCSADRAIN, self._attributes)

    def _write(self, text: str) -> None:
        data = text.encode(sys.stdout.encoding, "replace")
        try:
            while data:
                data = data[os.write(1, data) :]
        except OSError:
            self.left = True  # nobody looks any more

    def draw(self, watching: Dashboard, *, colour: bool) -> None:
        """Draw what is known, over what was there: without a flicker."""
        columns, rows = _size()
        lines = watching.lines(columns, rows, int(time.time()))
        drawn = "\r\n".join(f"{ERASE_LINE}{ansi(line, colour=colour)}" for line in lines)
        self._write(f"{BEGIN}{drawn}{END}")

    def wait(self, redraw: Callable[[], None]) -> None:
        """Until the next look is due, or somebody said stop."""
        end = time.monotonic() + EVERY_SECONDS
        descriptors = [self._wake_read, *([0] if self._attributes is not None else [])]
        while not self.left and (rest := end - time.monotonic()) > 0:
            ready, _, _ = select.select(descriptors, [], [], rest)
            if self._wake_read in ready:
                for number in self._signals():
                    self._heard(number)
                redraw()
            if 0 in ready:
                self._keys()

    def _signals(self) -> Iterator[int]:
        with contextlib.suppress(BlockingIOError):
            yield from os.read(self._wake_read, 512)

    def _heard(self, number: int) -> None:
        if number in LEAVING:
            self.left = True
        elif number == signal.SIGTSTP:
            self._give_back()
            os.kill(os.getpid(), signal.SIGSTOP)
            self._take()

    def _keys(self) -> None:
        try:
            keys = os.read(0, 512)
        except OSError:
            keys = b""
        if not keys or b"q" in keys.lower():
            self.left = True
