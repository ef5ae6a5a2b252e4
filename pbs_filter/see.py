"""The modes that show something (edge): --list and --status."""

from __future__ import annotations

import argparse
import os
import sys
import time

from . import control, report, status
from .addresses import canonical, widen
from .config import Config
from .errors import ConfigError, StoreBusy
from .service import map_of
from .shared import merge
from .store.gdbm import GdbmMap
from .terminal import wants_colour
from .value import Entry, decode


def colour_of(arguments: argparse.Namespace) -> bool:
    """Whether stdout gets colours."""
    return wants_colour(arguments.color, os.environ, is_terminal=sys.stdout.isatty())


def address_of(option: str, text: str, config: Config) -> str:
    """The address, or with `ipv6_prefix` the network, that is stored for `text`.

    Raises:
        ConfigError: it is not an address.
    """
    address = canonical(text)
    if address is None:
        raise ConfigError(f"{option}: {text!r} is not an address")
    return widen(address, config.ipv6_prefix)


def _stored(
    config: Config, address: str, now: int
) -> tuple[list[tuple[str, Entry]], dict[str, tuple[str, ...]] | None]:
    """What the map says of `address`, or ("") of all; and which filters do, where it is shared."""
    stored = map_of(config)
    if isinstance(stored, GdbmMap):
        if address:
            value = stored.get(address)
            found = [] if value is None else [(address, value)]
        else:
            found = list(stored.items())
        return [(a, entry) for a, value in found if (entry := decode(a, value))], None
    entries, filters = [], {}
    for one, fields in stored.everybodys(address):
        shared = merge(one, fields, now)
        if shared is not None:
            entries.append((one, shared.entry))
            filters[one] = shared.filters
    return entries, filters


def list_(config: Config, arguments: argparse.Namespace) -> int:
    """--list: who may relay; with an address 0 if it may, 1 if not."""
    now = int(time.time())
    address = address_of("--list", arguments.list, config) if arguments.list else ""
    entries, filters = _stored(config, address, now)
    shown = report.select(entries, now, ended=arguments.all)
    if arguments.json:
        sys.stdout.write(report.to_json(report.as_objects(shown, now, filters=filters)))
    elif arguments.plain:
        sys.stdout.writelines(f"{address}\n" for address, _ in shown)
    elif shown or not arguments.list:
        sys.stdout.write(report.as_table(shown, now, colour=colour_of(arguments), filters=filters))
    else:
        print(f"{arguments.list}: not authorised")
    if not arguments.list:
        return 0
    return 0 if report.select(entries, now, ended=False) else 1


def status_(config: Config, arguments: argparse.Namespace) -> int:
    """--status: what the running filter did so far."""
    answer = control.ask(config.control, {"do": "status"})
    if answer is None or "status" not in answer:
        raise StoreBusy(
            f"no filter is running on {config.map!r}: look at the syslog daemon that should feed it"
        )
    values = answer["status"]
    if arguments.json:
        sys.stdout.write(report.to_json(values))
    else:
        sys.stdout.write(status.text(values, colour=colour_of(arguments)))
    return 0
