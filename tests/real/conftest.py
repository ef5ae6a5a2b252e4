"""The real daemons need root (chroot, users, ports); in CI that is no reason to skip a test."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True, scope="session")
def _root() -> None:
    if os.geteuid() != 0:
        reason = "needs root: the daemons run in private root directories, as several users"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
