"""The text is the report for a terminal or a mail. Pure."""

from __future__ import annotations

from ..authorisation.authorisations import MANUAL
from ..terminal import Span, ansi, moment, table
from ..text import counted
from .summary import Device, Summary

COLUMNS = ("LAST USED", "LAST LOGIN", "LOGINS", "ADDRESS", "USER", "PROTO", "SERVER")


def report(summary: Summary, *, colour: bool = False) -> str:
    """Return a table of the devices, the one whose address was let in last first."""
    lines = sentences(summary)
    if summary.devices:
        rows = [[Span(name, "bold") for name in COLUMNS], *map(_row, summary.devices)]
        lines += ["", *(ansi(line, colour=colour) for line in table(rows))]
    return "".join(f"{line}\n" for line in lines)


def sentences(summary: Summary) -> list[str]:
    """Return sentences on the whole: the days, the devices, lookups without a login."""
    devices = summary.devices
    users = {device.login.user for device in devices if device.login.server != MANUAL}
    addresses = {device.login.address for device in devices}
    said = [
        f"{counted(len(devices), 'device')} of {counted(len(users), 'user')} logged in from "
        f"{counted(len(addresses), 'address')}."
        if devices
        else "Nobody has logged in."
    ]
    if not summary.lookups:
        said.append(
            "No lookup has been counted, so that nobody can tell who used a permission: an MTA "
            "that reads an exported file or the map itself counts nothing, nor does one on another "
            "host."
        )
    else:
        depending = summary.depending()
        latest = max((device.used for device in devices), default=0)
        said.append(
            f"{len(depending)} of these addresses used the permission"
            + (f", the last one on {moment(latest)}" if latest else "")
            + f"; {len(addresses - depending)} did not in the time counted."
        )
    if summary.strangers:
        said.append(
            "Lookups also let in addresses whose logins are not known here: "
            + ", ".join(summary.strangers[:20])
            + (", ..." if len(summary.strangers) > 20 else ".")
        )
    said.append(
        "Nothing has been counted yet: this is what the journal knows."
        if summary.since is None
        else f"Counted since {moment(summary.since)}; from before that the journal's newest logins."
    )
    return said


def _row(device: Device) -> list[Span]:
    address, user, server, protocol = device.login
    used = moment(device.used) if device.used else "-"
    cells = (moment(device.last), str(device.logins), address, user or "-", protocol or "-", server)
    return [Span(used, "" if device.used else "dim"), *map(Span, cells)]
