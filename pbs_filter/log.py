"""The log (edge): a file that can be reopened, stderr, or syslog; never the filter's own feed."""

from __future__ import annotations

import errno
import os
import stat
import time

REPEAT_SECONDS = 60
"""The same trouble is reported once in this time: lines and questions come again and again."""
MAX_KEYS = 100
"""Causes that are remembered; texts with a changing part must not pile up."""


class Reporter:
    """Reports each cause of trouble once a minute. A subclass says how a line is written."""

    def __init__(self) -> None:
        self._reported: dict[str, tuple[float, int]] = {}
        """Cause to the time of its last report (monotonic), and its repetitions since."""

    def say(self, text: str) -> None:
        """Write one line. Does not raise: a full disk under the log must not stop the program."""
        raise NotImplementedError

    def once(self, key: str, text: str, seconds: float = REPEAT_SECONDS) -> None:
        """Write `text` unless the cause `key` was reported within `seconds`; count repetitions."""
        now = time.monotonic()
        last, times = self._reported.get(key, (now - seconds, 0))
        if now - last < seconds:
            self._reported[key] = last, times + 1
            return
        if len(self._reported) >= MAX_KEYS:
            self._reported.clear()
        self._reported[key] = now, 0
        again = f" ({times} times more since it was last said)" if times else ""
        self.say(text + again)

    def recovered(self, key: str, text: str) -> None:
        """Write `text` if the cause `key` had been reported; the next trouble is reported anew."""
        if self._reported.pop(key, None) is not None:
            self.say(text)


class Log(Reporter):
    """The filter's log: lines `time pbs-filter[pid]: text` to a file, stderr, or stdout (`-`)."""

    def __init__(self, path: str = "", *, debug: bool = False) -> None:
        super().__init__()
        self.path = path
        self.debugging = debug
        self._fd = -1
        self.reopen()

    def reopen(self) -> None:
        """Open the file again (after it was rotated)."""
        if self._fd > 2:
            os.close(self._fd)
        self._fd = 1 if self.path == "-" else 2
        if self.path not in ("", "-"):
            from . import held_files

            try:
                self._fd = held_files.open_to_append(self.path)
            except OSError as error:
                why = "it is a link" if error.errno == errno.ELOOP else error.strerror
                text = f"pbs-filter: cannot open the log {self.path!r}: {why}; logging to stderr"
                _write(2, text)

    def say(self, text: str) -> None:
        """See `Reporter.say`."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        _write(self._fd, f"{stamp} pbs-filter[{os.getpid()}]: {text}")

    def debug(self, text: str) -> None:
        """Write one line when debugging."""
        if self.debugging:
            self.say(text)


class LookupLog(Reporter):
    """The log of `pbs-lookup`: stderr, or syslog where stderr is the MTA's own connection."""

    def __init__(self) -> None:
        super().__init__()
        self._syslog = _stderr_is_the_conversation()
        if self._syslog:
            # Nothing may slip into the conversation: no traceback, no message of GDBM's.
            os.dup2(os.open("/dev/null", os.O_RDWR), 2)

    def say(self, text: str) -> None:
        """See `Reporter.say`; control characters are shown as `?`."""
        text = "".join(c if c.isprintable() else "?" for c in text)
        if self._syslog:
            import syslog

            syslog.openlog("pbs-lookup", syslog.LOG_PID, syslog.LOG_MAIL)
            syslog.syslog(syslog.LOG_ERR, text)
        else:
            _write(2, f"pbs-lookup: {text}")

    def trouble(self, text: str) -> None:
        """Report that questions cannot be answered, and why."""
        self.once(text, f"cannot answer: {text}")


def _write(descriptor: int, text: str) -> None:
    try:
        os.write(descriptor, f"{text}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        pass  # there is no place left to say it


def _stderr_is_the_conversation() -> bool:
    """Return whether stdin and stderr are one socket, as Postfix's spawn(8) and inetd make them."""
    try:
        peer, errors = os.fstat(0), os.fstat(2)
    except OSError:
        return False
    same = (peer.st_dev, peer.st_ino) == (errors.st_dev, errors.st_ino)
    return same and stat.S_ISSOCK(errors.st_mode)
