"""The straight expression of a rule reads its usual lines: header and message in one pass.

It is made from the rule's own expression, and reads less, but never otherwise: of a choice only the
first alternative is left, and nothing of what may stand in front of the first word. So it has few
groups, and needs no record and no table of rules: 1.7 µs a login instead of 7. A line that it does
not read goes the general way. A property test holds the two together.

Why it reads no line otherwise than its rule: where the first alternative of a choice fits, the
others are never tried; and an optional part is left out only where nothing can begin with both it
and what follows it.

No other rule may fit the line, either. Of most that can be told beforehand (`disjoint`); the others
are tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import pyparsing as pp

from ..addresses import MAPPED, QUAD
from ..syslog.json_records import usual_json
from .compiler import Translator, translate
from .disjoint import are_disjoint, without_front
from .reading import Straight, behind, within_a_line
from .rules import Rule
from .tokens import ADDRESS, token

MOST = 2000
"""Characters of a message that is read so: its line never comes near the longest that is read."""
SPELT = "spelt"
"""The result for an address that is not an IPv4 address in its one spelling."""
RESULTS = ("user", "address", SPELT, "local", "protocol", "key")

_QUAD = token(rf"{QUAD}(?![0-9A-Fa-f:.%])", "an IPv4 address")("address")


def straight(rule: Rule, rivals: Iterable[Rule], program: str) -> Straight | None:
    """Return the straight expression of a login `rule`, None where there is none.

    `rivals` are all other rules that read lines of `program`.
    """
    parts = _usual(rule.expression)
    names = [name for name in rule.session if name not in ("user", "address", "pid", "local")]
    key = names[0] if names else ""
    if rule.escaped or rule.session not in ((), ("pid",), (key,), ("user", "address", key)):
        return None
    if not {"user", "address"} <= {part.resultsName for part in parts if _is_plain(part)}:
        return None
    read = pp.And([*map(_with_quad, parts)])
    results = tuple(key if name == "key" else name for name in RESULTS)
    groups = translate(read).groups
    if any(len(groups.get(name, ())) > 1 for name in results) or (key and key not in groups):
        return None  # a result stands in several places, or the session's key in none
    if any(_may_be_empty(read, name) for name in results[3:]):
        return None  # in a block this looks like a result that the line has not
    others = [each.expression for each in rivals if not are_disjoint(parts, each.expression)]
    message, at, count = _message(read, others, results)
    head, number = usual_json(program)
    return Straight(
        re.compile(head + behind(message, number)).fullmatch,
        (*range(1, number + 1), *(each and each + number for each in at)),
        within_a_line(message),
        at,
        count,
        bool(at[-3]),
        bool(at[-2]) and not rule.protocol,
        ",".join("key" if name == key else name for name in rule.session),
    )


def _message(
    read: pp.ParserElement, rivals: list[pp.ParserElement], results: tuple[str, ...]
) -> tuple[str, tuple[int, ...], int]:
    """Return what reads a message; the groups of it and of `results`; and how many there are."""
    translator = Translator(False)
    translator.count = 1
    barred = "|".join(f"(?:{translator.of(rival)})" for rival in rivals)
    bar = rf"(?!(?:{barred})\Z)" if barred else ""
    translator.groups.clear()
    text = rf"(?=(.{{1,{MOST}}}+)(?<!\r)\Z){bar}{translator.of(read)}\Z"
    at = (translator.groups.get(name, [0])[0] for name in results)
    return text, (1, *at), translator.count


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
