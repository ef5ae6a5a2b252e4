"""Runs a site's commands for what happened (edge): the `[[hook]]` tables.

Once a second, a few at a time, without a shell, as the filter's account. A command is told by its
environment and by a JSON object on stdin; nobody waits for it, and one that takes too long is
ended. What no command can be started for in time is dropped and counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..config.tables import Hook
from ..log import Log
from ..text import counted

if TYPE_CHECKING:
    import subprocess

MAX_RUNNING = 4
MAX_WAITING = 100
MAX_TEXT = 2000
"""Characters of one value."""


class Hooks:
    """The commands of one filter."""

    def __init__(self, hooks: Sequence[Hook], log: Log) -> None:
        self._hooks = hooks
        self._log = log
        self._waiting: deque[tuple[Hook, str, Mapping[str, Any]]] = deque()
        self._running: list[tuple[Hook, subprocess.Popen[bytes], float]] = []
        """With the time (monotonic) at which it is ended."""

    def tick(self, events: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Take what happened since the last call. Waits for nothing, and does not raise."""
        if not self._hooks:
            return
        lost = 0
        for name, fields in events:
            for hook in self._hooks:
                if name not in hook.on:
                    continue
                if len(self._waiting) < MAX_WAITING:
                    self._waiting.append((hook, name, fields))
                else:
                    lost += 1
        if lost:
            self._log.once(
                "hooks", f"[[hook]]: too much happens, not run: {counted(lost, 'command')}"
            )
        self._running = [each for each in self._running if not self._is_over(*each)]
        while self._waiting and len(self._running) < MAX_RUNNING:
            self._start(*self._waiting.popleft())

    def _is_over(self, hook: Hook, process: subprocess.Popen[bytes], end: float) -> bool:
        status = process.poll()
        if status is None and time.monotonic() < end:
            return False
        if status is None:
            _kill(process)
            what = f"took longer than {counted(hook.timeout_seconds, 'second')}, and was ended"
        elif status:
            what = f"ended with {status}"
        else:
            return True
        command = shlex.join(hook.command)
        self._log.once(f"hook {command}", f"[[hook]] {command!r} {what}")
        return True

    def _start(self, hook: Hook, name: str, fields: Mapping[str, Any]) -> None:
        import subprocess  # takes 2 ms of a start, and most sites run no command

        texts = {key: str(value)[:MAX_TEXT].replace("\0", "?") for key, value in fields.items()}
        environment = {f"PBS_{key.upper()}": text for key, text in texts.items()}
        environment |= {"PBS_EVENT": name, "PATH": os.environ.get("PATH", os.defpath)}
        try:
            process = subprocess.Popen(
                hook.command,
                env=environment,
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            command = shlex.join(hook.command)
            self._log.once(f"hook {command}", f"[[hook]] {command!r} cannot be started: {error}")
            return
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # less than a pipe holds: nobody waits for its reader
            os.write(process.stdin.fileno(), json.dumps({"event": name, **fields}).encode() + b"\n")
        process.stdin.close()
        self._running.append((hook, process, time.monotonic() + hook.timeout_seconds))

    def stop(self) -> None:
        """End every command that still runs."""
        for _, process, _ in self._running:
            _kill(process)
        self._running = []


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
