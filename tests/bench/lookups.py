"""`python -m tests.bench.lookups`: what a question costs, and the process that answers it.

With `--postfix` also what it adds to a RCPT at a real Postfix (root, Debian's package). Ratios are
of one run, the compared programs in turns; figures that miss their target are no error.
"""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from pbs_filter.map_format.entry import encode
from tests.lookup import maps

from .command import options, tell
from .measure import ENVIRONMENT, PYTHON, ROOT
from .rows import Row

LOOKUP = [PYTHON, str(ROOT / "pbs_filter/lookup/pbs-lookup")]
# As installed: compiled before, and the standard library too, not in the start that is measured.
INSTALLED = {k: v for k, v in ENVIRONMENT.items() if k != "PYTHONPYCACHEPREFIX"}
KNOWN, ABSENT, MANY_HOSTS = "192.0.2.7", "198.51.100.1", "192.0.2.8"
MEBIBYTE = 1 << 20


class Sizes(NamedTuple):
    """How much is measured."""

    starts: int = 60
    questions: int = 10_000
    many: int = 1_000_000
    connections: int = 200
    sessions: int = 400


SHORT = Sizes(starts=3, questions=200, many=2_000, connections=20, sessions=5)


def fill(path: Path, entries: int) -> Path:
    """A map of `entries` addresses, KNOWN among them."""
    entry = maps.value()
    addresses = (f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}" for i in range(entries - 1))
    maps.write(path, dict.fromkeys([KNOWN, *addresses], entry))
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    maps.state(path, f"ready {boot} {path.stat().st_ino}")  # as of a filter that runs
    return path


# ------------------------------------------------------------------ start


def start(where: Path | str, sizes: Sizes, what: str = "", target: float = 1.2) -> Iterator[Row]:
    """Starting for one question, against the interpreter that does nothing."""
    commands = {
        "pass": [PYTHON, "-c", "pass"],
        "check": [*LOOKUP, "check", f"--map={where}", ABSENT],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(sizes.starts):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, env=INSTALLED, check=False)
            taken[name].append(time.perf_counter() - began)
    bare, check = (statistics.median(taken[name]) for name in commands)
    yield Row(f"python3 -c pass{what}", bare * 1000, "ms", 0)
    yield Row(f"pbs-lookup check{what}", check * 1000, "ms", 0)
    yield Row(f"pbs-lookup check{what} against python3 -c pass", check / bare, "times", target)


# ------------------------------------------------------------------ questions


