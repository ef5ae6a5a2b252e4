"""The shipped files are found beside the package or below its PREFIX, and none is left out."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from pbs_filter.errors import ConfigError
from pbs_filter.setup import shipped

CHECKOUT = Path(__file__).resolve().parents[2]


def test_a_checkout_has_them_beside_the_package():
    assert str(CHECKOUT) == shipped.directory()
    name = "examples/postfix/main.cf"
    assert {name: (CHECKOUT / name).read_text()} == shipped.texts((name,))


@pytest.mark.parametrize(
    ("package", "prefix"),
    [
        ("/opt/pbs-filter/lib/python3.11/site-packages/pbs_filter", "/opt/pbs-filter"),
        ("/usr/lib/python3/dist-packages/pbs_filter", "/usr"),
        ("/home/x/.local/lib/python3.13/site-packages/pbs_filter", "/home/x/.local"),
    ],
)
def test_an_installation_has_them_below_its_prefix(package: str, prefix: str):
    assert f"{prefix}/share/pbs-filter" in shipped.places(package)


def test_the_first_place_that_has_them_is_taken(tmp_path: Path):
    second = tmp_path / "second" / "rsyslog"
    second.mkdir(parents=True)
    (second / "pbs-filter.conf").touch()
    places = (str(tmp_path / "first"), str(second.parent), str(CHECKOUT))
    assert str(second.parent) == shipped.directory(places)


def test_where_they_are_nowhere_it_says_where_it_looked(tmp_path: Path):
    with pytest.raises(ConfigError, match=f"no rsyslog/pbs-filter.conf in {tmp_path}; install"):
        shipped.directory((str(tmp_path),))


def test_a_missing_file_is_named():
    with pytest.raises(ConfigError, match=r"examples/none.*No such file"):
        shipped.texts(("examples/none",))


def test_a_wheel_has_every_file_of_the_three_directories():
    settings = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    installed = {
        path.relative_to(CHECKOUT)
        for target, patterns in settings["tool"]["setuptools"]["data-files"].items()
        for pattern in patterns
        for path in CHECKOUT.glob(pattern)
        if f"share/pbs-filter/{path.parent.relative_to(CHECKOUT)}" == target
    }
    wanted = {
        path.relative_to(CHECKOUT)
        for top in ("rsyslog", "syslog-ng", "examples")
        for path in (CHECKOUT / top).rglob("*")
        # These are for a checkout, or for other directories.
        if path.is_file()
        and path.name != "quickstart"
        and not {"ci", "completion", "container", "debian", "man", "rpm"}
        & set(path.relative_to(CHECKOUT).parts)
    }
    assert wanted == installed
