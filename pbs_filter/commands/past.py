"""--history (edge): reads the journal of a filter, running or not; no lock is needed for it."""

from __future__ import annotations

import argparse
import os
import sys

from ..config.options import Config
from ..store import journal_lines
from . import report
from .history import History
from .listing import address_of, colour_of


def history_(config: Config, arguments: argparse.Namespace) -> int:
    """--history: 0 if the journal knows the address, 1 if not."""
    found = history_of(config.journal, address_of("--history", arguments.history, config))
    if arguments.json:
        sys.stdout.write(report.to_json(found.as_object()))
    else:
        sys.stdout.write(found.as_text(colour=colour_of(arguments)))
    return 0 if found.logins() else 1


def history_of(path: str, address: str) -> History:
    """What the journal at `path` and the one before it know of `address`; nobody is stopped.

    The newer one is read first: renamed meanwhile it is read twice, and nothing is missed.

    Raises:
        StoreBusy: it cannot be read.
    """
    found = History(address)
    newer = list(filter(found.wants, journal_lines.read(path)))
    older = path + ".1"
    if os.path.exists(older):
        found.take(filter(found.wants, journal_lines.read(older)))
    found.take(newer)
    return found
