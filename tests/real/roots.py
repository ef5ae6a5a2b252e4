"""Private root directories: a real server with its own /etc, /dev/log, users and mailboxes.

The server runs by chroot in a copy of an unpacked package (`packages.unpack`). It needs root, but
no namespace, mount or installed package; what it logs goes to a /dev/log that is its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .packages import WORK, unpack

CLIENT_NAMES = {
    "127.0.0.11": "dsl-11.isp.example",
    "127.0.0.12": "dsl-12.isp.example",
    "127.0.0.13": "203.0.113.66.evil.example",
    "127.0.0.14": "203.0.113.66",
}
"""What a reverse look-up of a client's address says inside: .13 and .14 belong to an attacker who
writes his own PTR records. The other addresses have no name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user of a private root: system account, shadow password, home directory and mbox."""

    name: str
    password: str
    crypted: str
    """The password in the SHA-512 form of crypt(3)."""
    uid: int


ACCOUNTS = (
    Account(
        name="alice",
        password="wonder-1",
        crypted="$6$pbsfilter$"
        "cXbbZgnZ0DImNA.XpYSr6q3QZ2lv8AiRxlj2QTTjElNW8nYqT.uZPbf9gp67puSkzJFCcChMbUGi2HVDWdvoT0",
        uid=61001,
    ),
    Account(
        name="bob",
        password="builder-2",
        crypted="$6$pbsfilter$"
        "XgVe1PAUdkK381nY2OZgy.A6u6.MXtOrH4I5rGaG43Ozd7wlnwMg.rugCq7r2MKq8Vu3U8PQxExt/wg943KNM0",
        uid=61002,
    ),
    Account(
        name="carol",
        password="singer-3",
        crypted="$6$pbsfilter$"
        "PB4.l5DzJE/jHGfBNV4e8qocQr8l/YzA2YOohQqfT8HwHMl1xsCJtRTOsf.kdIIpGR1KSVhbgngJnx9qVh/OP/",
        uid=61003,
    ),
)
"""Those who have a mailbox on every server. The uids belong to nobody on a Debian machine."""

ODD_ACCOUNTS = tuple(
    Account(
        name=name,
        password="anybody-4",
        crypted="$6$pbsfilter$"
        "T.VBfXHQjCvDR3/6SNNvjD5w4ZwVpgLCyFtHWhnLkK8mG7uhCcsSttyE9kruwy.bQo8Nmaqd3GLfUaYzteNJG.",
        uid=61011 + number,
    )
    for number, name in enumerate(
        (
            "pat.o'neil",
            "example\\bob",
            "jürgen",
            "a=b",
            "c{d}",
            "e`f",
            "pat smith",
            "o'x@example.org",
        )
    )
)
"""Names that are legal, and that some server may refuse."""

_SYSTEM_ACCOUNTS = (
    ("root", 0), ("daemon", 1), ("mail", 8), ("www-data", 33), ("nobody", 65534),
)  # fmt: skip
_DEVICES = (("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9))


class PrivateRoot:
    """A copy of the unpacked `packages`; `service_accounts` are added to its passwd file.

    `path` is the real directory, `alias` a short way to it for unix sockets (108 bytes at most).
    `close()` removes both.
    """

    def __init__(
        self,
        *packages: str,
        service_accounts: tuple[tuple[str, int], ...] = (),
        suite: str = "",
    ) -> None:
        pristine = unpack(*packages, suite=suite)
        self._alias_directory = Path(tempfile.mkdtemp(prefix="pbs-"))
        # Inside the checkout, so that the copy can be made of hard links and takes no time.
        _remove_abandoned()
        self.path = Path(tempfile.mkdtemp(prefix=f"run-{os.getpid()}-{packages[0]}-", dir=WORK))
        self.path.chmod(0o755)
        subprocess.run(["cp", "-al", f"{pristine}/.", str(self.path)], check=True)
        self.alias = self._alias_directory / "root"
        self.alias.symlink_to(self.path)
        self._devices()
        self._accounts(service_accounts)
        for name in ("tmp", "run", "root", "proc", "var/run", "var/mail", "var/lib"):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        (self.path / "tmp").chmod(0o1777)
        if (self.path / "usr/bin/dash").exists() and not (self.path / "usr/bin/sh").exists():
            (self.path / "usr/bin/sh").symlink_to("dash")
        # The unpacked trees share inodes with the pristine one: replace, never write through.
        if not (self.path / "var/spool/mail").exists():
            (self.path / "var/spool").mkdir(parents=True, exist_ok=True)
            (self.path / "var/spool/mail").symlink_to("../mail")
        for account in ACCOUNTS + ODD_ACCOUNTS:
            mbox = self.path / "var/mail" / account.name
            mbox.touch(mode=0o600)
            os.chown(mbox, account.uid, account.uid)
        (self.path / "var/mail").chmod(0o1777)

    def close(self) -> None:
        end_processes(self.path)
        shutil.rmtree(self.path, ignore_errors=True)
        shutil.rmtree(self._alias_directory, ignore_errors=True)

    def pids(self) -> list[int]:
        """The processes that run inside, wherever they forked to."""
        return pids_inside(self.path)

    def end_processes(self) -> None:
        """End everything that runs inside."""
        end_processes(self.path)

    def command(self, *argv: str) -> list[str]:
        """`argv` as run inside; the process keeps its pid through chroot(8)."""
        return ["chroot", str(self.path), *argv]

    def run(self, *argv: str, text: str = "") -> str:
        """What `argv`, run inside with `text` on its stdin, said; AssertionError if it failed."""
        done = subprocess.run(
            self.command(*argv),
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{argv}: {done.stdout}"
        return done.stdout

    def write(self, name: str, text: str, *, mode: int = 0o644, owner: int = 0) -> Path:
        """A new file `name` (absolute inside) of `owner`, also in place of an unpacked one."""
        path = self.path / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        os.chown(path, owner, owner)
        return path

    def directory(self, name: str, *, owner: int = 0, mode: int = 0o755) -> Path:
        """A directory `name` (absolute inside) with this owner and mode, made if it is missing."""
        path = self.path / name.lstrip("/")
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        os.chown(path, owner, owner)
        return path

    def _devices(self) -> None:
        (self.path / "dev").mkdir(exist_ok=True)
        for name, minor in _DEVICES:
            device = self.path / "dev" / name
            os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, minor))
            device.chmod(0o666)

    def _accounts(self, service_accounts: tuple[tuple[str, int], ...]) -> None:
        passwd, shadow, group = [], [], []
        for name, uid in (*_SYSTEM_ACCOUNTS, *service_accounts):
            passwd.append(f"{name}:x:{uid}:{uid}:{name}:/:/usr/sbin/nologin")
            shadow.append(f"{name}:*:19000:0:99999:7:::")
            group.append(f"{name}:x:{uid}:")
        for account in ACCOUNTS + ODD_ACCOUNTS:
            home = f"/home/{account.name}"
            self.directory(home, owner=account.uid, mode=0o700)
            passwd.append(f"{account.name}:x:{account.uid}:{account.uid}::{home}:/bin/sh")
            shadow.append(f"{account.name}:{account.crypted}:19000:0:99999:7:::")
            group.append(f"{account.name}:x:{account.uid}:")
        group += ["shadow:x:42:", "nogroup:x:65534:"]
        self.write("/etc/passwd", "\n".join(passwd) + "\n")
        self.write("/etc/shadow", "\n".join(shadow) + "\n", mode=0o600)
        self.write("/etc/group", "\n".join(group) + "\n")
        hosts = ["127.0.0.1 localhost", "::1 localhost", *map(" ".join, CLIENT_NAMES.items())]
        self.write("/etc/hosts", "\n".join(hosts) + "\n")
        self.write(
            "/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files\n"
        )
        self.write("/etc/resolv.conf", "")
        self.write("/etc/shells", "/bin/sh\n")
        for kind in ("auth", "account", "session"):
            options = " nodelay" if kind == "auth" else ""
            self.write(f"/etc/pam.d/common-{kind}", f"{kind} required pam_unix.so{options}\n")
        stack = "".join(f"@include common-{kind}\n" for kind in ("auth", "account", "session"))
        for service in ("imap", "other", "popa3d", "pop3", "solid-pop3d"):
            self.write(f"/etc/pam.d/{service}", stack)


def pids_inside(path: Path) -> list[int]:
    """The processes whose root directory is `path` or below it."""
    found = []
    inside = str(path)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            # A process that ends while we look is not one of those we look for.
            with contextlib.suppress(OSError):
                where = os.readlink(entry / "root")
                if where == inside or where.startswith(inside + "/"):
                    found.append(int(entry.name))
    return found


def end_processes(path: Path, seconds: float = 10.0) -> None:
    """SIGTERM to each process inside `path`, SIGKILL to what is left after `seconds`."""
    deadline = time.monotonic() + seconds
    asked: set[int] = set()
    while pids := pids_inside(path):
        late = time.monotonic() > deadline
        for pid in pids:
            if late or pid not in asked:
                asked.add(pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        time.sleep(0.01)


def _remove_abandoned() -> None:
    """Remove what test runs left that were killed themselves: their pid is in the name."""
    for path in WORK.glob("run-*"):
        if not Path("/proc", path.name.split("-")[1]).exists():
            end_processes(path)
            shutil.rmtree(path, ignore_errors=True)
