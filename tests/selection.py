"""The program names that the shipped syslog configurations pick out, made from the server files.

python -m tests.selection      writes them into rsyslog/ and syslog-ng/ again
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from pbs_filter.authorisation.pipeline import TEST_PROGRAM
from pbs_filter.grammar.rules import Server
from pbs_filter.servers import SERVERS

CHECKOUT = Path(__file__).resolve().parents[1]
_REGION = re.compile(
    r"(?m)^(?P<begin> *# programs: begin.*\n)(?:.*\n)*?(?P<end> *# programs: end.*\n)"
)


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


def rsyslog(servers: Iterable[Server]) -> str:
    """The beginning of an if statement in RainerScript."""
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


def syslog_ng(servers: Iterable[Server]) -> str:
    """A filter expression of syslog-ng."""
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


FILES: dict[str, Callable[[Iterable[Server]], str]] = {
    "rsyslog/pbs-filter.conf": rsyslog,
    "rsyslog/client.conf": rsyslog,
    "syslog-ng/pbs-filter/plugin.conf": syslog_ng,
}


def written(name: str) -> str:
    """The file `name` of FILES with its list made anew."""
    text = (CHECKOUT / name).read_text(encoding="utf-8")
    made, count = _REGION.subn(
        lambda found: found["begin"] + FILES[name](SERVERS) + found["end"], text
    )
    assert count == 1, f"{name} has no region for the programs"
    return made


if __name__ == "__main__":
    for file in FILES:
        (CHECKOUT / file).write_text(written(file), encoding="utf-8")
