"""Filters on a real Redis: while it is there, away, hung, replaced by its replica, in pieces."""

from __future__ import annotations

import contextlib
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from pbs_filter.errors import PbsFilterError, StoreBusy
from pbs_filter.lookup.redis_reader import RedisReader

from ..running import ENVIRONMENT, Running, login, logout, wait_for
from .daemons.redis import RedisServer, cluster, replicated
from .packages import CHECKOUT
from .redis_filters import each_kind, kind, place, started

__all__ = ["kind", "place"]


@pytest.fixture
def server(place: Path) -> Iterator[RedisServer]:
    with RedisServer(place / "redis") as running:
        yield running


@pytest.fixture
def look() -> Iterator[Callable[[RedisServer], RedisReader]]:
    """Makes what pbs-lookup asks a server with."""
    made: list[RedisReader] = []

    def look(server: RedisServer) -> RedisReader:
        made.append(RedisReader([server.url]))
        return made[-1]

    yield look
    for reader in made:
        for target in reader._places:
            for connected in target._servers.values():
                connected.close()


Look = Callable[[RedisServer], RedisReader]


def ours(server: RedisServer, name: str, addresses: Iterable[str]) -> set[str]:
    """Those of `addresses` that the filter `name` has in this server."""
    script = (
        "local found = {} for _, a in ipairs(ARGV) do "
        "if redis.call('HEXISTS', 'pbs:' .. a, KEYS[1]) == 1 then table.insert(found, a) end end "
        "return found"
    )
    found = set()
    wanted = list(addresses)
    for start in range(0, len(wanted), 500):
        some = wanted[start : start + 500]
        found |= set(server.cli("EVAL", script, "1", name, *some).split())
    return found


def address(number: int) -> str:
    return f"198.51.100.{number}" if number < 250 else f"2001:db8::{number:x}"


def marked(server: RedisServer, name: str) -> str:
    """The servers that have all of a filter, by its mark."""
    return " ".join(server.cli("HGET", "pbs:!filters", name).split()[6:])


@each_kind
def test_a_login_is_there_for_lookups_and_ends_by_redis_itself(
    place: Path, server: RedisServer, look: Look
) -> None:
    with started(place, "mx1", server.url, "--grace=100") as pipeline:
        pipeline.ask(login("192.0.2.7"))
        lookup = look(server)
        value = wait_for(lambda: _found(lookup, "192.0.2.7"), "the login")
        assert b"bob" in value
        left = int(server.cli("TTL", "pbs:192.0.2.7"))
        assert 150 < left <= 160, "a minute longer than its value"
        assert lookup.get("192.0.2.8") is None, "a no is believed"
        assert server.info("master_replid") == marked(server, "mx1")
        assert 0 == pipeline.end()
        (listed,) = pipeline.listed()
        assert ("192.0.2.7", ["mx1"]) == (listed["address"], listed["filters"])
        assert "FILTERS" in pipeline.mode("--list").stdout.decode()


def _found(lookup: RedisReader, address: str) -> bytes | None:
    with contextlib.suppress(StoreBusy):  # not yet believed
        return lookup.get(address)
    return None


def _is_no(lookup: RedisReader, address: str) -> bool:
    try:
        return lookup.get(address) is None
    except StoreBusy:  # not yet believed
        return False


