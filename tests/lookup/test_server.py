"""`pbs-lookup serve`: many peers at once, slow ones, vanishing ones, and its sockets' rights."""

from __future__ import annotations

import _gdbm
import contextlib
import os
import random
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pbs_filter.errors import ConfigError
from pbs_filter.log import LookupLog, Reporter
from pbs_filter.lookup.answer import Lookup, open_reader
from pbs_filter.lookup.protocols import server, sockets

from . import maps

OK, NOTFOUND = b"5:OK OK,", b"9:NOTFOUND ,"
ASK, ASK_OTHER = b"13:pbs 192.0.2.7,", b"13:pbs 192.0.2.8,"
POLICY_ASK = b"request=smtpd_access_policy\nclient_address=192.0.2.7\n\n"


class Quiet(LookupLog):
    """Keeps what would be said."""

    def __init__(self) -> None:
        Reporter.__init__(self)
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


class Running:
    """A server in a thread of its own."""

    def __init__(self, directory: Path, **limits: float) -> None:
        self.map = directory / "map.gdbm"
        maps.write(self.map, {"192.0.2.7": maps.value()})
        self.log = Quiet()
        self.path = str(directory / "socketmap")
        self.policy_path = str(directory / "policy")
        inet = sockets.listen("inet:127.0.0.1:0", mode=0)
        self.inet = inet.getsockname()
        self.server = server.SocketServer(
            [
                (sockets.listen(f"unix:{self.path}", mode=0o600), "socketmap"),
                (sockets.listen(f"unix:{self.policy_path}", mode=0o600), "policy"),
                (inet, "socketmap"),
            ],
            Lookup(open_reader(str(self.map))),
            self.log,
            **limits,  # type: ignore[arg-type]
        )
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()

    def connect(self, path: str | None = None) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        sock.connect(path or self.path)
        return sock

    def stop(self) -> None:
        self.server.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(**limits: float) -> Running:
        directory = tmp_path / str(len(started))
        directory.mkdir(mode=0o755)
        started.append(Running(directory, **limits))
        return started[-1]

    yield start
    for running in started:
        running.stop()


def receive(sock: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes, or what came before the end."""
    data = b""
    while len(data) < size and (block := sock.recv(size - len(data))):
        data += block
    return data


def at_end(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# ------------------------------------------------------------------ conversations


def test_it_answers_on_every_kind_of_socket(run: Callable[..., Running]) -> None:
    running = run()
    with running.connect() as sock:
        sock.sendall(ASK + ASK_OTHER)
        assert OK + NOTFOUND == receive(sock, 20)
    with running.connect(running.policy_path) as sock:
        sock.sendall(POLICY_ASK)
        assert b"action=OK\n\n" == receive(sock, 11)
    with socket.create_connection(running.inet, 10) as sock:
        sock.sendall(ASK)
        assert OK == receive(sock, 8)


def test_a_request_may_come_byte_by_byte(run: Callable[..., Running]) -> None:
    with run().connect() as sock:
        for byte in ASK + ASK_OTHER:
            sock.sendall(bytes([byte]))
        assert OK + NOTFOUND == receive(sock, 20)


def test_a_peer_that_half_closes_gets_its_answers_and_then_the_end(
    run: Callable[..., Running],
) -> None:
    """Exim's readsocket does so."""
    with run().connect() as sock:
        sock.sendall(ASK * 50)
        sock.shutdown(socket.SHUT_WR)
        assert OK * 50 == receive(sock, 10_000)


def test_a_broken_conversation_gets_not_now_and_then_the_end(run: Callable[..., Running]) -> None:
    running = run()
    with running.connect() as sock:
        sock.sendall(ASK + b"junk" + ASK)
        said = receive(sock, 10_000)
        assert said.startswith(OK)
        assert said[len(OK) :].partition(b":")[2].startswith(b"TEMP protocol error")
    assert any("protocol error" in line for line in running.log.lines)


def test_two_hundred_peers_each_get_their_own_answers(run: Callable[..., Running]) -> None:
    running = run()
    dice = random.Random(7)
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(running.connect()) for _ in range(200)]
        asked = [[dice.choice([(ASK, OK), (ASK_OTHER, NOTFOUND)]) for _ in range(5)] for _ in peers]
        for half in (slice(0, 40), slice(40, None)):
            for peer, rows in zip(peers, asked, strict=True):
                peer.sendall(b"".join(question for question, _ in rows)[half])
        for peer, rows in zip(peers, asked, strict=True):
            expected = b"".join(answer for _, answer in rows)
            assert expected == receive(peer, len(expected))


