"""The changes that --apply made are taken back here (edge)."""

from __future__ import annotations

import contextlib
import difflib
import grp
import itertools
import os
import pwd
import shutil
import stat
from collections.abc import Callable, Mapping
from types import MappingProxyType

from ..errors import ConfigError
from ..held_files import change_mode, change_owner, hold
from . import backup
from .backup import PLACE, load, sum_of
from .discover import read, run_command
from .record import Owned, Record, Written, backwards, changed_since, lines_left, taken_out

SOCKET_DIRECTORY = "/run/pbs-lookup"
"""pbs-lookup.socket makes it."""

ASIDE = ".undone", "~"
"""The ends of the name of a file that --apply made and a person changed, with a number between them
if there is such a file. With the last character neither rsyslog, syslog-ng, systemd, logrotate nor
AppArmor reads it."""

Say = Callable[[str], object]


def undo(say: Say, *, place: str = PLACE) -> tuple[str, ...]:
    """Put back what all --apply did; the commands that let the daemons read it.

    Of a file that somebody has changed since only our lines are taken out. One that --apply made,
    and that somebody has changed since, is kept under another name, which no daemon reads.

    Raises:
        ConfigError: it is not certain what of a file is ours.
    """
    record = load(place)
    if record == Record():
        say(f"Nothing to undo: --setup --apply has changed nothing here (no record in {place}).")
        return ()
    now = {item.path: sum_of(item.path) for item in record.written}
    first = {item.path: item for item in backwards(record.written)}
    changed = {path: read(path) or "" for path in changed_since(record, now)}
    edits = {
        path: taken_out(record, path, text, _before(first[path], place))
        for path, text in changed.items()
        if first[path].before is not None
    }
    unclear = [
        path
        for path, text in edits.items()
        if text is None or (now[path] == "" and text != changed[path])
    ]
    if unclear:
        raise ConfigError(_to_mend(record, {path: first[path] for path in unclear}, place))
    for line in taken_back(record, place, "", {path: edits.get(path) for path in changed}):
        say(line)
    for path, item in first.items():
        if path not in changed:
            say(f"{'put back' if item.before is not None else 'removed'}: {path}")
        elif path not in edits:
            pass  # `_take_back` has told its new name
        elif edits[path] == changed[path]:
            say(f"left, since our lines are not in it any more: {path}")
        else:
            say(f"{path} was changed since: only our lines were taken out:")
            for row in difflib.unified_diff(
                changed[path].splitlines(), (edits[path] or "").splitlines(), n=1, lineterm=""
            ):
                say(f"    {row}")
    for path in record.directories:
        if not os.path.lexists(path):
            say(f"removed: {path}")
    for unit in record.units:
        say(f"stopped and disabled: {unit}")
    for name in record.accounts:
        say(f"account: {name} " + ("is left" if _has_account(name) else "is removed"))
    shutil.rmtree(place)
    return record.then_without_units


def _before(item: Written, place: str) -> str:
    return read(os.path.join(place, item.backup)) or ""


def _to_mend(record: Record, unclear: Mapping[str, Written], place: str) -> str:
    """Return the message that names the files a person changed, and what of ours is in them."""
    parts = []
    for path, first in unclear.items():
        before = _before(first, place)
        lines = list(lines_left(record, path, read(path) or "", before))
        if lines:
            parts.append(f"{path}: take out " + ", ".join(map(repr, lines)))
        else:
            parts.append(f"{path}: put back by hand what you want, or remove it")
        copy = os.path.join(place, first.backup)
        parts.append(f"  (what is different now: diff -u {copy} {path})")
    return (
        "nothing was undone, because lines that --apply wrote were changed since:\n  "
        + "\n  ".join(parts)
        + f"\nThen run this again. The files as they were before are in {place}"
    )


def taken_back(
    record: Record, place: str, why: str, changed: Mapping[str, str | None] = MappingProxyType({})
) -> list[str]:
    """`_take_back`. Raises: ConfigError, `why` before it, where that is not possible now."""
    try:
        return _take_back(record, place, changed)
    except OSError as error:
        raise ConfigError(
            f"{why}cannot put everything back: {error.filename or place!r}: {error.strerror}; what "
            f"was there is in {place}; mend that, then: pbs-filter --setup --undo"
        ) from None


def _take_back(record: Record, place: str, changed: Mapping[str, str | None]) -> list[str]:
    """Put back what `record` tells of; what a person has to do.

    `changed` has the files that somebody changed since, and the text each is to have; None: it is
    to get another name.
    """
    left = []
    for unit in record.units:
        # While its file is there: else its links stay, and a socket goes on listening.
        command = ["systemctl", "disable", "--now", unit]
        status, text = run_command(command)
        if status != 0 and "does not exist" not in text:
            left.append(f"left: {text.strip()}; to switch it off: {' '.join(command)}")
    for item in backwards(record.written):
        if item.path in changed:
            left += _leave(item.path, changed[item.path])
            continue
        if sum_of(item.path) == item.before:
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


def _leave(path: str, text: str | None) -> list[str]:
    """Leave a file that somebody changed: with `text`, or under a free name. What to say of it."""
    if text is None:
        names = (path + str(number or "").join(ASIDE) for number in itertools.count())
        aside = next(name for name in names if not os.path.lexists(name))
        os.rename(path, aside)
        return [f"{path} was changed since: it is now {aside}; to remove it: rm {aside}"]
    if text != (read(path) or ""):
        status = os.stat(path)
        data = text.encode("utf-8", "surrogateescape")
        mode = stat.S_IMODE(status.st_mode)
        backup.replace(path, data, mode, status.st_uid, status.st_gid)
    return []


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


def _has_account(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _has_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True
