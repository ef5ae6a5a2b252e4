"""A whole machine in a private root: syslog daemon, MTA, and pbs-filter installed in it.

Everything runs by chroot in the root, with its own /dev/log, accounts and network, and a mount of
/proc that only the one process sees.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from .daemons.process import Process, wait_for
from .mtas import ENVIRONMENT, SERVER, STRANGER, _Smtp
from .mtas.namespace import Namespace
from .packages import CHECKOUT
from .roots import PrivateRoot

PROGRAM = "/opt/pbs-filter/bin/pbs-filter"
LOOKUP = "/opt/pbs-filter/bin/pbs-lookup"
TOOLS = ("passwd",)
PYTHON = ("python3", "python3-gdbm", "python3-pyparsing", "python3-netaddr")
_WITH_PROC = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
_SCRIPT = """\
#!/usr/bin/python3
import sys
from {module} import main
sys.exit(main())
"""


class Machine:
    """A root of `packages`. As a context manager it is there; daemons are started by the test."""

    packages: tuple[str, ...] = ()
    accounts: tuple[tuple[str, int], ...] = ()

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._running = contextlib.ExitStack()

    def configure(self) -> None:
        """Write what its packages would have configured."""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            self.root = PrivateRoot(*self.packages, *TOOLS, *PYTHON, service_accounts=self.accounts)
            undo.callback(self.root.close)
            self.network = Namespace([SERVER, STRANGER])
            undo.callback(self.network.close)
            undo.enter_context(self._running)
            groups = (self.root.path / "etc/group").read_text()
            self.root.write("/etc/group", groups + "adm:x:4:\n")
            self._install()
            self.configure()
            self._closing = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def _install(self) -> None:
        """What a package of ours puts there."""
        ignored = shutil.ignore_patterns("__pycache__")
        place = self.root.path / "usr/lib/python3/dist-packages/pbs_filter"
        shutil.copytree(CHECKOUT / "pbs_filter", place, ignore=ignored)
        for name in ("rsyslog", "syslog-ng", "examples"):
            shutil.copytree(CHECKOUT / name, self.root.path / "usr/share/pbs-filter" / name)
        self.root.write(PROGRAM, _SCRIPT.format(module="pbs_filter.cli"), mode=0o755)
        self.root.write(LOOKUP, _SCRIPT.format(module="pbs_filter.lookup.__main__"), mode=0o755)
        compiling = ("/usr/bin/python3", "-m", "compileall", "-q")
        subprocess.run(
            self.root.command(*compiling, "/usr/lib/python3/dist-packages/pbs_filter"),
            env=ENVIRONMENT,
            check=True,
        )

    def command(self, *argv: str) -> list[str]:
        """`argv` as run on this machine."""
        return [
            *self.network.command(),
            *("unshare", "--mount", "--propagation", "private"),
            *("sh", "-c", _WITH_PROC, str(self.root.path), *argv),
        ]

    def run(self, *argv: str, status: int | None = 0) -> str:
        """What `argv` said; it must end with `status`."""
        done = subprocess.run(
            self.command(*argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="surrogateescape",
            env=ENVIRONMENT,
            check=False,
        )
        assert status in (done.returncode, None), (
            f"{argv} ended with {done.returncode}\n{done.stdout}"
        )
        return done.stdout

    def filter(self, *options: str, status: int | None = 0) -> str:
        """`pbs-filter OPTIONS`."""
        return self.run(PROGRAM, *options, status=status)

    def daemon(self, *argv: str, name: str) -> Process:
        """A daemon of this machine, started."""
        process = Process(
            name,
            self.command(*argv),
            output=self.directory / f"{name}.out",
            ready=lambda: True,
            environment=ENVIRONMENT,
        )
        return self._running.enter_context(process)

    def stop(self) -> None:
        """End every daemon."""
        self._running.close()
        self.root.end_processes()

    def log(self, message: str, tag: str = "dovecot") -> None:
        """One line as syslog(3) writes it, by root."""
        stamp = time.strftime("%b %e %H:%M:%S")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.connect(str(self.root.alias / "dev/log"))
            log.send(f"<22>{stamp} {tag}: {message}".encode())

    def rcpt(self, source: str, recipient: str = "foo@remote.example") -> str:
        """What the MTA says to RCPT for a client at `source`."""

        def connected() -> _Smtp | None:
            with contextlib.suppress(OSError):
                return self.network.inside(
                    lambda: _Smtp(SERVER, 25, source_address=(source, 0), timeout=300)
                )
            return None

        with wait_for(connected, "an SMTP server") as smtp:
            smtp.ehlo("client.example")
            smtp.mail("bob@example.org")
            code, text = smtp.rcpt(recipient)
            return f"{code} {text.decode()}"

    def tree(self, *places: str) -> dict[str, tuple[object, ...]]:
        """Every file and directory below `places`: kind and mode, owner, content."""
        return {
            str(path): described
            for place in places
            for path in sorted((self.root.path / place).rglob("*"))
            for described in [_described(path)]
        }


def _described(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
    target = os.readlink(path) if path.is_symlink() else ""
    return status.st_mode, status.st_uid, status.st_gid, content, target
