"""syslog-ng feeds us: block and log path in one file. It answers for each line where it has its
Python module; else, or if that is wanted, a pipe takes them. Pure."""

from __future__ import annotations

import re

from ..text import counted
from .integration import Feed, Shipped
from .machine import Machine, version
from .plan import ACCOUNT, Change, Check, Directory, Plan, copy
from .rsyslog import rotation

PLUGIN, LOG_PATH = "syslog-ng/pbs-filter/plugin.conf", "syslog-ng/log-path.conf"
CONFIRMED, PYTHON = "syslog-ng/pbs-filter/confirmed.conf", "syslog-ng/pbs_filter_destination.py"
ROTATION = "syslog-ng/logrotate"
MAIN = "/etc/syslog-ng/syslog-ng.conf"
PROFILES = ("/etc/apparmor.d/sbin.syslog-ng", "/etc/apparmor.d/usr.sbin.syslog-ng")
BLOCK = "/usr/share/syslog-ng/include/scl/pbs-filter/plugin.conf"
"""Where the Debian package puts the block: it must not be defined a second time."""
DESTINATION = "/etc/syslog-ng/pbs-filter/pbs_filter_destination.py"
"""The destination in Python, where confirmed.conf looks for it."""
QUEUE = "/var/lib/syslog-ng/pbs-filter"
"""Where its lines wait, by confirmed.conf."""
FILES = (MAIN, BLOCK, DESTINATION, *PROFILES)
OLDEST = (3, 38)
CLAIMING = (4, 8)
"""The oldest that was tried with a disk-buffer which claims its room beforehand; 3.38 cannot."""
CLAIM = ("      reliable(yes)", "      reliable(yes) prealloc(yes)")
"""What becomes what in confirmed.conf, so that a full disk does not take the lines that wait."""
VERSION = ("syslog-ng", "--version")
MODULE = "mod-python"
"""What that says where the module is there."""
INSTALL_MODULE = "apt-get install syslog-ng-mod-python"
WITH_ANSWERS, BY_PIPE = "syslog-ng-confirmed", "syslog-ng-program"
"""The words that ask for each of the two ways."""

_NAMED = "destination d_pbs_filter"
_CONFIRMED = re.compile(r"(?m)^[^#\n]*\bpbs-filter-confirmed\(\);")
_INCLUDE = re.compile(r'(?m)^[ \t]*@include[ \t]+"(/[^"*]+)/\*\.conf"')
_LOCAL = re.compile(
    r"(?m)^[ \t]*source[ \t]+([\w.-]+)[ \t]*\{[^}]*?\b(?:system|unix-dgram|"
    r"unix-stream|systemd-syslog|systemd-journal)\s*\("
)


def drop_in(machine: Machine) -> str:
    """Return the path of the drop-in; "" where syslog-ng.conf includes no directory."""
    match = _INCLUDE.search(machine.files.get(MAIN, ""))
    return f"{match[1]}/pbs-filter.conf" if match else ""


def has_module(machine: Machine) -> bool:
    """Return whether syslog-ng has its Python module here."""
    return MODULE in machine.answers.get(" ".join(VERSION), "")


def is_confirmed(machine: Machine) -> bool:
    """Return whether the drop-in that is there has each line answered."""
    return _CONFIRMED.search(machine.files.get(drop_in(machine), "")) is not None


def answers(machine: Machine) -> str:
    """Return how lines are handed over, for a person."""
    if is_confirmed(machine):
        return "each line is answered"
    return f"through a pipe, whose content a killed filter loses; --setup {WITH_ANSWERS} loses none"


def plan(machine: Machine, shipped: Shipped) -> Plan:
    """Return the feed's part of the plan: the way that is there, else the better one if it can
    be."""
    there = drop_in(machine) in machine.files
    return _plan(machine, shipped, is_confirmed(machine) if there else has_module(machine))


def _with_answers(machine: Machine, shipped: Shipped) -> Plan:
    return _plan(machine, shipped, True)


def _by_pipe(machine: Machine, shipped: Shipped) -> Plan:
    return _plan(machine, shipped, False)


