"""What is said of a command line that is wrong: one line, with what was meant."""

from __future__ import annotations

import argparse
from typing import NoReturn

from .config.options import nearest

_UNKNOWN = "unrecognized arguments: "
_ARGUMENT = "argument "


class Parser(argparse.ArgumentParser):
    """argparse's, without the half page of usage in front of the mistake."""

    def error(self, message: str) -> NoReturn:
        """Leave with exit status 2."""
        if message.startswith(_UNKNOWN):
            word = message.removeprefix(_UNKNOWN).split()[0].partition("=")[0]
            message = f"{word!r} is not an option.{nearest(word, self._option_string_actions)}"
        self.exit(2, f"{self.prog}: {message.removeprefix(_ARGUMENT)} (see {self.prog} --help)\n")


def whole(text: str) -> int:
    """A whole number.

    Raises:
        ArgumentTypeError: it is not one.
    """
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number; write digits only, a time in seconds"
        ) from None
