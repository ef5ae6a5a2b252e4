"""A plan: what to put where, what to type, what to look at. Pure; the parts are joined here."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..config.options import DEFAULT_PATH
from ..config.render import toml
from .machine import Machine

PROGRAM = "/opt/pbs-filter/bin/pbs-filter"
LOOKUP = "/opt/pbs-filter/bin/pbs-lookup"
MAP = "/var/lib/pbs-filter/map.gdbm"
"""What stands in the shipped files, for this machine's own."""
ACCOUNT = "pbs-filter"
LOOKUP_ACCOUNT = "pbs-lookup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One file: what is in it afterwards."""

    path: str
    before: str | None
    """None: it is not there."""
    after: str
    why: str
    mode: int = 0o644
    """Of a new file; another keeps its own."""
    sources: tuple[str, ...] = ()
    """The shipped files that a new one is made of, one after the other."""
    swaps: tuple[tuple[str, str], ...] = ()
    """What is different in them on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """A directory that must be there, with what is directly in it, as this account's."""

    path: str
    owner: str
    group: str
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A program that says whether the new configuration is right."""

    argv: tuple[str, ...]
    contains: str = ""
    """What it must say for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything, in the order in which it is done."""

    accounts: tuple[str, ...] = ()
    """System accounts, all of group ACCOUNT."""
    directories: tuple[Directory, ...] = ()
    changes: tuple[Change, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of pbs-filter.toml; `finished` makes a change of them."""
    checks: tuple[Check, ...] = ()
    then: tuple[str, ...] = ()
    """Commands for the person, which make the daemons read it."""
    see: tuple[str, ...] = ()
    """Commands that show that it works."""
    left: tuple[str, ...] = ()
    """What the person must do, because it is not safe for a program."""
    notes: tuple[str, ...] = ()


def joined(*plans: Plan) -> Plan:
    """One plan of all, in their order; what several say is said once."""

    def every(name: str) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(item for plan in plans for item in getattr(plan, name)))

    return Plan(
        accounts=every("accounts"),
        directories=every("directories"),
        changes=every("changes"),
        settings={key: value for plan in plans for key, value in plan.settings.items()},
        checks=every("checks"),
        then=every("then"),
        see=every("see"),
        left=every("left"),
        notes=every("notes"),
    )


def swaps_of(machine: Machine) -> tuple[tuple[str, str], ...]:
    """What is different in every shipped file on this machine."""
    pairs = ((PROGRAM, machine.program), (LOOKUP, machine.lookup), (MAP, machine.map))
    return tuple((old, new) for old, new in pairs if old != new)


def swapped(text: str, swaps: tuple[tuple[str, str], ...]) -> str:
    """`text` with each first of a pair become the second."""
    for old, new in swaps:
        text = text.replace(old, new)
    return text


def copy(
    machine: Machine,
    shipped: Mapping[str, str],
    path: str,
    *sources: str,
    why: str,
    swaps: tuple[tuple[str, str], ...] = (),
    mode: int = 0o644,
) -> tuple[Change, ...]:
    """The file `path`, made of shipped ones; nothing where it is there and the same."""
    used = tuple(
        pair
        for pair in (*swaps, *swaps_of(machine))
        if pair[0] != pair[1] and any(pair[0] in shipped[name] for name in sources)
    )
    after = swapped("".join(shipped[name] for name in sources), used)
    before = machine.files.get(path)
    if before == after:
        return ()
    return (
        Change(
            path=path,
            before=before,
            after=after,
            why=why,
            mode=mode,
            sources=sources,
            swaps=used,
        ),
    )


def edited(machine: Machine, path: str, after: str, why: str) -> tuple[Change, ...]:
    """The file `path` with another text; nothing where it is the same."""
    before = machine.files[path]
    return () if before == after else (Change(path=path, before=before, after=after, why=why),)


def with_settings(text: str, settings: Mapping[str, Any]) -> tuple[str, list[str]]:
    """pbs-filter.toml with `settings`, and the keys of those that it sets to something else.

    They go to the top: behind a [[table]] they would be that table's.

    Raises:
        tomllib.TOMLDecodeError: it is not TOML.
    """
    there = tomllib.loads(text)
    other = [key for key, value in settings.items() if there.get(key, value) != value]
    new = [f"{key} = {toml(value)}\n" for key, value in settings.items() if key not in there]
    if not new:
        return text, other
    head = "# What `pbs-filter --setup` found right for this machine:\n"
    return head + "".join(new) + ("\n" + text if text else ""), other


def _set(machine: Machine) -> Mapping[str, Any]:
    """What pbs-filter.toml says; nothing where it is not TOML, which `finished` tells."""
    try:
        return tomllib.loads(machine.files.get(DEFAULT_PATH, ""))
    except tomllib.TOMLDecodeError:
        return {}


def finished(plan: Plan, machine: Machine) -> Plan:
    """`plan` with its settings as a change of pbs-filter.toml, and the map's directory."""
    group = str(plan.settings.get("group", ACCOUNT))
    if plan.directories:
        # The daemon's account, which is in no other group: what it makes gets the directory's.
        settings = {key: value for key, value in plan.settings.items() if key != "group"}
        directories = tuple(replace(each, group=group) for each in plan.directories)
    else:
        settings = dict(plan.settings)
        owner = str(_set(machine).get("user", settings.get("user", "")) or "root")
        directories = (Directory(path=machine.state, owner=owner, group=group, mode=0o750),)
    plan = replace(plan, settings=settings, directories=directories)
    before = machine.files.get(DEFAULT_PATH)
    left: list[str] = []
    if machine.closed:
        left.append(
            f"{machine.closed} may be entered by its owner only, so that neither the filter's nor "
            f"the lookups' account can run {machine.program}: install pbs-filter in /opt/pbs-filter"
        )
    changes: tuple[Change, ...] = ()
    try:
        after, other = with_settings(before or "", plan.settings)
    except tomllib.TOMLDecodeError as error:
        after, other = before or "", []
        left.append(f"{DEFAULT_PATH} is not TOML: {error}. Mend it and run this again")
    for key in other:
        value = toml(plan.settings[key])
        left.append(f"{DEFAULT_PATH} sets {key} to something else; right here is: {key} = {value}")
    if after != (before or ""):
        changes = (
            Change(path=DEFAULT_PATH, before=before, after=after, why="what the filter is to know"),
        )
    return joined(
        Plan(
            accounts=tuple(name for name in plan.accounts if name not in machine.accounts),
            changes=changes,
            left=tuple(left),
        ),
        replace(plan, accounts=()),
    )
