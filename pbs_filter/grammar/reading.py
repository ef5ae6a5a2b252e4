"""The reading of a rule is what the service needs of its expression, as plain texts.

`compiler` makes it from the expression; those of the shipped servers are kept beside them (`kept`).
Nothing in here needs pyparsing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..errors import GrammarError

TextMatch = re.Match[str]

_conditional = re.compile(r"(\\.|\[\^?\]?(?:[^\]\\]|\\.)*\])|\(\?\(([0-9]+)\)", re.DOTALL)
"""A condition on a group, as group 2; or, as group 1, an escape or a class, which may look like
one."""

_atoms = re.compile(
    r"\\.|\[\^?\]?(?:[^\]\\]|\\.)*\]|\(\?s:\.\)|\(\?(?!i:)[a-zA-Z-]+[:)]|[$^\n]", re.DOTALL
)
"""An escape, a class, a group with flags (but for i), or what is or means an end of a line."""
_is_plain_escape = re.compile(r"\\[^0-9A-Za-z\n]|\\[wdSbtr]").fullmatch


class Reading(NamedTuple):
    """One expression, translated."""

    text: str
    """The pattern, to be used with `fullmatch`."""
    group_count: int
    """The number of its groups."""
    groups: dict[str, tuple[int, ...]]
    """Result name -> the groups one of which holds it, in the order of the expression; without
    those of TLS."""
    begins: frozenset[str]
    """Literal texts; every line that fits begins with one of them."""


SPELT = "spelt"
"""The result for an address that is not an IPv4 address in its one spelling."""


class Usual(NamedTuple):
    """What reads the usual messages of a login's rule; see `straight`."""

    text: str
    group_count: int
    groups: dict[str, int]
    """The group of each result."""
    key: str
    """The result that alone, or behind user and address, makes the session; "": there is none."""


class Straight(NamedTuple):
    """The straight expression of one rule for one program, with each of the usual headers."""

    in_json: Callable[..., TextMatch | None]
    """Reads a line of the JSON feed without its last two characters, `"}`."""
    json_groups: tuple[int, ...]
    """Groups of `json_records.USUAL_GROUPS`, then the message and `straight.RESULTS`. Group 0, the
    whole text, stands for a result that the rule has not."""
    in_block: str | None
    """The expression of a message in a block of lines; the end of the line is `$`. None: it might
    read more than one line."""
    block_groups: tuple[int, ...]
    """Groups of the message and of `straight.RESULTS`; 0: the rule has it not."""
    group_count: int
    """The number of all groups of `in_block`."""
    has_local: bool
    has_protocol: bool
    session: str
    """`pid`; `key`; `user,address,key`; or nothing."""


def compiled(text: str) -> re.Pattern[str]:
    """Compile a translated text; GrammarError if a token's own pattern cannot stand inside a larger
    one."""
    try:
        return re.compile(text)
    except (re.error, OverflowError) as error:
        raise GrammarError(
            f"pattern {text!r}: {error}; a token's pattern must be complete in itself"
        ) from None


def behind(text: str, count: int) -> str:
    """Return the translated `text` as it is written behind `count` other groups."""
    return _conditional.sub(lambda found: found[1] or f"(?({int(found[2]) + count})", text)


def within_a_line(pattern: str) -> str | None:
    """Return what reads in one line of many what `pattern` reads in that line alone.

    It is `pattern` with `$` for the end, if nothing in it can read a newline: then the newline is
    to all of it what the end was. None: something might.
    """
    is_bound = True

    def for_lines(match: re.Match[str]) -> str:
        nonlocal is_bound
        atom = match[0]
        if atom == r"\Z":
            return "$"
        if atom == "(?s:.)":
            return "."
        if atom[0] == "\\":
            is_bound = is_bound and _is_plain_escape(atom) is not None
        else:
            is_bound = is_bound and atom[0] == "[" and not re.match(atom, "\n")
        return atom

    text = _atoms.sub(for_lines, pattern)
    return text if is_bound else None


def looks_in_front(pattern: str) -> bool:
    """Return whether `pattern` may tell a message by what stands in front of it.

    Alone it has nothing in front, in a line of syslog a header, in one of the feed a quote.
    """
    # A lookbehind is an opening like others to `_atoms`; a literal parenthesis is an escape.
    return "(?<" in pattern or any(atom in (r"\A", r"\B", "^") for atom in _atoms.findall(pattern))


def among(own: Reading, rivals: Iterable[Reading]) -> tuple[str, int]:
    """Return the pattern of `own`, to be used with `match`, and a group of it.

    The group is set where the whole line also fits one of `rivals`, so that one match does the work
    of two.
    """
    count = own.group_count
    others = []
    for rival in rivals:
        others.append(f"(?:{behind(rival.text, count)})")
        count += rival.group_count
    # Without rivals the negative look-ahead `(?!(?!))` always succeeds, and the group stays unset.
    barred = "|".join(others) or "(?!)"
    return rf"(?={own.text}\Z)(?:(?!(?:{barred})\Z)|())", count + 1


def is_of_tls(result: str) -> bool:
    """Return whether a result is about TLS: see `tls`."""
    return result.startswith("tls")


def can_begin_alike(some: frozenset[str], others: frozenset[str]) -> bool:
    """Return whether a line may begin with one of `some` and with one of `others`."""
    return any(a.startswith(b) or b.startswith(a) for a in some for b in others)
