"""qmail and the like ask: relaylock in a run file that everybody has another one of. Pure."""

from __future__ import annotations

from . import lookup_unit
from .finding import Finding, note
from .integration import Mta, Shipped
from .lookups import LookupConfig, untried
from .machine import Machine
from .plan import ACCOUNT, Plan, swapped, swaps_of

SOURCE = "examples/qmail/run"


def plan(machine: Machine, shipped: Shipped) -> Plan:
    """Return the plan: what a person puts into the run file."""
    line = next(row.strip() for row in shipped[SOURCE].splitlines() if "relaylock --" in row)
    line = swapped(line.rstrip("\\").strip(), swaps_of(machine))
    return Plan(
        accounts=(ACCOUNT,),
        settings={"group": ACCOUNT},
        manual_steps=(
            f"in the SMTP service's run file put `{line}` in front of the SMTP server's program, "
            f'and `-g "$(id -g {ACCOUNT})"` behind tcpserver; an example is '
            f"{machine.share}/{SOURCE}",
            lookup_unit.relays("/etc/tcp.smtp"),
        ),
    )


def lookups(_machine: Machine) -> LookupConfig | Finding:
    """qmail's run files are where the administrator put them."""
    return note(
        "MTA",
        "qmail: whether its run file has relaylock is for you to see",
        "grep -r relaylock /service",
    )


INTEGRATION = Mta(
    name="qmail",
    plan=plan,
    witness="/var/qmail/bin/qmail-smtpd",
    executables=("tcpserver",),
    shipped=(SOURCE,),
    lookups=lookups,
    trusted=lambda machine: "127.0.0.0/8",
    untried=untried("qmail"),
)
