"""Lookups and real Redis servers: replicas, failovers, clusters; and the site of examples/redis."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pbs_filter.lookup.answer import NO, NOT_NOW, YES
from pbs_filter.map_format import redis_members
from pbs_filter.map_format.entry import encode
from pbs_filter.map_format.redis_members import Mark

from .. import hang
from ..lookup import maps
from ..lookup.redis_lookups import lookup, lookups_end
from .daemons.process import Process, free_port, wait_for
from .daemons.redis import RedisServer, Sentinel, cluster, in_step, replica_of
from .daemons.redis_site import REDIS_UID, RedisSite, copy_for_lookups, make_site
from .mtas import CLIENT, LOOKUP_UID, OTHER_CLIENT, REMOTE, STRANGER
from .mtas.postfix import Postfix
from .packages import CHECKOUT
from .redis_filters import each_kind, kind

__all__ = ["kind"]

KNOWN, ABSENT = b"192.0.2.7", b"198.51.100.1"
ENTRY = encode("192.0.2.7", maps.value()).decode()


def login(server: RedisServer) -> None:
    server.cli("HSET", "pbs:192.0.2.7", "pop1", ENTRY)


def complete(server: RedisServer) -> None:
    """What a filter says when it has sent everything."""
    mark = complete_mark(server.info("master_replid"))
    server.cli("HSET", "pbs:!filters", "!life", "life L", "pop1", mark)


def complete_mark(*replids: str) -> str:
    now = int(time.time() * 1000)
    ids = [replid.encode() for replid in replids]
    return Mark(b"pop1", now, now // 1000 + 9999, b"i", b"r", b"L", ids).encode().decode()


@pytest.fixture(autouse=True)
def _filters_live(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the filters that these tests are gives a second sign of life."""
    monkeypatch.setattr(redis_members, "SILENT_MS", 10**9)


@pytest.fixture(autouse=True)
def _no_connection_left() -> Iterator[None]:
    with lookups_end():
        yield


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[RedisServer, RedisServer]]:
    """A master with a replica, and KNOWN in both."""
    with (
        RedisServer(tmp_path / "m", tcp=True) as master,
        replica_of(master, tmp_path / "r") as replica,
    ):
        wait_for(lambda: in_step(replica), "the replica")
        login(master)
        complete(master)
        wait_for(lambda: replica.cli("EXISTS", "pbs:!filters") == "1", "the replica's data")
        yield master, replica


@each_kind
def test_a_replica_answers_like_its_master(pair: tuple[RedisServer, RedisServer]) -> None:
    for server in pair:
        asks = lookup(server)
        assert YES == asks.ask(KNOWN)
        assert NO == asks.ask(ABSENT)


@each_kind
def test_a_replica_without_its_master_goes_on_saying_yes_but_not_no(
    pair: tuple[RedisServer, RedisServer],
) -> None:
    master, replica = pair
    asks = lookup(replica, master)
    assert NO == asks.ask(ABSENT)
    master.stop()
    wait_for(lambda: asks.ask(ABSENT) == NOT_NOW, "the replica to know that it is alone")
    assert "this replica has lost its master; Redis at 127.0.0.1" in asks.trouble
    for _ in range(100):
        assert YES == asks.ask(KNOWN)


@each_kind
@pytest.mark.parametrize(
    ("save", "why"),
    [("", "no filter has sent its addresses"), ("1 1", "since the last restart or failover")],
    ids=["without a file", "with a file"],
)
def test_a_restarted_server_is_believed_once_a_filter_has_sent_everything(
    save: str, why: str, tmp_path: Path
) -> None:
    with RedisServer(tmp_path / "m", f"save {save}" if save else "") as server:
        login(server)
        complete(server)
        asks = lookup(server)
        assert (YES, NO) == (asks.ask(KNOWN), asks.ask(ABSENT))
        server.stop()
        assert NOT_NOW == asks.ask(KNOWN)
        server.start()
        wait_for(lambda: why in (asks.ask(ABSENT), asks.trouble)[1], "the word of a filter")
        assert (YES if save else NOT_NOW) == asks.ask(KNOWN)
        login(server)
        complete(server)
        assert (YES, NO) == (asks.ask(KNOWN), asks.ask(ABSENT))


