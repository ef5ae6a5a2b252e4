"""The rows of the table: measurements and their targets."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from . import inputs
from .measure import LINES, MAP, ROOT, Cost, Program, environment, take_turns

FILTER = (sys.executable, "-m", "pbs_filter", "--config=/dev/null", "--confirm=no")
WRITE = (*FILTER, f"--dbfile={MAP}")
NOWRITE = (*FILTER, "--nowrite")
BARE = (
    sys.executable,
    "-c",
    "import re, sys\n"
    r"fits = re.compile(rb'\w{3} [ \d]\d [\d:]{8} \S+ dovecot: imap-login: Login: user=<([^>]*)>, "
    r"method=\S+, rip=([0-9.]+),').match" + "\n"
    "for line in sys.stdin.buffer: fits(line)",
)
"""What any Python program has to do for each line: the yardstick of another machine's figures."""

# Lines per CPU second, measured on one machine and in one run with the bare loop's 2,300,000
# (200,000 lines, 10 % Dovecot logins, 3,000 addresses). A bare loop of so many lines is the
# yardstick: a tenth of its time is the interpreter's start.
BARE_THERE = 2_300_000
LIVE = 174_000 / 2_122_000
"""pop-before-smtp 1.41 with its map, as a share of the bare loop: of a later run, of 1,000,000
lines."""
ADD_AND_REMOVE = 62_000 * inputs.LOGIN_SHARE / BARE_THERE
"""... each login added and removed: logins a second, as a share of the bare loop's lines."""
REPROCESS = 34_000 / BARE_THERE
"""... --reprocess with its map."""


class Row(NamedTuple):
    """One line of the table."""

    what: str
    value: float
    unit: str
    target: float
    """The most or least `value` may be; 0: there is no target."""
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if not self.target:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target


class Sizes(NamedTuple):
    """How much is measured."""

    lines: int
    repeat: int
    many: int
    """Living addresses."""
    stage_lines: int


FULL = Sizes(lines=200_000, repeat=5, many=1_000_000, stage_lines=20_000)
SHORT = Sizes(lines=2_000, repeat=1, many=2_000, stage_lines=500)

CLIENTS = 3000
LONGER = 10
"""A log so many times as long: what the start costs no longer shows."""


