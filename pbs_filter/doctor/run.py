"""`pbs-filter --doctor` (edge): the checks in the order of a line's way."""

from __future__ import annotations

import argparse
import os
import pwd
import stat
import sys
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

from .. import __version__
from ..config.options import DEFAULT_PATH, Config
from ..errors import ConfigError, PbsFilterError, StoreBusy, StoreDamaged, UsageError
from ..integrations import Feed, Mta, feeds, mtas
from ..integrations.finding import LOG, Finding, note, ok, wrong
from ..integrations.integration import choose
from ..integrations.lookups import (
    STRANGER,
    LookupConfig,
    answer,
    conversation,
    question,
    some_ports,
    strangers,
)
from ..integrations.machine import Machine
from ..map_format.entry import decode
from ..map_format.redis_url import is_redis
from ..service import control
from ..service.storage import map_of, redis_map_of
from ..setup import discover
from ..setup.run import plan_of
from ..store.gdbm_file import NO_GDBM
from ..terminal import json_line
from ..text import duration_seconds
from . import findings as judge
from . import follow, probe

SHOWN = ("LoadState", "ActiveState", "Result", "ExecMainStatus", "NRestarts")
"""The properties of a unit that are looked at."""
NOT_ROOT = "not root: cannot see whether {} runs"


def run(make_config: Callable[[], Config], options: argparse.Namespace) -> int:
    """Check everything, follow a login if one is wanted, print it; 0 if all is well, 1 if not.

    Raises:
        UsageError: the time to wait is not one, or there is no terminal to ask for a password.
    """
    wait_seconds = _wait_seconds(options)
    password = follow.password_of(options.login) if options.login else ""
    try:
        program = discover.program()
    except ConfigError:
        program = "pbs-filter"
    site: Site | None = None

    def first() -> Iterator[Finding]:
        nonlocal site
        site = yield from _findings(make_config)

    def later() -> Iterator[Finding]:
        if site is None:
            return
        if options.login:
            yield from follow.made_by(*site, options.login, password)
        elif wait_seconds:
            yield from follow.client(*site, wait_seconds)

    findings: list[Finding] = []
    for part in (first(), later()):
        found = [judge.with_program(finding, program) for finding in part]
        if found and not options.json:
            print(judge.rows(found), end="", flush=True)
        findings += found
    sys.stdout.write(json_line(judge.objects(findings)) if options.json else judge.total(findings))
    return 0 if all(finding.state != "wrong" for finding in findings) else 1


def _wait_seconds(options: argparse.Namespace) -> float:
    if options.wait is None:
        is_watched = sys.stdout.isatty() and sys.stdin.isatty() and not options.json
        return follow.WAIT_SECONDS if is_watched else 0
    seconds = duration_seconds(options.wait)
    if seconds is None:
        raise UsageError(f"--wait: {options.wait!r} is not a time; write 90, 30m, 1h or 2d")
    return seconds


Site = tuple[Config, Machine, Mta | None]


def _findings(make_config: Callable[[], Config]) -> Generator[Finding, None, Site | None]:
    """Yield the findings of the checks; and what to follow a login with, where that is known."""
    try:
        config = make_config()
    except ConfigError as error:
        yield wrong("configuration", str(error), "pbs-filter --check")
        return None
    yield ok("configuration", ", ".join(config.files_read) or f"no {DEFAULT_PATH}: all defaults")
    try:
        machine = discover.machine(config)
    except ConfigError as error:
        yield wrong("program", str(error))
        return None
    if not machine.gdbm:
        yield wrong("Python", NO_GDBM)
    yield from _feed(config, machine)
    if not machine.root:
        yield note("rights", "not root: some checks are left out", "sudo pbs-filter --doctor")
    else:
        yield from _store(config)
        if is_redis(config.map):
            yield shared_map(config)
    mta = None
    try:
        name = choose(machine, mtas())
    except ValueError as error:
        yield note("MTA", f"{error}: not checked")
    else:
        if name:
            mta = mtas()[name]
            yield from _mta(config, machine, mta)
        else:
            yield note("MTA", "none of those that pbs-filter works with is installed here")
    denied = judge.denials(probe.kernel_log())
    if denied is not None:
        yield denied
    return config, machine, mta