@each_kind
def test_lines_are_acknowledged_while_redis_is_away_or_hangs_and_nothing_is_lost(
    place: Path, server: RedisServer
) -> None:
    everything = {address(number) for number in range(600)}
    with started(place, "mx1", server.url) as pipeline:
        waits = []

        def log_in(numbers: range) -> None:
            for number in numbers:
                began = time.monotonic()
                assert b"OK" == pipeline.ask(login(address(number)))
                waits.append(time.monotonic() - began)

        log_in(range(200))
        wait_for(lambda: ours(server, "mx1", [address(199)]), "the first logins")
        server.process.signal(signal.SIGSTOP)
        log_in(range(200, 400))
        server.process.signal(signal.SIGCONT)
        wait_for(lambda: address(399) in ours(server, "mx1", everything), "the ones while it hung")
        server.stop()
        log_in(range(400, 600))
        wait_for(lambda: pipeline.status()["map"], "the filter to notice")
        late = pipeline.mode("--authorise", "192.0.2.9")
        assert 0 == late.returncode
        assert b"lookups do not see it yet" in late.stderr
        shown = wait_for(lambda: _away(pipeline), "what waits")
        assert 1 <= shown["waiting"] <= 600
        assert "nothing is taken since" in pipeline.mode("--status").stdout.decode()
        # Redis kept nothing: it gets all of the state again.
        server.start()
        wait_for(lambda: everything == ours(server, "mx1", everything), "every login")
        wait_for(lambda: server.info("master_replid") == marked(server, "mx1"), "the marker")
        wait_for(lambda: pipeline.status()["map"] is None, "nothing to wait")
        assert max(waits[200:]) < 2, "no line waited for Redis: that takes three seconds"
        log = pipeline.log.read_text()
        assert 1 == log.count("cannot be reached"), "said once a minute"
        assert "is there again" in log


def _away(pipeline: Running) -> dict | None:
    shown = pipeline.status()["map"]
    return shown if shown and shown["waiting"] and shown["away_since"] else None


@each_kind
def test_what_redis_has_not_taken_survives_the_filter(place: Path, server: RedisServer) -> None:
    everything = {address(number) for number in range(50)}
    with started(place, "mx1", server.url) as pipeline:
        wait_for(lambda: marked(server, "mx1"), "the marker")
        server.stop()
        for one in sorted(everything):
            pipeline.ask(login(one))
        pipeline.kill()
    with started(place, "mx1", server.url) as pipeline:
        pipeline.ask(login("192.0.2.9"))
        assert 0 == pipeline.end(), "an orderly end does not need Redis"
        assert "cannot be reached" in pipeline.log.read_text()
    with started(place, "mx1", server.url) as pipeline:
        server.start()
        wait_for(lambda: everything == ours(server, "mx1", everything), "every login")
        assert {"192.0.2.9"} == ours(server, "mx1", ["192.0.2.9"])


@each_kind
def test_what_a_lost_journal_held_is_found_in_redis(place: Path, server: RedisServer) -> None:
    with started(place, "mx2", server.url) as other:
        other.ask(login("192.0.2.8"))
        with started(place, "mx1", server.url) as pipeline:
            pipeline.ask(login("192.0.2.7"))
            assert 0 == pipeline.end()
        (place / "mx1" / "map.journal").unlink()
        with started(place, "mx1", server.url) as pipeline:
            wait_for(lambda: pipeline.status()["map"] is None, "all to be sent")
            assert 1 == pipeline.status()["authorised"], "ours, and not another filter's"
            assert {"192.0.2.7"} == ours(server, "mx1", ["192.0.2.7", "192.0.2.8"])
            assert "lost: 1 address" in pipeline.log.read_text()


@each_kind
def test_filters_share_addresses_and_none_ends_what_another_holds(
    place: Path, server: RedisServer, look: Look
) -> None:
    both = "192.0.2.7"
    key = f"pbs:{both}"

    def open_sessions() -> int:
        (listed,) = two.listed()
        assert ["mx1", "mx2"] == listed["filters"]
        return listed["open_sessions"]

    with (
        started(place, "mx1", server.url, "--grace=200") as one,
        started(place, "mx2", server.url, "--grace=100") as two,
    ):
        one.ask(login(both, session="abc"))
        wait_for(lambda: ours(server, "mx1", [both]), "the login at mx1")
        held, end = server.cli("HGET", key, "mx1"), server.cli("EXPIRETIME", key)
        two.ask(login(both, session="abc", user="alice"))
        wait_for(lambda: ours(server, "mx2", [both]), "the login at mx2")
        assert end == server.cli("EXPIRETIME", key), "a shorter grant of another host"
        assert 2 == open_sessions()
        two.ask(logout("abc", user="alice"))
        wait_for(lambda: 1 == open_sessions(), "the end at mx2")
        assert held == server.cli("HGET", key, "mx1")
        assert look(server).get(both)
        # mx2's address ends, mx1's does not.
        two.mode("--authorise", "192.0.2.8", "--for=1")
        one.mode("--authorise", "192.0.2.8", "--for=100")
        wait_for(lambda: not ours(server, "mx2", ["192.0.2.8"]), "the end of one")
        assert look(server).get("192.0.2.8")


