"""The grammar kit: tokens, rules, samples; compiled to `re`; held to a contract.

A server file needs only what is imported here.
"""

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
