"""The metrics file (edge), for the textfile collector of Prometheus' node_exporter.

Written under another name and renamed: the collector never reads half a file, and reads only names
that end in `.prom`. It is not made durable: the next one comes in seconds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from .. import files
from ..errors import ConfigError
from ..log import Log
from ..monitor import prometheus

INTERVAL_SECONDS = 15
MODE = 0o644


class MetricsFile:
    """One file, written at most every `INTERVAL_SECONDS`.

    Args:
        path: the file; "": none is written.
        servers: the names of all servers whose lines are read.
        log: hears of trouble, once a minute.

    Raises:
        ConfigError: node_exporter would not read a file of that name.
    """

    def __init__(self, path: str, servers: Sequence[str], log: Log) -> None:
        if path and not path.endswith(".prom"):
            raise ConfigError(
                f"metrics: {path!r} does not end in .prom, so that node_exporter would not read it"
            )
        self._path = path
        self._servers = servers
        self._log = log
        self._due = 0

    def run(self, values: Callable[[], dict[str, Any]], uptime: int) -> None:
        """Write it if it is time; `uptime` is seconds of a clock that nobody sets. Does not raise.

        Args:
            values: gives what `status.collect` does.
            uptime: now.
        """
        if not self._path or uptime < self._due:
            return
        self._due = uptime + INTERVAL_SECONDS
        try:
            content = prometheus.text(values(), self._servers).encode()
            files.write_anew(self._path, content, MODE, None)
        except OSError as error:
            self._log.once(
                "metrics",
                f"the metrics {self._path!r} cannot be written: {error.strerror}; this account "
                f"(uid {os.geteuid()}) must be able to make files in that directory; trying again",
            )
        else:
            self._log.recovered("metrics", f"the metrics {self._path!r} can be written again")
