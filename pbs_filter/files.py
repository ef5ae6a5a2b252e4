"""Journal, map and lock ask this of the file system: places we may trust, sentences for its errors.

Edge code. Nothing here knows what the files hold.
"""

from __future__ import annotations

import errno
import grp
import os
import stat
import threading
import time
from collections.abc import Callable, Collection

from .errors import ConfigError, StoreBusy

_GDBM = b"\x13\x57\x9a"
"""How each kind of GDBM file begins, or (little-endian) ends its first four bytes."""

MEMORY_BYTES = 16 << 20
"""A bigger copy of a file is not kept in memory."""

KEPT_ASIDE = 3
"""Damaged files kept for people to look at, per file; the oldest goes."""

_WHAT_TO_DO = {
    errno.ENOSPC: "make room on that file system",
    errno.EDQUOT: "raise the quota of this account there, or make room",
    errno.EROFS: "mount that file system read-write again",
    errno.EIO: "look at the disk: the kernel's log says more",
    errno.ENOENT: "create the directory again, with the owner and mode it had",
    errno.EACCES: "let this account write there (chown, chmod)",
    errno.EPERM: "let this account write there (chown, chmod)",
    errno.EMFILE: "raise the limit of open files",
    errno.ENFILE: "raise the system's limit of open files",
}


def busy(doing: str, path: str, error: OSError) -> StoreBusy:
    """Return the `StoreBusy` for `error`: what was being done, where, why, and what to do."""
    why = os.strerror(error.errno) if error.errno else str(error)
    todo = _WHAT_TO_DO.get(error.errno or 0, "mend that")
    return StoreBusy(f"cannot {doing} {path!r}: {why}; {todo}, it is tried again")


def read_beginning(path: str, number: int) -> bytes:
    """Return the first `number` bytes of a file which others might have put there: no link is
    followed, and no pipe waited for. Raises: OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(fd, number)
    finally:
        os.close(fd)


def check_directory(path: str, uids: Collection[int] = ()) -> None:
    """Refuse a directory in which somebody else could swap our files, or we could not make them.

    Its owner may be root, the account we run as, and `uids`: the account of the configuration,
    which we cannot always become. Call it once at start, before anything is opened there.

    Raises: ConfigError.
    """
    try:
        link, found = os.lstat(path), os.stat(path)
    except OSError as error:
        raise ConfigError(
            f"the directory {path!r} cannot be used: {os.strerror(error.errno or 0)}; create it, "
            f"mode 0750, owned by the account pbs-filter runs as"
        ) from error
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigError(f"{path!r} is not a directory; move it away and create one, mode 0750")
    for status in (link, found):
        if status.st_uid not in (0, os.geteuid(), *uids):
            raise ConfigError(
                f"the directory {path!r} belongs to uid {status.st_uid}, who could swap the files "
                f"in it; give it to uid {os.geteuid()} or to root"
            )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        # A sticky directory is everybody's, as /tmp is: its mode must stay.
        sticky = found.st_mode & stat.S_ISVTX
        raise ConfigError(
            f"the directory {path!r} has mode {stat.S_IMODE(found.st_mode):04o}, so that others "
            f"could swap the files in it; "
            + ("use a directory of its own, mode 0750" if sticky else f"chmod 0750 {path}")
        )
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigError(
            f"uid {os.geteuid()} may not write in the directory {path!r}; give it to that account, "
            f"or mount its file system read-write"
        )


def check_file(path: str) -> None:
    """Refuse a file that is a link, a device or a pipe, or that others own or may write.

    A missing file is right, and so is a directory: that is damage, see `set_aside`. The owner of
    the directory is trusted as far as `check_directory` trusts him.

    Raises: ConfigError.
    """
    try:
        found = os.lstat(path)
    except OSError:
        return
    if stat.S_ISDIR(found.st_mode):
        return
    if stat.S_ISLNK(found.st_mode):
        raise ConfigError(
            f"{path!r} is a symbolic link; name the file it points to in the configuration instead"
        )
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{path!r} is not a regular file; move it away")
    if found.st_uid not in (os.geteuid(), os.stat(os.path.dirname(path) or ".").st_uid):
        raise ConfigError(
            f"{path!r} belongs to uid {found.st_uid}; give it to uid {os.geteuid()}, or move it "
            f"away"
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            f"{path!r} has mode {stat.S_IMODE(found.st_mode):04o}, so that others could write it; "
            f"if you trust what is in it, chmod 0640 {path}, else move it away"
        )


def check_not_anothers(path: str, beside: Collection[str]) -> None:
    """Refuse a directory, or a file that never was a GDBM map, without our files `beside` it.

    With them it is a damaged map, which is made again. Raises: ConfigError.
    """
    if any(map(os.path.lexists, beside)):
        return
    try:
        head = read_beginning(path, 4)  # if it is a pipe, `check_file` says so
    except IsADirectoryError:
        raise ConfigError(
            f"{path!r} is a directory, and none of our files is beside it: write the path of a "
            "file in it"
        ) from None
    except OSError:
        return
    if head and _GDBM not in (head[:0:-1], head[:3]):
        raise ConfigError(
            f"{path!r} is no map, and none of our files is beside it: is that path what you mean? "
            "If so, move that file away first"
        )


def gid_of(group: str) -> int | None:
    """Return the number of a group, None for "" (as the system gives it). Raises: ConfigError."""
    if not group:
        return None
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigError(
            f"there is no group {group!r} on this machine; make it, or mend the name"
        ) from None


def create(path: str, mode: int, gid: int | None) -> int:
    """Return a new, empty file at `path`, readable and writable by us: its descriptor.

    A left-over of an earlier run is replaced.

    Raises: OSError, ConfigError (see `give`).
    """
    remove(path)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        give(fd, path, mode, gid)
    except BaseException:
        os.close(fd)
        remove(path)
        raise
    return fd


def give(fd: int, path: str, mode: int, gid: int | None) -> None:
    """Mode and group of an open file, whatever the umask.

    Raises:
        OSError: the file system does not let us.
        ConfigError: we are not in that group.
    """
    if gid is not None and os.fstat(fd).st_gid != gid:
        try:
            os.fchown(fd, -1, gid)
        except PermissionError:
            raise ConfigError(
                f"cannot give {path!r} to group {gid}: uid {os.geteuid()} is not in it; add that "
                f"account to the group, or name another group"
            ) from None
    status = os.fstat(fd)
    if stat.S_IMODE(status.st_mode) == mode:
        return
    try:
        os.fchmod(fd, mode)
    except PermissionError:
        # Root in a sandbox without CAP_FOWNER: only the owner may do this, so be it for a moment.
        os.fchown(fd, os.geteuid(), -1)
        os.fchmod(fd, mode)
        os.fchown(fd, status.st_uid, -1)


def remove(path: str) -> None:
    """Remove a file, or nothing. Raises: OSError."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def sync_directory(path: str) -> None:
    """Make names in the directory of the file `path` durable. Raises: OSError."""
    fd = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def aside_name(path: str) -> str:
    """Return a free name for a damaged file: `PATH.damaged-20260131T235959Z`."""
    name = time.strftime(f"{path}.damaged-%Y%m%dT%H%M%SZ", time.gmtime())
    number, free = 1, name
    while os.path.lexists(free):
        number += 1
        free = f"{name}-{number}"
    return free


