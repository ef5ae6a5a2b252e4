"""The site of examples/redis: a POP host, another one, and Redis and a sentinel on each host.

Each host is a private root with an address of its own in one network namespace, so that the
examples' files are used as they are.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from signal import SIGKILL

from ..mtas.namespace import Namespace
from ..packages import CHECKOUT
from ..roots import PrivateRoot
from .process import Process, wait_for

EXAMPLES = CHECKOUT / "examples/redis"
REDIS_UID = 61210
HOSTS = {"pop1": "192.0.2.11", "pop2": "192.0.2.12", "mx1": "192.0.2.21"}
SOCKET = "/run/redis/redis.sock"
QUICK = {
    "down-after-milliseconds pbs 5000": "down-after-milliseconds pbs 500",
    "failover-timeout pbs 30000": "failover-timeout pbs 3000",
}
"""What is not as it is shipped, so that a failover takes a second and not ten."""


def make_site(made: Path, *hosts: str) -> Path:
    """What the administrator makes first: a directory of files for each host."""
    done = subprocess.run(
        ["sh", EXAMPLES / "make-site", made, *hosts], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return made


class RedisHost:
    """Redis and a sentinel in `root`, at the address that HOSTS has for `name`."""

    def __init__(
        self, name: str, root: PrivateRoot, network: Namespace, directory: Path, site: Path
    ) -> None:
        self.address = HOSTS[name]
        self.root = root
        self._network = network
        self._site = site
        for place in (
            "/etc/redis",
            "/var/lib/redis",
            "/var/log/redis",
            "/run/redis",
            "/run/sentinel",
        ):
            root.directory(place, owner=REDIS_UID)
        for file in (site / name / "redis").iterdir():
            text = file.read_text()
            for shipped, quick in QUICK.items() if file.name == "sentinel.conf" else ():
                assert shipped in text
                text = text.replace(shipped, quick)
            root.write(f"/etc/redis/{file.name}", text, mode=0o640, owner=REDIS_UID)
        self.redis = self._process("redis", directory / f"{name}-redis.out", "redis.conf")
        self.sentinel = self._process(
            "sentinel", directory / f"{name}-sentinel.out", "sentinel.conf", "--sentinel"
        )

    def _process(self, name: str, output: Path, config: str, *more: str) -> Process:
        argv = ["/usr/bin/redis-server", f"/etc/redis/{config}", *more]
        user = [f"--userspec={REDIS_UID}:{REDIS_UID}"]
        port = "26379" if more else "6379"
        return Process(
            f"{name} of {self.address}",
            [*self._network.command(), "chroot", *user, str(self.root.path), *argv],
            output=output,
            ready=lambda: "NOAUTH" in self.ask("PING", "-p", port),
        )

    def ask(self, words: str, *options: str, user: str = "", socket: bool = False) -> str:
        """What redis-cli says to `words`, by TLS or the unix socket, as `pbs-USER` or nobody."""
        if socket:
            how = ["-s", SOCKET]
        else:
            how = ["--tls", "--cacert", "/etc/redis/ca.pem", "-h", self.address]
        login = []
        if user:
            word = (self._site / f"{user}.password").read_text().strip()
            login = ["--user", f"pbs-{user}", "--pass", word, "--no-auth-warning"]
        done = subprocess.run(
            [
                *self._network.command(),
                *self.root.command("/usr/bin/redis-cli", *how, *login, *options, *words.split()),
            ],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return (done.stdout + done.stderr).strip()

    def follows(self) -> bool:
        """Whether it is a replica that has its master."""
        said = self.ask("INFO replication", user="sentinel")
        return "role:slave" in said and "master_link_status:up" in said

    def stop(self) -> None:
        for process in (self.sentinel, self.redis):
            process.stop(SIGKILL)  # a master that is asked to end waits for its replicas


class RedisSite:
    """The three hosts; mx1's root is the caller's, where an MTA runs as well."""

    def __init__(self, directory: Path, network: Namespace, mta_root: PrivateRoot) -> None:
        hosts = [f"{name}={address}" for name, address in HOSTS.items()]
        self.path = make_site(directory / "site", *hosts[:-1], "--", hosts[-1])
        commands = [f"addr add {address} dev lo" for address in HOSTS.values()]
        subprocess.run(
            [*network.command(), "ip", "-batch", "-"],
            input="\n".join(commands),
            text=True,
            check=True,
        )
        self._roots = {name: PrivateRoot("redis-server") for name in HOSTS if name != "mx1"}
        self.hosts = {
            name: RedisHost(name, self._roots.get(name, mta_root), network, directory, self.path)
            for name in HOSTS
        }
        self.pop1, self.pop2, self.mx1 = self.hosts.values()

    def start(self) -> None:
        for host in self.hosts.values():
            host.redis.start()
        for host in (self.pop2, self.mx1):
            wait_for(host.follows, f"{host.address} to follow the master")
        for host in self.hosts.values():
            host.sentinel.start()

    def watched(self) -> bool:
        """Whether the sentinels know each other and all replicas, so that a failover can happen."""
        said = [
            " ".join(host.ask("SENTINEL MASTER pbs", "-p", "26379", user="sentinel").split())
            for host in self.hosts.values()
        ]
        return all("num-slaves 2 num-other-sentinels 2" in text for text in said)

    def close(self) -> None:
        for host in self.hosts.values():
            host.stop()
        for root in self._roots.values():
            root.close()


def copy_for_lookups(site: Path, place: Path, group: int) -> None:
    """What an MTA host's pbs-lookup needs, as README has it: readable for `group`."""
    place.mkdir(mode=0o755, exist_ok=True)
    for name, mode in (("lookup.password", 0o640), ("ca.pem", 0o644)):
        shutil.copy(site / "mx1/pbs-filter" / name, place)
        shutil.chown(place / name, 0, group)
        (place / name).chmod(mode)
