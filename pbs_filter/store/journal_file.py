"""A journal's files are opened, made and changed here; `journal` says when.

**Rewriting.** Live state is written to `PATH.new` in slices between other work. What is appended
meanwhile goes durably to the journal and also to the new file, where it stands after every slice
that was older: later wins. The end is sync, rename, sync of the directory: at each instant one
complete journal has the name. The old one stays as `PATH.1`.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock

from .. import files
from ..errors import StoreBusy
from . import journal_lines

LEAVING_SECONDS = 1.0
"""How long a journal is locked at most by a filter that was killed, and has not quite left."""
PAUSE_SECONDS = 0.01
"""Between two attempts at its lock."""


class Part:
    """An open journal file."""

    def __init__(self, fd: int, mark: int, before: int = 0) -> None:
        self.fd = fd
        self.mark = mark
        self.before = before
        """Bytes that journals had before this one."""
        status = os.fstat(fd)
        self.inode = (status.st_dev, status.st_ino)
        self.length = 0
        """Bytes that are known to be good; the next line goes there."""
        self.room = 0
        """Bytes claimed on the disk."""
        self.lines = 0
        self.must_be_cut = False
        """What stands behind `length` must go before the next append."""
        self.suspect = False
        """A sync failed once: parts of the file may not be on the disk."""

    @property
    def position(self) -> str:
        """Names exactly this content: see `Journal.position`."""
        return f"{self.mark:08x}-{self.before + self.length}"

    def add(self, payloads: Iterable[str]) -> None:
        """Write lines, without making them durable. Raises: OSError, ValueError."""
        data, number = journal_lines.encode(payloads, self.mark)
        files.write_all(self.fd, data, self.length)
        self.length += len(data)
        self.lines += number

    def claim(self, room: int) -> None:
        """Claim so many bytes on the disk. Raises: OSError."""
        try:
            os.posix_fallocate(self.fd, self.length, room - self.length)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
        self.room = room

    def sync(self) -> None:
        """Make all lines durable. Raises: OSError."""
        try:
            os.fdatasync(self.fd)
        except OSError:
            self.suspect = True
            raise

    def cut_back(self) -> None:
        """Cut off what stands behind `length`. Raises: OSError."""
        os.ftruncate(self.fd, self.length)
        self.room = self.length
        self.must_be_cut = False

    def go_on_behind_a_hole(self) -> None:
        """Begin a line at `length`, although the file is shorter. Raises: OSError."""
        self.suspect = True
        self.room = 0
        files.write_all(self.fd, journal_lines.header(self.mark), 0)
        files.write_all(self.fd, b"\n", self.length)
        self.length += 1

    def put_back(self, path: str, mode: int, gid: int | None) -> None:
        """Copy the file, which was removed, to `path`, and go on in the copy. Raises: OSError."""
        copy = Part(files.create(path + ".new", mode, gid), self.mark)
        try:
            be_alone(copy.fd, path + ".new")
            while copy.length < self.length:
                left = self.length - copy.length
                sent = os.sendfile(copy.fd, self.fd, copy.length, left)
                if not sent:  # cut short as well, before it was removed
                    os.ftruncate(copy.fd, 0)
                    files.write_all(copy.fd, journal_lines.header(self.mark), 0)
                    copy.length = len(journal_lines.header(self.mark))
                    self.suspect = True
                    break
                copy.length += sent
            os.fsync(copy.fd)
            os.rename(path + ".new", path)
        except BaseException:
            os.close(copy.fd)
            raise
        self.length = self.room = copy.length
        # This part becomes the copy; its own file goes when the descriptor is replaced.
        os.dup2(copy.fd, self.fd, inheritable=False)
        os.close(copy.fd)
        self.inode = copy.inode
        self.must_be_cut = False


def new_part(path: str, mode: int, gid: int | None, before: int = 0) -> Part:
    """Make an empty journal at `path`, with so many bytes `before` it. Raises: OSError."""
    mark = int.from_bytes(os.urandom(4), "big")
    new = Part(files.create(path, mode, gid), mark, before)
    try:
        be_alone(new.fd, path)
        header = journal_lines.header(mark)
        files.write_all(new.fd, header, 0)
        new.length = len(header)
        if before:
            new.add([f"{journal_lines.BEFORE}\t{before}"])
            new.lines = 0
    except BaseException:
        os.close(new.fd)
        raise
    return new


def open_present(path: str, mode: int, say: Callable[[str], None]) -> int | None:
    """Open the journal at `path`; None: there is none with anything in it. Raises: OSError."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        try:
            fd = os.open(path, flags)
        except PermissionError:
            os.chmod(path, mode)  # it is ours, `check_file` looked
            fd = os.open(path, flags)
        if os.fstat(fd).st_size:
            return fd
        os.close(fd)
        say(f"the journal {path!r} is empty; starting a new one")
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        put_aside(path, "a directory", say)
    return None


def be_alone(fd: int, path: str) -> bool:
    """Lock the open journal, too: somebody may have removed the lock file of a running filter, and
    two that write one journal write over each other's lines.

    Returns:
        Whether nobody else has a lock of it; one that is shared is a reader's, whom nobody can
        keep from it: no filter takes such a one of a journal that it has made.

    Raises: OSError, StoreBusy (another filter writes it).
    """
    end = time.monotonic() + LEAVING_SECONDS
    while True:
        for kind in (LOCK_EX, LOCK_SH):
            try:
                flock(fd, kind | LOCK_NB)
            except BlockingIOError:
                continue
            if not os.path.samestat(os.fstat(fd), os.stat(path)):
                raise StoreBusy(f"another pbs-filter has just written the journal {path!r} anew")
            return kind == LOCK_EX
        if time.monotonic() >= end:
            raise StoreBusy(
                f"another pbs-filter writes the journal {path!r}, and somebody removed its lock "
                "file; one map takes one filter: end that one, or give this one another map"
            )
        time.sleep(PAUSE_SECONDS)


def put_aside(path: str, why: str, say: Callable[[str], None]) -> None:
    """Keep what is no journal under a dated name. Raises: OSError."""
    name = files.set_aside(path)
    say(f"the journal {path!r}: {why}; kept as {name!r}, starting a new one")


def keep_old(path: str, say: Callable[[str], None], *, keep: bool = True) -> None:
    """Give the old journal its second name, for --history. Not worth failing for."""
    older = path + ".1"
    try:
        files.remove_big(older)
        if keep:
            os.link(path, older)
    except OSError as error:
        say(f"{files.busy('keep the old journal as', older, error)}")
