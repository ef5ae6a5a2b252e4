"""The machine is looked at here (edge). A file that cannot be read counts as not there."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..config.options import DEFAULT_PATH, Config
from ..errors import ConfigError
from ..held_files import read_regular
from ..integrations import Integration, dovecot, feeds, integrations
from ..integrations.machine import LogSummary, Machine
from ..integrations.plan import MAP, SETTINGS
from ..integrations.rsyslog import LOGROTATE
from ..map_format.redis_url import is_redis
from ..store.gdbm_file import has_gdbm

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/libexec/sendmail"
"""The PATH of every command that is run."""
COMMAND_SECONDS = 20
TAIL_BYTES = 1 << 19
"""How much of the mail log's end is read."""
MAIL_LOGS = (
    "/var/log/mail.log",
    "/var/log/maillog",
    "/var/log/mail",
    "/var/log/syslog",
    "/var/log/messages",
)
MAIL_JOURNAL = ("journalctl", "--quiet", "--no-pager", "--lines=20000", "--output=short")
"""The end of systemd's journal, where there is no mail log."""


def run_command(argv: Sequence[str], *, text: str = "") -> tuple[int, str]:
    """Run `argv`: its exit status and all its output; 127 where there is no such program."""
    program = shutil.which(argv[0], path=PATH)
    if program is None:
        return 127, f"{argv[0]}: not installed"
    try:
        done = subprocess.run(
            [program, *argv[1:]],
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=COMMAND_SECONDS,
            env={"PATH": PATH, "LC_ALL": "C"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 126, f"{argv[0]}: it did not end within {COMMAND_SECONDS} seconds"
    except OSError as error:
        return 126, f"{argv[0]}: {error}"
    return done.returncode, done.stdout


def read(path: str) -> str | None:
    """Return the text of a file, None where it cannot be read."""
    try:
        return read_regular(path, follow=True).decode("utf-8", "surrogateescape")
    except OSError:
        return None


def machine(config: Config | None, *, with_log: bool = False) -> Machine:
    """Look at this machine.

    Args:
        config: the configuration, if one can be read: it says where the map is.
        with_log: read the end of the mail log, too.

    Raises:
        ConfigError: pbs-filter itself is not installed so that a daemon could start it.
    """
    from .shipped import directory

    versions = _versions()
    here = program()
    started = _started()
    paths = [
        DEFAULT_PATH,
        SETTINGS,
        dovecot.DROP_IN,
        *(path for each in integrations() for path in each.files),
    ]
    known = Machine(
        program=here,
        lookup=os.path.join(os.path.dirname(here), "pbs-lookup"),
        share=directory(),
        map=MAP if config is None else config.map,
        state=os.path.dirname(MAP if config is None else config.journal),
        versions=versions,
        closed=_closed(here),
        running=frozenset(started),
        started=started,
        files=_files(paths),
        directories=frozenset(filter(os.path.isdir, (LOGROTATE,))),
        answers=_answers(
            *(
                command
                for each in integrations()
                if each.name in versions
                for command in each.commands
            ),
            *dovecot.COMMANDS,
        ),
        accounts=frozenset(account.pw_name for account in pwd.getpwall()),
        groups=frozenset(group.gr_name for group in grp.getgrall()),
        systemd=has_systemd(),
        service_program=next(filter(_which, ("service", "rc-service")), ""),
        root=os.geteuid() == 0,
        gdbm=(config is not None and is_redis(config.map)) or has_gdbm(),
        host=socket.getfqdn(),
        log=mail_log(config) if config is not None and with_log else None,
        counted=servers_counted(config) if config is not None and with_log else frozenset(),
    )
    files = {**known.files, **_files(feed.drop_in(known) for feed in feeds().values())}
    return replace(known, files=files, changed=_changed(files))


def _answers(*commands: Sequence[str]) -> dict[str, str]:
    """Return the outputs of those commands that there are and that succeed."""
    return {
        " ".join(command): answer.strip()
        for command in commands
        for status, answer in [run_command(command)]
        if status == 0
    }


def _which(name: str) -> str | None:
    return shutil.which(name, path=PATH)


def has_systemd() -> bool:
    """Return whether systemd runs this machine's services."""
    return os.path.isdir("/run/systemd/system")


def _files(paths: Iterable[str]) -> dict[str, str]:
    return {path: text for path in paths if path and (text := read(path)) is not None}


def _changed(paths: Iterable[str]) -> dict[str, int]:
    times = {}
    for path in paths:
        with contextlib.suppress(OSError):
            times[path] = int(os.stat(path).st_mtime)
    return times


def program() -> str:
    """Return the installed pbs-filter: the one that runs now, or the one beside this Python.

    Raises:
        ConfigError: there is none, or a syslog daemon could not start it.
    """
    here = os.path.abspath(sys.argv[0])
    beside = os.path.join(os.path.dirname(sys.executable), "pbs-filter")
    candidates = [here if os.path.basename(here) == "pbs-filter" else "", beside]
    candidates.append(shutil.which("pbs-filter", path=PATH) or "")
    for path in candidates:
        if path and os.access(path, os.X_OK):
            if not re.fullmatch(r"[\w./+-]+", path):
                raise ConfigError(
                    f"{path!r}: a syslog daemon's configuration cannot name it; install pbs-filter "
                    "at a path of letters, digits and . / + - _"
                )
            return path
    raise ConfigError(
        "pbs-filter is not installed, only this copy of it runs: /usr/bin/python3 -m venv "
        "/opt/pbs-filter && /opt/pbs-filter/bin/pip install ., then /opt/pbs-filter/bin/pbs-filter "
        "--setup"
    )


def _closed(path: str) -> str:
    """Return the first directory on the way to `path`, links followed, that others may not
    enter."""
    way = os.path.realpath(path)
    parts = way.split("/")[1:-1]
    for depth in range(len(parts)):
        directory = "/" + "/".join(parts[: depth + 1])
        with contextlib.suppress(OSError):
            if not os.stat(directory).st_mode & 0o001:
                return directory
    return ""


def _versions() -> dict[str, str]:
    versions = {}
    for each in integrations():
        if each.witness and os.path.exists(each.witness):
            versions[each.name] = "(version unknown)"
        if each.version_command:
            status, text = run_command(each.version_command)
            match = re.search(each.version_pattern, text)
            if status != 127 and match:
                versions[each.name] = match[1]
    if not has_systemd():
        versions.pop("journal", None)
    return versions


def _started() -> dict[str, int]:
    """Return when the oldest process of each daemon and MTA of this root directory was started."""
    started: dict[str, int] = {}
    root = os.stat("/")
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if not os.path.samestat(os.stat(f"/proc/{entry}/root"), root):
                continue
            path = os.readlink(f"/proc/{entry}/exe").removesuffix(" (deleted)")
            ticks = (read(f"/proc/{entry}/stat") or "").rpartition(")")[2].split()[19]
            at = int(booted + int(ticks) / os.sysconf("SC_CLK_TCK"))
            for each in integrations():
                if path.endswith(tuple(f"/{end}" for end in each.executables)):
                    started[each.name] = min(at, started.get(each.name, at))
    return started


def servers_counted(config: Config) -> frozenset[str]:
    """Return the servers whose logins the filter has counted, as far as they are known today; none
    where it has no such file."""
    from ..service import usage_file
    from ..service.build import servers_of

    try:
        usage = usage_file.read(config.usage, config.history_days)
    except (OSError, ValueError):
        return frozenset()
    found = {login.server for login in usage.devices} if usage is not None else set()
    return frozenset(found & {server.name for server in servers_of(config.changed(servers=()))})


JOURNAL = "systemd's journal"


def mail_log(config: Config) -> LogSummary | None:
    """Return the real reader's summary of the end of the mail log; None where there is none."""
    from ..grammar.matcher import Matcher
    from ..grammar.rules import own_logs_of
    from ..model import Accepted, Reason, Record
    from ..service.build import servers_of
    from ..syslog.records import reader
    from ..syslog.scanner import Scanner

    path, block = _log_end()
    if not block:
        return None
    # Also of servers that are not read today.
    matcher = Matcher(
        servers_of(config.changed(servers=())), programs=config.programs, enable=config.enable
    )
    logins: dict[str, int] = {}
    unread: dict[str, int] = {}
    uncertain: dict[str, str] = {}
    own_logs = own_logs_of(matcher.servers)
    record_of = reader(own_logs)
    scanner = Scanner(matcher.program_names, matcher.instance_names, own_logs)
    for line in scanner.candidates(block):
        record = record_of(line)
        if not isinstance(record, Record):
            continue
        match = matcher.read(record)
        if match is Reason.NO_RULE:
            unread[record.program] = unread.get(record.program, 0) + 1
        elif not isinstance(match, Reason) and isinstance(match.observation, Accepted):
            name, way = match.server.name, match.server.carriage_of(record.program)
            if way.off or (way.shows_pieces and path == JOURNAL):
                uncertain[name] = way.cure
            else:
                logins[name] = logins.get(name, 0) + 1
    return LogSummary(
        path=path,
        lines=block.count(b"\n"),
        logins=logins,
        unread=unread,
        uncertain=uncertain,
    )


def _log_end() -> tuple[str, bytes]:
    for path in MAIL_LOGS:
        with contextlib.suppress(OSError), open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            block = file.read()
            if block:
                return path, block
    if has_systemd():
        status, text = run_command(MAIL_JOURNAL)
        if status == 0:
            return JOURNAL, text.encode("utf-8", "surrogateescape")
    return "", b""


def why_not_installed(known: Machine, each: Integration) -> str:
    """Return why `each` cannot be set up here; "" where it can."""
    if each.name in known.versions:
        return ""
    return f"the {each.kind} {each.name} is not installed here"