def programs(
    directory: Path, sizes: Sizes, peer: Sequence[str] = (), compiled: Path | None = None
) -> dict[str, Program]:
    """What takes turns, with its input; `peer` is another program's command, `compiled` a directory
    with a compiled build."""
    now = int(time.time())

    def log(name: str, text: bytes) -> Path:
        path = directory / name
        path.write_bytes(text)
        return path

    events = list(inputs.mixed(sizes.lines, CLIENTS, now))
    mixed = {
        name: log(name, inputs.text(iter(events), shape)) for name, shape in inputs.SHAPES.items()
    }
    noise = log("noise", inputs.text(inputs.noise(sizes.lines, now)))
    logins = log("logins", inputs.text(inputs.logins(sizes.lines // 10, now)))
    bsd = mixed["BSD"]
    with (directory / "longer").open("wb") as file:
        for event in inputs.mixed(LONGER * sizes.lines, CLIENTS, now):
            file.write(inputs.bsd(event).encode())
    made = {
        "bare loop": Program(BARE, bsd),
        "start only": Program(WRITE, log("empty", b"")),
        "mixed": Program(WRITE, bsd),
        "bare loop, longer": Program(BARE, directory / "longer"),
        "mixed, longer": Program(WRITE, directory / "longer"),
        "mixed, one server": Program((*WRITE, "--servers=dovecot"), bsd),
        "mixed, no store": Program(NOWRITE, bsd),
        "other programs": Program(NOWRITE, noise),
        "new addresses": Program(WRITE, logins),
        "reprocess": Program((*WRITE, "--reprocess", LINES), bsd),
    }
    for name, path in mixed.items():
        if name != "BSD":
            made[f"mixed, {name}"] = Program(WRITE, path)
    if compiled is not None:
        for name in ("mixed, longer", "new addresses", "reprocess"):
            made[f"{name}, compiled"] = made[name]._replace(build=compiled)
    if peer:
        made["peer"] = Program(peer, bsd)
    return made


def speed(costs: Mapping[str, Cost], sizes: Sizes) -> Iterator[Row]:
    """The rows that follow from the runs of `programs`."""
    bare = sizes.lines / costs["bare loop"].cpu_seconds
    mixed = sizes.lines / costs["mixed"].cpu_seconds
    start = costs["start only"].cpu_seconds

    def running(name: str) -> float:
        return max(costs[name].cpu_seconds - start, 1e-9)

    yield Row("bare loop, one regular expression", bare, "lines per CPU s", 0)
    yield Row("mixed log, journal and map", mixed, "lines per CPU s", 0)
    if "peer" in costs:
        peer = costs["peer"].cpu_seconds
        yield Row("mixed log: this / the peer", peer / costs["mixed"].cpu_seconds, "times", 0)
    without_start = sizes.lines / running("mixed")
    yield Row("mixed log, without the start", without_start, "lines per CPU s", 0)
    longer = LONGER * sizes.lines
    for name, least, live, of_bare in (("", 650_000, 4, 0), (", compiled", 1_000_000, 6, 0.5)):
        if f"mixed, longer{name}" in costs:
            what = f"mixed log of {longer:,} lines{name}"
            cost = costs[f"mixed, longer{name}"].cpu_seconds
            yield Row(what, longer / cost, "lines per CPU s", least, True)
            yield Row(f"{what}: this / 1.41 live", longer / cost / bare / LIVE, "times", live, True)
            yield Row(f"{what}: this / bare loop", costs["bare loop, longer"].cpu_seconds / cost,
                      "times", of_bare, True)  # fmt: skip
    yield Row("mixed log, no store", sizes.lines / costs["mixed, no store"].cpu_seconds,
              "lines per CPU s", 0)  # fmt: skip
    for name, target in (("", True), (", compiled", False)):
        if f"reprocess{name}" in costs:
            new = sizes.lines // 10 / costs[f"new addresses{name}"].cpu_seconds
            reprocess = sizes.lines / costs[f"reprocess{name}"].cpu_seconds
            yield Row(f"logins only, new addresses, durable{name}", new, "logins per CPU s", 0)
            yield Row(f"new addresses{name}: this / 1.41 add and remove",
                      new / bare / ADD_AND_REMOVE, "times", 8 * target, True)  # fmt: skip
            yield Row(f"--reprocess with map{name}", reprocess, "lines per CPU s", 0)
            yield Row(f"--reprocess{name}: this / 1.41", reprocess / bare / REPROCESS,
                      "times", 20 * target, True)  # fmt: skip
    yield Row("a line nobody claims, in the whole program",
              running("other programs") / sizes.lines * 1e6, "µs", 1.0)  # fmt: skip
    for name, most in (("ISO", 1.5), ("RFC 5424", 1.5), ("JSON", 2.5)):
        ratio = running(f"mixed, {name}") / running("mixed")
        yield Row(f"mixed log, {name}: CPU time / BSD", ratio, "times", most)
    ratio = costs["mixed"].cpu_seconds / costs["mixed, one server"].cpu_seconds
    yield Row("all servers: CPU time / one server", ratio, "times", 1.1)
    yield Row("start, nothing to do, all servers", start, "CPU s", 0.4)


def _module(name: str, *arguments: int, build: Path = ROOT) -> dict[str, float]:
    command = [sys.executable, "-m", f"tests.bench.{name}", *map(str, arguments)]
    done = subprocess.run(
        command, env=environment(build), cwd=build, check=True, stdout=subprocess.PIPE
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def stages(
    sizes: Sizes, compiled: Path | None = None
) -> tuple[list[Row], dict[str, dict[str, float]]]:
    """What a login costs inside; and all stages by build, medians of runs in turns."""
    builds = {"pure": ROOT} | ({"compiled": compiled} if compiled is not None else {})
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in builds}
    for _ in range(sizes.repeat):
        for name, build in builds.items():
            runs[name].append(_module("stages", sizes.stage_lines, 1, build=build))
    found = {
        name: {stage: statistics.median(run[stage] for run in taken) for stage in taken[0]}
        for name, taken in runs.items()
    }
    rows = []
    for name, most in (("pure", 6.0), ("compiled", 3.5)):
        if name in found:
            taken = found[name]
            more = "" if name == "pure" else f", {name}"
            rows += [
                Row(f"a line nobody claims, filter alone{more}", taken["other program's line: all"],
                    "µs", 1.0),
                Row(f"a login to the ledger, new address{more}",
                    taken["BSD login, new address: all"], "µs", most),
                Row(f"a login to the ledger, known address{more}",
                    taken["BSD login, known address: all"], "µs", most),
            ]  # fmt: skip
    return rows, found


def living(sizes: Sizes) -> Iterator[Row]:
    """What changes with the number of living addresses."""
    name = f"{sizes.many:,} addresses"
    pairs = []
    for _ in range(3 if sizes.repeat > 1 else 1):  # it takes half a minute
        few, many = _module("living", 1000), _module("living", sizes.many)
        pairs.append((few["login_microseconds"], many["login_microseconds"]))
    yield Row("a login among 1,000 addresses", statistics.median(a for a, _ in pairs), "µs", 0)
    yield Row(f"a login among {name}: CPU time / 1,000",
              statistics.median(b / a for a, b in pairs), "times", 1.3)  # fmt: skip
    yield Row(f"memory, {name}", many["bytes_per_address"], "bytes each", 400)
    yield from _starts(sizes, name)


def _starts(sizes: Sizes, name: str) -> Iterator[Row]:
    # Long enough that nobody ends while this is measured.
    keep = ("--grace=86400", "--max-session-seconds=0")
    with TemporaryDirectory(prefix="pbs-bench-") as text:
        directory = Path(text)
        log = directory / "logins"
        with log.open("wb") as file:
            now = int(time.time())
            for first in range(0, sizes.many, 10_000):
                last = min(first + 10_000, sizes.many)
                clients = range(first, last)
                file.write(inputs.text(inputs.login(client, client, now) for client in clients))
        Program((*WRITE, *keep), log).run(directory)
        # At the end of input the map gets a few seconds only; if that was not enough it is made
        # at the next start.
        empty = directory / "empty"
        empty.touch()
        again = Program((*WRITE, *keep), empty)
        again.run(directory)
        size = (directory / "map").stat().st_size / sizes.many
        yield Row(f"map file, {name}", size, "bytes each", 250)
        costs = [again.run(directory) for _ in range(2)]
        yield Row(f"start with {name}", min(cost.cpu_seconds for cost in costs), "CPU s", 5)
        yield Row(f"start with {name}, by the clock", min(cost.wall_seconds for cost in costs),
                  "s", 0)  # fmt: skip
        (directory / "map.state").unlink()
        cost = again.run(directory)
        yield Row(f"start with {name}, map made again", cost.cpu_seconds, "CPU s", 0)


def figures(row: Row) -> dict[str, Any]:
    """`row` for JSON."""
    return {
        "what": row.what,
        "value": float(f"{row.value:.4g}"),
        "unit": row.unit,
        "target": row.target or None,
        "at_least": row.at_least,
        "met": row.met,
    }


def of_module(name: str, *, short: bool, more: Sequence[str] = ()) -> Iterator[Row]:
    """The rows of a benchmark that is a program of its own, `tests.bench.NAME`."""
    with TemporaryDirectory(prefix="pbs-bench-") as directory:
        path = Path(directory) / "rows.json"
        command = [sys.executable, "-m", f"tests.bench.{name}", f"--json={path}", *more]
        command += ["--short"] if short else []
        subprocess.run(command, env=environment(), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        for row in json.loads(path.read_text())["rows"]:
            yield Row(row["what"], row["value"], row["unit"], row["target"] or 0, row["at_least"])


def runs(
    directory: Path, sizes: Sizes, peer: Sequence[str], compiled: Path | None = None
) -> dict[str, Cost]:
    """Run `programs`."""
    return take_turns(programs(directory, sizes, peer, compiled), sizes.repeat)
