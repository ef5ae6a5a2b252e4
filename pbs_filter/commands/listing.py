"""The modes that show something (edge): --list and --status."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..addresses import canonical, widen
from ..config.options import Config
from ..errors import ConfigError, StoreBusy
from ..map_format.entry import Entry, decode
from ..map_format.redis_merge import merge
from ..service.storage import map_of
from ..store.gdbm_map import GdbmMap
from ..terminal import wants_colour
from . import report

if TYPE_CHECKING:
    from ..store.redis_map import RedisMap


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
        raise ConfigError(f"{option}: {text!r} is not an address; give one, like 192.0.2.7")
    return widen(address, config.ipv6_prefix)


def _readable(config: Config) -> GdbmMap | RedisMap:
    """The map, to be read by a person.

    Raises:
        StoreBusy: there is none, or it may not be read; with what that person can do.
    """
    made = map_of(config)
    if isinstance(made, GdbmMap):
        try:
            os.close(os.open(config.map, os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            raise StoreBusy(
                f"there is no map {config.map!r}: the filter makes it when it starts, and the "
                "syslog daemon starts the filter; pbs-filter --doctor looks for what is missing"
            ) from None
        except PermissionError:
            raise StoreBusy(
                f"cannot read the map {config.map!r}: Permission denied; run this as root, or as "
                "one of the group that may read it (group in pbs-filter.toml)"
            ) from None
    return made


def _stored(
    config: Config, address: str, now: int
) -> tuple[list[tuple[str, Entry]], dict[str, tuple[str, ...]] | None]:
    """What the map says of `address`, or ("") of all; and which filters do, where it is shared."""
    stored = _readable(config)
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


def stored(config: Config, now: int) -> Iterator[tuple[str, Entry]]:
    """All that the map says, one address after the other.

    Raises:
        StoreBusy, StoreDamaged: it cannot be read.
    """
    the_map = _readable(config)
    if isinstance(the_map, GdbmMap):
        for address, value in the_map.items():
            entry = decode(address, value)
            if entry is not None:
                yield address, entry
        return
    try:
        for address, fields in the_map.everybodys(""):
            shared = merge(address, fields, now)
            if shared is not None:
                yield address, shared.entry
    finally:
        the_map.close()


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
    from ..monitor import status
    from ..service import control

    answer = control.ask(config.control, {"do": "status"})
    if answer is None or "status" not in answer:
        raise StoreBusy(
            f"no filter is running on {config.map!r}: rsyslog starts it with the first line of a "
            "POP or IMAP server, syslog-ng with itself; pbs-filter --doctor sends a line, and "
            "looks for what is missing"
        )
    values = answer["status"]
    if arguments.json:
        sys.stdout.write(report.to_json(values))
    else:
        sys.stdout.write(status.text(values, colour=colour_of(arguments)))
    return 0