# ------------------------------------------------------------------ slow and vanishing peers


def test_half_a_request_is_waited_for_no_longer_than_the_limit(run: Callable[..., Running]) -> None:
    running = run(request_seconds=0.2)
    with running.connect() as slow, running.connect() as idle:
        slow.sendall(ASK[:5])
        assert at_end(slow)
        idle.sendall(ASK)
        assert OK == receive(idle, 8)


def test_a_peer_that_never_asks_is_closed_after_the_idle_limit(run: Callable[..., Running]) -> None:
    running = run(idle_seconds=0.2)
    with running.connect() as sock:
        sock.sendall(ASK)
        assert OK == receive(sock, 8)
        assert at_end(sock)
    assert [] == running.log.lines


def test_a_peer_that_takes_no_replies_stops_being_read_and_then_must_go(
    run: Callable[..., Running],
) -> None:
    running = run(request_seconds=1)
    with running.connect() as greedy, running.connect() as modest:
        greedy.setblocking(False)
        sent = 0
        while select.select([], [greedy], [], 0.3)[1]:
            sent += greedy.send(ASK * 100)
            assert sent < 50_000_000, "the server reads without end"
        modest.sendall(ASK)
        assert OK == receive(modest, 8)
        gone = select.poll()
        gone.register(greedy, 0)  # POLLHUP comes unasked
        # On a busy machine the server has read some more meanwhile.
        while not gone.poll(100):
            with contextlib.suppress(BlockingIOError, ConnectionError):
                sent += greedy.send(ASK * 100)
            assert sent < 50_000_000, "the server reads without end"
        said = b""
        with contextlib.suppress(ConnectionResetError):
            while block := greedy.recv(65536):
                said += block
        assert len(said) < sent / len(ASK) * len(OK)
    assert any("a peer took more than 1 s" in line for line in running.log.lines)


def test_a_peer_that_is_slow_to_take_replies_gets_all_of_them(run: Callable[..., Running]) -> None:
    running = run()
    questions = 20_000
    with running.connect() as sock:
        feeder = threading.Thread(target=sock.sendall, args=(ASK * questions,))
        feeder.start()
        feeder.join(0.3)  # until both directions are full
        assert OK * questions == receive(sock, len(OK) * questions)
        feeder.join()


def test_peers_that_vanish_leave_nothing_behind(run: Callable[..., Running]) -> None:
    running = run()
    with running.connect() as sock:
        sock.sendall(ASK)
        assert OK == receive(sock, 8)
    before = descriptors()
    dice = random.Random(11)
    for turn in range(300):
        if turn % 2:
            sock = running.connect()
        else:
            sock = socket.create_connection(running.inet, 10)
            # The connection ends with a reset instead of an orderly end.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.sendall((ASK * 3)[: dice.randrange(1, 52)])
        sock.close()
    with running.connect() as sock:
        # Everything before it has been accepted by now; the last ends may still be on their way.
        for _ in range(100):
            sock.sendall(ASK)
            assert OK == receive(sock, 8)
            if descriptors() <= before + 2:
                break
            time.sleep(0.01)
        assert descriptors() <= before + 2


