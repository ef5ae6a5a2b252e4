"""The RPM is built by rpmbuild, has every module, and its scriptlets are right for a shell."""

from __future__ import annotations

import contextlib
import subprocess
import tarfile
from pathlib import Path

import pytest

from pbs_filter import __version__
from pbs_filter.service.shipped_servers import KEPT

from .debian import Debian
from .packages import CHECKOUT, checked_in, install
from .roots import PrivateRoot

SCRIPTLETS = ("PREIN", "POSTIN", "PREUN", "POSTUN")
NOT_OURS = (
    *(
        "no-signature",
        "no-packager-tag",
        "no-group-tag",
        "no-changelogname-tag",
    ),  # of who builds it
    "non-standard-dir-perm",  # the map is for its group alone
    "logrotate-log-dir-not-packaged",  # /var/log
    "bad-manual-page-folder",  # takes .toml.5 for a section
)
TYPE = "pbs_filter_var_lib_t"
MODULES = (
    *("base", "unconfined", "staff", "unprivuser", "xserver", "hostname", "xdg", "getty"),
    *("mta", "postfix", "exim", "sendmail"),
)
"""Those that have the mail servers' domains, and what these need."""


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
    with tarfile.open(top / f"SOURCES/{name}.tar.gz", "w:gz") as archive:
        for path in checked_in():
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
    assert f"/site-packages/pbs_filter/{KEPT}\n" in paths
    assert "dist-packages" not in paths
    assert "/usr/libexec/rsyslog/pbs-filter\n" in paths


def test_a_shell_accepts_its_scriptlets(packages: list[Path], tmp_path: Path) -> None:
    for package in packages:
        for name in SCRIPTLETS:
            script = tmp_path / name
            script.write_text(run("rpm", "-qp", "--qf", f"%{{{name}}}\n", package))
            run("sh", "-n", script)
    assert "--setup --undo" in run("rpm", "-qp", "--qf", "%{PREUN}", packages[0])


def test_it_is_installed_upgraded_and_removed_with_its_scriptlets(packages: list[Path]) -> None:
    """By rpm, into a Debian: what the package depends on is not asked."""
    with contextlib.closing(Debian("rsyslog", suite="trixie")) as debian:
        rpm = ("rpm", "--force-debian", "--root", debian.path, "--nodeps")
        for action in ("--install", "--upgrade"):
            again = ("--force",) if action == "--upgrade" else ()
            assert "" == run(*rpm, action, *again, packages[0])
            assert "pbs-filter" == debian.run("id", "-gn", "pbs-filter").strip()
            assert "pbs-filter" == debian.run("id", "-gn", "pbs-lookup").strip()
            stat = ("stat", "-c", "%A %U %G", "/var/lib/pbs-filter")
            assert "drwxr-x--- pbs-filter pbs-filter\n" == debian.run(*stat)
        assert "" == run(*rpm, "--erase", "pbs-filter")
        for place in ("etc", "usr", "var/lib"):
            assert [] == list((debian.path / place).rglob("*pbs[-_]filter*"))


def test_rpmlint_finds_no_error(packages: list[Path], tmp_path: Path) -> None:
    install("rpmlint")
    filters = tmp_path / "rpmlintrc"
    filters.write_text("".join(f'addFilter("{tag}")\n' for tag in NOT_OURS))
    said = run("rpmlint", f"--rpmlintrc={filters}", *packages)
    assert " 0 errors, " in said, said


# ------------------------------------------------------------------ SELinux


def test_the_module_lets_the_mail_servers_read_the_map_and_nothing_more() -> None:
    """Compiled with Debian's reference policy, of which Fedora's is a descendant."""
    modules = [f"-i/usr/share/selinux/default/{name}.pp.bz2" for name in MODULES]
    with contextlib.closing(
        PrivateRoot("selinux-policy-default", "policycoreutils", "semodule-utils", "setools")
    ) as root:
        root.write("/pbs-filter.cil", (CHECKOUT / "examples/rpm/pbs-filter.cil").read_text())
        root.directory("/var/lib/selinux/default")
        install_all = ("-n", "-s", "default", *modules, "-X200", "-i/pbs-filter.cil")
        root.run("/usr/sbin/semodule", *install_all)
        contexts = root.path / "etc/selinux/default/contexts/files/file_contexts"
        assert f"/var/lib/pbs-filter(/.*)?\tsystem_u:object_r:{TYPE}:s0\n" in contexts.read_text()
        (policy,) = (root.path / "etc/selinux/default/policy").iterdir()
        inside = f"/{policy.relative_to(root.path)}"
        for domain in ("postfix_master_t", "postfix_smtpd_t", "exim_t", "sendmail_t"):
            found = root.run("/usr/bin/sesearch", "-A", "-s", domain, "-t", TYPE, "-ds", inside)
            assert [
                f"allow {domain} {TYPE}:dir {{ getattr open read search }};",
                f"allow {domain} {TYPE}:file {{ getattr lock map open read }};",
            ] == [line for line in found.splitlines() if f" {TYPE}:" in line]
