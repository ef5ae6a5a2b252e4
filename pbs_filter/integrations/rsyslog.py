"""rsyslog feeds us: the drop-in, whether it says who wrote a line, sandboxes. Pure."""

from __future__ import annotations

import re

from .integration import Feed, Shipped
from .machine import Machine, version
from .plan import ACCOUNT, PROGRAM, Change, Check, Directory, Plan, copy, edited

SHIPPED = (
    "rsyslog/pbs-filter.conf",
    "rsyslog/imuxsock.conf",
    "rsyslog/logrotate",
    "rsyslog/apparmor",
    "rsyslog/systemd.conf",
)
MAIN = "/etc/rsyslog.conf"
DROP_IN = "10-pbs-filter.conf"
PROFILE = "/etc/apparmor.d/usr.sbin.rsyslogd"
UNITS = ("/usr/lib/systemd/system/rsyslog.service", "/lib/systemd/system/rsyslog.service")
JOURNALD = "/etc/systemd/journald.conf"
LOGROTATE = "/etc/logrotate.d"
APPARMOR = "/etc/apparmor.d/rsyslog.d/pbs-filter"
SANDBOX = "/etc/systemd/system/rsyslog.service.d/pbs-filter.conf"
SELINUX = "/etc/selinux/config"
FILES = (MAIN, PROFILE, *UNITS, JOURNALD, f"{LOGROTATE}/pbs-filter", APPARMOR, SANDBOX, SELINUX)
OLDEST = (8, 2302)

_INCLUDE = re.compile(
    r'(?m)^[ \t]*(?:\$IncludeConfig[ \t]+|include\(file=")(/[^\s"*]+)/\*\.conf', re.IGNORECASE
)
_MODULE = re.compile(r'(?m)^[ \t]*module\(\s*load="imuxsock"([^)]*)\)[^\n]*$', re.IGNORECASE)
_OLD_MODULE = re.compile(r"(?m)^[ \t]*\$ModLoad[ \t]+imuxsock", re.IGNORECASE)
_JOURNAL = re.compile(r'(?m)^[ \t]*(?:module\(\s*load="imjournal"|\$ModLoad[ \t]+imjournal)')
_DROPS_TO = re.compile(
    r'(?m)^[ \t]*(?:\$PrivDropToUser[ \t]+|global\([^)]*privdrop\.user\.name=")([\w-]+)',
    re.IGNORECASE,
)


def drop_in(machine: Machine) -> str:
    """Return the path of the drop-in; "" where rsyslog.conf includes no directory."""
    match = _INCLUDE.search(machine.files.get(MAIN, ""))
    return f"{match[1]}/{DROP_IN}" if match else ""


def vouches(text: str) -> bool:
    """Return whether rsyslog with this rsyslog.conf says which uid wrote a local line."""
    module = _MODULE.search(text)
    if module is None:
        return _JOURNAL.search(text) is not None
    words = re.findall(r'SysSock\.(?:Annotate|ParseTrusted)="on"', module[1], re.IGNORECASE)
    return len(words) == 2


def becomes(machine: Machine) -> str:
    """Return the account that rsyslogd becomes (Ubuntu's syslog); "" where it stays root."""
    match = _DROPS_TO.search(machine.files.get(MAIN, ""))
    return match[1] if match else ""


def sandboxed(machine: Machine) -> bool:
    """Return whether its unit takes away the capability to become another user (Debian 13)."""
    unit = next((machine.files[path] for path in UNITS if path in machine.files), "")
    sets = re.findall(r"(?m)^CapabilityBoundingSet=(.*)$", unit)
    return bool(sets) and not any("CAP_SETUID" in line for line in sets)


def rotation(machine: Machine, shipped: Shipped, name: str) -> tuple[Change, ...]:
    """Return the file that has the filter's log rotated. One that is there (a package's) is
    left."""
    path = f"{LOGROTATE}/pbs-filter"
    if LOGROTATE not in machine.directories or path in machine.files:
        return ()
    return copy(machine, shipped, path, name, why="the filter's log is rotated")


def _prefix(machine: Machine) -> str:
    """Return the directory of the program and what it imports: its path may be a link to there
    (pipx)."""
    for path, end in ((machine.share, "/share/pbs-filter"), (machine.program, "/bin/pbs-filter")):
        if path.endswith(end):
            return path.removesuffix(end)
    return machine.program.rpartition("/")[0]


