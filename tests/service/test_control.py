"""The control socket: no peer makes the filter wait, end, or keep a request."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import threading
import time

import pytest

from pbs_filter.errors import StoreBusy
from pbs_filter.service import control
from pbs_filter.service.control import MAX_PEERS, MAX_REQUEST, Control

from ..running import Running, login


@pytest.fixture
def served(tmp_path):
    made = Control(str(tmp_path / "c"))
    yield made
    made.close()


def peer(made: Control) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(made._path)
    connection.setblocking(False)
    return connection


def echo(request):
    return {"heard": request}


def serve(made: Control, answer=echo) -> None:
    """Serve until nothing is ready."""
    while select.select([made], [], [], 0)[0]:
        made.serve(answer)


def gone(connection: socket.socket) -> bool:
    try:
        return connection.recv(10) == b""
    except BlockingIOError:
        return False


def test_a_request_in_pieces_is_answered_once_it_is_complete(served):
    with peer(served) as one, peer(served) as other:
        one.send(b'{"do": ')
        serve(served)
        other.send(b'{"do": 2}\n')
        serve(served)
        assert {"heard": {"do": 2, "uid": os.geteuid()}} == json.loads(other.recv(100))
        one.send(b"1}\n")
        serve(served)
        assert {"heard": {"do": 1, "uid": os.geteuid()}} == json.loads(one.recv(100))
        assert gone(one)


@pytest.mark.parametrize("request_", [b"[" * 4000, b"[]", b"{", b"\xff", b"x" * MAX_REQUEST])
def test_what_is_no_object_is_said_to_be_none(served, request_):
    with peer(served) as one:
        one.send(request_ + b"\n")
        serve(served)
        assert {"error": "not a JSON object"} == json.loads(one.recv(100))


def test_a_peer_has_one_deadline_for_all_it_does(served, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with peer(served) as one, peer(served) as later:
        serve(served)
        for _ in range(3):
            clock[0] += control.PEER_SECONDS / 4
            one.send(b" ")
            serve(served)
            assert not gone(one)
        clock[0] += control.PEER_SECONDS / 4
        served.expire()
        assert gone(one)
        assert gone(later)


def test_of_too_many_peers_the_oldest_goes(served):
    peers = []
    for _ in range(MAX_PEERS + 1):
        peers.append(peer(served))
        serve(served)
    assert [True] + [False] * MAX_PEERS == [gone(connection) for connection in peers]
    for connection in peers:
        connection.close()


def test_a_long_answer_is_sent_as_it_is_taken(served):
    with peer(served) as one:
        one.send(b"{}\n")
        served.serve(echo)
        served.serve(lambda _request: {"long": "x" * 1_000_000})
        answer = b""
        while not answer.endswith(b"\n"):
            try:
                answer += one.recv(65536)
            except BlockingIOError:
                served.serve(echo)
        assert 1_000_000 < len(answer)
        serve(served)
        assert gone(one)


def test_who_leaves_before_the_answer_is_forgotten(served):
    with peer(served) as one:
        one.send(b"{}\n")
        serve(served)
    with peer(served) as other:
        other.send(b"{")
    serve(served)
    assert not served._peers


@pytest.mark.parametrize("do", ["authorise", "forget"])
def test_a_request_that_a_stopped_filter_did_not_answer_is_not_done_later(tmp_path, do):
    known, asked = "192.0.2.7", {"authorise": "192.0.2.8", "forget": "192.0.2.7"}[do]
    with Running(tmp_path) as filter_:
        assert b"OK" == filter_.reply()
        assert b"OK" == filter_.ask(login(known))
        filter_.signal(signal.SIGSTOP)
        try:
            with pytest.raises(StoreBusy, match="has not answered"):
                control.ask(
                    f"{filter_.map}.control",
                    {"do": do, "address": asked, "seconds": 600},
                    patience_seconds=0.2,
                )
        finally:
            filter_.signal(signal.SIGCONT)
        filter_.status()  # answered behind that one
        assert 0 == filter_.end()
        assert {known} == filter_.addresses()


def test_a_connection_that_is_gone_before_it_is_accepted_is_no_matter(served):
    served._accept()
    assert not served._peers


def test_lines_are_taken_while_a_peer_drips_and_another_sends_brackets(tmp_path):
    os.chmod(tmp_path, 0o750)
    with Running(tmp_path) as pipeline:
        pipeline.reply()
        with socket.socket(socket.AF_UNIX) as slow, socket.socket(socket.AF_UNIX) as hostile:
            for connection in (slow, hostile):
                connection.connect(str(tmp_path / "map.control"))
            hostile.send(b"[" * 4000 + b"\n")
            assert b'{"error": "not a JSON object"}\n' == hostile.recv(100)
            for number in range(20):
                slow.send(b" ")
                assert b"OK" == pipeline.ask(login(f"192.0.2.{number}"))
            assert pipeline.status()["lines"] == 20
        assert 0 == pipeline.end()


def test_a_filter_that_ends_before_it_has_answered_is_said_to(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(f"{tmp_path}/c")
        listening.listen()

        def end() -> None:
            connection, _ = listening.accept()
            connection.recv(1000)
            connection.close()

        ending = threading.Thread(target=end)
        ending.start()
        with pytest.raises(StoreBusy, match="it ended before it had answered; ask again"):
            control.ask(f"{tmp_path}/c", {"do": "status"})
        ending.join()


def test_without_a_descriptor_it_rests_and_does_not_spin(served, monkeypatch):
    """The connection that cannot be taken stays, and so `poll` would never wait."""
    now = [1000.0]
    monkeypatch.setattr(control.time, "monotonic", lambda: now[0])
    with peer(served) as waiting:
        waiting.send(b'{"do": 1}\n')
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
        try:
            served.serve(echo)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert [] == select.select([served], [], [], 0)[0]
        served.expire()
        assert [] == select.select([served], [], [], 0)[0]
        now[0] += control.REST_SECONDS
        served.expire()
        serve(served)
        assert {"heard": {"do": 1, "uid": os.geteuid()}} == json.loads(waiting.recv(100))


def test_a_filter_that_hangs_is_said_to_and_may_have_begun(tmp_path):
    path = str(tmp_path / "control")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with pytest.raises(StoreBusy, match=r"in 0\.1 s; it may have begun"):
            control.ask(path, {"do": "forget"}, 0.1)
