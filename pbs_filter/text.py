"""Words and numbers that people type. Pure, and light enough for lookups."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # it costs a lookup milliseconds
    from collections.abc import Iterable

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_MAX_DIGITS = 18


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the sentence ` Did you mean 'x'?`, or nothing where no known word is near."""
    import difflib

    words = list(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    # "grace" is meant for "grace_seconds", though most letters differ.
    close += [each for each in words if len(word) > 2 and each.startswith(f"{word}_")]
    return f" Did you mean {close[0]!r}?" if close else ""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, as in `1 address`, `2 entries` or `1,200 times`."""
    if number != 1:
        noun = f"{noun[:-1]}ie" if noun.endswith("ry") else noun
        noun += "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}"


def waited(seconds: float) -> str:
    """Return a time to wait for people: `90 seconds`, `10 minutes`."""
    minutes, rest = divmod(round(seconds), 60)
    return (
        counted(minutes, "minute")
        if minutes > 1 and not rest
        else counted(round(seconds), "second")
    )


def duration_seconds(text: str) -> int | None:
    """Return the seconds of a duration such as `90`, `30m`, `1h30m` or `2d`; None: it is not
    one."""
    total, digits, units = 0, "", 0
    for character in text:
        if character in "0123456789" and len(digits) < _MAX_DIGITS:
            digits += character
        elif character in _UNIT_SECONDS and digits:
            total += int(digits) * _UNIT_SECONDS[character]
            digits, units = "", units + 1
        else:
            return None
    if digits:
        # A number without a unit stands alone: "1h30" could be minutes or seconds.
        return None if units else int(digits)
    return total if units else None