@each_kind
def test_an_emptied_server_is_believed_no_more(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "m") as server:
        login(server)
        complete(server)
        server.cli("FLUSHALL")
        asks = lookup(server)
        assert (NOT_NOW, NOT_NOW) == (asks.ask(KNOWN), asks.ask(ABSENT))


@each_kind
def test_a_server_that_hangs_and_comes_back(tmp_path: Path) -> None:
    from signal import SIGCONT, SIGSTOP

    with RedisServer(tmp_path / "m") as server:
        login(server)
        complete(server)
        asks = lookup(server)
        assert YES == asks.ask(KNOWN)
        server.process.signal(SIGSTOP)
        try:
            # One wait of 0.4 s in each REST_SECONDS: each question alone would wait 20 s in all.
            with hang.ends(15):
                for _ in range(50):
                    assert NOT_NOW == asks.ask(KNOWN)
        finally:
            server.process.signal(SIGCONT)
        wait_for(lambda: asks.ask(KNOWN) == YES, "the server to be asked again")


@each_kind
def test_the_new_master_is_found_by_the_sentinel(
    pair: tuple[RedisServer, RedisServer], tmp_path: Path
) -> None:
    master, replica = pair
    with Sentinel(tmp_path / "s", [("pbs", master.port)]) as sentinel:
        asks = lookup(f"redis+sentinel://127.0.0.1:{sentinel.port}/pbs")
        assert (YES, NO) == (asks.ask(KNOWN), asks.ask(ABSENT))
        wait_for(lambda: "slaves=1" in sentinel.cli("INFO", "sentinel"), "the replica to be known")
        master.process.stop()
        wait_for(lambda: sentinel.master_port("pbs") == replica.port, "the failover")
        wait_for(lambda: replica.info("role") == "master", "the new master")
        wait_for(lambda: asks.ask(KNOWN) == YES, "the new master to be found")
        assert NOT_NOW == asks.ask(ABSENT)  # replication may have lost a login
        complete(replica)
        wait_for(lambda: asks.ask(ABSENT) == NO, "the word of a filter")


@each_kind
def test_a_cluster_is_asked_node_by_node(tmp_path: Path) -> None:
    with cluster(tmp_path) as nodes:
        addresses = [f"192.0.2.{n}" for n in range(30)]
        replids = [node.info("master_replid") for node in nodes]

        def write(key: str, value: str, field: str = "pop1") -> None:
            said = [node.cli("HSET", key, field, value) for node in nodes]
            assert 1 == sum(not text.startswith("MOVED") for text in said)

        for address in addresses:
            write(f"pbs:{address}", encode(address, maps.value()).decode())
        write("pbs:!filters", "life L", "!life")
        write("pbs:!filters", complete_mark(*replids))
        assert all(int(node.cli("DBSIZE")) > 1 for node in nodes)
        for node in nodes:
            asks = lookup(f"redis://127.0.0.1:{node.port}")
            for address in addresses:
                assert YES == asks.ask(address.encode())
            for number in range(30):
                assert NO == asks.ask(f"198.51.100.{number}".encode())


# ------------------------------------------------------------------ TLS


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of two hosts; only the first one's server runs."""
    return make_site(
        tmp_path_factory.mktemp("tls") / "site", "pop1=127.0.0.1", "pop2=127.0.0.2", "--"
    )


