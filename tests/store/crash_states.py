"""The contents that a disk may have after a power cut, by the guarantees of file systems.

`Recorder` stands in for `os` in the modules under test: the calls are made, and written down.
`after_a_cut` then gives, for a cut behind any of them, directories that a machine may find when it
starts again:

* what was synced is there;
* of what was written to a file since its last sync: nothing, all, a beginning, a beginning torn at
  a byte, the end without the beginning, or the length without the data (zeros);
* of names made, moved and removed since the directory's last sync: any of them, without the others.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Names = dict[str, int]
Change = Callable[[bytes], bytes]


@dataclass
class File:
    """One file as the disk may have it."""

    durable: bytes = b""
    since: list[tuple[str, int, bytes]] = field(default_factory=list)
    """(write | cut | room, offset or length, data), not synced yet."""

    def copy(self) -> File:
        return File(self.durable, list(self.since))

    @staticmethod
    def apply(content: bytes, change: tuple[str, int, bytes]) -> bytes:
        kind, at, data = change
        if kind == "cut":
            return content[:at].ljust(at, b"\0")
        if kind == "room":
            return content.ljust(at, b"\0")
        return content[:at].ljust(at, b"\0") + data + content[at + len(data) :]

    def sync(self) -> None:
        for change in self.since:
            self.durable = self.apply(self.durable, change)
        self.since.clear()

    def contents(self, tears: Callable[[int], Iterator[int]]) -> Iterator[bytes]:
        """Each different content this file may have."""
        seen = set()
        for content in self._contents(tears):
            if content not in seen:
                seen.add(content)
                yield content

    def _contents(self, tears: Callable[[int], Iterator[int]]) -> Iterator[bytes]:
        content = self.durable
        yield content
        for change in self.since:
            kind, at, data = change
            if kind == "write":
                for tear in tears(len(data)):
                    yield self.apply(content, ("write", at, data[:tear]))
                    lost = bytes(tear) + data[tear:]
                    yield self.apply(content, ("write", at, lost))
                yield self.apply(content, ("write", at, bytes(len(data))))
            content = self.apply(content, change)
            yield content
        for left_out in range(len(self.since)):
            content = self.durable
            for change in self.since[:left_out] + self.since[left_out + 1 :]:
                content = self.apply(content, change)
            yield content


@dataclass
class Disk:
    """Files and names, durable and not."""

    files: dict[int, File] = field(default_factory=dict)
    names: Names = field(default_factory=dict)
    since: list[tuple[str, str, str, int]] = field(default_factory=list)
    """(name | move | gone, name, new name, file), not synced yet."""

    def copy(self) -> Disk:
        return Disk(
            {number: file.copy() for number, file in self.files.items()},
            dict(self.names),
            list(self.since),
        )

    @staticmethod
    def _rename(names: Names, change: tuple[str, str, str, int]) -> None:
        kind, name, new, number = change
        if kind == "name":
            names[name] = number
        elif names.get(name) == number:
            del names[name]
        if kind == "move":
            names[new] = number

    def sync_names(self) -> None:
        for change in self.since:
            self._rename(self.names, change)
        self.since.clear()

    def states(self, tears: Callable[[int], Iterator[int]]) -> Iterator[dict[str, bytes]]:
        """Each directory that may be found: names and contents."""
        for kept in itertools.product((True, False), repeat=len(self.since)):
            names = dict(self.names)
            for change in itertools.compress(self.since, kept):
                self._rename(names, change)
            numbers = sorted(set(names.values()))
            every = [list(self.files[number].contents(tears)) for number in numbers]
            for contents in itertools.product(*every):
                by_number = dict(zip(numbers, contents, strict=True))
                yield {name: by_number[number] for name, number in names.items()}


class Recorder:
    """`os` for the module under test. `say` adds a note of the test's own between the calls."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._disk = Disk()
        self._files: dict[int, int] = {}
        """Descriptor to file number."""
        self._numbers = itertools.count(1)
        self._now: Names = {}
        self.fail: str | None = None
        """The next call of this name fails, after it was made."""
        self.history: list[tuple[Disk, Any]] = []
        """The disk after each call, and the last note before it."""
        self._note: Any = None
        for name, content in found_in(directory).items():
            number = next(self._numbers)
            self._disk.files[number] = File(content)
            self._disk.names[name] = self._now[name] = number

    def say(self, note: Any) -> None:
        """From here on `note` is true."""
        self._note = note
        self.history.append((self._disk.copy(), note))

    def _done(self, call: str) -> None:
        self.history.append((self._disk.copy(), self._note))
        if self.fail == call:
            self.fail = None
            raise OSError(5, "the test says so")

    def _name(self, path: str) -> str:
        assert os.path.dirname(path) == str(self._directory), path
        return os.path.basename(path)

    def _change(self, fd: int, *change: Any) -> None:
        self._disk.files[self._files[fd]].since.append(change)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        fd = os.open(path, flags, mode)
        if os.path.isdir(path):
            self._files[fd] = 0
            return fd
        name = self._name(path)
        if name not in self._now:
            number = next(self._numbers)
            self._now[name] = number
            self._disk.files[number] = File()
            self._disk.since.append(("name", name, "", number))
        self._files[fd] = self._now[name]
        self._done("open")
        return fd

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        written = os.pwrite(fd, data, offset)
        self._change(fd, "write", offset, bytes(data[:written]))
        self._done("pwrite")
        return written

    def sendfile(self, out: int, source: int, offset: int, count: int) -> int:
        data = os.pread(source, count, offset)
        return self.pwrite(out, data, os.fstat(out).st_size)

    def ftruncate(self, fd: int, length: int) -> None:
        os.ftruncate(fd, length)
        self._change(fd, "cut", length, b"")
        self._done("ftruncate")

    def posix_fallocate(self, fd: int, offset: int, length: int) -> None:
        os.posix_fallocate(fd, offset, length)
        self._change(fd, "room", offset + length, b"")
        self._done("posix_fallocate")

    def fsync(self, fd: int) -> None:
        os.fsync(fd)
        number = self._files[fd]
        if self.fail != "fsync":
            if number:
                self._disk.files[number].sync()
            else:
                self._disk.sync_names()
        self._done("fsync")

    def fdatasync(self, fd: int) -> None:
        os.fdatasync(fd)
        if self.fail != "fdatasync":
            self._disk.files[self._files[fd]].sync()
        self._done("fdatasync")

    def dup2(self, fd: int, other: int, inheritable: bool = True) -> int:
        self._files[other] = self._files[fd]
        return os.dup2(fd, other, inheritable)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new)
        name, target = self._name(old), self._name(new)
        number = self._now.pop(name)
        self._now[target] = number
        self._disk.since.append(("move", name, target, number))
        self._done("rename")

    def link(self, old: str, new: str) -> None:
        os.link(old, new)
        number = self._now[self._name(old)]
        self._now[self._name(new)] = number
        self._disk.since.append(("name", self._name(new), "", number))
        self._done("link")

    def unlink(self, path: str) -> None:
        os.unlink(path)
        name = self._name(path)
        self._disk.since.append(("gone", name, "", self._now.pop(name)))
        self._done("unlink")


def found_in(directory: Path) -> dict[str, bytes]:
    """Names and contents."""
    return {entry.name: entry.read_bytes() for entry in directory.iterdir() if entry.is_file()}


def make(directory: Path, content: Mapping[str, bytes]) -> None:
    """Let `directory` hold exactly `content`."""
    for entry in directory.iterdir():
        entry.unlink()
    for name, data in content.items():
        (directory / name).write_bytes(data)


def every_byte(length: int) -> Iterator[int]:
    """Tear a write at each byte."""
    return iter(range(1, length))


def some_bytes(length: int) -> Iterator[int]:
    """Tear a write near both ends and in the middle."""
    return iter(sorted({1, 8, 9, length // 2, length - 1} & set(range(1, length))))


def after_a_cut(
    recorder: Recorder, tears: Callable[[int], Iterator[int]]
) -> Iterator[tuple[dict[str, bytes], Any]]:
    """Directories that may be found after a cut behind any recorded call, each with the note that
    was true then; the same pair comes once."""
    seen = set()
    for disk, note in recorder.history:
        for state in disk.states(tears):
            key = (tuple(sorted(state.items())), repr(note))
            if key not in seen:
                seen.add(key)
                yield state, note
