"""Tokens are the bounded parts of which grammars are made.

Every token is a `pyparsing.Regex` whose pattern is possessive and bounded in length, so that a rule
reads any line in linear time. Tokens never skip white space; blanks are written out as literals.
Call a token with a name to get its text as a result: `USER("user")`.

A token restricts characters, not meaning: `addresses.canonical` decides whether digits and dots are
an address.
"""

from __future__ import annotations

import re

import pyparsing as pp

from ..errors import GrammarError

# Characters that no user name may hold: invisible ones and those that end a line for some reader
# of the log (Unicode's categories C* and Z*, but for the blank).
_UNSEEN = (
    r"\x00-\x1f\x7f-\xa0\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u1680\u180e"
    r"\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ud800-\uf8ff\ufeff\ufff0-\uffff"
    r"\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U0010ffff"
)
_ASCII = [chr(code) for code in range(0x20, 0x7F)]
_ENDS = ' <>()[],;:"'
"""Characters that end a field in most lines."""


def token(pattern: str, name: str) -> pp.Regex:
    """Return a token of the regular expression `pattern`, called `name` in messages.

    The pattern must be bounded, possessive, and without capture groups; the compiler and the
    contract say so if it is not.
    """
    regex = pp.Regex(pattern)
    regex.set_name(name)
    regex.leave_whitespace()
    return regex


def WORD(chars: str, most: int, least: int = 1) -> pp.Regex:  # noqa: N802 -- reads as a token
    """Return a token of `least` to `most` characters of the class `chars` (`"A-Za-z0-9"`)."""
    return token(f"[{chars}]{{{least},{most}}}+", f"{least} to {most} of [{chars}]")


def name(less: str = _ENDS, most: int = 255) -> pp.Regex:
    """Return a token of a user's name: visible characters and blanks, but none of `less`.

    `less` must hold what ends the name in the line. Where that is a longer text, `name_before`
    reads more names.
    """
    # A class of ASCII is a table of bits: the usual name is read in half the time.
    return token(
        f"(?>[{_but(less)}]{{1,{most}}}+(?![\x80-\U0010ffff])"
        f"|[^{_UNSEEN}{_escaped(less)}]{{1,{most}}}+)",
        "a user name",
    )


def name_before(*ends: str, last: str = "", most: int = 255) -> pp.Regex:
    """Return a token of a user's name that goes to the first of the texts `ends`, or to `last`
    where that is the end of the line.

    It may hold all visible characters and blanks, quotes and brackets as well: text that looks like
    the rest of the line is the rest of the line, and must then fit to its last character.
    """
    end = "|".join(map(re.escape, ends)) + (f"|{re.escape(last)}\\Z" if last else "")
    first = "".join({text[0] for text in ends})
    regex = token(
        f"(?>[{_but(first)}]{{1,{most}}}+(?={end})|(?>(?:(?!{end})[^{_UNSEEN}]){{1,{most}}}))",
        "a user name",
    )
    vars(regex)["ends"] = ends
    return regex


def quoted_name(most: int = 255) -> pp.Regex:
    """Return a token of a user's name in which a backslash stands before each double quote and
    backslash: its rule is `escaped`."""
    return token(f'(?>(?:[^{_UNSEEN}"\\\\]|\\\\["\\\\/]){{1,{most}}})', "a user name")


def _but(less: str) -> str:
    """Return the class of ASCII's visible characters and the blank without those in `less`."""
    return _escaped("".join(char for char in _ASCII if char not in less))


def _escaped(chars: str) -> str:
    """Return `chars` as they must be written in a class of characters."""
    return "".join("\\" + char if char in "\\]^-[&~|" else char for char in chars)


USER = name()
"""1 to 255 visible characters, none of ` <>()[],;:"`."""

ADDRESS = token(r"[0-9A-Fa-f:.]{2,45}+(?>(?:%[0-9A-Za-z_.-]{1,16}+)?)", "an IP address")
"""The look of an IPv4 or IPv6 address, with or without a scope."""

IPV4 = token(r"[0-9]{1,3}+\.[0-9]{1,3}+\.[0-9]{1,3}+\.[0-9]{1,3}+", "an IPv4 address")
"""Four numbers with dots; needed where `:PORT` follows."""

ADDRESS_BEFORE_PORT = token(
    r"(?>[0-9A-Fa-f:.]{2,45}(?=:[0-9]{1,5}(?![0-9A-Fa-f:.])))", "an IP address and a port"
)
"""An address written as `ADDRESS:PORT` without brackets; the last colon is the port's."""

NUMBER = token(r"[0-9]{1,20}+", "a number")
PORT = token(r"[0-9]{1,5}+", "a port")

HOST = token(r"[0-9A-Za-z_.:/-]{1,255}+", "a host name")
"""A client's name by reverse DNS: the client's own text, never read as an address."""

TEXT = token(r"(?s:.){0,65536}+", "the rest of the line")
"""Anything to the end of the line. Only rules of kind Refused and Ignored may hold it."""

_PARTS: dict[str, pp.ParserElement] = {
    "user": USER("user"),
    "address": ADDRESS("address"),
    "number": NUMBER,
    "port": PORT,
    "host": HOST,
    "text": TEXT,
}
_piece = re.compile(r"\{\{|\}\}|\{([a-z][a-z0-9_]*)(\??)\}|[^{}]+|.", re.DOTALL)


def line(wording: str, /, **parts: pp.ParserElement) -> pp.ParserElement:
    """Return the expression of a wording: `line("user {user} logged in from {address}")`.

    `{NAME}` stands for one of `parts`, or for the kit's `{user}` and `{address}` (both results),
    `{number}`, `{port}`, `{host}`, `{text}`; `{NAME?}` may be left out; `{{` and `}}` are braces.
    The kit's `{user}` goes to the words that follow it in the wording (`name_before`), if there
    are any.

    Raises:
        GrammarError: a part is unknown, or a brace stands alone.
    """
    known = _PARTS | parts
    pieces: list[pp.ParserElement] = []
    matches = list(_piece.finditer(wording))
    for piece, following in zip(matches, [*matches[1:], None], strict=True):
        text, part, optional = piece[0], piece[1], piece[2]
        if part is None:
            if text in ("{", "}"):
                raise GrammarError(f"wording {wording!r}: a lone {text!r}; write {text * 2} for it")
            pieces.append(pp.Literal(_words(piece)))
        elif part not in known:
            raise GrammarError(
                f"wording {wording!r}: no part {part!r}; there are {', '.join(known)}"
            )
        elif part == "user" and "user" not in parts and following and following[1] is None:
            pieces.append(name_before(_words(following))("user"))
        else:
            pieces.append(pp.Opt(known[part]) if optional else known[part])
    return pp.And(pieces)


def _words(piece: re.Match[str]) -> str:
    """Return the literal text that a piece of a wording stands for."""
    return piece[0][0] if piece[0] in ("{{", "}}") else piece[0]
