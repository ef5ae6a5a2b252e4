"""The client connects to the Redis that keeps the map: a server, a master by Sentinel, a cluster.
Edge."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from inspect import signature
from socket import TCP_USER_TIMEOUT
from typing import Any

from ..errors import ConfigError, StoreBusy
from ..map_format import redis_url
from ..map_format.redis_url import Location
from .redis_commands import Commands

TIMEOUT_SECONDS = 3.0
"""An answer that takes longer ends the connection."""
LEAST_VERSION = 7
"""The first major version whose EXPIREAT has NX and GT."""


def library() -> Any:
    """Import redis-py with the modules used here. Raises: ConfigError where it is missing."""
    try:
        import redis
        import redis.backoff
        import redis.cluster
        import redis.retry
        import redis.sentinel
    except ImportError:
        raise ConfigError(
            "a map in Redis needs redis-py, which this Python does not have; install it (the "
            "package: apt-get install python3-redis; a venv: /opt/pbs-filter/bin/pip install "
            "redis; pipx: pipx inject pbs-filter redis)"
        ) from None
    return redis


def password(path: str) -> str | None:
    """Return the password in the file `path`, None for "". Raises: ConfigError."""
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            return redis_url.password(path, mode, file.read(4096))
    except OSError as error:
        raise ConfigError(f"password file {path!r}: {error.strerror}") from None


MAX_REASON = 200
"""Characters of redis-py's own text that a message holds."""


CLUSTER_TODO = ", and whether the user has the rights +asking +cluster|slots +command"


class Refused(StoreBusy):
    """A server answers, and refuses a command."""


REFUSED = {
    "command not allowed when used memory": "raise maxmemory of that server, or remove other data",
    "OOM ": "raise maxmemory of that server, or remove other data",
    "NOREPLICAS": "start its replicas, or lower min-replicas-to-write",
    "MISCONF": "make room on its disk, so that it can save",
}
"""Beginning of the error of a server that answers and does not write -> advice to its operator."""


def _reason(location: Location, error: Exception, secrets: Iterable[str | None]) -> str:
    """Return the reason of `error` as text, without any of `secrets`.

    redis-py 6.4 and 7.0 put a whole connection pool, its password included, into the text of
    MasterNotFoundError: that text is never used.
    """
    if isinstance(error, library().sentinel.MasterNotFoundError):
        hosts = ", ".join(f"{host}:{port}" for host, port in location.hosts)
        return f"the sentinels at {hosts} name no master of {location.service!r} that answers"
    reason = str(error) or type(error).__name__
    for secret in filter(None, secrets):
        reason = reason.replace(secret, "(a password)")
    return reason if len(reason) <= MAX_REASON else reason[: MAX_REASON - 3] + "..."


def _told(location: Location, error: Exception, secrets: Iterable[str | None]) -> StoreBusy:
    """Return `error` as one of ours, whose text names the map, the reason and the remedy."""
    redis = library()
    text = location.text
    why = _reason(location, error, secrets)
    for beginning, todo in REFUSED.items():
        if why.startswith(beginning):
            return Refused(f"the map {text!r} takes nothing: {why}; {todo}")
    for kinds, todo in (
        (
            (redis.AuthenticationError, redis.exceptions.NoPermissionError),
            "mend the user, its password_file, or the rights that the server gives it (ACL; "
            "examples/redis/users.acl has those that are needed)",
        ),
        (redis.ReadOnlyError, "a filter writes to the master: name that, or its sentinels"),
        (redis.BusyLoadingError, "it reads its files, wait"),
        (redis.sentinel.MasterNotFoundError, "ask the sentinels why they have no master"),
        (redis.ResponseError, "mend that on the server"),
    ):
        if isinstance(error, kinds):
            return Refused(f"the map {text!r} cannot be used: {why}; {todo}")
    return StoreBusy(
        f"the map {text!r} cannot be reached: {why}; look whether it runs, and can be reached"
        + (CLUSTER_TODO if isinstance(error, redis.cluster.RedisClusterException) else "")
    )


