"""A site's own grammar as a Python file (edge: it is run).

The file holds `SERVER = Server(...)`, as the files in `servers/` do, with imports from
`pbs_filter.grammar` and `pbs_filter.model`. It runs with the filter's rights.
"""

from __future__ import annotations

import os
import runpy

from ..errors import GrammarError
from ..grammar import Server


def load(path: str) -> Server:
    """Return the `SERVER` of the file at `path`, not yet checked.

    Raises:
        GrammarError: the file cannot be read or run, somebody else could have written it, or it
            has no SERVER.
    """
    real = os.path.realpath(path)
    for place in (real, os.path.dirname(real)):
        try:
            status = os.stat(place)
        except OSError as error:
            raise GrammarError(
                f"{path}: {error.strerror}; mend the path behind python = in [[server]]"
            ) from None
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
            raise GrammarError(
                f"{path}: {place!r} belongs to uid {status.st_uid} and has mode "
                f"{status.st_mode & 0o7777:04o}; what stands there is a program that we run, so "
                "only root and our own account may be able to write it"
            )
    try:
        names = runpy.run_path(path)
    except Exception as error:  # whatever it raises, it is the file that is wrong
        raise GrammarError(f"{path}: {type(error).__name__}: {error}") from None
    server = names.get("SERVER")
    if not isinstance(server, Server):
        raise GrammarError(f"{path}: has no SERVER = Server(...), found {server!r}")
    return server
