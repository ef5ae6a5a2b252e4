"""Promise 10: conversations in pieces of every size, with slow and vanishing peers: no crash, no
descriptor lost, no answer to the wrong question."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pbs_filter.errors import ProtocolError
from pbs_filter.log import LookupLog
from pbs_filter.lookup.answer import NO, YES, Lookup
from pbs_filter.lookup.protocols import opensmtpd, policy, socketmap
from pbs_filter.lookup.protocols import server as serve
from pbs_filter.map_format.gdbm_reader import GdbmReader
from pbs_filter.service import omprog

from ..lookup import maps
from ..running import ENVIRONMENT, Running, login
from . import figure, number

CONVERSATIONS = number(1500, 60_000)
PEERS = number(150, 3000)
KNOWN = [f"192.0.2.{last}".encode() for last in range(1, 20)]


def key(chance: random.Random) -> bytes:
    """An address that may relay, or one that may not."""
    return (
        chance.choice(KNOWN) if chance.random() < 0.5 else b"198.51.100.%d" % chance.choice((1, 2))
    )


def as_socketmap(asked: bytes) -> bytes:
    return socketmap.netstring(b"pbs " + asked)


def as_policy(asked: bytes) -> bytes:
    return b"request=smtpd_access_policy\nhelo_name=x\nclient_address=%b\n\n" % asked


def pieces(data: bytes, chance: random.Random) -> Iterator[bytes]:
    """`data`, cut anywhere."""
    most = chance.choice((1, 2, 7, 100, 5000))
    while data:
        size = chance.randint(1, most)
        yield data[:size]
        data = data[size:]


def spoiled(data: bytes, chance: random.Random) -> bytes:
    """`data` with something wrong in it, mostly."""
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.choice((b"", b"\0", b":", b"\n\n", b"999999:", b"-1:", b"=",
                                      chance.randbytes(30), data, b"A" * 40_000)) + data[
        at + chance.choice((0, 0, 1, 5)) :
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "ask"), [(socketmap.Conversation, as_socketmap), (policy.Conversation, as_policy)]
)
def test_each_question_is_taken_once_and_in_order_however_it_is_cut(
    make: Callable[[], socketmap.Conversation | policy.Conversation], ask: Callable[[bytes], bytes]
) -> None:
    chance = random.Random(1)
    for _ in range(CONVERSATIONS):
        asked = [key(chance) for _ in range(chance.randint(1, 12))]
        conversation = make()
        taken = []
        for piece in pieces(b"".join(map(ask, asked)), chance):
            conversation.feed(piece)
            while (question := conversation.question()) is not None:
                taken.append(question[0])
        assert asked == taken
        assert not conversation.started
    figure("conversations cut to pieces", CONVERSATIONS)


@pytest.mark.parametrize(
    ("make", "ask"), [(socketmap.Conversation, as_socketmap), (policy.Conversation, as_policy)]
)
def test_a_spoiled_conversation_ends_in_an_error_of_the_protocol_and_nothing_else(
    make: Callable[[], socketmap.Conversation | policy.Conversation], ask: Callable[[bytes], bytes]
) -> None:
    chance = random.Random(2)
    replies: set[bytes] = set()
    for _ in range(CONVERSATIONS):
        conversation = make()
        try:
            for piece in pieces(spoiled(ask(key(chance)), chance), chance):
                conversation.feed(piece)
                while conversation.question() is not None:
                    pass
        except ProtocolError as error:
            replies.add(error.reply[:1])
    assert replies
    assert b"" not in replies
    figure("spoiled conversations", CONVERSATIONS)


def test_the_table_program_answers_each_request_with_its_own_number() -> None:
    chance = random.Random(3)
    for turn in range(CONVERSATIONS):
        numbers = [b"%08x" % (turn * 16 + n) for n in range(chance.randint(1, 8))]
        sent = b"".join(b"table|0.1|1.0|pbs|check|netaddr|%b|192.0.2.1\n" % n for n in numbers)
        lines = opensmtpd.Lines()
        found = []
        for piece in pieces(sent, chance):
            for line in lines.feed(piece):
                read = opensmtpd.read(line)
                assert isinstance(read, tuple)
                found.append(read[1])
        assert numbers == found
        for piece in pieces(spoiled(sent, chance), chance):
            for line in lines.feed(piece):
                try:
                    opensmtpd.read(line)
                except ProtocolError:
                    pass


def test_the_feed_cuts_lines_in_the_same_places_however_they_come() -> None:
    chance = random.Random(4)
    for _ in range(CONVERSATIONS):
        lines = [chance.randbytes(chance.choice((0, 1, 50, 3000))).replace(b"\n", b"") + b"\n"
                 for _ in range(chance.randint(1, 9))]  # fmt: skip
        if chance.random() < 0.1:
            lines.insert(chance.randrange(len(lines)), b"x" * 200_000 + b"\n")
        splitter = omprog.Splitter()
        counted = 0
        got = b""
        for piece in pieces(b"".join(lines), chance) if len(lines) < 5 else [b"".join(lines)]:
            block, overlong = splitter.feed(piece)
            counted += block.count(b"\n") + overlong
            got += block
        assert len(lines) == counted, "one acknowledgement for each line"
        short = [line[:-1] for line in lines if len(line) < 60_000]
        assert short == [line for line in got.split(b"\n")[:-1] if len(line) < 60_000]


@pytest.fixture
def server(place: Path) -> Iterator[Path]:
    """`pbs-lookup serve` in a thread of this process, on a unix socket."""
    maps.write(place / "map", {a.decode(): maps.value() for a in KNOWN})
    path = place / "socket"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(64)
    made = serve.SocketServer(
        [(listener, "socketmap")],
        Lookup(GdbmReader(str(place / "map"))),
        LookupLog(),
        request_seconds=0.5,
        max_connections=50,
    )
    thread = threading.Thread(target=made.run)
    thread.start()
    yield path
    made.stop()
    thread.join(20)
    assert not thread.is_alive()


def test_peers_that_vanish_or_dawdle_leave_nothing_behind(server: Path) -> None:
    chance = random.Random(5)
    before = len(os.listdir("/proc/self/fd"))
    dawdlers: list[socket.socket] = []
    for _ in range(PEERS):
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(20)
        peer.connect(str(server))
        data = as_socketmap(key(chance))
        kind = chance.randrange(5)
        try:
            if kind == 0:
                peer.close()
            elif kind == 1:
                peer.send(data[: chance.randrange(1, len(data))])
                peer.close()
            elif kind == 2:
                peer.send(data * 50)
                peer.close()  # without reading
            elif kind == 3:
                peer.send(data[:-3])
                dawdlers.append(peer)
            else:
                peer.send(spoiled(data, chance))
                peer.close()
        except OSError:
            peer.close()
        # And between them somebody who asks properly gets the answer to his own question.
        with socket.socket(socket.AF_UNIX) as proper:
            proper.settimeout(20)
            proper.connect(str(server))
            asked = key(chance)
            for piece in pieces(as_socketmap(asked), chance):
                proper.send(piece)
            assert socketmap.reply(YES if asked in KNOWN else NO) == proper.recv(1024), asked
        while len(dawdlers) > 10:
            dawdlers.pop(0).close()
    for peer in dawdlers:
        peer.settimeout(20)
        assert b"" == peer.recv(100), "who dawdles is let go"
        peer.close()
    assert before == len(os.listdir("/proc/self/fd"))
    figure("peers that vanish or dawdle", PEERS)


@pytest.mark.parametrize("mode", ["socketmap", "policy", "opensmtpd"])
def test_a_program_on_pipes_ends_well_whatever_it_reads(place: Path, mode: str) -> None:
    maps.write(place / "map", {a.decode(): maps.value() for a in KNOWN})
    chance = random.Random(6)
    for _ in range(number(5, 100)):
        data = spoiled(as_socketmap(key(chance)) * 3, chance) + chance.randbytes(2000)
        done = subprocess.run(
            [sys.executable, "-m", "pbs_filter.lookup", mode, f"--map={place}/map"],
            input=data,
            capture_output=True,
            env=ENVIRONMENT,
            timeout=300,
            check=False,
        )
        assert 0 == done.returncode, (data, done.stderr)
        assert b"Traceback" not in done.stderr
        assert b"OK OK" not in done.stdout.replace(b"5:OK OK,", b"")


def test_a_filter_that_is_spoken_to_in_pieces_answers_each_line_once(place: Path) -> None:
    chance = random.Random(7)
    with Running(place) as pipeline:
        assert b"OK" == pipeline.reply()
        descriptors = f"/proc/{pipeline.process.pid}/fd"
        before = len(os.listdir(descriptors))
        for turn in range(number(100, 3000)):
            line = login(f"192.0.2.{turn % 250 + 1}").encode()
            if chance.random() < 0.3:
                line = chance.randbytes(300).replace(b"\n", b"") + b"\n"
            for piece in pieces(line, chance) if turn % 10 == 0 else [line]:
                pipeline.send(piece)
            assert b"OK" == pipeline.reply()
        assert b"" == pipeline.reply(0.05)
        assert len(os.listdir(descriptors)) <= before + 2
        assert 0 == pipeline.end()
