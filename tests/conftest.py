"""Settings for every test."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, settings

# A busy machine must not fail a property: tests of speed measure for themselves.
settings.register_profile(
    "pbs-filter", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("pbs-filter")

# As root has it: with the 0002 that users have, what a test makes could be written by others, and
# pbs-filter trusts no such file.
os.umask(0o022)


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Refuse names that hold the time: processes side by side would each have other tests."""
    now = time.time()
    for item in items:
        for number in re.findall(r"\d{10}", item.nodeid):
            if abs(now - int(number)) < 2 * 3600:
                raise pytest.UsageError(f"give ids to the parameters of {item.nodeid}")
