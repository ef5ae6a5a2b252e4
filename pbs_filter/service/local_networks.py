"""The answers of `local_networks_command` (edge), which no line waits for."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import threading
from collections.abc import Callable

from ..addresses import parse_mynetworks

COMMAND_SECONDS = 10.0
"""A command that has not ended by then is killed."""
START_SECONDS = 2.0
"""How long a start waits for the first answer; rsyslog waits ten seconds for the start."""
TICK_SECONDS = 0.5
"""How often a waiting start calls back."""


class CommandError(Exception):
    """The command gave no answer; the text says why."""


Answer = tuple[tuple[str, ...], list[str]]
"""The networks, and the items of the output that are none."""


def ask(
    command: str,
    seconds: float = COMMAND_SECONDS,
    on_start: Callable[[int], object] = lambda _pid: None,
) -> Answer:
    """Run `command`; `on_start` gets the process group of what it starts.

    Raises:
        CommandError: it cannot be run, failed, or did not end in time.
    """
    import subprocess  # takes 2 ms of a start, and most sites have no such command

    try:
        process = subprocess.Popen(
            shlex.split(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except (OSError, ValueError, IndexError) as error:
        raise CommandError(str(error)) from None
    on_start(process.pid)
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _kill(process.pid)
        process.communicate()
        raise CommandError(f"it did not end within {seconds:g} seconds and was killed") from None
    if process.returncode:
        last = errors.strip().rpartition("\n")[2]
        raise CommandError(f"it ended with {process.returncode}: {last!r}")
    networks, skipped = parse_mynetworks(output)
    return tuple(networks), skipped


def _kill(group: int) -> None:
    """End a command with all that it has started, which may hold its pipe."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


class LocalNetworks:
    """Runs the command beside the filter, and keeps its last good answer.

    `say` is told of trouble, from the thread of `tick`.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._command = ""
        self._thread: threading.Thread | None = None
        self._group = 0
        """The process group of a command that runs."""
        self._stopped = False
        self._new: tuple[str, Answer | CommandError] | None = None
        """The command that has ended, and its answer."""
        self.answer: tuple[str, ...] = ()
        """The networks of the last good answer; none before the first."""

    def start(self, command: str) -> None:
        """Run `command`; "": there is none, and so no networks of one. One that runs goes on."""
        if not command or command != self._command:
            self.answer = ()
        self._command = command
        if command and self._thread is None:
            self._thread = threading.Thread(
                target=self._run, args=(command,), name="local_networks_command", daemon=True
            )
            self._thread.start()

    def _run(self, command: str) -> None:
        try:
            self._new = command, ask(command, on_start=self._note_group)
        except CommandError as error:
            self._new = command, error
        self._group = 0

    def _note_group(self, group: int) -> None:
        self._group = group
        if self._stopped:
            _kill(group)

    def stop(self) -> None:
        """End a command that runs, for good."""
        self._stopped = True
        if self._group:
            _kill(self._group)

    def wait(
        self, on_wait: Callable[[], object] = lambda: None, seconds: float = START_SECONDS
    ) -> None:
        """Wait at most so long for the answer; `on_wait` is called meanwhile."""
        for _ in range(int(seconds / TICK_SECONDS)):
            if self._thread is None:
                break
            self._thread.join(TICK_SECONDS)
            if not self._thread.is_alive():
                break
            on_wait()
        self.tick()

    def tick(self) -> bool:
        """Take an answer that has come; whether the networks are others now."""
        if self._thread is None or self._thread.is_alive():
            return False
        self._thread = None
        assert self._new is not None
        command, new = self._new
        if command != self._command:
            self.start(self._command)  # the configuration names another one now
            return False
        what = f"local_networks_command {command!r}"
        if isinstance(new, CommandError):
            kept = "the networks that it gave before" if self.answer else "local_networks alone"
            self._say(f"{what}: {new}; going on with {kept}")
            return False
        networks, skipped = new
        if skipped:
            self._say(
                f"{what}: skipped {', '.join(map(repr, skipped))} (files, tables and exclusions "
                "are not read); list those networks in local_networks"
            )
        changed = networks != self.answer
        self.answer = networks
        return changed
