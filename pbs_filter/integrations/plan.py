"""A plan: what to put where, what to type, what to look at. Pure; the parts are joined here."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..config.options import DEFAULT_PATH
from ..config.render import toml
from . import dovecot
from .machine import Machine

PROGRAM = "/opt/pbs-filter/bin/pbs-filter"
LOOKUP = "/opt/pbs-filter/bin/pbs-lookup"
MAP = "/var/lib/pbs-filter/map.gdbm"
"""What stands in the shipped files, for this machine's own."""
ACCOUNT = "pbs-filter"
LOOKUP_ACCOUNT = "pbs-lookup"
SETTINGS = f"{DEFAULT_PATH.removesuffix('.toml')}.d/50-setup.toml"
"""The file of what --setup decides: a package's own file stays as it is."""
OWN_SETTINGS = f"{DEFAULT_PATH.removesuffix('.toml')}.d/90-local.toml"
_HEAD = f"""\
# Written by `pbs-filter --setup`, which writes it anew each time. It counts after
# {DEFAULT_PATH}; what should be otherwise belongs into
# {OWN_SETTINGS}, which counts after this.
"""


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
    """What must be in its output for that."""
    hint: str = ""
    """What to look at if it does not end in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plan has all steps, in the order in which they are done."""

    accounts: tuple[str, ...] = ()
    """System accounts, all of group ACCOUNT."""
    directories: tuple[Directory, ...] = ()
    changes: tuple[Change, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The configuration's values; `finished` makes a file of them."""
    checks: tuple[Check, ...] = ()
    restart_commands: tuple[str, ...] = ()
    """Commands for the person, which make the daemons read it."""
    try_commands: tuple[str, ...] = ()
    """Commands that show that it works."""
    manual_steps: tuple[str, ...] = ()
    """What the person must do, because it is not safe for a program."""
    notes: tuple[str, ...] = ()


def joined(*plans: Plan) -> Plan:
    """Return one plan of all, in their order; what several say is said once."""

    def every(name: str) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(item for plan in plans for item in getattr(plan, name)))

    return Plan(
        accounts=every("accounts"),
        directories=every("directories"),
        changes=every("changes"),
        settings={key: value for plan in plans for key, value in plan.settings.items()},
        checks=every("checks"),
        restart_commands=every("restart_commands"),
        try_commands=every("try_commands"),
        manual_steps=every("manual_steps"),
        notes=every("notes"),
    )


def swaps_of(machine: Machine) -> tuple[tuple[str, str], ...]:
    """Return the texts that are different in every shipped file on this machine."""
    pairs = ((PROGRAM, machine.program), (LOOKUP, machine.lookup), (MAP, machine.map))
    return tuple((old, new) for old, new in pairs if old != new)


def swapped(text: str, swaps: tuple[tuple[str, str], ...]) -> str:
    """Return `text` with the first of each pair replaced by the second."""
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
    """Return the file `path`, made of shipped ones; nothing where it is there and the same."""
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
    """Return the file `path` with another text; nothing where it is the same."""
    before = machine.files[path]
    return () if before == after else (Change(path=path, before=before, after=after, why=why),)


def _table(machine: Machine, path: str) -> Mapping[str, Any]:
    """Return a configuration file as a table.

    Raises:
        tomllib.TOMLDecodeError: it is not TOML.
    """
    return tomllib.loads(machine.files.get(path, ""))


def settings_file(settings: Mapping[str, Any]) -> str:
    """Return the text of SETTINGS."""
    return _HEAD + "".join(f"{key} = {toml(value)}\n" for key, value in settings.items())


def split(
    main: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the `settings` to write beside what the `main` file says, and those it says otherwise.

    The package's file names the accounts that the package makes; that is nobody's decision.
    """
    ours, others = {}, {}
    for key, value in settings.items():
        if key not in main or (key == "group" and main[key] == ACCOUNT != value):
            ours[key] = value
        elif main[key] != value:
            others[key] = value
    return ours, others


def finished(plan: Plan, machine: Machine) -> Plan:
    """Return `plan` with its settings as a file, and the map's directory."""
    manual_steps: list[str] = []
    if machine.closed:
        manual_steps.append(
            f"{machine.closed} may be entered by its owner only, so that neither the filter's nor "
            f"the lookups' account can run {machine.program}: install pbs-filter in /opt/pbs-filter"
        )
    main: Mapping[str, Any] = {}
    earlier: Mapping[str, Any] = {}
    try:
        main = _table(machine, DEFAULT_PATH)
        earlier = _table(machine, SETTINGS)
    except tomllib.TOMLDecodeError as error:
        path = SETTINGS if main else DEFAULT_PATH
        manual_steps.append(f"{path} is not TOML: {error}. Mend it and run this again")
    settings = {**_servers(machine, earlier), **plan.settings} if plan.settings else {}
    group = str(settings.get("group", ACCOUNT))
    others = tuple(each for each in plan.directories if each.path != machine.state)
    directories = tuple(
        replace(each, group=group) for each in plan.directories if each.path == machine.state
    )
    if directories:
        # The daemon's account, which is in no other group: what it makes gets the directory's.
        settings.pop("group", None)
    else:
        owner = str(main.get("user", settings.get("user", "")) or "root")
        directories = (Directory(path=machine.state, owner=owner, group=group, mode=0o750),)
    ours, elsewhere = split(main, settings)
    manual_steps += [
        f"{DEFAULT_PATH} sets {key} to something else; right here is: {key} = {toml(value)}"
        for key, value in elsewhere.items()
    ]
    before, after = machine.files.get(SETTINGS), settings_file(ours)
    changes: tuple[Change, ...] = ()
    if ours and after != before:
        why = "the configuration for this machine"
        changes = (Change(path=SETTINGS, before=before, after=after, why=why),)
    return joined(
        Plan(
            accounts=tuple(name for name in plan.accounts if name not in machine.accounts),
            directories=(*directories, *others) if plan.accounts else (),
            changes=changes,
            manual_steps=tuple(manual_steps),
            notes=(
                *_servers_note(ours),
                *_uncertain(machine, ours),
                *dovecot.notes(machine, OWN_SETTINGS),
            ),
        ),
        replace(plan, accounts=(), directories=()),
    )


def _servers_note(settings: Mapping[str, Any]) -> tuple[str, ...]:
    if "servers" not in settings:
        return ()
    return (
        f"only lines of {', '.join(settings['servers'])} will be read, whose logins are in the "
        f"mail log or were counted; name any other server in {OWN_SETTINGS}: servers = [...]",
    )


def _uncertain(machine: Machine, settings: Mapping[str, Any]) -> Iterator[str]:
    if machine.log is not None:
        for name, cure in machine.log.uncertain.items():
            if name not in settings.get("servers", ()):
                yield f"logins of {name}, which are in the mail log, will not count: {cure}"


def _servers(machine: Machine, earlier: Mapping[str, Any]) -> dict[str, Any]:
    """Return `servers`: those whose logins are in the mail log or were counted by the filter, and
    those that were there before.

    With them named, no line of a server that is not here can authorise anybody.
    """
    names = set(machine.log.logins) if machine.log is not None else set()
    names |= set(earlier.get("servers", ()))
    if names:
        names |= machine.counted
    return {"servers": sorted(names)} if names else {}
