"""Tells of two expressions that no line fits both, where that can be seen without a line.

Sound, not tight: True is certain, False means nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyparsing as pp

from .compiler import translate
from .prefixes import EMPTIES, LITERALS, literal_prefixes, pattern_prefixes, starts
from .reading import can_begin_alike

ANYWHERE = -1
"""An end behind what is known of a line."""

_CLASS = r"\[(?:[^\[\]\\]|\\.)+\]"
_MANY = rf"{_CLASS}\{{[0-9]{{1,5}},[0-9]{{1,5}}\}}\+"
_is_of_classes = re.compile(rf"{_MANY}|\(\?>{_MANY}\(\?!{_CLASS}\)\|{_MANY}\)", re.DOTALL).fullmatch
"""Tokens that read all characters of a class, and `tokens.name`: one that ends within what is known
of a line has looked at nothing behind it."""
_BARRED = "(?!"
_atoms = re.compile(r"\\.|\[\^?\]?(?:[^\]\\]|\\.)*\]", re.DOTALL)
_looks_around = re.compile(r"\(\?<?[=!]").search
_innermost = re.compile(r"\([^()]*\)")


def flat(expression: pp.ParserElement) -> list[pp.ParserElement]:
    """Return the parts that follow each other in `expression`."""
    if type(expression) is not pp.And:
        return [expression]
    return [part for each in expression.exprs for part in flat(each)]


def without_front(parts: Sequence[pp.ParserElement]) -> list[pp.ParserElement]:
    """Return `parts` without what may stand in front, where that begins as nothing behind does.

    A line that fits what is left fits `parts`, and in the same way.
    """
    left = list(parts)
    while len(left) > 1 and type(left[0]) is pp.Opt:
        behind = literal_prefixes(pp.And(left[1:]))
        if can_begin_alike(literal_prefixes(left[0].expr), behind):
            break
        del left[0]
    return left


def are_disjoint(usual: Sequence[pp.ParserElement], rival: pp.ParserElement) -> bool:
    """Return whether no line fits both the parts `usual` and `rival`, each read to its end.

    As long as their parts are the same, both have read the same text; what is left of the one must
    then begin as what is left of the other.
    """
    mine, other = list(usual), flat(rival)
    begins = literal_prefixes(pp.And(mine))
    while len(other) > 1 and type(other[0]) is pp.Opt and not _may_read(other[0].expr, begins):
        del other[0]
    while mine and other and translate(mine[0]).text == translate(other[0]).text:
        del mine[0], other[0]
    begins = literal_prefixes(pp.And([*mine, pp.StringEnd()]))
    return not _may_read(pp.And([*other, pp.StringEnd()]), begins)


def _may_read(element: pp.ParserElement, begins: frozenset[str]) -> bool:
    """Return whether `element` may read some of a line that begins with one of `begins`."""
    return any(_ends(element, text, 0) for text in begins)


def _ends(element: pp.ParserElement, text: str, at: int) -> set[int]:
    """Return where `element`, from `at` on, may end in a line that begins with `text`."""
    kind = type(element)
    if at == ANYWHERE:
        return {ANYWHERE}
    if kind in EMPTIES or kind in (pp.NotAny, pp.FollowedBy):
        return {at}
    if kind is pp.StringEnd:
        return set() if at < len(text) else {ANYWHERE}
    if kind is pp.And:
        ends = {at}
        for part in element.exprs:  # type: ignore[attr-defined]
            ends = {end for start in ends for end in _ends(part, text, start)}
        return ends
    if kind is pp.MatchFirst:
        parts = element.exprs  # type: ignore[attr-defined]
        return {end for part in parts for end in _ends(part, text, at)}
    if kind is pp.Opt:
        part = element.expr  # type: ignore[attr-defined]
        is_there = type(part) in LITERALS and text.startswith(part.match, at)
        return _ends(part, text, at) | (set() if is_there else {at})
    if kind is pp.Regex:
        pattern = "" if element.flags else element.pattern  # type: ignore[attr-defined]
        if _is_barred(pattern, text, at):
            return set()
        if _is_of_classes(pattern):
            return _ends_of_classes(element.re, text, at)  # type: ignore[attr-defined]
    elif kind not in LITERALS:
        return {ANYWHERE}
    return {
        at + len(start) if whole and text.startswith(start, at) else ANYWHERE
        for start, whole in starts(element)
        if start.startswith(text[at : at + len(start)])
    }


def _is_barred(pattern: str, text: str, at: int) -> bool:
    """Return whether a pattern begins with words that must not stand there, and one does."""
    if not pattern.startswith(_BARRED):
        return False
    words, end = pattern_prefixes(pattern, len(_BARRED))
    if _looks_around(pattern[len(_BARRED) : end]):
        return False  # a word that is barred only between others
    behind, groups = _atoms.sub("", pattern[end:]), 1
    while groups:
        behind, groups = _innermost.subn("", behind)
    # With a bar between alternatives the words would be barred from the first only.
    return "|" not in behind and any(whole and text.startswith(word, at) for word, whole in words)


def _ends_of_classes(token: re.Pattern[str], text: str, at: int) -> set[int]:
    """Return the same for a token of `_is_of_classes`."""
    match = token.match(text, at)
    return {ANYWHERE if match is None or match.end() == len(text) else match.end()}