def set_aside_of(path: str) -> list[str]:
    """Return what was set aside for `path`, in no order. Raises: OSError."""
    directory, name = os.path.split(path)
    names = os.listdir(directory or ".")
    return [os.path.join(directory, n) for n in names if n.startswith(f"{name}.damaged-")]


def forget_old(path: str) -> None:
    """Of the files set aside for `path` keep the newest `KEPT_ASIDE`. Raises: OSError."""
    aside = set_aside_of(path)
    aside.sort(key=lambda each: os.lstat(each).st_mtime_ns, reverse=True)
    for old in aside[KEPT_ASIDE:]:
        if not os.path.isdir(old):
            remove(old)


def set_aside(path: str) -> str:
    """Rename a damaged file, or a directory in its place; the new name. Raises: OSError."""
    name = aside_name(path)
    os.rename(path, name)
    forget_old(path)
    return name


class Apart(threading.Thread):
    """`work(fd)` in another thread: syncing a big file, or letting go of the last name or
    descriptor of one, takes up to a second, and the lines do not wait."""

    def __init__(self, work: Callable[[int], None], fd: int) -> None:
        super().__init__(name="pbs-filter store")
        self._work = work
        self._fd = fd
        self.error: OSError | None = None
        """What went wrong, once the thread has ended."""
        try:
            self.start()
        except RuntimeError:  # no more threads for this account: then they wait
            self.run()

    def run(self) -> None:
        """The work."""
        try:
            self._work(self._fd)
        except OSError as error:
            self.error = error


def remove_big(path: str) -> None:
    """Remove a file, or nothing, without waiting for its blocks to be freed. Raises: OSError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        remove(path)  # a link, or nothing at all
        return
    try:
        remove(path)
    finally:
        Apart(os.close, fd)


def nameless(size: int) -> int:
    """Return a file without a name for `size` bytes: in memory, or on a disk if they are many.

    Raises: OSError.
    """
    if size > MEMORY_BYTES:
        try:
            return os.open("/var/tmp", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError:
            pass  # not there, or its file system has no such files
    return os.memfd_create("pbs-filter", os.MFD_CLOEXEC)


def copy_of(fd: int) -> int:
    """Return a copy of an open file, see `nameless`: its descriptor. Raises: OSError."""
    copy = nameless(os.fstat(fd).st_size)
    try:
        send_all(copy, fd)
    except OSError:
        os.close(copy)
        raise
    return copy


def send_all(to: int, source: int) -> None:
    """Copy the whole of one open file to the position of another. Raises: OSError."""
    size = os.fstat(source).st_size
    done = 0
    while done < size and (sent := os.sendfile(to, source, done, size - done)):
        done += sent


def write_all(fd: int, data: bytes, offset: int) -> None:
    """Write `data` at `offset`, however little the system takes at a time. Raises: OSError."""
    done = os.pwrite(fd, data, offset)
    while done < len(data):
        done += os.pwrite(fd, data[done:], offset + done)


def write_anew(
    path: str,
    content: bytes,
    mode: int,
    gid: int | None,
    draft: str = "",
    *,
    is_synced: bool = False,
) -> None:
    """Put a small file at `path`: whoever reads finds the old one, or all of the new one.

    Where several processes may do so at once each has a `draft` of its own. After a power cut the
    same holds for a file that `is_synced`.

    Raises: OSError, ConfigError (see `give`).
    """
    draft = draft or path + ".new"
    fd = create(draft, mode, gid)
    try:
        write_all(fd, content, 0)
        if is_synced:
            os.fsync(fd)
        os.rename(draft, path)
    except OSError:
        remove(draft)
        raise
    finally:
        os.close(fd)