@pytest.fixture(scope="module")
def encrypted(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that wants its clients' certificates."""
    port = free_port()
    host = site / "pop1/redis"
    with RedisServer(
        tmp_path_factory.mktemp("r") / "m",
        f"tls-port {port}",
        f"tls-cert-file {host}/host.pem",
        f"tls-key-file {host}/host.key",
        f"tls-ca-cert-file {host}/ca.pem",
        "tls-auth-clients yes",
    ) as server:
        login(server)
        complete(server)
        yield port


def test_tls_with_certificates_on_both_sides(site: Path, encrypted: int) -> None:
    own = site / "pop2/redis"
    files = f"ca_file={own}/ca.pem&cert_file={own}/host.pem&key_file={own}/host.key"
    asks = lookup(f"rediss://127.0.0.1:{encrypted}?{files}")
    assert (YES, NO) == (asks.ask(KNOWN), asks.ask(ABSENT)), asks.trouble


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("rediss://127.0.0.1:{port}?cert_file={own}/host.pem&key_file={own}/host.key",
         "certificate verify failed"),
        ("rediss://localhost:{port}?ca_file={own}/ca.pem", "Hostname mismatch"),
        ("rediss://127.0.0.1:{port}?ca_file={own}/ca.pem", "Redis at 127.0.0.1:{port}: "),
        ("rediss://127.0.0.1:{port}?ca_file={own}/none.pem", "TLS with {own}/none.pem: "),
        ("rediss://127.0.0.1:{port}?ca_file={own}/host.key", "TLS with {own}/host.key: "),
        ("redis://127.0.0.1:{port}", "Redis at 127.0.0.1:{port}: "),
    ],
    ids=["unknown CA", "another name", "no certificate", "no file", "another file", "no TLS"],
)  # fmt: skip
def test_tls_that_is_not_right_is_not_now(
    location: str, why: str, site: Path, encrypted: int
) -> None:
    words = {"own": site / "pop2/redis", "port": encrypted}
    asks = lookup(location.format(**words))
    assert NOT_NOW == asks.ask(KNOWN)
    assert why.format(**words) in asks.trouble


def test_a_host_that_is_added_later_changes_nothing_of_the_others(tmp_path: Path) -> None:
    hosts = ("pop1=192.0.2.11", "pop2=192.0.2.12", "--", "mx1=192.0.2.21")
    site = make_site(tmp_path / "site", *hosts)
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    make_site(site, *hosts, "mx2=192.0.2.22")
    after = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    assert {site / "ca.srl"} == {path for path in before if after[path] != before[path]}
    assert {"mx2"} == {path.relative_to(site).parts[0] for path in after if path not in before}
    assert not [path for path in after if path.stat().st_mode & 0o077]


# ------------------------------------------------------------------ examples/redis

NOBODY = f"554 5.7.1 <{REMOTE}>: Relay access denied"


class RedisPostfix(Postfix):
    """Postfix of examples/redis's MTA host, with its replica; and the POP hosts."""

    packages = (*Postfix.packages, "redis-server")
    service_accounts = (*Postfix.service_accounts, ("redis", REDIS_UID))
    site: RedisSite

    def configure(self) -> Sequence[Process]:
        processes = super().configure()
        shipped = (self.root.path / "usr/share/postfix/master.cf.dist").read_text()
        self.site = RedisSite(self.directory, self.network, self.root)
        added = (self.site.path / "mx1/pbs-filter/master.cf").read_text()
        self.root.write("/etc/postfix/master.cf", shipped + added)
        copy_for_lookups(self.site.path, self.root.path / "etc/pbs-filter", LOOKUP_UID)
        self.root.directory("/var/lib/pbs-lookup", owner=LOOKUP_UID)
        self.site.start()
        return processes

    def close(self) -> None:
        if hasattr(self, "site"):
            self.site.close()
        super().close()


class Pipeline:
    """pbs-filter on a POP host, with the example's configuration."""

    def __init__(self, mta: RedisPostfix, directory: Path) -> None:
        directory.mkdir()
        made = mta.site.path / "pop1/pbs-filter"
        text = (made / "pbs-filter.toml").read_text()
        for old, new in (
            ("/etc/pbs-filter/", f"{made}/"),
            ("/var/lib/pbs-filter/", f"{directory}/"),
            ('user = "pbs-filter"\n', ""),
            ('group = "pbs-filter"\n', ""),
            ("#redis_name", "redis_name"),
        ):
            assert old in text
            text = text.replace(old, new)
        config = directory / "pbs-filter.toml"
        config.write_text(text)
        self._log = directory / "log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [*mta.network.command(), sys.executable, "-m", "pbs_filter", f"--config={config}",
                 "--confirm=no"],
                cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True,
            )  # fmt: skip

    def login(self, address: str) -> None:
        assert self._process.stdin is not None
        stamp = time.strftime("%b %e %H:%M:%S")
        self._process.stdin.write(
            f"{stamp} pop1 dovecot: imap-login: Login: user=<bob>, method=PLAIN, rip={address}, "
            "lip=192.0.2.11, mpid=1, TLS, session=<a>\n"
        )
        self._process.stdin.flush()

    def said(self) -> str:
        return self._log.read_text()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(20)


