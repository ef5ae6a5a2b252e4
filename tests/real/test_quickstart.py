"""examples/quickstart, as somebody types it who has just cloned this."""

from __future__ import annotations

import resource
import subprocess

from .packages import CHECKOUT

CANARY = "203.0.113.66"


def quickstart() -> tuple[str, float]:
    """What it says, and the processor time it took: others may be busy on this machine."""
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        ["examples/quickstart"],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, used.ru_utime + used.ru_stime - began.ru_utime - began.ru_stime


def test_quickstart_lists_those_who_logged_in_and_starts_quickly_the_second_time() -> None:
    said, _ = quickstart()
    listed = said[said.index("ADDRESS") : said.index("Postfix asks")].splitlines()[1:]
    assert {
        "192.0.2.7",
        "192.0.2.90",
        "192.0.2.120",
        "198.51.100.23",
        "2001:db8::25",
    } == {line.split()[0] for line in listed if line}
    assert "192.0.2.7  5:OK OK," in said
    assert f"{CANARY}  9:NOTFOUND ," in said
    assert "login: 192.0.2.7 may relay" in said
    assert "nothing: the server refused the login" in said
    assert quickstart()[1] < 2
