"""What README.md and the other documents for administrators name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pbs_filter import cli
from pbs_filter.config.load import build
from pbs_filter.config.options import OPTIONS
from pbs_filter.grammar import Server, contract
from pbs_filter.servers import SERVERS

from .reading import read

CHECKOUT = Path(__file__).resolve().parents[1]
DOCUMENTS = (
    "README.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "examples/MOVING.md",
    "examples/QUESTIONS.md",
    "examples/RETIRING.md",
    *sorted(str(path.relative_to(CHECKOUT)) for path in CHECKOUT.glob("examples/*/*.md")),
)
PAGES = sorted(CHECKOUT.glob("examples/servers/*.md"))


def text(name: str) -> str:
    return (CHECKOUT / name).read_text(encoding="utf-8")


def anchors(name: str) -> set[str]:
    """The anchors of a document's headings, as the repository's host makes them."""
    headings = re.findall(r"(?m)^#+ (.*)$", re.sub(r"(?s)```.*?```", "", text(name)))
    kept = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in kept}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_link_leads_somewhere(name: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", text(name)):
        if ":" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (CHECKOUT / name).parent / path if path else CHECKOUT / name
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(str(target.resolve().relative_to(CHECKOUT))), link


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_settings_of_a_servers_page_are_taken(path: Path) -> None:
    keys = rf"(?m)^    ((?:{'|'.join(OPTIONS)}) = .*)$"
    settings = "\n".join(re.findall(keys, path.read_text()))
    config = build({path.name: settings})
    names = {server.name for server in SERVERS}
    assert {*config.servers, *config.trusted_accounts, *config.programs} <= names
    assert settings or path.stem in ("README", "popa3d", "stalwart")


@pytest.mark.parametrize("name", ["README.md", "examples/debian/README.Debian"])
def test_each_option_exists(name: str) -> None:
    known = cli.parser().format_help()
    named = set(re.findall(r"pbs-filter (--[a-z-]+)", text(name)))
    assert len(named) > 2
    assert [] == [option for option in named if option not in known]


def test_moving_over_names_only_options_and_keys_that_exist() -> None:
    known = cli.parser().format_help()
    keys = set(OPTIONS)
    here = [
        row.split(" | ")[1] for row in re.findall(r"(?m)^\| .* \|$", text("examples/MOVING.md"))
    ]
    options = set(re.findall(r"(--[a-z-]+)", " ".join(here)))
    assert {"--reprocess", "--list", "--plain"} <= options
    assert [] == [option for option in options if option not in known]
    named = set(re.findall(r"`\[?\[?([a-z]+(?:_[a-z]+)+)", " ".join(here)))
    assert {"grace_seconds", "max_session_seconds", "local_networks"} <= named
    others = {"out_pat", "smtpd_relay_restrictions", "check_client_access"}
    assert set() == named - keys - others


def test_moving_over_has_every_option_of_pop_before_smtp() -> None:
    there = {
        word
        for row in re.findall(r"(?m)^\| .* \|$", text("examples/MOVING.md"))
        for word in re.findall(r"--(?:\[no\])?([a-z]+)", row.split(" | ")[0])
    }
    assert there == {
        "config", "write", "debug", "flock", "reprocess", "watchlog", "logfile", "dbfile", "logto",
        "grace", "daemon", "version", "dumpconfig", "list",
    }  # fmt: skip


def test_readme_is_read_in_five_minutes() -> None:
    words = re.sub(
        r"(?s)<!-- servers:begin -->.*<!-- servers:end -->|```.*?```", "", text("README.md")
    )
    words = re.sub(r"\]\([^)]*\)", "]", words)
    assert len(re.findall(r"[\w-]+", words)) / 280 < 5


def test_the_server_in_contributing_keeps_the_contract() -> None:
    (code,) = re.findall(r"(?s)```python\n(.*?)```", text("CONTRIBUTING.md"))
    names: dict[str, object] = {"__package__": "pbs_filter.servers"}
    exec(compile(code, "CONTRIBUTING.md", "exec"), names)
    server = names["SERVER"]
    assert isinstance(server, Server)
    others = [each for each in SERVERS if each.name != server.name]  # somebody may try it
    assert [] == contract.check(server, (*others, server), read)
