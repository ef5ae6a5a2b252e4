"""The kinds of values: each checks a value of the configuration and says what it accepts. Pure.

A function here makes a `Kind`; `options` and `tables` declare what is of which kind.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..addresses import Networks
from ..errors import ConfigError
from ..map_format import redis_url
from ..text import duration_seconds, nearest

if TYPE_CHECKING:
    from .declare import Table

MAX_NAME_CHARACTERS = 64
_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


class Kind(NamedTuple):
    """A kind of value."""

    check: Callable[[Any], Any]
    """Turns a value as TOML gives it into the one that the program uses. Raises `ConfigError` with
    what is wrong and what to write."""
    metavar: str = ""
    """What the value is called in --help; empty: the option has no value there."""
    parse: Callable[[str], Any] = str
    """Turns a text of the command line into a TOML value. What it cannot read it returns as it is,
    for `check` to refuse."""
    accepts: str = ""
    """The valid values, as a sentence; empty where the default shows them."""
    on_command_line: bool = True
    """Whether the command line has an option for it."""
    table: type[Table] | None = None
    """The class that declares the keys, where the value is a list of tables `[[NAME]]`."""


# ---------------------------------------------------------------------- numbers


def _within(value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise ConfigError(f"{value!r} is not from {least} to {most}")
    return value


def _parse_whole(text: str) -> int | str:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(text) < 20 else text


def whole(least: int, most: int) -> Kind:
    """Whole numbers from `least` to `most`."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError(f"{value!r} is not a whole number; write digits without quotes")
        return _within(value, least, most)

    return Kind(check, "N", _parse_whole, f"A whole number from {least} to {most}.")


def seconds(least: int, most: int) -> Kind:
    """Durations from `least` to `most` seconds: a number, or a text with units."""

    def check(value: Any) -> int:
        number = duration_seconds(value) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, int):
            raise ConfigError(
                f"{value!r} is not a time; write seconds as in 1800, or a number with its unit in "
                'quotes, as in "30m", "1h" or "2d"'
            )
        return _within(number, least, most)

    accepts = f"{least} to {most} seconds; a text may have a unit: 30m, 1h, 2d."
    return Kind(check, "TIME", _parse_whole, accepts)


def _check_mode(value: Any) -> int:
    try:
        mode = int(value, 8) if isinstance(value, str) else value
    except ValueError:
        mode = None
    if isinstance(mode, bool) or not isinstance(mode, int) or not 0 <= mode <= 0o777:
        raise ConfigError(f'{value!r} is not a mode; write octal digits in quotes, as in "0640"')
    return mode


MODE = Kind(_check_mode, "OCTAL")
"""The permission bits of a file, as octal digits in a text."""


def _check_yes_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{value!r} is not true or false, without quotes")
    return value


YES_NO = Kind(_check_yes_no)
"""True or false; on the command line --NAME and --noNAME."""


# ---------------------------------------------------------------------- texts


