"""Lookups in Redis: servers that lag, lie, hang, refuse, move; and never a wrong yes."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.errors import StoreBusy
from pbs_filter.lookup import redis_connection, redis_reader
from pbs_filter.lookup.answer import NO, NOT_NOW, YES
from pbs_filter.lookup.redis_reader import RedisReader
from pbs_filter.map_format.entry import encode
from pbs_filter.map_format.redis_fields import forgetting, sealed
from pbs_filter.map_format.redis_members import HEARD_MS, revoked

from .. import hang
from ..store.fake_redis import DROP, HANG, Answer, FakeRedis
from . import maps
from .redis_answers import (
    ABSENT,
    ENDED,
    FILTERS,
    INFO,
    INFO_OF,
    KNOWN,
    LIVING,
    MARKS,
    MASTER,
    NOW_MS,
    STALE_REPLICA,
    bulk,
    closed_port,
    get,
    holding,
    texts,
)
from .redis_lookups import lookup, lookups_end


@pytest.fixture
def serve() -> Iterator[Callable[..., FakeRedis]]:
    with contextlib.ExitStack() as stack:
        yield lambda answer=None: stack.enter_context(FakeRedis(answer or holding()))


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_connection, "ANSWER_SECONDS", 0.2)


@pytest.fixture(autouse=True)
def _no_connection_left() -> Iterator[None]:
    with lookups_end():
        yield


# ------------------------------------------------------------------ in order


def test_who_lives_may_relay_and_who_is_not_there_may_not(serve: Callable[..., FakeRedis]) -> None:
    server = serve()
    asks = lookup(server)
    assert YES == asks.ask(KNOWN)
    assert NO == asks.ask(ABSENT)
    assert YES == asks.ask(b"::ffff:192.0.2.7")


def test_an_address_that_has_ended_may_not(serve: Callable[..., FakeRedis]) -> None:
    assert NO == lookup(serve(holding({get(KNOWN): texts(ENDED)}))).ask(KNOWN)


def owner(*users: str) -> Callable[[str, bytes], bool]:
    """A binding by which a user may send as himself."""
    return lambda user, sender: user in users and user.encode() == sender


def test_each_hosts_user_may_send(serve: Callable[..., FakeRedis]) -> None:
    alice = encode(KNOWN.decode(), maps.value(900, user="alice")._replace(last=2_000_000_000))
    server = serve(holding({get(KNOWN): texts(LIVING, alice)}))
    for user in ("alice", "bob@example.org"):
        assert YES == lookup(server, owns=owner(user)).ask(KNOWN, user.encode())
    assert NO == lookup(server, owns=owner("eve")).ask(KNOWN, b"eve")


def test_of_several_users_on_a_host_each_may_send_until_his_own_end(
    serve: Callable[..., FakeRedis],
) -> None:
    key = KNOWN.decode()
    main = encode(key, maps.value(900, user="bob")._replace(users=3))
    users = {
        get(KNOWN + b"#1"): texts(encode(f"{key}#1", maps.value(900, user="alice"))),
        get(KNOWN + b"#2"): texts(encode(f"{key}#2", maps.value(maps.EXPIRED, user="dave"))),
        get(KNOWN + b"#3"): texts(
            encode(f"{key}#3", maps.value(900, user="bob")),
            encode(f"{key}#3", maps.value(900, user="carol")),
        ),
    }
    server = serve(holding({get(KNOWN): texts(main, LIVING), **users}))
    for user in ("alice", "bob", "carol", "bob@example.org"):
        assert YES == lookup(server, owns=owner(user)).ask(KNOWN, user.encode()), user
    for user in ("dave", "eve"):
        assert NO == lookup(server, owns=owner(user)).ask(KNOWN, user.encode())
    forgotten = {get(KNOWN): texts(main, LIVING, b"%010d" % (time.time() - 30))}
    server.answer = holding({**users, **forgotten})
    assert NO == lookup(server, owns=owner("alice")).ask(KNOWN, b"alice")
    server.answer = holding({get(KNOWN): texts(main), **users, get(KNOWN + b"#1"): texts(b"x")})
    assert NOT_NOW == lookup(server, owns=owner("alice")).ask(KNOWN, b"alice")
    server.answer = holding({get(KNOWN): texts(main)})
    assert NO == lookup(server, owns=owner("alice")).ask(KNOWN, b"alice")


def test_questions_share_a_connection_and_each_brings_its_proof_that_nothing_is_missing(
    serve: Callable[..., FakeRedis],
) -> None:
    server = serve()
    asks = lookup(server)
    for address in (ABSENT, ABSENT, KNOWN):
        assert (YES if address == KNOWN else NO) == asks.ask(address)
        assert [INFO, FILTERS, get(address)] == server.asked[-3:]
    assert 9 == len(server.asked)
    assert 1 == server.connections


def test_a_server_that_was_emptied_just_now_is_not_believed(
    serve: Callable[..., FakeRedis],
) -> None:
    server = serve()
    asks = lookup(server)
    assert NO == asks.ask(ABSENT)
    server.answer = holding(marks=())
    assert NOT_NOW == asks.ask(ABSENT)


def test_what_was_revoked_a_moment_ago_may_be_let_in_by_a_filter_that_has_not_heard_of_it(
    serve: Callable[..., FakeRedis],
) -> None:
    at = int(time.time())
    told = forgetting(at, at + 900)
    server = serve()
    asks = lookup(server)
    for expected, values, millis in (
        (NOT_NOW, (LIVING, told), NOW_MS - 1),
        (NO, (LIVING, told), NOW_MS - HEARD_MS),
        (NO, (ENDED, told), NOW_MS - 1),
        (YES, (LIVING, told, sealed(KNOWN, LIVING, at)), NOW_MS - 1),
    ):
        marks = (*MARKS, revoked(millis, b"1"))
        server.answer = holding({get(KNOWN): texts(*values)}, marks=marks)
        assert expected == asks.ask(KNOWN)
        assert NO == asks.ask(ABSENT)


def test_user_password_database_and_prefix_are_the_locations(
    serve: Callable[..., FakeRedis], tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    secret.chmod(0o640)
    server = serve(
        holding(
            {
                (b"HVALS", b"mx:!filters"): texts(*MARKS),
                (b"HVALS", b"mx:" + KNOWN): texts(LIVING),
            }
        )
    )
    where = f"127.0.0.1:{server.port}/2?prefix=mx:&password_file={secret}"
    assert YES == lookup(f"redis://pbs@{where}").ask(KNOWN)
    assert [(b"AUTH", b"pbs", b"s3cret"), (b"SELECT", b"2"), INFO] == server.asked[:3]
    server.asked.clear()
    assert NO == lookup(f"redis://{where}").ask(ABSENT)
    assert (b"AUTH", b"s3cret") == server.asked[0]
    assert (b"HVALS", b"mx:" + ABSENT) == server.asked[-1]


# ------------------------------------------------------------------ a no that is not to be believed


@pytest.mark.parametrize(
    ("info", "marks", "why"),
    [
        (MASTER, (), "no filter has sent its addresses"),
        (INFO_OF % b"role:master\r\nmaster_replid:b", MARKS, "since the last restart or failover"),
        (STALE_REPLICA, MARKS, "this replica has lost its master"),
    ],
)
@pytest.mark.parametrize("values", [(), (ENDED,)])
def test_without_proof_yes_is_yes_but_no_is_not_now(
    info: bytes,
    marks: tuple[bytes, ...],
    why: str,
    values: tuple[bytes, ...],
    serve: Callable[..., FakeRedis],
) -> None:
    server = serve(holding({get(ABSENT): texts(*values)} if not values else {}, info=info,
                           marks=marks))  # fmt: skip
    asks = lookup(server)
    assert YES == asks.ask(KNOWN)
    assert NOT_NOW == asks.ask(ABSENT)
    assert why in asks.trouble
    assert f"Redis at 127.0.0.1:{server.port}" in asks.trouble


def test_a_connection_that_was_lost_takes_its_proof_with_it(
    serve: Callable[..., FakeRedis],
) -> None:
    server = serve()
    asks = lookup(server)
    assert NO == asks.ask(ABSENT)
    server.drop_all()  # restarted, and what it had is gone
    server.answer = holding(marks=())
    assert NOT_NOW == asks.ask(ABSENT)
    assert YES == asks.ask(KNOWN)
    assert 2 == server.connections


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (LIVING[:-1] + b"x", "the entry of 192.0.2.7 is damaged"),
        (encode("192.0.2.8", maps.value()), "the entry of 192.0.2.7 is damaged"),
        (
            encode("192.0.2.7", maps.value()._replace(renewed=2_000_000_000)),
            "the clocks of the hosts disagree",
        ),
    ],
    ids=["damaged", "of another address", "from the future"],
)
def test_a_value_that_cannot_be_read_is_not_now(
    value: bytes, why: str, serve: Callable[..., FakeRedis]
) -> None:
    asks = lookup(serve(holding({get(KNOWN): texts(value)})))
    assert NOT_NOW == asks.ask(KNOWN)
    assert why in asks.trouble
    assert YES == lookup(serve(holding({get(KNOWN): texts(value, LIVING)}))).ask(KNOWN)


# ------------------------------------------------------------------ servers in trouble


@pytest.mark.parametrize(
    "refusal",
    [
        "LOADING Redis is loading the dataset in memory",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "NOAUTH Authentication required.",
        "NOPERM this user has no permissions to run the 'hvals' command",
        "READONLY You can't write against a read only replica.",
        "CLUSTERDOWN Hash slot not served",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "MOVED",
    ],
)
@pytest.mark.parametrize("to", [get(KNOWN), FILTERS, INFO])
def test_a_refusal_is_not_now_and_says_why(
    refusal: str, to: tuple[bytes, ...], serve: Callable[..., FakeRedis]
) -> None:
    asks = lookup(serve(holding({to: f"-{refusal}\r\n".encode()})))
    assert NOT_NOW == asks.ask(KNOWN)
    assert refusal in asks.trouble


def test_a_wrong_password_is_not_now(serve: Callable[..., FakeRedis], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("wrong\n")
    (tmp_path / "secret").chmod(0o600)
    server = serve(holding({(b"AUTH", b"pbs", b"wrong"): b"-WRONGPASS invalid\r\n"}))
    where = f"redis://pbs@127.0.0.1:{server.port}?password_file={tmp_path}/secret"
    asks = lookup(where)
    assert NOT_NOW == asks.ask(KNOWN)
    assert "WRONGPASS invalid" in asks.trouble
    (tmp_path / "secret").chmod(0o644)
    asks = lookup(where)
    assert NOT_NOW == asks.ask(KNOWN)
    assert f"chmod o-rwx {tmp_path}/secret" in asks.trouble
    (tmp_path / "secret").unlink()
    assert NOT_NOW == asks.ask(KNOWN)
    assert f"password file '{tmp_path}/secret': No such file" in asks.trouble
    assert [(b"AUTH", b"pbs", b"wrong")] == [w for w in server.asked if w[0] == b"AUTH"]


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (HANG, "timed out"),
        (DROP, "the connection was closed"),
        (b"220 mx1.example ESMTP\r\n", "not Redis's protocol"),
        (b"$5\r\n", "timed out"),
        pytest.param(texts(LIVING) * 2, "more than was asked for", id="twice"),
        pytest.param(bulk(LIVING), "not a list of texts", id="one text"),
        (b"*1\r\n:1\r\n", "not a list of texts"),
        (b"$-1\r\n", "not a list of texts"),
    ],
)
def test_a_server_that_does_not_answer_what_was_asked_is_not_now(
    reply: bytes | str, why: str, serve: Callable[..., FakeRedis]
) -> None:
    asks = lookup(serve(holding({get(KNOWN): reply})))
    with hang.ends():
        assert NOT_NOW == asks.ask(KNOWN)
    assert why in asks.trouble


def test_a_server_that_sends_byte_by_byte_does_not_get_more_time_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(now=0.0, time=time.time, monotonic=lambda: clock.now)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reader = RedisReader([f"redis://127.0.0.1:{listener.getsockname()[1]}"])
        place = reader._places[0]
        server = place._server(place._targets[0])

        class Slow:
            def settimeout(self, seconds: float) -> None:
                assert seconds > 0

            def sendall(self, data: bytes) -> None:
                pass

            def recv(self, size: int) -> bytes:
                clock.now += 0.01
                return b"+"

            def close(self) -> None:
                pass

        server._sock = Slow()  # type: ignore[assignment]
        clock.now = 0.0
        monkeypatch.setattr(redis_reader, "time", clock)
        monkeypatch.setattr(redis_connection, "time", clock)
        with pytest.raises(StoreBusy, match="timed out"):
            reader.get("192.0.2.7")
        assert 0.2 <= clock.now < 0.25  # ANSWER_SECONDS of these tests


def test_a_server_that_hangs_costs_a_crowd_of_questions_one_wait(
    serve: Callable[..., FakeRedis], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_connection, "REST_SECONDS", 60.0)
    server = serve(holding({get(KNOWN): HANG}))
    asks = lookup(server)
    for _ in range(50):
        assert NOT_NOW == asks.ask(KNOWN)
    assert 1 == server.asked.count(get(KNOWN))
    server.answer = holding()
    asks._reader._places[0]._servers["127.0.0.1", server.port]._rest_until = 0.0  # type: ignore[attr-defined]
    assert YES == asks.ask(KNOWN)


def test_all_servers_together_stay_within_the_limit_of_one_question(
    serve: Callable[..., FakeRedis], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_reader, "TOTAL_SECONDS", 0.5)
    servers = [serve(holding({get(KNOWN): HANG})) for _ in range(30)]
    assert NOT_NOW == lookup(*servers).ask(KNOWN)
    # 0.2 s for each, so that the third is the last.
    assert sum(server.asked.count(get(KNOWN)) for server in servers) <= 3


def test_the_limits_end_before_the_process_does() -> None:
    from pbs_filter.lookup.answer import HANG_SECONDS

    assert redis_reader.TOTAL_SECONDS < HANG_SECONDS


# ------------------------------------------------------------------ several servers


def test_the_first_that_can_say_decides(serve: Callable[..., FakeRedis]) -> None:
    replica = serve(holding({get(KNOWN): texts(LIVING), get(b"192.0.2.8"): b"*0\r\n"}))
    other = encode("192.0.2.8", maps.value())
    master = serve(holding({get(b"192.0.2.8"): texts(other)}))
    asks = lookup(replica, master)
    assert YES == asks.ask(KNOWN)
    assert NO == asks.ask(b"192.0.2.8")
    assert [] == master.asked


def test_the_next_is_asked_where_the_first_cannot_say(serve: Callable[..., FakeRedis]) -> None:
    damaged = {get(KNOWN): texts(LIVING[:-1] + b"x")}
    master = serve()
    for first in (
        f"redis://127.0.0.1:{closed_port()}",
        "unix:///nonexistent/redis.sock",
        serve(holding({get(KNOWN): HANG, get(ABSENT): HANG})),
        serve(holding(damaged, info=STALE_REPLICA)),
        serve(holding({get(KNOWN): b"-LOADING\r\n"}, marks=())),
    ):
        asks = lookup(first, master)
        assert YES == asks.ask(KNOWN)
        assert NO == asks.ask(ABSENT)


def test_where_none_can_say_all_their_troubles_are_told(serve: Callable[..., FakeRedis]) -> None:
    asks = lookup("unix:///nonexistent/redis.sock", serve(holding({get(KNOWN): b"-LOADING\r\n"})))
    assert NOT_NOW == asks.ask(KNOWN)
    assert "Redis at /nonexistent/redis.sock: No such file or directory; Redis" in asks.trouble
    assert asks.trouble.endswith("LOADING")


# ------------------------------------------------------------------ clusters


def test_a_node_that_does_not_hold_the_address_says_who_does(
    serve: Callable[..., FakeRedis],
) -> None:
    holder = serve()
    moved = f"-MOVED 3999 127.0.0.1:{holder.port}\r\n".encode()
    asked = serve(holding({get(KNOWN): moved, get(ABSENT): moved, FILTERS: moved}))
    asks = lookup(asked)
    assert YES == asks.ask(KNOWN)
    assert NO == asks.ask(ABSENT)


def test_the_filters_may_be_known_by_a_third_node(serve: Callable[..., FakeRedis]) -> None:
    third = serve(holding({get(ABSENT): b"-ERR not here\r\n"}))
    moved = f"-MOVED 1 127.0.0.1:{third.port}\r\n".encode()
    holder = serve(holding({FILTERS: moved}))
    asked = serve(holding({get(ABSENT): f"-MOVED 2 127.0.0.1:{holder.port}\r\n".encode()}))
    asks = lookup(asked)
    assert NO == asks.ask(ABSENT)
    # After the proof, which came from elsewhere, it is looked at again.
    assert [get(ABSENT), get(ABSENT)] == [w for w in holder.asked if w == get(ABSENT)]
    third.answer = holding(marks=())
    assert NOT_NOW == lookup(asked).ask(ABSENT)
    third.answer = lambda words: HANG
    assert YES == lookup(holder).ask(KNOWN)


def test_a_slot_that_is_moving_is_asked_for_where_it_goes(serve: Callable[..., FakeRedis]) -> None:
    new = serve(holding({(b"ASKING",): b"+OK\r\n"}))
    old = serve(holding({get(KNOWN): f"-ASK 3999 127.0.0.1:{new.port}\r\n".encode()}))
    assert YES == lookup(old).ask(KNOWN)
    assert [(b"ASKING",), get(KNOWN)] == new.asked[-2:]


def test_nodes_that_send_each_other_round_are_not_now(serve: Callable[..., FakeRedis]) -> None:
    server = serve()
    server.answer = holding({get(KNOWN): f"-MOVED 3999 :{server.port}\r\n".encode()})
    asks = lookup(server)
    assert NOT_NOW == asks.ask(KNOWN)
    assert "from server to server" in asks.trouble


@pytest.mark.parametrize("host", ["\0", "\ufffd" * 9, "x" * 300, "..", "[", "256.256.256.256"])
def test_a_node_that_is_no_host_is_not_now(host: str, serve: Callable[..., FakeRedis]) -> None:
    asks = lookup(serve(holding({get(KNOWN): f"-MOVED 1 {host}:6379\r\n".encode()})))
    assert NOT_NOW == asks.ask(KNOWN)
    assert "Redis at " in asks.trouble


def test_a_liar_cannot_make_us_keep_connections_without_end(
    serve: Callable[..., FakeRedis], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_reader, "MAX_SERVERS", 3)
    servers = [serve() for _ in range(6)]
    liar = serve()
    asks = lookup(liar)
    for server in servers:
        liar.answer = holding({get(KNOWN): f"-MOVED 1 127.0.0.1:{server.port}\r\n".encode()})
        assert YES == asks.ask(KNOWN)
        assert len(asks._reader._places[0]._servers) <= 3  # type: ignore[attr-defined]


# ------------------------------------------------------------------ Sentinel


def sentinel_says(master: FakeRedis | None, *replicas: FakeRedis) -> Answer:
    """The answers of a sentinel that watches `pbs`."""
    rows = [texts(b"ip", b"127.0.0.1", b"port", b"%d" % r.port, b"flags", b"slave")
            for r in replicas]  # fmt: skip
    told = {
        (b"SENTINEL", b"get-master-addr-by-name", b"pbs"): (
            texts(b"127.0.0.1", b"%d" % master.port) if master else b"*-1\r\n"
        ),
        (b"SENTINEL", b"replicas", b"pbs"): b"*%d\r\n%b" % (len(rows), b"".join(rows)),
        (b"AUTH", b"watch", b"s3cret"): b"+OK\r\n",
    }
    return lambda words: told.get(words, b"-ERR unknown command\r\n")


def watched_by(*sentinels: FakeRedis, more: str = "") -> str:
    hosts = ",".join(f"127.0.0.1:{s.port}" for s in sentinels)
    return f"redis+sentinel://{hosts}/pbs{more}"


def test_a_sentinel_is_asked_once_and_then_the_master(serve: Callable[..., FakeRedis]) -> None:
    master, replica = serve(), serve()
    sentinel = serve(sentinel_says(master, replica))
    asks = lookup(watched_by(sentinel))
    for _ in range(3):
        assert YES == asks.ask(KNOWN)
    assert 2 == len(sentinel.asked)
    assert [] == replica.asked


def test_replicas_answer_while_the_master_does_not(serve: Callable[..., FakeRedis]) -> None:
    master, replica = serve(), serve(holding(info=STALE_REPLICA))
    asks = lookup(watched_by(serve(sentinel_says(master, replica))))
    assert NO == asks.ask(ABSENT)
    master.close()
    assert YES == asks.ask(KNOWN)
    assert NOT_NOW == asks.ask(ABSENT)


def test_a_new_master_is_found(
    serve: Callable[..., FakeRedis], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_connection, "REST_SECONDS", 0.0)
    old, new = serve(), serve()
    sentinel = serve(sentinel_says(old))
    asks = lookup(watched_by(sentinel))
    assert YES == asks.ask(KNOWN)
    old.close()
    assert NOT_NOW == asks.ask(KNOWN)
    sentinel.answer = sentinel_says(new)
    assert YES == asks.ask(KNOWN)


def test_what_a_sentinel_once_said_is_used_while_none_answers(
    serve: Callable[..., FakeRedis], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_connection, "REST_SECONDS", 0.0)
    master = serve()
    sentinel = serve(sentinel_says(master))
    asks = lookup(watched_by(sentinel))
    assert YES == asks.ask(KNOWN)
    sentinel.close()
    master.answer = holding({get(KNOWN): b"-LOADING\r\n"})
    assert NOT_NOW == asks.ask(KNOWN)
    master.answer = holding()
    assert YES == asks.ask(KNOWN)


def test_in_trouble_sentinels_are_not_asked_for_each_question(
    serve: Callable[..., FakeRedis],
) -> None:
    master, replica = serve(holding({get(KNOWN): b"-LOADING\r\n"})), serve()
    sentinel = serve(sentinel_says(master, replica))
    asks = lookup(watched_by(sentinel))
    for _ in range(20):
        assert YES == asks.ask(KNOWN)
    assert 2 == len(sentinel.asked)


def test_sentinels_are_asked_in_turn_and_have_accounts_of_their_own(
    serve: Callable[..., FakeRedis], tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    (tmp_path / "secret").chmod(0o600)
    master = serve()
    silent = serve(lambda words: HANG)
    ignorant = serve(lambda words: b"*-1\r\n" if words[1] == b"replicas" else b"-ERR No\r\n")
    last = serve(sentinel_says(master))
    more = f"/2?sentinel_user=watch&sentinel_password_file={tmp_path}/secret"
    assert YES == lookup(watched_by(silent, ignorant, last, more=more)).ask(KNOWN)
    assert (b"AUTH", b"watch", b"s3cret") == last.asked[0]
    assert (b"SELECT", b"2") == master.asked[0]
    assert (b"SELECT", b"2") not in last.asked


def test_a_service_that_no_sentinel_knows_is_not_now(serve: Callable[..., FakeRedis]) -> None:
    asks = lookup(watched_by(serve(sentinel_says(None))))
    assert NOT_NOW == asks.ask(KNOWN)
    assert "it knows no 'pbs'" in asks.trouble


# ------------------------------------------------------------------ never a wrong yes


class Scripted:
    """A connection whose other end says `blocks`, whatever it is asked, and then is silent."""

    def __init__(self, blocks: list[bytes]) -> None:
        self._blocks = [block for block in blocks if block]

    def settimeout(self, seconds: float) -> None:
        pass

    def sendall(self, data: bytes) -> None:
        pass

    def recv(self, size: int) -> bytes:
        if not self._blocks:
            raise TimeoutError("timed out")
        return self._blocks.pop(0)

    def close(self) -> None:
        pass


HIT = bulk(MASTER) + texts(*MARKS) + texts(LIVING)
MISS = bulk(MASTER) + texts(*MARKS) + texts()


def scripted(blocks: list[bytes], address: bytes) -> str:
    """The answer to a question for `address` where Redis says `blocks`."""
    asks = lookup("redis://127.0.0.1:6379")
    place = asks._reader._places[0]  # type: ignore[attr-defined]
    place._server(place._targets[0])._sock = Scripted(blocks)
    return asks.ask(address)


_CUTS = st.lists(st.integers(0, len(HIT)), max_size=6).map(sorted)


@given(_CUTS)
def test_the_answer_is_the_same_however_it_is_cut(cuts: list[int]) -> None:
    for expected, said in ((YES, HIT), (NO, MISS)):
        ends = [0, *cuts, len(said)]
        blocks = [said[a:b] for a, b in pairwise(ends)]
        assert expected == scripted(blocks, KNOWN)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=200),
            st.sampled_from([HIT, MISS, bulk(MASTER), texts(LIVING), texts(*MARKS)]),
            st.tuples(st.integers(0, len(HIT) - 1), st.binary(min_size=1, max_size=2)).map(
                lambda t: HIT[: t[0]] + t[1] + HIT[t[0] + len(t[1]) :]
            ),
        ),
        max_size=4,
    )
)
def test_whatever_redis_says_only_the_address_that_lives_gets_in(blocks: list[bytes]) -> None:
    assert scripted(blocks, b"203.0.113.66") != YES
    if LIVING not in b"".join(blocks):
        assert scripted(blocks, KNOWN) != YES
