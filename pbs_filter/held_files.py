"""Root changes paths that another account may change, too (edge): always to one certain file.

The filter's account owns its directory, and an MTA's account may own another: whoever owns a
directory can put a link, a pipe or another file in the place of any name in it, at any moment.
"""

from __future__ import annotations

import errno
import os
import stat

from .text import counted


def hold(path: str, directory: int | None = None) -> int:
    """Return a descriptor of what is at `path` itself, be it a link, which reads and writes
    nothing.

    What is changed through it (`change_owner`, `change_mode`) is this very file, whatever another
    account puts at `path` meanwhile. `directory` is the descriptor that a name is relative to.

    Raises: OSError.
    """
    return os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)


def hold_directory(path: str) -> int:
    """Return a descriptor, as `hold` does, of a directory; `path` may be a link to it that root
    made, where nobody else can put another.

    Raises: OSError.
    """
    held = hold(path)
    if not stat.S_ISLNK(os.fstat(held).st_mode):
        return held
    os.close(held)
    if not _roots_alone(path):
        raise OSError(
            errno.ELOOP,
            "it is a link that others than root may change; name the directory that it leads to",
            path,
        )
    return hold(os.path.realpath(path))


def change_owner(held: int, uid: int, gid: int) -> None:
    """Give a held file, which is no link, to an account and a group. Raises: OSError."""
    os.chown(f"/proc/self/fd/{held}", uid, gid)


def change_mode(held: int, mode: int) -> None:
    """Change the mode of a held file, which is no link. Raises: OSError."""
    os.chmod(f"/proc/self/fd/{held}", mode)


def read_regular(path: str, *, follow: bool = False) -> bytes:
    """Return the content of a regular file; of a link only with `follow`. A pipe is not waited for.

    Raises: OSError, also where it is no regular file.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    fd = os.open(path, flags if follow else flags | os.O_NOFOLLOW)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", path)
        return file.read()


def make_directory(path: str, mode: int, uid: int, gid: int) -> None:
    """Make a directory of `uid` and `gid` (-1: ours), and its parents. Raises: OSError."""
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    os.mkdir(path, 0o700)
    held = hold(path)
    try:
        # The mode first: in a sandbox without CAP_FOWNER only the owner may change it.
        change_mode(held, mode)
        change_owner(held, uid, gid)
    finally:
        os.close(held)


def open_to_append(path: str) -> int:
    """Return a descriptor that appends to the log file `path`, which is made if it is missing.

    Root opens it before it becomes another account, so neither a link nor a second name may lead
    it to another file: one in a directory that is not root's alone could be that account's.

    Raises: OSError.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW, 0o640)
    except OSError as error:
        # /dev/stderr, or an administrator's own link.
        if error.errno != errno.ELOOP or not _roots_alone(path):
            raise
        return os.open(path, flags & ~os.O_CREAT)
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
        os.close(fd)
        raise OSError(errno.EMLINK, f"it has {counted(status.st_nlink, 'name')}", path)
    return fd


def _roots_alone(path: str) -> bool:
    """Return whether root made the link `path`, and nobody else can put another in its place."""
    directory = os.stat(os.path.dirname(path) or ".")
    writable = directory.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return not (os.lstat(path).st_uid or directory.st_uid or writable)


def lock_holders(path: str) -> list[tuple[int, str]]:
    """Return the processes that hold a flock(2) of the file `path`: pid, and READ or WRITE.

    The kernel shows those of this process' own pid namespace; where it shows none, the list is
    empty.
    """
    try:
        status = os.stat(path)
        with open("/proc/locks", encoding="ascii") as table:
            rows = [line.split() for line in table]
    except (OSError, ValueError):
        return []
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    return [
        (int(row[4]), row[3])
        for row in rows
        if len(row) > 5 and row[1] == "FLOCK" and row[5] == place and int(row[4]) > 0
    ]


def described_holders(path: str) -> str:
    """Return the processes that hold a flock(2) of `path`, as text: `process 4711 (flock)`; ""
    where nobody is seen."""
    parts = []
    for pid, _kind in lock_holders(path):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                name = "".join(c for c in file.read().strip() if c.isprintable())
        except OSError:
            name = "ended"
        parts.append(f"process {pid} ({name})")
    return ", ".join(parts)