def plan(machine: Machine, shipped: Shipped) -> Plan:
    """Return the feed's part of the plan."""
    manual_steps, notes, restart_commands = [], [], []
    checks = [Check(argv=("rsyslogd", "-N1"))]
    number = machine.versions.get("rsyslog", "")
    if number and version(number) < OLDEST:
        notes.append(f"rsyslog {number} is older than 8.2302, with which this was tried")
    path = drop_in(machine)
    if path:
        changes = copy(
            machine, shipped, path, "rsyslog/pbs-filter.conf", why="rsyslog feeds pbs-filter"
        )
    else:
        changes = ()
        manual_steps.append(
            f"{MAIN} includes no directory of *.conf files: put the text of "
            f"{machine.share}/rsyslog/pbs-filter.conf (with {machine.program} in it) at its end"
        )
    settings: dict[str, object] = {}
    text = machine.files.get(MAIN, "")
    line = next(row for row in shipped["rsyslog/imuxsock.conf"].splitlines() if row[:1] == "m")
    module = _MODULE.search(text)
    if vouches(text):
        settings["require_vouched"] = True
    elif module is not None and not module[1].strip():
        after = text[: module.start()] + line + text[module.end() :]
        changes += edited(machine, MAIN, after, "rsyslog notes which uid wrote each local line")
        settings["require_vouched"] = True
    elif module is not None or _OLD_MODULE.search(text):
        manual_steps.append(
            f"{MAIN} loads imuxsock with settings of its own. Until they include "
            'SysSock.Annotate="on" SysSock.ParseTrusted="on" any local user can forge a login; '
            "then set require_vouched = true in /etc/pbs-filter.toml"
        )
    if re.search(r"(?m)^ForwardToSyslog=(no|false|0|off)", machine.files.get(JOURNALD, "")):
        manual_steps.append(
            f"{JOURNALD} has ForwardToSyslog=no: local lines do not reach imuxsock; set it to yes, "
            f"or use {machine.share}/rsyslog/imjournal.conf"
        )
    changes += rotation(machine, shipped, "rsyslog/logrotate")
    if PROFILE in machine.files:
        changes += copy(
            machine,
            shipped,
            APPARMOR,
            "rsyslog/apparmor",
            why="AppArmor lets rsyslogd run it",
            swaps=((PROGRAM.removesuffix("bin/pbs-filter"), _prefix(machine) + "/"),),
        )
        checks.append(Check(argv=("apparmor_parser", "-Q", "-K", PROFILE)))
        restart_commands.append(f"apparmor_parser -r {PROFILE}")
    if re.search(r"(?m)^SELINUX=enforcing", machine.files.get(SELINUX, "")):
        manual_steps.append(
            "SELinux lets rsyslogd run and write little: see Sandboxes in "
            f"{machine.share}/rsyslog/README.md for the program in /usr/libexec/rsyslog"
        )
    directories: tuple[Directory, ...] = ()
    account = becomes(machine)
    if account:
        # It can become nobody else; what it makes gets the group of the directory.
        directories = (Directory(path=machine.state, owner=account, group=ACCOUNT, mode=0o2750),)
        notes.append(f"rsyslogd runs as {account}, and so does the filter")
    else:
        settings |= {"user": ACCOUNT, "group": ACCOUNT}
        if sandboxed(machine):
            changes += copy(
                machine,
                shipped,
                SANDBOX,
                "rsyslog/systemd.conf",
                why="the filter may become its own user in rsyslog's sandbox",
            )
            restart_commands.append("systemctl daemon-reload")
    return Plan(
        accounts=(ACCOUNT,),
        directories=directories,
        changes=changes,
        settings=settings,
        checks=tuple(checks),
        restart_commands=(*restart_commands, machine.restart("rsyslog")),
        manual_steps=tuple(manual_steps),
        notes=tuple(notes),
    )


def facts(machine: Machine) -> list[tuple[str, str]]:
    """Return the rows about rsyslog."""
    rows = [("drop-ins", path.rpartition("/")[0]) for path in (drop_in(machine),) if path]
    if PROFILE in machine.files:
        rows.append(("AppArmor", f"confines rsyslogd: {PROFILE}"))
    return rows


INTEGRATION = Feed(
    name="rsyslog",
    package="rsyslog",
    other_names=("rsyslogd",),
    plan=plan,
    version_command=("rsyslogd", "-v"),
    version_pattern=r"rsyslogd\s+([0-9][\w.]*)",
    executables=("rsyslogd",),
    shipped=SHIPPED,
    files=FILES,
    facts=facts,
    drop_in=drop_in,
)
