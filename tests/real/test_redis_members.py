"""Several filters on a real Redis that empties, restarts, lags, hangs, or is closed to one of them:
an acknowledged login is never "no" beyond the moment that its way takes, and a revocation is never
undone."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pbs_filter.cli import main
from pbs_filter.commands import forget
from pbs_filter.config.load import build
from pbs_filter.doctor.run import shared_map
from pbs_filter.map_format.redis_members import decode

from ..running import ENVIRONMENT, login, run, wait_for
from .daemons.redis import RedisServer, in_step, replica_of, replicated
from .redis_filters import NO, NOT_NOW, YES, Asks, asking, each_kind, kind, place, started

__all__ = ["kind", "place"]

pytestmark = each_kind

OF_A, OF_B, STRANGER = "192.0.2.1", "192.0.2.2", "198.51.100.9"


@pytest.fixture
def server(place: Path) -> Iterator[RedisServer]:
    with RedisServer(place / "redis", tcp=True) as running:
        yield running


@pytest.fixture
def look() -> Iterator[Callable[[RedisServer], Asks]]:
    with asking() as ask:
        yield ask


Look = Callable[[RedisServer], Asks]


def knows(place: Path, name: str, what: str) -> bool:
    """Whether the journal of a filter has the word `what`."""
    return f"g\t{what}\t".encode() in (place / name / "map.journal").read_bytes()


def instances(journal: Path) -> set[bytes]:
    """The names that a journal had."""
    return set(re.findall(rb"\bi\t([0-9a-f]{16})", journal.read_bytes()))


def test_after_redis_was_emptied_only_the_absent_filters_own_word_makes_a_no(
    place: Path, server: RedisServer, look: Look
) -> None:
    asks = look(server)
    with started(place, "a", server.url) as a:
        with started(place, "b", server.url) as b:
            a.ask(login(OF_A))
            b.ask(login(OF_B))
            assert asks.until(OF_A, YES) <= {NO, NOT_NOW}
            assert asks.until(OF_B, YES) <= {NO, NOT_NOW}
            asks.until(STRANGER, NO)
            wait_for(lambda: knows(place, "a", "m b"), "a to know b")
            b.kill()
        server.cli("FLUSHALL")
        assert {NOT_NOW} == {asks(OF_B)}
        assert asks.until(OF_A, YES) <= {NOT_NOW}
        assert {NOT_NOW} == asks.lasting(OF_B)
        assert "filter b has not sent" in asks.trouble
        assert "pbs-filter --retire b" in asks.trouble
        # By none of the filters that were there is it forgotten that there is a third one.
        a.kill()
        with started(place, "a", server.url):
            server.cli("FLUSHALL")
            assert asks.until(OF_A, YES) <= {NOT_NOW}
            assert {NOT_NOW} == asks.lasting(OF_B)
            with started(place, "b", server.url):
                assert asks.until(OF_B, YES) <= {NOT_NOW}
                assert asks.until(STRANGER, NO) <= {NOT_NOW}


def test_a_lookup_that_is_started_again_remembers_a_filter_that_nobody_else_knows(
    place: Path, server: RedisServer
) -> None:
    (place / "members").mkdir()

    def check(address: str) -> tuple[int, bytes]:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pbs_filter.lookup", "check"),
                *(f"--map={server.url}", f"--members={place}/members", address),
            ],
            env=ENVIRONMENT,
            capture_output=True,
            check=False,
        )
        return done.returncode, done.stderr

    with started(place, "b", server.url) as b:
        b.ask(login(OF_B))
        wait_for(lambda: check(OF_B)[0] == 0, "the login")
        wait_for(lambda: check(STRANGER)[0] == 1, "a no")
        b.kill()
        server.cli("FLUSHALL")
        # Where the place of the members is lost at the same time, nobody knows whom to wait for.
        with started(place, "a", server.url) as a:
            wait_for(lambda: a.status()["map"] is None, "all to be sent")
            (place / "members").rename(place / "lost")
            status, said = check(OF_B)
            assert status == 75
            assert f"the directory '{place}/members' of --members is missing".encode() in said
            (place / "lost").rename(place / "members")
            (file,) = (place / "members").iterdir()
            whole = file.read_bytes()
            file.write_bytes(b"xx\n")
            status, said = check(OF_B)
            assert (status, b"is damaged" in said) == (75, True)
            file.write_bytes(whole)
            a.kill()
    server.process.stop(signal.SIGKILL)
    server.start()
    # It never met the other one, and it has sent all that it knows.
    with started(place, "a", server.url) as a:
        a.ask(login(OF_A))
        wait_for(lambda: check(OF_A)[0] == 0, "the login")
        wait_for(lambda: a.status()["map"] is None, "all to be sent")
        for address in (OF_B, STRANGER):
            status, said = check(address)
            assert status == 75
            assert b"filter b has not sent its addresses" in said
            assert b"pbs-filter --retire b" in said
        done = a.mode("--retire", "b")
        assert 0 == done.returncode, done.stderr
        assert b"no filter of that name is known there; there are: a" in done.stdout
        wait_for(lambda: check(STRANGER)[0] == 1, "a no")
        (file,) = (place / "members").iterdir()
        assert file.read_bytes().endswith(b" a\n")
        assert b" b\n" not in file.read_bytes()


def test_a_server_that_is_restarted_at_once_and_empty_says_no_to_nobody(
    place: Path, server: RedisServer, look: Look
) -> None:
    asks = look(server)
    with started(place, "a", server.url) as a, started(place, "b", server.url) as b:
        a.ask(login(OF_A))
        b.ask(login(OF_B))
        for address in (OF_A, OF_B):
            asks.until(address, YES)
        asks.until(STRANGER, NO)
        wait_for(lambda: knows(place, "a", "m b") and knows(place, "b", "m a"), "a and b to meet")
        for stopped in (None, b):
            if stopped is not None:
                stopped.signal(signal.SIGSTOP)
            server.process.stop(signal.SIGKILL)
            server.start()
            assert asks.until(OF_A, YES) <= {NOT_NOW}
            if stopped is not None:
                assert {NOT_NOW} == asks.lasting(OF_B)
                stopped.signal(signal.SIGCONT)
            assert asks.until(OF_B, YES) <= {NOT_NOW}
            assert asks.until(STRANGER, NO) <= {NOT_NOW}


def test_a_replica_that_is_promoted_without_the_last_logins_says_no_to_none_of_them(
    place: Path, server: RedisServer, look: Look
) -> None:
    """Nor where the clock of a third filter is ahead, so that the others seem to be silent."""
    with replicated(place, server) as (replica, _, location):
        asks = look(replica)
        ahead = started(place, "ahead", location, python_path=wrong_clock(place, 300))
        with started(place, "a", location) as a, ahead:
            a.ask(login(OF_A))
            with started(place, "b", location) as b:
                wait_for(lambda: "b" in replica.cli("HKEYS", "pbs:!filters").split(), "b")
                asks.until(STRANGER, NO)
                asks.until(OF_A, YES)
                replica.process.signal(signal.SIGSTOP)
                server.cli("CLIENT", "KILL", "TYPE", "replica")
                b.ask(login(OF_B))
                at_master = look(server)
                at_master.until(OF_B, YES)
                b.kill()
            server.process.stop(signal.SIGKILL)
            replica.process.signal(signal.SIGCONT)
            wait_for(lambda: replica.info("role") == "master", "the failover")
            assert asks(OF_B) == NOT_NOW
            a.ask(login("192.0.2.3"))
            assert asks.until("192.0.2.3", YES) <= {NOT_NOW}
            wait_for(lambda: ahead.status()["map"] is None, "the third filter to have sent all")
            assert {NOT_NOW} == asks.lasting(OF_B)
            assert YES == asks(OF_A)
            with started(place, "b", location):
                assert asks.until(OF_B, YES) <= {NOT_NOW}
                assert asks.until(STRANGER, NO) <= {NOT_NOW}


def test_a_replica_whose_master_hangs_says_no_only_while_signs_of_life_come(
    place: Path, server: RedisServer, look: Look
) -> None:
    with replica_of(server, place / "replica") as replica, started(place, "a", server.url) as a:
        wait_for(lambda: in_step(replica), "the replica")
        asks = look(replica)
        asks.until(STRANGER, NO)
        server.process.signal(signal.SIGSTOP)
        try:
            a.ask(login(OF_A))
            asks.until(OF_A, NOT_NOW)
            assert "no sign of life of filter a" in asks.trouble
            assert in_step(replica), "it has not noticed yet"
            assert {NOT_NOW} == asks.lasting(OF_A) | asks.lasting(STRANGER)
        finally:
            server.process.signal(signal.SIGCONT)
        assert asks.until(OF_A, YES) <= {NOT_NOW}
        assert asks.until(STRANGER, NO) <= {NOT_NOW}


def test_one_filter_that_is_cut_off_is_named_and_may_be_retired(place: Path, look: Look) -> None:
    rights = "~pbs:* +@all"
    users = [f"user {name} on >{name} {rights}" for name in ("a", "b")]
    for name in ("a", "b"):
        (place / f"{name}.password").write_text(name)
        (place / f"{name}.password").chmod(0o600)
    with RedisServer(place / "redis", *users, tcp=True) as server:
        asks = look(server)

        def location(name: str) -> str:
            return f"redis://{name}@127.0.0.1:{server.port}?password_file={place}/{name}.password"

        with started(place, "a", location("a")) as a, started(place, "b", location("b")) as b:
            asks.until(STRANGER, NO)
            assert 2 == a.mode("--retire", "b").returncode, "it lives"
            server.cli("ACL", "SETUSER", "b", "resetpass", ">another")
            server.cli("CLIENT", "KILL", "USER", "b")
            b.ask(login(OF_B))
            asks.until(OF_B, NOT_NOW)
            assert {NOT_NOW} == asks.lasting(OF_B)
            assert "no sign of life of filter b" in asks.trouble
            assert "pbs-filter --retire b" in asks.trouble
            wait_for(lambda: b.mode("--status").returncode == 1, "b to say so")
            members = {member["name"]: member for member in a.status()["members"]}
            assert {"a", "b"} == members.keys()
            assert members["b"]["silent_seconds"] >= 3
            assert b"b: last sign of life" in a.mode("--status").stdout
            server.cli("ACL", "SETUSER", "b", ">b")
            assert asks.until(OF_B, YES) <= {NOT_NOW}
            assert asks.until(STRANGER, NO) <= {NOT_NOW}
            assert 0 == b.mode("--status").returncode
            b.kill()
            asks.until(STRANGER, NOT_NOW)
            done = a.mode("--retire", "b")
            assert (0, b"b: retired") == (done.returncode, done.stdout[:10])
            assert asks.until(STRANGER, NO) <= {NOT_NOW}
            # Whatever becomes of Redis, and of the filter that was told.
            server.cli("FLUSHALL")
            assert asks.until(STRANGER, NO) <= {NOT_NOW}
            a.kill()
            server.cli("FLUSHALL")
            with started(place, "a", location("a")):
                assert asks.until(STRANGER, NO) <= {NOT_NOW}
                with started(place, "b", location("b")) as back:
                    assert asks.until(OF_B, YES) <= {NOT_NOW, NO}
                    back.kill()
                    asks.until(STRANGER, NOT_NOW)


def test_what_a_person_revoked_is_undone_by_no_restart_and_no_dead_filter(
    place: Path, server: RedisServer, look: Look
) -> None:
    asks = look(server)
    with started(place, "a", server.url) as a, started(place, "b", server.url) as b:
        b.ask(login(OF_B))
        asks.until(OF_B, YES)
        assert 0 == a.mode("--forget", OF_B).returncode
        assert NO == asks(OF_B)
        assert knows(place, "a", f"f {OF_B}")
        wait_for(lambda: knows(place, "b", f"f {OF_B}"), "b to hear of it")
        server.process.stop(signal.SIGKILL)
        server.start()
        assert asks.until(STRANGER, NO) <= {NOT_NOW}
        assert {NO} == asks.lasting(OF_B)
        a.kill()
        server.cli("FLUSHALL")
        b.ask(login(OF_A))
        assert asks.until(OF_A, YES) <= {NOT_NOW}
        assert {NOT_NOW} == asks.lasting(OF_B)
        b.kill()
        with started(place, "b", server.url), started(place, "a", server.url) as back:
            server.cli("FLUSHALL")
            assert asks.until(STRANGER, NO) <= {NOT_NOW}
            assert {NO} == asks.lasting(OF_B)
            # What cannot be said to Redis is in the journal for later.
            server.stop()
            done = back.mode("--forget", OF_A)
            assert (75, True) == (done.returncode, b"journal has it" in done.stderr)
            server.start()
            assert asks.until(STRANGER, NO) <= {NOT_NOW, YES}
            asks.until(OF_A, NO)


def test_a_revocation_is_done_when_the_replicas_have_it(
    place: Path, server: RedisServer, look: Look
) -> None:
    with replica_of(server, place / "replica") as replica, started(place, "a", server.url) as a:
        wait_for(lambda: in_step(replica), "the replica")
        a.ask(login(OF_A))
        look(replica).until(OF_A, YES)
        replica.process.signal(signal.SIGSTOP)
        try:
            done = a.mode("--forget", OF_A)
        finally:
            replica.process.signal(signal.SIGCONT)
        assert 75 == done.returncode
        assert b"the master have it, and 0 of 1 replica:" in done.stderr
        done = a.mode("--forget", OF_A)
        assert (1, b"was not authorised") == (done.returncode, done.stdout.strip()[-18:])
        assert NO == look(replica)(OF_A)


def test_a_revocation_is_said_to_the_server_that_becomes_the_master_meanwhile(
    place: Path, server: RedisServer, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one before it does not know that yet, and takes the revocation, too."""
    with (
        replicated(place, server) as (replica, sentinel, location),
        started(place, "a", location) as a,
    ):
        a.ask(login(OF_A))
        asks = look(replica)
        asks.until(OF_A, YES)
        keep = forget._keep

        def kept_while_another_becomes_the_master(*arguments: Any, **named: Any) -> Any:
            words = keep(*arguments, **named)
            sentinel.cli("SENTINEL", "FAILOVER", "pbs")
            wait_for(lambda: sentinel.master_port("pbs") == replica.port, "the failover")
            assert "master" == server.info("role")
            return words

        monkeypatch.setattr(forget, "_keep", kept_while_another_becomes_the_master)
        assert 0 == main([*a.options, "--forget", OF_A])
        assert YES != asks(OF_A)
        assert "!forget:a" in replica.cli("HKEYS", f"pbs:{OF_A}").split()


