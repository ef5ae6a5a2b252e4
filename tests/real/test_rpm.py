"""The RPM is built by rpmbuild, has every module, and its scriptlets are right for a shell."""

from __future__ import annotations

import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from pbs_filter import __version__

from .packages import CHECKOUT, install

SCRIPTLETS = ("PREIN", "POSTIN", "PREUN", "POSTUN")


def run(*argv: str | Path) -> str:
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert 0 == done.returncode, done.stdout[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    install("rpm")
    top = tmp_path_factory.mktemp("rpm")
    (top / "SOURCES").mkdir()
    name = f"pbs_filter-{__version__}"
    files = run("git", "-c", "safe.directory=*", "-C", CHECKOUT, "ls-files").splitlines()
    with tarfile.open(top / f"SOURCES/{name}.tar.gz", "w:gz") as archive:
        for path in files:
            if (CHECKOUT / path).is_file():
                archive.add(CHECKOUT / path, f"{name}/{path}")
    spec = CHECKOUT / "examples/rpm/pbs-filter.spec"
    run("rpmbuild", "--define", f"_topdir {top}", "-bb", spec)
    return sorted(top.glob("RPMS/noarch/*.rpm"))


def test_it_has_the_version_and_every_module(packages: list[Path]) -> None:
    names = [f"pbs-filter{part}-{__version__}-1.noarch.rpm" for part in ("", "-selinux")]
    assert names == [path.name for path in packages]
    paths = run("rpm", "-qpl", packages[0])
    for path in (CHECKOUT / "pbs_filter").rglob("*.py"):
        assert f"/site-packages/{path.relative_to(CHECKOUT)}\n" in paths
    assert "dist-packages" not in paths
    assert "/usr/libexec/rsyslog/pbs-filter\n" in paths


def test_a_shell_accepts_its_scriptlets(packages: list[Path], tmp_path: Path) -> None:
    for package in packages:
        for name in SCRIPTLETS:
            script = tmp_path / name
            script.write_text(run("rpm", "-qp", "--qf", f"%{{{name}}}\n", package))
            run("sh", "-n", script)
    assert "--setup --undo" in run("rpm", "-qp", "--qf", "%{PREUN}", packages[0])


def test_the_policy_is_balanced_and_names_the_maps_directory() -> None:
    policy = re.sub(r"(?m);.*$", "", (CHECKOUT / "examples/rpm/pbs-filter.cil").read_text())
    assert policy.count("(") == policy.count(")")
    assert '(filecon "/var/lib/pbs-filter(/.*)?"' in policy.replace("\n", " ")
