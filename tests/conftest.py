"""Settings for every test."""

from __future__ import annotations

import os
import re
import time

import pytest
from hypothesis import HealthCheck, settings

# A busy machine must not fail a property: tests of speed measure for themselves.
settings.register_profile(
    "pbs-filter", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("pbs-filter")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Each test has root's umask, whatever a filter in the process before it has set: with the
    0002 that users have, what a test makes could be written by others, and pbs-filter trusts no
    such file; with the filter's own, no other account could read the programs that are unpacked."""
    os.umask(0o022)


LONGEST = ("test_debian_package", "test_booted", "test_journeys", "test_pieces", "test_servers")
"""Modules that take minutes. They come first, so that no process is left with one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the modules, and refuse names that hold the time: processes side by side would each
    have other tests."""
    ranks = {f"{name}.py": rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))
    now = time.time()
    for item in items:
        for number in re.findall(r"\d{10}", item.nodeid):
            if abs(now - int(number)) < 2 * 3600:
                raise pytest.UsageError(f"give ids to the parameters of {item.nodeid}")