def test_above_the_limit_the_longest_idle_must_go(run: Callable[..., Running]) -> None:
    running = run(max_connections=3)
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(running.connect()) for _ in range(3)]
        for peer in (peers[1], peers[0], peers[2]):
            peer.sendall(ASK)
            assert OK == receive(peer, 8)
        late = stack.enter_context(running.connect())
        late.sendall(ASK)
        assert OK == receive(late, 8)
        assert at_end(peers[1])
        for peer in (peers[0], peers[2], late):
            peer.sendall(ASK)
            assert OK == receive(peer, 8)


def test_where_all_are_busy_the_new_one_must_go_at_once(run: Callable[..., Running]) -> None:
    running = run(max_connections=2)
    with contextlib.ExitStack() as stack:
        busy = [stack.enter_context(running.connect()) for _ in range(2)]
        for peer in busy:
            peer.sendall(ASK + ASK[:5])
            assert OK == receive(peer, 8)
        assert at_end(stack.enter_context(running.connect()))
        for peer in busy:
            peer.sendall(ASK[5:])
            assert OK == receive(peer, 8)
    assert any("2 connections, all of them busy" in line for line in running.log.lines)


# ------------------------------------------------------------------ a locked map


def test_a_locked_map_costs_all_peers_together_one_patience(run: Callable[..., Running]) -> None:
    running = run()
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(running.connect()) for _ in range(50)]
        with _gdbm.open(str(running.map), "w"):
            for peer in peers:
                peer.sendall(ASK * 2)
            peers[0].sendall(b"11:pbs unknown,")
            for peer in peers:
                said = receive(peer, 20)
                assert b"TEMP map" in said
    assert 1 == len(running.log.lines)
    assert "locked by a writer" in running.log.lines[0]


def test_a_question_without_the_map_does_not_wait_for_it(run: Callable[..., Running]) -> None:
    running = run()
    with running.connect() as waits, running.connect() as other:
        with _gdbm.open(str(running.map), "w"):
            waits.sendall(ASK)
            other.sendall(b"11:pbs unknown,")
            assert NOTFOUND == receive(other, 12)
            assert not select.select([waits], [], [], 0)[0]
        assert OK == receive(waits, 8)


def test_questions_behind_one_that_waits_are_answered_in_order(run: Callable[..., Running]) -> None:
    running = run()
    with running.connect() as sock:
        with _gdbm.open(str(running.map), "w"):
            sock.sendall((ASK + ASK_OTHER) * 30)
            sock.shutdown(socket.SHUT_WR)
            time.sleep(
                0.02
            )  # so that the first question is waiting; the answers do not depend on it
        assert (OK + NOTFOUND) * 30 == receive(sock, 10_000)


# ------------------------------------------------------------------ the end


def test_a_stop_answers_what_was_asked_and_accepts_nothing_more(
    run: Callable[..., Running],
) -> None:
    running = run()
    with running.connect() as idle, running.connect() as asks:
        for each in (idle, asks):
            each.sendall(b"11:pbs unknown,")
            assert NOTFOUND == receive(each, 12)  # so both have been accepted
        with _gdbm.open(str(running.map), "w"):
            asks.sendall(ASK)
            idle.sendall(b"11:pbs unknown,")
            assert NOTFOUND == receive(idle, 12)  # and the server has seen both
            running.server.stop()
            assert at_end(idle)
            with socket.socket(socket.AF_UNIX) as late, pytest.raises(ConnectionRefusedError):
                late.connect(running.path)
        assert OK == receive(asks, 8)
        assert at_end(asks)
    running.thread.join(5)
    assert not running.thread.is_alive()


# ------------------------------------------------------------------ sockets


def test_a_socket_has_its_mode_and_group_from_the_first_moment(tmp_path: Path) -> None:
    path = tmp_path / "s"
    group = os.getgid()
    with sockets.listen(f"unix:{path}", mode=0o620, group=group):
        status = path.stat()
        assert stat.S_ISSOCK(status.st_mode)
        assert 0o620 == stat.S_IMODE(status.st_mode)
        assert group == status.st_gid
    assert [path] == list(tmp_path.iterdir())


