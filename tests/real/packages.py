"""Debian packages for the tests: installed where they may be, unpacked aside where they conflict.

Courier, Dovecot and Cyrus cannot be installed together, nor can two MTAs or two syslog daemons, and
an installed daemon is started by its package. So only what nothing conflicts with is installed;
everything else is unpacked, with all it depends on, into a private root inside the checkout. No
maintainer script runs there, and dpkg never hears of it.

A package that cannot be had is an error, not a reason to skip a test.
"""

from __future__ import annotations

import contextlib
import fcntl
import fnmatch
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

CHECKOUT = Path(__file__).resolve().parents[2]
WORK = CHECKOUT / ".work"
"""Everything the tests keep between runs; git ignores it."""

_NO_QUESTIONS = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}

_SOURCES = (
    Path("/etc/apt/sources.list.d/debian.sources"),
    Path("/etc/apt/sources.list"),
)
MIRROR = "http://deb.debian.org/debian"

_NOT_NEEDED = [f"--exclude=./usr/share/{name}" for name in ("doc", "info", "locale", "man")]


def checked_in() -> list[str]:
    """The files of the checkout by their paths in it; of an unpacked source distribution all that
    git would not ignore."""
    if (CHECKOUT / ".git").exists():
        command = ["git", "-c", "safe.directory=*", "ls-files"]
        said = subprocess.run(command, cwd=CHECKOUT, check=True, stdout=subprocess.PIPE, text=True)
        return said.stdout.splitlines()
    ignored = [
        pattern.removesuffix("/") if "/" in pattern[:-1] else f"*/{pattern.removesuffix('/')}"
        for pattern in (CHECKOUT / ".gitignore").read_text().split()
    ]
    return sorted(_below(CHECKOUT, ignored))


def _below(directory: Path, ignored: Sequence[str]) -> Iterator[str]:
    for path in directory.iterdir():
        name = str(path.relative_to(CHECKOUT))
        if any(fnmatch.fnmatch(f"/{name}", pattern) for pattern in ignored):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _below(path, ignored)
        else:
            yield name


class PackageError(RuntimeError):
    """apt-get or dpkg could not give what a test needs; says which, and their last words."""


@contextlib.contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Hold a lock of this checkout, so that two test runs do not unpack into one directory."""
    WORK.mkdir(exist_ok=True)
    with (WORK / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(argv: Sequence[str | Path], *, what: str, stdin: IO[bytes] | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in argv],
        env=_NO_QUESTIONS,
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise PackageError(f"{what}: {argv[0]} ended with {done.returncode}\n{tail}")
    return done.stdout


def mirror() -> str:
    """Where this machine has its own packages from."""
    for path in _SOURCES:
        if path.exists():
            match = re.search(
                r"(?m)^(?:URIs:|deb\b.*?)\s*(https?://\S*debian/?)\s", path.read_text()
            )
            if match:
                return match[1]
    return MIRROR


def _update(suite: str = "") -> None:
    options = ["-o", "DPkg::Lock::Timeout=600", *_lists_of(suite)]
    _run(["apt-get", "-qq", *options, "update"], what="package lists")


def _lists_of(suite: str) -> list[str]:
    """apt's options for the packages of `suite`; none for those of this machine's own."""
    if not suite:
        return []
    state = WORK / f"lists-{suite}"
    (state / "partial").mkdir(parents=True, exist_ok=True)
    sources = state / "sources.list"
    sources.write_text(f"deb {mirror()} {suite} main\n")
    return [
        "-o", f"Dir::Etc::sourcelist={sources}", "-o", "Dir::Etc::sourceparts=-",
        "-o", f"Dir::State::lists={state}", "-o", f"Dir::Cache::pkgcache={state}/pkgcache.bin",
        "-o", f"Dir::Cache::srcpkgcache={state}/srcpkgcache.bin", "-o", "APT::Sandbox::User=root",
    ]  # fmt: skip


def installed(name: str) -> bool:
    """Whether dpkg has `name` installed and configured."""
    asked = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status}", name],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    return asked.stdout == "installed"


@contextlib.contextmanager
def no_service_starts() -> Iterator[None]:
    """Keep packages from starting what they install; an administrator's own policy stays."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\n# made for one apt-get run of a test; safe to remove\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def install(*names: str) -> None:
    """Install what is missing of `names` (root), without starting or removing anything."""
    if all(map(installed, names)):
        return  # without waiting for somebody who unpacks something else
    with exclusive("apt"):
        missing = [name for name in names if not installed(name)]
        if not missing:
            return
        command = [
            "apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=600",
            "--no-install-recommends", "--no-remove", "install", *missing,
        ]  # fmt: skip
        if os.geteuid() != 0:
            raise PackageError(f"not installed: {' '.join(missing)}; run as root: apt-get install")
        with no_service_starts():
            try:
                _run(command, what=f"installing {' '.join(missing)}")
            except PackageError:
                _update()
                _run(command, what=f"installing {' '.join(missing)}")


