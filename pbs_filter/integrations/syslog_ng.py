"""syslog-ng feeds us: block and log path in one file. Pure."""

from __future__ import annotations

import re

from ..text import counted
from .integration import Feed, Shipped
from .machine import Machine, version
from .plan import ACCOUNT, Change, Check, Plan, copy
from .rsyslog import rotation

SHIPPED = ("syslog-ng/pbs-filter/plugin.conf", "syslog-ng/log-path.conf", "syslog-ng/logrotate")
MAIN = "/etc/syslog-ng/syslog-ng.conf"
PROFILES = ("/etc/apparmor.d/sbin.syslog-ng", "/etc/apparmor.d/usr.sbin.syslog-ng")
BLOCK = "/usr/share/syslog-ng/include/scl/pbs-filter/plugin.conf"
"""Where the Debian package puts the block: it must not be defined a second time."""
FILES = (MAIN, BLOCK, *PROFILES)
OLDEST = (3, 38)

_INCLUDE = re.compile(r'(?m)^[ \t]*@include[ \t]+"(/[^"*]+)/\*\.conf"')
_LOCAL = re.compile(
    r"(?m)^[ \t]*source[ \t]+([\w.-]+)[ \t]*\{[^}]*?\b(?:system|unix-dgram|"
    r"unix-stream|systemd-syslog|systemd-journal)\s*\("
)


def drop_in(machine: Machine) -> str:
    """Return the path of the drop-in; "" where syslog-ng.conf includes no directory."""
    match = _INCLUDE.search(machine.files.get(MAIN, ""))
    return f"{match[1]}/pbs-filter.conf" if match else ""


def plan(machine: Machine, shipped: Shipped) -> Plan:
    """Return the feed's part of the plan."""
    manual_steps, notes = [], []
    number = machine.versions.get("syslog-ng", "")
    if number and version(number) < OLDEST:
        notes.append(f"syslog-ng {number} is older than 3.38, with which this was tried")
    text = re.sub(r"(?m)^[ \t]*#.*$", "", machine.files.get(MAIN, ""))
    sources = _LOCAL.findall(text)
    path = drop_in(machine)
    changes: tuple[Change, ...] = ()
    if path and len(sources) == 1:
        changes = copy(
            machine,
            shipped,
            path,
            *(SHIPPED[1:2] if BLOCK in machine.files else SHIPPED[:2]),
            why="syslog-ng feeds pbs-filter",
            swaps=(("source(s_src)", f"source({sources[0]})"),) if sources[0] != "s_src" else (),
        )
    else:
        why = (
            f"{MAIN} has {counted(len(sources), 'source')} of local lines "
            f"({', '.join(sources) or 'none'})"
            if path
            else f"{MAIN} includes no directory of *.conf files"
        )
        manual_steps.append(
            f"{why}: put the text of {machine.share}/{SHIPPED[0]} and, with your source, that of "
            f"{machine.share}/{SHIPPED[1]} into the configuration (the program here: "
            f"{machine.program})"
        )
    changes += rotation(machine, shipped, "syslog-ng/logrotate")
    notes.append(
        "a filter that is killed loses what is in its pipe; the destination pbs-filter-confirmed() "
        f"loses nothing: {machine.share}/syslog-ng/pbs-filter/confirmed.conf (it needs "
        "syslog-ng-mod-python)"
    )
    manual_steps += [
        f"AppArmor has a profile of syslog-ng, {profile}: it must allow what "
        f"{machine.share}/rsyslog/apparmor lists for rsyslogd"
        for profile in PROFILES
        if profile in machine.files
    ]
    return Plan(
        accounts=(ACCOUNT,),
        changes=changes,
        settings={"require_vouched": True, "user": ACCOUNT, "group": ACCOUNT},
        checks=(Check(argv=("syslog-ng", "-s")),),
        restart_commands=(machine.restart("syslog-ng"),),
        manual_steps=tuple(manual_steps),
        notes=tuple(notes),
    )


def facts(machine: Machine) -> list[tuple[str, str]]:
    """Return the rows about syslog-ng."""
    return [("drop-ins", path.rpartition("/")[0]) for path in (drop_in(machine),) if path]


INTEGRATION = Feed(
    name="syslog-ng",
    package="syslog-ng-core",
    other_names=("syslogng",),
    plan=plan,
    version_command=("syslog-ng", "--version"),
    version_pattern=r"(?m)^syslog-ng .*\(([\d.]+)",
    executables=("syslog-ng",),
    shipped=SHIPPED,
    files=FILES,
    facts=facts,
    drop_in=drop_in,
)
