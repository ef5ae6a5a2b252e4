"""The compiler translates a pyparsing expression to one regular expression with the same meaning.

Grammars are written in pyparsing and run as `re`. Both must agree on every string: whether it fits,
and on each named result. The translation keeps pyparsing's meaning literally:

* pyparsing commits: an alternative that fitted, an optional part that was taken and a token that
  has ended are never read in another way when the rest fails. So every part becomes atomic.
* `And` is concatenation, `MatchFirst` ordered choice, `Opt(x)` the choice of x and nothing.
* `Each` (`a & b`): each part at most once, in any order. A part that was read sets an empty group;
  a conditional on that group bars a second one. pyparsing tries the parts in turn, the regular
  expression tries all of them at each step; both mean the same if no two parts can begin alike,
  which is demanded.
* White space is never skipped, and the whole line must be read: see `prepared`.

`Opt` is not written `(?:x)?+`: possessive repetition of a group is broken in Python before 3.11.5
(gh-106052, gh-101955); atomic groups are not.

An unknown element is a GrammarError, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pyparsing as pp

from ..errors import GrammarError
from .prefixes import EMPTIES, LITERALS, literal_prefixes
from .reading import Reading, can_begin_alike, compiled, is_of_tls

_FLAGS = {"a": re.ASCII, "i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}
_named_group = re.compile(r"(\\.|\[\^?\]?(?:[^\]\\]|\\.)*\])|\(\?P<\w+>", re.DOTALL)
"""The opening of a named group; or, as group 1, an escape or a class, which may look like one."""

_is_possessive = re.compile(r"\[(?:[^\[\]\\]|\\.)+\]\{[0-9]{1,5},[0-9]{1,5}\}\+").fullmatch
"""One class of characters, repeated possessively, as most tokens are."""

_SUPPORTED = (
    "Literal, Regex (token, WORD, ...), And (+), MatchFirst (|), Opt, Each (&), Combine, one_of, "
    "NotAny (~), FollowedBy, Empty, StringEnd"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """An optional part or alternative of which a match shows whether it was read."""

    group: int
    what: str
    optional: bool
    """It can be left out; an alternative cannot, as another one stands in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A translated expression; not yet compiled, since `re.compile` is the expensive part."""

    text: str
    groups: dict[str, tuple[int, ...]]
    """Result name -> the groups one of which holds it, in the order of the expression; those of
    `tls` only where they are asked for."""
    marks: tuple[Mark, ...]

    def compile(self) -> re.Pattern[str]:
        """Compiles; GrammarError if a token's own pattern cannot stand inside a larger one."""
        return compiled(self.text)


def prepared(expression: pp.ParserElement) -> pp.ParserElement:
    """Return a copy with our meaning for pyparsing: the reference for the compiler.

    No white space is skipped, tabs stay tabs, and the end of the line is part of the expression
    (`parse_all` alone skips white space before it looks for the end).
    """
    whole = expression.copy() + pp.StringEnd()
    whole.leave_whitespace(recursive=True)
    return whole.parse_with_tabs()


def translate(expression: pp.ParserElement, *, marked: bool = False, tls: bool = False) -> Pattern:
    """Return the pattern of `expression`, to be used with `fullmatch`.

    Args:
        expression: of a rule.
        marked: add empty groups that show which optional parts and alternatives a match read.
        tls: add the groups of results about TLS, without which most logins are read.

    Raises: GrammarError.
    """
    translator = Translator(marked, tls=tls)
    text = translator.of(expression)
    groups = {name: tuple(numbers) for name, numbers in translator.groups.items()}
    return Pattern(text=text, groups=groups, marks=tuple(translator.marks))


def reading_of(expression: pp.ParserElement) -> Reading:
    """Return what the service needs of `expression`. Raises: GrammarError."""
    translator = Translator(False)
    text = translator.of(expression)
    groups = {name: tuple(numbers) for name, numbers in translator.groups.items()}
    return Reading(text, translator.count, groups, literal_prefixes(expression))


def loosened(expression: pp.ParserElement, result: str) -> re.Pattern[str] | None:
    """Return a pattern with any text in the place of `result`, for messages about a line.

    None if there is no such result. The pattern backtracks, so use it for short lines only.
    """
    translator = Translator(False, any_text=result)
    text = translator.of(expression)
    return re.compile(text) if result in translator.groups else None