class TestExample:
    @pytest.fixture(scope="class")
    @classmethod
    def mta(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisPostfix]:
        with RedisPostfix(tmp_path_factory.mktemp("redis")) as mta:
            yield mta

    def test_nobody_gets_anything_without_a_password(self, mta: RedisPostfix) -> None:
        site = mta.site
        for said in (
            site.pop1.ask("HGETALL pbs:192.0.2.7"),
            site.mx1.ask("HGETALL pbs:192.0.2.7", socket=True),
            site.pop1.ask("SENTINEL MASTERS", "-p", "26379"),
        ):
            assert said.startswith("NOAUTH")

    @pytest.mark.parametrize(
        "command",
        [
            "HSET pbs:192.0.2.7 pop1 x",
            "HDEL pbs:192.0.2.7 pop1",
            "DEL pbs:192.0.2.7",
            "EXPIRE pbs:192.0.2.7 1",
            "HVALS other:192.0.2.7",
            "GET other",
            "KEYS *",
            "SCAN 0",
            "FLUSHALL",
            "CONFIG GET masterauth",
            "ACL LIST",
            "REPLICAOF no one",
            "SHUTDOWN NOSAVE",
            "MONITOR",
            "SUBSCRIBE x",
            "EVAL return(1) 0",
            "CLIENT LIST",
        ],
    )
    def test_a_lookup_can_only_read_the_map(self, mta: RedisPostfix, command: str) -> None:
        for host in (mta.site.pop1, mta.site.mx1):
            assert host.ask(command, user="lookup").startswith("NOPERM"), command

    @pytest.mark.parametrize(
        "command",
        ["HSET other:192.0.2.7 pop1 x", "FLUSHALL", "CONFIG GET masterauth", "ACL LIST", "KEYS *",
         "REPLICAOF no one", "SHUTDOWN NOSAVE", "EVAL return(1) 0"],
    )  # fmt: skip
    def test_a_filter_can_only_write_the_map(self, mta: RedisPostfix, command: str) -> None:
        assert mta.site.pop1.ask(command, user="filter").startswith("NOPERM")

    @pytest.mark.parametrize("command", ["SENTINEL FAILOVER pbs", "SENTINEL SET pbs quorum 1",
                                         "SENTINEL REMOVE pbs", "SHUTDOWN"])  # fmt: skip
    def test_a_sentinel_takes_no_orders_from_them(self, mta: RedisPostfix, command: str) -> None:
        for user in ("lookup", "filter"):
            said = mta.site.pop1.ask(command, "-p", "26379", user=user)
            assert said.startswith("NOPERM"), said

    def test_postfix_relays_after_a_login_and_through_a_failover(
        self, mta: RedisPostfix, tmp_path: Path
    ) -> None:
        """One story, because each part needs the one before."""
        site = mta.site
        assert mta.rcpt(CLIENT).startswith("451")  # nobody has said yet what there is
        with Pipeline(mta, tmp_path / "pop1") as pop1:
            wait_for(lambda: mta.rcpt(CLIENT) == NOBODY, "the filter's word that nobody is there")
            pop1.login(CLIENT)
            wait_for(lambda: mta.rcpt(CLIENT).startswith("250"), "the login")
            assert NOBODY == mta.rcpt(STRANGER)
            (members,) = (mta.root.path / "var/lib/pbs-lookup").iterdir()
            assert b" pop1\n" in members.read_bytes()

            wait_for(site.watched, "the sentinels to know each other")
            site.pop1.redis.stop()
            site.pop1.sentinel.stop()
            wait_for(lambda: "role:master" in self.relaying(mta, site), "the failover to pop2", 30)
            wait_for(lambda: self.relays(mta) and site.mx1.follows(), "the replica's new master")
            pop1.login(OTHER_CLIENT)
            wait_for(lambda: mta.rcpt(OTHER_CLIENT).startswith("250"), "a login at the new master")
            wait_for(lambda: mta.rcpt(STRANGER) == NOBODY, "the belief in the new master")

    def relaying(self, mta: RedisPostfix, site: RedisSite) -> str:
        """What pop2 says about itself, while the relay stays open."""
        assert self.relays(mta)
        return site.pop2.ask("INFO replication", user="sentinel")

    def relays(self, mta: RedisPostfix) -> bool:
        return mta.rcpt(CLIENT).startswith("250")