@contextlib.contextmanager
def lookup(*arguments: str, **descriptors: socket.socket) -> Iterator[subprocess.Popen[bytes]]:
    """A running pbs-lookup."""
    process = subprocess.Popen(
        [*LOOKUP, *arguments], env=INSTALLED, **descriptors  # type: ignore[call-overload]
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def by_stdio(where: Path | str) -> Iterator[tuple[socket.socket, subprocess.Popen[bytes]]]:
    """A connection to a `pbs-lookup socketmap` of its own, as spawn(8) makes it."""
    ours, theirs = socket.socketpair()
    with (
        ours,
        theirs,
        lookup("socketmap", f"--map={where}", stdin=theirs, stdout=theirs) as process,
    ):
        theirs.close()
        yield ours, process
        ours.close()


def rate(sock: socket.socket, address: str, questions: int) -> float:
    """Questions a second, one after the other."""
    payload = f"pbs {address}"
    question = f"{len(payload)}:{payload},".encode()
    began = time.perf_counter()
    for _ in range(questions):
        sock.sendall(question)
        sock.recv(100)
    return questions / (time.perf_counter() - began)


TURNS = 20


def best(measure: Callable[[], float], times: int = TURNS) -> float:
    """The best of several: what else the machine did is not our cost."""
    return max(measure() for _ in range(times))


def questions(small: Path, large: Path, sizes: Sizes) -> Iterator[Row]:
    """One connection by stdio: the map is opened for each question."""
    rates: dict[tuple[str, str], float] = {}
    seconds: dict[tuple[str, str], float] = {}
    with by_stdio(small) as (few, process), by_stdio(large) as (many, other):
        for turn in range(TURNS):
            for name, sock, pid in (
                ("1,000", few, process.pid),
                (f"{sizes.many:,}", many, other.pid),
            ):
                for kind, address in (("hit", KNOWN), ("miss", ABSENT)):
                    if turn == 0:
                        rate(sock, address, 50)  # the first ones bring the file into memory
                    before = spent(pid)
                    found = rate(sock, address, sizes.questions // TURNS)
                    taken = spent(pid) - before
                    rates[name, kind] = max(rates.get((name, kind), 0), found)
                    seconds[name, kind] = seconds.get((name, kind), 0.0) + taken
        cost = cpu_of_each(few, process.pid, sizes.questions)
        memory = resident(process.pid)
    yield Row("CPU time of a hit among 1,000", cost, "microseconds", 0)
    for (name, kind), found in rates.items():
        target = 20_000 if name == "1,000" else 0  # for more there is a ratio
        yield Row(f"socketmap on stdin, {kind} among {name}", found, "lookups/s", target, True)
    for kind in ("hit", "miss"):
        # By the process's own time: the clock counts what else the machine did.
        ratio = seconds[f"{sizes.many:,}", kind] / seconds["1,000", kind]
        target = 1.4 if kind == "miss" else 1.5
        yield Row(
            f"{kind}: CPU time with {sizes.many:,} against 1,000 entries", ratio, "times", target
        )
    yield Row("memory of pbs-lookup socketmap", memory / MEBIBYTE, "MiB", 12)


def served(path: Path, sizes: Sizes) -> Iterator[Row]:
    """The server on one connection and on many."""
    with TemporaryDirectory(prefix="pbs-bench-") as directory:
        where = f"{directory}/socket"
        user = ["--user=root"] if os.geteuid() == 0 else []
        with lookup("serve", f"--map={path}", f"--socketmap=unix:{where}", *user) as process:
            while not os.path.exists(where):
                time.sleep(0.01)

            def connect() -> socket.socket:
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(where)
                return sock

            with contextlib.ExitStack() as stack:
                one = stack.enter_context(connect())
                single = best(lambda: rate(one, KNOWN, sizes.questions // TURNS))
                peers = [stack.enter_context(connect()) for _ in range(sizes.connections)]
                all_of_them = best(lambda: rate_of_all(peers, sizes.questions // TURNS))
                memory = resident(process.pid)
    yield Row("serve, one connection", single, "lookups/s", 16_000, True)
    what = f"serve, {sizes.connections} connections"
    yield Row(what, all_of_them, "lookups/s", 0)
    yield Row(f"{what} against one", all_of_them / single, "times", 0.8, True)
    yield Row(f"memory of pbs-lookup {what}", memory / MEBIBYTE, "MiB", 12)


def rate_of_all(peers: Sequence[socket.socket], questions: int) -> float:
    """Questions a second, one at a time on each of `peers`."""
    payload = f"pbs {KNOWN}"
    question = f"{len(payload)}:{payload},".encode()
    began = time.perf_counter()
    rounds = max(1, questions // len(peers))
    for _ in range(rounds):
        for peer in peers:
            peer.sendall(question)
        for peer in peers:
            peer.recv(100)
    return rounds * len(peers) / (time.perf_counter() - began)


def cpu_of_each(sock: socket.socket, pid: int, questions: int) -> float:
    """Microseconds of the process's CPU for a hit, whatever else the machine does."""
    before = spent(pid)
    rate(sock, KNOWN, questions)
    return (spent(pid) - before) / questions * 1e6


def spent(pid: int) -> float:
    """Seconds of CPU that a process of one thread has taken."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def resident(pid: int) -> int:
    """Bytes of memory a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


# ------------------------------------------------------------------ Redis


def in_redis(sizes: Sizes) -> Iterator[Row]:
    """The map in a real redis-server, asked through its unix socket."""
    from tests.real.daemons.redis import RedisServer

    what = ", map in Redis"
    with (
        TemporaryDirectory(prefix="pbs-bench-") as directory,
        RedisServer(Path(directory) / "r") as server,
    ):
        server.cli("HSET", "pbs:!filters", "pop1", f"1 {server.info('master_replid')}")
        for address, hosts in ((KNOWN, 1), (MANY_HOSTS, 10)):
            value = encode(address, maps.value()).decode()
            for host in range(hosts):
                server.cli("HSET", f"pbs:{address}", f"pop{host}", value)
        yield from start(server.url, sizes, what, 3)
        with by_stdio(server.url) as (sock, process):
            kinds = {"hit": KNOWN, "miss": ABSENT, "hit, known to 10 POP hosts": MANY_HOSTS}
            for kind, address in kinds.items():
                rate(sock, address, 50)
                found = best(lambda a=address: rate(sock, a, sizes.questions // TURNS))  # type: ignore[misc]
                yield Row(f"socketmap on stdin{what}, {kind}", found, "lookups/s", 8_000, True)
            cost = cpu_of_each(sock, process.pid, sizes.questions)
            yield Row(f"CPU time of a hit{what}", cost, "microseconds", 0)
            memory = resident(process.pid) / MEBIBYTE
            yield Row(f"memory of pbs-lookup socketmap{what}", memory, "MiB", 12)


# ------------------------------------------------------------------ Postfix


def postfix(sizes: Sizes) -> Iterator[Row]:
    """A refused RCPT at the same Postfix: without a lookup, with socketmap, with policy."""
    from tests.real.mtas import REMOTE, SERVER, STRANGER
    from tests.real.mtas.postfix import Postfix

    ways = {
        "nothing": (26, "permit_auth_destination"),
        "socketmap": (
            27,
            "permit_auth_destination,check_client_access,socketmap:unix:private/pbs:pbs",
        ),
        "policy": (28, "permit_auth_destination,check_policy_service,unix:private/pbs-policy"),
    }

    class Measured(Postfix):
        def configure(self):  # type: ignore[no-untyped-def]
            processes = super().configure()
            master = (self.root.path / "etc/postfix/master.cf").read_text()
            master += self.example("postfix/master-policy.cf")
            for port, way in ways.values():
                master += (
                    f"{port} inet n - y - - smtpd\n"
                    f"  -o smtpd_relay_restrictions={way},reject_unauth_destination\n"
                )
            self.root.write("/etc/postfix/master.cf", master)
            return processes

    taken: dict[str, list[float]] = {name: [] for name in ways}
    with TemporaryDirectory(prefix="pbs-bench-") as directory, Measured(Path(directory)) as mta:
        for _ in range(sizes.sessions):
            for name, (port, _) in ways.items():
                sock = mta.network.inside(
                    lambda port=port: socket.create_connection(  # type: ignore[misc]
                        (SERVER, port), 20, source_address=(STRANGER, 0)
                    )
                )
                with sock, sock.makefile("rb") as replies:
                    replies.readline()
                    for line in ("HELO client.example", "MAIL FROM:<bob@example.org>"):
                        sock.sendall(f"{line}\r\n".encode())
                        replies.readline()
                    began = time.perf_counter()
                    sock.sendall(f"RCPT TO:<{REMOTE}>\r\n".encode())
                    reply = replies.readline()
                    taken[name].append(time.perf_counter() - began)
                    assert reply.startswith(b"554"), reply
                    sock.sendall(b"QUIT\r\n")
                    replies.readline()
    base = statistics.median(taken["nothing"])
    for name, times in taken.items():
        times.sort()
        yield Row(f"RCPT, lookup by {name}: median", times[len(times) // 2] * 1000, "ms", 0)
        yield Row(f"RCPT, lookup by {name}: p99", times[len(times) * 99 // 100] * 1000, "ms", 0)
        if name != "nothing":
            added = (statistics.median(times) - base) * 1000
            yield Row(f"RCPT, lookup by {name}: median added", added, "ms", 0.2)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status."""
    parser = options("lookups", __doc__)
    parser.add_argument("--postfix", action="store_true", help="with a real Postfix (root)")
    arguments = parser.parse_args(argv)
    sizes = SHORT if arguments.short else Sizes()
    tell(_rows(sizes, with_postfix=arguments.postfix), arguments.json)
    return 0


def _rows(sizes: Sizes, *, with_postfix: bool) -> Iterator[Row]:
    compiling = [PYTHON, "-m", "compileall", "-q", str(ROOT / "pbs_filter")]
    subprocess.run(compiling, env=INSTALLED, check=True)
    with TemporaryDirectory(prefix="pbs-bench-") as directory:
        small = fill(Path(directory) / "small", 1_000)
        large = fill(Path(directory) / "large", sizes.many)
        yield from start(small, sizes)
        yield from questions(small, large, sizes)
        yield from served(small, sizes)
        yield from in_redis(sizes)
    if with_postfix:
        yield from postfix(sizes)


if __name__ == "__main__":
    sys.exit(main())
