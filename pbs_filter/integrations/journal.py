"""systemd's journal feeds us, where there is no syslog daemon: a unit that reads it. Pure."""

from __future__ import annotations

from .integration import Feed, Shipped
from .machine import Machine
from .plan import ACCOUNT, Plan, copy
from .rsyslog import rotation

SERVICE = "pbs-filter-journal"
SOURCE = f"examples/systemd/{SERVICE}.service"
ROTATION = "syslog-ng/logrotate"
UNIT = f"/etc/systemd/system/{SERVICE}.service"
PACKAGED = f"/usr/lib/systemd/system/{SERVICE}.service"
"""The Debian package's: nothing is copied beside it."""
ENABLED = f"/etc/systemd/system/multi-user.target.wants/{SERVICE}.service"
STATE = "/var/lib/pbs-filter"
"""The directory in the shipped unit."""


def unit(machine: Machine) -> str:
    """Return the path of the unit that is used."""
    return PACKAGED if PACKAGED in machine.files and UNIT not in machine.files else UNIT


def plan(machine: Machine, shipped: Shipped) -> Plan:
    """Return the feed's part of the plan."""
    changes = (
        copy(
            machine,
            shipped,
            UNIT,
            SOURCE,
            why="reads systemd's journal",
            swaps=((STATE, machine.state),),
        )
        if unit(machine) == UNIT
        else ()
    )
    if not machine.systemd:
        return Plan(
            manual_steps=("systemd does not run here, so that there is no journal to read",)
        )
    return Plan(
        accounts=(ACCOUNT,),
        changes=(*changes, *rotation(machine, shipped, ROTATION)),
        settings={"require_vouched": True, "user": ACCOUNT, "group": ACCOUNT},
        restart_commands=(
            "systemctl daemon-reload",
            f"systemctl enable --now {SERVICE}",
            f"systemctl restart {SERVICE}",
        ),
        notes=(
            "its first start takes the logins of the last half hour: who logged in before may "
            "relay "
            "at once",
            "each entry of the journal has its sender's uid; journald hands it to readers about a "
            "quarter of a second late, and so a login counts",
        ),
    )


INTEGRATION = Feed(
    name="journal",
    other_names=("journald", "systemd"),
    plan=plan,
    version_command=("journalctl", "--version"),
    version_pattern=r"systemd (\d+)",
    shipped=(SOURCE, ROTATION),
    files=(UNIT, PACKAGED, ENABLED),
    service=SERVICE,
    drop_in=unit,
    enabled=ENABLED,
    last_resort=True,
)
