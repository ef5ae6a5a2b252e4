"""`pbs-lookup` in each of its modes, with the map in Redis."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..store.fake_redis import HANG, FakeRedis
from .redis_answers import ABSENT, FILTERS, INFO, KNOWN, closed_port, get, holding, texts

PROGRAM = [sys.executable, "-m", "pbs_filter.lookup"]
OK, NOTFOUND = b"5:OK OK,", b"9:NOTFOUND ,"
ASK = b"13:pbs 192.0.2.7,"


@pytest.fixture
def server() -> Iterator[FakeRedis]:
    with FakeRedis(holding()) as server:
        yield server


def run(mode: str, *arguments: str, **popen: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, mode, *arguments], capture_output=True, text=True, timeout=300, check=False,
        **popen,  # type: ignore[call-overload]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "address"), [(0, "192.0.2.7"), (1, "198.51.100.1"), (1, "mail.example.com")]
)
def test_check(status: int, address: str, server: FakeRedis) -> None:
    done = run("check", f"--map={server.url}", address)
    assert (status, "", "") == (done.returncode, done.stdout, done.stderr)


def test_check_asks_the_second_map_where_the_first_cannot_say(server: FakeRedis) -> None:
    away = f"--map=redis://127.0.0.1:{closed_port()}"
    assert 0 == run("check", away, f"--map={server.url}", "192.0.2.7").returncode
    done = run("check", away, "192.0.2.7")
    assert (75, "") == (done.returncode, done.stdout)
    assert "pbs-lookup: cannot answer: map: Redis at 127.0.0.1:" in done.stderr
    assert ": Connection refused" in done.stderr


def test_check_ends_in_time_where_all_servers_hang(server: FakeRedis) -> None:
    server.answer = lambda words: HANG
    done = run("check", *[f"--map={server.url}"] * 30, "192.0.2.7")
    assert (75, "") == (done.returncode, done.stdout)
    assert server.asked.count(get(KNOWN)) <= 1.2 / 0.4 + 1  # TOTAL_SECONDS, ANSWER_SECONDS
    assert "timed out" in done.stderr


def test_socketmap_keeps_its_connection(server: FakeRedis) -> None:
    done = subprocess.run(
        [*PROGRAM, "socketmap", f"--map={server.url}"],
        input=(ASK + b"16:pbs 198.51.100.1,") * 10,
        capture_output=True,
        timeout=300,
        check=True,
    )
    assert ((OK + NOTFOUND) * 10, b"") == (done.stdout, done.stderr)
    assert 1 == server.connections


def test_relaylock_hands_no_connection_on(server: FakeRedis) -> None:
    show = (
        "import os; fds = [f'/proc/self/fd/{n}' for n in os.listdir('/proc/self/fd')];"
        "print(os.environ.get('RELAYCLIENT'),"
        " [fd for fd in fds if os.path.lexists(fd) and 'socket' in os.readlink(fd)])"
    )
    for address, expected in ((KNOWN, " []\n"), (ABSENT, "None []\n")):
        environ = {**os.environ, "TCPREMOTEIP": address.decode()}
        done = run(
            "relaylock", f"--map={server.url}", sys.executable, "-c", show,
            env=environ, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert (expected, "") == (done.stdout, done.stderr)


def test_opensmtpds_table(server: FakeRedis) -> None:
    asked = b"".join(
        b"table|0.1|1.2|pbs|check|netaddr|%d|%b\n" % (number, address)
        for number, address in enumerate((KNOWN, ABSENT))
    )
    with subprocess.Popen(
        [*PROGRAM, "opensmtpd", server.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        said, _ = process.communicate(b"config|ready\n" + asked, 30)
    assert said.endswith(b"check-result|0|found\ncheck-result|1|not-found\n")


def test_serve_answers_everybody_in_time_while_redis_hangs(
    server: FakeRedis, tmp_path: Path
) -> None:
    where = tmp_path / "s"
    tmp_path.chmod(0o755)
    arguments = [f"--map={server.url}", f"--socketmap=unix:{where}"]
    if os.geteuid() == 0:
        arguments.append("--user=root")
    server.answer = holding({get(KNOWN): HANG, INFO: HANG, FILTERS: HANG})
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen([*PROGRAM, "serve", *arguments], stderr=subprocess.DEVNULL)
        )
        stack.callback(process.kill)
        deadline = time.monotonic() + 120
        while not where.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        peers = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(50)]
        began = time.monotonic()
        for peer in peers:
            peer.settimeout(10)
            peer.connect(str(where))
            peer.sendall(ASK)
        for peer in peers:
            assert b"TEMP map: Redis at 127.0.0.1:" in peer.recv(300)
        assert time.monotonic() - began < 5
        server.answer = holding({get(ABSENT): texts()})
        while time.monotonic() < deadline:
            peers[0].sendall(ASK)
            said = peers[0].recv(300)
            if said == OK:
                break
        assert OK == said
