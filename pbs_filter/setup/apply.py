"""A plan is done here (edge): `backup` keeps what --undo needs, and `undo` does that."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from dataclasses import replace

from ..errors import ConfigError
from ..held_files import change_mode, change_owner, hold, make_directory, read_regular
from ..integrations.machine import Machine
from ..integrations.plan import Change, Directory, Plan
from ..text import counted
from . import backup
from .backup import PLACE, UndoRecord, sum_of_data
from .discover import run_command
from .record import Owned, Written, new_lines, pieces_of
from .render import account_commands, quoted
from .undo import Say, taken_back


def apply(machine: Machine, plan: Plan, say: Say, *, place: str = PLACE) -> None:
    """Do `plan`: accounts, directory, files; check it, and take it back if the check fails.

    Raises:
        ConfigError: something could not be done, or was not right; everything is as it was.
    """
    undo_record = UndoRecord(place)
    try:
        for command in account_commands(machine, plan):
            _must(command)
            name = command[-1]
            undo_record.note(
                **({"group": name} if command[0] == "groupadd" else {"accounts": (name,)})
            )
            say(f"made: {' '.join(command)}")
        for directory in plan.directories:
            _directory(directory, undo_record, say)
        for change in plan.changes:
            _change(change, undo_record)
            say(f"wrote: {change.path}")
        undo_record.note(then=plan.restart_commands)
        for check in plan.checks:
            _must(list(check.argv), check.contains, check.hint)
            say(f"checked: {quoted(check.argv)}")
    except (OSError, ConfigError) as error:
        left = taken_back(undo_record.record, place, f"{error}\n")
        undo_record.save(undo_record.earlier)
        ending = "; ".join(left) or "everything is as it was before"
        raise ConfigError(f"{error}\n--apply has taken back what it did: {ending}") from None


def _must(command: list[str], contains: str = "", hint: str = "") -> None:
    status, text = run_command(command)
    if status != 0 or contains not in text:
        wanted = f"; it should say {contains!r}" if contains else ""
        text = "\n".join(line for line in (text.strip(), hint) if line)
        raise ConfigError(f"`{quoted(command)}` ended with {status}{wanted}:\n{text}")


def _directory(wanted: Directory, undo_record: UndoRecord, say: Say) -> None:
    """Make it, or give it and the files in it to the account that will write them."""
    if not os.path.lexists(wanted.path):
        undo_record.note(directories=tuple(_missing(wanted.path)))
        make_directory(wanted.path, wanted.mode, *_ids(wanted))
        say(f"made: {wanted.path}")
        return
    directory = hold(wanted.path)
    try:
        if not stat.S_ISDIR(os.fstat(directory).st_mode):
            raise ConfigError(f"{wanted.path!r} is not a directory: move it away")
        # The names in it first: once it is the account's, they may change at any moment.
        for name in sorted(os.listdir(f"/proc/self/fd/{directory}")):
            held = hold(name, directory)
            try:
                _give(wanted, held, f"{wanted.path}/{name}", undo_record, say)
            finally:
                os.close(held)
        _give(wanted, directory, wanted.path, undo_record, say)
    finally:
        os.close(directory)


def _ids(wanted: Directory) -> tuple[int, int]:
    return pwd.getpwnam(wanted.owner).pw_uid, grp.getgrnam(wanted.group).gr_gid


def _give(wanted: Directory, held: int, path: str, undo_record: UndoRecord, say: Say) -> None:
    """Give the held file to the account; what could be another's file under this name stays."""
    uid, gid = _ids(wanted)
    status = os.fstat(held)
    old_mode = stat.S_IMODE(status.st_mode)
    mode = wanted.mode if path == wanted.path else old_mode
    if stat.S_ISLNK(status.st_mode):
        return
    if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1:
        say(
            f"left: {path} has {counted(status.st_nlink, 'name')}, so that it could be another's "
            "file"
        )
        return
    if (status.st_uid, status.st_gid, old_mode) == (uid, gid, mode):
        return
    old = Owned(
        path=path,
        mode=old_mode,
        uid=status.st_uid,
        gid=status.st_gid,
        device=status.st_dev,
        inode=status.st_ino,
        account=uid,
    )
    undo_record.note(owned=(old,))
    change_owner(held, uid, gid)
    if mode != old_mode:
        change_mode(held, mode)
    say(f"gave to {wanted.owner}:{wanted.group}: {path}")


def _missing(path: str) -> list[str]:
    """Return the directories of `path` that are not there, the highest first."""
    missing: list[str] = []
    while path and not os.path.lexists(path):
        missing.insert(0, path)
        path = os.path.dirname(path)
    return missing


def settled(path: str) -> str:
    """Return the file that `path` leads to. An administrator's links are followed, no other
    account's.

    Raises:
        ConfigError: `path` is a link that somebody else could have made.
    """
    while os.path.islink(path):
        directory = os.path.dirname(path)
        status = os.stat(directory)
        if os.lstat(path).st_uid or status.st_uid or status.st_mode & 0o022:
            raise ConfigError(
                f"{path!r} is a link, and another account than root can change it: put the file "
                "itself there"
            )
        path = os.path.join(directory, os.readlink(path))
    return os.path.realpath(path)


def _change(change: Change, undo_record: UndoRecord) -> None:
    path = settled(change.path)
    data = change.after.encode("utf-8", "surrogateescape")
    item = Written(path=path, after=sum_of_data(data), before=None, backup="")
    mode, uid, gid = change.mode, 0, 0
    if change.before is None:
        if os.path.lexists(path):
            raise ConfigError(f"{path!r} was changed just now; run this again")
        missing = _missing(os.path.dirname(path))
        undo_record.note(written=(item,), directories=tuple(missing))
        for directory in missing:
            os.mkdir(directory, 0o755)
    else:
        held = hold(path)
        try:
            status = os.fstat(held)
        finally:
            os.close(held)
        before = read_regular(path)
        if before != change.before.encode("utf-8", "surrogateescape"):
            raise ConfigError(f"{path!r} was changed just now; run this again")
        mode, uid, gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
        item = replace(
            item,
            before=sum_of_data(before),
            backup=undo_record.backup(path, before),
            mode=mode,
            uid=uid,
            gid=gid,
            mtime_ns=status.st_mtime_ns,
            lines=new_lines(change.before, change.after),
            pieces=pieces_of(change.before, change.after),
        )
        undo_record.note(written=(item,))
    backup.replace(path, data, mode, uid, gid)
