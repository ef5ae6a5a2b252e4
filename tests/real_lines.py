"""Measures the filter by lines that others collected.

    python -m tests.real_lines FILE...

Each line of a FILE is a JSON object: `line`, `expect` (`login`, `logout` or `none`; any other value
is a matter of taste, and is counted only), `address` or `ip` (the client's, for a login) and, where
they are needed, `server`, `before` (lines that must come first) and `config` (TOML). It prints, by
server, how many were found, missed, read with a wrong address or user's end, and taken though they
are nothing; and ends with 1 if any line with a firm value was not read as it should be.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from pbs_filter.addresses import canonical
from pbs_filter.authorisation.correlator import Correlator
from pbs_filter.authorisation.ledger import Ledger
from pbs_filter.authorisation.outcome import Outcome
from pbs_filter.authorisation.pipeline import Pipeline
from pbs_filter.commands.explain import LOGINS_WITHOUT_EFFECT
from pbs_filter.config.load import build
from pbs_filter.model import Accepted, Ended, Reason
from pbs_filter.service.build import pipeline_of

NOW = 1_800_000_000
FIRM = ("login", "logout", "none")
READ_ALL_THE_SAME = {Reason.PIECE, Reason.CUT_UNSEEN, Reason.FORGED}
"""Such a login was read but authorises nobody: alone, as here, it may be a piece of a line that was
cut, and this machine may not have the server's account."""
VERDICTS = ("found", "missed", "wrong", "false", "quiet")
"""`quiet`: nothing, as expected."""


@lru_cache(64)
def _configured(config: str) -> Pipeline:
    return pipeline_of(build({"the line's config": config}), lambda _: None)


def _fresh(config: str) -> Pipeline:
    """Returns a pipeline that has seen nothing yet."""
    configured = _configured(config)
    ledger = Ledger(grace_seconds=1800, max_session_seconds=43200)
    return Pipeline(
        matcher=configured.matcher,
        policy=configured.policy,
        ledger=ledger,
        correlator=Correlator(ledger, patience_seconds=600),
    )


def outcome_of(item: dict[str, Any]) -> Outcome:
    """Returns what the item's line leads to, after the lines that come before it."""
    pipeline = _fresh(item.get("config") or "")
    for line in item.get("before") or ():
        pipeline.line(line.encode("utf-8", "surrogateescape"), NOW)
    return pipeline.line(item["line"].encode("utf-8", "surrogateescape"), NOW + 10)


def verdict(item: dict[str, Any]) -> str:
    """Returns one of VERDICTS."""
    outcome = outcome_of(item)
    observation = outcome.observation
    read = isinstance(observation, Accepted)
    authorised = outcome.event == "login" or (read and outcome.reason in LOGINS_WITHOUT_EFFECT)
    if item["expect"] == "login":
        if not authorised and not (read and outcome.reason in READ_ALL_THE_SAME):
            return "missed"
        expected = item.get("address") or item.get("ip")
        address = outcome.address or getattr(observation, "address", None)
        return "found" if expected is None or address == canonical(expected) else "wrong"
    if authorised:
        return "false" if item["expect"] == "none" else "wrong"
    if item["expect"] == "logout":
        return "found" if isinstance(observation, Ended) else "missed"
    return "false" if outcome.event == "logout" else "quiet"


def measure(items: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yields each item with its verdict."""
    for item in items:
        yield item, verdict(item)


def main(paths: list[str]) -> int:
    by_server: dict[str, Counter[str]] = {}
    failures = 0
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            items = [json.loads(line) for line in lines]
        for item, found in measure(items):
            is_firm = item["expect"] in FIRM
            name = (item.get("server") or "-") if is_firm else "matters of taste"
            by_server.setdefault(name, Counter())[found] += 1
            if is_firm and found in ("missed", "wrong", "false"):
                failures += 1
                print(f"{found}: {item['line'][:300]!r}", file=sys.stderr)
    print(f"{'':40}" + "".join(f"{word:>8}" for word in VERDICTS))
    for name, counts in sorted(by_server.items()):
        print(f"{name[:40]:40}" + "".join(f"{counts[word]:8}" for word in VERDICTS))
    print(f"{failures} firm values not met")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
