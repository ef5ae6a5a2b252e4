"""History is what the files beside a journal still know: the journal before it, damaged copies.

Nobody needs it but people. A journal that is replaced stays as `PATH.1` until the next one is
replaced; a damaged one, or a damaged map, under a dated name.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import islice

from .. import files
from . import journal_lines
from .journal_file import new_part

LINES = 10_000
"""Lines that are written at once."""
HOUR = 3600


def is_half(born_epoch: int | None, now: int, history_seconds: int | None) -> bool:
    """Whether a journal has half of the history in it: the one before it has the other half.

    An hour is the least. None for the history: no time ends it. One that was born in the future
    (the clock was set back), or nobody knows when, is old.
    """
    if history_seconds is None:
        return False
    return not 0 <= now - (born_epoch or 0) < max(history_seconds // 2, HOUR)


def erase(path: str, mentions: Callable[[str], bool], *, gid: int | None) -> None:
    """Write `PATH.1` anew without the lines that `mentions` finds; without it, do nothing.

    Raises:
        StoreBusy: it cannot be done now; the old file stays.
    """
    old = path + ".1"
    if not os.path.lexists(old):
        return
    draft = old + ".new"
    try:
        part = new_part(draft, 0o640, gid)
        try:
            kept = (payload for payload in journal_lines.read(old) if not mentions(payload))
            while some := list(islice(kept, LINES)):
                part.add(some)
            os.fsync(part.fd)
        finally:
            os.close(part.fd)
        os.rename(draft, old)
        files.sync_directory(old)
    except OSError as error:
        raise files.busy("write anew", old, error) from error


def remove_copies(path: str, before_epoch: float) -> None:
    """Remove the dated copies of `path` that were last written before this time.

    Raises:
        StoreBusy: one cannot be removed.
    """
    try:
        for copy in files.set_aside_of(path):
            if os.lstat(copy).st_mtime < before_epoch and not os.path.isdir(copy):
                files.remove(copy)
    except OSError as error:
        raise files.busy("remove old copies of", path, error) from error
