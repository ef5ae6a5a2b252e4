"""No version of redis-py that is supported brings a password into what pbs-filter prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..lookup.redis_answers import closed_port
from ..real.packages import WORK, exclusive

SECRET = "TOPSECRETPASSWORD"
VERSIONS = ("4.3.4", "5.2.1", "6.4.0", "7.0.1", "8.1.0")
LOCATIONS = (
    "redis://{user}127.0.0.1:{port}?password_file={file}",
    "redis+sentinel://{user}127.0.0.1:{port},127.0.0.1:{port}/pbs?password_file={file}"
    "&sentinel_user=pbs-filter&sentinel_password_file={file}",
)


@pytest.fixture(scope="module", params=VERSIONS)
def library(request: pytest.FixtureRequest) -> Path:
    """A directory with this redis-py and nothing else."""
    place = WORK / f"redis-py-{request.param}"
    with exclusive(place.name):
        if not (place / "redis").is_dir():
            pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            subprocess.run(
                [*pip, f"--target={place}", f"redis=={request.param}"],
                check=True,
                stdin=subprocess.DEVNULL,
            )
    return place


@pytest.mark.parametrize("location", LOCATIONS)
def test_no_password_is_printed(library: Path, location: str, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(SECRET)
    file.chmod(0o600)
    url = location.format(user="pbs-filter@", port=closed_port(), file=file)
    common = [sys.executable, "-m", "pbs_filter", "--config=/dev/null", f"--map={url}"]
    for mode in (["--list"], ["--confirm=no", f"--local-state={tmp_path}/state"]):
        done = subprocess.run(
            [*common, *mode],
            input="\n",
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{library}:{Path(__file__).parents[2]}"},
            check=False,
            timeout=300,
        )
        assert "Traceback" not in done.stderr
        assert "cannot be" in done.stderr
        assert SECRET not in done.stdout + done.stderr
        assert max(map(len, done.stderr.splitlines())) < 700