def test_a_socket_left_behind_is_replaced_but_one_in_use_is_not(tmp_path: Path) -> None:
    where = f"unix:{tmp_path}/s"
    sockets.listen(where, mode=0o600).close()
    with (
        sockets.listen(where, mode=0o600),
        pytest.raises(ConfigError, match="another program serves it"),
    ):
        sockets.listen(where, mode=0o600)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    with pytest.raises(ConfigError, match="no socket"):
        sockets.listen(f"unix:{tmp_path}/s", mode=0o600)
    assert "precious" == (tmp_path / "s").read_text()


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777, 0o1777])
def test_a_directory_that_others_can_write_to_is_refused(mode: int, tmp_path: Path) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(ConfigError, match=f"others can write.*chmod go-w {directory}"):
        sockets.listen(f"unix:{directory}/s", mode=0o600)
    assert [] == list(directory.iterdir())


def test_so_is_one_below_it_or_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "open" / "shut").mkdir(parents=True)
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to("open/shut")
    for place in ("open/shut", "link"):
        with pytest.raises(ConfigError, match=f"others can write to '{tmp_path}/open'"):
            sockets.check_directory(str(tmp_path / place))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused_unless_we_become_him(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    os.chown(directory, 65534, 65534)
    with pytest.raises(ConfigError, match="belongs to uid 65534"):
        sockets.check_directory(str(directory))
    sockets.check_directory(str(directory), 65534)


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent.*No such file"):
        sockets.listen(f"unix:{tmp_path}/absent/s", mode=0o600)


@pytest.mark.parametrize(
    "where",
    [
        "inet:0.0.0.0:0",
        "inet:192.0.2.1:25",
        "inet:[::]:0",
        "inet:localhost:0",
        "inet:127.0.0.1",
        "inet:127.0.0.1:65536",
        "inet:127.0.0.1:x",
        "unix:relative/path",
        "/run/x.sock",
        "",
    ],
)
def test_a_place_that_is_not_local_or_not_a_place_is_refused(where: str) -> None:
    with pytest.raises(ConfigError, match="cannot listen at"):
        sockets.listen(where, mode=0o600)


def test_ipv6_loopback_is_a_place() -> None:
    with sockets.listen("inet:[::1]:0", mode=0) as sock:
        assert "::1" == sock.getsockname()[0]


# ------------------------------------------------------------------ the program


@contextlib.contextmanager
def program(*arguments: str, **popen: object) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "pbs_filter.lookup", "serve", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        **popen,  # type: ignore[call-overload]
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def told(tmp_path: Path) -> Iterator[socket.socket]:
    """Where sd_notify(3) messages arrive."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.bind(str(tmp_path / "notify"))
        (tmp_path / "notify").chmod(0o777)
        # The account it becomes must get there; pytest-xdist has a directory more.
        for directory in (tmp_path, *list(tmp_path.parents)[:3]):
            if directory.stat().st_uid == os.geteuid() and directory != Path("/tmp"):
                directory.chmod(0o755)
        yield sock


ROOT = os.geteuid() == 0
AS_NOBODY = ["--user=nobody"] if ROOT else []


def test_the_program_tells_systemd_and_ends_well_on_sigterm(
    tmp_path: Path, told: socket.socket
) -> None:
    maps.write(tmp_path / "map", {"192.0.2.7": maps.value()})
    (tmp_path / "map").chmod(0o644)
    arguments = [f"--map={tmp_path}/map", f"--socketmap=unix:{tmp_path}/s", *AS_NOBODY]
    environ = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
    with program(*arguments, env=environ) as process:
        assert b"READY=1" == told.recv(100)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(tmp_path / "s"))
            sock.sendall(ASK)
            assert OK == receive(sock, 8)
            if ROOT:
                assert 65534 == Path(f"/proc/{process.pid}").stat().st_uid
            process.send_signal(signal.SIGHUP)
            sock.sendall(ASK)
            assert OK == receive(sock, 8)
            process.send_signal(signal.SIGTERM)
            assert b"STOPPING=1" == told.recv(100)
            assert 0 == process.wait(10)
            assert at_end(sock)


def test_the_program_takes_sockets_from_systemd(tmp_path: Path, told: socket.socket) -> None:
    maps.write(tmp_path / "map", {"192.0.2.7": maps.value()})
    (tmp_path / "map").chmod(0o644)
    script = (
        "import os, sys\n"
        "one, two = map(int, sys.argv[1:3])\n"
        "os.dup2(one, 3); os.dup2(two, 4)\n"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2',"
        " LISTEN_FDNAMES='policy:socketmap')\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'pbs_filter.lookup', 'serve']"
        " + sys.argv[3:])"
    )
    environ = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
    with contextlib.ExitStack() as stack:
        listeners = []
        for name in ("policy", "socketmap"):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.bind(str(tmp_path / name))
            sock.listen()
            # Far from 3 and 4, so that one dup2() does not overwrite the other's source.
            listeners.append(os.dup2(sock.fileno(), 50 + len(listeners)))
            stack.callback(os.close, listeners[-1])
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", script, *map(str, listeners), f"--map={tmp_path}/map",
                 *AS_NOBODY],
                pass_fds=listeners,
                env=environ,
            )
        )  # fmt: skip
        stack.callback(process.kill)
        assert b"READY=1" == told.recv(100)
        for name, question, answer in (
            ("policy", POLICY_ASK, b"action=OK\n\n"),
            ("socketmap", ASK, OK),
        ):
            peer = stack.enter_context(socket.socket(socket.AF_UNIX))
            peer.settimeout(10)
            peer.connect(str(tmp_path / name))
            peer.sendall(question)
            assert answer == receive(peer, len(answer))


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({"LISTEN_FDS": "1", "LISTEN_FDNAMES": "pbs.socket"}, "FileDescriptorName=socketmap"),
        ({"LISTEN_FDS": "1", "LISTEN_FDNAMES": ""}, "FileDescriptorName=socketmap"),
        ({"LISTEN_FDS": "many"}, "LISTEN_FDS"),
    ],
)
def test_activation_without_a_kind_is_refused(environ: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        sockets.activated({"LISTEN_PID": str(os.getpid()), **environ})


def test_activation_for_another_process_is_none_of_our_business() -> None:
    assert [] == sockets.activated({"LISTEN_PID": "1", "LISTEN_FDS": "1"})


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([*AS_NOBODY], "nothing to serve"),
        ([*AS_NOBODY, "--socketmap=inet:192.0.2.1:25"], "cannot listen at"),
        (["--user=no-such-user"], "no user 'no-such-user'"),
        ([*AS_NOBODY, "--group=no-such-group"], "no group 'no-such-group'"),
        ([*AS_NOBODY, "--mode=999"], "octal"),
        ([*AS_NOBODY, "--idle-seconds=0"], "--idle-seconds='0' is not a number from 1"),
        ([*AS_NOBODY, "extra"], "unexpected argument 'extra'"),
    ],
)
def test_what_cannot_be_served_ends_with_a_sentence(arguments: list[str], why: str) -> None:
    with program(
        *arguments, "--policy=inet:127.0.0.1:0" if "idle" in str(arguments) else "--map=x"
    ) as process:
        said = process.communicate(timeout=300)[1]
    assert 2 == process.returncode
    assert why in said
    assert "Traceback" not in said


@pytest.mark.skipif(not ROOT, reason="about root")
def test_root_must_name_a_user() -> None:
    with program("--socketmap=inet:127.0.0.1:0") as process:
        assert "give --user=NAME" in process.communicate(timeout=300)[1]
    assert 2 == process.returncode
