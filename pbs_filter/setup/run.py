"""`pbs-filter --setup` (edge): look, decide, print; --apply does it, --undo takes it back."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence

from ..config.options import Config
from ..errors import ConfigError, UsageError
from ..integrations import mtas, postfix, rsyslog, syslog_ng
from ..integrations.machine import DAEMONS, MTAS, Machine, choose
from ..integrations.plan import Plan, finished, joined
from ..text import nearest
from . import discover, render
from .shipped import texts

OTHER_NAMES = {"exim4": "exim", "syslogng": "syslog-ng", "rsyslogd": "rsyslog"}
FEEDS = {"rsyslog": rsyslog.plan, "syslog-ng": syslog_ng.plan}
SHIPPED = (*rsyslog.SHIPPED, *syslog_ng.SHIPPED, *postfix.SHIPPED, *mtas.SHIPPED)


def run(make_config: Callable[[], Config], options: argparse.Namespace) -> int:
    """Do it; the exit status.

    Raises:
        ConfigError: it cannot be done; what was begun was taken back.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Configuration files are not always UTF-8, and are shown as they are.
        sys.stdout.reconfigure(errors="surrogateescape")
    if (options.apply or options.undo) and os.geteuid() != 0:
        raise ConfigError("--apply and --undo change the system: run them as root")
    if options.undo:
        from .undo import undo as take_back

        commands = take_back(print)
        print("\nThen let the daemons read it:\n" + "".join(f"    {c}\n" for c in commands), end="")
        return 0
    try:
        config = make_config()
    except ConfigError as error:
        if options.apply:
            raise
        print(f"note: {error}\n")
        config = None
    if os.geteuid() != 0:
        print("note: not root: what only root can read is taken as not there\n")
    machine = discover.machine(config, with_log=True)
    chosen = chosen_of(options.setup, machine)
    plan = plan_of(machine, chosen)
    if not options.apply:
        sys.stdout.write(render.shown(machine, plan, chosen))
        return 0
    from .apply import apply as do

    for name in chosen:
        why = discover.installed(machine, name)
        if why:
            raise ConfigError(f"{why}; without --apply this only prints what belongs where")
    for change in plan.changes:
        sys.stdout.write(render.diff(change))
    sys.stdout.flush()
    do(machine, plan, print)
    print("\n" + render.ending(machine, plan), end="")
    return 0


def plan_of(machine: Machine, chosen: Sequence[str]) -> Plan:
    """The whole plan for the daemon and the MTA that were chosen."""
    shipped = texts(SHIPPED)
    parts = [
        {**FEEDS, **mtas.PLANS}[name](machine, shipped)
        for name in (*DAEMONS, *MTAS)
        if name in chosen
    ]
    if not set(chosen) & set(DAEMONS):
        readme = f"{machine.share}/examples/systemd/README.md"
        why = (
            "no syslog daemon is installed: install rsyslog, which loses no login, and run this "
            "again; or take systemd's journal: systemctl enable --now pbs-filter-journal "
            f"({readme} has the unit)"
        )
        parts.append(Plan(left=(why,)))
    if not set(chosen) & set(MTAS):
        parts.append(Plan(left=("no MTA was chosen: nobody asks the map yet",)))
    return finished(joined(*parts), machine)


def chosen_of(names: Sequence[str], machine: Machine) -> list[str]:
    """The daemon and the MTA that are meant by `names` and what is installed.

    Raises:
        UsageError: a name is unknown, there are two of a kind, or it is not clear which is meant.
    """
    given = [OTHER_NAMES.get(name.lower(), name.lower()) for name in names]
    chosen = []
    for kinds, what in ((DAEMONS, "syslog daemon"), (MTAS, "MTA")):
        named = [name for name in given if name in kinds]
        if len(named) > 1:
            raise UsageError(f"--setup: {' and '.join(named)}: one {what} at a time")
        try:
            one = named[0] if named else choose(machine, kinds, what)
        except ValueError as error:
            raise UsageError(f"--setup: {error}: --setup {'|'.join(kinds)}") from None
        chosen += [one] if one else []
    for name in given:
        if name not in (*DAEMONS, *MTAS):
            known = (*DAEMONS, *MTAS)
            raise UsageError(
                f"--setup: unknown name {name!r}.{nearest(name, known)} Known: {', '.join(known)}"
            )
    return chosen
