"""--check: the configuration and every grammar (edge)."""

from __future__ import annotations

import argparse

from ..config.options import Config
from ..errors import ConfigError
from ..grammar import contract
from ..map_format.redis_url import is_redis
from ..privileges import accounts
from ..service.build import pipeline_of, servers_of
from ..store.gdbm_map import NO_GDBM, has_gdbm
from .arguments import complain


def run(config: Config, _options: argparse.Namespace) -> int:
    """Check all that a start would read, and every grammar by the contract.

    Return 0 if all is well, 1 if a grammar breaks the contract.

    Raises:
        ConfigError, GrammarError: a start would fail.
    """
    if config.write and not is_redis(config.map) and not has_gdbm():
        raise ConfigError(NO_GDBM)
    accounts(config)
    read = pipeline_of(config, complain).read_record
    servers = servers_of(config)
    broken = False
    for server in servers:
        violations = contract.check(server, servers, read)
        for violation in violations:
            print(f"{server.name}: {violation}")
        if violations:
            broken = True
            continue
        samples = sum(len(rule.samples) for rule in server.rules)
        print(f"{server.name}: {len(server.rules)} rules, {samples} samples: ok")
    if not broken:
        print("configuration: ok")
    return int(broken)
