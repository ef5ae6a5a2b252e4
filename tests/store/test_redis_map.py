"""The map in Redis beyond the contract (test_store): what is sent again, kept, and said.

Against a real redis-server, started here on a private socket.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pbs_filter.errors import ConfigError, StoreBusy, StoreDamaged
from pbs_filter.map_format import redis_url
from pbs_filter.map_format.check import is_intact
from pbs_filter.store import redis_queue, redis_sender
from pbs_filter.store.redis_client import TIMEOUT_SECONDS, Link
from pbs_filter.store.redis_map import RedisMap

from .. import hang
from ..real.daemons.process import wait_for
from ..real.daemons.redis import RedisServer, in_step, replica_of
from ..real.redis_filters import each_kind, kind
from .store_tools import memory_directory
from .store_writer import address_of, value_of

__all__ = ["kind"]

FAR = 4_000_000_000


@pytest.fixture
def server(kind: None) -> Iterator[RedisServer]:
    with memory_directory() as directory, RedisServer(directory / "redis", tcp=True) as running:
        yield running


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def open_map(
    server: RedisServer, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., RedisMap]]:
    """Opens a map, with nothing in it and connected unless `away`; quick to try again."""
    monkeypatch.setattr(redis_sender, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(redis_sender, "RENEW_SECONDS", 0.05)
    opened = []

    def open_map(
        location: str = "",
        name: str = "mx1",
        *,
        ends: Callable[[bytes], int] = lambda _value: FAR,
        away: bool = False,
    ) -> RedisMap:
        made = RedisMap(
            redis_url.parse(location or server.url),
            name,
            say=said.append,
            ends=ends,
            genuine=lambda a, v: is_intact(a.encode("ascii", "replace"), v),
        )
        opened.append(made)
        made.join(f"journal-{len(opened)}", is_new=True, words={})
        made.rebuild([])
        if not away:
            made.flush()
        return made

    yield open_map
    for one in opened:
        one.close()


def server_ids(mark: str) -> list[str]:
    """The replication ids in a mark."""
    return mark.split()[6:]


def entries(count: int) -> dict[str, bytes]:
    return {address_of(number): value_of(address_of(number), number) for number in range(count)}


def away(address_map: RedisMap, server: RedisServer) -> None:
    """Stop the server, and wait until the map has noticed."""
    server.stop()

    def noticed() -> bool:
        behind = address_map.behind()
        return behind is not None and behind.away_since is not None

    wait_for(noticed, "the map to notice")


def given_again(address_map: RedisMap, state: dict[str, bytes]) -> None:
    """Do what the persister does when the map asks for the whole state."""
    wait_for(lambda: address_map.should_rebuild(0), "the map to ask for the whole state")
    address_map.begin_rebuild()
    address_map.rebuild_step(state.items())
    assert address_map.finish_rebuild()


def test_a_restarted_server_gets_the_whole_state(
    open_map: Callable[..., RedisMap], server: RedisServer, said: list[str]
) -> None:
    state = entries(50)
    address_map = open_map()
    address_map.write(state)
    assert 50 == address_map.count()
    away(address_map, server)
    with pytest.raises(StoreBusy, match="cannot be reached"):
        address_map.mark_clean("1-1")
    with pytest.raises(StoreBusy, match="cannot be reached"):
        address_map.begin_rebuild()
    changed = {address_of(7): value_of(address_of(7), 700), address_of(8): None}
    address_map.write(changed)
    assert not address_map.should_rebuild(0)
    server.start()
    state[address_of(7)] = changed[address_of(7)]
    del state[address_of(8)]
    given_again(address_map, state)
    assert state == dict(address_map.items())
    assert address_map.behind() is None
    assert any("is there again" in sentence for sentence in said)


def test_after_a_lost_connection_only_what_waits_is_sent(
    open_map: Callable[..., RedisMap], server: RedisServer
) -> None:
    address_map = open_map()
    address_map.write(entries(5))
    address_map.flush()
    server.cli("DEL", f"pbs:{address_of(1)}")  # would come back with a whole state
    server.cli("CLIENT", "KILL", "TYPE", "normal")
    address_map.write({address_of(9): value_of(address_of(9), 9)})
    wait_for(lambda: server.cli("EXISTS", f"pbs:{address_of(9)}") == "1", "the new one")
    assert not address_map.should_rebuild(0)
    assert "0" == server.cli("EXISTS", f"pbs:{address_of(1)}")


def test_what_waits_while_redis_is_away_is_bounded_by_the_whole_state(
    open_map: Callable[..., RedisMap], server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_queue, "MAX_WAITING", 20)
    state = entries(60)
    address_map = open_map()
    away(address_map, server)
    address_map.write(entries(20))
    behind = address_map.behind()
    assert behind is not None
    assert 20 == behind.waiting
    address_map.write(state)
    behind = address_map.behind()
    assert behind is not None
    assert behind.waiting is None
    assert not address_map._queue.fresh
    server.start()
    given_again(address_map, state)
    assert state == dict(address_map.items())


def test_a_whole_state_that_was_begun_on_another_server_is_given_up(
    open_map: Callable[..., RedisMap], server: RedisServer
) -> None:
    state = entries(40)
    address_map = open_map()
    address_map.begin_rebuild()
    some = dict(list(state.items())[:20])
    address_map.rebuild_step(some.items())
    wait_for(lambda: server.cli("DBSIZE") == "21", "the first half")
    away(address_map, server)
    server.start()
    wait_for(lambda: address_map.should_rebuild(0), "the map to ask for all")
    with pytest.raises(StoreBusy, match="another server"):
        address_map.rebuild_step(state.items())
    with pytest.raises(StoreBusy, match="another server"):
        address_map.finish_rebuild()
    given_again(address_map, state)
    assert state == dict(address_map.items())


def test_an_emptied_redis_is_not_marked_before_it_has_the_state(
    open_map: Callable[..., RedisMap], server: RedisServer
) -> None:
    state = entries(10)
    address_map = open_map()
    address_map.write(state)
    address_map.flush()
    server.cli("FLUSHALL")
    wait_for(lambda: address_map.should_rebuild(0), "the map to ask for all")
    # A sign of life may have been on its way, and then is one of the data that are lost.
    mark = server.cli("HGET", "pbs:!filters", "mx1").split()
    assert not mark or mark[5] not in server.cli("HGET", "pbs:!filters", "!life")
    # Emptied once more while the state is on its way: from the start again.
    address_map.begin_rebuild()

    def is_claimed() -> bool:
        value = server.cli("HGET", "pbs:!filters", "mx1")
        return bool(value) and not server_ids(value)

    wait_for(is_claimed, "the claim")
    server.cli("FLUSHALL")
    with contextlib.suppress(StoreBusy):  # it may have been noticed
        address_map.finish_rebuild()
    given_again(address_map, state)
    assert state == dict(address_map.items())
    assert [server.info("master_replid")] == server_ids(server.cli("HGET", "pbs:!filters", "mx1"))


def test_what_has_ended_is_not_sent_and_ends_nothing_of_another_filter(
    open_map: Callable[..., RedisMap], server: RedisServer
) -> None:
    now = int(time.time())
    one = open_map(ends=lambda _value: now + 1000)
    other = open_map(name="mx2", ends=lambda _value: now - 1)
    value = value_of("192.0.2.7", 1)
    one.write({"192.0.2.7": value})
    one.flush()
    other.write({"192.0.2.7": value, "192.0.2.8": value_of("192.0.2.8", 1)})
    assert 0 == other.count()
    assert value == one.get("192.0.2.7")
    assert now + 1060 == int(server.cli("EXPIRETIME", "pbs:192.0.2.7"))
    assert "0" == server.cli("EXISTS", "pbs:192.0.2.8")


def test_a_key_without_an_end_gets_one_and_none_gets_an_earlier_one(
    open_map: Callable[..., RedisMap], server: RedisServer
) -> None:
    ends = iter([2000, 1000, 3000])
    now = int(time.time())
    address_map = open_map(ends=lambda _value: now + next(ends))
    server.cli("HSET", "pbs:192.0.2.7", "other", "x")  # killed before it gave the end
    for expected in (2060, 2060, 3060):
        address_map.write({"192.0.2.7": value_of("192.0.2.7", expected)})
        address_map.flush()
        assert now + expected == int(server.cli("EXPIRETIME", "pbs:192.0.2.7"))


def test_damage_is_not_handed_out(open_map: Callable[..., RedisMap], server: RedisServer) -> None:
    address_map = open_map()
    address_map.write(entries(2))
    address_map.flush()
    server.cli("HSET", f"pbs:{address_of(1)}", "mx1", "damaged")
    with pytest.raises(StoreDamaged, match="damaged"):
        address_map.get(address_of(1))
    assert [address_of(0)] == [address for address, _ in address_map.items()]


def test_a_replica_and_a_forgetful_server_are_named(
    open_map: Callable[..., RedisMap], server: RedisServer, said: list[str]
) -> None:
    with memory_directory() as directory, replica_of(server, directory) as replica:
        wait_for(lambda: in_step(replica), "the replica")
        address_map = open_map(replica.url, away=True)
        with pytest.raises(StoreBusy, match="is a replica; a filter writes to the master"):
            address_map.flush()
        wait_for(lambda: said, "the log")
        address_map.close()
    server.cli("CONFIG", "SET", "maxmemory", "100mb")
    server.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    open_map()
    assert any("noeviction, it is 'allkeys-lru'" in sentence for sentence in said)


def test_a_hung_server_holds_up_neither_a_write_nor_the_end(
    open_map: Callable[..., RedisMap], server: RedisServer
) -> None:
    address_map = open_map()
    server.process.signal(signal.SIGSTOP)
    try:
        with hang.ends():
            address_map.write(entries(1000))
            with pytest.raises(StoreBusy, match="has not taken everything"):
                address_map.flush(0.1)
            address_map.close()
    finally:
        server.process.signal(signal.SIGCONT)


def test_what_a_lost_connection_held_is_given_up_by_the_kernel_before_the_next_one(
    server: RedisServer,
) -> None:
    link = Link(redis_url.parse(server.url), "test")
    try:
        (connection,) = link._client.connection_pool._available_connections
        given_up_ms = connection._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    finally:
        link.close()
    assert 0 < given_up_ms < TIMEOUT_SECONDS * 1000


def test_without_redis_py_one_sentence_says_what_to_install(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['redis'] = None; from pbs_filter.cli import main; "
        "sys.exit(main(['--config=/dev/null', '--dbfile=redis://127.0.0.1:1', '--list']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert 78 == done.returncode
    assert "python3-redis" in done.stderr
    assert "pipx inject pbs-filter redis" in done.stderr
    assert 1 == done.stderr.count("\n")


def test_a_password_file_that_everybody_reads_is_refused_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret\n")
    file.chmod(0o644)
    location = redis_url.parse(f"redis://127.0.0.1:1?password_file={file}")
    with pytest.raises(ConfigError, match="chmod o-rwx"):
        RedisMap(location, "mx1", ends=lambda _value: FAR)
    file.unlink()
    with pytest.raises(ConfigError, match="No such file"):
        RedisMap(location, "mx1", ends=lambda _value: FAR)


def test_a_whole_state_is_marked_although_changes_never_cease(
    open_map: Callable[..., RedisMap], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Link.write

    def slow(*arguments: object) -> list[str]:
        time.sleep(0.002)
        return write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Link, "write", slow)
    address_map = open_map()
    address_map.rebuild(entries(2000).items())
    numbers = itertools.count()
    with hang.ends():
        while address_map._queue.whole is not None:
            address_map.write(
                {address_of(number): None for number in (next(numbers), next(numbers))}
            )
    assert address_map._queue.fresh, "there was always something"


def test_what_could_not_be_written_is_written_later(
    open_map: Callable[..., RedisMap], server: RedisServer
) -> None:
    state = entries(30)
    address_map = open_map()
    server.cli("CONFIG", "SET", "maxmemory", "1")
    address_map.write(state)
    with pytest.raises(StoreBusy, match="maxmemory"):
        address_map.flush()
    server.cli("CONFIG", "SET", "maxmemory", "0")
    assert state == wait_for(lambda: _items(address_map), "the state")
    # And a whole state, whose parts are put back.
    address_map.begin_rebuild()
    server.cli("CONFIG", "SET", "maxmemory", "1")
    address_map.rebuild_step({**state, "192.0.2.200": value_of("192.0.2.200", 1)}.items())
    address_map.finish_rebuild()
    with pytest.raises(StoreBusy, match="maxmemory"):
        address_map.flush()
    server.cli("CONFIG", "SET", "maxmemory", "0")
    wait_for(lambda: (_items(address_map) or {}).keys() == {*state, "192.0.2.200"}, "all of it")


def test_that_something_is_revoked_is_told_before_it_is_and_behind_it(
    open_map: Callable[..., RedisMap], server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lookup reads the marks before the address, and another filter the list behind the marks."""
    address_map = open_map()
    seen = []
    mark = Link.mark

    def marking(self: Link, field: str, value: bytes) -> None:
        if field == "!forgotten":
            seen.append(server.cli("HEXISTS", "pbs:192.0.2.7", "!forget:mx1"))
        mark(self, field, value)

    monkeypatch.setattr(Link, "mark", marking)
    at = int(time.time())
    address_map.revoke({"192.0.2.7": (at, at + 9000)}, 0)
    assert ["0", "1"] == seen


