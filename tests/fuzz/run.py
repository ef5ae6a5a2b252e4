"""One campaign: a server's lines, all attacks, until the time is over."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hypothesis import HealthCheck, Phase, given, settings, target
from hypothesis import strategies as st

from pbs_filter.authorisation.correlator import Correlator
from pbs_filter.authorisation.ledger import Ledger
from pbs_filter.authorisation.pipeline import Pipeline
from pbs_filter.authorisation.policy import Policy
from pbs_filter.grammar import Server
from pbs_filter.grammar.matcher import Matcher
from pbs_filter.model import Accepted, Connected, Ended, Reason

from ..reading import read as read_line
from .attacks import CANARIES, CANARY, FRAMES, SPECIALS, attacks_of, texts
from .lines import OTHERS, Line, fill, lines_of, other_lines

NOW = 1_800_000_000
CHUNK = 200
"""Attack texts between two looks at the clock."""

LIMIT_NS = 1_000_000
"""The most one line may take, by the processor's time."""


@dataclass(kw_only=True)
class Tally:
    """What a campaign did."""

    lines: int = 0
    texts: int = 0
    read: int = 0
    """Lines that logged somebody in or connected somebody: the true address, not the canary."""
    slowest_ns: int = 0
    slowest_line: bytes = field(default=b"", repr=False)


class Campaign:
    """All servers read; the lines of some of them are attacked."""

    def __init__(self, servers: Iterable[Server], lines: Iterable[Line] = ()) -> None:
        servers = tuple(servers)
        # Rules that are off must be as safe as the others.
        self.matcher = Matcher(
            servers,
            enable=[f"{server.name}-{rule.name}" for server in servers for rule in server.rules],
        )
        self.attacks = attacks_of(servers)
        ledger = Ledger(grace_seconds=1800, max_session_seconds=43200)
        self.pipeline = Pipeline(
            matcher=self.matcher,
            policy=Policy.of(),
            ledger=ledger,
            correlator=Correlator(ledger, patience_seconds=600),
        )
        self.lines = list(lines)
        self.tally = Tally()

    def strike(self, text: str, shape: int, frames: Sequence[tuple[str, str]] = FRAMES) -> int:
        """Put `text` in each frame into every hole; return how many lines said something.

        Raises AssertionError for a line that said what it must not.
        """
        said = 0
        for number, (before, after) in enumerate(frames, shape):
            for line in fill(self.lines, f"{before}{text}{after}", number):
                said += self.one(line)
        self.tally.texts += 1
        self.tally.read += said
        return said

    def one(self, line: bytes) -> bool:
        """Read one line and hold it to what must be; whether it said something."""
        tally = self.tally
        tally.lines += 1
        start = time.perf_counter_ns()
        record = read_line(line)
        reading = record if isinstance(record, Reason) else self.matcher.read(record)
        taken = time.perf_counter_ns() - start
        if taken > LIMIT_NS:
            taken = self._again(line)
            assert taken <= LIMIT_NS, f"{taken / 1e6:.1f} ms for {line[:2000]!r}"
        if taken > tally.slowest_ns:
            tally.slowest_ns, tally.slowest_line = taken, line
        if isinstance(reading, Reason):
            return False
        observation = reading.observation
        if not isinstance(observation, Accepted | Connected | Ended):
            return False
        address = observation.address
        assert address != CANARY, f"{reading.rule.name} of {reading.server.name}: {line!r}"
        outcome = self.pipeline.line(line, NOW)
        assert outcome.address != CANARY, f"{outcome}: {line!r}"
        assert CANARY not in self.pipeline.ledger.authorisations, f"authorised by {line!r}"
        return not isinstance(observation, Ended)

    def _again(self, line: bytes) -> int:
        """Return the best of a few more times, of this process alone: the machine has others."""
        best = 10 * LIMIT_NS
        for _ in range(5):
            start = time.process_time_ns()
            record = read_line(line)
            if not isinstance(record, Reason):
                self.matcher.read(record)
            best = min(best, time.process_time_ns() - start)
        return best


def targets(servers: Iterable[Server]) -> dict[str, list[Line]]:
    """Return what can be attacked, by name: each server's lines, and those of everybody else."""
    return {server.name: lines_of(server) for server in servers} | {OTHERS: other_lines()}


def run(made: Campaign, lines: Iterable[Line], seconds: float) -> Tally:
    """Attack `lines` for about `seconds`; AssertionError for what got through.

    The known attacks first, then those that Hypothesis makes of them, towards texts with which more
    lines are read. What once got through is kept in .hypothesis/ and tried first the next time.
    """
    made.lines = list(lines)
    made.tally = Tally()
    end = time.monotonic() + seconds
    for number, text in enumerate(_known(made.attacks)):
        made.strike(text, number, FRAMES[:1])
        if time.monotonic() > end:
            return made.tally

    @settings(
        max_examples=CHUNK,
        deadline=None,
        phases=[Phase.reuse, Phase.generate, Phase.target, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(text=texts(made.attacks), shape=st.integers(0, 4))
    def attack(text: str, shape: int) -> None:
        if time.monotonic() < end:
            target(float(made.strike(text, shape)))

    while time.monotonic() < end:
        attack()
    return made.tally


def _known(attacks: list[str]) -> Iterator[str]:
    yield from attacks
    yield from CANARIES
    yield from SPECIALS
