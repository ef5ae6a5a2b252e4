"""`pbs-filter --setup` (edge): look, decide, print; --apply does it, --undo takes it back."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence

from ..config.options import Config
from ..errors import ConfigError, UsageError
from ..integrations import Integration, feeds, integrations, mtas
from ..integrations.integration import choose
from ..integrations.machine import Machine
from ..integrations.plan import Plan, finished, joined
from ..store.gdbm_file import NO_GDBM
from ..text import nearest
from . import discover, render
from .shipped import texts


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
        if commands:
            print(f"\n{render.READ_IT}\n" + "".join(f"    {c}\n" for c in commands), end="")
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
    if not machine.gdbm:
        if options.apply:
            raise ConfigError(NO_GDBM)
        print(f"note: {NO_GDBM}\n")
    chosen = chosen_of(options.setup, machine)
    plan = plan_of(machine, chosen)
    if not options.apply:
        sys.stdout.write(render.plan(machine, plan, chosen))
        return 0
    from .apply import apply as do

    for each in chosen:
        why = discover.why_not_installed(machine, each)
        if why:
            raise ConfigError(f"{why}; without --apply this only prints what belongs where")
    for change in plan.changes:
        sys.stdout.write(render.applied(change, machine.share))
    sys.stdout.flush()
    do(machine, plan, print)
    print("\n" + render.next_steps(machine, plan), end="")
    return 0


def plan_of(machine: Machine, chosen: Sequence[Integration]) -> Plan:
    """Return the whole plan for the daemon and the MTA that were chosen."""
    shipped = texts(tuple(name for each in chosen for name in each.shipped))
    parts = [each.plan(machine, shipped) for each in chosen]
    if not any(each.name in feeds() for each in chosen):
        parts.append(
            Plan(
                manual_steps=(
                    "no syslog daemon is installed, and no systemd runs, whose journal could be "
                    "read. The ways to have one (rsyslog loses no login):\n"
                    + render.ways([each for each in feeds().values() if each.package], machine),
                )
            )
        )
    if not any(each.name in mtas() for each in chosen):
        parts.append(
            Plan(
                manual_steps=(
                    "no MTA is installed here: nobody asks the map yet. Run this on the host that "
                    "has one, or choose one (Debian, Ubuntu):\n"
                    + render.ways([*mtas().values()], machine),
                )
            )
        )
    return finished(joined(*parts), machine)


def chosen_of(names: Sequence[str], machine: Machine) -> list[Integration]:
    """Return the daemon and the MTA that are meant by `names` and what is installed.

    Raises:
        UsageError: a name is unknown, there are two of a kind, or it is not clear which is meant.
    """
    others = {other: each.name for each in integrations() for other in each.other_names}
    given = [others.get(name.lower(), name.lower()) for name in names]
    known = {
        each.word: each
        for one in integrations()
        for each in (one, *(one.by_way(way) for way in one.ways))
    }
    for name in given:
        if name not in known:
            raise UsageError(
                f"--setup: unknown name {name!r}.{nearest(name, known)} Known: {', '.join(known)}"
            )
    chosen = []
    kinds: Sequence[dict[str, Integration]] = ({**feeds()}, {**mtas()})
    for kind in kinds:
        named = [name for name in given if known[name].name in kind]
        if len(named) > 1:
            what = known[named[0]].kind
            raise UsageError(f"--setup: {' and '.join(named)}: one {what} at a time")
        try:
            name = named[0] if named else choose(machine, kind)
        except ValueError as error:
            ways = [f"--setup {each}" for each in kind if each in machine.versions]
            raise UsageError(f"--setup: {error}: {', '.join(ways)}") from None
        chosen += [known[name]] if name else []
    return chosen
