"""--check: the configuration and every grammar (edge)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from ..config.options import Config
from ..errors import ConfigError, PbsFilterError, StoreBusy
from ..grammar import contract
from ..map_format.redis_url import is_redis
from ..monitor.configuration import not_in_use
from ..privileges import accounts
from ..service import control
from ..service.build import pipeline_of, servers_of
from ..service.storage import redis_map_of
from ..store.gdbm_file import NO_GDBM, has_gdbm
from ..terminal import json_line, moment
from ..text import counted
from .arguments import complain


def run(make_config: Callable[[], Config], options: argparse.Namespace) -> int:
    """Check all that a start would read, and every grammar by the contract.

    Return 0 if all is well, 1 if a grammar breaks the contract.

    Raises:
        ConfigError, GrammarError: a start would fail; with --json it is also in the object.
    """
    if not options.json:
        config = make_config()
        servers = _check(config, complain)
        for server in servers:
            _print(**server)
        ok = not any(server["violations"] for server in servers)
        if ok:
            print("configuration: ok")
        _note_running(config, complain)
        return 0 if ok else 1
    notes: list[str] = []
    result: dict[str, Any] = {"ok": False, "error": None, "notes": notes, "servers": []}
    try:
        config = make_config()
        result["servers"] = _check(config, notes.append)
        result["ok"] = not any(server["violations"] for server in result["servers"])
        _note_running(config, notes.append)
    except PbsFilterError as error:
        result["error"] = str(error)
        raise
    finally:
        sys.stdout.write(json_line(result))
    return 0 if result["ok"] else 1


def _check(config: Config, note: Callable[[str], None]) -> list[dict[str, Any]]:
    if config.write and not is_redis(config.map) and not has_gdbm():
        raise ConfigError(NO_GDBM)
    accounts(config)
    if config.write and is_redis(config.map):
        note_redis(config, note)
    pipeline = pipeline_of(config, note)
    read = pipeline.read_record
    servers = servers_of(config)
    return [
        {
            "name": server.name,
            "rules": len(server.rules),
            "samples": sum(len(rule.samples) for rule in server.rules),
            "violations": contract.check(server, servers, read),
            "pieces": pipeline.policy.pieces_note(server),
            "tls": pipeline.policy.tls_note(server),
        }
        for server in servers
    ]


def _note_running(config: Config, note: Callable[[str], None]) -> None:
    """Note what a filter that runs on this map has not taken from the files yet."""
    try:
        values = (control.ask(config.control, {"do": "status"}) or {}).get("status")
    except (OSError, StoreBusy):
        return  # --status and --doctor say why
    if values and (old := not_in_use(values)):
        note(f"the filter that runs since {moment(values['since'])}: configuration {old}")


def note_redis(config: Config, note: Callable[[str], None]) -> None:
    """Note what its operator should mend in the Redis that has the map."""
    shared_map = redis_map_of(config)
    try:
        if advice := shared_map.advice():
            note(advice)
    except StoreBusy as error:
        note(str(error))
    finally:
        shared_map.close()


def _print(
    *, name: str, rules: int, samples: int, violations: list[str], pieces: str, tls: str
) -> None:
    for violation in violations:
        print(f"{name}: {violation}")
    if not violations:
        print(f"{name}: {counted(rules, 'rule')}, {counted(samples, 'sample')}: ok")
    for note in filter(None, (pieces, tls)):
        print(f"{name}: {note}")
