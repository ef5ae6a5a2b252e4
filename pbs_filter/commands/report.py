"""--report: who still depends on POP-before-SMTP, from which device, when last (edge)."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from datetime import datetime

from ..config.options import Config
from ..errors import StoreBusy, UsageError
from ..monitor.usage import Usage
from ..report import page, text
from ..report.summary import JournalLogins, Summary, horizon
from ..service import control, usage_file
from ..store import journal_lines
from ..terminal import json_line
from .arguments import colour_of

ATTEMPTS = 3
"""At reading journals that are renamed meanwhile."""


def run(config: Config, options: argparse.Namespace) -> int:
    """Show the report, or write it; return 0.

    Raises:
        StoreBusy: what it is made of cannot be read, or it cannot be written.
    """
    summary = summary_of(config, int(time.time()))
    if options.html:
        _write(options.html, page.page(summary, os.uname().nodename))
    if options.json:
        sys.stdout.write(json_line(summary.as_object()))
    elif not options.html:
        sys.stdout.write(text.report(summary, colour=colour_of(options)))
    return 0


def summary_of(config: Config, now: int) -> Summary:
    """Return what the running filter has counted, or else its file, and what the journal knows.

    Raises:
        StoreBusy: it cannot be read.
    """
    usage = _usage(config)
    today = datetime.fromtimestamp(now).date().isoformat()
    if usage is not None:
        usage.prune(now, today)
    journal = _journal(
        config.journal,
        lambda: JournalLogins(
            horizon(now, config.history_days), () if usage is None else usage.tried
        ),
    )
    return Summary(usage, journal, now, today)


def _usage(config: Config) -> Usage | None:
    answer = control.ask(config.control, {"do": "report"})
    try:
        if answer is None:
            return usage_file.read(config.usage, config.history_days)
        if "report" not in answer:
            raise ValueError("it is of an older version: restart the syslog daemon")
        return Usage.of_object(answer["report"], config.history_days)
    except OSError as error:
        raise StoreBusy(f"cannot read {config.usage!r}: {error.strerror}") from None
    except ValueError as error:
        where = f"the filter at {config.control!r}" if answer else repr(config.usage)
        raise StoreBusy(f"cannot use what {where} has counted: {error}") from None


def _journal(path: str, make: Callable[[], JournalLogins]) -> JournalLogins:
    """Return the logins of the journal at `path`, and of the one before it. Needs no lock."""
    for _ in range(ATTEMPTS):
        found = make()
        before = _inode(path + ".1")
        for each in (path + ".1", path):
            if os.path.exists(each):
                found.take(journal_lines.read(each))
        if before == _inode(path + ".1"):
            break
    return found


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def _write(path: str, content: str) -> None:
    """Write the page where the person wants it, for nobody else to read if the file is new."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            file.write(content)
    except OSError as error:
        raise UsageError(f"--html: cannot write {path!r}: {error.strerror}") from None
