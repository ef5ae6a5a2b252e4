"""What can be typed: options of both programs, as `--help` has them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_BRIEF = re.compile(r"(?m)^  (\w+)(?: [A-Z.\[\]]+)* +(\S.*)$")
_SUPPRESSED = "==SUPPRESS=="
"""argparse's mark of an option that --help does not show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One option, or (without names) one positional argument."""

    names: tuple[str, ...]
    about: str
    takes: str = ""
    """What it takes, as --help calls it (FILE, SECONDS, ...); "" for nothing."""
    optional: bool = False
    """The value may be left out."""
    choices: tuple[str, ...] = ()
    """The only values there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Options under one heading of --help."""

    title: str
    flags: tuple[Flag, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One mode of pbs-lookup, from its help text."""

    name: str
    brief: str
    usage: str
    about: str
    flags: tuple[Flag, ...]


def groups(parser: argparse.ArgumentParser) -> tuple[Group, ...]:
    """What `parser` takes, in the order of --help."""
    found = (
        Group(
            title=group.title or "",
            flags=tuple(
                _flag(action) for action in group._group_actions if action.help != _SUPPRESSED
            ),
        )
        for group in parser._action_groups
    )
    return tuple(group for group in found if group.flags)


def _flag(action: argparse.Action) -> Flag:
    metavar = action.metavar
    if action.nargs == 0:
        takes = ""
    elif isinstance(metavar, str):
        takes = metavar
    elif isinstance(metavar, tuple):
        takes = " ".join(metavar)
    elif action.choices is not None:
        takes = "|".join(map(str, action.choices))
    else:
        takes = action.dest.upper()
    return Flag(
        names=tuple(action.option_strings),
        about=(action.help or "").replace("%%", "%"),
        takes=takes,
        optional=action.nargs in ("?", "*"),
        choices=tuple(map(str, action.choices)) if action.choices else _choices(takes),
    )


def _choices(takes: str) -> tuple[str, ...]:
    return tuple(takes.split("|")) if "|" in takes else ()


def modes(overview: str, texts: Mapping[str, str]) -> tuple[Mode, ...]:
    """The modes of pbs-lookup from their help texts, and from the one that lists them.

    A text is `usage: ...`, paragraphs, and lines `  --name=VALUE   about` with their continuations;
    in `overview` a mode has a line `  name ARGUMENT   what it is for`.
    """
    briefs = dict(_BRIEF.findall(overview))
    return tuple(_mode(name, briefs[name], text) for name, text in texts.items())


def _mode(name: str, brief: str, text: str) -> Mode:
    usage, _, rest = text.partition("\n\n")
    paragraphs: list[str] = []
    flags: list[Flag] = []
    for line in rest.split("\n"):
        if line.startswith("  --"):
            word, _, about = line.strip().partition(" ")
            flag, _, takes = word.partition("=")
            flags.append(
                Flag(names=(flag,), about=about.strip(), takes=takes, choices=_choices(takes))
            )
        elif line.startswith("   "):
            last = flags.pop()
            flags.append(
                Flag(
                    names=last.names,
                    about=f"{last.about} {line.strip()}".strip(),
                    takes=last.takes,
                    choices=last.choices,
                )
            )
        elif line:
            paragraphs.append(line)
    return Mode(
        name=name,
        brief=brief,
        usage=usage.removeprefix("usage: "),
        about=" ".join(paragraphs),
        flags=tuple(flags),
    )


def first_sentence(text: str, most: int = 72) -> str:
    """The beginning of `text` that says enough in a list: a sentence, at most `most` characters."""
    sentence = text.partition(". ")[0].removesuffix(".")
    return sentence if len(sentence) <= most else sentence[: most - 3].rstrip() + "..."
