"""The shell scripts, wherever they lie: shellcheck finds nothing in them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from .real.packages import checked_in, install, installed

CHECKOUT = Path(__file__).resolve().parents[1]
SOURCED = "tests/prepare.sh"
"""This one is for other scripts, and has no first line that names a shell."""
needs_package = pytest.mark.skipif(
    os.geteuid() != 0 and not installed("shellcheck"), reason="needs shellcheck, or root"
)


def scripts() -> list[str]:
    """Each file of the checkout whose first line names a shell."""
    return [
        name
        for name in checked_in()
        if (CHECKOUT / name).is_file()
        and re.match(rb"#!.*\b(ba|da)?sh\b", (CHECKOUT / name).read_bytes()[:80])
    ]


@needs_package
def test_shellcheck_finds_nothing() -> None:
    install("shellcheck")
    found = scripts()
    assert {"tests/run", "examples/quickstart", "examples/debian/postinst"} <= set(found)
    done = subprocess.run(
        ["shellcheck", *found, SOURCED],
        cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert (0, "") == (done.returncode, done.stdout)


@needs_package
def test_shellcheck_does_look(tmp_path: Path) -> None:
    install("shellcheck")
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nrm $1\n")
    done = subprocess.run(["shellcheck", script], stdout=subprocess.DEVNULL, check=False)
    assert 1 == done.returncode
