"""The grammar kit: tokens, rules, samples; compiled to `re`; held to a contract.

A server file needs only what is imported here. The kit is imported when a name of it is: it brings
pyparsing, and a filter whose rules are kept (`kept`) starts without, in half the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .kit import (
        ADDRESS,
        ADDRESS_BEFORE_PORT,
        HOST,
        IPV4,
        NUMBER,
        PORT,
        TEXT,
        USER,
        WORD,
        Match,
        Matcher,
        NearMiss,
        Rule,
        Sample,
        Server,
        line,
        name,
        name_before,
        quoted_name,
        samples,
        token,
    )

__all__ = [
    "ADDRESS",
    "ADDRESS_BEFORE_PORT",
    "HOST",
    "IPV4",
    "NUMBER",
    "PORT",
    "TEXT",
    "USER",
    "WORD",
    "Match",
    "Matcher",
    "NearMiss",
    "Rule",
    "Sample",
    "Server",
    "line",
    "name",
    "name_before",
    "quoted_name",
    "samples",
    "token",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import kit

    return getattr(kit, name)
