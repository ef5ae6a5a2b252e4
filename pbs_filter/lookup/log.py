"""Where lookups say what is wrong: stderr, or syslog where stderr is the MTA's own connection."""

from __future__ import annotations

import os
import stat
import time

REPEAT_SECONDS = 60
"""The same trouble is said once in this time: the MTA asks again and again."""


def _stderr_is_the_conversation() -> bool:
    """Postfix's spawn(8) and inetd connect stdin, stdout and stderr to the same socket."""
    try:
        peer, errors = os.fstat(0), os.fstat(2)
    except OSError:
        return False
    same = (peer.st_dev, peer.st_ino) == (errors.st_dev, errors.st_ino)
    return same and stat.S_ISSOCK(errors.st_mode)


class Log:
    """`say` writes a line; `trouble` does so unless it wrote the same within REPEAT_SECONDS."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[float, int]] = {}
        self._syslog = _stderr_is_the_conversation()
        if self._syslog:
            # Nothing may slip into the conversation: no traceback, no message of GDBM's.
            os.dup2(os.open("/dev/null", os.O_RDWR), 2)

    def say(self, text: str) -> None:
        """Write one line; control characters are shown as `?`."""
        text = "".join(c if c.isprintable() else "?" for c in text)
        if self._syslog:
            import syslog

            syslog.openlog("pbs-lookup", syslog.LOG_PID, syslog.LOG_MAIL)
            syslog.syslog(syslog.LOG_ERR, text)
        else:
            try:
                os.write(2, f"pbs-lookup: {text}\n".encode("utf-8", "backslashreplace"))
            except OSError:
                pass  # there is no place left to say it

    def trouble(self, text: str) -> None:
        """Say that questions cannot be answered, and why; repetitions are counted."""
        now = time.monotonic()
        since, times = self._said.get(text, (now - REPEAT_SECONDS, 0))
        if now - since < REPEAT_SECONDS:
            self._said[text] = since, times + 1
            return
        if len(self._said) > 100:  # texts with a changing part must not pile up
            self._said.clear()
        self._said[text] = now, 0
        again = f" ({times} times more since it was last said)" if times else ""
        self.say(f"cannot answer: {text}{again}")
