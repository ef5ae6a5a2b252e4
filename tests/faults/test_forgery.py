"""Promise 8: ordinary users with logger(1), the network, a PTR record, a user name, an IMAP ID:
nobody gets in who may not.

With the real rsyslogd and its ParseTrusted for local users; what comes over the network and in the
texts of real lines, through a filter told as the shipped templates tell it.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbs_filter.grammar.attacks import attacks_of
from pbs_filter.servers import SERVERS
from pbs_filter.service import build

from ..fuzz.lines import fill, lines_of
from ..real.daemons.rsyslog import Rsyslog
from ..real.shipped import CANARY, NOBODY, Installed, filter_of, forged, login, send_as_nobody
from . import LONG, figure
from .lives import made

LOGIN = f"imap-login: Login: user=<eve>, method=PLAIN, rip={CANARY}, lip=192.0.2.1, mpid=7, TLS"


@pytest.fixture
def rsyslogd(tmp_path: Path) -> Iterator[tuple[Rsyslog, Installed]]:
    installed = Installed(tmp_path / "installed", "require_vouched = true\n")
    with Rsyslog.with_filter(tmp_path / "rsyslog", installed) as daemon:
        yield daemon, installed


@pytest.mark.skipif(os.geteuid() != 0, reason="speaks as root and as another user: needs root")
def test_what_an_ordinary_user_writes_is_refused_and_reported(
    rsyslogd: tuple[Rsyslog, Installed],
) -> None:
    daemon, installed = rsyslogd
    with daemon.log() as log:
        log.send(login(1))
        installed.wait_for_count(1)
        attempts = forged(filter_of(daemon.pid))
        send_as_nobody(daemon.socket, attempts)
        for more in ([], ["--id=1"], [f"--id={daemon.pid}"], ["--rfc5424"], ["--rfc3164"]):
            subprocess.run(
                ["logger", *more, "-t", "dovecot", "-u", daemon.socket, "--", LOGIN],
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                check=True,
            )
        log.send(login(2))
        installed.wait_for_count(2)
    assert CANARY not in installed.entries()
    reported = {entry["uid"] for entry in installed.status()["forged"]}
    assert {NOBODY} == reported
    figure("forged datagrams of ordinary users", len(attempts) + 5)
    figure("let in by them", 0)


FROM_OUTSIDE = [
    {"from": "198.51.100.9"},
    {"from": "198.51.100.9", "uid": 0},
    {"from": "198.51.100.9", "uid": "0", "juid": 0},
    {"from": "::ffff:198.51.100.9"},
    {"from": "2001:db8::9"},
    {"from": "127.0.0.1.example"},
    {"from": "localhost"},
    {"from": ""},  # nobody can say who
    {"from": "127.0.0.1"},
    {"from": "127.0.0.1", "uid": NOBODY},
    {"from": "127.0.0.1", "juid": NOBODY},
    {"from": "127.0.0.1", "uid": True},
    {"from": "127.0.0.1", "uid": -1},
    {"from": "127.0.0.1", "uid": 0.0},
    {"from": "127.0.0.1", "uid": "0 "},
    {"from": "127.0.0.1", "uid": 1 << 32},
]


@pytest.mark.parametrize("said", FROM_OUTSIDE, ids=json.dumps)
def test_what_nobody_vouches_for_is_refused(place: Path, said: dict[str, object]) -> None:
    pipeline = build.pipeline_of(
        made(place, require_vouched=True, trusted_hosts=["192.0.2.0/24"]), lambda _text: None
    )
    line = json.dumps({"h": "mx1", "p": "dovecot", "msg": " " + LOGIN, **said})
    pipeline.block(line.encode() + b"\n", int(time.time()))
    assert {} == pipeline.ledger.authorisations


def test_no_text_a_client_chooses_lets_another_address_in(place: Path) -> None:
    """User names, PTR names, IMAP IDs and whatever else real lines carry, filled with every known
    attack; each line as its server itself writes it."""
    pipeline = build.pipeline_of(made(place), lambda _text: None)
    now = int(time.time())
    texts = attacks_of(SERVERS)
    lines = 0
    for server in SERVERS:
        holes = list(lines_of(server))
        for number, text in enumerate(texts if LONG else texts[::15]):
            for line in fill(holes, text, number):
                pipeline.block(line.replace(b"\n", b" ") + b"\n", now)
                lines += 1
        assert CANARY not in pipeline.ledger.authorisations, server.name
    figure("lines with attacks in their texts", lines)
