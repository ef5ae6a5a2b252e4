"""The record of what --apply did, for --undo. Pure: a table to JSON and back, and what it means."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from ..errors import ConfigError

VERSION = 2
ENABLE = "systemctl enable --now "
"""How a command for the person begins whose opposite is a part of --undo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One file that was written."""

    path: str
    after: str
    """The SHA-256 of what was written."""
    before: str | None
    """The SHA-256 of what was there; None: nothing."""
    backup: str
    """The name of its copy in the record's directory; "" where nothing was there."""
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    lines: tuple[str, ...] = ()
    """The lines that were added to a file that was there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A file or directory that got another owner or mode."""

    path: str
    mode: int
    uid: int
    gid: int
    """The mode, owner and group that it had before."""
    device: int = 0
    inode: int = 0
    """Which file it is, whatever stands at `path` now; 0 in a record of version 1."""
    account: int = -1
    """The uid that it was given to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The record has all that was done, in its order."""

    written: tuple[Written, ...] = ()
    directories: tuple[str, ...] = ()
    """The directories that were made."""
    owned: tuple[Owned, ...] = ()
    accounts: tuple[str, ...] = ()
    group: str = ""
    """The group that was made."""
    then: tuple[str, ...] = ()
    """The commands that let the daemons read it."""

    @property
    def units(self) -> tuple[str, ...]:
        """The units of systemd that the person was told to enable."""
        return tuple(c.removeprefix(ENABLE) for c in self.then if c.startswith(ENABLE))

    @property
    def then_without_units(self) -> tuple[str, ...]:
        """The commands but for those of the units, which --undo stops and disables itself."""
        names = {name for unit in self.units for name in (unit, unit.removesuffix(".service"))}
        return tuple(command for command in self.then if not names.intersection(command.split()))


def encoded(record: Record) -> str:
    """Return the record as JSON."""
    return json.dumps({"version": VERSION, **asdict(record)}, indent=1) + "\n"


def decoded(text: str, name: str) -> Record:
    """Return the record of a text of `encoded`, also that of an older version.

    Raises:
        ConfigError: it is none; `name` is the file's.
    """
    try:
        table = json.loads(text)
        if table.pop("version") not in (1, VERSION):
            raise ValueError("another version's")
        written = [{**item, "lines": tuple(item.get("lines", ()))} for item in table.pop("written")]
        return Record(
            written=tuple(Written(**item) for item in written),
            owned=tuple(Owned(**item) for item in table.pop("owned")),
            directories=tuple(table.pop("directories")),
            accounts=tuple(table.pop("accounts")),
            then=tuple(table.pop("then")),
            **table,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"{name!r} is not a record of --setup --apply ({error}); the copies of what it "
            "changed are beside it"
        ) from None


def added(first: Record, second: Record) -> Record:
    """Both, one after the other."""
    return Record(
        written=first.written + second.written,
        directories=first.directories + second.directories,
        owned=first.owned + second.owned,
        accounts=first.accounts + second.accounts,
        group=first.group or second.group,
        then=tuple(dict.fromkeys(first.then + second.then)),
    )


def changed_since(record: Record, now: Mapping[str, str | None]) -> list[str]:
    """Return the files that somebody has changed since: what is there is not what was written.

    `now` is the SHA-256 of each path, None where there is no file. What is as it was before needs
    no undoing: --apply was stopped before it came to that file.
    """
    expected = dict(now)
    changed = []
    for item in reversed(record.written):
        if expected[item.path] not in (item.after, item.before) and item.path not in changed:
            changed.append(item.path)
        expected[item.path] = item.before
    return changed


def backwards(items: Sequence[Written]) -> list[Written]:
    """For each path the state before the first change, in the order of undoing."""
    first: dict[str, Written] = {}
    for item in items:
        first.setdefault(item.path, item)
    return list(reversed(first.values()))


def new_lines(before: str, after: str) -> tuple[str, ...]:
    """Return the lines of `after`, in its order, that `before` does not have; comments do no
    harm."""
    old = set(before.splitlines())
    lines = (line for line in after.splitlines() if line not in old)
    return tuple(line for line in lines if line.strip() and not line.lstrip().startswith("#"))


def lines_left(record: Record, path: str, text: str) -> Iterator[str]:
    """Yield the lines that --apply added to the file `path` and that are still in its `text`."""
    there = set(text.splitlines())
    for item in record.written:
        if item.path == path:
            yield from (line for line in item.lines if line in there)