def clone_journal(place: Path) -> Path:
    """Give a cloned host the journal that filter `a` has now; return its path there."""
    journal = place / "clone" / "a" / "map.journal"
    journal.parent.mkdir(parents=True, mode=0o750)
    shutil.copy(place / "a" / "map.journal", journal)
    return journal


@pytest.mark.parametrize("cloned", [False, True], ids=["another journal", "the same journal"])
def test_the_second_filter_of_a_name_sends_nothing_and_sweeps_nothing(
    cloned: bool, place: Path, server: RedisServer, look: Look
) -> None:
    asks = look(server)
    with started(place, "a", server.url) as a:
        a.ask(login("192.0.2.7"))
        asks.until("192.0.2.7", YES)
        if cloned:
            clone_journal(place)
        else:
            (place / "clone" / "a").mkdir(parents=True, mode=0o750)
        a.ask(login(OF_A))
        asks.until(OF_A, YES)
        for _ in range(2):
            with started(place / "clone", "a", server.url) as clone:
                clone.ask(login(OF_B))
                wait_for(lambda clone=clone: clone.mode("--status").returncode, "it to say so")
                wait_for(
                    lambda clone=clone: b"another filter writes" in clone.mode("--status").stdout,
                    "the reason",
                )
                assert NOT_NOW != asks(STRANGER), "the first one lives"
                clone.kill()
        assert 0 == a.mode("--status").returncode
        assert {YES} == asks.lasting(OF_A)
        assert "" == server.cli("HGET", f"pbs:{OF_B}", "a")
        # Restarted, it goes on.
        a.kill()
        with started(place, "a", server.url):
            asks.until(STRANGER, NO)
            assert {YES} == asks.lasting(OF_A)


