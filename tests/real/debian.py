"""A whole Debian in a directory: dpkg, apt and maintainer scripts work there as on a machine.

It is entered by chroot, in a mount namespace of its own that has a /proc. Nothing is started by a
package: there is no systemd, and policy-rc.d says no.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from . import packages
from .packages import WORK, PackageError, exclusive, install, mirror
from .roots import end_processes

_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND": "noninteractive",
    "LC_ALL": "C.UTF-8",
    "HOME": "/root",
}
_ENTER = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'

CHANGES = re.compile(
    r"/(proc|dev|tmp|run)(/|$)"
    r"|/var/(cache/(apt|debconf|ldconfig|man)|lib/(apt|dpkg|systemd|ucf)|log/(apt|dpkg|alternatives))"
    r"|/etc/(passwd|group|shadow|gshadow|subuid|subgid)-$|/etc/\.pwd\.lock$|/etc/ld\.so\.cache$"
)
"""What changes with any package at all: logs, caches and databases of the package manager."""


def pristine(suite: str, names: tuple[str, ...]) -> Path:
    """A freshly installed Debian with `names`, kept in `.work` and never entered."""
    base = WORK / ("debian-" + "+".join((suite, *names)))
    install("debootstrap")
    with exclusive(base.name):
        if (base / "complete").exists():
            return base / "root"
        shutil.rmtree(base, ignore_errors=True)
        base.mkdir(parents=True)
        packages._run(
            [
                "debootstrap", "--variant=minbase", f"--include={','.join(names)}", suite,
                base / "root", mirror(),
            ],
            what=f"installing {suite}",
        )  # fmt: skip
        (base / "complete").touch()
    return base / "root"


class Debian:
    """A copy of a fresh Debian `suite` that has `names` installed. `close()` removes it."""

    def __init__(self, *names: str, suite: str = "bookworm") -> None:
        fresh = pristine(suite, names)
        self._suite = suite
        self.path = Path(tempfile.mkdtemp(prefix=f"run-{os.getpid()}-{suite}-", dir=WORK))
        self.path.chmod(0o755)
        for part in fresh.iterdir():
            # dpkg and its scripts replace what is in /usr and never write into it: links will do.
            links = ["--link"] if part.name == "usr" else []
            subprocess.run(["cp", "-a", *links, part, self.path], check=True)
        self._own_set_ids()
        policy = self.path / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        shutil.copy("/etc/resolv.conf", self.path / "etc/resolv.conf")

    def _own_set_ids(self) -> None:
        """Copy set-uid and set-gid files: dpkg takes away the rights of old ones, whoever links."""
        for directory, _, files in os.walk(self.path / "usr"):
            for name in files:
                path = Path(directory, name)
                found = path.lstat()
                if stat.S_ISREG(found.st_mode) and found.st_mode & (stat.S_ISUID | stat.S_ISGID):
                    copy = path.with_name(f"{name}.copy")
                    shutil.copyfile(path, copy)
                    os.chown(copy, found.st_uid, found.st_gid)
                    copy.chmod(stat.S_IMODE(found.st_mode))
                    copy.rename(path)

    def close(self) -> None:
        end_processes(self.path)
        shutil.rmtree(self.path, ignore_errors=True)

    def command(self, *argv: str) -> list[str]:
        """`argv` as run inside; the process keeps its pid."""
        return ["unshare", "--mount", "sh", "-c", _ENTER, str(self.path), *argv]

    def run(self, *argv: str, status: int = 0) -> str:
        """What `argv`, run inside, said; AssertionError if its exit status is another."""
        done = subprocess.run(
            self.command(*argv),
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert status == done.returncode, f"{argv}: {done.returncode}\n{done.stdout[-3000:]}"
        return done.stdout

    def apt_get(self, *words: str) -> str:
        """apt-get inside, with the packages that were fetched for an earlier test."""
        archives = WORK / f"debs-{self._suite}"
        own = self.path / "var/cache/apt/archives"
        with exclusive(archives.name):
            archives.mkdir(exist_ok=True)
            for package in archives.glob("*.deb"):
                shutil.copy(package, own)
            try:
                said = self.run(
                    "apt-get", "-q", "-y", "--no-install-recommends",
                    "-o", "APT::Keep-Downloaded-Packages=true",
                    "-o", "APT::Sandbox::User=root", "-o", "Dpkg::Use-Pty=0", *words,
                )  # fmt: skip
            except AssertionError as error:
                raise PackageError(str(error)) from None
            for package in own.glob("*.deb"):
                if not (archives / package.name).exists():
                    shutil.copy(package, archives)
        return said

    def tree(self) -> dict[str, str]:
        """What is in it, by path: kind, mode, owner and contents."""
        return dict(self._walk())

    def _walk(self) -> Iterator[tuple[str, str]]:
        for directory, names, files in os.walk(self.path):
            for name in (*names, *files):
                path = Path(directory, name)
                inside = f"/{path.relative_to(self.path)}"
                if CHANGES.match(inside):
                    continue
                found = path.lstat()
                what = f"{stat.filemode(found.st_mode)} {found.st_uid}:{found.st_gid}"
                if stat.S_ISLNK(found.st_mode):
                    what += f" -> {os.readlink(path)}"
                elif stat.S_ISREG(found.st_mode):
                    what += f" {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
                yield inside, what
