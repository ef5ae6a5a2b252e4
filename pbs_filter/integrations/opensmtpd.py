"""OpenSMTPD asks: by a table program, from 7.5 on. Pure."""

from __future__ import annotations

import re

from . import lookup_unit
from .finding import Finding, ok, wrong
from .integration import Mta, Shipped
from .lookups import LookupConfig, does_not_ask
from .machine import Machine, version
from .plan import ACCOUNT, Check, Plan, copy, edited, swapped, swaps_of

MAIN = "/etc/smtpd.conf"
PROGRAM = "/usr/libexec/opensmtpd/table-pbs"
SHIPPED = ("examples/opensmtpd/table-pbs", "examples/opensmtpd/smtpd.conf")


def plan(machine: Machine, shipped: Shipped) -> Plan:
    """Return the plan for OpenSMTPD 7.5 and newer; an older one is left to the person."""
    number = machine.versions.get("opensmtpd", "")
    settings = {"group": "opensmtpd"}
    if number and version(number) < (7, 5):
        place = f"{machine.share}/examples/opensmtpd"
        return Plan(
            accounts=(ACCOUNT,),
            settings=settings,
            manual_steps=(
                f"OpenSMTPD {number} knows no table programs. With opensmtpd-extras: the "
                f"[[export]] of {place}/README.md at the end of /etc/pbs-filter.toml, "
                f"{place}/pbs-sqlite.conf to /etc/, and the lines of {place}/smtpd-6.8.conf into "
                f"{MAIN}",
            ),
        )
    changes = copy(machine, shipped, PROGRAM, SHIPPED[0], why="smtpd starts pbs-lookup", mode=0o755)
    lines = swapped(shipped[SHIPPED[1]], swaps_of(machine))
    text = machine.files.get(MAIN, "")
    plain = re.sub(r"(?m)#.*$", "", text)
    actions = re.findall(r'(?m)^\s*action\s+"?([\w-]+)"?\s+relay\b', plain)
    manual_steps: tuple[str, ...] = ()
    if not re.search(r"(?m)^\s*table\s+pbs\b", plain):
        if len(actions) == 1 and not re.search(r"\bfrom\s+any\s+for\s+any\b", plain):
            after = text.rstrip("\n") + "\n\n" + lines.replace('"relay"', f'"{actions[0]}"')
            changes += edited(machine, MAIN, after, "smtpd asks behind all other rules")
        else:
            manual_steps = (
                f"{MAIN} has {len(actions)} relay actions, or a rule for everybody: put the two "
                f"lines of {machine.share}/{SHIPPED[1]} behind the rules for your own domains",
            )
    return Plan(
        accounts=(ACCOUNT,),
        changes=changes,
        settings=settings,
        checks=(Check(argv=("smtpd", "-n")),),
        restart_commands=(machine.restart("opensmtpd"),),
        manual_steps=(*manual_steps, lookup_unit.relays(f"{MAIN}'s other rules")),
    )


def lookups(machine: Machine) -> LookupConfig | Finding:
    """Return where smtpd asks."""
    if not re.search(r"(?m)^\s*match\s.*<pbs>", machine.files.get(MAIN, "")):
        return does_not_ask("opensmtpd", "smtpd.conf has no rule for <pbs>")
    return LookupConfig(mta="opensmtpd", kind="program", user="opensmtpd")


def settings(machine: Machine) -> list[Finding]:
    """Return whether smtpd.conf has a rule by which anybody relays."""
    for line in machine.files.get(MAIN, "").splitlines():
        rule = line.partition("#")[0]
        if re.match(r"\s*match\b", rule) and not re.search(r"\b(?:auth|reject|tag)\b", rule):
            from_anybody = re.search(r"\bfrom\s+any\b", rule)
            to_anywhere = re.search(r"\bfor\s+any\b", rule)
            if from_anybody and to_anywhere:
                return [
                    wrong(
                        "relay",
                        f"OPEN: smtpd.conf relays for everybody: {rule.strip()!r}",
                        f"take that rule out of {MAIN}",
                    )
                ]
    return []


INTEGRATION = Mta(
    name="opensmtpd",
    package="opensmtpd",
    other_names=("smtpd",),
    plan=plan,
    version_command=("smtpd", "-h"),
    version_pattern=r"OpenSMTPD (\d\S*)",
    executables=("sbin/smtpd",),
    shipped=SHIPPED,
    files=(MAIN, PROGRAM),
    lookups=lookups,
    settings=settings,
    untried=ok(
        "relay",
        "closed by smtpd.conf: no rule relays for everybody. Not tried by SMTP: smtpd trusts every "
        "address of this machine",
    ),
    read_once=MAIN,
)