def test_a_cloned_filter_sweeps_nothing_while_the_first_one_is_silent(
    place: Path, server: RedisServer, look: Look
) -> None:
    asks = look(server)
    with started(place, "a", server.url) as a:
        a.ask(login("192.0.2.7"))
        asks.until("192.0.2.7", YES)
        clone_journal(place)
        before = time.time()
        wait_for(lambda: int(time.time()) > int(before), "the next second")
        a.ask(login(OF_A))
        asks.until(OF_A, YES)
        a.signal(signal.SIGSTOP)
        with started(place / "clone", "a", server.url) as clone:
            clone.ask(login(OF_B))
            wait_for(lambda: clone.status()["map"] is None, "it to have taken the place")
            assert {YES} == asks.lasting(OF_A)
            assert "1 address that 'a' sent later" in clone.log.read_text()
            asks.until(OF_B, YES)
            a.signal(signal.SIGCONT)
            wait_for(
                lambda: b"another filter writes" in a.mode("--status").stdout, "the first to see it"
            )
            assert 1 == a.mode("--status").returncode
            assert {YES} == asks.lasting(OF_A) | asks.lasting(OF_B)


def test_a_filter_that_has_met_another_of_its_name_is_no_heir_of_it(
    place: Path, server: RedisServer, look: Look
) -> None:
    asks = look(server)
    with started(place, "a", server.url) as a:
        a.ask(login("192.0.2.7"))
        asks.until("192.0.2.7", YES)
        copy = clone_journal(place)
        a.ask(login(OF_A))
        asks.until(OF_A, YES)
        with started(place / "clone", "a", server.url) as clone:
            clone.ask(login(OF_B))
            # It takes another instance into its journal.
            wait_for(lambda: len(instances(copy)) > 1, "it to see that the first one lives")
            clone.kill()
        a.signal(signal.SIGSTOP)
        with started(place / "clone", "a", server.url) as clone:

            def is_silent() -> bool:
                said = re.search(rb"came (\d+) s ago", clone.mode("--status").stdout)
                return said is not None and int(said[1]) > 4

            wait_for(is_silent, "the first to be silent")
            assert "" == server.cli("HGET", f"pbs:{OF_B}", "a")
            assert YES == asks(OF_A)
            a.signal(signal.SIGCONT)
            asks.until(STRANGER, NO)
            a.kill()
            asks.until(STRANGER, NOT_NOW)
            # Nor where Redis no longer knows the first one.
            server.cli("FLUSHALL")
            assert {NOT_NOW} == asks.lasting(OF_A)
            with started(place, "a", server.url) as a:
                assert asks.until(OF_A, YES) <= {NOT_NOW}
                a.kill()
            server.cli("FLUSHALL")
            assert {NOT_NOW} == asks.lasting(OF_A)
            assert 0 == clone.mode("--retire", "a").returncode
            asks.until(OF_B, YES)
            asks.until(STRANGER, NO)


