"""--reprocess (edge): mail logs from files, by the stamps in their lines.

Each line is judged at its own time, so the counts say what would have happened; in the map is
afterwards who may still relay now. A stamp in the future counts as now.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from typing import IO, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .. import privileges
from ..authorisation.pipeline import Pipeline
from ..config.options import Config
from ..model import Reason
from ..service import build, storage
from ..service.omprog import Splitter
from ..syslog import records
from ..syslog.timestamps import Stamps
from .arguments import complain

READ_BYTES = 1 << 20
JOURNAL_SLICE = 10_000
LOCK_SECONDS = 2


def run(config: Config, options: argparse.Namespace) -> int:
    """Read the files (stdin without any).

    Return 0, or 1 where one of them could not be read to its end.

    Raises:
        PbsFilterError: the configuration or the store cannot be used.
    """
    with contextlib.ExitStack() as stack:
        # By whoever calls this, root mostly: the filter's account may not read mail logs.
        files = [(name, _opened(name, stack)) for name in options.files or ("-",)]
        privileges.become(config, complain)
        # `mail.log*` names the newest first; what ended in it must not begin in an older one.
        return _reprocess(config, sorted(files, key=lambda file: file[1].written if file[1] else 0))


def _reprocess(config: Config, files: Sequence[tuple[str, _Opened | None]]) -> int:
    pipeline = build.pipeline_of(config, complain)
    store = storage.Storage(config, pipeline.state, complain, lock_seconds=LOCK_SECONDS)
    try:
        wall = store.clock.now()
        zone = local_zone()
        failed = False
        for name, opened in files:
            if opened is None:
                failed = True
                continue
            try:
                stamps = Stamps(
                    zone=zone, reference_epoch=opened.written, own_logs=pipeline.own_logs
                )
                _read(pipeline, opened.file, stamps, wall, opened.size)
            except (OSError, EOFError, zlib.error) as error:
                complain(f"{name!r}: {getattr(error, 'strerror', None) or error}; read up to there")
                failed = True
        _settle(pipeline, wall)
        if store.journal is not None:
            payloads = [store.clock.stamp(), *pipeline.state.journal_payloads()]
            for start in range(0, len(payloads), JOURNAL_SLICE):
                store.journal.append(payloads[start : start + JOURNAL_SLICE])
            changes = pipeline.ledger.map_changes()
            store.map.write(changes)
        store.close(clean=True)
    finally:
        store.release()
    sys.stdout.write(summary(pipeline))
    return 1 if failed else 0


def local_zone() -> tzinfo:
    """Return the zone in which stamps without one are: TZ, or the machine's."""
    name = os.environ.get("TZ", "").lstrip(":")
    if not name:
        try:
            link = os.path.realpath("/etc/localtime")
            _, found, name = link.partition("/zoneinfo/")
            if not found:
                return _fixed_zone()
        except OSError:
            return _fixed_zone()
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return _fixed_zone()


def _fixed_zone() -> tzinfo:
    """Return the clock's offset of this moment, where the machine cannot name its zone."""
    return datetime.now().astimezone().tzinfo or UTC


class _Opened(NamedTuple):
    """A log file, plain or gzip; or stdin."""

    file: IO[bytes]
    size: int
    """0: unknown."""
    written: float
    """When it was written last, in seconds since the epoch."""


def _opened(name: str, stack: contextlib.ExitStack) -> _Opened | None:
    """Return the file of that name, closed with `stack`; None where it cannot be opened, which
    is said."""
    if name == "-":
        return _Opened(sys.stdin.buffer, 0, time.time())
    try:
        file = stack.enter_context(open(name, "rb"))  # noqa: SIM115 (the stack closes it)
        found = os.fstat(file.fileno())
        if file.peek(2)[:2] != b"\x1f\x8b":
            return _Opened(file, found.st_size, found.st_mtime)
    except OSError as error:
        complain(f"{name!r}: {error.strerror}; left out")
        return None
    unpacked = gzip.GzipFile(fileobj=file)
    return _Opened(unpacked, 0, found.st_mtime)  # type: ignore[arg-type]


def _read(pipeline: Pipeline, file: IO[bytes], stamps: Stamps, wall: int, size: int) -> None:
    splitter = Splitter()
    progress = _progress(size)
    stamp = stamper(stamps)
    while data := file.read(READ_BYTES):
        block, overlong = splitter.feed(data)
        pipeline.replay(block, stamp, wall)
        if overlong:
            pipeline.counts.lines += overlong
            pipeline.counts.add(Reason.TOO_LONG, overlong)
        progress(len(data))
    progress(0)


def stamper(stamps: Stamps) -> Callable[[bytes], int | None]:
    """Return the time of a line: a JSON record's own, else the stamp in its text."""

    def read(line: bytes) -> int | None:
        if not line.startswith(b"{"):
            return stamps.read(line)
        record = records.reader()(line)
        if isinstance(record, Reason) or record.time_epoch is None:
            return None
        return int(record.time_epoch)

    return read


def _settle(pipeline: Pipeline, wall: int) -> None:
    """Let everything end that has ended by now."""
    while (due := pipeline.ledger.next_due()) is not None and due <= wall:
        pipeline.state.tick(wall)
    pipeline.state.tick(wall)


def _progress(size: int) -> Callable[[int], None]:
    """Says on a terminal how far we are; each call tells it the bytes that were read, 0: all."""
    if not sys.stderr.isatty():
        return lambda _bytes: None
    done = 0

    def progress(more: int) -> None:
        nonlocal done
        done += more
        if not more:
            sys.stderr.write("\r\x1b[K")
        elif size:
            sys.stderr.write(f"\r{100 * done // size} % of {size >> 20} MiB")
        else:
            sys.stderr.write(f"\r{done >> 20} MiB")
        sys.stderr.flush()

    return progress


def summary(pipeline: Pipeline) -> str:
    """Return the counts, for people."""
    return "".join(f"{row}\n" for row in _rows(pipeline))


def _rows(pipeline: Pipeline) -> Iterator[str]:
    counts = pipeline.counts
    yield f"{counts.lines:>10}  lines"
    yield f"{sum(counts.logins.values()):>10}  logins that authorised"
    for server, number in sorted(counts.logins.items()):
        yield f"{number:>14}  {server}"
    yield f"{counts.logouts:>10}  logouts"
    yield f"{len(pipeline.ledger.authorisations):>10}  addresses that may relay now"
    refused = counts.by_reason()
    yield f"{sum(refused.values()):>10}  lines that led to nothing"
    for reason, number in sorted(refused.items(), key=lambda item: -item[1]):
        yield f"{number:>14}  {reason.value}"
        if reason is Reason.NOT_VOUCHED:
            yield f"{'':>16}(a log file cannot say it; only if no user of this machine can have"
            yield f"{'':>16}forged a line, for this once: --reprocess --norequire-vouched FILE...)"
    if counts.unread:
        yield "known programs whose lines no rule reads:"
        for program, number in sorted(counts.unread.items(), key=lambda item: -item[1]):
            yield f"{number:>14}  {program}: {counts.unread_examples[program][:100]!r}"
