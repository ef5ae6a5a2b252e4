"""The bounded pieces that grammars are made of.

Every token is a `pyparsing.Regex` whose pattern is deterministic (possessive: what it took it never
gives back) and bounded in length, so that a rule reads any line in linear time. Tokens never skip
white space; blanks are written out as literals. Call a token with a name to get its text as a
result: `USER("user")`.

A token says what may stand there, not what it means: whether digits and dots are an address is
`addresses.canonical`'s business.
"""

from __future__ import annotations

import re

import pyparsing as pp

from ..errors import GrammarError

# Characters no user name of ours may hold: what log lines use as brackets, quotes and separators,
# and everything that a reader of the log does not see or that ends a line somewhere (controls,
# blanks, format characters, surrogates, private use; all of it but ASCII's from Unicode's
# categories C* and Z*). Planes above the first are left out whole: one range keeps matching fast.
_UNSEEN = (
    r"\x00-\x20\x7f-\xa0\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u1680\u180e"
    r"\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ud800-\uf8ff\ufeff\ufff0-\uffff"
    r"\U00010000-\U0010ffff"
)
_DELIMITERS = r"<>()\[\]{},;:\"'`\\="


def token(pattern: str, name: str) -> pp.Regex:
    """Returns a token of the regular expression `pattern`, called `name` in messages.

    The pattern must be bounded, possessive, and without capture groups; the compiler and the
    contract say so if it is not.
    """
    regex = pp.Regex(pattern)
    regex.set_name(name)
    regex.leave_whitespace()
    return regex


def WORD(chars: str, most: int, least: int = 1) -> pp.Regex:  # noqa: N802 -- reads as a token
    """Returns a token of `least` to `most` characters of the class `chars` (`"A-Za-z0-9"`)."""
    return token(f"[{chars}]{{{least},{most}}}+", f"{least} to {most} of [{chars}]")


def user_token(more: str = "", less: str = "", most: int = 255) -> pp.Regex:
    """Returns USER with some delimiters allowed (`more`) and other characters not (`less`).

    For servers whose real lines need it: `user_token(more="'")`, `user_token(less="@")`.
    """
    delimiters = "".join(c for c in "<>()[]{},;:\"'`\\=" if c not in more) + less
    escaped = "".join("\\" + c if c in "\\]^-[&~|" else c for c in delimiters)
    return token(f"[^{_UNSEEN}{escaped}]{{1,{most}}}+", "a user name")


USER = token(f"[^{_UNSEEN}{_DELIMITERS}]{{1,255}}+", "a user name")
"""1 to 255 visible characters, none of `<>()[]{},;:"'` + "`" + `\\=`."""

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
"""What reverse DNS says of a client: the client's own text, never read as an address."""

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
    """Returns the expression of a wording: `line("user {user} logged in from {address}")`.

    `{NAME}` stands for one of `parts`, or for the kit's `{user}` and `{address}` (both results),
    `{number}`, `{port}`, `{host}`, `{text}`; `{NAME?}` may be left out; `{{` and `}}` are braces.

    Raises:
        GrammarError: a part is unknown, or a brace stands alone.
    """
    parts = _PARTS | parts
    pieces: list[pp.ParserElement] = []
    for piece in _piece.finditer(wording):
        text, name, optional = piece[0], piece[1], piece[2]
        if name is None:
            if text in ("{", "}"):
                raise GrammarError(f"wording {wording!r}: a lone {text!r}; write {text * 2} for it")
            pieces.append(pp.Literal(text[0] if text in ("{{", "}}") else text))
        elif name not in parts:
            raise GrammarError(
                f"wording {wording!r}: no part {name!r}; there are {', '.join(parts)}"
            )
        else:
            pieces.append(pp.Opt(parts[name]) if optional else parts[name])
    return pp.And(pieces)
