"""The record of what --apply did, for --undo. Pure: a table to JSON and back, and what it means."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from ..errors import ConfigError

VERSION = 1

CONTEXT_LINES = 3
"""As many equal lines, above and below, tell the places of equal edits apart."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A file or directory that got another owner or mode."""

    path: str
    mode: int
    uid: int
    gid: int
    """What they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Everything that was done, in its order."""

    written: tuple[Written, ...] = ()
    directories: tuple[str, ...] = ()
    """Those that were made."""
    owned: tuple[Owned, ...] = ()
    accounts: tuple[str, ...] = ()
    group: str = ""
    """The group that was made."""
    then: tuple[str, ...] = ()
    """What lets the daemons read it."""


def encoded(record: Record) -> str:
    """The record as JSON."""
    return json.dumps({"version": VERSION, **asdict(record)}, indent=1) + "\n"


def decoded(text: str, name: str) -> Record:
    """The record of a text of `encoded`.

    Raises:
        ConfigError: it is not one of this version; `name` is the file's.
    """
    try:
        table = json.loads(text)
        if table.pop("version") != VERSION:
            raise ValueError("another version's")
        return Record(
            written=tuple(Written(**item) for item in table.pop("written")),
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
    """The files that somebody has changed since: what is there is not what was written.

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


def taken_out(before: str, after: str, now: str) -> str | None:
    """`now` without the edit that made `after` of `before`; None: that is not clear.

    For files that somebody else changed since, as `postconf -e` does: each run of changed lines
    must stand there once, as it was written, if need be told by up to three lines around it.
    """
    old, new, text = (each.splitlines(keepends=True) for each in (before, after, now))
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    steps = matcher.get_opcodes()
    for number, (kind, i1, i2, j1, j2) in enumerate(steps):
        if kind == "equal":
            continue
        # What is equal before and behind it: the context that both sides have.
        room = [0, 0]
        if number > 0:
            room[0] = steps[number - 1][2] - steps[number - 1][1]
        if number + 1 < len(steps):
            room[1] = steps[number + 1][2] - steps[number + 1][1]
        for context in range(CONTEXT_LINES + 1):
            above, below = (min(context, lines) for lines in room)
            found = _places(text, new[j1 - above : j2 + below])
            if len(found) == 1:
                text[found[0] : found[0] + above + j2 - j1 + below] = old[i1 - above : i2 + below]
                break
        else:
            return None
    return "".join(text)


def _places(text: Sequence[str], lines: Sequence[str]) -> list[int]:
    """Where `lines` stand in `text`; nowhere if there are none."""
    if not lines:
        return []
    return [at for at in range(len(text) - len(lines) + 1) if text[at : at + len(lines)] == lines]
