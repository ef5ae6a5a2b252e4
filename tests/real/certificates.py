"""The certificates of central logging, made with the commands that examples/central prints."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from .packages import CHECKOUT, install

TLS = "/etc/pbs-filter-tls"
"""Where the shipped files have a host's certificate."""


def commands(readme: str, heading: str) -> str:
    """The commands (indented lines) below `heading` of a README."""
    text = (CHECKOUT / readme).read_text(encoding="utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(r"(?m)^    .*\n", section)
    assert found, f"{readme} has no commands below {heading!r}"
    return "".join(line[4:] for line in found)


def make(directory: Path) -> Path:
    """Make the CA and a directory for each of the hosts of examples/central; `directory`.

    Beside them `pop3`, which the CA knows and the central host does not, and in `other` the same
    names in certificates of another CA.
    """
    install("openssl")
    directory.mkdir()
    printed = commands("examples/central/README.md", "1. Certificates")
    _run(
        printed.partition("scp ")[0].replace("loghost pop1 pop2", "loghost pop1 pop2 pop3"),
        directory,
    )
    other = directory / "other"
    other.mkdir()
    _run(printed.partition("scp ")[0], other)
    for host in other.glob("pop*/"):
        # It trusts the central host; whether that one trusts it is the question.
        shutil.copy(directory / "ca.pem", host)
    return directory


def _run(script: str, directory: Path) -> None:
    done = subprocess.run(
        ["sh", "-e"],
        input=script,
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout
