"""A booted Debian: systemd as process 1 of a root directory, with services, units and a journal.

It has its own processes, mounts, control groups and network, so that nothing of this machine is
touched. It needs root, and a kernel with the second version of control groups.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from .daemons.process import Process, wait_for
from .debian import Debian
from .mtas.namespace import Namespace

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "iproute2", "procps"),
    *("python3", "python3-gdbm", "python3-netaddr", "python3-pyparsing", "adduser"),
    *("postfix", "popa3d"),
)
"""What each booted machine has: what it boots with, what pbs-filter needs, and a mail server. It
has no syslog daemon but systemd's journal, as a fresh Debian."""

_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": "/root",
    "TERM": "dumb",
    "DEBIAN_FRONTEND": "noninteractive",
}
_BOOT = """\
set -e
mount --make-rprivate /
mount --bind "$0" "$0"
cd "$0"
for name in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs $name; done
chmod 1777 tmp
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs tmpfs sys/fs/cgroup || true
mount -t cgroup2 cgroup2 sys/fs/cgroup
for name in null zero full random urandom tty; do
    touch dev/$name
    mount --bind /dev/$name dev/$name
done
touch dev/console
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
# Not by chroot, in which the kernel makes no user namespaces, as services want them.
pivot_root . mnt
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=test chroot . \\
    sh -c "umount -l /mnt && exec /lib/systemd/systemd --system"
"""
_UNWANTED = (
    "console-getty.service",
    "getty.target",
    "systemd-modules-load.service",
    "systemd-networkd.service",
    "systemd-resolved.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "man-db.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
)
"""Units that have no place in a container, or that fetch something by themselves."""


class Booted(contextlib.AbstractContextManager["Booted"]):
    """A copy of a fresh Debian `suite` with PACKAGES and `names`, booted; `addresses` are its own.

    Packages start and stop their services there as on any machine.
    """

    def __init__(
        self, directory: Path, *names: str, suite: str, addresses: Sequence[str] = ()
    ) -> None:
        self._directory = directory
        self._names = names
        self.suite = suite
        self._addresses = addresses
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            self.debian = undo.enter_context(
                contextlib.closing(Debian(*PACKAGES, suite=self.suite))
            )
            self.path = self.debian.path
            if self._names:
                self.debian.apt_get("install", *self._names)
            self.network = undo.enter_context(contextlib.closing(Namespace(self._addresses)))
            self._prepare()
            self._running = undo.enter_context(contextlib.ExitStack())
            self._running.enter_context(self._machine())
            self._closing = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def _prepare(self) -> None:
        (self.path / "usr/sbin/policy-rc.d").unlink()
        for unit in _UNWANTED:
            path = self.path / "etc/systemd/system" / unit
            path.unlink(missing_ok=True)
            path.symlink_to("/dev/null")
        (self.path / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
        (self.path / "etc/hostname").write_text("mx1\n")

    def reboot(self) -> None:
        """Shut it down in order, and boot what is on its disk now."""
        self._ask("systemctl", "poweroff")
        wait_for(lambda: self._child() is None, "the machine to be off", 90)
        self._running.close()
        self._running.enter_context(self._machine())

    @contextlib.contextmanager
    def _machine(self) -> Iterator[None]:
        command = [
            *self.network.command(),
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--ipc", "--uts"),
            *("--cgroup", "sh", "-c", _BOOT, str(self.path)),
        ]
        self._process = Process(
            f"systemd-{self.suite}",
            command,
            output=self._directory / f"systemd-{self.suite}.out",
            ready=lambda: self._child() is not None,
        )
        self._process.start()
        try:
            child = wait_for(self._child, "process 1")
            self._pid = child
            wait_for(self._is_up, "the machine to have started", 90)
            yield
        finally:
            child = self._child()
            if child is not None:
                os.kill(child, signal.SIGKILL)  # process 1: the kernel ends all others
            self._process.stop()

    def _child(self) -> int | None:
        """The process that is, or becomes, process 1."""
        parent = self._process.pid
        text = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return int(text[0]) if text else None

    def _is_up(self) -> bool:
        if Path(f"/proc/{self._pid}/comm").read_text() != "systemd\n":
            return False
        state = self._ask("systemctl", "is-system-running").stdout.strip()
        return state in ("running", "degraded")

    def command(self, *argv: str) -> list[str]:
        """`argv` as run on this machine."""
        return [
            *("nsenter", f"--target={self._pid}", "--mount", "--pid", "--ipc", "--uts", "--net"),
            *("--cgroup", "--root", "--wd", "--", *argv),
        ]

    def _ask(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*argv),
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="surrogateescape",
            check=False,
        )

    def run(self, *argv: str, status: int | None = 0) -> str:
        """What `argv`, run there, said; AssertionError if its exit status is another."""
        done = self._ask(*argv)
        assert status in (done.returncode, None), f"{argv}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def status(self, *argv: str) -> int:
        """The exit status of `argv`, run there."""
        return self._ask(*argv).returncode

    def shell(self, text: str, status: int | None = 0) -> str:
        """What the shell's `text`, run there, said."""
        return self.run("sh", "-c", text, status=status)

    def install(self, package: Path) -> str:
        """Install a .deb by apt-get, with what it depends on from the tests' own store."""
        shutil.copy(package, self.path / "root")
        said = self.run(
            "apt-get", "-q", "-y", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0",
            "-o", "APT::Sandbox::User=root", "install", f"/root/{package.name}",
        )  # fmt: skip
        (self.path / "root" / package.name).unlink()
        return said