def _items(address_map: RedisMap) -> dict[str, bytes] | None:
    try:
        return dict(address_map.items())
    except StoreBusy:
        return None


@each_kind
@pytest.mark.parametrize(
    ("refuse", "mend", "todo"),
    [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "raise maxmemory"),
        (
            "CONFIG SET min-replicas-to-write 1",
            "CONFIG SET min-replicas-to-write 0",
            "start its replicas",
        ),
        ("ACL SETUSER default -hset", "ACL SETUSER default +hset", "the rights"),
        ("ACL SETUSER default -expireat", "ACL SETUSER default +expireat", "the rights"),
    ],
)
def test_a_server_that_refuses_writes_is_said_once_and_counted(
    refuse: str,
    mend: str,
    todo: str,
    open_map: Callable[..., RedisMap],
    server: RedisServer,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address_map = open_map()
    address_map.write(entries(3))
    address_map.flush()
    said.clear()
    server.cli(*refuse.split())
    address_map.write(entries(5))

    def tries() -> int:
        return int(server.info("total_connections_received"))

    def refused() -> int | None:
        behind = address_map.behind()
        return behind.away_since if behind is not None and todo in behind.trouble else None

    wait_for(lambda: refused() is not None, "the refusal to be seen")
    since, before = refused(), tries()
    monkeypatch.setattr(redis_sender.time, "time", lambda: 2_000_000_000.0)
    seen = set()
    while tries() < before + 60:
        seen.add(refused())
    assert seen == {since}
    assert 1 == len(said)
    assert todo in said[0]
    with pytest.raises(StoreBusy, match=todo):
        address_map.flush()
    monkeypatch.setattr(redis_sender, "SAY_SECONDS", 0.0)
    wait_for(lambda: len(said) > 1, "the next minute")
    monkeypatch.setattr(redis_sender, "SAY_SECONDS", 60.0)
    count = re.search(r"\(([\d,]+) more times since that was said\)$", said[1])
    assert count is not None
    assert int(count[1].replace(",", "")) > 3
    monkeypatch.undo()
    monkeypatch.setattr(redis_sender, "RETRY_SECONDS", 0.02)
    server.cli(*mend.split())
    wait_for(lambda: address_map.behind() is None, "everything to be sent")
    assert entries(5) == dict(address_map.items())
    assert "is there again" in said[-1]
