"""The recipes below examples/: their files and options exist, and are accepted."""

from __future__ import annotations

import re
import textwrap
import tomllib
from pathlib import Path

import pytest

from pbs_filter.config.load import build
from pbs_filter.lookup import options
from pbs_filter.map_format import redis_url

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
READMES = sorted(EXAMPLES.glob("*/README.md"))
SENTINELS = "192.0.2.11,192.0.2.12,192.0.2.21"
"""What make-site of examples/redis fills in."""
MTAS = {"courier", "exim", "opensmtpd", "postfix", "qmail", "sendmail"}


def test_every_mta_has_its_recipe() -> None:
    assert MTAS <= {path.parent.name for path in READMES}


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
def test_a_recipe_links_to_files_that_are_there(readme: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", readme.read_text())
    assert links or readme.parent.name not in MTAS
    for link in links:
        assert (readme.parent / link).exists(), link


@pytest.mark.parametrize("name", sorted(MTAS | {"redis"}))
def test_every_file_of_a_recipe_is_mentioned_in_it(name: str) -> None:
    text = (EXAMPLES / name / "README.md").read_text()
    for path in (EXAMPLES / name).iterdir():
        if path.name not in ("README.md", "checkpassword-log"):  # that one is about POP3
            assert path.name in text


@pytest.mark.parametrize("name", sorted(MTAS))
def test_the_exports_of_a_recipe_are_accepted(name: str) -> None:
    text = (EXAMPLES / name / "README.md").read_text()
    blocks = [
        textwrap.dedent(block)
        for block in re.findall(r"(?:^    .*\n)+", text, flags=re.MULTILINE)
        if "[[export]]" in block
    ]
    assert blocks or name == "courier"
    for block in blocks:
        assert build({name: block}).export


def commands() -> list[str]:
    """Every `pbs-lookup MODE ...` that is written below examples/."""
    found = []
    for path in EXAMPLES.rglob("*"):
        if path.is_file():
            text = path.read_text(errors="replace").replace("\\\n", " ")
            found += re.findall(rf"bin/pbs-lookup ((?:{'|'.join(options.MODES)})\b.*)", text)
    return found


def test_the_locations_of_the_redis_recipe_are_some_and_the_same_everywhere() -> None:
    made, read = [], []
    for name in ("master.cf", "pbs-lookup.conf", "README.md"):
        text = (EXAMPLES / "redis" / name).read_text().replace("@sentinels@", SENTINELS)
        maps = re.findall(r"--map='?([^\s'.]\S+[^\s'`.])", text)
        made.append(maps)
        read += [redis_url.parse(location) for location in maps]
    assert made[0] == made[1] == made[2]
    assert ["unix", "sentinel"] == [location.kind for location in read[:2]]
    config = (EXAMPLES / "redis/pbs-filter.toml").read_text().replace("@sentinels@", SENTINELS)
    filter_map = redis_url.parse(tomllib.loads(config)["map"])
    for name in ("kind", "tls", "hosts", "service", "prefix", "database"):
        assert getattr(filter_map, name) == getattr(read[1], name)


def test_every_option_of_pbs_lookup_in_the_examples_is_one() -> None:
    assert len(commands()) > 8
    for command in commands():
        mode, _, rest = command.partition(" ")
        known = options._known(options.MODES[mode])
        for option in re.findall(r"--([a-z0-9-]+)", rest.split("mailfront")[0]):
            assert option in known, command