def wrong_clock(place: Path, seconds: int) -> Path:
    """A directory for PYTHONPATH in which the wall clock is `seconds` ahead."""
    directory = place / f"clock{seconds}"
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(
        f"import time\nreal = time.time\ntime.time = lambda: real() + {seconds}\n"
    )
    return directory


def test_a_login_after_a_revocation_counts_on_a_host_whose_clock_is_behind(
    place: Path, server: RedisServer, look: Look
) -> None:
    asks = look(server)
    behind = started(place, "behind", server.url, python_path=wrong_clock(place, -300))
    with started(place, "a", server.url) as a, behind:
        behind.ask(login(OF_B))
        asks.until(OF_B, YES)
        for forgetting in (a, behind, a):
            assert 0 == forgetting.mode("--forget", OF_B).returncode
            assert {NO} == asks.lasting(OF_B)
            behind.ask(login(OF_B))
            asks.until(OF_B, YES)
        assert {YES} == asks.lasting(OF_B)
        # Whatever becomes of Redis.
        server.cli("FLUSHALL")
        assert asks.until(OF_B, YES) <= {NOT_NOW}
        asks.until(STRANGER, NO)
        assert {YES} == asks.lasting(OF_B)


def test_each_of_two_revocations_ends_what_a_filter_had_not_sent(
    place: Path, server: RedisServer, look: Look
) -> None:
    """That filter's clock is a day ahead."""
    server.cli("ACL", "SETUSER", "ahead", "on", ">ahead", "~pbs:*", "+@all")
    password = place / "password"
    password.write_text("ahead")
    password.chmod(0o600)
    location = f"redis://ahead@127.0.0.1:{server.port}?password_file={password}"
    asks = look(server)
    with (
        started(place, "a", server.url) as a,
        started(place, "b", server.url) as b,
        started(place, "ahead", location, python_path=wrong_clock(place, 86400)) as ahead,
    ):
        ahead.ask(login(OF_A))
        wait_for(lambda: server.cli("HGET", f"pbs:{OF_A}", "ahead"), "the login")
        assert 0 == a.mode("--forget", OF_A).returncode
        assert {NO} == asks.lasting(OF_A)
        wait_for(lambda: knows(place, "ahead", f"f {OF_A}"), "the filter to hear of it")
        server.cli("ACL", "SETUSER", "ahead", "resetpass", ">another")
        server.cli("CLIENT", "KILL", "USER", "ahead")
        ahead.ask(login(OF_A))
        assert b"was not authorised" in b.mode("--forget", OF_A).stdout, "as far as Redis knows"
        server.cli("ACL", "SETUSER", "ahead", ">ahead")
        asks.until(STRANGER, NO)
        wait_for(lambda: not ahead.status()["authorised"], "the filter to forget it")
        assert YES not in asks.until(OF_A, NO)


