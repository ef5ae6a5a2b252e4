"""A pipeline with all servers, lines for it, and what --status collects from it."""

from __future__ import annotations

import json
from typing import Any

from pbs_filter.authorisation.correlator import Correlator
from pbs_filter.authorisation.ledger import Ledger
from pbs_filter.authorisation.pipeline import Pipeline
from pbs_filter.authorisation.policy import Policy
from pbs_filter.grammar import Matcher
from pbs_filter.monitor.status import Run, collect
from pbs_filter.monitor.warnings import Warnings
from pbs_filter.servers import SERVERS

NOW = 1_800_000_000
GRACE = 1800
MATCHER = Matcher(SERVERS)
RUN = Run(
    pid=4711,
    since=NOW - 3600,
    last_input=NOW - 2,
    troubles={},
    journal="5f3a9c01-4096",
    behind=None,
)


def new(
    *, enable: tuple[str, ...] = (), max_addresses_per_user: int = 0, **policy: Any
) -> Pipeline:
    """A pipeline that has seen nothing."""
    ledger = Ledger(
        grace_seconds=GRACE,
        max_session_seconds=43200,
        max_addresses_per_user=max_addresses_per_user,
    )
    return Pipeline(
        matcher=Matcher(SERVERS, enable=enable) if enable else MATCHER,
        policy=Policy.of(**policy),
        ledger=ledger,
        correlator=Correlator(ledger, patience_seconds=600),
    )


def feed(pipeline: Pipeline, *lines: str, now: int = NOW) -> Pipeline:
    """The pipeline after these lines, which came in one block."""
    pipeline.block("".join(line + "\n" for line in lines).encode(), now)
    return pipeline


def as_json(message: str, **fields: Any) -> bytes:
    """A line of the JSON feed."""
    values = {"t": "2027-01-15T08:00:00+00:00", "h": "mx1", "p": "pop3d", "msg": message}
    return json.dumps(values | fields).encode()


def values(pipeline: Pipeline | None = None, **run: Any) -> dict[str, Any]:
    """What --status collects from a filter after one look at it."""
    pipeline = pipeline or new()
    warnings = Warnings()
    warnings.look(pipeline, NOW, 60)
    return collect(pipeline, warnings, RUN._replace(**run), NOW)
