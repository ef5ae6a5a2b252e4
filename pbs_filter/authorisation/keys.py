"""Keys name sessions, and the loggers whose messages follow each other. Pure."""

from __future__ import annotations

from functools import lru_cache

from ..model import Record
from .authorisations import clean


def sender_of(record: Record) -> str:
    """Return the sender to whom the sessions of a record belong.

    A host's name is only claimed: one host of the network that calls itself as another does must
    not end that one's sessions, or take its connections over.
    """
    return f"{record.peer} {record.host}" if record.peer else record.host


@lru_cache(1024)
def prefix_of(sender: str, server: str) -> str:
    """Return the start of the keys of a sender's sessions at a server: all but the last word."""
    return clean(f"{sender} {server} ")


def word_of(session: str) -> str:
    """Return the last word of a session's key: one word, also where a user's name has blanks."""
    return clean(session).replace(" ", "\u2423")


def logger_of(record: Record) -> str:
    """Return the key of a program on one host, written by one account: its messages follow."""
    return key_of_logger(sender_of(record), record.program, record.uid)


@lru_cache(1024)
def key_of_logger(sender: str, program: str, uid: int | None) -> str:
    """Return the same for the parts of a record."""
    return clean(f"{sender} {program} {'' if uid is None else uid}")
