"""The usual lines of a login's rule: the first alternatives of its expression, for `straight`."""

from __future__ import annotations

import re

import pyparsing as pp

from ..addresses import MAPPED, QUAD
from .compiler import Translator
from .disjoint import are_disjoint, without_front
from .reading import SPELT, Usual
from .rules import Rule
from .tokens import ADDRESS, token

_QUAD = token(rf"{QUAD}(?![0-9A-Fa-f:.%])", "an IPv4 address")("address")


def usual_of(rule: Rule) -> Usual | None:
    """Return what reads the usual lines of a login `rule`, None where nothing does."""
    parts = _usual(rule.expression)
    names = [name for name in rule.session if name not in ("user", "address", "pid", "local")]
    key = names[0] if names else ""
    if rule.escaped or rule.session not in ((), ("pid",), (key,), ("user", "address", key)):
        return None
    if not {"user", "address"} <= {part.resultsName for part in parts if _is_plain(part)}:
        return None
    read = pp.And([*map(_with_quad, parts)])
    translator = Translator(False)
    text = translator.of(read)
    others = ("local", "protocol", key)
    groups = {name: translator.groups.get(name, []) for name in ("user", "address", SPELT, *others)}
    if any(len(numbers) > 1 for numbers in groups.values()) or (key and not groups[key]):
        return None  # a result stands in several places, or the session's key in none
    if any(_may_be_empty(read, name) for name in others):
        return None  # in a block this looks like a result that the line has not
    at = {name: numbers[0] for name, numbers in groups.items() if numbers}
    return Usual(text, translator.count, at, key)


def may_share_lines(rule: Rule, rival: Rule) -> bool:
    """Return whether a usual line of `rule` may fit `rival`, too; False is certain."""
    return not are_disjoint(_usual(rule.expression), rival.expression)


def _usual(expression: pp.ParserElement) -> list[pp.ParserElement]:
    """Return the parts that a usual line goes through."""
    return without_front(_first_ways(expression))


def _first_ways(expression: pp.ParserElement) -> list[pp.ParserElement]:
    if type(expression) is pp.MatchFirst and not expression.resultsName:
        return _first_ways(expression.exprs[0])
    if type(expression) is pp.And:
        return [part for each in expression.exprs for part in _first_ways(each)]
    return [expression]


def _is_plain(part: pp.ParserElement) -> bool:
    """Return whether `part` is no address, or reads one to the last character that it may have."""
    return part.resultsName != "address" or getattr(part, "pattern", "") == ADDRESS.pattern


def _with_quad(part: pp.ParserElement) -> pp.ParserElement:
    """Return `part`, but where it is the address, an IPv4 address is told from others."""
    if part.resultsName != "address":
        return part
    return (pp.Opt(MAPPED) + _QUAD) | part.copy().set_results_name(SPELT)


def _may_be_empty(element: pp.ParserElement, name: str) -> bool:
    """Return whether the result `name` in `element` may be the empty text."""
    if name and element.resultsName == name:
        return re.fullmatch(Translator(False).of(element), "") is not None
    inside = [*getattr(element, "exprs", ()), *filter(None, [getattr(element, "expr", None)])]
    return any(_may_be_empty(each, name) for each in inside)
