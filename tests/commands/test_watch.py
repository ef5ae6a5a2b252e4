"""--watch on a real (pseudo-)terminal: it draws, follows, and leaves the terminal as it was."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

import pyte
import pytest

from pbs_filter.commands.dashboard import Dashboard
from pbs_filter.commands.watch import DashboardFeed
from pbs_filter.config.load import build
from pbs_filter.errors import StoreBusy
from pbs_filter.service import control
from pbs_filter.terminal import ansi

from ..running import COMMAND, ENVIRONMENT, PATIENCE, Running, login, run, wait_for

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
"""To the terminal's other screen and back."""

SETTINGS = {"TERM": "screen", "LC_ALL": "C.UTF-8", "NO_COLOR": "", "COLUMNS": "7"}
"""COLUMNS must not count: it does not change with the terminal's size."""


@pytest.fixture
def place(tmp_path):
    os.chmod(tmp_path, 0o750)
    return tmp_path


JOB = (
    sys.executable,
    "-c",
    "import os, signal, sys\n"
    "job = os.fork()\n"
    "if not job:\n"
    "    os.setpgid(0, 0)\n"
    "    signal.signal(signal.SIGTTOU, signal.SIG_IGN)\n"
    "    os.tcsetpgrp(0, os.getpid())\n"
    "    signal.signal(signal.SIGTTOU, signal.SIG_DFL)\n"
    "    os.execv(sys.argv[1], sys.argv[1:])\n"
    "os._exit(os.waitstatus_to_exitcode(os.waitpid(job, 0)[1]))\n",
)
"""A shell with one job: nobody stops a process that has none above it."""


class Terminal:
    """`pbs-filter --watch` on a pseudo-terminal of its own."""

    def __init__(
        self,
        directory: Path,
        *options: str,
        columns: int = 100,
        rows: int = 30,
        before: Sequence[str] = (),
    ) -> None:
        self.ours, self.its = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.its)
        self.seen = b""
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self.process = subprocess.Popen(
            [
                *before,
                *COMMAND,
                f"--dbfile={directory}/map",
                "--config=/dev/null",
                "--watch",
                *options,
            ],
            stdin=self.its,
            stdout=self.its,
            stderr=self.its,
            env={**ENVIRONMENT, **SETTINGS},
            start_new_session=True,
            # So that the terminal's own signals (Ctrl-C, a resize) reach it.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        os.close(self.ours)
        os.close(self.its)

    def resize(self, columns: int, rows: int) -> None:
        """Give it another size."""
        if hasattr(self, "_screen"):
            self._screen.resize(rows, columns)
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def keys(self, text: bytes) -> None:
        """Type."""
        os.write(self.ours, text)

    def more(self, seconds: float = 0.2) -> bool:
        """Read what it has written; whether there was something."""
        if not select.select([self.ours], [], [], seconds)[0]:
            return False
        data = os.read(self.ours, 65536)
        self.seen += data
        self._stream.feed(data)
        return True

    def screen(self) -> list[str]:
        """The lines that it shows, without the blanks behind them."""
        lines = [line.rstrip() for line in self._screen.display]
        assert all(line.isprintable() for line in lines)
        return lines

    def wait_for(self, condition) -> None:
        """Until `condition(lines of the screen)`."""
        end = time.monotonic() + PATIENCE
        while not condition(self.screen()):
            assert time.monotonic() < end, self.seen[-3000:]
            self.more()

    def wait_for_text(self, text: str) -> None:
        """Until the screen has it."""
        self.wait_for(lambda lines: any(text in line for line in lines))

    def end(self) -> int:
        """Its exit status, when it has left and everything it wrote was read."""
        while self.process.poll() is None:
            self.more(0.05)
        while self.more(0):
            pass
        return self.process.returncode

    def is_as_before(self) -> bool:
        """Whether the terminal's settings are what they were, and its first screen is back."""
        left = self.seen.rfind(LEAVE) > self.seen.rfind(ENTER)
        return left and self.before == termios.tcgetattr(self.its)


def test_it_shows_logins_as_they_come_and_refusals_by_reason(place):
    with Running(place) as pipeline, Terminal(place) as terminal:
        pipeline.reply()
        terminal.wait_for_text("store ok")
        pipeline.ask(login("192.0.2.7", user="bob"))
        pipeline.ask(login("127.0.0.1"))
        terminal.wait_for_text("192.0.2.7  ")
        terminal.wait_for_text("may relay anyway (local_networks)")
        terminal.wait_for_text("logins per minute  now 1, at most 1")
        row = next(line for line in terminal.screen() if line.startswith("192.0.2.7"))
        assert {"bob", "dovecot", "████████████████"} <= set(row.split())
        terminal.keys(b"q")
        assert 0 == terminal.end()
        assert terminal.is_as_before()
        assert ENTER in terminal.seen


@pytest.mark.parametrize("how", ["q", "Q", "ctrl-c", "SIGTERM", "SIGHUP"])
def test_it_leaves_the_terminal_as_it_was(place, how):
    with Terminal(place) as terminal:
        terminal.wait_for_text("no filter is running")
        assert terminal.before != termios.tcgetattr(terminal.its)
        if how.startswith("SIG"):
            terminal.process.send_signal(signal.Signals[how])
        else:
            terminal.keys(b"\x03" if how == "ctrl-c" else how.encode())
        assert 0 == terminal.end()
        assert terminal.is_as_before()


def test_other_keys_do_nothing(place):
    with Terminal(place) as terminal:
        terminal.wait_for_text("no filter is running")
        terminal.keys(b"x\x1b[A\r ")
        clocks = {terminal.screen()[0]}
        terminal.wait_for(lambda lines: clocks.add(lines[0]) or len(clocks) > 2)
        assert terminal.process.poll() is None


def test_when_the_filter_is_gone_it_says_so_and_waits_for_the_next(place):
    with Terminal(place) as terminal:
        terminal.wait_for_text("waiting for one")
        for address in ("192.0.2.7", "192.0.2.8"):
            with Running(place) as pipeline:
                pipeline.reply()
                pipeline.ask(login(address))
                terminal.wait_for_text(address)
                terminal.wait_for_text("store ok")
                assert 0 == pipeline.end()
            terminal.wait_for_text("waiting for one")
            terminal.wait_for_text("192.0.2.7  ")  # the map is still there


def test_it_follows_the_size_of_the_terminal(place):
    with Running(place) as pipeline, Terminal(place, columns=100, rows=30) as terminal:
        pipeline.reply()
        terminal.wait_for_text("store ok")
        for columns, rows in ((40, 10), (120, 50), (100, 30)):
            terminal.resize(columns, rows)
            # The refusals are the last of it.
            terminal.wait_for(lambda lines: ["refused", "none"] == _first_words(lines[-2:]))
            assert rows == len(terminal.screen())


def _first_words(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines if line]


def test_stopped_it_gives_the_terminal_back_and_continued_it_draws_again(place):
    with Terminal(place, before=JOB) as terminal:
        terminal.wait_for_text("no filter is running")
        leader = terminal.process.pid
        job = int(Path(f"/proc/{leader}/task/{leader}/children").read_text().split()[0])
        os.kill(job, signal.SIGTSTP)
        stat = Path(f"/proc/{job}/stat")
        wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "it to stop")
        while terminal.more(0):
            pass
        assert terminal.is_as_before()
        os.kill(job, signal.SIGCONT)
        terminal.wait_for(lambda _lines: terminal.seen.count(ENTER) > 1)
        terminal.wait_for(lambda _lines: terminal.before != termios.tcgetattr(terminal.its))
        terminal.keys(b"q")
        assert 0 == terminal.end()


