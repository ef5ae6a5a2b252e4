"""Each way in which a grammar is known to become too loose is caught by the contract.

A loosening is made to one rule at a time, in the pattern that runs; samples, line breaks and
attacks must notice every time, whatever rule it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from pbs_filter.grammar import Rule, Server, contract
from pbs_filter.grammar.compiler import translate
from pbs_filter.grammar.reading import Reading
from pbs_filter.model import Accepted, Connected
from pbs_filter.servers import SERVERS

LOGINS = [
    pytest.param(server, rule, id=f"{server.name}-{rule.name}")
    for server in SERVERS
    for rule in server.rules
    if rule.kind in (Accepted, Connected)
]

Loosen = Callable[[str], str]


def end(text: str) -> str:
    """`match` instead of `fullmatch`: anything may follow."""
    return rf"{text}(?s:.*)"


def line_break_at_the_end(text: str) -> str:
    r"""`$` instead of `\Z`, and what pyparsing does with parse_all."""
    return rf"{text}\s*"


def beginning(text: str) -> str:
    """`search` instead of `match`: anything may stand before."""
    return rf"(?s:.*?)(?:{text})"


def white_space(text: str) -> str:
    """Skipped before every token, as pyparsing does unless told not to."""
    return re.sub(r"(\\ )+", lambda blanks: rf"{blanks[0]}\s*+", text)


def user(text: str) -> str:
    """`.+?` for a user name."""
    return re.sub(r"\[\^\\x00-\\x20(?:[^\]\\]|\\.)*\]\{1,\d+\}\+", r"[^\\n]{1,300}?", text)


def caught(monkeypatch: pytest.MonkeyPatch, server: Server, rule: Rule, loosen: Loosen) -> bool:
    """Whether the contract notices that the pattern of `rule` was loosened."""
    original = Rule.reading

    def loose(each: Rule) -> Reading:
        reading = original(each)
        if each.expression is not rule.expression:
            return reading
        # The dispatch by first characters would hide a loose beginning.
        return reading._replace(text=loosen(reading.text), begins=frozenset({""}))

    monkeypatch.setattr(Rule, "reading", loose)
    # Alone, so that no other rule of the server makes up for it by reading the same line.
    alone = replace(server, rules=(rule,))
    return bool(contract.check(alone, [alone])) or bool(contract.check(server, [server]))


@pytest.mark.parametrize("loosen", [end, line_break_at_the_end, beginning, white_space, user])
@pytest.mark.parametrize(("server", "rule"), LOGINS)
def test_loosening_is_caught(
    monkeypatch: pytest.MonkeyPatch, server: Server, rule: Rule, loosen: Loosen
) -> None:
    text = translate(rule.expression).text
    if loosen(text) == text:
        pytest.skip("has no such part")
    assert caught(monkeypatch, server, rule, loosen)


@pytest.mark.parametrize(("server", "rule"), LOGINS)
def test_a_rule_as_it_is_is_not_caught(
    monkeypatch: pytest.MonkeyPatch, server: Server, rule: Rule
) -> None:
    assert not caught(monkeypatch, server, rule, lambda text: text)
