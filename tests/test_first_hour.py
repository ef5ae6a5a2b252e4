"""What somebody meets in a first hour: units that never give up, words that can be understood, and
documents that answer what is asked."""

from __future__ import annotations

import configparser
import subprocess
from pathlib import Path

import pytest

from pbs_filter import cli
from pbs_filter.doctor import run
from pbs_filter.integrations import feeds
from pbs_filter.integrations.machine import Machine

from .real import certificates
from .real.packages import CHECKOUT

UNITS = CHECKOUT / "examples/systemd"
ODD = (
    "was told is taken is on disk",
    "end is tied by",
    "each line answered for",
    "whoever is alive",
    "Neither has changed anything yet",
    "who logs waits: never",
    "mail for you comes in",
    "may not speak for this server",
    "known, and means nothing",
    "nothing came of",
    "give this account back its rights",
)
"""Sentences that readers stumbled over."""


def text(name: str) -> str:
    return (CHECKOUT / name).read_text(encoding="utf-8")


def shipped() -> list[Path]:
    """Every file with words for people."""
    found = [*CHECKOUT.glob("*.md")]
    for folder in ("pbs_filter", "examples", "rsyslog", "syslog-ng"):
        found += [path for path in (CHECKOUT / folder).rglob("*") if path.is_file()]
    return [path for path in found if path.suffix != ".pyc"]


@pytest.mark.parametrize("name", ["pbs-filter-journal", "pbs-filter-tail"])
def test_a_feed_that_failed_is_started_again_for_ever(name: str) -> None:
    unit = configparser.RawConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(text(f"examples/systemd/{name}.service").replace("\\\n", ""))
    assert "0" == unit["Unit"]["StartLimitIntervalSec"]
    assert "--retry-start" in unit["Service"]["ExecStart"]
    assert "--since" not in unit["Service"]["ExecStart"]


def test_help_and_manual_say_when_a_change_counts_and_name_what_switches_off() -> None:
    for words in (cli.parser().format_help(), text("examples/man/pbs-filter.8")):
        said = " ".join(words.replace("\\-", "-").split())
        assert "takes effect when the filter starts again" in said
        assert "SIGHUP" in said
        for option in ("nowrite", "noflock", "retry", "map"):
            assert f"--{option}" in said


def test_another_user_is_told_that_it_cannot_be_seen_what_runs() -> None:
    machine = Machine(
        program="/p", lookup="/l", share="/s", map="/m", state="/", versions={"rsyslog": "8"},
        root=False,
    )  # fmt: skip
    first = next(iter(run._drop_in(machine, feeds()["rsyslog"])))
    assert ("note", "not root: cannot see whether rsyslog runs") == (first.state, first.text)


def test_openssl_takes_the_authority_of_central_logging_by_the_strict_rules(tmp_path: Path) -> None:
    made = certificates.make(tmp_path / "tls")
    for host in ("loghost", "pop1"):
        (certificate,) = (path for path in (made / host).glob("*.pem") if b"PRIVATE" not in
                          path.read_bytes() and path.name != "ca.pem")  # fmt: skip
        done = subprocess.run(
            ["openssl", "verify", "-x509_strict", "-CAfile", made / "ca.pem", certificate],
            capture_output=True,
            text=True,
            check=False,
        )
        assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("README.md", "Who needs this in 2026?"),
        ("README.md", "From a clone of the repository that you read this in"),
        ("README.md", "for 30 minutes by default (`grace_seconds`)"),
        ("README.md", "python3-venv"),
        ("README.md", "PIPX_MAN_DIR="),
        ("README.md", "--no-install-recommends"),
        ("README.md", "The configuration is `/etc/pbs-filter.toml`"),
        ("examples/QUESTIONS.md", "| When does a changed option take effect? |"),
        ("examples/QUESTIONS.md", "kill -HUP"),
        ("examples/QUESTIONS.md", "| There is no rsyslog here. |"),
        ("examples/QUESTIONS.md", "| Where do I clone from? |"),
        ("examples/QUESTIONS.md", "| What does Dovecot need? |"),
        ("examples/QUESTIONS.md", "| How late does a login count? |"),
        ("examples/QUESTIONS.md", "| Who relayed on whose login? |"),
        ("examples/QUESTIONS.md", "| Which other systems? |"),
        ("examples/QUESTIONS.md", "| How do I upgrade? |"),
        ("examples/QUESTIONS.md", "| How do I remove it? |"),
        ("examples/QUESTIONS.md", "bash-completion/completions/pbs-filter"),
    ],
)
def test_the_documents_answer(file: str, words: str) -> None:
    assert words in text(file)


def test_no_sentence_is_one_that_readers_stumbled_over() -> None:
    assert [] == [
        (path.name, odd)
        for path in shipped()
        for odd in ODD
        if odd in " ".join(path.read_text("utf-8", "replace").split())
    ]