class Translator:
    """One translation: counts groups from left to right."""

    def __init__(self, marked: bool, *, any_text: str = "", tls: bool = False) -> None:
        self.marked = marked
        self.tls = tls
        self.any_text = any_text
        self.once = "?:" if any_text else "?>"
        self.count = 0
        self.groups: dict[str, list[int]] = {}
        self.marks: list[Mark] = []

    def of(self, element: pp.ParserElement) -> str:
        """Return the pattern of `element`, behind what was translated before."""
        _refuse_extras(element)
        if not element.resultsName or (is_of_tls(element.resultsName) and not self.tls):
            return self._body(element)
        if not _is_one_token(element):
            raise _error(
                element,
                f"result {element.resultsName!r} must name one token; "
                "name a token inside, or wrap it in Combine",
            )
        self.count += 1
        self.groups.setdefault(element.resultsName, []).append(self.count)
        if element.resultsName == self.any_text:
            return f"(?P<{self.any_text}{self.count}>.{{1,1000}}?)"
        return f"({self._body(element)})"

    def _body(self, element: pp.ParserElement) -> str:
        kind = type(element)
        if kind in EMPTIES:
            return ""
        if kind in LITERALS:
            return re.escape(str(element.match))  # type: ignore[attr-defined]
        if kind is pp.Regex:
            return self._regex(element)
        if kind is pp.And:
            return self._sequence(element)
        if kind is pp.MatchFirst:
            return self._choice(element)
        if kind is pp.Opt:
            return self._optional(element)
        if kind is pp.Each:
            return self._each(element)
        if kind is pp.Combine:
            return self._nameless(element, "a Combine")
        if kind is pp.NotAny:
            return f"(?!{self._nameless(element, 'a NotAny')})"
        if kind is pp.FollowedBy:
            return f"(?={self._nameless(element, 'a FollowedBy')})"
        if kind is pp.StringEnd:
            return r"\Z"
        raise _error(element, f"the compiler does not know {kind.__name__}; it knows {_SUPPORTED}")

    def _regex(self, element: pp.ParserElement) -> str:
        # A Regex that returns a match object or groups has replaced its parseImpl.
        if "parseImpl" in vars(element):
            raise _error(element, "a Regex that returns groups or a match; name tokens instead")
        regex: re.Pattern[str] = element.re  # type: ignore[attr-defined]
        text = regex.pattern
        if len(regex.groupindex) < regex.groups:
            raise _error(element, "capture groups in a token; write (?:...), or (?P<name>...)")
        if regex.groups and re.search(r"\\[1-9]|\(\?\(|\(\?P=", text):
            raise _error(element, "a reference to a group, which is another in the whole rule")
        if regex.groups and element.resultsName:
            raise _error(element, "named groups inside a named result, which loses them")
        for name, number in regex.groupindex.items():
            self.groups.setdefault(name, []).append(self.count + number)
        self.count += regex.groups
        # Other rules' patterns, with groups of the same names, may come to stand beside this one.
        text = _named_group.sub(lambda opening: opening[1] or "(", text)
        flags = "".join(letter for letter, flag in _FLAGS.items() if regex.flags & flag)
        if "x" in flags:
            text += "\n"  # ends a comment
        if flags:
            return f"(?>(?{flags}:{text}))"
        # A possessive token needs no atomic group, which would double the time of a match.
        return text if _is_possessive(text) else f"(?>{text})"

    def _sequence(self, element: pp.ParserElement) -> str:
        seen: set[str] = set()
        texts = []
        for part in element.exprs:  # type: ignore[attr-defined]
            names = _names(part)
            for name in sorted(names & seen):
                raise _error(element, f"result {name!r} is named twice on the way through a line")
            seen |= names
            texts.append(self.of(part))
        return "".join(texts)

    def _choice(self, element: pp.ParserElement) -> str:
        parts = element.exprs  # type: ignore[attr-defined]
        texts = [self.of(part) + self._mark(part, optional=False) for part in parts]
        return f"({self.once}{'|'.join(texts)})"

    def _optional(self, element: pp.ParserElement) -> str:
        if element.defaultValue is not pp.Opt("x").defaultValue:  # type: ignore[attr-defined]
            raise _error(element, "an Opt with a default; give the result a rule of its own")
        part = element.expr  # type: ignore[attr-defined]
        return f"({self.once}{self.of(part)}{self._mark(part, optional=True)}|)"

    def _each(self, element: pp.ParserElement) -> str:
        parts = _parts_of_each(element)
        _refuse_alike(element, parts)
        seen: set[str] = set()
        steps = []
        required = []
        for part in parts:
            optional = type(part) is pp.Opt
            inner: pp.ParserElement = part.expr if optional else part  # type: ignore[attr-defined]
            _refuse_extras(part)
            names = _names(inner)
            for name in sorted(names & seen):
                raise _error(element, f"result {name!r} is named in two parts of an Each")
            seen |= names
            text = self.of(inner)
            self.count += 1
            if self.marked and optional:
                self.marks.append(Mark(group=self.count, what=str(inner), optional=True))
            # With a literal in front `re` passes over the other parts by their first character.
            head = "" if self.tls else _literal_head(inner)
            steps.append(f"{head}(?({self.count})(?!)|({self.once}{text[len(head) :]})())")
            if not optional:
                required.append(f"(?({self.count})|(?!))")
        return f"({self.once}(?:{'|'.join(steps)}){{0,{len(steps)}}}){''.join(required)}"

    def _nameless(self, element: pp.ParserElement, where: str) -> str:
        if where == "a Combine" and not element.adjacent:  # type: ignore[attr-defined]
            raise _error(element, "a Combine with adjacent=False skips white space")
        part = element.expr  # type: ignore[attr-defined]
        for name in sorted(_names(part)):
            raise _error(element, f"result {name!r} inside {where}, which does not keep it")
        return self.of(part)

    def _mark(self, part: pp.ParserElement, *, optional: bool) -> str:
        if not self.marked:
            return ""
        self.count += 1
        self.marks.append(Mark(group=self.count, what=str(part), optional=optional))
        return "()"


