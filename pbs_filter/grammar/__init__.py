"""The grammar kit: tokens, rules, samples; compiled to `re`; held to a contract.

A server file needs only what has its name here. The modules are imported when one of the names is:
they bring pyparsing, and a filter whose rules are kept (`kept`) starts without, in half the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .matcher import Match, Matcher, NearMiss
    from .rules import Rule, Sample, Server, samples
    from .tokens import (
        ADDRESS,
        ADDRESS_BEFORE_PORT,
        HOST,
        IPV4,
        NUMBER,
        PORT,
        TEXT,
        USER,
        WORD,
        line,
        name,
        name_before,
        quoted_name,
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
    from . import matcher, rules, tokens

    return next(vars(each)[name] for each in (tokens, rules, matcher) if name in vars(each))
