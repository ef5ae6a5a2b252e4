"""Message templates: `user {user} logged in from {ip}`."""

from __future__ import annotations

import re

import pyparsing as pp

from ..errors import GrammarError
from ..grammar.tokens import (
    ADDRESS,
    ADDRESS_BEFORE_PORT,
    HOST,
    NUMBER,
    PORT,
    TEXT,
    USER,
    WORD,
    line,
    token,
)

_FIELDS: dict[str, pp.ParserElement] = {
    "ip": ADDRESS("address"),
    "user": USER("user"),
    "pid": NUMBER,
    "session": token(r"[^\x00-\x20\x7f<>()\[\]{},;:\"'`\\]{1,128}+", "a session's id"),
    "word": WORD("0-9A-Za-z._@+/:=-", 128),
    "number": NUMBER,
    "host": HOST,
    "port": PORT,
    "rest": TEXT,
}
_RESULTS = {"ip": "address", "user": "user", "pid": "process", "session": "session"}
"""Field -> its result; the last two are named only where they tie the session's lines."""

_ip_before_port = re.compile(r"\{ip\}(?=:\{(?:port|number)\})")
_part = re.compile(r"\{\{|\}\}|\{([a-z]*)\}|[^{}]+|.", re.DOTALL)


def results(key: str, template: str) -> frozenset[str]:
    """Return the results of a template's fields; GrammarError if there is something wrong."""
    found = []
    for part in _part.finditer(template):
        text, field = part.group(), part[1]
        if text in ("{", "}"):
            raise GrammarError(f"{key} = {template!r}: a lone {text!r}; write {text * 2} for it")
        if field is not None and field not in _FIELDS:
            raise GrammarError(
                f"{key} = {template!r}: no field {text}; there are "
                + ", ".join(f"{{{name}}}" for name in _FIELDS)
            )
        if field == "rest" and (key != "refused" or part.end() < len(template)):
            raise GrammarError(
                f"{key} = {template!r}: {{rest}} reads anything, so it may stand only at the end "
                "of refused; write out what can stand there"
            )
        if field in ("ip", "user", "pid", "session"):
            found.append(_RESULTS[field])
    for name in sorted({name for name in found if found.count(name) > 1}):
        raise GrammarError(f"{key} = {template!r}: {name} is read twice; use {{word}} for one")
    missing = {"login": "address", "connected": "address"}.get(key)
    if missing and missing not in found:
        raise GrammarError(f"{key} = {template!r}: has no {{ip}}; who is it that may relay?")
    return frozenset(found)


def expression(template: str, ties: tuple[str, ...]) -> pp.ParserElement:
    """Return what a template reads; `ties` are the results that the session's key is made of."""
    tied = {
        field: _FIELDS[field](_RESULTS[field])
        for field in ("pid", "session")
        if _RESULTS[field] in ties
    }
    wording = _ip_before_port.sub("{ip_before_port}", template)
    return line(wording, **_FIELDS | tied, ip_before_port=ADDRESS_BEFORE_PORT("address"))
