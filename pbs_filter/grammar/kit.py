"""The grammar kit is all that a server file needs: it imports this from `pbs_filter.grammar`."""

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
