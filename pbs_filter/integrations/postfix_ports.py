"""Postfix's smtpd services in master.cf: which of them ask, and which are closed. Pure.

A service may have restrictions of its own (`-o smtpd_relay_restrictions=...`), as those of the
ports 587 and 465 usually have: what main.cf says is then nothing to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from .machine import Machine

LIST = "smtpd_relay_restrictions"
RECIPIENT_LIST = "smtpd_recipient_restrictions"
RELAY = f"postconf -hx {LIST}"
RECIPIENT = f"postconf -hx {RECIPIENT_LIST}"
SERVICES = "postconf -M"
OVERRIDES = f"postconf -Px */*/{LIST} */*/{RECIPIENT_LIST}"
CLOSES = ("reject_unauth_destination", "defer_unauth_destination", "reject", "defer")
"""What refuses to relay: the check stands before the first of them."""

Question = tuple[Literal["socketmap", "policy"], str]
"""The protocol of our lookup, and where Postfix asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """An smtpd of master.cf, with the restrictions that hold there."""

    name: str
    """Its first word in master.cf: `smtp`, `submission`, `127.0.0.1:10025`."""
    relay: tuple[str, ...]
    recipient: tuple[str, ...]
    own: bool = False
    """Some of its restrictions are its own."""

    @property
    def asks(self) -> bool:
        """Return whether a client that may relay by the map gets through both lists."""
        lists = self.relay, self.recipient
        return any(map(_asks, lists)) and all(_asks(each) or not _refuses(each) for each in lists)

    @property
    def closed(self) -> bool:
        """Return whether one of the lists refuses a stranger to relay."""
        return any(_refuses(each) for each in (self.relay, self.recipient))


def words(text: str) -> tuple[str, ...]:
    """Return the words of a list of restrictions."""
    return tuple(word for word in re.split(r"[\s,{}]+", text) if word)


def question(restrictions: Sequence[str]) -> Question | None:
    """Return where a list asks us; None: it does not."""
    for word in restrictions:
        if word.startswith("socketmap:unix:"):
            return "socketmap", word
    for before, word in pairwise(restrictions):
        if before == "check_policy_service" and "pbs" in word:
            return "policy", word
    return None


def ports(machine: Machine) -> list[Port]:
    """Return the services that run smtpd for other hosts than this one; what main.cf says where
    none is known."""
    own: dict[tuple[str, str], str] = {}
    for line in machine.answers.get(OVERRIDES, "").splitlines():
        match = re.fullmatch(r"(\S+/(?:inet|pass))/(\S+) =(.*)", line)
        if match is not None:
            own[match[1], match[2]] = match[3]

    def effective(name: str) -> Port:
        return Port(
            name=name.rpartition("/")[0],
            relay=words(own.get((name, LIST), machine.answers.get(RELAY, ""))),
            recipient=words(own.get((name, RECIPIENT_LIST), machine.answers.get(RECIPIENT, ""))),
            own=(name, LIST) in own or (name, RECIPIENT_LIST) in own,
        )

    rows = (line.split() for line in machine.answers.get(SERVICES, "").splitlines())
    names = [
        f"{row[0]}/{row[1]}"
        for row in rows
        if row[1:2] in (["inet"], ["pass"])
        and row[7:8] == ["smtpd"]
        and not re.match(r"127\.|localhost:|\[?::1\]?:", row[0])
    ]
    return [effective(name) for name in names] or [effective("smtp/inet")]


def told(all_ports: Iterable[Port]) -> tuple[str, str]:
    """Return the names of the ports that ask, and of those that do not, for a sentence."""
    known = list(all_ports)
    asking, others = (
        " and ".join(port.name for port in known if port.asks is asks) for asks in (True, False)
    )
    return asking, others


def _asks(restrictions: Sequence[str]) -> bool:
    return question(_before(restrictions)) is not None


def _refuses(restrictions: Sequence[str]) -> bool:
    before = _before(restrictions)
    return len(before) < len(restrictions) and "permit" not in before


def _before(restrictions: Sequence[str]) -> Sequence[str]:
    """Return the part of a list in front of what refuses."""
    end = next((i for i, word in enumerate(restrictions) if word in CLOSES), len(restrictions))
    return restrictions[:end]