class Link(Commands):
    """An open connection to a server whose role and version were checked.

    Args:
        location: of the map; the files that it names are read now.
        client_name: the name in CLIENT LIST.
        seeds: other nodes of the cluster, tried where none that `location` names answers.

    Raises:
        StoreBusy: no connection, or to an unsuitable server. Every method raises it, too.
        ConfigError: redis-py is missing, or a password file is not as it should be.
    """

    def __init__(
        self, location: Location, client_name: str, seeds: Iterable[tuple[str, int]] = ()
    ) -> None:
        self._redis = library()
        self._location = location
        self._prefix = location.prefix.encode()
        self._options = self._common(client_name)
        self._secrets = (
            self._options["password"],
            password(location.sentinel_password_file),
        )
        self._cluster = False
        with self._patience():
            self._client, info = self._open(seeds)
        self.warning = ""
        """A sentence on a setting that the server's operator should mend; "": none."""
        if not info.get("aof_enabled", 1):
            self.warning = (
                f"the Redis at {location.text!r} keeps nothing on disk: after each restart it is "
                "empty until every filter has sent its addresses again; set appendonly to yes"
            )
        if info.get("maxmemory") and info.get("maxmemory_policy") != "noeviction":
            self.warning = (
                f"the Redis at {location.text!r} forgets entries when its memory is full: set "
                f"maxmemory-policy to noeviction, it is {info['maxmemory_policy']!r}"
            )

    def _common(self, client_name: str) -> dict[str, Any]:
        redis = self._redis
        # CLIENT SETINFO, which names the library to the server, would need one more right.
        quiet = set(signature(redis.Redis).parameters) & {"driver_info", "lib_name", "lib_version"}
        if "driver_info" in quiet:
            quiet = {"driver_info"}
        return {
            **dict.fromkeys(quiet),
            "username": self._location.user or None,
            "password": password(self._location.password_file),
            "client_name": client_name,
            "socket_timeout": TIMEOUT_SECONDS,
            "socket_connect_timeout": TIMEOUT_SECONDS,
            # We repeat what failed: only we know what has to be sent to which server.
            "retry": redis.retry.Retry(redis.backoff.NoBackoff(), 0),
            # Bytes of a lost connection must not arrive behind those of its successor: the kernel
            # drops them before we connect again.
            "socket_keepalive": True,
            "socket_keepalive_options": {TCP_USER_TIMEOUT: int(TIMEOUT_SECONDS * 900)},
        }

    def _tls(self) -> dict[str, Any]:
        location = self._location
        if not location.tls:
            return {}
        return {
            "ssl": True,
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
            "ssl_ca_certs": location.ca_file or None,
            "ssl_certfile": location.cert_file or None,
            "ssl_keyfile": location.key_file or None,
        }

    @contextlib.contextmanager
    def _patience(self) -> Iterator[None]:
        redis = self._redis
        try:
            yield
        except (redis.RedisError, redis.cluster.RedisClusterException, OSError) as error:
            raise _told(self._location, error, self._secrets) from None

    # ------------------------------------------------------------------ opening

    def _open(self, seeds: Iterable[tuple[str, int]]) -> tuple[Any, dict[str, Any]]:
        """Return a client whose server answered, and the server's INFO."""
        redis = self._redis
        location = self._location
        hosts = [self._ask_sentinels()] if location.kind == "sentinel" else location.hosts
        options = {**self._options, "db": location.database}
        if location.kind == "unix":
            return self._proven(redis.Redis(unix_socket_path=location.path, **options))
        error: Exception | None = None
        for host, port in dict.fromkeys((*hosts, *seeds)):
            client = redis.Redis(host=host, port=port, **options, **self._tls())
            try:
                # A server that has left the cluster does not keep the map.
                named = (host, port) in hosts
                if not named and not client.info("cluster").get("cluster_enabled"):
                    client.close()
                    continue
                return self._proven(client)
            except (redis.ConnectionError, redis.TimeoutError) as this:
                client.close()
                error = error or this
        assert error is not None
        raise error

    def _ask_sentinels(self) -> tuple[str, int]:
        location = self._location
        options = {
            **self._options,
            **self._tls(),
            "username": location.sentinel_user or None,
            "password": password(location.sentinel_password_file),
        }
        sentinel = self._redis.sentinel.Sentinel(location.hosts, sentinel_kwargs=options)
        try:
            host, port = sentinel.discover_master(location.service)
            return host, int(port)
        finally:
            for client in sentinel.sentinels:
                client.close()

    def _proven(self, client: Any) -> tuple[Any, dict[str, Any]]:
        """Return `client` and its INFO, if the map can be written there; for the node of a cluster,
        a client for all of the cluster. Raises: StoreBusy."""
        location = self._location
        text = location.text
        info = client.info()
        version = str(info.get("redis_version", ""))
        if int(version.partition(".")[0] or 0) < LEAST_VERSION:
            client.close()
            raise StoreBusy(
                f"the map {text!r} is kept by Redis {version}; install {LEAST_VERSION}.0 or later"
            )
        if info.get("cluster_enabled"):
            client.close()
            return self._open_cluster(client), info
        if location.kind == "tcp" and len(location.hosts) > 1:
            client.close()
            raise StoreBusy(
                f"the map {text!r} names several servers, and they are no cluster; name one, or "
                "its sentinels"
            )
        if info.get("role") != "master":
            client.close()
            raise StoreBusy(
                f"the map {text!r} is a replica; a filter writes to the master: name that, or its "
                "sentinels"
            )
        return client, info

    def _open_cluster(self, seed: Any) -> Any:
        location = self._location
        if location.kind != "tcp" or location.database:
            raise StoreBusy(
                f"the map {location.text!r} is a cluster; write redis://HOST:PORT, without a "
                "database"
            )
        where = seed.connection_pool.connection_kwargs
        # redis-py's own retries follow a slot that moves.
        options = {key: value for key, value in self._options.items() if key != "retry"}
        client = self._redis.cluster.RedisCluster(
            host=where["host"], port=where["port"], **options, **self._tls()
        )
        self._cluster = True
        return client

    @property
    def nodes(self) -> tuple[tuple[str, int], ...]:
        """The nodes of the cluster, with replicas, as one of them may be the next master; () where
        there is no cluster."""
        if not self._cluster:
            return ()
        return tuple((node.host, int(node.port)) for node in self._client.get_nodes())

    def close(self) -> None:
        """Close the connection; never raises."""
        with contextlib.suppress(Exception):
            self._client.close()
