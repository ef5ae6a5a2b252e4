"""README's table of servers, made from what the server files say. Pure.

`python -m tests.readme_table` puts it between README's markers.
"""

from __future__ import annotations

from collections.abc import Iterable

from pbs_filter.grammar import Rule, Server
from pbs_filter.model import Accepted, Connected, Ended

BEGIN = "<!-- servers:begin -->"
END = "<!-- servers:end -->"

_HEAD = """\
| server | versions | program names | a login is | a session's end is tied by |
|---|---|---|---|---|"""
_WORDS = {"pid": "process", "child": "process", "id": "session id", "session": "session id"}


def markdown(servers: Iterable[Server]) -> str:
    """Return the table, one row for each of `servers` by title, without a final newline."""
    rows = [_row(server) for server in sorted(servers, key=lambda server: server.title.lower())]
    return "\n".join([_HEAD, *rows])


def updated(text: str, servers: Iterable[Server]) -> str:
    """Return `text` with the table between its two markers.

    Raises:
        ValueError: the markers are not there, once each and in this order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in before + after:
        raise ValueError(f"needs one {BEGIN!r} and, behind it, one {END!r}")
    return f"{before}{BEGIN}\n{markdown(servers)}\n{END}{after}"


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
    return f"{'one line, or ' if True in with_address else ''}two tied by {keys}"


def _end(server: Server) -> str:
    """Say what ties a session's end to its login."""
    return _keys(_read(server, Ended)) or "–"


def _read(server: Server, kind: type) -> list[Rule]:
    return [rule for rule in server.rules if rule.kind is kind and not rule.off]


def _keys(rules: Iterable[Rule]) -> str:
    keys = {", ".join(_WORDS.get(part, part) for part in rule.session) or "user" for rule in rules}
    return " or ".join(sorted(keys))
