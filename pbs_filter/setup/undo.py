"""The changes that --apply made are taken back here (edge)."""

from __future__ import annotations

import contextlib
import grp
import os
import shutil
import stat
from collections.abc import Callable

from ..errors import ConfigError
from ..held_files import change_mode, change_owner, hold
from . import backup
from .backup import PLACE, load, sum_of
from .discover import read, run_command
from .record import Owned, Record, backwards, changed_since, lines_left

SOCKET_DIRECTORY = "/run/pbs-lookup"
"""pbs-lookup.socket makes it."""

Say = Callable[[str], object]


def undo(say: Say, *, place: str = PLACE) -> tuple[str, ...]:
    """Put back what all --apply did; the commands that let the daemons read it.

    Raises:
        ConfigError: there is nothing to undo, or somebody changed what --apply wrote.
    """
    record = load(place)
    if record == Record():
        raise ConfigError(f"nothing to undo: no record of --setup --apply in {place!r}")
    now = {item.path: sum_of(item.path) for item in record.written}
    changed = changed_since(record, now)
    mended = [path for path in changed if _mended(record, path)]
    by_hand = [path for path in changed if path not in mended]
    if by_hand:
        raise ConfigError(_to_mend(record, by_hand, place))
    for line in taken_back(record, place, "", mended):
        say(line)
    for item in backwards(record.written):
        if item.path in mended:
            say(f"left, since you took our lines out of it: {item.path}")
        else:
            say(f"{'put back' if item.before is not None else 'removed'}: {item.path}")
    shutil.rmtree(place)
    return record.then_without_units


def _mended(record: Record, path: str) -> bool:
    """Return whether a person has taken our lines out of a file that was there before."""
    ours = [item for item in record.written if item.path == path]
    if ours[0].before is None or not any(item.lines for item in ours):
        return False
    return not any(lines_left(record, path, read(path) or ""))


def _to_mend(record: Record, paths: list[str], place: str) -> str:
    """Return the message that names the files a person changed, and what of ours is in them."""
    parts = []
    for path in paths:
        lines = list(lines_left(record, path, read(path) or ""))
        if lines:
            parts.append(f"{path}: take out " + ", ".join(map(repr, lines)))
        else:
            parts.append(f"{path}: put back by hand what you want, or remove it")
    return (
        "nothing was undone, because files that --apply wrote were changed since:\n  "
        + "\n  ".join(parts)
        + f"\nThen run this again. The files as they were before are in {place}"
    )


def taken_back(record: Record, place: str, why: str, leave: list[str] | None = None) -> list[str]:
    """`_take_back`. Raises: ConfigError, `why` before it, where that is not possible now."""
    try:
        return _take_back(record, place, leave or [])
    except OSError as error:
        raise ConfigError(
            f"{why}cannot put everything back: {error.filename or place!r}: {error.strerror}; what "
            f"was there is in {place}; mend that, then: pbs-filter --setup --undo"
        ) from None


def _take_back(record: Record, place: str, leave: list[str]) -> list[str]:
    """Put back what `record` tells of, but for the files `leave`; what a person has to do."""
    left = []
    for unit in record.units:
        # While its file is there: else its links stay, and a socket goes on listening.
        command = ["systemctl", "disable", "--now", unit]
        status, text = run_command(command)
        if status != 0 and "does not exist" not in text:
            left.append(f"left: {text.strip()}; to switch it off: {' '.join(command)}")
    for item in backwards(record.written):
        if item.path in leave or sum_of(item.path) == item.before:
            continue
        if item.before is None:
            os.unlink(item.path)
            continue
        with open(os.path.join(place, item.backup), "rb") as file:
            data = file.read()
        backup.replace(item.path, data, item.mode, item.uid, item.gid, mtime_ns=item.mtime_ns)
    if record.units:
        run_command(["systemctl", "daemon-reload"])
        with contextlib.suppress(OSError):
            os.rmdir(SOCKET_DIRECTORY)
    for old in reversed(record.owned):
        left += _give_back(old)
    for directory in reversed(record.directories):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            pass
        except OSError:
            left.append(
                f"left: {directory} is not empty; when the daemon has been restarted: "
                f"rm -r {directory}"
            )
    commands = [["userdel", name] for name in reversed(record.accounts)]
    commands += [["groupdel", record.group]] if record.group else []
    for command in commands:
        # userdel takes the group of that name along.
        if command[0] == "groupdel" and not _has_group(record.group):
            continue
        status, text = run_command(command)
        if status != 0:
            left.append(
                f"left: {text.strip()}; when the daemon has been restarted: {' '.join(command)}"
            )
    return left


def _give_back(old: Owned) -> list[str]:
    """Give a file its owner and mode back, if it is still the file that --apply gave away.

    It is in a directory of the account that it was given to, which could have put anything at its
    path since: a link or another name of any file of this machine.
    """
    try:
        held = hold(old.path)
    except FileNotFoundError:
        return []
    try:
        status = os.fstat(held)
        same = (status.st_dev, status.st_ino, status.st_uid)
        if same != (old.device, old.inode, old.account) or stat.S_ISLNK(status.st_mode):
            return [f"left: {old.path} is not the file that was given to uid {old.account}"]
        change_owner(held, old.uid, old.gid)
        bits = 0 if stat.S_ISREG(status.st_mode) else stat.S_ISGID
        change_mode(held, old.mode & (0o1777 | bits))
    finally:
        os.close(held)
    return []


def _has_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True
