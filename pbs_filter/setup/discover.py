"""Looking at the machine (edge). What cannot be read is as if it were not there."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

from ..config.options import DEFAULT_PATH, Config
from ..errors import ConfigError
from ..held_files import read_regular
from ..integrations import mtas, postfix, rsyslog, syslog_ng
from ..integrations.machine import DAEMONS, Machine, Seen
from ..integrations.plan import MAP

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/libexec/sendmail"
"""Where root's programs are, whoever asks."""
COMMAND_SECONDS = 20
TAIL_BYTES = 1 << 19
"""As much of the mail log's end is read."""
MAIL_LOGS = (
    "/var/log/mail.log",
    "/var/log/maillog",
    "/var/log/mail",
    "/var/log/syslog",
    "/var/log/messages",
)

_VERSIONS = {
    "rsyslog": (("rsyslogd", "-v"), r"rsyslogd\s+([0-9][\w.]*)"),
    "syslog-ng": (("syslog-ng", "--version"), r"(?m)^syslog-ng .*\(([\d.]+)"),
    "postfix": (("postconf", "-h", "mail_version"), r"(?m)^([0-9][\w.-]*)$"),
    "exim": (("exim4", "-bV"), r"Exim version (\S+)"),
    "opensmtpd": (("smtpd", "-h"), r"OpenSMTPD (\d\S*)"),
}
_WITNESSES = {
    "sendmail": "/usr/share/sendmail/cf",
    "courier": "/etc/courier/esmtpd",
    "qmail": "/var/qmail/bin/qmail-smtpd",
}
"""What is there where an MTA is that does not say its version."""
_EXECUTABLES = {
    "rsyslogd": "rsyslog",
    "syslog-ng": "syslog-ng",
    "postfix/sbin/master": "postfix",
    "exim4": "exim",
    "sendmail/sendmail": "sendmail",
    "sbin/smtpd": "opensmtpd",
    "couriertcpd": "courier",
    "tcpserver": "qmail",
}


def said(argv: Sequence[str], *, text: str = "") -> tuple[int, str]:
    """Run `argv`: its exit status and all it said; 127 where there is no such program."""
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
    except (OSError, subprocess.TimeoutExpired) as error:
        return 126, f"{argv[0]}: {error}"
    return done.returncode, done.stdout


def read(path: str) -> str | None:
    """The text of a file, None where it cannot be read."""
    try:
        return read_regular(path, follow=True).decode("utf-8", "surrogateescape")
    except OSError:
        return None


def machine(config: Config | None, *, with_log: bool = False) -> Machine:
    """This machine.

    Args:
        config: the configuration, if one can be read: it says where the map is.
        with_log: read the end of the mail log, too.

    Raises:
        ConfigError: pbs-filter itself is not installed so that a daemon could start it.
    """
    from .shipped import directory

    paths = (DEFAULT_PATH, *rsyslog.FILES, *syslog_ng.FILES, *postfix.FILES, *mtas.FILES)
    versions = _versions()
    here = program()
    known = Machine(
        program=here,
        lookup=os.path.join(os.path.dirname(here), "pbs-lookup"),
        share=directory(),
        map=MAP if config is None else config.map,
        state=os.path.dirname(MAP if config is None else config.journal),
        versions=versions,
        closed=_closed(here),
        running=_running(),
        files=_files(paths),
        directories=frozenset(filter(os.path.isdir, (rsyslog.LOGROTATE,))),
        answers={
            " ".join(command): answer.strip()
            for command in map(str.split, postfix.COMMANDS)
            if "postfix" in versions
            for status, answer in [said(command)]
            if status == 0
        },
        accounts=frozenset(account.pw_name for account in pwd.getpwall()),
        groups=frozenset(group.gr_name for group in grp.getgrall()),
        systemd=os.path.isdir("/run/systemd/system"),
        seen=mail_log(config) if config is not None and with_log else None,
    )
    drop_ins = (rsyslog.drop_in(known), syslog_ng.drop_in(known))
    return replace(known, files={**known.files, **_files(drop_ins)})


def _files(paths: Sequence[str]) -> dict[str, str]:
    return {path: text for path in paths if path and (text := read(path)) is not None}


def program() -> str:
    """The installed pbs-filter: the one that runs now, or the one beside this Python.

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
    """The first directory on the way to `path`, links followed, that others may not enter."""
    way = os.path.realpath(path)
    parts = way.split("/")[1:-1]
    for depth in range(len(parts)):
        directory = "/" + "/".join(parts[: depth + 1])
        with contextlib.suppress(OSError):
            if not os.stat(directory).st_mode & 0o001:
                return directory
    return ""


def _versions() -> dict[str, str]:
    found = {}
    for name, (argv, pattern) in _VERSIONS.items():
        status, text = said(argv)
        match = re.search(pattern, text)
        if status != 127 and match:
            found[name] = match[1]
    for name, witness in _WITNESSES.items():
        if os.path.exists(witness):
            found[name] = "(version unknown)"
    return found


def _running() -> frozenset[str]:
    """Daemons and MTAs among the processes of this root directory."""
    found: set[str] = set()
    root = os.stat("/")
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(f"/proc/{entry}/root"), root):
                path = os.readlink(f"/proc/{entry}/exe")
                found.update(n for end, n in _EXECUTABLES.items() if path.endswith(f"/{end}"))
    return frozenset(found)


def mail_log(config: Config) -> Seen | None:
    """What the real matcher makes of the end of the mail log; None where there is none."""
    from ..grammar.matcher import Matcher
    from ..grammar.rules import own_logs_of
    from ..model import Accepted, Reason, Record
    from ..service.build import servers_of
    from ..syslog.records import reader
    from ..syslog.scanner import Scanner

    for path in MAIL_LOGS:
        with contextlib.suppress(OSError), open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            block = file.read()
            if block:
                break
    else:
        return None
    matcher = Matcher(servers_of(config), programs=config.programs, enable=config.enable)
    logins: dict[str, int] = {}
    unread: dict[str, int] = {}
    own_logs = own_logs_of(matcher.servers)
    record_of = reader(own_logs)
    scanner = Scanner(matcher.program_names, matcher.instance_names, own_logs)
    for line in scanner.candidates(block):
        record = record_of(line)
        if not isinstance(record, Record):
            continue
        reading = matcher.read(record)
        if reading is Reason.NO_RULE:
            unread[record.program] = unread.get(record.program, 0) + 1
        elif not isinstance(reading, Reason) and isinstance(reading.observation, Accepted):
            logins[reading.server.name] = logins.get(reading.server.name, 0) + 1
    return Seen(path=path, lines=block.count(b"\n"), logins=logins, unread=unread)


def installed(known: Machine, name: str) -> str:
    """Why `name` cannot be set up here; "" where it can."""
    if name in known.versions:
        return ""
    kind = "syslog daemon" if name in DAEMONS else "MTA"
    return f"the {kind} {name} is not installed here"