# ---------------------------------------------------------------------- from the log to the map


def _feed(config: Config, machine: Machine) -> Iterator[Finding]:
    feed = None
    try:
        feed = feeds().get(choose(machine, feeds()))
    except ValueError as error:
        yield note("daemon", f"{error}: their files are not checked")
    unit = ""
    if feed is not None:
        yield from _drop_in(machine, feed)
        unit = feed.unit if feed.last_resort else ""
    restart = (
        "pbs-filter --setup   # no syslog daemon was found; it has the ways to feed the filter"
    )
    if feed is not None:
        restart = machine.restart(feed.unit)
    try:
        tried = probe.feed(config.control, daemon=feed.name if feed else "", restart=restart)
    except PermissionError:
        yield note("feed", "not tried: only root and its own account can ask the filter")
        return
    status: dict[str, Any] = {}
    busy = None
    if tried.answered:
        try:
            status = (control.ask(config.control, {"do": "status"}) or {}).get("status", {})
        except StoreBusy as error:
            busy = wrong("filter", str(error), tried.restart)
    log_text = discover.read(config.logto or LOG) or ""
    yield judge.feed(tried, log_text, trouble=bool(status.get("trouble")), unit=unit)
    if tried.seen is not None:
        yield judge.vouched(tried, required=config.require_vouched)
        yield judge.clock(tried)
    if busy is not None:
        yield busy
    if status:
        yield from judge.running(status, version=__version__, restart=tried.restart)


def _drop_in(machine: Machine, feed: Feed) -> Iterator[Finding]:
    setup = f"pbs-filter --setup {feed.name}"
    if feed.enabled:
        if feed.is_set_up(machine):
            yield from _service(machine, feed)
    elif feed.name not in machine.running:
        if machine.root:
            start = machine.restart(feed.unit, "start")
            yield wrong("daemon", f"{feed.name} does not run", start)
        else:
            yield note("daemon", NOT_ROOT.format(feed.name), "sudo pbs-filter --doctor")
    path = feed.drop_in(machine)
    plan = plan_of(machine, [feed])
    if feed.enabled and path in machine.files and feed.enabled not in machine.files:
        yield wrong("daemon", f"{feed.unit} is not enabled", f"systemctl enable --now {feed.unit}")
        return
    files = (path, *feed.beside)
    to_do = [change for change in plan.changes if change.path in files]
    missing = [change.path for change in to_do if change.before is None]
    yield judge.drop_in(
        f"{feed.name} {machine.versions[feed.name]}",
        path,
        missing=path if path not in machine.files else next(iter(missing), ""),
        other=to_do[0].path if to_do else "",
        setup=setup,
        way=feed.answers(machine),
    )
    yield from judge.stale(
        feed.name,
        {file: machine.changed.get(file, 0) for file in files},
        machine.started.get(feed.name, 0),
        machine.restart(feed.unit),
        "daemon",
    )


def _service(machine: Machine, feed: Feed) -> Iterator[Finding]:
    """Judge the unit that is the feed, by systemd."""
    command = ["systemctl", "show", *(f"--property={name}" for name in SHOWN), feed.unit]
    _, text = discover.run_command(command)
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    finding = judge.service(feed.unit, values, machine.restart(feed.unit))
    if finding is not None:
        yield finding


def _store(config: Config) -> Iterator[Finding]:
    """The directory and the files in it: whose they are, who may write."""
    from .. import files

    directory = os.path.dirname(config.journal)
    if not os.path.isdir(directory):
        return  # the filter makes it, and where it cannot the feed has said so
    try:
        uids = (pwd.getpwnam(config.user).pw_uid,) if config.user else ()
        files.check_directory(directory, uids)
        if uids and os.path.isfile(config.map):
            owners = os.stat(directory).st_uid, os.stat(config.map).st_uid
            if owners == (0, uids[0]):
                yield wrong(
                    "files",
                    f"{directory} belongs to root, and what is in it to {config.user}, as which "
                    "the filter works: it cannot write there",
                    f"chown {config.user}:{config.group} {directory}",
                )
                return
        for path in (config.map, config.journal, config.lock):
            if path.startswith("/"):
                files.check_file(path)
    except (KeyError, PbsFilterError) as error:
        yield wrong("files", str(error))
        return
    mode = stat.S_IMODE(os.stat(directory).st_mode)
    yield ok("files", f"{directory} (mode {mode:04o}) and what is in it are ours alone to write")


