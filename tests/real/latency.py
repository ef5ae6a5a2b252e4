"""How late a login counts behind each feed: `python -m tests.real.latency`, as root.

On booted machines, from the line at /dev/log until the map says yes, each feed as `--setup` makes
it; and with the line sent at once behind the daemon's restart.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from statistics import median

from .booted import Booted
from .packages import CHECKOUT

FEEDS = (
    ("rsyslog", "rsyslog", ("rsyslog",)),
    ("syslog-ng", "syslog-ng", ("syslog-ng-core",)),
    ("journal", "pbs-filter-journal", ()),
)
"""Each feed, its unit, and the packages that it needs."""
LOGINS, RESTARTS = 30, 7
_MEASURE = """\
import json, random, socket, subprocess, sys, time
from pbs_filter.lookup.answer import YES, Lookup, open_reader

def until_yes(address):
    lookup = Lookup(open_reader("/var/lib/pbs-filter/map.gdbm"))
    line = f"imap-login: Login: user=<u{address}>, method=PLAIN, rip={address}, mpid=7, TLS"
    stamp = time.strftime("%b %e %H:%M:%S")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        began = time.monotonic()
        while True:
            try:
                log.connect("/dev/log")
                log.send(f"<22>{stamp} dovecot: {line}".encode())
                break
            except OSError:
                time.sleep(0.001)
    while lookup.ask(address.encode()) != YES:
        if time.monotonic() - began > 60:
            raise SystemExit(f"{address} does not count")
        time.sleep(0.0005)
    return time.monotonic() - began

unit, logins, restarts = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
until_yes("203.0.113.1")
usual = []
for number in range(logins):
    time.sleep(random.uniform(0.2, 1.0))
    usual.append(until_yes(f"192.0.2.{number + 1}"))
behind = []
for number in range(restarts):
    subprocess.run(["systemctl", "restart", unit], check=True)
    behind.append(until_yes(f"198.51.100.{number + 10}"))
    time.sleep(1)
print(json.dumps([usual, behind]))
"""


def main() -> None:
    """Measure all of them; print the median, and the smallest and greatest time."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        built = subprocess.run(
            [CHECKOUT / "examples/debian/build", directory],
            check=True, stdout=subprocess.PIPE, text=True,
        ).stdout.strip()  # fmt: skip
        for suite in ("bookworm", "trixie"):
            for feed, unit, packages in FEEDS:
                with Booted(directory, *packages, suite=suite) as machine:
                    machine.install(Path(built))
                    machine.run("pbs-filter", "--setup", feed, "postfix", "--apply")
                    machine.run("systemctl", "daemon-reload")
                    machine.run("systemctl", "enable", "--now", unit)
                    machine.run("systemctl", "restart", unit)
                    said = machine.run("python3", "-c", _MEASURE, unit, str(LOGINS), str(RESTARTS))
                    _print(f"{suite} {feed}", json.loads(said.splitlines()[-1]))


def _print(name: str, times: tuple[list[float], list[float]]) -> None:
    usual, restarted = (
        f"{median(each):.3f} ({min(each):.3f} to {max(each):.3f}) s" for each in times
    )
    print(f"{name:<20} {usual:<30} behind a restart {restarted}", flush=True)


if __name__ == "__main__":
    main()
