"""A file beside the journal keeps the nodes of a Redis Cluster. Edge.

A location names some nodes. When all of these are down and the cluster still works, a restarted
filter, `--list` and `--forget` find it by the nodes that were seen last.

The first line of the file is the location, so that nodes of another map are not used; each other
line is `HOST PORT`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .. import files

Nodes = tuple[tuple[str, int], ...]
"""Hosts and ports."""
MOST_NODES = 1000
_BYTES = 1 << 17


class KnownNodes:
    """The nodes of the cluster at `location`, as the file at `path` has them.

    Args:
        path: of the file.
        location: as the configuration has it.
        group: of the file; "": the process's own.
        say: logs a sentence for the operator.
    """

    def __init__(self, path: str, location: str, group: str, say: Callable[[str], None]) -> None:
        self._path = path
        self._location = location
        self._group = group
        self._say = say
        self.nodes = self._read()

    def _read(self) -> Nodes:
        """Return the nodes of the file, () where it cannot be read or has another location."""
        try:
            content = files.read_beginning(self._path, _BYTES)
        except OSError:
            return ()
        first, *lines = content.decode("utf-8", "replace").splitlines() or [""]
        if first != self._location:
            return ()
        return tuple(node for node in map(_node, lines) if node is not None)

    def learn(self, nodes: Iterable[tuple[str, int]]) -> None:
        """Write `nodes` to the file if they are new; an error is logged, not raised."""
        found = tuple(sorted(nodes)[:MOST_NODES])
        if not found or found == self.nodes:
            return
        self.nodes = found
        lines = [self._location, *(f"{host} {port}" for host, port in found)]
        try:
            content = "".join(f"{line}\n" for line in lines).encode()
            files.write_anew(self._path, content, 0o640, files.gid_of(self._group))
        except OSError as error:
            self._say(str(files.busy("write", self._path, error)))


def _node(line: str) -> tuple[str, int] | None:
    host, _, port = line.partition(" ")
    good = host and port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536
    return (host, int(port)) if good else None