def test_a_wrong_clock_of_one_filter_silences_no_other_and_outlasts_nothing(
    place: Path, server: RedisServer, look: Look
) -> None:
    asks = look(server)
    with (
        started(place, "a", server.url),
        started(place, "behind", server.url, python_path=wrong_clock(place, -300)),
        started(place, "ahead", server.url, python_path=wrong_clock(place, 86400)) as ahead,
    ):
        wait_for(lambda: len(server.cli("HKEYS", "pbs:!filters").split()) >= 4, "all marks")
        asks.until(STRANGER, NO)
        with started(place, "b", server.url) as b:
            b.ask(login(OF_B))
            asks.until(OF_B, YES)
            asks.until(STRANGER, NO)
            b.kill()
        asks.until(STRANGER, NOT_NOW)
        server.cli("FLUSHALL")
        wait_for(lambda: "b" in server.cli("HKEYS", "pbs:!filters").split(), "the claim for b")
        assert {NOT_NOW} == asks.lasting(OF_B)
        wait_for(lambda: server.cli("HGET", "pbs:!filters", "ahead").strip(), "the mark of ahead")
        ahead.kill()
        mark = decode(server.cli("HGET", "pbs:!filters", "ahead").encode())
        assert mark is not None
        now = int(server.cli("TIME").split()[0])
        assert mark.end < now + 14 * 3600, "the longest that a login counts, by the server's clock"


def test_a_server_that_keeps_nothing_on_disk_is_warned_of(place: Path, server: RedisServer) -> None:
    with started(place, "a", server.url) as a:
        wait_for(lambda: "set appendonly to yes" in a.log.read_text(), "the warning")
    (place / "toml").write_text('servers = ["dovecot"]\n')  # each server's rules are checked
    options = (f"--dbfile={server.url}", f"--config={place}/toml", f"--local-state={place}/a/map")
    assert b"set appendonly to yes" in run(*options, "--check").stderr
    with RedisServer(place / "kept", "appendonly yes") as kept:
        found = [shared_map(build({"c": f'map = "{each.url}"'})) for each in (server, kept)]
    assert ["note", "ok"] == [finding.state for finding in found]
    assert "set appendonly to yes" in found[0].text
    server.stop()
    assert b"cannot be reached" in run(*options, "--check").stderr
    finding = shared_map(build({"c": f'map = "{server.url}"'}))
    assert ("wrong", True) == (finding.state, "cannot be reached" in finding.text)
