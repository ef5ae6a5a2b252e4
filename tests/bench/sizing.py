"""`python -m tests.bench.sizing`: what examples/SIZING.md has and no other benchmark (needs root).

What an address costs in Redis, by its own counters: memory, and bytes on the wire for a login and a
lookup, with the real writer and the real reader. And what a login costs between a POP host and the
central one by RELP with TLS, by the counters of the network interface; with the processor's time of
the central rsyslogd. Stores and queues are in memory: what a disk takes is another figure.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from pbs_filter.lookup.redis_reader import RedisReader
from pbs_filter.map_format import redis_url
from pbs_filter.map_format.entry import Entry, encode
from pbs_filter.store.redis_map import RedisMap
from tests.real.daemons.process import wait_for
from tests.real.daemons.redis import RedisServer, in_step, replica_of
from tests.real.mtas.namespace import Namespace
from tests.real.packages import CHECKOUT
from tests.real.shipped import address, login
from tests.real.test_central import Site, central_rsyslog, with_rsyslog
from tests.store.store_tools import memory_directory

ADDRESSES = 100_000
LOOKUPS = 5_000
LOGINS = 10_000
SINGLE = 100
BATCH = 500


def main() -> None:
    """Print the figures, one a line."""
    for what, value in (*redis(), *relp()):
        print(f"{what:58} {value:12.1f}", flush=True)


def _has_it_all(replica: RedisServer, master: RedisServer) -> bool:
    return replica.info("slave_repl_offset") == master.info("master_repl_offset")


def redis() -> Iterator[tuple[str, float]]:
    """Memory and wire, from the server's own counters."""
    shipped = (CHECKOUT / "examples/redis/redis-pop.conf").read_text()
    (compact,) = (line for line in shipped.splitlines() if line.startswith("hash-max-listpack"))
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        place = Path(name)
        server = running.enter_context(RedisServer(place / "m", compact, tcp=True))
        replica = running.enter_context(replica_of(server, place / "r"))
        wait_for(lambda: in_step(replica), "the replica")
        location = redis_url.parse(server.url)
        now = int(time.time())
        values = {}
        for number in range(ADDRESSES):
            address = f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
            words = ("dovecot", "imap", "bob@example.org")
            values[address] = encode(address, Entry(now + 1800, now, now, now, 1, *words))
        for host in ("pop1", "pop2"):
            before = _counters(server)
            began = time.monotonic()
            writer = RedisMap(location, host, ends=lambda value: int(value[:10]))
            writer.begin_rebuild()
            writer.rebuild_step(values.items())
            writer.finish_rebuild()
            while writer.behind() is not None:
                time.sleep(0.01)
            writer.flush(60)
            yield (
                f"Redis: addresses/s of one filter, {host}",
                ADDRESSES / (time.monotonic() - began),
            )
            after = _counters(server)
            yield f"Redis: bytes of memory an address, {host}", _each(before, after, 0, ADDRESSES)
            addresses = [*values]
            before = _counters(server)
            for at in range(0, ADDRESSES, BATCH):
                writer.write({a: values[a] for a in addresses[at : at + BATCH]})
                writer.flush(60)
            wait_for(lambda: _has_it_all(replica, server), "the replica to have it all")
            after = _counters(server)
            yield f"Redis: bytes to it for a login, {host}", _each(before, after, 1, ADDRESSES)
            yield f"Redis: bytes from it for a login, {host}", _each(before, after, 2, ADDRESSES)
            yield (
                f"Redis: bytes to a replica for a login, {host}",
                _each(before, after, 3, ADDRESSES),
            )
            writer.close()
        reader = RedisReader([server.url])
        before = _counters(server)
        began = time.perf_counter()
        for address in addresses[:LOOKUPS]:
            assert reader.get(address) is not None
        taken = time.perf_counter() - began
        after = _counters(server)
        for connected in reader._places[0]._servers.values():
            connected.close()
        yield (
            "Redis: bytes to it for a lookup (two filters know it)",
            _each(before, after, 1, LOOKUPS),
        )
        yield "Redis: bytes from it for a lookup", _each(before, after, 2, LOOKUPS)
        yield "Redis: lookups/s on one connection, in the library", LOOKUPS / taken


def _counters(server: RedisServer) -> list[int]:
    names = (
        "used_memory",
        "total_net_input_bytes",
        "total_net_output_bytes",
        "total_net_repl_output_bytes",
    )
    return [int(server.info(name)) for name in names]


def _each(before: list[int], after: list[int], which: int, number: int) -> float:
    return (after[which] - before[which]) / number


def relp() -> Iterator[tuple[str, float]]:
    """The wire from one POP host, and the central rsyslogd's time."""
    with memory_directory() as name, ExitStack() as running:
        site = Site(name)
        central = running.enter_context(central_rsyslog(site))
        host = with_rsyslog(site, "pop1", "relp")
        running.callback(host.close)
        host.log.send(login(0))
        site.installed.wait_for_count(1)
        sent, received = _traffic(site.hosts["pop1"])
        busy, began = _cpu(central.pid), time.monotonic()
        for number in range(1, LOGINS + 1):
            host.log.send(login(number))
        site.installed.wait_for_count(LOGINS + 1, 300)
        yield "RELP: logins/s, from the log socket to the map", LOGINS / (time.monotonic() - began)
        yield "RELP: µs of the central rsyslogd a login", (_cpu(central.pid) - busy) * 1e6 / LOGINS
        busy_end = _traffic(site.hosts["pop1"])
        yield "RELP: bytes from the POP host for a login, under load", (busy_end[0] - sent) / LOGINS
        yield "RELP: bytes to it", (busy_end[1] - received) / LOGINS
        for number in range(LOGINS + 1, LOGINS + 1 + SINGLE):
            host.log.send(login(number))
            site.installed.wait_for_address(address(number))
        idle_end = _traffic(site.hosts["pop1"])
        yield "RELP: bytes from it, one login at a time", (idle_end[0] - busy_end[0]) / SINGLE
        yield "RELP: bytes to it", (idle_end[1] - busy_end[1]) / SINGLE
        yield "bytes of such a login's message", len(login(1))
        journal = Path(f"{site.installed.map}.journal").stat().st_size
        yield "bytes of the journal a login", journal / (LOGINS + 1 + SINGLE)
        for other in site.hosts.values():
            running.callback(other.close)


def _traffic(host: Namespace) -> tuple[int, int]:
    """Bytes, with all headers, that its cable carried: from it, to it."""
    table = subprocess.run(
        [*host.command(), "cat", "/proc/net/dev"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    fields = next(line for line in table.splitlines() if "to-" in line).partition(":")[2].split()
    return int(fields[8]), int(fields[0])


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