@each_kind
def test_a_damaged_field_is_no_no_for_list_and_lookups_and_others_users_send(
    place: Path, server: RedisServer, look: Look
) -> None:
    def asked(address: str, sender: str = "") -> int | str:
        words = [sys.executable, "-m", "pbs_filter.lookup"]
        text = ""
        if sender:
            words += ["policy", "--sender={user}"]
            text = f"request=smtpd_access_policy\nclient_address={address}\nsender={sender}\n\n"
        else:
            words += ["check", address]
        words.insert(4, f"--map={server.url}")
        done = subprocess.run(
            words, input=text, env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if sender else done.returncode

    with (
        started(place, "mx1", server.url) as one,
        started(place, "mx2", server.url) as two,
    ):
        for host, user in ((one, "alice@example.org"), (one, "bob@example.org"), (two, "carol@x")):
            host.ask(login("192.0.2.7", user=user))
        wait_for(lambda: len(ours(server, "mx2", ["192.0.2.7"])), "the login")
        wait_for(lambda: len(one.listed()[0]["users"]) == 3, "all users")
        for user in ("alice@example.org", "bob@example.org", "carol@x"):
            assert "action=OK" == asked("192.0.2.7", user)
        assert "action=DUNNO" == asked("192.0.2.7", "eve@example.org")
        assert 0 == one.mode("--forget", "--user=bob@example.org").returncode
        assert "action=DUNNO" == asked("192.0.2.7", "bob@example.org")
        server.cli("HSET", "pbs:192.0.2.8", "mx9", "not an entry")
        assert (75, 75) == (asked("192.0.2.8"), one.mode("--list", "192.0.2.8").returncode)
        done = one.mode("--list")
        assert (75, True) == (done.returncode, b"entry of 192.0.2.8 is damaged" in done.stderr)
        assert (1, 1) == (asked("192.0.2.9"), one.mode("--list", "192.0.2.9").returncode)


@each_kind
def test_what_is_forgotten_on_one_host_is_forgotten_for_all(
    place: Path, server: RedisServer, look: Look
) -> None:
    lookup = look(server)
    with (
        started(place, "mx1", server.url, "--grace=4") as one,
        started(place, "mx2", server.url, "--grace=4") as two,
    ):
        two.ask(login("192.0.2.7", session="abc"))
        wait_for(lambda: two.addresses(), "the login")
        done = one.mode("--forget", "192.0.2.7")
        said = b"192.0.2.7: forgotten; the master has it\n"
        assert (0, said) == (done.returncode, done.stdout)
        assert lookup.get("192.0.2.7") is None
        assert set() == two.addresses()
        # The filter that saw the login ends it, too: there is no lease any more.
        wait_for(lambda: not server.cli("HGET", "pbs:192.0.2.7", "mx2"), "the other filter")
        assert lookup.get("192.0.2.7") is None
        two.ask(login("192.0.2.7"))
        wait_for(lambda: lookup.get("192.0.2.7"), "the next login")
        assert 1 == one.mode("--forget", "192.0.2.8").returncode
    # And without a filter that runs.
    one.mode("--authorise", "192.0.2.9", "--for=60")
    assert {"192.0.2.9"} <= one.addresses()
    assert 0 == one.mode("--forget", "192.0.2.9").returncode
    done = one.mode("--list", "192.0.2.9")
    assert (75, True) == (done.returncode, b"no sign of life of filter mx" in done.stderr)
    server.stop()
    done = one.mode("--forget", "192.0.2.9")
    assert 75 == done.returncode
    assert b"journal has it for the others" in done.stderr
    assert b"cannot be reached" in done.stderr


@each_kind
def test_exports_and_reprocess_work_as_with_a_map_on_this_host(
    place: Path, server: RedisServer
) -> None:
    config = place / "pbs.toml"
    config.write_text(
        f'[[export]]\nformat = "cidr"\npath = "{place}/list"\ninterval_seconds = 1\n'
        f'command = "/bin/cp {place}/list {place}/copy"\n'
    )
    copy = place / "copy"
    with started(place, "mx1", server.url, f"--config={config}") as pipeline:
        pipeline.ask(login("192.0.2.7"))
        wait_for(lambda: copy.exists() and "192.0.2.7" in copy.read_text(), "the export")
        wait_for(lambda: ours(server, "mx1", ["192.0.2.7"]), "the login")
        pipeline.end()
    stamp = datetime.now().astimezone().isoformat(timespec="seconds")
    line = login("192.0.2.8").replace("Nov 20 10:00:00", stamp)
    done = pipeline.mode("--reprocess", stdin=line)
    assert 0 == done.returncode, done.stderr
    assert {"192.0.2.7", "192.0.2.8"} == ours(server, "mx1", ["192.0.2.7", "192.0.2.8"])


@each_kind
def test_who_empties_redis_or_takes_our_name_is_noticed(place: Path, server: RedisServer) -> None:
    with started(place, "mx1", server.url) as pipeline:
        pipeline.ask(login("192.0.2.7"))
        server.cli("HSET", "pbs:192.0.2.99", "mx1", "stale", "mx2", "another's")
        wait_for(lambda: marked(server, "mx1"), "the marker")
        server.cli("FLUSHALL")
        wait_for(lambda: ours(server, "mx1", ["192.0.2.7"]), "its state, again")
        assert "was emptied" in pipeline.log.read_text()
        wait_for(lambda: marked(server, "mx1"), "the marker")
        server.cli("SET", "pbs:192.0.2.50", "not a hash")
        pipeline.ask(login("192.0.2.50"))
        pipeline.ask(login("192.0.2.51"))
        wait_for(lambda: ours(server, "mx1", ["192.0.2.51"]), "the good one")
        wait_for(lambda: "192.0.2.50 is not a hash" in pipeline.log.read_text(), "the wrong one")

        def is_noticed() -> bool:
            words = server.cli("HGET", "pbs:!filters", "mx1").split()
            words[4] = "another"
            server.cli("HSET", "pbs:!filters", "mx1", " ".join(words))
            trouble = (pipeline.status()["map"] or {}).get("trouble") or ""
            return "another filter writes to the map as 'mx1'" in trouble

        wait_for(is_noticed, "the clash")


@each_kind
def test_what_our_name_left_behind_is_removed_at_a_start(place: Path, server: RedisServer) -> None:
    server.cli("HSET", "pbs:192.0.2.99", "mx1", "stale", "mx2", "another's")
    with started(place, "mx1", server.url):
        wait_for(lambda: not ours(server, "mx1", ["192.0.2.99"]), "the stale field to go")
        assert {"192.0.2.99"} == ours(server, "mx2", ["192.0.2.99"])


def account_of_the_example(place: Path) -> tuple[str, Path]:
    """The filter's account for a server's configuration, and the file that has its password."""
    password = place / "password"
    password.write_text("secret\n")
    password.chmod(0o600)
    users = (CHECKOUT / "examples" / "redis" / "users.acl").read_text().splitlines()
    (acl,) = (line for line in users if line.startswith("user pbs-filter "))
    acl = acl.replace("#@filter-sha256@", ">secret")
    return acl, password


@each_kind
def test_an_account_with_the_rights_of_the_example_is_enough(place: Path) -> None:
    acl, password = account_of_the_example(place)
    with RedisServer(place / "redis", acl, tcp=True) as server:
        location = f"redis://pbs-filter@127.0.0.1:{server.port}?password_file={password}"
        with started(place, "mx1", location) as pipeline:
            pipeline.ask(login("192.0.2.7"))
            wait_for(lambda: marked(server, "mx1"), "the marker")
            assert {"192.0.2.7"} == pipeline.addresses()
            assert 0 == pipeline.mode("--forget", "192.0.2.7").returncode
            assert "" == server.cli("ACL", "LOG"), "nothing was refused"
            pipeline.end()
        password.write_text("wrong\n")
        done = pipeline.mode("--list")
        assert 75 == done.returncode
        assert b"password_file" in done.stderr


def test_failover_under_load(place: Path, look: Look, record_property) -> None:
    master = RedisServer(place / "a", tcp=True)
    with (
        master,
        replicated(place, master) as (replica, _, location),
        started(place, "mx1", location) as pipeline,
    ):
        pipeline.ask(login("192.0.2.7"))
        wait_for(lambda: ours(replica, "mx1", ["192.0.2.7"]), "the first login")
        lookups = Lookups(look(replica), "192.0.2.7", "192.0.2.8")
        numbers, waits = log_in_until(pipeline, seconds=1.0, first=1000)
        master.process.stop(signal.SIGKILL)
        more, more_waits = log_in_until(pipeline, seconds=4.0, first=numbers.stop)
        ended = time.monotonic()
        wait_for(lambda: replica.info("role") == "master", "the failover")
        everything = {address(number) for number in range(numbers.start, more.stop)}
        wait_for(lambda: everything == ours(replica, "mx1", everything), "every login")
        whole = time.monotonic() - ended
        wait_for(lambda: _is_no(look(replica), "192.0.2.8"), "a believed no")
        lookups.stop()
        assert [] == lookups.errors
        assert more.stop > numbers.stop
        waits += more_waits
        for name, value in (
            ("logins", len(everything)),
            ("logins_a_second", round(len(waits) / 5)),
            ("longest_acknowledgement_ms", round(max(waits) * 1000, 1)),
            ("median_acknowledgement_ms", round(statistics.median(waits) * 1000, 2)),
            ("last_login_in_the_new_master_after_ms", round(whole * 1000)),
            ("seconds_without_a_believed_no", round(lookups.without_no_seconds, 1)),
            ("lookups_on_the_replica", lookups.answered),
        ):
            record_property(name, value)
            print(name, value)
        assert max(waits) < 0.5


class Lookups:
    """Asks one server in a thread, for an address that is there and for one that is not."""

    def __init__(self, lookup: RedisReader, there: str, not_there: str) -> None:
        self._lookup = lookup
        self._there = there
        self._not_there = not_there
        self._over = threading.Event()
        self.answered = 0
        self.errors: list[str] = []
        """What was not a yes for the address that is there."""
        self.without_no_seconds = 0.0
        """The longest time without a believed no for the other one."""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        last_no = time.monotonic()
        while not self._over.wait(0.002):
            try:
                if self._lookup.get(self._there) is None:
                    self.errors.append("no")
                self.answered += 1
            except PbsFilterError as error:
                self.errors.append(repr(error))
            with contextlib.suppress(StoreBusy):
                assert self._lookup.get(self._not_there) is None
                now = time.monotonic()
                self.without_no_seconds = max(self.without_no_seconds, now - last_no)
                last_no = now

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


def log_in_until(pipeline: Running, *, seconds: float, first: int) -> tuple[range, list[float]]:
    """Some 500 logins a second, each from another address: their numbers, and how long each
    acknowledgement took."""
    began = time.monotonic()
    number, waits = first, []
    while (at := time.monotonic()) < began + seconds:
        assert b"OK" == pipeline.ask(login(address(number)))
        waits.append(time.monotonic() - at)
        number += 1
        ahead = began + (number - first) / 500 - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)  # the pace
    return range(first, number), waits


