"""README's table and the daemons' lists of programs are made from the server files."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterable
from importlib import import_module

from pbs_filter import servers as package
from pbs_filter.authorisation.noticed import TEST_PROGRAM
from pbs_filter.grammar import Rule, Server
from pbs_filter.model import Accepted, Connected, Ended
from pbs_filter.servers import SERVERS

_HEAD = """\
| server | versions | program names | a login is | a session ends by its |
|---|---|---|---|---|"""
_WORDS = {"pid": "process", "child": "process", "id": "session id", "session": "session id"}


def table(servers: Iterable[Server] = SERVERS) -> str:
    """Returns README's table, one row for each of `servers` by title."""
    rows = [_row(server) for server in sorted(servers, key=lambda server: server.title.lower())]
    return "\n".join([_HEAD, *rows])


def _row(server: Server) -> str:
    programs = ", ".join(f"`{program}`" for program in server.programs)
    cells = server.title, server.versions, programs, _login(server), _end(server)
    return f"| {' | '.join(cells)} |"


def _login(server: Server) -> str:
    """Say over how many lines user and address of a login are spread."""
    with_address = {
        sample.observation.address is not None
        for rule in _read(server, Accepted)
        for sample in rule.samples
        if isinstance(sample.observation, Accepted)
    }
    if with_address == {True}:
        return "one line"
    keys = _keys(_read(server, Connected))
    return f"{'one line, or ' if True in with_address else ''}two, joined by {keys}"


def _end(server: Server) -> str:
    """Say what ties a session's end to its login."""
    return _keys(_read(server, Ended)) or "–"


def _read(server: Server, kind: type) -> list[Rule]:
    return [rule for rule in server.rules if rule.kind is kind and not rule.off]


def _keys(rules: Iterable[Rule]) -> str:
    keys = {", ".join(_WORDS.get(part, part) for part in rule.session) or "user" for rule in rules}
    return " or ".join(sorted(keys))


def carriages() -> str:
    """Returns the rows of the table in SECURITY.md: what each server's logger does with a line."""
    rows = ["| server | its lines come | read |", "|---|---|---|"]
    for info in pkgutil.iter_modules(package.__path__):
        module = import_module(f"{package.__name__}.{info.name}")
        found = [value for value in vars(module).values() if isinstance(value, Server)]
        match = re.search(r"(?m)^Travels +((?:.+\n)(?: {16}.*\n)*)", f"{module.__doc__}\n")
        assert match is not None, info.name
        travels = " ".join(match[1].split()).replace("|", "\\|")
        rows.append(f"| {found[0].title} | {travels} | {_is_read(found[0])} |")
    return "\n".join(rows)


def _is_read(server: Server) -> str:
    if server.carriage.off or (server.carriage.line_breaks and not server.carriage.longest_bytes):
        return f'only with `servers = ["{server.name}"]`'
    if server.carriage.shows_pieces:
        return f'not by journald or UDP without `servers = ["{server.name}"]`; not behind a sign'
    if server.carriages:
        return "yes; in its own log not behind a refusal"
    return "yes"


def plain_names(servers: Iterable[Server]) -> list[str]:
    """Names that stand alone in the header, and that of the doctor's test lines."""
    names = {name for server in servers for name in server.programs if "/" not in name}
    return sorted(names | {TEST_PROGRAM})


def names_behind_a_path(servers: Iterable[Server]) -> list[str]:
    """The last parts of names that have, or may have, a path in front (`cyrus/imap`)."""
    return sorted(
        {
            name.rpartition("/")[2]
            for server in servers
            for name in server.programs
            if server.instances or "/" in name
        }
    )


def rsyslog_of_filter() -> str:
    """Returns that of `rsyslog`, and what rsyslogd says of itself when it has started."""
    start = """\n     or ($programname == "rsyslogd" and $msg contains "] start")"""
    return f"{start} then {{".join(rsyslog().rsplit(" then {", 1))


def rsyslog(servers: Iterable[Server] = SERVERS) -> str:
    """Returns the beginning of an if statement in RainerScript."""
    servers = tuple(servers)
    indent = " " * 16
    names = f",\n{indent}".join(
        ", ".join(line) for line in _lines([f'"{name}"' for name in plain_names(servers)], 80)
    )
    paths = "|".join(map(_escaped, names_behind_a_path(servers)))
    return (
        f"  if $programname == [\n{indent}{names}\n     ]\n"
        f"     or ($syslogtag contains '/'\n"
        f"         and re_match($syslogtag, '/({paths})([:[]|$)')) then {{\n"
    )


def syslog_ng(servers: Iterable[Server] = SERVERS) -> str:
    """Returns a filter expression of syslog-ng."""
    servers = tuple(servers)
    names = [_escaped(name) for name in plain_names(servers)]
    tests = [f'program("^({"|".join(line)})$")' for line in _lines(names, 76)]
    paths = "|".join(map(_escaped, names_behind_a_path(servers)))
    tests.append(f'program("/({paths})$")')
    return "  " + "\n  or ".join(tests) + "\n"


def _escaped(name: str) -> str:
    # "[.]" and not a backslash: both daemons take that for themselves.
    return name.replace(".", "[.]")


def _lines(names: Iterable[str], room: int) -> list[list[str]]:
    """`names` in lines of about `room` characters."""
    lines: list[list[str]] = [[]]
    for name in names:
        if sum(len(other) + 2 for other in lines[-1]) + len(name) > room:
            lines.append([])
        lines[-1].append(name)
    return lines
