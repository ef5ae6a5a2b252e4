"""The real daemons need root (chroot, users, ports); in CI that is no reason to skip a test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..store.store_tools import memory_directory
from .shipped import Installed


@pytest.fixture(autouse=True, scope="session")
def _root() -> None:
    if os.geteuid() != 0:
        reason = "needs root: the daemons run in private root directories, as several users"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture
def place() -> Iterator[Path]:
    """In memory, because each login waits for the disk."""
    with memory_directory() as directory:
        yield directory


@pytest.fixture
def installed(place: Path) -> Installed:
    """The program and its configuration, for a feed that vouches for its senders."""
    return Installed(place / "installed", "require_vouched = true\n")
