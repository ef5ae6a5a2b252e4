"""Names the login that lets an address relay, without a way to inject a mail header."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..map_format.check import Grant


def xtext(text: str) -> bytes:
    """Return `text` as RFC 3461 writes it into one word of printable ASCII, at most 300 bytes.

    `+`, `=`, blanks, quotes, brackets and all bytes that are no printable ASCII become `+` and two
    hexadecimal digits.
    """
    safe = b"!#$%&'*-./?@^_`{|}~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    raw = text.encode("utf-8", "replace")[:100]
    return b"".join(b"%c" % byte if byte in safe else b"+%02X" % byte for byte in raw)


def words(grant: Grant) -> bytes:
    """Return `user=NAME server=SERVER until=EPOCH`."""
    return b"user=%b server=%b until=%d" % (xtext(grant.user), xtext(grant.server), grant.until)
