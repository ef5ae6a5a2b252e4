"""What --apply keeps for --undo: copies of what was there, and the record (edge).

They are in a directory that only root can write: --undo does as root what the record says, so
nobody else may say it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile

from ..errors import ConfigError
from .discover import read
from .record import Record, added, decoded, encoded

PLACE = "/var/lib/pbs-filter-setup"
AFTER = ".after"
"""How the name of the copy of what was written ends."""


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

    def backup(self, path: str, after: bytes) -> str:
        """A copy of `path`, and of what becomes of it, beside the record; the first one's name."""
        own(self.place)
        name = f"{len(self.earlier.written) + len(self.record.written)}-{os.path.basename(path)}"
        shutil.copyfile(path, os.path.join(self.place, name))
        os.chmod(os.path.join(self.place, name), 0o600)
        write_whole(os.path.join(self.place, name + AFTER), after, 0o600)
        return name

    def save(self, record: Record) -> None:
        """Write the record; an empty one is removed, with the directory."""
        if record == Record():
            shutil.rmtree(self.place, ignore_errors=True)
            return
        own(self.place)
        write_whole(os.path.join(self.place, "record.json"), encoded(record).encode(), 0o600)


def own(place: str) -> None:
    """Make the directory. Raises: ConfigError, it is there and others can write in it."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(place, 0o700)
    found = os.lstat(place)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
        raise ConfigError(f"{place!r} is not a directory that only root can write: move it away")


def load(place: str = PLACE) -> Record:
    """The record of what was done and not undone; an empty one where nothing was.

    Raises:
        ConfigError: it cannot be trusted, or read.
    """
    if not os.path.lexists(place):
        return Record()
    own(place)
    path = os.path.join(place, "record.json")
    text = read(path)
    return Record() if text is None else decoded(text, path)


def write_whole(path: str, data: bytes, mode: int, uid: int = 0, gid: int = 0) -> None:
    """Put a whole file in the place of whatever is there."""
    descriptor, fresh = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".pbs-filter-")
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            os.fchown(descriptor, uid, gid)
            os.fchmod(descriptor, mode)
            file.flush()
            os.fsync(descriptor)
        os.rename(fresh, path)
    except BaseException:
        os.unlink(fresh)
        raise


def sum_of_data(data: bytes) -> str:
    """The SHA-256, as the record has it."""
    return hashlib.sha256(data).hexdigest()


def sum_of(path: str) -> str | None:
    """The SHA-256 of a file; None where there is none. Raises: OSError."""
    try:
        with open(path, "rb") as file:
            return sum_of_data(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return None