def _check_text(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ConfigError(f"{value!r} is not a text of printable characters")
    return value


def _check_path(value: Any) -> str:
    path = _check_text(value)
    if not path.startswith("/"):
        raise ConfigError(f"{path!r} is not an absolute path; it must begin with /")
    if path.endswith("/"):
        raise ConfigError(
            f"{path!r} names a directory; write the path of a file in it, as in {path}pbs-filter"
        )
    return path


def _check_map(value: Any) -> str:
    place = _check_text(value)
    if "://" in place:
        redis_url.parse(place)
        return place
    return _check_path(place)


def _check_name(value: Any) -> str:
    name = _check_text(value)
    if not (_NAME.issuperset(name) and len(name) <= MAX_NAME_CHARACTERS):
        raise ConfigError(
            f"{name!r} is not a name of at most {MAX_NAME_CHARACTERS} letters, digits, '.', '_', "
            "'-'"
        )
    return name


TEXT = Kind(_check_text, "TEXT")
"""One line of text."""
NAME = Kind(_check_name, "NAME")
"""A name, as of a host."""
MAP = Kind(_check_map, "FILE|URL")
"""The path of a GDBM file, or the URL of a Redis."""


def file_path(*others: str) -> Kind:
    """Absolute paths of files, or one of `others`."""
    return Kind(
        lambda value: value if value in others else _check_path(value),
        "|".join(("FILE", *filter(None, others))),
    )


def choice(*words: str) -> Kind:
    """One of `words`; an empty one stands for none of them."""
    shown = [word for word in words if word]

    def check(value: Any) -> str:
        if value not in words:
            guess = nearest(value, words) if isinstance(value, str) else ""
            raise ConfigError(f"{value!r} is not one of {', '.join(shown)}.{guess}")
        return str(value)

    return Kind(check, "|".join(shown), accepts=f"One of: {', '.join(shown)}.")


# ---------------------------------------------------------------------- lists


def some_of(*words: str) -> Kind:
    """A list of some of `words`, at least one."""

    def check(value: Any) -> tuple[str, ...]:
        texts = _check_texts(value)
        for text in texts:
            if text not in words:
                raise ConfigError(
                    f"{text!r} is not one of {', '.join(words)}.{nearest(text, words)}"
                )
        if not texts:
            raise ConfigError(f"is empty; write some of {', '.join(words)}")
        return texts

    return Kind(check, accepts=f"Some of: {', '.join(words)}.")


def _check_texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(
        isinstance(item, str) and item.isprintable() for item in value
    ):
        raise ConfigError(f'{value!r} is not a list of texts; write ["...", "..."]')
    return tuple(value)


def _check_text_or_texts(value: Any) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(t, str) and t for t in texts):
        raise ConfigError(f"{value!r} is not a text or a list of texts")
    return tuple(texts)


def _check_users(value: Any) -> tuple[str, ...]:
    texts = _check_texts(value)
    for text in texts:
        if not text or text != text.strip():
            raise ConfigError(f"{text!r} is not the name of a user, a pattern, or a path")
    return texts


def _check_pattern(value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{value!r} is not one regular expression, a text")
    return value


def _check_networks(value: Any) -> tuple[str, ...]:
    texts = _check_texts(value)
    Networks(texts)
    return texts


def _check_command(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        try:
            return tuple(shlex.split(_check_text(value)))
        except ValueError as error:
            raise ConfigError(f"{value!r}: {error}") from None
    return _check_texts(value)


def _parse_list(text: str) -> list[str]:
    return text.replace(",", " ").split()


TEXTS = Kind(_check_texts, "A,B,...", _parse_list)
"""A list of texts."""
TEXT_OR_TEXTS = Kind(_check_text_or_texts)
"""One text, or a list of them."""
USERS = Kind(_check_users, "A,B,...", _parse_list)
"""A list of users, patterns, and files of them."""
PATTERN = Kind(_check_pattern)
"""One regular expression."""
NETWORKS = Kind(_check_networks, "A,B,...", _parse_list)
"""A list of addresses and networks."""
COMMAND = Kind(_check_command, "COMMAND")
"""A program and its arguments, as one text or a list of words; run without a shell."""


def _check_lists(value: Any) -> dict[str, tuple[str | int, ...]]:
    if not isinstance(value, dict):
        raise ConfigError(f'{value!r} is not a table of lists; write {{dovecot = ["name"]}}')
    for key, items in value.items():
        if not isinstance(items, list | tuple) or not all(
            isinstance(item, str | int) and not isinstance(item, bool) for item in items
        ):
            raise ConfigError(f'{key}: {items!r} is not a list of names or numbers; write ["name"]')
    return {key: tuple(items) for key, items in value.items()}


LISTS = Kind(_check_lists, on_command_line=False)
"""A table of lists of names or numbers."""


def _check_samples(value: Any) -> tuple[dict[str, Any], ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, dict) for item in value):
        raise ConfigError(f'{value!r} is not a list of tables; write [{{ line = "..." }}]')
    return tuple(value)


SAMPLES = Kind(_check_samples, on_command_line=False)
"""A list of tables, read by the server's own code."""
