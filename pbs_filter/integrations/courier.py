"""Courier asks: relaylock between couriertcpd and courieresmtpd. Pure."""

from __future__ import annotations

import re

from . import lookup_unit
from .finding import Finding
from .integration import Mta, Shipped
from .lookups import LookupConfig, does_not_ask, untried
from .machine import Machine
from .plan import ACCOUNT, MAP, Change, Check, Plan, edited, swapped, swaps_of

MAIN = "/etc/courier/esmtpd"
SOURCE = "examples/courier/esmtpd"


def plan(machine: Machine, shipped: Shipped) -> Plan:
    """Return the plan: another PORT line at the end of esmtpd."""
    manual_steps: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    text = machine.files.get(MAIN)
    ports = re.findall(r'(?m)^PORT="?([^"\n]*)"?$', text or "")
    if text is None or ports[-1:] not in (["smtp"], ["25"]):
        if "relaylock" not in "".join(ports):
            manual_steps = (
                f"{MAIN} is not there, or its PORT is not smtp: put the PORT line of "
                f"{machine.share}/{SOURCE} at its end, with your port",
            )
    else:
        lines = swapped(shipped[SOURCE], swaps_of(machine))
        option = "" if machine.map == MAP else f" --map={machine.map}"
        lines = lines.replace(" relaylock", f" relaylock{option}")
        after = text + ("" if text.endswith("\n") else "\n") + "\n" + lines
        changes = edited(machine, MAIN, after, "relaylock asks at each connection")
    return Plan(
        accounts=(ACCOUNT,),
        changes=changes,
        settings={"group": "courier"},
        checks=(Check(argv=("sh", "-n", MAIN)),) if text is not None else (),
        restart_commands=(machine.restart("courier-mta"),),
        manual_steps=(*manual_steps, lookup_unit.relays("/etc/courier/smtpaccess")),
    )


def lookups(machine: Machine) -> LookupConfig | Finding:
    """Return where Courier asks."""
    ports = re.findall(r"(?m)^PORT=.*$", machine.files.get(MAIN, ""))
    if not ports or "relaylock" not in ports[-1]:
        return does_not_ask("courier", "PORT in esmtpd does not run relaylock")
    return LookupConfig(mta="courier", kind="program", user="courier")


INTEGRATION = Mta(
    name="courier",
    package="courier-mta",
    plan=plan,
    witness=MAIN,
    executables=("couriertcpd",),
    shipped=(SOURCE,),
    files=(MAIN,),
    service="courier-mta",
    lookups=lookups,
    trusted=lambda machine: "127.0.0.0/8",
    untried=untried("courier"),
)