def _error(element: pp.ParserElement, what: str) -> GrammarError:
    return GrammarError(f"expression {str(element)[:200]!r}: {what}")


def _refuse_extras(element: pp.ParserElement) -> None:
    """Raises GrammarError for settings that change an element's meaning from outside."""
    if element.parseAction or element.failAction:
        raise _error(element, "parse actions do not run; a rule only says what stands where")
    if element.resultsName and not element.modalResults:
        raise _error(element, "a result that collects all its matches (name*)")


def _is_one_token(element: pp.ParserElement) -> bool:
    kind = type(element)
    if kind is pp.MatchFirst:
        parts = element.exprs  # type: ignore[attr-defined]
        return all(_is_one_token(part) and not _names(part) for part in parts)
    return kind in LITERALS or kind is pp.Regex or kind is pp.Combine


def _literal_head(element: pp.ParserElement) -> str:
    """Return the pattern of the literal that a sequence begins with; "" where there is none."""
    if element.resultsName and not is_of_tls(element.resultsName):
        return ""
    if type(element) is pp.And:
        return _literal_head(element.exprs[0])
    return re.escape(element.match) if type(element) in LITERALS else ""  # type: ignore[attr-defined]


def _names(element: pp.ParserElement) -> set[str]:
    """Return the result names in an expression."""
    names = {element.resultsName} if element.resultsName else set()
    if type(element) is pp.Regex:
        names |= set(element.re.groupindex)
    for part in _inside(element):
        names |= _names(part)
    return names


def tokens(expression: pp.ParserElement) -> Iterator[tuple[re.Pattern[str], str, tuple[str, ...]]]:
    """Return every token's compiled pattern, its name for messages, and the texts it ends at."""
    if type(expression) is pp.Regex:
        yield expression.re, str(expression), getattr(expression, "ends", ())
    for part in _inside(expression):
        yield from tokens(part)


def _inside(element: pp.ParserElement) -> list[pp.ParserElement]:
    parts = list(getattr(element, "exprs", None) or ())
    part = getattr(element, "expr", None)
    return parts if part is None else [*parts, part]


def _parts_of_each(element: pp.ParserElement) -> list[pp.ParserElement]:
    """Return the parts of `a & b & c`, which Python builds as `(a & b) & c`."""
    parts: list[pp.ParserElement] = []
    for part in element.exprs:  # type: ignore[attr-defined]
        if type(part) is pp.Each:
            _refuse_extras(part)
            parts += _parts_of_each(part)
        else:
            parts.append(part)
    return parts


def _refuse_alike(element: pp.ParserElement, parts: list[pp.ParserElement]) -> None:
    begun: list[tuple[pp.ParserElement, frozenset[str]]] = []
    for part in parts:
        inner: pp.ParserElement = part.expr if type(part) is pp.Opt else part
        begins = literal_prefixes(inner)
        for other, others_begin in begun:
            if can_begin_alike(begins, others_begin):
                raise _error(
                    element, f"{str(other)!r} and {str(inner)!r} of an Each may begin alike"
                )
        begun.append((inner, begins))
