"""A mail host with all servers: log lines in, addresses that may relay out."""

from __future__ import annotations

from typing import Any

from pbs_filter.model import Observation, Reason, Record
from pbs_filter.servers import SERVERS

from ..pipelines import MATCHER, NOW, new

CANARY = "203.0.113.66"
BOBS, ALICES = "192.0.2.7", "198.51.100.7"


class Host:
    """A mail host's log, and what the filter makes of it."""

    def __init__(self, **options: Any) -> None:
        self.now = NOW
        self.pipeline = new(named=[server.name for server in SERVERS], **options)
        self.ledger = self.pipeline.ledger

    def logs(self, *lines: str) -> Host:
        for line in lines:
            self.now += 1
            self.pipeline.block(f"Nov 20 10:00:00 mx1 {line}\n".encode(), self.now)
        return self

    @property
    def authorised(self) -> dict[str, str]:
        """Address -> user."""
        return {address: auth.user for address, auth in self.ledger.authorisations.items()}

    def has(self, *, authorised: dict[str, str], in_session: set[str]) -> None:
        """Assert who may relay, and from where sessions are open."""
        assert authorised == self.authorised
        assert in_session == {session.address for session in self.ledger.sessions.values()}


def read(program: str, message: str, pid: str = "4711") -> Observation | Reason:
    """What all servers together say of a message."""
    reading = MATCHER.read(Record(program, message, "mx1", pid))
    return reading if isinstance(reading, Reason) else reading.observation
