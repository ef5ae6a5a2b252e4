"""Dovecot can write logins as data: what --setup says of that, and of other names. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ..config.render import toml
from .machine import Machine, version

VERSION = ("dovecot", "--version")
INSTANCE = ("doveconf", "-h", "instance_name")
COMMANDS = (VERSION, INSTANCE)
"""The commands whose answers are read. Neither changes anything."""
DROP_IN = "/etc/dovecot/conf.d/99-pbs-filter.conf"
USUAL_NAME = "dovecot"
EVENTS_SINCE = (2, 3, 7)


def notes(machine: Machine, own_settings: str) -> Iterator[str]:
    """Return notes on the Dovecot of this machine, if there is one.

    Args:
        machine: what is installed.
        own_settings: the file of pbs-filter's settings that are the administrator's own.
    """
    answer = machine.answers.get(" ".join(VERSION), "")
    number = version(answer)
    if number >= EVENTS_SINCE and DROP_IN not in machine.files:
        examples = f"{machine.share}/examples/dovecot"
        file = f"{examples}/events-{'2.4' if number >= (2, 4) else '2.3'}.conf"
        yield (
            f"Dovecot {answer.split()[0]} can write its logins as data, too, in which no name and "
            f"no new wording can be misread ({examples}/README.md); --setup leaves Dovecot's "
            f"configuration to you: cp {file} {DROP_IN} && doveconf -n >/dev/null && "
            "doveadm reload. Not on a proxy that checks no passwords. Where `servers` is set, add "
            f'"dovecot-events" to it in {own_settings}'
        )
    # doveconf's own warnings and errors stand before or behind the name.
    rows = machine.answers.get(" ".join(INSTANCE), "").splitlines()
    name = next((row for row in rows if row and not row.startswith("doveconf: ")), "")
    if name not in ("", USUAL_NAME):
        names = toml((name,))
        yield (
            f"this Dovecot's lines carry its instance_name, {name!r}, as the program's name: in "
            f"{own_settings} set programs = {{ dovecot = {names}, dovecot-events = {names} }}, "
            "and add the name where the syslog daemon selects the lines"
        )
