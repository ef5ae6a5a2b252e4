"""The literal prefixes of an expression: every line that fits begins with one of them.

By these the matcher finds a message's few candidate rules without trying all, and the pairs of
rules that no line can fit both.
"""

from __future__ import annotations

import re

import pyparsing as pp

_MAX_PREFIXES = 64

# pyparsing makes some literals into classes of their own.
LITERALS: tuple[type, ...] = (pp.Literal, type(pp.Literal("x")), type(pp.Literal("xy")))
EMPTIES: tuple[type, ...] = (pp.Empty,)


def literal_prefixes(expression: pp.ParserElement) -> frozenset[str]:
    """Return literal texts; every line that fits begins with one of them.

    At most 64; the empty string stands for "anything". Sound, not tight: an unknown part of the
    expression ends a prefix early.
    """
    return frozenset(text for text, _ in starts(expression))


def starts(element: pp.ParserElement) -> set[tuple[str, bool]]:
    """Return pairs of a literal prefix, and whether it is the whole element."""
    kind = type(element)
    if kind in LITERALS:
        return {(element.match, True)}  # type: ignore[attr-defined]
    if kind in EMPTIES or kind in (pp.NotAny, pp.FollowedBy, pp.StringEnd):
        return {("", True)}
    if kind is pp.Regex:
        return _of_regex(element)
    if kind is pp.And:
        prefixes: set[tuple[str, bool]] = {("", True)}
        for part in element.exprs:  # type: ignore[attr-defined]
            if not any(whole for _, whole in prefixes):
                break
            prefixes = _joined(prefixes, starts(part))
        return prefixes
    if kind is pp.MatchFirst:
        union: set[tuple[str, bool]] = set()
        for part in element.exprs:  # type: ignore[attr-defined]
            union |= starts(part)
        return union if len(union) <= _MAX_PREFIXES else {("", False)}
    if kind is pp.Opt:
        return starts(element.expr) | {("", True)}  # type: ignore[attr-defined]
    if kind is pp.Combine:
        return starts(element.expr)  # type: ignore[attr-defined]
    return {("", False)}


def _of_regex(element: pp.ParserElement) -> set[tuple[str, bool]]:
    if element.flags:  # type: ignore[attr-defined]
        return {("", False)}
    prefixes, end = pattern_prefixes(element.pattern, 0)  # type: ignore[attr-defined]
    # An unpaired parenthesis, for example in a class, would mislead pattern_prefixes.
    return prefixes if end == len(element.pattern) else {("", False)}  # type: ignore[attr-defined]


def pattern_prefixes(pattern: str, position: int) -> tuple[set[tuple[str, bool]], int]:
    """Return the prefixes of the alternatives from `position` on, and where they end.

    Reads literal characters and groups of them (so `one_of`, which is words between bars); any
    other construct ends the prefix of its alternative.
    """
    prefixes: set[tuple[str, bool]] = set()
    current: set[tuple[str, bool]] = {("", True)}
    while position < len(pattern) and pattern[position] != ")":
        if pattern[position] == "|":
            prefixes |= current
            current = {("", True)}
            position += 1
            continue
        begins, position = _of_one(pattern, position)
        current = _joined(current, begins)
    prefixes |= current
    return prefixes if len(prefixes) <= _MAX_PREFIXES else {("", False)}, position


def _of_one(pattern: str, position: int) -> tuple[set[tuple[str, bool]], int]:
    """Return the prefixes of the character, class or group at `position`, and where it ends."""
    begins = {("", False)}
    group = _group.match(pattern, position)
    if group:
        inside, end = pattern_prefixes(pattern, group.end())
        end += 1
        if group[1] in ("?:", "?>"):
            begins = inside
        elif group[1] is not None:
            begins = {("", True)}
    else:
        match = _one.match(pattern, position)
        assert match is not None
        end = match.end()
        if match[1] or match[2]:
            begins = {((match[1] or match[2]).removeprefix("\\"), True)}
    repeated = _repeated.match(pattern, end)
    if repeated:
        once = repeated.group().startswith("+")
        begins = {(text, False) for text, _ in begins} if once else {("", False)}
        end = repeated.end()
    return begins, end


def _joined(before: set[tuple[str, bool]], after: set[tuple[str, bool]]) -> set[tuple[str, bool]]:
    longer = {pair for pair in before if not pair[1]}
    longer |= {(a + b, whole) for a, more in before if more for b, whole in after}
    return longer if len(longer) <= _MAX_PREFIXES else {(text, False) for text, _ in before}


_group = re.compile(r"\((\?[:>]|\?<?[=!])?(?!\?)")
_one = re.compile(
    r"(\\[^0-9A-Za-z])|([^\\.\[^$(){}?*+|])|\[\^?\]?(?:[^\]\\]|\\.)*\]|\\.|.", re.DOTALL
)
_repeated = re.compile(r"(?:[?*+]|\{[0-9]*,?[0-9]*\})[?+]?")
