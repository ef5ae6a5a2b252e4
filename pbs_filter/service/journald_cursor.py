"""The cursor says how far systemd's journal has been taken (edge): its cursor, in a file, for the
next start.

`journalctl -f` forgets where it was when it is stopped. Each entry of `-o json` has its cursor, so
the filter writes down the last one whose line is safe in its own journal; `journalctl
--after-cursor` goes on there. The file may be a second behind: a line taken twice changes nothing.
"""

from __future__ import annotations

import re

from .. import files
from ..log import Log

_cursor = re.compile(rb'"__CURSOR"[ \t]*:[ \t]*"([!-~]{1,256}?)"').search
_KEY = b'"__CURSOR"'


class Cursor:
    """Keeps the newest cursor in the file `path`; trouble with it is told to `log`, no more."""

    def __init__(self, path: str, log: Log) -> None:
        self._path = path
        self._log = log
        self._newest = b""
        self._written = b""

    def taken(self, block: bytes) -> None:
        """The lines of `block` are safe."""
        found = _cursor(block, max(block.rfind(_KEY), 0))
        if found:
            self._newest = found[1]

    def save(self) -> None:
        """Write it, if there is a newer one."""
        if self._newest == self._written:
            return
        try:
            files.write_anew(self._path, self._newest + b"\n", 0o640, None)
        except OSError as error:
            self._log.once("cursor", str(files.busy("write", self._path, error)))
            return
        self._written = self._newest
        self._log.recovered("cursor", f"{self._path!r} can be written again")
