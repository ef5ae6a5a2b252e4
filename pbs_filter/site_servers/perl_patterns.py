r"""Regular expressions in pop-before-smtp's terms, made safe to run.

A Perl pattern of the old configuration matches the whole log line, `[LOGTIME]` and header first,
searches, and backtracks. Ours reads the message alone, all of it, and never takes back what it has
read. `message_pattern` translates the one into the other where both mean the same, and says what to
mend where they do not:

* the header, up to the colon behind the tag, is dropped: `records` has read it;
* the message must be anchored at both ends: whatever could stand outside is a client's to choose;
* a repetition must be unable to read what follows it (`\S+` before a blank): then it never has to
  give anything back, and possessive is the same as greedy. `.*` before anything is not;
* optional parts and alternatives may be tried in turn, as long as the ways through the whole
  pattern stay few.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import GrammarError

LOGTIME = "[LOGTIME]"
MOST_REPEATED = 255
"""What `*` and `+` come to: no field of a log line is longer."""

_MOST_WAYS = 64
_PROBES = [*map(chr, range(256)), "\u0416", "\u2028", "\u4e00", "\udc80"]
_END = "the end of the line"
_NOTHING = "nothing"
"""Not characters, in sets of them."""

_is_class_escape = re.compile(r"\\[dDwWsS]").fullmatch
_is_plain_escape = re.compile(r"\\[^0-9A-Za-z]").fullmatch
_quantifier = re.compile(r"([?*+])|\{([0-9]{1,3})(,?)([0-9]{0,3})\}").match


@dataclass(frozen=True, slots=True)
class _Char:
    """One character of a kind."""

    text: str
    chars: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Group:
    """Alternatives; `name` where the text is a result, None where it only groups."""

    alternatives: list[list[_Node]]
    name: str | None


@dataclass(frozen=True, slots=True)
class _Repeat:
    """A character or group, `least` to `most` times."""

    node: _Char | _Group
    least: int
    most: int
    text: str


_Node = _Char | _Group | _Repeat


@dataclass(frozen=True, slots=True)
class Split:
    """A pattern of the old configuration without its header."""

    message: str
    header_has_pid: bool
    """The header captures the pid (`PID_pat`)."""


def split(pattern: str) -> Split:
    """Return the part of `pattern` that reads the message, without `^`, with its `$` still there.

    Raises GrammarError if it cannot be told from the header.
    """
    if LOGTIME in pattern:
        before, _, header = pattern.partition(LOGTIME)
        header = header.removeprefix(")") if before.endswith("(") else header
        for position, depth in _outside_of_classes(header):
            if depth == 0 and header[position] == ":":
                rest = re.match(r":(?: |\\s)[*+]?\+?", header[position:])
                if rest:
                    captures = bool(re.search(r"(?<!\\)\((?!\?)", header[:position]))
                    return Split(header[position + rest.end() :], captures)
        raise GrammarError(
            f"{pattern!r}: where the message begins cannot be told; write the header as "
            r"'^[LOGTIME] \S+ PROGRAM\[\d+\]: ', or leave it out and begin the message with ^"
        )
    if pattern.startswith("^"):
        return Split(pattern[1:], False)
    raise GrammarError(
        f"{pattern!r} is not anchored: it would be found anywhere in a line; begin it with ^"
    )


def _outside_of_classes(pattern: str) -> Iterator[tuple[int, int]]:
    """Return (position, depth of groups) of what is neither escaped nor in a character class."""
    depth = position = 0
    while position < len(pattern):
        char = pattern[position]
        if char == "\\":
            position += 2
            continue
        if char == "[":
            position = _end_of_class(pattern, position)
            continue
        depth += (char == "(") - (char == ")")
        yield position, depth
        position += 1


def _end_of_class(pattern: str, start: int) -> int:
    match = re.compile(r"\[\^?\]?(?:[^\]\\]|\\.)*\]").match(pattern, start)
    if not match:
        raise GrammarError(f"{pattern!r}: the '[' at {start} is not closed; write \\[ for the sign")
    return match.end()


def message_pattern(pattern: str, captures: tuple[str, ...] = ()) -> str:
    """Return a safe pattern for the whole message, to be used with `fullmatch`.

    Args:
        pattern: without header and `^` (`split`), with its `$`.
        captures: names for its plain groups `(...)`, in order; `(?P<name>...)` has its own.

    Raises:
        GrammarError: with the reason, the place and the mend.
    """
    body = re.sub(r"(?<!\\)(?:\$|\\[zZ])\Z", "", pattern)
    if body == pattern:
        raise GrammarError(
            f"{pattern!r} is not anchored at its end: a client's text may follow; write what may "
            "stand there and end it with $"
        )
    parser = _Parser(body, captures)
    alternatives = parser.alternatives()
    parser.expect_end()
    if len(parser.captured) < len(captures):
        raise GrammarError(
            f"{pattern!r}: has {len(parser.captured)} of the {len(captures)} groups (...) for "
            f"{', '.join(captures)}; put the part that reads it in parentheses"
        )
    return f"(?:{_Writer(pattern).alternatives(alternatives, frozenset((_END,)))})"


class _Parser:
    """Recursive descent over the part of the syntax that can be made safe."""

    def __init__(self, pattern: str, captures: tuple[str, ...]) -> None:
        self.pattern = pattern
        self.position = 0
        self.names = list(captures)
        self.captured: list[str] = []

    def fail(self, what: str) -> GrammarError:
        return GrammarError(f"{self.pattern!r}: at {self.pattern[self.position :][:20]!r}: {what}")

    def expect_end(self) -> None:
        if self.position < len(self.pattern):
            raise self.fail("a parenthesis that was never opened; write \\) for the sign")

    def alternatives(self) -> list[list[_Node]]:
        alternatives: list[list[_Node]] = [[]]
        while self.position < len(self.pattern) and self.pattern[self.position] != ")":
            if self.pattern[self.position] == "|":
                self.position += 1
                alternatives.append([])
            else:
                alternatives[-1].append(self.repeated())
        return alternatives

    def repeated(self) -> _Node:
        start = self.position
        node = self.single()
        match = _quantifier(self.pattern, self.position)
        if not match:
            return node
        self.position = match.end()
        if self.pattern[self.position : self.position + 1] in ("?", "+"):
            self.position += 1
        sign, least, comma, most = match.groups()
        if sign:
            low, high = {"?": (0, 1), "*": (0, MOST_REPEATED), "+": (1, MOST_REPEATED)}[sign]
        else:
            low = int(least)
            high = int(most) if most else MOST_REPEATED if comma else low
        text = self.pattern[start : self.position]
        if isinstance(node, _Group) and high > 16:
            raise self.fail(f"{text!r} repeats a group without a small bound; write {{1,9}}")
        return _Repeat(node, low, high, text)

    def single(self) -> _Char | _Group:
        char = self.pattern[self.position]
        if char == "(":
            return self.group()
        if char == "[":
            return self.char(_end_of_class(self.pattern, self.position))
        if char == "\\":
            return self.char(self.position + 2)
        if char in "^$":
            raise self.fail("an anchor inside; it belongs at the ends only")
        if char in "?*+{":
            raise self.fail(f"nothing to repeat; write \\{char} for the sign")
        return self.char(self.position + 1)

    def group(self) -> _Group:
        match = re.compile(r"\((?:\?(?::|P?<([a-z_]{1,20})>))?(?!\?)").match(
            self.pattern, self.position
        )
        if not match:
            raise self.fail("a construct that cannot be made safe; only (...) and (?:...) can")
        name = match[1]
        if name is None and match.group() == "(":
            if not self.names:
                raise self.fail("one group (...) too many; write (?:...) where nothing is taken")
            name = self.names.pop(0)
        if name is not None:
            if name in self.captured:
                raise self.fail(f"{name!r} is taken twice")
            self.captured.append(name)
        self.position = match.end()
        alternatives = self.alternatives()
        if self.position >= len(self.pattern):
            raise self.fail("a parenthesis that is never closed")
        self.position += 1
        return _Group(alternatives, name)

    def char(self, end: int) -> _Char:
        text = self.pattern[self.position : end]
        if text.startswith("["):
            if "[:" in text[1:]:
                raise self.fail("a POSIX class; write the characters out")
            # Python wants the sign escaped inside a class.
            text = "[" + re.sub(r"(?<!\\)\[", r"\\[", text[1:])
        elif text.startswith("\\") and not (_is_class_escape(text) or _is_plain_escape(text)):
            raise self.fail(f"{text!r} is not supported; write the characters out")
        elif text == ".":
            text = r"[^\n]"
        try:
            pattern = re.compile(text, re.ASCII)
        except re.error as error:
            raise self.fail(str(error)) from None
        self.position = end
        return _Char(text, frozenset(char for char in _PROBES if pattern.fullmatch(char)))


class _Writer:
    """Writes the pattern out; what may follow a part decides how it may repeat."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.ways = 1
        """How many ways there are through what has been written, at most."""

    def alternatives(self, alternatives: list[list[_Node]], follow: frozenset[str]) -> str:
        seen: set[str] = set()
        for nodes in alternatives:
            begins = _first(nodes, follow)
            if seen & begins:
                self._times(2)
            seen |= begins
        return "|".join(
            "".join(self._node(node, _first(nodes[i:], follow)) for i, node in enumerate(nodes, 1))
            for nodes in alternatives
        )

    def _node(self, node: _Node, follow: frozenset[str]) -> str:
        if isinstance(node, _Char):
            return node.text
        if isinstance(node, _Group):
            opening = "(?:" if node.name is None else f"(?P<{node.name}>"
            return f"{opening}{self.alternatives(node.alternatives, follow)})"
        if isinstance(node.node, _Char):
            return self._repeated_char(node, node.node, follow)
        return self._repeated_group(node, node.node, follow)

    def _repeated_char(self, node: _Repeat, char: _Char, follow: frozenset[str]) -> str:
        if node.least == node.most:
            return f"{char.text}{{{node.most}}}"
        common = char.chars & follow
        if not common:
            return f"{char.text}{{{node.least},{node.most}}}+"
        if node.most > 1:
            raise GrammarError(
                f"{self.pattern!r}: {node.text!r} can also read what follows it "
                f"({min(common)!r}), so it backtracks, and a client's text can move the end of the "
                f"field; write what may stand there, such as {_all_but(min(common))}+"
            )
        self._times(2)
        return f"{char.text}{{{node.least},1}}"

    def _repeated_group(self, node: _Repeat, group: _Group, follow: frozenset[str]) -> str:
        begins, empty = _begins(group)
        if node.most > 1 and (empty or group.name is not None):
            raise GrammarError(
                f"{self.pattern!r}: {node.text!r} repeats "
                + ("what may be empty" if empty else "a group that is taken")
                + "; repeat what is inside, once"
            )
        before, self.ways = self.ways, 1
        body = self._node(group, follow | begins if node.most > 1 else follow)
        inside, self.ways = self.ways, before
        self._times(inside**node.most)
        if begins & follow:
            self._times(node.most - node.least + 1)
        return f"{body}{{{node.least},{node.most}}}"

    def _times(self, factor: int) -> None:
        self.ways *= factor
        if self.ways > _MOST_WAYS:
            raise GrammarError(
                f"{self.pattern!r}: too many optional parts and alternatives that begin alike; "
                "give the wordings patterns of their own"
            )


def _all_but(char: str) -> str:
    if char.isspace() or len(char) > 1:
        return r"\S"
    return rf"[^\{char}\s]" if char in "\\]^-[" else rf"[^{char}\s]"


def _begins(node: _Node) -> tuple[frozenset[str], bool]:
    """Return the characters that `node` may begin with, and whether it may be empty."""
    if isinstance(node, _Char):
        return node.chars, False
    if isinstance(node, _Group):
        firsts = [_first(nodes, frozenset((_NOTHING,))) for nodes in node.alternatives]
        chars = frozenset().union(*firsts)
        return chars - {_NOTHING}, _NOTHING in chars
    chars, empty = _begins(node.node)
    return chars, empty or node.least == 0


def _first(nodes: list[_Node], follow: frozenset[str]) -> frozenset[str]:
    """Return the characters that `nodes`, then `follow`, may begin with."""
    chars: frozenset[str] = frozenset()
    for node in nodes:
        begins, empty = _begins(node)
        chars |= begins
        if not empty:
            return chars
    return chars | follow
