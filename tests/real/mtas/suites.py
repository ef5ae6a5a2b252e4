"""Packages of a newer Debian than this machine's, unpacked into a root of their own."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .. import packages

SOURCES = Path("/etc/apt/sources.list.d/debian.sources")


def provide(suite: str, *names: str) -> None:
    """Unpack `names` of `suite`, and all they depend on, where `packages.unpack` looks for a root
    called `suite` and `names`.

    Only the suite differs from the machine's own sources. Raises `PackageError`.
    """
    root = packages.WORK / ("root-" + "+".join((suite, *names)))
    with packages.exclusive("apt"):
        stamp = root / ".complete"
        if stamp.exists():
            return
        shutil.rmtree(root, ignore_errors=True)
        archives = _download(suite, names)
        root.mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (root / "usr" / name).mkdir(parents=True)
            (root / name).symlink_to(f"usr/{name}")
        for archive in archives:
            with subprocess.Popen(
                ["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE
            ) as unpacking:
                subprocess.run(
                    ["tar", "-x", "--keep-directory-symlink", "-C", root],
                    stdin=unpacking.stdout,
                    check=True,
                )
        stamp.touch()


def _download(suite: str, names: Sequence[str]) -> list[Path]:
    here = packages.WORK / f"apt-{suite}"
    for directory in ("lists/partial", "cache/partial", "empty/partial"):
        (here / directory).mkdir(parents=True, exist_ok=True)
    (here / "status").touch()
    if not SOURCES.exists():
        raise packages.PackageError(f"{SOURCES} is not there: no address to get {suite} from")
    first = SOURCES.read_text().split("\n\n")[0]
    (here / "this.sources").write_text(
        re.sub("^Suites:.*$", f"Suites: {suite}", first, flags=re.MULTILINE)
    )

    def apt(*words: str, cache: str = "cache") -> str:
        options = (
            f"Dir::Etc::sourcelist={here}/this.sources",
            f"Dir::Etc::sourceparts={here}/empty",
            f"Dir::State::lists={here}/lists",
            f"Dir::State::status={here}/status",
            f"Dir::Cache::archives={here}/{cache}/",
            "Dir::Cache::pkgcache=",
            "Dir::Cache::srcpkgcache=",
            "APT::Sandbox::User=root",
            "APT::Keep-Downloaded-Packages=true",
            "APT::Install-Recommends=false",
            "Debug::NoLocking=1",
        )
        done = subprocess.run(
            ["apt-get", "-q", "-y", *(w for o in options for w in ("-o", o)), *words],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise packages.PackageError(f"apt-get {words[0]} of {suite}: {done.stderr[-1000:]}")
        return done.stdout

    apt("update")
    plan = apt("--print-uris", "install", *names, cache="empty")
    apt("--download-only", "install", *names)
    return [here / "cache" / line.split()[1] for line in plan.splitlines() if line[:1] == "'"]
