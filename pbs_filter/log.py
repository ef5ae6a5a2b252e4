"""The log (edge): stderr or a file that can be reopened; never the stream that feeds us."""

from __future__ import annotations

import errno
import os
import sys
import time

from . import held_files

REPEAT_SECONDS = 60
"""The same trouble is said once in this time."""


class Log:
    """Lines `time pbs-filter[pid]: text` to a file, stderr, or stdout (`-`).

    Writing never raises: a full disk under the log must not stop the filter.
    """

    def __init__(self, path: str = "", *, debug: bool = False) -> None:
        self.path = path
        self.debugging = debug
        self._said: dict[str, float] = {}
        self._fd = -1
        self.reopen()

    def reopen(self) -> None:
        """Open the file again (after it was rotated)."""
        if self._fd > 2:
            os.close(self._fd)
        self._fd = 1 if self.path == "-" else 2
        if self.path not in ("", "-"):
            try:
                self._fd = held_files.open_to_append(self.path)
            except OSError as error:
                why = "it is a link" if error.errno == errno.ELOOP else error.strerror
                print(
                    f"pbs-filter: cannot open the log {self.path!r}: {why}; logging to stderr",
                    file=sys.stderr,
                )

    def say(self, text: str) -> None:
        """Write one line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        line = f"{stamp} pbs-filter[{os.getpid()}]: {text}\n"
        try:
            os.write(self._fd, line.encode("utf-8", "backslashreplace"))
        except OSError:
            pass  # nowhere left to say it

    def debug(self, text: str) -> None:
        """Write one line when debugging."""
        if self.debugging:
            self.say(text)

    def once(self, key: str, text: str, seconds: float = REPEAT_SECONDS) -> None:
        """Write `text`, unless something with this key was said within `seconds`."""
        now = time.monotonic()
        last = self._said.get(key)
        if last is None or now - last >= seconds:
            self._said[key] = now
            self.say(text)

    def over(self, key: str, text: str) -> None:
        """The trouble `key` is over: say so if it had been said, and be ready to say it again."""
        if self._said.pop(key, None) is not None:
            self.say(text)
