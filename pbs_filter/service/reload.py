"""SIGHUP lets a running filter take a part of its configuration again (edge).

So the configuration that runs may be another than that of the files; `Reload` knows both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..authorisation.pipeline import Pipeline
from ..authorisation.policy import Policy
from ..authorisation.review import review
from ..clock import Clock
from ..config.options import OPTIONS, Config
from ..errors import PbsFilterError
from ..log import Log
from ..monitor.configuration import not_in_use
from ..text import counted
from . import build
from .local_networks import LocalNetworks


class Reload:
    """Read networks, users and accounts again when called, as SIGHUP asks; the rest waits for the
    next start.

    Args:
        make_config: reads the configuration.
        config: the one that runs.
    """

    def __init__(
        self,
        make_config: Callable[[], Config],
        config: Config,
        pipeline: Pipeline,
        networks: LocalNetworks,
        log: Log,
        clock: Clock,
    ) -> None:
        self._make_config = make_config
        self._pipeline = pipeline
        self._networks = networks
        self._log = log
        self._config = config
        self._lists = _sums(_lists(config))
        self._grammars = _sums(_grammars(config))
        self._clock = clock
        self._reviewed = Policy.of().lists

    def __call__(self) -> None:
        """Take what SIGHUP is for; where the files are wrong, go on as before."""
        try:
            config = self._make_config()
            self._networks.start(config.local_networks_command)
            self._apply(config)
        except PbsFilterError as error:
            self._log.say(f"SIGHUP: {error}; going on with the old networks")
            return
        again = {name: getattr(config, name) for name, each in OPTIONS.items() if each.reload}
        self._config = self._config.changed(sources=config.sources, **again)
        self._lists = _sums(_lists(self._config))
        self._log.say("SIGHUP: log reopened, networks and accounts read again")
        if waiting := not_in_use({"configuration": {"restart": self._waiting(config)}}):
            self._log.say(f"SIGHUP: {waiting}")

    def tick(self) -> None:
        """Take the networks that `local_networks_command` has found meanwhile."""
        if not self._networks.tick():
            return
        try:
            self._apply(self._config)
        except PbsFilterError as error:
            self._log.say(f"{error}; going on with the old networks")

    def _apply(self, config: Config) -> None:
        pipeline = self._pipeline
        policy = build.policy_of(config, pipeline.matcher.servers, self._networks.answer)
        build.borders_of(config, policy, pipeline.state.countries, self._log.say)
        pipeline.follow(policy)
        self.review()

    def review(self) -> None:
        """End what the configuration excludes, if it has other lists than the last time."""
        policy = self._pipeline.policy
        if policy.lists == self._reviewed:
            return
        self._reviewed = policy.lists
        count = review(self._pipeline.ledger, policy, self._clock.now())
        if count:
            self._log.say(
                f"{counted(count, 'address')} no longer authorised: deny_users, allow_users, "
                "deny_networks, allow_networks or proxy_networks exclude the users or networks now"
            )

    def stale(self) -> dict[str, Any]:
        """Return the names of what the files say otherwise than the filter that runs: `restart` has
        the options that count when it starts again, `reload` those that SIGHUP is enough for, and
        `error` why the files cannot be read (else None)."""
        found: dict[str, Any] = {"restart": [], "reload": [], "error": None}
        try:
            config = self._make_config()
        except PbsFilterError as error:
            return found | {"error": str(error)}
        found["reload"] = [
            *self._changed(config, reload=True),
            *_others(self._lists, _lists(config)),
        ]
        return found | {"restart": self._waiting(config)}

    def _waiting(self, config: Config) -> list[str]:
        """Return what of `config` waits for the next start."""
        return [
            *self._changed(config, reload=False),
            *_others(self._grammars, _grammars(config)),
        ]

    def _changed(self, config: Config, *, reload: bool) -> list[str]:
        """Return the options that are another in `config`, of those that SIGHUP is enough for or
        the others."""
        return [
            name
            for name, option in OPTIONS.items()
            if bool(option.reload) == reload
            and getattr(config, name) != getattr(self._config, name)
        ]


def _lists(config: Config) -> Iterator[str]:
    """Yield the paths of the files with users that the configuration names."""
    for items in (config.deny_users, config.allow_users, *(each.users for each in config.groups)):
        yield from (item for item in items if item.startswith("/"))


def _grammars(config: Config) -> Iterator[str]:
    yield from (table.python for table in config.server if table.python)


def _others(before: Mapping[str, str], paths: Iterable[str]) -> list[str]:
    """Return the files whose content has not the checksum of `before`."""
    return [path for path, checksum in _sums(paths).items() if before.get(path) != checksum]


def _sums(paths: Iterable[str]) -> dict[str, str]:
    """Return a checksum of each file's content; "" where it cannot be read."""
    sums = {}
    for path in paths:
        import hashlib  # takes 3 ms of a start, and most sites have no such file

        try:
            with open(path, "rb") as file:
                sums[path] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            sums[path] = ""
    return sums
