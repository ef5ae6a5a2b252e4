"""The lookups of an MTA are described here: place, question, meaning of the answer; what a stranger
is told. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..addresses import Networks, parse_mynetworks
from .finding import LOG, Finding, note, ok, wrong

STRANGER = "192.0.2.254"
"""An address that is nobody's (RFC 5737)."""
SOMEBODY = "pbs-filter-doctor@example.com"
"""A recipient elsewhere, who is nobody either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupConfig:
    """The place where an MTA asks, by its configuration."""

    mta: str
    kind: Literal["socketmap", "policy", "program"]
    where: str = ""
    """The path of a unix socket; "" where it starts a program."""
    name: str = "pbs"
    """The name of the map in a socketmap question."""
    user: str = ""
    """The account that its lookups run as; "" where that is not known."""
    group: str = ""
    program: str = ""
    """The path of its pbs-lookup; "" where that is not known."""
    restart: tuple[str, ...] = (
        "systemctl restart pbs-lookup.socket",
        "journalctl -u pbs-lookup",
    )
    """What to type where nobody answers there."""
    not_asking: str = ""
    """The ports at which it does not ask, for a sentence."""


def does_not_ask(mta: str, why: str) -> Finding:
    """Return the finding that an MTA's configuration does not ask us."""
    return wrong("MTA", f"{mta} does not ask: {why}", f"pbs-filter --setup {mta}")


def question(asked: LookupConfig, address: str = STRANGER) -> bytes:
    """Return the question for `address`, in the protocol of the socket."""
    if asked.kind == "policy":
        return f"request=smtpd_access_policy\nclient_address={address}\n\n".encode()
    key = f"{asked.name} {address}"
    return f"{len(key)}:{key},".encode()


def answer(asked: LookupConfig, reply: bytes, problem: str) -> Finding:
    """Judge the service's `reply`, or the `problem` of asking."""
    text = reply.decode("utf-8", "replace").strip()
    if problem:
        return wrong(
            "MTA",
            f"{asked.mta} asks at {asked.where}, where nobody answers: {problem}",
            *asked.restart,
        )
    if "NOTFOUND" in text or "DUNNO" in text:
        return ok("MTA", f"{asked.mta} asks at {asked.where}, and is answered")
    if re.search(r"\bOK\b", text):
        return wrong(
            "MTA", f"{asked.where} says that a stranger, {STRANGER}, may relay", "pbs-filter --list"
        )
    return wrong("MTA", f"{asked.where} cannot answer: {text!r}", f"tail {LOG}")


def strangers(own: Sequence[str], trusted: str) -> list[str]:
    """Return the addresses of this machine which the MTA does not trust: from there we can be
    one."""
    networks = Networks(parse_mynetworks(trusted)[0])
    return [
        address
        for address in own
        if not address.startswith(("127.", "fe80:"))
        and address != "::1"
        and networks.find(address) is None
    ]


def some_ports(asked: LookupConfig) -> Finding | None:
    """Return the finding that an MTA asks at some of its ports only."""
    if not asked.not_asking:
        return None
    text = f"{asked.mta} does not ask at {asked.not_asking}: the map lets nobody relay there"
    return note("MTA", text, f"pbs-filter --setup {asked.mta}   # says what to put there")


def conversation(source: str, reply: str, port: int = 25) -> Finding:
    """Judge the MTA's reply at `port` to RCPT for elsewhere, to a client at `source`."""
    if reply.startswith("2"):
        return wrong(
            "relay",
            f"OPEN: at port {port} the MTA takes mail from {source} to elsewhere: {reply}",
            f"stop the MTA until that is mended; or, if {source} may relay on purpose, put it into "
            "mynetworks",
            "pbs-filter --list",
        )
    return ok(
        "relay",
        f"closed for a stranger at port {port}: from {source} to elsewhere the MTA said {reply}",
    )


def untried(mta: str) -> Finding:
    """Return the finding that whether the relay is closed can only be tried from elsewhere."""
    return note(
        "relay",
        f"whether {mta} is closed for strangers can only be tried from elsewhere",
        "from another machine: swaks --server THIS --to x@example.com --quit-after RCPT",
    )