def test_faults_at_random_lose_nothing(place: Path, server: RedisServer) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)

    def hang() -> None:
        server.process.signal(signal.SIGSTOP)
        time.sleep(chance.uniform(0, 0.5))
        server.process.signal(signal.SIGCONT)

    def restart(number: signal.Signals) -> None:
        server.process.stop(number)
        server.start()

    def harm() -> None:
        faults = [
            hang,
            lambda: server.cli("FLUSHALL"),
            lambda: server.cli("CLIENT", "KILL", "TYPE", "normal"),
            lambda: restart(signal.SIGKILL),
            lambda: restart(signal.SIGTERM),
        ]
        while not over.wait(chance.uniform(0, 0.7)):
            chance.choice(faults)()

    over = threading.Event()
    harming = threading.Thread(target=harm)
    harming.start()
    everything = set()
    try:
        for first in range(1000, 4000, 1000):
            with started(place, "mx1", server.url) as pipeline:
                for number in range(first, first + 1000):
                    one = address(number)
                    assert b"OK" == pipeline.ask(login(one))
                    everything.add(one)
                    time.sleep(0.001)  # the pace
                pipeline.kill()
    finally:
        over.set()
        harming.join()
    with started(place, "mx1", server.url) as pipeline:
        wait_for(lambda: pipeline.status()["map"] is None, "all to be sent")
        assert everything == ours(server, "mx1", everything)


