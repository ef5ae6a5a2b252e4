"""A site's own sample lines: read from its configuration, sorted to the rules that read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..addresses import canonical
from ..errors import GrammarError
from ..grammar.contract import Read, near_miss
from ..grammar.matcher import Matcher
from ..grammar.rules import Rule, Sample, Server
from ..model import Accepted, Connected, Observation, Reason, Record, Refused

_KEYS = ("line", "user", "ip", "refuse")


class SiteSample:
    """One entry of `samples`."""

    __slots__ = ("ip", "message", "pid", "program", "refuse", "text", "user")

    def __init__(
        self, entry: Mapping[str, object], programs: tuple[str, ...], read: Read | None
    ) -> None:
        if not isinstance(entry.get("line"), str):
            raise GrammarError(
                f"samples: {entry!r}: must be {{ line = '...', user = ..., ip = ... }}"
            )
        for key in entry:
            if key not in _KEYS:
                raise GrammarError(
                    f"samples: {entry!r}: unknown key {key!r}; known: {', '.join(_KEYS)}"
                )
        self.text = str(entry["line"])
        self.user = entry.get("user")
        self.ip = entry.get("ip")
        self.refuse = entry.get("refuse", False)
        if not isinstance(self.refuse, bool):
            raise GrammarError(f"samples: {entry!r}: refuse must be true or false")
        self.program, self.pid, self.message = self._parts(programs, read)
        if self.program not in programs:
            raise GrammarError(
                f"samples: {self.text!r}: is a line of {self.program!r}, which is not in program"
            )

    def _parts(self, programs: tuple[str, ...], read: Read | None) -> tuple[str, str, str]:
        if self.text.startswith(programs):
            return Sample(line=self.text, observation=None).parts()
        record = read(self.text.encode("utf-8", "surrogateescape")) if read else Reason.NOT_A_RECORD
        if isinstance(record, Record):
            return record.program, record.pid, record.message
        raise GrammarError(
            f"samples: {self.text!r}: {record.value}; give the whole line, or 'PROGRAM[PID]: TEXT'"
        )

    def sample(self, observation: Observation | None) -> Sample:
        """Return the line as the contract wants it."""
        tag = f"{self.program}[{self.pid}]" if self.pid else self.program
        return Sample(
            line=f"{tag}: {self.message}", observation=observation, because="the site says so"
        )


def read_samples(
    entries: Sequence[Mapping[str, object]], programs: tuple[str, ...], read: Read | None
) -> list[SiteSample]:
    """Return the entries of a table's `samples`; GrammarError if there are none, or one is bad."""
    if not entries:
        raise GrammarError("samples are missing; give a line for each wording, and one to refuse")
    return [SiteSample(entry, programs, read) for entry in entries]


def sort_to_rules(own: Server, samples: list[SiteSample]) -> tuple[Rule, ...]:
    """Return the rules with the samples that each reads, and all with those to be refused."""
    matcher = Matcher([own])
    read_by: dict[str, list[Sample]] = {rule.name: [] for rule in own.rules}
    refused: list[Sample] = []
    for sample in samples:
        reading = matcher.read(Record(sample.program, sample.message, "", sample.pid))
        if sample.refuse:
            refused.append(sample.sample(None))
            if not isinstance(reading, Reason) and isinstance(reading.observation, Refused):
                read_by[reading.rule.name].append(sample.sample(reading.observation))
        elif isinstance(reading, Reason):
            near = near_miss(matcher, sample.program, sample.message)
            raise GrammarError(f"samples: {sample.text!r}: {reading.value}{near}")
        else:
            _compare(sample, reading.observation, reading.rule.name)
            read_by[reading.rule.name].append(sample.sample(reading.observation))
    for name, read in read_by.items():
        if not read:
            raise GrammarError(f"samples: none is read by {name}; add one of its lines")
    if not refused:
        raise GrammarError(
            "samples: none is to be refused; add the line of a failed login with refuse = true"
        )
    return tuple(replace(rule, samples=(*read_by[rule.name], *refused)) for rule in own.rules)


def _compare(sample: SiteSample, observation: Observation, rule: str) -> None:
    """Refuses a sample that does not say what its line gives, or says something else."""
    address = getattr(observation, "address", None)
    user = getattr(observation, "user", None) or None
    expected = canonical(str(sample.ip)) if sample.ip is not None else None
    if sample.ip is not None and expected is None:
        raise GrammarError(f"samples: {sample.text!r}: ip = {sample.ip!r} is not an address")
    states_address = isinstance(observation, Accepted | Connected) or sample.ip is not None
    if states_address and expected != address:
        raise GrammarError(
            f"samples: {sample.text!r}: {rule} reads ip = {address!r}, "
            f"the sample says {sample.ip!r}"
        )
    states_user = isinstance(observation, Accepted) or sample.user is not None
    if states_user and sample.user != user:
        raise GrammarError(
            f"samples: {sample.text!r}: {rule} reads user = {user!r}, "
            f"the sample says {sample.user!r}"
        )
