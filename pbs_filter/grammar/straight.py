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
from ..syslog.records import usual_text
from .compiler import Translator
from .disjoint import are_disjoint, without_front
from .reading import Straight
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
    others = [each.expression for each in rivals if not are_disjoint(parts, each.expression)]
    read = [*map(_with_quad, parts)]
    begin = rf"(?=(.{{1,{MOST}}}+)(?<!\r)\Z)"
    found = []
    for head, number in (usual_text(program), usual_json(program)):
        translator = Translator(False)
        translator.count = number + 1
        barred = "|".join(f"(?:{translator.of(other)})" for other in others)
        bar = rf"(?!(?:{barred})\Z)" if others else ""
        translator.groups.clear()
        text = head + begin + bar + translator.of(pp.And(read))
        at = [translator.groups.get(key if name == "key" else name, [0]) for name in RESULTS]
        if any(len(numbers) > 1 for numbers in at) or (key and not at[-1][0]):
            return None  # a result stands in several places, or the session's key in none
        found.append((text, (*range(1, number + 2), *(numbers[0] for numbers in at))))
    (in_text, text_groups), (in_json, json_groups) = found
    return Straight(
        re.compile(in_text).fullmatch,
        text_groups,
        re.compile(in_json).fullmatch,
        json_groups,
        bool(text_groups[-3]),
        bool(text_groups[-2]) and not rule.protocol,
        ",".join("key" if name == key else name for name in rule.session),
    )


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
