"""The time to read a line grows in proportion to its length.

Not in milliseconds, which a busy machine would fail: a line eight times as long may take eight
times as long and some more, where one step too many for each character would take 64 times.
"""

from __future__ import annotations

import time

import pyparsing as pp
import pytest

from pbs_filter.grammar import TEXT, Rule, token
from pbs_filter.grammar.compiler import translate
from pbs_filter.servers import SERVERS

RULES = [
    pytest.param(rule, id=f"{server.name}-{rule.name}")
    for server in SERVERS
    for rule in server.rules
]
AWKWARD = ("x", " ", "0", ".", ":", ",", "[", "(", '"', "=", "x ", ", ", "rip=", "é", "\udc80")
SHORT = 4_000
TIMES = 8
MOST = 4 * TIMES
"""How many times as long the long line may take; a square would be 64."""


def seconds(fullmatch, texts) -> float:
    """The least of a few runs: what the machine did meanwhile only ever adds."""
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for text in texts:
            fullmatch(text)
        best = min(best, time.perf_counter() - start)
    return best


def stretched(message: str, length: int) -> list[str]:
    """The message with each awkward text, repeated, at the start, in the middle, at the end."""
    middle = len(message) // 2
    found = []
    for text in AWKWARD:
        run = text * (length // len(text))
        found += [run + message, message[:middle] + run + message[middle:], message + run]
    return found


def growth(expression: pp.ParserElement, messages, length: int = SHORT) -> float:
    """How many times as long `TIMES` as long lines take."""
    fullmatch = translate(expression).compile().fullmatch
    short = [text for message in messages for text in stretched(message, length)]
    long = [text for message in messages for text in stretched(message, length * TIMES)]
    # Most are refused at once, in a time that does not grow at all.
    floor = 300e-9 * len(short)
    return seconds(fullmatch, long) / max(seconds(fullmatch, short), floor)


@pytest.mark.parametrize("rule", RULES)
def test_time_is_linear_under_stretching(rule: Rule) -> None:
    messages = [s.parts()[2] for s in rule.samples if s.observation is not None][:2]
    assert MOST > growth(rule.expression, messages)


def test_an_expression_that_tries_every_start_is_found_out() -> None:
    """The measure itself: a token that looks for the end from each character is quadratic."""
    slow = "user " + token(r"(?:(?!.*zzz).){0,100000}", "text read again and again") + TEXT
    assert MOST < growth(slow, ["user bob"], 300)
