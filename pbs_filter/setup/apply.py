"""Doing a plan, and undoing it (edge).

What was there is kept, with a record of it, in a directory that only root can write: --undo does as
root what the record says, so nobody else may say it.
"""

from __future__ import annotations

import contextlib
import grp
import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from ..errors import ConfigError
from .look import read, said
from .machine import Machine
from .plan import ACCOUNT, Change, Directory, Plan
from .record import (
    Owned,
    Record,
    Written,
    added,
    backwards,
    changed_since,
    decoded,
    encoded,
    taken_out,
)
from .text import account_commands, quoted

PLACE = "/var/lib/pbs-filter-setup"
AFTER = ".after"
"""How the name of the copy of what was written ends."""
Say = Callable[[str], object]


class Keeper:
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
        _own(self.place)
        name = f"{len(self.earlier.written) + len(self.record.written)}-{os.path.basename(path)}"
        shutil.copyfile(path, os.path.join(self.place, name))
        os.chmod(os.path.join(self.place, name), 0o600)
        _write(os.path.join(self.place, name + AFTER), after, 0o600)
        return name

    def save(self, record: Record) -> None:
        """Write the record; an empty one is removed, with the directory."""
        if record == Record():
            shutil.rmtree(self.place, ignore_errors=True)
            return
        _own(self.place)
        _write(os.path.join(self.place, "record.json"), encoded(record).encode(), 0o600)


def _own(place: str) -> None:
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
    _own(place)
    path = os.path.join(place, "record.json")
    text = read(path)
    return Record() if text is None else decoded(text, path)


def apply(machine: Machine, plan: Plan, say: Say, *, place: str = PLACE) -> None:
    """Do `plan`: accounts, directory, files; check it, and take it back if the check fails.

    Raises:
        ConfigError: something could not be done, or was not right; everything is as it was.
    """
    keeper = Keeper(place)
    try:
        for command in account_commands(machine, plan):
            _must(command)
            name = command[-1]
            keeper.note(**({"group": name} if command[0] == "groupadd" else {"accounts": (name,)}))
            say(f"made: {' '.join(command)}")
        for directory in plan.directories:
            _directory(directory, keeper, say)
        for change in plan.changes:
            _change(change, keeper)
            say(f"wrote: {change.path}")
        keeper.note(then=plan.then)
        for check in plan.checks:
            _must(list(check.argv), check.contains)
            say(f"checked: {quoted(check.argv)}")
    except (OSError, ConfigError) as error:
        left = _taken_back(keeper.record, place, f"{error}\n")
        keeper.save(keeper.earlier)
        ending = "; ".join(left) or "everything is as it was before"
        raise ConfigError(f"{error}\n--apply has taken back what it did: {ending}") from None


def undo(say: Say, *, place: str = PLACE) -> tuple[str, ...]:
    """Put back what all --apply did; the commands that let the daemons read it.

    Of a file that was changed since only what --apply did to it is taken out.

    Raises:
        ConfigError: there is nothing to undo, or somebody changed what --apply wrote.
    """
    record = load(place)
    if record == Record():
        raise ConfigError(f"nothing to undo: no record of --setup --apply in {place!r}")
    now = {item.path: _sum_of(item.path) for item in record.written}
    merged = {path: _merged(record, path, place) for path in changed_since(record, now)}
    changed = [path for path, text in merged.items() if text is None]
    if changed:
        raise ConfigError(
            f"nothing was undone, because what --apply wrote was changed since in: "
            f"{', '.join(changed)}. What was there before is in {place}; take your changes out, or "
            "put back by hand what you want"
        )
    for line in _taken_back(record, place, "", merged):
        say(line)
    for item in backwards(record.written):
        if item.path in merged:
            say(f"taken out, what else was changed since stays: {item.path}")
        else:
            say(f"{'put back' if item.before is not None else 'removed'}: {item.path}")
    shutil.rmtree(place)
    return record.then