@each_kind
def test_a_cluster_keeps_each_address_where_it_belongs(place: Path, look: Look) -> None:
    everything = {address(number) for number in range(300)}
    with cluster(place) as nodes, started(place, "mx1", nodes[1].url) as pipeline:
        for one in sorted(everything):
            pipeline.ask(login(one))
        wait_for(lambda: everything == _in_cluster(nodes), "every login")
        lookup = look(nodes[0])
        for one in (address(7), address(290)):
            wait_for(lambda one=one: _found(lookup, one), "a lookup through another node")
        assert everything == pipeline.addresses()
        assert 0 == pipeline.mode("--forget", address(7)).returncode
        assert address(7) not in pipeline.addresses()
        wait_for(lambda: _found(lookup, address(7)) is None, "no")
        # One node loses everything: the state is sent again.
        nodes[2].stop()
        nodes[2].start()
        wait_for(lambda: everything <= _in_cluster(nodes) | {address(7)}, "every login, again")
        assert 0 == pipeline.end()


@each_kind
def test_a_cluster_is_found_when_the_node_that_is_named_has_died(place: Path, look: Look) -> None:
    """By a filter that is started then, by --list and by --forget: the nodes are remembered."""
    everything = {address(number) for number in range(30)}
    with cluster(place, replicas=1) as nodes:
        named, *others = nodes
        lookup = look(named)
        with started(place, "mx1", named.url) as pipeline:
            for one in sorted(everything):
                pipeline.ask(login(one))
            wait_for(lambda: everything == _in_cluster(nodes), "every login")
            wait_for(lambda: everything == _in_cluster(others), "the replica to have its part")
            for one in everything:  # so it gets to know the nodes
                wait_for(lambda one=one: _found(lookup, one), "a lookup")
            pipeline.kill()
        named.stop()
        with started(place, "mx1", named.url) as pipeline:
            pipeline.ask(login(address(31)))
            everything.add(address(31))
            wait_for(lambda: pipeline.status()["map"] is None, "all to be sent")
            assert everything == pipeline.addresses()
            assert 0 == pipeline.mode("--list", address(31)).returncode
            assert 0 == pipeline.mode("--forget", address(7)).returncode
            assert address(7) not in pipeline.addresses()
            wait_for(lambda: _is_no(lookup, address(7)), "no")
            for one in everything - {address(7)}:
                wait_for(lambda one=one: _found(lookup, one), "a lookup")
        # Who has remembered nothing has a second node to ask.
        both = f"{named.url},127.0.0.1:{others[0].port}"
        with started(place, "mx2", both) as pipeline:
            pipeline.ask(login(address(32)))
            wait_for(lambda: {address(32)} < pipeline.addresses(), "the other filter's login")


