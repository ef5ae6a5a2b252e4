"""A real filter process for tests, spoken to through its pipes as a syslog daemon does."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-m", "pbs_filter"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
PATIENCE = 120.0
"""Seconds after which a test gives up waiting for what should come at once."""


def login(address: str, *, user: str = "bob", session: str = "", host: str = "mx1") -> str:
    """A Dovecot login in the BSD form."""
    tail = f", session=<{session}>" if session else ""
    return (
        f"Nov 20 10:00:00 {host} dovecot: imap-login: Login: user=<{user}>, method=PLAIN, "
        f"rip={address}, lip=198.51.100.254, mpid=41, TLS{tail}\n"
    )


def logout(session: str, *, user: str = "bob", host: str = "mx1") -> str:
    """The Dovecot 2.3 end of a session."""
    return (
        f"Nov 20 10:00:09 {host} dovecot: imap({user})<41><{session}>: "
        "Disconnected: Logged out in=10 out=20\n"
    )


def wait_for(condition, what: str = "it"):
    """The first true value of `condition()`."""
    end = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {PATIENCE} s for {what}"
        time.sleep(0.01)


def run(*options: str, stdin: str | bytes = b"", **keywords: Any) -> subprocess.CompletedProcess:
    """`pbs-filter OPTIONS`, to its end."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    return subprocess.run(
        [*COMMAND, *options],
        input=data,
        capture_output=True,
        env=ENVIRONMENT,
        timeout=300,
        check=False,
        **keywords,
    )


class Running:
    """A filter on the map `directory/map`, or on the one in Redis at `location`; `confirm` is what
    its --confirm says."""

    def __init__(
        self,
        directory: Path,
        *options: str,
        confirm: str = "yes",
        location: str = "",
        python_path: Path | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.map = directory / "map"
        self.options = [f"--dbfile={location or self.map}", "--config=/dev/null"]
        self.options.append("--max-addresses-per-user=0")  # most tests have one user
        if location:
            self.options += [f"--local-state={self.map}", f"--redis-name={directory.name}"]
        self.log = directory / "log"
        self.confirm = confirm
        self.process = subprocess.Popen(
            [
                *prefix,
                *COMMAND,
                *self.options,
                f"--logto={self.log}",
                f"--confirm={confirm}",
                *options,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if confirm == "no" else subprocess.PIPE,
            env=ENVIRONMENT
            if python_path is None
            else {**ENVIRONMENT, "PYTHONPATH": f"{python_path}:{ENVIRONMENT['PYTHONPATH']}"},
        )
        self._replies = b""

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass

    def send(self, text: str | bytes) -> None:
        """Write to its stdin."""
        data = text.encode() if isinstance(text, str) else text
        os.write(self.process.stdin.fileno(), data)

    def reply(self, patience: float = PATIENCE) -> bytes:
        """Its next reply line, without keep-alives; empty at its end, or when none comes."""
        end = time.monotonic() + patience
        while b"\n" not in self._replies:
            wait = end - time.monotonic()
            if wait <= 0 or not select.select([self.process.stdout], [], [], wait)[0]:
                return b""
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                return b""
            self._replies += more
        line, _, self._replies = self._replies.partition(b"\n")
        return line.lstrip(b".")

    def ask(self, line: str) -> bytes:
        """Send one line; the reply."""
        self.send(line)
        return self.reply()

    def end(self) -> int:
        """Close its stdin; its exit status."""
        self.process.stdin.close()
        return self.process.wait(PATIENCE)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def mode(self, *options: str, stdin: str = "") -> subprocess.CompletedProcess:
        """`pbs-filter` in a mode, on the same map."""
        return run(*self.options, *options, stdin=stdin)

    def listed(self, *options: str) -> list[dict[str, Any]]:
        """What --list --json says; empty while the map cannot be read."""
        done = self.mode("--list", "--json", *options)
        return json.loads(done.stdout) if done.returncode == 0 else []

    def addresses(self) -> set[str]:
        """The addresses that may relay."""
        return {entry["address"] for entry in self.listed()}

    def status(self) -> dict[str, Any]:
        """What --status --json says."""
        return json.loads(self.mode("--status", "--json").stdout)
