"""Helpers for the tests of the store: records, small full file systems, other processes."""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pbs_filter import store
from pbs_filter.store.journal import Journal

ROOT = Path(__file__).resolve().parent.parent.parent


def replayed(path: Path, **options: object) -> tuple[Journal, list[str]]:
    """A journal, opened, and what was in it."""
    journal = Journal(str(path), **options)  # type: ignore[arg-type]
    payloads = list(journal.replay())
    journal.start()
    return journal, payloads


def payloads_of(path: Path, **options: object) -> list[str]:
    """What is in a journal that is opened and closed."""
    journal, payloads = replayed(path, **options)
    journal.close()
    return payloads


def last_states(payloads: Iterable[str]) -> dict[str, str]:
    """Of payloads `key=value` the last of each key: what a journal means."""
    return dict(payload.split("=", 1) for payload in payloads)


def store_modules_with_os() -> list[ModuleType]:
    """The modules of the store that write journal and map by `os`, for tests that stand in for it.

    A module that is added later is among them; the lock and the reader of lines write nothing.
    """
    names = {module.name for module in pkgutil.iter_modules(store.__path__)}
    others = {"lock", "journal_lines", "redis_client"}
    modules = [importlib.import_module(f"{store.__name__}.{name}") for name in names - others]
    return [module for module in modules if hasattr(module, "os")]


@contextlib.contextmanager
def memory_directory() -> Iterator[Path]:
    """A directory where a sync costs nothing, for tests of thousands of states."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


@contextlib.contextmanager
def small_file_system(where: Path, size: str) -> Iterator[Path]:
    """A tmpfs of `size`; skips the test where mounting is not permitted."""
    where.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0750", "tmpfs", str(where)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.decode(errors='replace').strip()}")
    try:
        yield where
    finally:
        # Lazily: a failed test may have left files open there.
        subprocess.run(["umount", "--lazy", str(where)], check=True)


@contextlib.contextmanager
def filled(where: Path, *, leaving: int) -> Iterator[None]:
    """The file system of `where` full, but for `leaving` bytes."""
    ballast = where / "ballast"
    room = os.statvfs(where)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - leaving)
    try:
        yield
    finally:
        ballast.unlink()


def python(script: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Another process that runs `script`; its stdout is a pipe."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
