"""The figures of the faults are printed at the end."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import FIGURES


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory as a filter wants it."""
    tmp_path.chmod(0o750)
    return tmp_path


@pytest.fixture
def quick_place() -> Iterator[Path]:
    """The same where a sync costs nothing: for thousands of lives of a filter."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if FIGURES:
        terminalreporter.section("figures")
    for name, value in sorted(FIGURES.items()):
        terminalreporter.line(f"{name}: {value}")
