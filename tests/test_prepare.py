"""tests/prepare.sh: what tests/run and examples/quickstart do before anything can run."""

from __future__ import annotations

import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


def prepare(directory: Path, command: str, **programs: str) -> subprocess.CompletedProcess[str]:
    """Run `command` with prepare.sh's functions, and with `programs` in place of the real ones."""
    for name, body in programs.items():
        program = directory / name.replace("_", "-")
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    return subprocess.run(
        ["sh", "-c", f"set -eu; . tests/prepare.sh; {command}"],
        cwd=CHECKOUT,
        env={"PATH": f"{directory}:/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_another_user_is_told_the_one_line_to_run(tmp_path):
    done = prepare(
        tmp_path,
        "need_packages here missing lost; echo went on",
        dpkg_query='[ "$4" = here ] && printf installed',
        id="echo 1000",
        apt_get="echo apt-get was run",
    )
    assert (1, "") == (done.returncode, done.stdout)
    assert "    apt-get install --no-install-recommends missing lost\n" in done.stderr


def test_nothing_missing_means_nothing_said(tmp_path):
    done = prepare(
        tmp_path,
        "need_packages here",
        dpkg_query="printf installed",
        id="echo 1000",
        apt_get="echo apt-get was run",
    )
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


def test_a_package_that_cannot_be_installed_stops_everything_with_what_apt_said(tmp_path):
    done = prepare(
        tmp_path,
        "need_packages missing; echo went on",
        dpkg_query="exit 1",
        id="echo 0",
        apt_get='[ "$#" -lt 5 ] || { echo "E: no such thing"; exit 100; }',
    )
    assert 1 == done.returncode
    assert "installing missing\n" == done.stdout
    assert "E: no such thing\ncould not be installed: missing\n" == done.stderr


def test_a_venv_is_worked_on_once_for_the_same_requirements(tmp_path):
    made = tmp_path / "made"
    calls = tmp_path / "calls"
    pip = f'echo "$@" >>{calls}'
    python = tmp_path / "python"
    (made / "bin").mkdir(parents=True)
    (made / "bin" / "python").symlink_to(python)

    def installs() -> list[str]:
        return [call for call in calls.read_text().splitlines() if " install " in call]

    for requirements in ("one two", "one two", "one three"):
        done = prepare(tmp_path, f"PYTHON={python}; make_venv {made} {requirements}", python=pip)
        assert (0, "") == (done.returncode, done.stderr)
    assert ["one two", "one three"] == [call.partition("-check ")[2] for call in installs()]