def unpack(*names: str, suite: str = "") -> Path:
    """A directory holding `names` and everything they depend on, down to the C library, of this
    machine's own Debian or of `suite`.

    It serves as a root directory (`roots.PrivateRoot`), or to run one program from (`launch`). Kept
    in `.work/root-...` and shared: treat it as read-only, take a copy to change anything. Nothing
    in it has a set-uid or set-gid bit.
    """
    root = WORK / ("root-" + "+".join((suite, *names) if suite else names))
    with exclusive("apt"):
        stamp = root / ".complete"
        if stamp.exists():
            return root
        shutil.rmtree(root, ignore_errors=True)
        try:
            packages = _download(names, suite)
        except PackageError:
            _update(suite)
            packages = _download(names, suite)
        root.mkdir(parents=True)
        # Debian 12 has merged /usr, its packages do not know: the links must be there first.
        for name in ("bin", "sbin", "lib", "lib64"):
            (root / "usr" / name).mkdir(parents=True)
            (root / name).symlink_to(f"usr/{name}")
        for package in packages:
            _extract(package, root)
        _remove_set_id_bits(root)
        stamp.touch()
    return root


def _download(names: Sequence[str], suite: str) -> list[Path]:
    """The packages `names` and all they depend on, as .deb files in `.work`."""
    archives, nothing = WORK / (f"unpacked-{suite}" if suite else "debs"), WORK / "nothing"
    for directory in (archives, nothing):
        (directory / "partial").mkdir(parents=True, exist_ok=True)
    (nothing / "status").touch()

    def ask(*action: str, cache: Path) -> str:
        options = (
            # Seen from an empty machine, so that nothing is left out because this one has it.
            f"Dir::State::status={nothing / 'status'}",
            f"Dir::Cache::archives={cache}/",
            "APT::Sandbox::User=root",
            "APT::Keep-Downloaded-Packages=true",
            "Debug::NoLocking=1",  # dpkg's own state is not touched; ours is locked by the caller
        )
        words = [word for option in options for word in ("-o", option)] + _lists_of(suite)
        return _run(
            ["apt-get", "-q", "-y", *words, "--no-install-recommends", *action, "install", *names],
            what=f"unpacking {' '.join(names)}",
        )

    # The plan is asked with an empty cache, because what is there already is not listed.
    plan = ask("--print-uris", cache=nothing)
    ask("--download-only", cache=archives)
    return [archives / line.split()[1] for line in plan.splitlines() if line.startswith("'")]


def _extract(package: Path, root: Path) -> None:
    what = f"unpacking {package.name}"
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as deb:
        _run(
            ["tar", "-x", "--keep-directory-symlink", *_NOT_NEEDED, "-C", root],
            what=what,
            stdin=deb.stdout,
        )
    if deb.returncode != 0:
        raise PackageError(f"{what}: dpkg-deb ended with {deb.returncode}")


def _remove_set_id_bits(root: Path) -> None:
    for directory, _, files in os.walk(root):
        for name in files:
            path = Path(directory, name)
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                path.chmod(stat.S_IMODE(mode) & ~(stat.S_ISUID | stat.S_ISGID))


def launch(root: Path, program: str) -> list[str]:
    """The first words of a command that runs `program` of an unpacked root, outside of it.

    Its libraries are found through the loader's own option and not through LD_LIBRARY_PATH, which
    every program it starts would inherit.
    """
    loader = next((root / "usr" / "lib64").glob("ld-linux*.so*"), None) or next(
        (root / "usr" / "lib").glob("ld-linux*.so*")
    )
    libraries = sorted({str(path.parent) for path in (root / "usr/lib").glob("*/libc.so.6")})
    return [str(loader), "--library-path", ":".join(libraries), str(root / program.lstrip("/"))]
