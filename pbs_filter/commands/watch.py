"""--watch: the running filter and its map on a terminal, live (edge)."""

from __future__ import annotations

import argparse
import contextlib
import curses
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..config.options import Config
from ..errors import PbsFilterError, UsageError
from ..service import control
from . import stored
from .arguments import colour_of
from .dashboard import Dashboard

if TYPE_CHECKING:
    from types import FrameType

EVERY_SECONDS = 1.0
ANSWER_SECONDS = 1.0
"""How long the filter may take to answer: meanwhile no key is heard."""
MAP_SHARE = 10
"""At most one part in so many of the time goes into reading the map: a million addresses take
seconds."""
LEAVING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ATTRIBUTES = {"": curses.A_NORMAL, "bold": curses.A_BOLD, "dim": curses.A_DIM}
COLOURS = {
    "red": curses.COLOR_RED,
    "green": curses.COLOR_GREEN,
    "yellow": curses.COLOR_YELLOW,
    "cyan": curses.COLOR_CYAN,
}


class _Left(BaseException):
    """Ends the view from wherever it is: by a signal, or because the terminal has gone away."""


def run(config: Config, options: argparse.Namespace) -> int:
    """Draw until `q` is pressed, a signal comes or the terminal goes away; return 0.

    Raises:
        UsageError: this is no terminal that can be drawn on.
    """
    dumb = os.environ.get("TERM", "dumb") == "dumb"
    if dumb or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("--watch needs a terminal to draw on; for programs: --status --json")
    encoding = sys.stdout.encoding or "ascii"
    plain = "utf" not in encoding.lower()
    dashboard = Dashboard(f"{os.uname().nodename}  {config.map}", config.grace_seconds, plain=plain)
    feed = DashboardFeed(config, dashboard)
    attributes = dict(ATTRIBUTES)
    with (
        contextlib.suppress(_Left),
        _leaving(),
        _screen(attributes, colour=colour_of(options)) as window,
    ):
        while True:
            feed.update()
            end = time.monotonic() + EVERY_SECONDS
            _draw(window, dashboard, attributes, encoding)
            while (rest := end - time.monotonic()) > 0:
                key = _key(window, rest)
                if key in (ord("q"), ord("Q")):
                    return 0
                if key == curses.KEY_RESIZE:
                    _draw(window, dashboard, attributes, encoding)
    return 0


@contextlib.contextmanager
def _leaving() -> Iterator[None]:
    """Have signals raise `_Left`; before curses, which would end the process by itself."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise _Left

    before = [(number, signal.signal(number, leave)) for number in LEAVING]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@contextlib.contextmanager
def _screen(attributes: dict[str, int], *, colour: bool) -> Iterator[curses.window]:
    """Take the terminal; afterwards it is as it was. `attributes` gets the colours that it has.

    Raises:
        UsageError: nothing is known of this kind of terminal.
    """
    # curses would take them for the terminal's size, and no resize changes them.
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
    try:
        window = curses.initscr()
    except curses.error as error:
        raise UsageError(f"--watch cannot draw on TERM={os.environ['TERM']!r}: {error}") from None
    try:
        curses.cbreak()
        curses.noecho()
        window.keypad(True)
        with contextlib.suppress(curses.error):  # a terminal that cannot hide it
            curses.curs_set(0)
        if colour and curses.has_colors():
            curses.start_color()
            curses.use_default_colors()
            for pair, (style, number) in enumerate(COLOURS.items(), 1):
                curses.init_pair(pair, number, -1)
                attributes[style] = curses.color_pair(pair)
        yield window
    finally:
        with contextlib.suppress(curses.error):  # the terminal is gone
            curses.endwin()


def _key(window: curses.window, seconds: float) -> int:
    """Return the next key, or -1 after `seconds`.

    Raises:
        _Left: the terminal has gone away.
    """
    window.timeout(max(int(seconds * 1000), 1))
    key = window.getch()
    if key == -1 and select.select([0], [], [], 0)[0]:
        window.timeout(0)
        key = window.getch()
        if key == -1:
            raise _Left  # something can be read, and it is no key: the end
    return key


def _draw(
    window: curses.window, dashboard: Dashboard, attributes: dict[str, int], encoding: str
) -> None:
    rows, columns = window.getmaxyx()
    window.erase()
    for number, line in enumerate(dashboard.lines(columns, rows, int(time.time()))):
        window.move(number, 0)
        for text, style in line:
            # A name may have letters that this terminal does not.
            shown = text.encode(encoding, "replace").decode(encoding)
            with contextlib.suppress(curses.error):  # behind the last column of the last row
                window.addstr(shown, attributes.get(style, curses.A_NORMAL))
    window.refresh()


class DashboardFeed:
    """Brings the answers of filter and map to a dashboard."""

    def __init__(self, config: Config, dashboard: Dashboard) -> None:
        self._config = config
        self._dashboard = dashboard
        self._map_at = 0.0

    def update(self) -> None:
        """Ask both. Does not raise."""
        self._ask()
        began = time.monotonic()
        if began < self._map_at:
            return
        now = stored.now(self._config)
        try:
            rows = stored.rows(self._config, now)
            self._dashboard.map_says(((row.address, row.entry) for row in rows), now)
        except (PbsFilterError, OSError) as error:
            self._dashboard.map_away(str(error))
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
                self._dashboard.filter_says(answer["status"])
                return
            why = f"no filter is running; waiting for one on {self._config.map!r}"
        self._dashboard.filter_away(why)
