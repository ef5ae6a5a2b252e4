"""A private systemd-journald: real, but in a mount namespace whose /run is its own."""

from __future__ import annotations

from pathlib import Path

from ..packages import install, launch, unpack
from .process import Process

_SETTINGS = """\
[Journal]
Storage=volatile
ReadKMsg=no
Audit=no
RateLimitIntervalSec=0
"""
_SCRIPT = """\
set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/journald.conf.d /run/log/journal
cp "$1" /run/systemd/journald.conf.d/test.conf
if [ ! -s /etc/machine-id ]; then
    cp -a /etc "$2"
    echo 0123456789abcdef0123456789abcdef >"$2/machine-id"
    mount --bind "$2" /etc
fi
shift 2
exec "$@"
"""


def systemd_program(path: str, root: Path | None = None) -> list[str]:
    """A command that runs a program of Debian 12's systemd, or of the one in `root`."""
    root = root or unpack("systemd")
    words = launch(root, path)
    at = words.index("--library-path") + 1
    (library,) = (root / "usr/lib").glob("*/systemd/libsystemd-shared-*.so")
    words[at] += f":{library.parent}"
    return words


class Journald:
    """systemd-journald of Debian 12, or of the unpacked or installed `root`; `directory` has its
    settings."""

    def __init__(self, directory: Path, root: Path | None = None) -> None:
        install("util-linux")
        self.root = root or unpack("systemd")
        directory.mkdir(exist_ok=True)
        settings = directory / "journald.conf"
        settings.write_text(_SETTINGS)
        self.process = Process(
            "systemd-journald",
            [
                *("unshare", "--mount", "--propagation", "private"),
                *("sh", "-c", _SCRIPT, "sh", str(settings), str(directory / "etc")),
                *self.program("/lib/systemd/systemd-journald"),
            ],
            output=directory / "journald.out",
            ready=lambda: self.log_socket.exists(),
        )

    def program(self, path: str) -> list[str]:
        """A command that runs a program of its systemd."""
        return systemd_program(path, self.root)

    def start(self) -> Journald:
        self.process.start()
        return self

    def stop(self) -> None:
        self.process.stop()

    def within(self) -> list[str]:
        """What to write before a command that is to see this journal."""
        return ["nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt", "--"]

    @property
    def log_socket(self) -> Path:
        """Its /dev/log, seen from outside."""
        return Path(f"/proc/{self.process.pid}/root/run/systemd/journal/dev-log")

    def __enter__(self) -> Journald:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
