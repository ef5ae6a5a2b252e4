"""The kept file, from which a filter in service has the shipped servers."""

from __future__ import annotations

import json

from pbs_filter.grammar.kept import values_of
from pbs_filter.servers import SERVERS
from pbs_filter.service.shipped_servers import checksums, first_line


def text() -> str:
    """Returns what should stand in the kept file: one line for each file, and for each rule."""
    made_of = ",\n".join(f"{json.dumps(name)}: {number}" for name, number in checksums().items())
    servers = []
    for server in SERVERS:
        values = values_of(server, SERVERS)
        rules = ",\n".join(map(_as_json, values.pop("rules")))
        servers.append(f'{_as_json(values)[:-1]}, "rules": [\n{rules}]}}')
    each = ",\n".join(servers)
    rest = f'"made_of": {{\n{made_of}}},\n"servers": [\n{each}]}}\n'
    return f"{first_line(rest.encode()).decode()}\n{rest}"


def _as_json(value: object) -> str:
    return json.dumps(value)
