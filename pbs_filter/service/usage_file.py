"""The file `PATH.usage`, in which a filter keeps its usage for --report (edge).

Written by another thread, at most once in SAVE_SECONDS and at the end, under another name, synced
and renamed: no line waits for it. Whatever is wrong with it is told to the log, no more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from .. import files
from ..errors import StoreBusy
from ..log import Log
from ..monitor.usage import Usage

SAVE_SECONDS = 300
MODE = 0o640
MAX_BYTES = 64 << 20


def read(path: str, days_kept: int) -> Usage | None:
    """Return what the file at `path` has; None: there is no such file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a file of usage.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        # No more than there is: so much room is claimed before anything is read.
        text = file.read(min(os.fstat(fd).st_size, MAX_BYTES))
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is not as pbs-filter writes it") from None
    return Usage.of_object(value, days_kept)


def _encoded(value: Mapping[str, Any]) -> bytes:
    """Return `value` as JSON, encoded by the device: one encoding lets no other thread run."""
    parts = {key: json.dumps(part) for key, part in value.items() if key != "devices"}
    devices = ",\n".join([json.dumps(device) for device in value["devices"]])
    rest = "".join(f'"{key}":{part},\n' for key, part in parts.items())
    return f'{{{rest}"devices":[{devices}]}}\n'.encode()


class UsageFile:
    """The usage of a running filter, and its file.

    Args:
        path: of the file; empty: there is none.
        group: may read it.
        days_kept: how long anything is kept.
        now: epoch seconds.
        log: hears of trouble.
    """

    def __init__(self, path: str, group: str, days_kept: int, now: int, log: Log) -> None:
        self._path = path
        self._group = group
        self._log = log
        self._saving: files.Apart | None = None
        self._due = 0.0
        self.usage = Usage(now, days_kept)
        if not path:
            return
        try:
            self.usage = read(path, days_kept) or self.usage
        except (OSError, ValueError) as error:
            log.say(f"{path!r} is begun anew, --report knows no more than the journal: {error}")

    def save(self, uptime: float, *, last: bool = False) -> None:
        """Write what has changed if it is time, or for the `last` time. Does not raise.

        `uptime` is seconds of a clock that nobody sets.
        """
        if self._saving is not None and (last or not self._saving.is_alive()):
            self._saving.join()
            self._told(self._saving.error)
            self._saving = None
        if not self._path or not self.usage.changed or self._saving is not None:
            return
        if uptime < self._due and not last:
            return
        self._due = uptime + SAVE_SECONDS
        self.usage.changed = False
        value = self.usage.as_object()
        new = self._path + ".new"
        try:
            fd = files.create(new, MODE, files.gid_of(self._group))
        except OSError as error:
            self._told(error)
            return

        def write(fd: int) -> None:
            try:
                files.write_all(fd, _encoded(value), 0)
                os.fsync(fd)
                os.rename(new, self._path)
            finally:
                os.close(fd)

        self._saving = files.Apart(write, fd)
        if last:
            self._saving.join()
            self._told(self._saving.error)

    def erase(self, who: Mapping[str, Any], now: int) -> None:
        """Take the `address` or else the `user` of `who` out of usage and file.

        Raises:
            StoreBusy: the file cannot be written.
        """
        address = str(who.get("address", ""))
        self.usage.erase(now, address=address, user="" if address else str(who.get("user", "")))
        self.save(0.0, last=True)
        if self._path and self.usage.changed:
            raise StoreBusy(f"cannot write {self._path!r}: the log has the cause; try it again")

    def _told(self, error: OSError | None) -> None:
        if error is None:
            self._log.recovered("usage", f"{self._path!r} can be written again")
            return
        self.usage.changed = True
        self._log.once("usage", str(files.busy("write", self._path, error)))
