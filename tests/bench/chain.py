"""`python -m tests.bench.chain`: from a login at the POP server to a lookup's yes (root).

The whole chain is real: Dovecot, rsyslogd with the shipped drop-in, the filter, and a `pbs-lookup`
that is asked as Postfix asks it. The time begins with the server's "+OK" to the password (when the
line may not even have been written) and ends with the first yes; the question is repeated without
a pause.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.real.daemons.dovecot import Dovecot
from tests.real.daemons.process import wait_for
from tests.real.scenario import BOB
from tests.real.shipped import Installed, shipped

from .command import options, tell
from .lookups import by_stdio
from .rows import Row

PATIENCE_SECONDS = 5.0


class Sizes(NamedTuple):
    """How much is measured."""

    logins: int = 300


SHORT = Sizes(logins=3)


def seconds_until_yes(directory: Path, sizes: Sizes) -> Iterator[float]:
    """How long each login took to be known."""
    installed = Installed(
        directory / "installed",
        "local_networks = []\nrequire_vouched = true\nmax_addresses_per_user = 0\n",
    )
    site = directory / "dovecot"
    site.mkdir()
    with Dovecot(site, rules=shipped("rsyslog/pbs-filter.conf", installed.paths)) as dovecot:
        dovecot.client("pop3", source="127.0.0.99").close()  # the first line starts the filter
        wait_for(installed.map.exists, "the filter's map")
        with by_stdio(installed.map) as (lookup, _):
            for number in range(sizes.logins):
                source = f"127.0.{number // 200 + 1}.{number % 200 + 1}"
                payload = f"pbs {source}"
                question = f"{len(payload)}:{payload},".encode()
                client = dovecot.client("pop3", source=source)
                assert client.login(BOB.name, BOB.password)
                began = time.perf_counter()
                answer = b""
                while b"OK" not in answer:
                    lookup.sendall(question)
                    answer = lookup.recv(100)
                    taken = time.perf_counter() - began
                    assert taken < PATIENCE_SECONDS, (source, answer, installed.said())
                yield taken
                client.logout()


def rows(sizes: Sizes) -> Iterator[Row]:
    """Median and 99th percentile."""
    with TemporaryDirectory(prefix="pbs-bench-") as name:
        taken = sorted(seconds_until_yes(Path(name), sizes))
    late = taken[min(len(taken) - 1, len(taken) * 99 // 100)]
    yield Row("login at Dovecot until yes, median", statistics.median(taken) * 1000, "ms", 5)
    yield Row("login at Dovecot until yes, 99th percentile", late * 1000, "ms", 50)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status; figures that miss their target are no error."""
    arguments = options("chain", __doc__).parse_args(argv)
    tell(rows(SHORT if arguments.short else Sizes()), arguments.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
