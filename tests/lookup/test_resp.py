"""Replies of Redis, in any pieces, and of any content."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.errors import ProtocolError
from pbs_filter.lookup import resp
from pbs_filter.lookup.resp import Refusal, Reply, Server, command, redirection, replies, watched


def written(reply: object) -> bytes:
    """A reply as Redis writes it."""
    if reply is None:
        return b"$-1\r\n"
    if isinstance(reply, Refusal):
        return b"-%b\r\n" % reply
    if isinstance(reply, bytes):
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    assert isinstance(reply, list)
    return b"*%d\r\n%b" % (len(reply), b"".join(map(written, reply)))


def test_a_command_is_a_list_of_texts_whatever_is_in_them() -> None:
    assert b"*2\r\n$5\r\nHVALS\r\n$13\r\npbs:192.0.2.7\r\n" == command(b"HVALS", b"pbs:192.0.2.7")
    assert b"*1\r\n$2\r\n\r\n\r\n" == command(b"\r\n")


SAMPLES: list[tuple[bytes, list[Reply]]] = [
    (b"+OK\r\n", [b"OK"]),
    (b"-NOAUTH Authentication required.\r\n", [Refusal(b"NOAUTH Authentication required.")]),
    (b":-12\r\n", [-12]),
    (b"$0\r\n\r\n", [b""]),
    (b"$4\r\na\r\nb\r\n", [b"a\r\nb"]),
    (b"$-1\r\n", [None]),
    (b"*-1\r\n", [None]),
    (b"*0\r\n", [[]]),
    (b"*2\r\n$1\r\na\r\n:7\r\n", [[b"a", 7]]),
    (b"*1\r\n*2\r\n$1\r\na\r\n$-1\r\n", [[[b"a", None]]]),
    (b"+OK\r\n*1\r\n$1\r\na\r\n", [b"OK", [b"a"]]),
]


@pytest.mark.parametrize(("data", "expected"), SAMPLES)
def test_replies_are_read_once_they_are_complete(data: bytes, expected: list[Reply]) -> None:
    assert expected == replies(data, len(expected))
    assert [type(reply) for reply in expected] == list(
        map(type, replies(data, len(expected)) or [])
    )
    for end in range(len(data)):
        assert replies(data[:end], len(expected)) is None
    with pytest.raises(ProtocolError, match="more than was asked for"):
        replies(data + b"+", len(expected))


@pytest.mark.parametrize(
    "data",
    [
        b"220 mx1.example ESMTP",
        b"\x15\x03\x03",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"$x\r\n",
        b"$\r\n",
        b"$-2\r\n",
        b"$-\r\n",
        b"$ 1\r\n",
        b"$+1\r\n",
        b"$12345678901\r\n",
        b"$999999999\r\n",
        b"*999999999\r\n",
        b"$1\r\nab",
        b"$1\r\na\n",
        b":1.5\r\n",
        b"*1\r\n*1\r\n*1\r\n*1\r\n",
        b"*1\r\nx",
    ],
)
def test_what_is_not_the_protocol_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        replies(data, 1)


REPLIES = st.recursive(
    st.none() | st.binary(max_size=30) | st.integers(-(10**9), 10**9) | st.just(Refusal(b"ERR x")),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
).filter(lambda reply: _depth(reply) <= 2)


def _depth(reply: object) -> int:
    return 1 + max(map(_depth, reply), default=0) if isinstance(reply, list) else 0


@given(st.lists(REPLIES, min_size=1, max_size=4), st.data())
def test_whatever_redis_says_is_read_however_it_is_cut(
    expected: list[Reply], data: st.DataObject
) -> None:
    raw = b"".join(map(written, expected))
    assert expected == replies(raw, len(expected))
    end = data.draw(st.integers(0, len(raw) - 1))
    assert replies(raw[:end], len(expected)) is None


@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(st.sampled_from([b"$", b"*", b"+", b"-", b":", b"\r\n", b"1", b"9", b"a"])).map(
            b"".join
        ),
    ),
    st.integers(1, 4),
)
def test_rubbish_is_no_reply_or_not_the_protocol(data: bytes, count: int) -> None:
    try:
        found = replies(data, count)
    except ProtocolError:
        return
    assert found is None or len(found) == count


def test_a_reply_without_end_does_not_fill_the_memory() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="replies of more than"):
            replies(b"+" + bytes(resp.MAX_BYTES), 1)
        many = b"*%d\r\n" % resp.MAX_BYTES + b"*0\r\n" * (resp.MAX_BYTES // 8)
        assert replies(many, 1) is None
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


# ------------------------------------------------------------------ what it means


def test_texts_are_a_list_of_texts_and_nothing_else() -> None:
    assert [b"a", b""] == resp.texts([b"a", b""])
    assert [] == resp.texts([])
    for reply in (None, 1, b"a", Refusal(b"ERR"), [1], [None], [Refusal(b"ERR")], [[b"a"]]):
        with pytest.raises(ProtocolError):
            resp.texts(reply)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expected", "reply"),
    [
        (("127.0.0.1", 6381, False), Refusal(b"MOVED 3999 127.0.0.1:6381")),
        (("127.0.0.1", 6381, True), Refusal(b"ASK 3999 127.0.0.1:6381")),
        (("2001:db8::1", 6381, False), Refusal(b"MOVED 3999 2001:db8::1:6381")),
        (("", 6381, False), Refusal(b"MOVED 3999 :6381")),
        (None, Refusal(b"MOVED 3999 127.0.0.1")),
        (None, Refusal(b"MOVED 3999 127.0.0.1:123456")),
        (None, Refusal(b"MOVED 3999 127.0.0.1:")),
        (None, Refusal(b"MOVED 3999 /run/redis.sock:0")),
        (None, Refusal(b"MOVED 3999 127.0.0.1:65536")),
        (None, Refusal(b"MOVED")),
        (None, Refusal(b"CLUSTERDOWN The cluster is down")),
        (None, b"MOVED 3999 127.0.0.1:6381"),
        (None, [Refusal(b"MOVED 3999 127.0.0.1:6381")]),
    ],
)
def test_a_redirection_says_where_to_ask(expected: object, reply: Reply) -> None:
    assert expected == redirection(reply)


ID = b"a" * 40
CLOCK = b"server_time_usec:1234567\r\n"


@pytest.mark.parametrize(
    ("doubt", "info"),
    [
        ("", b"role:master\r\n"),
        ("", b"role:slave\r\nmaster_link_status:up\r\n"),
        ("this replica has lost its master", b"role:slave\r\nmaster_link_status:down\r\n"),
        ("this replica has lost its master", b"role:slave\r\n"),
        ("this replica has lost its master", b""),
    ],
)
def test_a_server_says_who_it_is_and_what_time_it_is(doubt: str, info: bytes) -> None:
    server = Server(b"# Server\r\n%b# R\r\n%bmaster_replid:%b\r\n" % (CLOCK, info, ID))
    assert (doubt, ID, 1234) == (server.doubt, server.replid, server.millis)
    server = Server(b"# R\r\nserver_time_usec:x\r\n" + info)
    assert (doubt, b"", 0) == (server.doubt, server.replid, server.millis)


@pytest.mark.parametrize("info", [None, 1, [], Refusal(b"ERR")])
def test_without_info_nothing_is_believed(info: Reply) -> None:
    with pytest.raises(ProtocolError, match="INFO"):
        Server(info)


def _replica(host: bytes, flags: bytes) -> Reply:
    return [b"name", b"x", b"ip", host, b"port", b"6380", b"flags", flags]


def test_sentinel_names_the_master_and_the_replicas_that_are_up() -> None:
    master: Reply = [b"192.0.2.1", b"6379"]
    replicas: Reply = [
        _replica(b"192.0.2.2", b"slave"),
        _replica(b"192.0.2.3", b"s_down,slave"),
        _replica(b"192.0.2.4", b"slave,disconnected"),
    ]
    assert [("192.0.2.1", 6379), ("192.0.2.2", 6380)] == watched(master, replicas)
    assert [("192.0.2.2", 6380)] == watched(None, replicas)
    assert [] == watched(None, Refusal(b"ERR No such master with that name"))


@pytest.mark.parametrize(
    ("master", "replicas"),
    [
        ([b"192.0.2.1"], []),
        ([b"192.0.2.1", b"x"], []),
        ([b"", b"6379"], []),
        ([b"192.0.2.1", b"123456"], []),
        ([b"/run/redis.sock", b"0"], []),
        (b"192.0.2.1", []),
        (None, [b"192.0.2.1"]),
        (None, [[b"ip", b"192.0.2.1"]]),
        (None, [[b"ip"]]),
    ],
)
def test_what_sentinel_cannot_have_said_is_refused(master: Reply, replicas: Reply) -> None:
    with pytest.raises(ProtocolError):
        watched(master, replicas)
