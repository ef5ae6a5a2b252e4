"""Reads the arguments that several commands share (edge)."""

from __future__ import annotations

import argparse
import os
import sys

from ..addresses import canonical, widen
from ..config.options import Config
from ..errors import UsageError
from ..terminal import wants_colour


def colour_of(options: argparse.Namespace) -> bool:
    """Return whether stdout gets colours."""
    return wants_colour(options.color, os.environ, is_terminal=sys.stdout.isatty())


def address_of(flag: str, text: str) -> str:
    """Return the canonical address that `text`, the value of `flag`, names.

    Raises:
        UsageError: it is not an address.
    """
    address = canonical(text)
    if address is None:
        raise UsageError(f"{flag}: {text!r} is not an address; give one, like 192.0.2.7")
    return address


def key_of(flag: str, text: str, config: Config) -> str:
    """Return the address, or with `ipv6_prefix` the network, that is stored for `text`.

    Raises:
        UsageError: it is not an address.
    """
    return widen(address_of(flag, text), config.ipv6_prefix)


def complain(text: str) -> None:
    """Tell the person who called a command what is wrong."""
    print(f"pbs-filter: {text}", file=sys.stderr)
