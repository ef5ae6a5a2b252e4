"""`pbs-lookup serve` for an MTA that asks at a socket. Pure."""

from __future__ import annotations

from .integration import Shipped
from .machine import Machine
from .plan import ACCOUNT, LOOKUP_ACCOUNT, Plan, copy

UNITS = "/etc/systemd/system"
NAMES = ("pbs-lookup.service", "pbs-lookup.socket")
SHIPPED = tuple(f"examples/systemd/{name}" for name in NAMES)
FILES = tuple(f"{UNITS}/{name}" for name in NAMES)


def plan(machine: Machine, shipped: Shipped, group: str) -> Plan:
    """Return the service for an MTA of this group, by systemd's socket unit."""
    if not machine.systemd:
        return Plan(
            accounts=(ACCOUNT, LOOKUP_ACCOUNT),
            manual_steps=(
                "start this at boot, before the MTA: mkdir -p -m 0755 /run/pbs-lookup; "
                f"{machine.lookup} serve --user={LOOKUP_ACCOUNT} --group={group} "
                f"--map={machine.map} --socketmap=unix:/run/pbs-lookup/socketmap",
            ),
        )
    swaps = (("SocketGroup=postfix", f"SocketGroup={group}"),)
    why = "pbs-lookup answers at a socket"
    return Plan(
        accounts=(ACCOUNT,),
        changes=(
            *copy(machine, shipped, FILES[0], SHIPPED[0], why=why),
            *copy(machine, shipped, FILES[1], SHIPPED[1], why=why, swaps=swaps),
        ),
        restart_commands=("systemctl daemon-reload", "systemctl enable --now pbs-lookup.socket"),
    )


def relays(where: str) -> str:
    """Return the step for a person whose MTA has networks that we do not read."""
    return f"put the networks that {where} let relay anyway into local_networks, if there are any"
