"""Doing a plan (edge): `kept` has what --undo needs, `undo` does it."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from dataclasses import replace

from ..errors import ConfigError
from ..integrations.machine import Machine
from ..integrations.plan import Change, Directory, Plan
from .backup import PLACE, UndoRecord, sum_of, sum_of_data, write_whole
from .discover import read, said
from .record import Owned, Written
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
        undo_record.note(then=plan.then)
        for check in plan.checks:
            _must(list(check.argv), check.contains)
            say(f"checked: {quoted(check.argv)}")
    except (OSError, ConfigError) as error:
        left = taken_back(undo_record.record, place, f"{error}\n")
        undo_record.save(undo_record.earlier)
        ending = "; ".join(left) or "everything is as it was before"
        raise ConfigError(f"{error}\n--apply has taken back what it did: {ending}") from None


def _must(command: list[str], contains: str = "") -> None:
    status, text = said(command)
    if status != 0 or contains not in text:
        wanted = f"; it should say {contains!r}" if contains else ""
        raise ConfigError(f"`{quoted(command)}` ended with {status}{wanted}:\n{text.strip()}")


def _directory(wanted: Directory, undo_record: UndoRecord, say: Say) -> None:
    """Make it, or give it and the files in it to the account that will write them."""
    uid, gid = pwd.getpwnam(wanted.owner).pw_uid, grp.getgrnam(wanted.group).gr_gid
    if not os.path.isdir(wanted.path):
        missing = _missing(wanted.path)
        undo_record.note(directories=tuple(missing))
        for path in missing:
            os.mkdir(path, 0o755)
        os.chown(wanted.path, uid, gid)
        os.chmod(wanted.path, wanted.mode)
        say(f"made: {wanted.path}")
        return
    # Files first: once the directory is the account's, it could put links in their place.
    paths = [entry.path for entry in os.scandir(wanted.path) if not entry.is_symlink()]
    for path in (*paths, wanted.path):
        found = os.lstat(path)
        mode = wanted.mode if path == wanted.path else stat.S_IMODE(found.st_mode)
        if (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) != (uid, gid, mode):
            old = Owned(
                path=path, mode=stat.S_IMODE(found.st_mode), uid=found.st_uid, gid=found.st_gid
            )
            undo_record.note(owned=(old,))
            os.chown(path, uid, gid, follow_symlinks=False)
            os.chmod(path, mode)
            say(f"gave to {wanted.owner}:{wanted.group}: {path}")


def _missing(path: str) -> list[str]:
    """The directories of `path` that are not there, the highest first."""
    missing: list[str] = []
    while path and not os.path.lexists(path):
        missing.insert(0, path)
        path = os.path.dirname(path)
    return missing


def _change(change: Change, undo_record: UndoRecord) -> None:
    path = os.path.realpath(change.path)
    if read(path) != change.before:
        raise ConfigError(f"{path!r} was changed just now; run this again")
    data = change.after.encode("utf-8", "surrogateescape")
    item = Written(path=path, after=sum_of_data(data), before=None, backup="")
    mode, uid, gid = change.mode, 0, 0
    if change.before is None:
        missing = _missing(os.path.dirname(path))
        undo_record.note(written=(item,), directories=tuple(missing))
        for directory in missing:
            os.mkdir(directory, 0o755)
    else:
        found = os.stat(path)
        mode, uid, gid = stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid
        item = replace(
            item,
            before=sum_of(path),
            backup=undo_record.backup(path, data),
            mode=mode,
            uid=uid,
            gid=gid,
            mtime_ns=found.st_mtime_ns,
        )
        undo_record.note(written=(item,))
    write_whole(path, data, mode, uid, gid)
