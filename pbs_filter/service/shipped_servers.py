"""The shipped servers come from the kept file or, where it does not fit, from their own (edge).

`python -m tests.generated` writes the kept file; nothing in service does. It fits if it is as it
was written, and each file that decides what is in it still has the checksum that it had then. A
checksum tells a change, and need not withstand anybody: who can write there can change the program.
"""

from __future__ import annotations

import json
import os
from binascii import crc32
from functools import cache

from ..grammar.kept import server_of
from ..grammar.rules import Rule, Server
from ..held_files import read_regular

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KEPT = "grammar/kept.json"
MADE_OF = (
    "addresses.py",
    "grammar/carriage.py",
    "grammar/compiler.py",
    "grammar/disjoint.py",
    "grammar/kept.py",
    "grammar/prefixes.py",
    "grammar/reading.py",
    "grammar/rules.py",
    "grammar/tokens.py",
    "grammar/usual_lines.py",
    "model.py",
    "syslog/headers.py",
)
"""The files that decide what is kept, beside those of the servers."""


@cache
def shipped() -> tuple[Server, ...]:
    """Return the servers that pbs-filter knows."""
    found = kept(_PACKAGE)
    if found is None:
        from ..servers import SERVERS

        return SERVERS
    return found


def kept(package: str) -> tuple[Server, ...] | None:
    """Return the servers of the kept file below `package`, None where it does not fit."""
    try:
        first, _, rest = read_regular(os.path.join(package, KEPT), follow=True).partition(b"\n")
        # What was spoiled on the disk, or by hand, would make other rules.
        if first != first_line(rest):
            return None
        values = json.loads(first + rest)
        if values["made_of"] != checksums(package):
            return None
        return tuple(server_of(each, _find) for each in values["servers"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def first_line(rest: bytes) -> bytes:
    """Return the first line of the kept file, of which `rest` are the others."""
    return b'{"sum": %d,' % crc32(rest)


def checksums(package: str = _PACKAGE) -> dict[str, int]:
    """Return the checksum of each file that decides what is kept. Raises: OSError."""
    servers = sorted(os.listdir(os.path.join(package, "servers")))
    found = {}
    for name in (*MADE_OF, *(f"servers/{name}" for name in servers if name.endswith(".py"))):
        with open(os.path.join(package, name), "rb") as file:
            found[name] = crc32(file.read())
    return found


@cache
def _rules() -> dict[tuple[str, str], Rule]:
    from ..servers import SERVERS

    return {(server.name, rule.name): rule for server in SERVERS for rule in server.rules}


def _find(server: str, rule: str) -> Rule:
    return _rules()[server, rule]
