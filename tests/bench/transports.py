"""`python -m tests.bench.transports`: lines a second through rsyslog and syslog-ng (root).

The real daemons with the shipped files, TCP in, the JSON feed out: into the filter, and, in turns
with it, into a program that does the least that any program must (reads; says OK). One setting is
changed: a full queue makes the sender wait instead of dropping lines.

With each line confirmed a login costs what the disk takes for one fdatasync; so there are also
lines that change nothing, and a store on a tmpfs.
"""

from __future__ import annotations

import re
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.real.daemons.process import Process, free_port, listening, wait_for
from tests.real.daemons.syslog_ng import SyslogNg
from tests.real.packages import install
from tests.real.shipped import PROGRAM, Installed, shipped

from . import inputs
from .command import options, tell
from .rows import Row

RSYSLOG_CEILING = 438_000
"""rsyslog's JSON template into a C program that only reads, on the machine of the other figures."""
LAST = "192.0.2.250"
"""The client of the last line."""
_READER = """\
#!{python}
import os, sys
confirm = {confirm}
if confirm and "lines" not in "".join(sys.argv):
    os.write(1, b"OK\\n")
# A mebibyte would cost three more system calls each time, and flatter the ratio.
while data := os.read(0, 1 << 16):
    if confirm:
        os.write(1, b"OK\\n" * data.count(b"\\n"))
    for mark in (b"first-line", b"{last}"):
        if mark in data:
            open({directory!r} + "/" + mark.decode(), "w").close()
"""


class Sizes(NamedTuple):
    """How much is measured."""

    lines: int = 300_000
    confirmed: int = 20_000
    repeat: int = 5


SHORT = Sizes(lines=300, confirmed=100, repeat=1)


# ------------------------------------------------------------------ what is fed


class Target:
    """A program behind the daemon; `done` tells whether the last line has come out of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def paths(self) -> dict[str, str]:
        raise NotImplementedError

    def started(self) -> bool:
        raise NotImplementedError

    def done(self) -> bool:
        raise NotImplementedError


class Reader(Target):
    """The least that any program must do."""

    def __init__(self, directory: Path, *, confirm: bool) -> None:
        super().__init__(directory)
        program = directory / "reader"
        program.write_text(
            _READER.format(
                python=sys.executable, confirm=confirm, last=LAST, directory=str(directory)
            )
        )
        program.chmod(0o755)
        self._paths = {PROGRAM: str(program)}

    @property
    def paths(self) -> dict[str, str]:
        return self._paths

    def started(self) -> bool:
        return (self.directory / "first-line").exists()

    def done(self) -> bool:
        return (self.directory / LAST).exists()


class OurFilter(Target):
    """pbs-filter, its store in `directory`."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._installed = Installed(directory / "installed", 'trusted_hosts = ["127.0.0.1"]\n')

    @property
    def paths(self) -> dict[str, str]:
        return self._installed.paths

    def started(self) -> bool:
        return self._installed.holder() != 0 and self._installed.status()["lines"] > 0

    def done(self) -> bool:
        return self._installed.has(LAST)


# ------------------------------------------------------------------ the daemons


def rsyslog(directory: Path, port: int, target: Target, *, confirm: bool) -> Process:
    """rsyslogd with the drop-in."""
    install("rsyslog")
    drop_in = shipped("rsyslog/pbs-filter.conf", target.paths)
    disk = "filename|highWatermark|lowWatermark|maxDiskSpace|saveOnShutdown"
    drop_in = re.sub(rf"(?m)^ *queue\.({disk})=.*\n", "", drop_in)
    drop_in = drop_in.replace('timeoutEnqueue="0"', 'timeoutEnqueue="600000"')
    if not confirm:
        drop_in = drop_in.replace('confirmMessages="on"', 'confirmMessages="off"')
        drop_in = drop_in.replace("--confirm=lines", "--confirm=no")
        drop_in = drop_in.replace(r"echo\tOK;", "")
    config = directory / "rsyslog.conf"
    config.write_text(
        f'global(workDirectory="{directory}")\nmodule(load="imtcp")\n'
        f"{drop_in}"
        f'input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="pbs-filter")\n'
    )
    return Process(
        "rsyslogd",
        ["/usr/sbin/rsyslogd", "-n", "-f", str(config), "-i", str(directory / "rsyslogd.pid")],
        output=directory / "rsyslogd.out",
        ready=lambda: listening(port),
    )


class _SyslogNg:
    """syslog-ng with the block."""

    def __init__(self, directory: Path, port: int, target: Target) -> None:
        self._port = port
        self._daemon = SyslogNg(
            directory / "syslog-ng",
            "options { use-dns(no); };\n"
            f'source s_src {{ network(ip("127.0.0.1") port({port}) flags(no-multi-line)'
            " log-iw-size(100000) log-fetch-limit(1000)); };\n"
            + shipped("syslog-ng/pbs-filter/plugin.conf", target.paths)
            + shipped(
                "syslog-ng/log-path.conf",
                # Instead of dropping: the sender waits.
                {
                    "pbs-filter();": "pbs-filter(fifo-size(110000));",
                    "destination(d_pbs_filter);": "destination(d_pbs_filter); flags(flow-control);",
                },
            ),
        )

    def __enter__(self) -> None:
        self._daemon.start()
        wait_for(lambda: listening(self._port), "syslog-ng")

    def __exit__(self, *_: object) -> None:
        self._daemon.stop()


