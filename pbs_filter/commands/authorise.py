"""--authorise: a person authorises an address (edge)."""

from __future__ import annotations

import argparse

from ..config.options import Config
from ..errors import UsageError
from ..map_format.redis_url import is_redis
from ..service import control
from ..terminal import moment
from ..text import duration_seconds
from .arguments import complain
from .request import request


def run(config: Config, options: argparse.Namespace) -> int:
    """Authorise the address; return 0.

    Raises:
        UsageError, StoreBusy: see `request`; or the time is not one.
    """
    seconds = config.grace_seconds
    if options.for_ is not None:
        given = duration_seconds(options.for_)
        if given is None:
            raise UsageError(f"--for: {options.for_!r} is not a time; write 90, 30m, 1h or 2d")
        seconds = given
    answer = request(
        config,
        {
            "do": "authorise",
            "address": options.authorise,
            "seconds": seconds,
            "note": options.note or "",
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
