"""The log (edge): a file that can be reopened, stderr, or syslog; never the filter's own feed."""

from __future__ import annotations

import errno
import os
import stat
import time

from .text import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Mapping
    from typing import Any

REPEAT_SECONDS = 60
"""The same trouble is reported once in this time: lines and questions come again and again."""
_STAMP = "%Y-%m-%dT%H:%M:%S%z"
_AT_ONCE = 25
"""Lines that are written at once: other programs may write to the same pipe."""
_ROOM_BYTES = 4096
"""A pipe that says it can be written takes as much at once (PIPE_BUF)."""
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
        again = f" ({counted(times, 'time')} more since it was last said)" if times else ""
        self.say(text + again)

    def recovered(self, key: str, text: str) -> None:
        """Write `text` if the cause `key` had been reported; the next trouble is reported anew."""
        if self._reported.pop(key, None) is not None:
            self.say(text)


SYSLOG = "syslog"
"""As the path of a log: the syslog daemon, under facility daemon, which no feed reads."""
_DEVICE = "/dev/log"
_WARNING, _INFO = 3 << 3 | 4, 3 << 3 | 6


class Log(Reporter):
    """The filter's log: lines `time pbs-filter[pid]: text`, or JSON objects.

    Args:
        path: a file; empty: stderr; `-`: stdout; `SYSLOG`.
        level: `warning`: what somebody should know; `info`: and what happened to authorisations;
            `debug`: and every decision.
        as_json: one JSON object a line.
        nowrite: nothing of it is done: each event says so.
    """

    def __init__(
        self, path: str = "", *, level: str = "info", as_json: bool = False, nowrite: bool = False
    ) -> None:
        super().__init__()
        self._nowrite = nowrite
        self.path = path
        self.level = level
        self._as_json = as_json
        self._fd = -1
        self._is_file = False
        """Nobody can hold up a write to it."""
        self._dropped = 0
        """Lines for which there was no room, and nobody has been told."""
        self._syslog: socket.socket | None = None
        self.reopen()

    def reopen(self) -> None:
        """Open the file again (after it was rotated)."""
        self.close()
        self._fd = 1 if self.path == "-" else 2
        if self.path == SYSLOG:
            import socket

            # Nobody may wait here: the daemon may itself be waiting for us.
            self._syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        elif self.path not in ("", "-"):
            from . import held_files

            try:
                self._fd = held_files.open_to_append(self.path)
                self._is_file = stat.S_ISREG(os.fstat(self._fd).st_mode)
            except OSError as error:
                why = "it is a link" if error.errno == errno.ELOOP else error.strerror
                text = f"pbs-filter: cannot open the log {self.path!r}: {why}; logging to stderr"
                _write(2, text)

    def close(self) -> None:
        """Close the file; what is said from now on goes to stderr."""
        if self._fd > 2:
            os.close(self._fd)
        self._fd = 2
        self._is_file = False
        if self._syslog is not None:
            self._syslog.close()
            self._syslog = None

    def say(self, text: str) -> None:
        """See `Reporter.say`."""
        self._line(_WARNING, "message", text, {"text": text})

    def debug(self, text: str) -> None:
        """Write one line when debugging."""
        if self.level == "debug":
            self.say(text)

    def events(self, events: Iterable[tuple[str, Mapping[str, Any]]], lost: int) -> None:
        """Write what happened, each with its name; `lost` is the number of those without room."""
        if self.level == "warning":
            return
        lines = []
        ends: dict[int, str] = {}
        for name, fields in events:
            if self._nowrite:
                fields = {"nowrite": "yes", **fields}
            words = [name, *(f"{key}={_word(key, value, ends)}" for key, value in fields.items())]
            lines.append((name, " ".join(words), fields))
        self._lines(_INFO, lines)
        if lost:
            self.once("events", f"{counted(lost, 'more event')} in a second than the log takes", 1)

    def _line(self, priority: int, name: str, text: str, fields: Mapping[str, Any]) -> None:
        self._lines(priority, [(name, text, fields)])

    def _lines(self, priority: int, lines: Iterable[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Write lines of one moment (name, text, fields) at once: one look at the clock, one write,
        where each by itself took five system calls."""
        pid = os.getpid()
        stamp = time.strftime(_STAMP)
        if self._as_json:
            import json  # not for lookups

            texts = [
                json.dumps({"time": stamp, "pid": pid, "event": name, **fields})
                for name, _, fields in lines
            ]
        else:
            texts = [text for _, text, _ in lines]
        if self._syslog is not None:
            for text in texts:
                data = f"<{priority}>pbs-filter[{pid}]: {text}".encode("utf-8", "backslashreplace")
                try:
                    self._syslog.sendto(data, _DEVICE)
                except OSError:
                    pass  # there is no daemon, or it takes no more
            return
        front = "" if self._as_json else f"{stamp} pbs-filter[{pid}]: "
        for start in range(0, len(texts), _AT_ONCE):
            some = texts[start : start + _AT_ONCE]
            if not _write(self._fd, "\n".join(front + text for text in some), self._is_file):
                self._dropped += len(some)
        if self._dropped and _has_room(self._fd):
            dropped, self._dropped = self._dropped, 0
            self.say(
                f"{counted(dropped, 'line')} of this log were dropped: its reader took no more"
            )


def _word(key: str, value: Any, ends: dict[int, str]) -> str:
    """Return the value as text; `ends` keeps the times, which logins of one second share."""
    if key == "until":
        if value not in ends:
            ends[value] = time.strftime(_STAMP, time.localtime(value))
        return ends[value]
    text = str(value)
    odd = " " in text or '"' in text or "=" in text or "\\" in text
    if not odd and text.isascii() and text.isprintable():
        return text
    import json

    return json.dumps(text)


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


def _write(descriptor: int, text: str, is_file: bool = False) -> bool:
    """Write a line; whether there was room. Nobody waits for the reader of a pipe or a terminal."""
    data = f"{text}\n".encode("utf-8", "backslashreplace")
    try:
        while data:
            if not is_file and not _has_room(descriptor):
                return False
            data = data[os.write(descriptor, data if is_file else data[:_ROOM_BYTES]) :]
    except OSError:
        pass  # there is no place left to say it
    return True


def _has_room(descriptor: int) -> bool:
    """Return whether a write of up to `_ROOM_BYTES` would not be waited for."""
    import select  # a log in a file needs none

    poller = select.poll()
    poller.register(descriptor, select.POLLOUT)
    return bool(poller.poll(0))


def _stderr_is_the_conversation() -> bool:
    """Return whether stdin and stderr are one socket, as Postfix's spawn(8) and inetd make them."""
    try:
        peer, errors = os.fstat(0), os.fstat(2)
    except OSError:
        return False
    same = (peer.st_dev, peer.st_ino) == (errors.st_dev, errors.st_ino)
    return same and stat.S_ISSOCK(errors.st_mode)
