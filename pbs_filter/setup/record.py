"""The record of what --apply did, for --undo. Pure: a table to JSON and back, and what it means."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import ConfigError

VERSION = 3
ENABLE = "systemctl enable --now "
"""How a command for the person begins whose opposite is a part of --undo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One run of lines that was written into a file that was there."""

    old: tuple[str, ...]
    """The lines that it took the place of; none where it only added some."""
    new: tuple[str, ...]


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
    pieces: tuple[Piece, ...] = ()
    """The same with what they took the place of; none in a record of version 1 or 2."""


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
        if table.pop("version") not in (1, 2, VERSION):
            raise ValueError("another version's")
        return Record(
            written=tuple(_written(**item) for item in table.pop("written")),
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


def _written(
    *, lines: Sequence[str] = (), pieces: Sequence[Mapping[str, Sequence[str]]] = (), **item: Any
) -> Written:
    """Return the item of a table: JSON has lists for tuples."""
    return Written(
        lines=tuple(lines),
        pieces=tuple(Piece(old=tuple(each["old"]), new=tuple(each["new"])) for each in pieces),
        **item,
    )


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
    return tuple(filter(_is_setting, lines))


def _is_setting(line: str) -> bool:
    """Return whether a line is neither empty nor a comment."""
    return bool(line.strip()) and not line.lstrip().startswith("#")


def lines_left(record: Record, path: str, text: str, before: str) -> Iterator[str]:
    """Yield the lines of `text`, the file `path` as it is now, that --apply wrote, or that have a
    word of it which names us. `before` is the file as it was at first."""
    ours = {line for item in record.written if item.path == path for line in item.lines}
    names = {word for line in ours for word in _words(line) if "pbs" in word} - _words(before)
    for line in text.splitlines():
        if line in ours or (_is_setting(line) and not names.isdisjoint(_words(line))):
            yield line


def _words(text: str) -> set[str]:
    return set(re.split(r"[\s,=]+", text))


def pieces_of(before: str, after: str) -> tuple[Piece, ...]:
    """Return the runs of lines in which `after` differs from `before`, in its order."""
    old, new = _rows(before), _rows(after)
    # Without autojunk, which would make long pieces of a file that repeats its lines.
    operations = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return tuple(
        Piece(old=tuple(old[i:j]), new=tuple(new[k:m]))
        for tag, i, j, k, m in operations
        if tag != "equal"
    )


def _rows(text: str) -> list[str]:
    """Return the lines, without that of nothing behind the last newline."""
    return text.removesuffix("\n").split("\n")


def taken_out(record: Record, path: str, text: str, before: str) -> str | None:
    """Return `text`, which somebody made of the file `path` since, without what --apply wrote.
    `before` is the file as it was at first.

    A piece is taken out, and what it took the place of is put back, where it stands once and as it
    was written. None: something of ours is there, but was changed or doubled, or nobody knows what
    was ours.
    """
    ours = [item for item in record.written if item.path == path]
    if not any(item.lines for item in ours):
        return None
    rows = _rows(text)
    for item in reversed(ours):
        for piece in reversed(item.pieces):
            rows = _without(rows, piece)
    left = "\n".join(rows) + "\n" if text else text
    return None if any(lines_left(record, path, left, before)) else left


def _without(rows: list[str], piece: Piece) -> list[str]:
    """Return `rows` without the piece, if it stands there once, at least but for the empty lines
    and comments around it."""
    for new in (piece.new, _core(piece.new)):
        places = [at for at in range(len(rows)) if tuple(rows[at : at + len(new)]) == new]
        if new and len(places) == 1:
            at = places[0]
            return [*rows[:at], *piece.old, *rows[at + len(new) :]]
    return rows


def _core(lines: tuple[str, ...]) -> tuple[str, ...]:
    """Return `lines` from the first to the last that is not empty and no comment."""
    settings = [at for at, line in enumerate(lines) if _is_setting(line)]
    return lines[settings[0] : settings[-1] + 1] if settings else ()
