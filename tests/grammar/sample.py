"""Samples one by one, for tests that make many."""

from __future__ import annotations

from pbs_filter.grammar import Sample
from pbs_filter.model import Observation


def yes(line: str, observation: Observation) -> Sample:
    """A sample that must give exactly `observation`."""
    return Sample(line=line, observation=observation)


def no(line: str, because: str) -> Sample:
    """A sample that must authorise, connect and end nothing."""
    return Sample(line=line, observation=None, because=because)