# ------------------------------------------------------------------ measuring


def logins(number: int) -> list[str]:
    """Messages that each change the store: logins of 3000 clients."""
    return [inputs.login(i, i % 3000, 0).message for i in range(number)]


def failures(number: int) -> list[str]:
    """Messages that the filter must read and that change nothing."""
    return [
        "imap-login: Aborted login (auth failed, 1 attempts in 2 secs): "
        f"user=<user{i % 3000}@example.org>, method=PLAIN, rip={inputs.address(i % 3000)}, "
        f"lip=192.0.2.1, TLS, session=<{i:08x}Ng3tIAB>"
        for i in range(number)
    ]


def rate(
    make: Callable[[Path, int], tuple[Target, AbstractContextManager[object]]],
    messages: Sequence[str],
    place: str | None = None,
) -> float:
    """Lines a second from the sender through the daemon and out of the program."""
    stamp = time.strftime("<22>%b %e %H:%M:%S mx1 dovecot: ")
    text = "".join(f"{stamp}{message}\n" for message in messages)
    last = inputs.login(0, 0, 0).message.replace(inputs.address(0), LAST)
    data = f"{text}{stamp}{last}\n".encode()
    with TemporaryDirectory(prefix="pbs-bench-", dir=place) as name:
        port = free_port()
        target, daemon = make(Path(name), port)
        with daemon, socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(f"{stamp}first-line\n".encode())
            wait_for(target.started, "the program", 60)
            began = time.perf_counter()
            sender = threading.Thread(target=connection.sendall, args=(data,))
            sender.start()
            wait_for(target.done, "the last line", 600)
            taken = time.perf_counter() - began
            sender.join()
    return (len(messages) + 1) / taken


def in_turns(
    repeat: int, ours: Callable[[], float], theirs: Callable[[], float]
) -> tuple[float, float]:
    """The medians of both."""
    taken = [(theirs(), ours()) for _ in range(repeat)]
    return statistics.median(o for _, o in taken), statistics.median(t for t, _ in taken)


def confirmed(sizes: Sizes) -> Iterator[Row]:
    """rsyslog, each line answered before the next comes."""

    def reader(directory: Path, port: int) -> tuple[Target, Process]:
        target = Reader(directory, confirm=True)
        return target, rsyslog(directory, port, target, confirm=True)

    def our(directory: Path, port: int) -> tuple[Target, Process]:
        target = OurFilter(directory)
        return target, rsyslog(directory, port, target, confirm=True)

    for what, make, place, target in (
        ("lines that change nothing", failures, None, 0.85),
        ("logins, store on a tmpfs", logins, "/dev/shm", 0.6),
        ("logins, store on disk", logins, None, 0.0),
    ):
        messages = make(sizes.confirmed)
        ours, theirs = in_turns(
            sizes.repeat,
            lambda m=messages, p=place: rate(our, m, p),  # type: ignore[misc]
            lambda m=messages, p=place: rate(reader, m, p),  # type: ignore[misc]
        )
        name = f"rsyslog confirmed, {what}"
        yield Row(name, ours, "lines per s", 0)
        yield Row(f"{name}: this / the least", ours / theirs, "times", target, True)


def unconfirmed(sizes: Sizes) -> Iterator[Row]:
    """rsyslog and syslog-ng, no answers."""

    def rsyslog_to(target: Callable[[Path], Target]) -> Callable[[Path, int], tuple]:  # type: ignore[type-arg]
        def make(directory: Path, port: int) -> tuple[Target, Process]:
            made = target(directory)
            return made, rsyslog(directory, port, made, confirm=False)

        return make

    def syslog_ng_to(target: Callable[[Path], Target]) -> Callable[[Path, int], tuple]:  # type: ignore[type-arg]
        def make(directory: Path, port: int) -> tuple[Target, _SyslogNg]:
            made = target(directory)
            return made, _SyslogNg(directory, port, made)

        return make

    def reader(directory: Path) -> Target:
        return Reader(directory, confirm=False)

    for name, to, targets in (
        ("rsyslog", rsyslog_to, (0.6, 0.35)),
        ("syslog-ng", syslog_ng_to, (0.8, 0.5)),
    ):
        for what, make, target in (
            ("lines that change nothing", failures, targets[0]),
            ("logins", logins, targets[1]),
        ):
            messages = make(sizes.lines)
            ours, theirs = in_turns(
                sizes.repeat,
                lambda m=messages, t=to: rate(t(OurFilter), m),  # type: ignore[misc]
                lambda m=messages, t=to: rate(t(reader), m),  # type: ignore[misc]
            )
            row = f"{name} unconfirmed, {what}"
            yield Row(row, ours, "lines per s", 0)
            yield Row(f"{row}: this / the least", ours / theirs, "times", target, True)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status; figures that miss their target are no error."""
    arguments = options("transports", __doc__).parse_args(argv)
    sizes = SHORT if arguments.short else Sizes()
    tell(chain(confirmed(sizes), unconfirmed(sizes)), arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
