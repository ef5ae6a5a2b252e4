"""One real daemon as a child process: started, waited for, stopped by its pid."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from types import TracebackType
from typing import Self, TypeVar

BUSY = 5
"""A machine may be so many times as busy as the ones that the limits below were written for: they
bound a hang, and no test asserts a speed by them."""
START_SECONDS = 20.0
STOP_SECONDS = 10.0

T = TypeVar("T")
_given_ports: set[int] = set()


class DaemonError(AssertionError):
    """A daemon did not do what the test needs; the text ends with what it said."""


def free_port() -> int:
    """A TCP port of the loopback addresses that nobody listens on.

    Below the ports the kernel hands out to clients, so that no connection takes it between our look
    and the daemon's bind; never the same one twice.
    """
    for port in range(20000 + os.getpid() * 16 % 10000, 32000):
        if port in _given_ports:
            continue
        try:
            for family, address in ((socket.AF_INET, ""), (socket.AF_INET6, "::")):
                with socket.socket(family) as probe:
                    if family == socket.AF_INET6:
                        probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    probe.bind((address, port))
        except OSError:
            continue
        _given_ports.add(port)
        return port
    raise DaemonError("no free port below 32000")


def wait_for(
    look: Callable[[], T | None], what: str, seconds: float = START_SECONDS, pause: float = 0.01
) -> T:
    """The first truthy answer of `look`, asked again after each `pause`; DaemonError after
    `seconds`, as long as they are on a busy machine.
    """
    deadline = time.monotonic() + seconds * BUSY
    while True:
        began = time.monotonic()
        answer = look()
        if answer:
            return answer
        now = time.monotonic()
        if now > deadline:
            raise DaemonError(f"waited {seconds * BUSY:g} s for {what}")
        # A look may start a program: some time is left to what it waits for.
        time.sleep(max(pause, min(now - began, 0.2)))


def listening(port: int) -> bool:
    """Whether something accepts TCP connections at `port`, of whichever address."""
    wanted = f"{port:04X}"
    # Read from /proc, because a probing connection would show in the daemon's log.
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and fields[1].endswith(f":{wanted}"):
                    return True
    return False


class Process:
    """A child in a process group of its own, its stdout and stderr in `output`.

    `stop()` sends SIGTERM to that one pid, then SIGKILL to what is left of its group. One that
    `forks` into the background is started when this child has ended well; whoever made its root
    directory ends it there.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        output: Path,
        ready: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
        forks: bool = False,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.output = output
        self.ready = ready
        self.environment = environment
        self.forks = forks
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._child is not None, f"{self.name} was not started"
        return self._child.pid

    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> Self:
        """Start it and wait until it is ready; DaemonError with its output if it never is."""
        assert not self.running(), f"{self.name} is running already"
        with self.output.open("ab") as output:
            self._child = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=None if self.environment is None else dict(self.environment),
                start_new_session=True,
            )
        child = self._child

        def up() -> bool:
            status = child.poll()
            if self.forks and status is None:
                return False
            if status is not None and not (self.forks and status == 0):
                raise DaemonError(f"{self.name} ended with {child.returncode}\n{self.said()}")
            return self.ready()

        try:
            wait_for(up, f"{self.name} to be ready")
        except DaemonError as error:
            self.stop()
            raise DaemonError(f"{error}\n{self.said()}") from None
        return self

    def said(self) -> str:
        """The end of what it wrote to stdout and stderr."""
        return self.output.read_bytes()[-4000:].decode("utf-8", "replace")

    def signal(self, number: Signals) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Its exit status, when it ends by itself."""
        assert self._child is not None
        return self._child.wait(seconds)

    def stop(self, number: Signals = SIGTERM, seconds: float = STOP_SECONDS) -> None:
        """End it and what it started. Nothing happens if it is not running."""
        child = self._child
        if child is None:
            return
        if child.poll() is None:
            child.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, SIGKILL)
        child.wait()
        self._child = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
