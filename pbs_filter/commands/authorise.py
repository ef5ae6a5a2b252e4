"""--authorise: a person authorises an address (edge)."""

from __future__ import annotations

import argparse

from ..config.options import Config
from ..map_format.redis_url import is_redis
from ..service import control
from ..terminal import moment
from .arguments import complain
from .request import request


def run(config: Config, options: argparse.Namespace) -> int:
    """Authorise the address; return 0.

    Raises:
        ConfigError, StoreBusy: see `request`.
    """
    answer = request(
        config,
        {
            "do": "authorise",
            "address": options.authorise,
            "seconds": config.grace_seconds if options.seconds is None else options.seconds,
            "note": options.note,
        },
    )
    print(f"{answer['address']}: may relay until {moment(answer['until'])}")
    if is_redis(config.map):
        _report_backlog(config)
    return 0


def _report_backlog(config: Config) -> None:
    """Say whether the running filter still has to send its latest changes."""
    answer = control.ask(config.control, {"do": "status"}) or {}
    backlog = answer.get("status", {}).get("map")
    if backlog and backlog["trouble"]:
        complain(f"lookups do not see it yet: {backlog['trouble']}")
