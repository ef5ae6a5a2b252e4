"""Private Redis servers: master, replica, sentinel, cluster node. Nothing is kept on disk but what
`save` or `appendonly` in the configuration asks for."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple

from ..packages import launch, unpack
from .process import Process, free_port, wait_for


class Kind(NamedTuple):
    """A package with the server, and where it is from."""

    package: str = "redis-server"
    suite: str = ""
    name: str = "redis"


KINDS = {
    "Redis 7": Kind(),
    "Redis 8": Kind(suite="trixie"),
    "Valkey 8": Kind("valkey-server", "trixie", "valkey"),
}
"""What Debian 12 and 13 have."""


class RedisServer:
    """One redis-server on a unix socket, and on a port of 127.0.0.1 where `tcp` is wanted.

    `directory` is made if it is missing, and is its own; so does a socket path stay short enough if
    the directory's is. `config` are further lines of its configuration.
    """

    kind: ClassVar[Kind] = KINDS["Redis 7"]
    """Of the servers that are made from now on."""

    def __init__(self, directory: Path, *config: str, tcp: bool = False) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.socket = directory / "s"
        self.port = free_port() if tcp else 0
        self.config = directory / "redis.conf"
        self.config.write_text(
            "\n".join(
                (
                    f"port {self.port}",
                    "bind 127.0.0.1",
                    f"unixsocket {self.socket}",
                    f"dir {directory}",
                    'save ""',
                    "repl-diskless-sync-delay 0",
                    *config,
                    "",
                )
            )
        )
        kind = self._kind = type(self).kind
        self._root = unpack(kind.package, suite=kind.suite)
        self.process = Process(
            kind.package,
            [*launch(self._root, f"/usr/bin/{kind.name}-server"), str(self.config)],
            output=directory / "out",
            ready=self._answers,
        )

    @property
    def url(self) -> str:
        """The location of a map in it."""
        return f"redis://127.0.0.1:{self.port}" if self.port else f"unix://{self.socket}"

    def _answers(self) -> bool:
        done = self._cli("PING")
        return done.returncode == 0 and done.stdout.startswith((b"PONG", b"NOAUTH"))

    def _cli(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [
                *launch(self._root, f"/usr/bin/{self._kind.name}-cli"),
                "-s",
                str(self.socket),
                *words,
            ],
            capture_output=True,
            timeout=300,
            check=False,
        )

    def cli(self, *words: str) -> str:
        """What redis-cli prints for a command; several answers stand on lines of their own."""
        done = self._cli(*words)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def info(self, name: str) -> str:
        """One field of INFO."""
        done = self._cli("INFO")
        # Sentinel ends every connection to a server that it promotes, once.
        said = self.cli("INFO") if done.returncode else done.stdout.decode()
        for line in said.splitlines():
            key, _, value = line.strip().partition(":")
            if key == name:
                return value
        raise AssertionError(f"INFO has no {name}")

    def start(self) -> RedisServer:
        self.socket.unlink(missing_ok=True)  # of one that was killed
        self.process.start()
        return self

    def stop(self) -> None:
        self.process.stop()

    def __enter__(self) -> RedisServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def replica_of(master: RedisServer, directory: Path, *config: str) -> RedisServer:
    """A server that follows `master`, not started."""
    return RedisServer(directory, f"replicaof 127.0.0.1 {master.port}", *config, tcp=True)


def in_step(replica: RedisServer) -> bool:
    """Whether a replica is connected to its master."""
    return replica.info("master_link_status") == "up"


class Sentinel(RedisServer):
    """A sentinel that watches `masters` (name, port) alone, and is quick to give one up."""

    def __init__(
        self, directory: Path, masters: Sequence[tuple[str, int]], *, down_ms: int = 500
    ) -> None:
        super().__init__(directory, tcp=True)
        lines = [f"port {self.port}", "bind 127.0.0.1", f"unixsocket {self.socket}"]
        lines += [f"dir {directory}", "sentinel resolve-hostnames no"]
        for name, port in masters:
            lines += [
                f"sentinel monitor {name} 127.0.0.1 {port} 1",
                f"sentinel down-after-milliseconds {name} {down_ms}",
                f"sentinel failover-timeout {name} 4000",
            ]
        self.config.write_text("\n".join(lines) + "\n")
        self.process.argv.append("--sentinel")
        self.process.name = "redis-sentinel"

    def master_port(self, name: str) -> int:
        """Where the sentinel says that the master is."""
        return int(self.cli("SENTINEL", "get-master-addr-by-name", name).split()[1])


@contextlib.contextmanager
def replicated(place: Path, master: RedisServer) -> Iterator[tuple[RedisServer, Sentinel, str]]:
    """A replica, a sentinel that knows both, and the map's location by that."""
    replica = replica_of(master, place / "replica")
    with replica, Sentinel(place / "s", [("pbs", master.port)]) as sentinel:
        wait_for(lambda: in_step(replica), "the replica")
        wait_for(lambda: "slaves=1" in sentinel.cli("INFO", "sentinel"), "the sentinel to see it")
        yield replica, sentinel, f"redis+sentinel://127.0.0.1:{sentinel.port}/pbs"


@contextlib.contextmanager
def cluster(
    directory: Path, *config: str, nodes: int = 3, replicas: int = 0
) -> Iterator[list[RedisServer]]:
    """Masters that share the slots and have found each other, and `replicas` of the first."""
    # By default it is 10,000 above the server's own, where the kernel has the ports of clients.
    buses = [free_port() for _ in range(nodes + replicas)]
    made = [
        RedisServer(
            directory / str(number),
            "cluster-enabled yes",
            "cluster-config-file nodes.conf",
            "cluster-node-timeout 2000",
            "cluster-announce-ip 127.0.0.1",
            f"cluster-port {bus}",
            *config,
            tcp=True,
        )
        for number, bus in enumerate(buses)
    ]
    with contextlib.ExitStack() as stack:
        for node in made:
            stack.enter_context(node)
        share = 16384 // nodes
        for number, node in enumerate(made[:nodes]):
            last = 16383 if number == nodes - 1 else (number + 1) * share - 1
            node.cli("CLUSTER", "ADDSLOTSRANGE", str(number * share), str(last))
        for node in made:
            node.cli("CLUSTER", "MEET", "127.0.0.1", str(made[0].port), str(buses[0]))
        for node in made:
            wait_for(partial(_complete, node, len(made)), "the nodes of the cluster to agree")
        for node in made[nodes:]:
            node.cli("CLUSTER", "REPLICATE", made[0].cli("CLUSTER", "MYID"))
            wait_for(partial(in_step, node), "the replica")
        yield made


def _complete(node: RedisServer, nodes: int) -> bool:
    said = node.cli("CLUSTER", "INFO")
    return "cluster_state:ok" in said and f"cluster_known_nodes:{nodes}" in said
