"""Undoing what --apply did (edge)."""

from __future__ import annotations

import contextlib
import grp
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from types import MappingProxyType

from ..errors import ConfigError
from ..integrations.plan import ACCOUNT
from .backup import AFTER, PLACE, load, sum_of, write_whole
from .discover import read, said
from .record import Record, backwards, changed_since, taken_out

Say = Callable[[str], object]


def undo(say: Say, *, place: str = PLACE) -> tuple[str, ...]:
    """Put back what all --apply did; the commands that let the daemons read it.

    Of a file that was changed since only what --apply did to it is taken out.

    Raises:
        ConfigError: there is nothing to undo, or somebody changed what --apply wrote.
    """
    record = load(place)
    if record == Record():
        raise ConfigError(f"nothing to undo: no record of --setup --apply in {place!r}")
    now = {item.path: sum_of(item.path) for item in record.written}
    merged = {path: _merged(record, path, place) for path in changed_since(record, now)}
    changed = [path for path, text in merged.items() if text is None]
    if changed:
        raise ConfigError(
            f"nothing was undone, because what --apply wrote was changed since in: "
            f"{', '.join(changed)}. What was there before is in {place}; take your changes out, or "
            "put back by hand what you want"
        )
    for line in taken_back(record, place, "", merged):
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


def taken_back(
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
            write_whole(item.path, data, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)
            continue
        if sum_of(item.path) == item.before:
            continue
        if item.before is None:
            os.unlink(item.path)
            continue
        with open(os.path.join(place, item.backup), "rb") as file:
            data = file.read()
        write_whole(item.path, data, item.mode, item.uid, item.gid)
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
