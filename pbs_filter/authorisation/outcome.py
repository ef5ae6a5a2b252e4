"""An outcome says what one line led to. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ..model import Observation, Reason
from .events import Events

REFUSALS = frozenset(
    {
        Reason.DENIED_NETWORK,
        Reason.DENIED_USER,
        Reason.NOT_AN_ALLOWED_NETWORK,
        Reason.NOT_AN_ALLOWED_USER,
        Reason.PROXY,
        Reason.TOO_MANY,
        Reason.USER_HAS_TOO_MANY,
        Reason.WITHOUT_TLS,
        Reason.NEW_COUNTRY,
    }
)
"""Reasons by which the site's policy refuses a login that succeeded: the log has each."""


class Outcome(NamedTuple):
    """The outcome of one line: --explain shows it, and the counters count it."""

    event: Literal["login", "logout", "none"]
    reason: Reason | None = None
    """Why not; None for a login that authorises and for a logout."""
    server: str = ""
    rule: str = ""
    observation: Observation | None = None
    address: str | None = None
    user: str | None = None
    protocol: str | None = None
    detail: str = ""
    """The network or name that decided."""


new_outcome = tuple.__new__
"""Makes one in half the time that its own constructor, which is written in Python, takes."""


def tell(outcome: Outcome, events: Events) -> None:
    """Keep a refusal by the site's policy, or (debugging) any decision, for the log."""
    reason = outcome.reason
    detail = ": ".join(filter(None, ("" if reason is None else reason.value, outcome.detail)))
    events.add(
        "refused" if reason in REFUSALS else "decided",
        outcome.address or "",
        outcome.user or "",
        outcome.server,
        0,
        detail or outcome.event,
    )
