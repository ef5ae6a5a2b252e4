"""Hypothesis strategies: strings that an expression reads, and strings that nearly are."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from functools import lru_cache

import pyparsing as pp
from hypothesis import strategies as st

# What attackers and broken daemons put between and into the fields of a line.
AWKWARD = (
    " ",
    "  ",
    "\t",
    "\n",
    "\r",
    "\x00",
    "\x1b",
    "\x85",
    "\u2028",
    "\udc80",
    "#012",
    "^J",
    ",",
    ", ",
    ":",
    ";",
    "=",
    "<",
    ">",
    "[",
    "]",
    "(",
    ")",
    "'",
    '"',
    "`",
    "\\",
    "%",
    ".",
    "-",
    "0",
    "x",
    "é",
    "ſ",
    "İ",
    "203.0.113.66",
    "::ffff:203.0.113.66",
    "rip=203.0.113.66, ",
    ", ip=[203.0.113.66]",
    " [203.0.113.66]",
    "x" * 300,
)

# What the fields of real lines look like.
FIELDS = (
    "",
    "bob",
    "bob@example.org",
    "élise",
    "x" * 255,
    "192.0.2.7",
    "198.51.100.200",
    "::ffff:192.0.2.7",
    "2001:db8::7",
    "2001:DB8:0:0:0:0:0:7",
    "fe80::1%eth0",
    "203.0.113.999",
    "client.example.org",
    "7",
    "40612",
    "2026-01-11 03:42:09",
    "Qx/9AAAA+",
    "PLAIN",
    "plaintext+TLS",
    "some text, with = and [more]",
)
LETTERS = string.printable + "é\x00\x1b\x85\u2028\udc80"


def read_by(expression: pp.ParserElement, messages: Sequence[str] = ()) -> st.SearchStrategy[str]:
    """Return strings that `expression` mostly reads.

    Mostly: ordered choice and greedy tokens can refuse what their parts accept. `messages` are
    lines in which examples of the tokens are found.
    """
    kind = type(expression).__name__
    if kind in ("Literal", "_SingleCharLiteral"):
        return st.just(expression.match)
    if kind == "Regex":
        return _token(expression.re, tuple(messages))
    if kind == "And":
        return st.tuples(*(read_by(part, messages) for part in expression.exprs)).map("".join)
    if kind == "MatchFirst":
        return st.one_of(*(read_by(part, messages) for part in expression.exprs))
    if kind == "Opt":
        return st.one_of(st.just(""), read_by(expression.expr, messages))
    if kind == "Each":
        return _each(expression, messages)
    if kind == "Combine":
        return read_by(expression.expr, messages)
    return st.just("")


@lru_cache(1000)
def _token(pattern: re.Pattern[str], messages: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Return strings that a token reads.

    Hypothesis knows neither possessive repetition nor what a token looks ahead for, and takes
    seconds over large character classes, so the strings are put together from what the token is
    seen to accept.
    """

    def reads(text: str) -> bool:
        # What follows a token may be what it looks for.
        for tail in ("", ":1", " ", "]", ","):
            match = pattern.match(text + tail)
            if match is not None and match.end() == len(text):
                return True
        return False

    known = {text: None for text in FIELDS if reads(text)}
    for message in messages:
        for start in range(len(message)):
            match = pattern.match(message, start)
            if match is not None and len(known) < 40:
                known[match.group()] = None
    letters = "".join(c for c in LETTERS if any(reads(c * n) for n in (1, 2, 3, 4, 8, 16)))
    choices = [st.sampled_from(list(known))] if known else []
    if letters:
        choices.append(st.text(letters, min_size=1, max_size=20).filter(reads))
    assert choices, f"no example of {pattern.pattern!r} is known; add one to FIELDS"
    return st.one_of(choices)


def _each(expression: pp.ParserElement, messages: Sequence[str]) -> st.SearchStrategy[str]:
    parts: list[pp.ParserElement] = []
    todo = list(expression.exprs)
    while todo:
        part = todo.pop(0)
        if type(part) is pp.Each:
            todo = list(part.exprs) + todo
        else:
            parts.append(part)
    strings = [read_by(part, messages) for part in parts]

    @st.composite
    def in_some_order(draw: st.DrawFn) -> str:
        return "".join([draw(strings[i]) for i in draw(st.permutations(range(len(strings))))])

    return in_some_order()


@st.composite
def wounded(draw: st.DrawFn, strings: st.SearchStrategy[str]) -> str:
    """Return one of `strings` with up to four wounds."""
    text = draw(strings)
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 6)))
        wound = draw(st.sampled_from(("cut", "insert", "replace", "double", "end")))
        if wound == "cut":
            text = text[:start] + text[end:]
        elif wound == "insert":
            text = text[:start] + draw(st.sampled_from(AWKWARD)) + text[start:]
        elif wound == "replace":
            text = text[:start] + draw(st.sampled_from(AWKWARD)) + text[end:]
        elif wound == "double":
            text = text[:end] + text[start:]
        else:
            text = text[:start]
    return text