def _merged(record: Record, path: str, place: str) -> str | None:
    """What is at `path` without what --apply did to it; None: that is not clear."""
    text = read(path)
    for item in reversed([each for each in record.written if each.path == path]):
        before, after = (
            read(os.path.join(place, item.backup + end)) if item.backup else None
            for end in ("", AFTER)
        )
        if text is None or before is None or after is None:
            return None
        text = taken_out(before, after, text)
    return text


def _must(command: list[str], contains: str = "") -> None:
    status, text = said(command)
    if status != 0 or contains not in text:
        wanted = f"; it should say {contains!r}" if contains else ""
        raise ConfigError(f"`{quoted(command)}` ended with {status}{wanted}:\n{text.strip()}")


def _directory(wanted: Directory, keeper: Keeper, say: Say) -> None:
    """Make it, or give it and the files in it to the account that will write them."""
    uid, gid = pwd.getpwnam(wanted.owner).pw_uid, grp.getgrnam(wanted.group).gr_gid
    if not os.path.isdir(wanted.path):
        missing = _missing(wanted.path)
        keeper.note(directories=tuple(missing))
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
            keeper.note(owned=(old,))
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


def _change(change: Change, keeper: Keeper) -> None:
    path = os.path.realpath(change.path)
    if read(path) != change.before:
        raise ConfigError(f"{path!r} was changed just now; run this again")
    data = change.after.encode("utf-8", "surrogateescape")
    item = Written(path=path, after=_sum(data), before=None, backup="")
    mode, uid, gid = change.mode, 0, 0
    if change.before is None:
        missing = _missing(os.path.dirname(path))
        keeper.note(written=(item,), directories=tuple(missing))
        for directory in missing:
            os.mkdir(directory, 0o755)
    else:
        found = os.stat(path)
        mode, uid, gid = stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid
        item = replace(
            item,
            before=_sum_of(path),
            backup=keeper.backup(path, data),
            mode=mode,
            uid=uid,
            gid=gid,
            mtime_ns=found.st_mtime_ns,
        )
        keeper.note(written=(item,))
    _write(path, data, mode, uid, gid)


def _write(path: str, data: bytes, mode: int, uid: int = 0, gid: int = 0) -> None:
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


def _taken_back(
    record: Record, place: str, why: str, merged: Mapping[str, str | None] = MappingProxyType({})
) -> list[str]:
    """`_take_back`. Raises: ConfigError, `why` before it, where that is not possible now."""
    try:
        return _take_back(record, place, merged)
    except OSError as error:
        raise ConfigError(
            f"{why}cannot put everything back: {error.filename or place!r}: {error.strerror}; what "
            f"was there is in {place}; mend that, then: pbs-filter --setup --undo"
        ) from None


def _take_back(record: Record, place: str, merged: Mapping[str, str | None]) -> list[str]:
    """Put back what `record` tells of; what is left for a person."""
    left = []
    for item in backwards(record.written):
        text = merged.get(item.path)
        if text is not None:
            found = os.stat(item.path)
            data = text.encode("utf-8", "surrogateescape")
            _write(item.path, data, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)
            continue
        if _sum_of(item.path) == item.before:
            continue
        if item.before is None:
            os.unlink(item.path)
            continue
        with open(os.path.join(place, item.backup), "rb") as file:
            data = file.read()
        _write(item.path, data, item.mode, item.uid, item.gid)
        os.utime(item.path, ns=(item.mtime_ns, item.mtime_ns))
    for old in reversed(record.owned):
        with contextlib.suppress(FileNotFoundError):
            os.chown(old.path, old.uid, old.gid, follow_symlinks=False)
            os.chmod(old.path, old.mode)
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
        if command[0] == "groupdel" and not _has_group(ACCOUNT):
            continue
        status, text = said(command)
        if status != 0:
            left.append(
                f"left: {text.strip()}; when the daemon has been restarted: {' '.join(command)}"
            )
    return left


def _has_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sum_of(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return _sum(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return None