def _plan(machine: Machine, shipped: Shipped, confirmed: bool) -> Plan:
    manual_steps, notes = [], []
    checks = [Check(argv=("syslog-ng", "-s"))]
    sources_of = [] if BLOCK in machine.files else [PLUGIN]
    swaps = []
    directories: tuple[Directory, ...] = ()
    number = machine.versions.get("syslog-ng", "")
    if number and version(number) < OLDEST:
        notes.append(f"syslog-ng {number} is older than 3.38, with which this was tried")
    text = re.sub(r"(?m)^[ \t]*#.*$", "", machine.files.get(MAIN, ""))
    sources = _LOCAL.findall(text)
    path = drop_in(machine)
    changes: tuple[Change, ...] = ()
    if confirmed:
        sources_of.append(CONFIRMED)
        swaps.append((f"{_NAMED} {{ pbs-filter(); }}", f"{_NAMED} {{ pbs-filter-confirmed(); }}"))
        if number and version(number) >= CLAIMING:
            swaps.append(CLAIM)
        directories = (Directory(path=QUEUE, owner="root", group="root", mode=0o700),)
        changes = copy(machine, shipped, DESTINATION, PYTHON, why="syslog-ng waits for answers")
        # The first of the checks says why there is no such thing as python().
        missing = f"syslog-ng's Python module is missing: {INSTALL_MODULE}"
        checks.insert(0, Check(argv=VERSION, contains=MODULE, hint=missing))
        notes.append(
            "each line is answered, and none is lost when the filter or syslog-ng is killed; it "
            f"costs Python within syslog-ng. Without it: {machine.program} --setup {BY_PIPE}"
        )
        if not has_module(machine):
            manual_steps.append(f"before --apply, {missing}")
    else:
        install = "" if has_module(machine) else f"{INSTALL_MODULE} && "
        notes.append(
            "a filter that is killed loses what is in its pipe. The better way loses nothing: "
            f"{install}{machine.program} --setup {WITH_ANSWERS}"
        )
    if path and len(sources) == 1:
        if sources[0] != "s_src":
            swaps.append(("source(s_src)", f"source({sources[0]})"))
        changes += copy(
            machine,
            shipped,
            path,
            *sources_of,
            LOG_PATH,
            why="syslog-ng feeds pbs-filter",
            swaps=tuple(swaps),
        )
    else:
        why = (
            f"{MAIN} has {counted(len(sources), 'source')} of local lines "
            f"({', '.join(sources) or 'none'})"
            if path
            else f"{MAIN} includes no directory of *.conf files"
        )
        texts = " and ".join(f"{machine.share}/{name}" for name in (*sources_of, LOG_PATH))
        manual_steps.append(
            f"{why}: put the text of {texts}, with your source"
            f"{' and pbs-filter-confirmed()' if confirmed else ''} in the last, into the "
            f"configuration (the program here: {machine.program})"
        )
    changes += rotation(machine, shipped, ROTATION)
    manual_steps += [
        f"AppArmor has a profile of syslog-ng, {profile}: it must allow what "
        f"{machine.share}/rsyslog/apparmor lists for rsyslogd"
        for profile in PROFILES
        if profile in machine.files
    ]
    return Plan(
        accounts=(ACCOUNT,),
        directories=directories,
        changes=changes,
        settings={"require_vouched": True, "user": ACCOUNT, "group": ACCOUNT},
        checks=tuple(checks),
        restart_commands=(machine.restart("syslog-ng"),),
        manual_steps=tuple(manual_steps),
        notes=tuple(notes),
    )


def facts(machine: Machine) -> list[tuple[str, str]]:
    """Return the rows about syslog-ng."""
    rows = [("drop-ins", path.rpartition("/")[0]) for path in (drop_in(machine),) if path]
    return [*rows, ("Python module", "there" if has_module(machine) else "missing")]


INTEGRATION = Feed(
    name="syslog-ng",
    package="syslog-ng-core",
    other_names=("syslogng",),
    plan=plan,
    ways={WITH_ANSWERS: _with_answers, BY_PIPE: _by_pipe},
    version_command=VERSION,
    commands=(VERSION,),
    version_pattern=r"(?m)^syslog-ng .*\(([\d.]+)",
    executables=("syslog-ng",),
    shipped=(PLUGIN, CONFIRMED, PYTHON, LOG_PATH, ROTATION),
    files=FILES,
    facts=facts,
    drop_in=drop_in,
    beside=(DESTINATION,),
    answers=answers,
)