@each_kind
def test_in_a_cluster_a_revocation_is_done_when_the_replicas_have_it(place: Path) -> None:
    with cluster(place, replicas=1) as nodes, started(place, "mx1", nodes[1].url) as pipeline:
        numbers = range(250)
        slots = (int(nodes[0].cli("CLUSTER", "KEYSLOT", f"pbs:{address(n)}")) for n in numbers)
        # The first node alone has a replica.
        number = next(n for n, slot in zip(numbers, slots, strict=True) if _owns(nodes[0], slot))
        for _ in range(2):
            pipeline.ask(login(address(number)))
            wait_for(lambda: {address(number)} == pipeline.addresses(), "the login")
            done = pipeline.mode("--forget", address(number))
            assert (0, True) == (done.returncode, b"and 1 of 1 replica have it" in done.stdout)
        pipeline.ask(login(address(number)))
        wait_for(lambda: {address(number)} == pipeline.addresses(), "the login")
        nodes[-1].process.signal(signal.SIGSTOP)
        try:
            done = pipeline.mode("--forget", address(number))
        finally:
            nodes[-1].process.signal(signal.SIGCONT)
        assert (75, True) == (done.returncode, b"and 0 of 1 replica:" in done.stderr), done


@each_kind
def test_a_slot_that_moves_loses_nobody_with_the_rights_of_the_example(place: Path) -> None:
    acl, password = account_of_the_example(place)
    with cluster(place, f"{acl} +asking +cluster|slots +command") as nodes:  # as README has it
        one = address(7)
        slot = nodes[0].cli("CLUSTER", "KEYSLOT", f"pbs:{one}")
        ids = [node.cli("CLUSTER", "MYID") for node in nodes]
        (source,) = (n for n, node in enumerate(nodes) if _owns(node, int(slot)))
        target = (source + 1) % len(nodes)
        location = f"redis://pbs-filter@127.0.0.1:{nodes[0].port}?password_file={password}"
        with started(place, "mx1", location) as pipeline:
            wait_for(lambda: pipeline.status()["map"] is None, "all to be sent")
            nodes[target].cli("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
            nodes[source].cli("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
            pipeline.ask(login(one))  # ASK: it is not there yet
            wait_for(lambda: {one} == _in_cluster([nodes[target]]), "the login")
            assert {one} == pipeline.addresses()
            for node in (nodes[target], nodes[source], *nodes):
                node.cli("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
            assert 0 == pipeline.mode("--forget", one).returncode  # MOVED
            assert set() == pipeline.addresses()
            pipeline.ask(login(one))
            wait_for(lambda: {one} == pipeline.addresses(), "the login behind the move")
            assert pipeline.status()["map"] is None
            assert all("" == node.cli("ACL", "LOG") for node in nodes), "nothing was refused"


def _owns(node: RedisServer, slot: int) -> bool:
    (mine,) = (line for line in node.cli("CLUSTER", "NODES").splitlines() if "myself" in line)
    first, last = map(int, mine.split()[8].split("-"))
    return first <= slot <= last


def _in_cluster(nodes: list[RedisServer]) -> set[str]:
    found = set()
    for node in nodes:
        keys = node.cli("KEYS", "pbs:*").split()
        found |= {key.removeprefix("pbs:") for key in keys if "!" not in key}
    return found
