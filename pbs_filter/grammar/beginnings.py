"""With which literal texts a line that fits an expression must begin.

That is how the reader finds a message's few candidate rules without trying them all, and how it
knows that no line can fit two rules.
"""

from __future__ import annotations

import re

import pyparsing as pp

_MOST_STARTS = 64

# pyparsing makes some literals into classes of their own.
LITERALS: tuple[type, ...] = (pp.Literal, type(pp.Literal("x")), type(pp.Literal("xy")))
EMPTIES: tuple[type, ...] = (pp.Empty,)


def starts(expression: pp.ParserElement) -> frozenset[str]:
    """Return literal texts one of which every line that fits must begin with.

    At most 64; the empty string stands for "anything". Sound, not tight: whatever cannot be told
    ends a start early.
    """
    return frozenset(text for text, _ in _starts(expression))


def can_begin_alike(some: frozenset[str], others: frozenset[str]) -> bool:
    """Return whether a line may begin with one of `some` and with one of `others`."""
    return any(a.startswith(b) or b.startswith(a) for a in some for b in others)


def _starts(element: pp.ParserElement) -> set[tuple[str, bool]]:
    """Return (literal start, whether it is the whole element)."""
    kind = type(element)
    if kind in LITERALS:
        return {(element.match, True)}  # type: ignore[attr-defined]
    if kind in EMPTIES or kind in (pp.NotAny, pp.FollowedBy, pp.StringEnd):
        return {("", True)}
    if kind is pp.Regex:
        return _alternatives(element)
    if kind is pp.And:
        found: set[tuple[str, bool]] = {("", True)}
        for part in element.exprs:  # type: ignore[attr-defined]
            if not any(whole for _, whole in found):
                break
            after = _starts(part)
            longer = {pair for pair in found if not pair[1]}
            longer |= {(a + b, whole) for a, more in found if more for b, whole in after}
            if len(longer) > _MOST_STARTS:
                return {(text, False) for text, _ in found}
            found = longer
        return found
    if kind is pp.MatchFirst:
        union: set[tuple[str, bool]] = set()
        for part in element.exprs:  # type: ignore[attr-defined]
            union |= _starts(part)
        return union if len(union) <= _MOST_STARTS else {("", False)}
    if kind is pp.Opt:
        return _starts(element.expr) | {("", True)}  # type: ignore[attr-defined]
    if kind is pp.Combine:
        return _starts(element.expr)  # type: ignore[attr-defined]
    return {("", False)}


def _alternatives(element: pp.ParserElement) -> set[tuple[str, bool]]:
    """Read `one_of`'s regular expression (escaped words between bars) back into its words."""
    pattern: str = element.pattern  # type: ignore[attr-defined]
    words = set()
    if element.flags:  # type: ignore[attr-defined]
        return {("", False)}
    for escaped in pattern.split("|"):
        word = re.sub(r"\\(.)", r"\1", escaped)
        if re.escape(word) != escaped:
            return {("", False)}
        words.add((word, True))
    return words if len(words) <= _MOST_STARTS else {("", False)}
