"""A backup keeps for --undo what --apply changes: copies of the files as they were, and the record
(edge).

They are in a directory that only root can write: --undo does as root what the record says, so
nobody else may say it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import tempfile

from ..errors import ConfigError
from ..held_files import read_regular
from .discover import read
from .record import Record, added, decoded, encoded

PLACE = "/var/lib/pbs-filter-setup"


class UndoRecord:
    """The record of one run, on disk before what it tells of is done.

    Raises:
        ConfigError: the directory is not one that only root can write.
    """

    def __init__(self, place: str = PLACE) -> None:
        self.place = place
        self.earlier = load(place)
        self.record = Record()

    def note(self, **more: object) -> None:
        """Add to the record, and save it."""
        self.record = added(self.record, Record(**more))  # type: ignore[arg-type]
        self.save(added(self.earlier, self.record))

    def backup(self, path: str, data: bytes) -> str:
        """Keep `data`, the content of `path`, beside the record; the copy's name."""
        make_private(self.place)
        name = f"{len(self.earlier.written) + len(self.record.written)}-{os.path.basename(path)}"
        replace(os.path.join(self.place, name), data, 0o600)
        return name

    def save(self, record: Record) -> None:
        """Write the record; an empty one is removed, with the directory."""
        if record == Record():
            shutil.rmtree(self.place, ignore_errors=True)
            return
        make_private(self.place)
        replace(os.path.join(self.place, "record.json"), encoded(record).encode(), 0o600)


def make_private(place: str) -> None:
    """Make the directory. Raises: ConfigError, it is there and others can write in it."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(place, 0o700)
    status = os.lstat(place)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0 or status.st_mode & 0o022:
        raise ConfigError(f"{place!r} is not a directory that only root can write: move it away")


def load(place: str = PLACE) -> Record:
    """Return the record of what was done and not undone; an empty one where nothing was.

    Raises:
        ConfigError: it cannot be trusted, or read.
    """
    if not os.path.lexists(place):
        return Record()
    make_private(place)
    path = os.path.join(place, "record.json")
    text = read(path)
    return Record() if text is None else decoded(text, path)


def replace(
    path: str, data: bytes, mode: int, uid: int = 0, gid: int = 0, *, mtime_ns: int | None = None
) -> None:
    """Put a whole file in the place of whatever is at `path`. Raises: OSError."""
    descriptor, fresh = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".pbs-filter-")
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            os.fchown(descriptor, uid, gid)
            # No file is given to another account with a bit that lends it ours.
            os.fchmod(descriptor, mode & ~(stat.S_ISUID | stat.S_ISGID))
            file.flush()
            if mtime_ns is not None:
                os.utime(descriptor, ns=(mtime_ns, mtime_ns))
            os.fsync(descriptor)
        os.rename(fresh, path)
    except BaseException:
        os.unlink(fresh)
        raise


def sum_of_data(data: bytes) -> str:
    """Return the SHA-256, as the record has it."""
    return hashlib.sha256(data).hexdigest()


def sum_of(path: str) -> str | None:
    """Return the SHA-256 of a file; None where there is none, "" where it is no regular file.

    Raises: OSError.
    """
    try:
        return sum_of_data(read_regular(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EINVAL, errno.ENXIO):
            return ""
        raise
