"""The journeys that fit into each run of the tests; all of them: `python -m tests.journey`."""

from __future__ import annotations

from pathlib import Path

import pytest

from .journey import Kind, build, travel, why_not

pytestmark = pytest.mark.skipif(
    bool(why_not()), reason=f"NO MACHINE CAN BE BOOTED HERE, no journey was made: {why_not()}"
)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("package") / "built")


def test_from_the_installation_to_the_purge_on_debian_13(package: Path, tmp_path: Path) -> None:
    travel(Kind("trixie", "rsyslog", "postfix"), package, tmp_path, print)