def shared_map(config: Config) -> Finding:
    """Return whether the Redis that has the map is there, and set as it should be."""
    try:
        shared = redis_map_of(config)
        try:
            advice = shared.advice()
        finally:
            shared.close()
    except (ConfigError, StoreBusy) as error:
        return wrong("map", str(error))
    if advice:
        return note("map", advice)
    return ok("map", f"the Redis at {config.map!r} is there, and keeps what it has on disk")


# ---------------------------------------------------------------------- from the map to the MTA


def _mta(config: Config, machine: Machine, mta: Mta) -> Iterator[Finding]:
    asked = mta.lookups(machine)
    if isinstance(asked, Finding):
        yield asked
    else:
        yield from _lookups(config, machine, asked)
    if mta.read_once in machine.changed:
        yield from judge.stale(
            mta.name,
            {mta.read_once: machine.changed[mta.read_once]},
            machine.started.get(mta.name, 0),
            machine.restart(mta.unit),
        )
    yield from _relay(config, machine, mta)


def _lookups(config: Config, machine: Machine, asked: LookupConfig) -> Iterator[Finding]:
    """Check whether the MTA's lookups are answered, and can read the map."""
    if asked.where and machine.root:
        yield answer(asked, *probe.ask(asked.where, question(asked)))
    else:
        yield ok("MTA", f"{asked.mta} asks pbs-lookup")
    partly = some_ports(asked)
    if partly is not None:
        yield partly
    if asked.program not in ("", machine.lookup):
        text = f"{asked.mta} runs {asked.program}, beside {machine.program} is another"
        yield note("lookup", text)
    if asked.user and machine.root:
        command = [machine.lookup, "check", f"--map={config.map}", STRANGER]
        running = next(iter(machine.running & {*feeds()}), "rsyslog")
        restart = machine.restart(feeds()[running].unit)
        status, text = probe.as_user(command, asked.user, asked.group)
        closed = os.path.isfile(config.map) and not os.stat(config.map).st_mode & stat.S_IRGRP
        yield judge.lookup(
            asked.user, status, text, restart=restart, closed=config.map if closed else ""
        )


def _relay(config: Config, machine: Machine, mta: Mta) -> Iterator[Finding]:
    """Check whether the relay is closed for a stranger: by the settings, then by trying it."""
    wrongs = mta.settings(machine)
    yield from wrongs
    if wrongs:
        return
    ports = probe.listening() or [25]
    if mta.session is not None:
        for port in ports if mta.session.at_port else [25]:
            added = () if port == 25 else (word.format(port=port) for word in mta.session.at_port)
            _, output = discover.run_command([*mta.session.argv, *added], text=mta.session.text)
            yield mta.session.judge(output, port)
        return
    if mta.trusted is not None:
        tried = [_tried(config, mta.trusted(machine), port) for port in ports]
        if any(tried):
            for port, finding in zip(ports, tried, strict=True):
                yield finding or note("relay", f"port {port}: not tried, nothing answered there")
            return
    yield mta.untried


def _tried(config: Config, trusted: str, port: int) -> Finding | None:
    """Return the outcome of a conversation from an address of this machine outside of `trusted`."""
    for address in strangers(probe.own_addresses(), trusted):
        reply = "" if _may_relay(config, address) else probe.rcpt(address, port)
        if reply:
            return conversation(address, reply, port)
    return None


def _may_relay(config: Config, address: str) -> bool:
    try:
        value = map_of(config).get(address)
    except PermissionError:
        return True
    except (OSError, StoreBusy, StoreDamaged):
        return False  # nor can the MTA read it
    entry = None if value is None else decode(address, value)
    return entry is not None and entry.until > time.time()