def test_a_terminal_that_goes_away_ends_it(place):
    terminal = Terminal(place)
    try:
        terminal.wait_for_text("no filter is running")
        os.close(terminal.its)
        os.close(terminal.ours)
        assert terminal.process.wait(PATIENCE) in (0, -signal.SIGHUP)
    finally:
        terminal.process.kill()
        terminal.process.wait(PATIENCE)


@pytest.mark.parametrize(("expected", "option"), [(True, "always"), (False, "never")])
def test_colours_are_drawn_as_asked(place, expected, option):
    with Terminal(place, f"--color={option}") as terminal:
        terminal.wait_for_text("no filter is running")
        assert expected == (b"\x1b[31m" in terminal.seen)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("only root and the filter's account may ask the filter", PermissionError()),
        ("the filter does not answer", StoreBusy("the filter does not answer")),
    ],
)
def test_who_gets_no_answer_still_sees_the_map(place, monkeypatch, words, error):
    def ask(*_: object) -> None:
        raise error

    with Running(place) as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7"))
        wait_for(pipeline.addresses)
    monkeypatch.setattr(control, "ask", ask)
    watching = Dashboard("mx1", 1800)
    DashboardFeed(build({}, {"map": f"{place}/map"}), watching).update()
    lines = watching.lines(100, 30, int(time.time()))
    text = "\n".join(ansi(line, colour=False) for line in lines)
    assert words in text
    assert "192.0.2.7" in text


def test_a_map_that_is_not_there_is_told(place):
    with Terminal(place, columns=300) as terminal:
        terminal.wait_for_text(f"'{place}/map'")


@pytest.mark.parametrize(
    ("expected", "more"),
    [(True, {}), (False, {"NO_COLOR": "1"}), (False, {"TERM": "dumb"})],
)
def test_a_list_has_colours_on_a_terminal_that_wants_them(place, expected, more):
    with Running(place) as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7"))
        wait_for(pipeline.addresses)
        ours, its = pty.openpty()
        try:
            subprocess.run(
                [*COMMAND, *pipeline.options, "--list"],
                stdout=its,
                env={**ENVIRONMENT, "TERM": "xterm", "NO_COLOR": "", **more},
                check=True,
            )
            assert expected == (b"\x1b[1mADDRESS" in os.read(ours, 65536))
        finally:
            os.close(ours)
            os.close(its)
        assert b"\x1b" not in pipeline.mode("--list").stdout


def test_without_a_terminal_it_names_what_programs_use():
    done = run("--config=/dev/null", "--watch")
    assert 2 == done.returncode
    assert b"needs a terminal" in done.stderr
    assert b"--status --json" in done.stderr
