"""A finding of --doctor: what was looked at, whether it is right, what to type. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LOG = "/var/log/pbs-filter.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of --doctor."""

    subject: str
    state: Literal["ok", "wrong", "note"]
    text: str
    todo: tuple[str, ...] = ()
    """The commands to type, or what to do."""


def ok(subject: str, text: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(subject=subject, state="ok", text=text)


def wrong(subject: str, text: str, *todo: str) -> Finding:
    """Return a finding that something must be mended."""
    return Finding(subject=subject, state="wrong", text=text, todo=todo)


def note(subject: str, text: str, *todo: str) -> Finding:
    """Return a finding of something that was not checked, or is not wrong in itself."""
    return Finding(subject=subject, state="note", text=text, todo=todo)
