"""CPU time of each stage a line goes through, in one process: `python -m tests.bench.stages`.

Prints JSON: stage name -> microseconds a line (or login). The store is not in it.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import lru_cache

from pbs_filter.authorisation.correlator import Correlator
from pbs_filter.authorisation.ledger import Ledger
from pbs_filter.authorisation.pipeline import Pipeline
from pbs_filter.authorisation.policy import Policy
from pbs_filter.grammar.matcher import Matcher
from pbs_filter.servers import SERVERS
from pbs_filter.service.collector import calm_collector
from pbs_filter.store import journal_lines

from . import inputs

NOW = 1_795_167_000


@lru_cache(1)
def _reader() -> Matcher:
    return Matcher(SERVERS)


def new_filter(max_session_seconds: int = 43200) -> Pipeline:
    """A filter as `pbs-filter` without a configuration makes it."""
    ledger = Ledger(
        grace_seconds=1800,
        max_session_seconds=max_session_seconds,
        max_addresses_per_user=20,
        max_sessions=2_000_000 if max_session_seconds else 0,
    )
    return Pipeline(
        matcher=_reader(),
        policy=Policy.of(local_networks=("127.0.0.0/8", "::1/128")),
        ledger=ledger,
        correlator=Correlator(ledger, patience_seconds=600),
    )


class _Taken:
    """CPU times by stage."""

    def __init__(self) -> None:
        self._microseconds: dict[str, list[float]] = {}

    def note(self, stage: str, count: int, work: Callable[..., object], *arguments: object) -> None:
        """Do `work` for `count` lines."""
        gc.collect()
        calm_collector()  # as in service
        began = time.process_time()
        work(*arguments)
        took = time.process_time() - began
        self._microseconds.setdefault(stage, []).append(took / count * 1e6)

    def medians(self) -> dict[str, float]:
        """Microseconds by stage."""
        return {stage: statistics.median(took) for stage, took in self._microseconds.items()}


def stages(number: int, repeat: int) -> dict[str, float]:
    """Microseconds by stage, medians of `repeat`; `number` lines of each kind."""
    taken = _Taken()
    logs = {
        "other program's line": inputs.text(inputs.noise(number, NOW)),
        "login and logout, per line": inputs.text(inputs.sessions(number, 3000, NOW)),
        "Courier login, new address": inputs.text(inputs.logins(number, NOW, inputs.courier)),
    }
    logins = {
        name: inputs.text(inputs.logins(number, NOW), shape)
        for name, shape in inputs.SHAPES.items()
    }
    for log in (*logs.values(), *logins.values()):
        new_filter().block(log[:10_000], NOW)  # compiles the rules
    for _ in range(repeat):
        for name, log in logs.items():
            taken.note(f"{name}: all", number, new_filter().block, log, NOW)
        for name, log in logins.items():
            _login(taken, name, log, number)
    return taken.medians()


def _login(taken: _Taken, name: str, log: bytes, number: int) -> None:
    made = new_filter()
    taken.note(f"{name} login: scan", number, made.scanner.candidates, log)
    found = made.scanner.candidates(log)
    taken.note(f"{name} login: record", number, lambda: [*map(made.read_record, found)])
    taken.note(f"{name} login, new address: all", number, made.block, log, NOW)
    if name != "BSD":
        return
    read = [*map(made.read_record, found)]
    taken.note("login: grammar", number, lambda: [*map(made.matcher.read, read)])
    payloads = made.state.journal_payloads()
    taken.note("login: journal payloads", number, made.state.journal_payloads)
    taken.note("login: journal bytes", number, journal_lines.encode, payloads, 1)
    taken.note("login: map values", number, made.ledger.map_changes)
    made.state.journaled()
    taken.note("BSD login, known address: all", number, made.block, log, NOW + 1)


if __name__ == "__main__":
    number_, repeat_ = (int(word) for word in sys.argv[1:] or ("20000", "5"))
    print(json.dumps(stages(number_, repeat_), indent=1))
