"""Counts of answers, from lookups to the filter: no answer waits for them, nobody is misled."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pbs_filter.errors import StoreBusy
from pbs_filter.lookup import counts
from pbs_filter.lookup.counts import ANSWERS, MAX_BYTES, PROTOCOLS, Counts
from pbs_filter.service.lookup_counts import LookupCounts

from ..running import ENVIRONMENT, Running, login, wait_for


@pytest.fixture
def place(tmp_path):
    os.chmod(tmp_path, 0o750)
    return tmp_path


@pytest.fixture
def taken(place):
    made = LookupCounts(str(place / "map"))
    yield made
    made.close()


def test_what_a_lookup_counts_the_filter_takes(place, taken):
    told = Counts(str(place / "map"))
    for answer in ("yes", "no", "no", "not now"):
        told.add("policy", answer)
    told.add("socketmap", "yes")
    told.tell()
    taken.take()
    assert {
        "policy": {"yes": 1, "no": 2, "not_now": 1},
        "socketmap": {"yes": 1, "no": 0, "not_now": 0},
    } == taken.numbers
    told.add("policy", "yes")
    told.tell(last=True)
    taken.take()
    assert 2 == taken.numbers["policy"]["yes"]


def test_it_is_told_once_a_second_and_at_the_end(place, taken, monkeypatch):
    told, clock = Counts(str(place / "map")), [100.0]
    monkeypatch.setattr(counts.time, "monotonic", lambda: clock[0])
    for _ in range(3):
        told.add("check", "no")
        told.tell()
        taken.take()
        assert 1 == taken.numbers["check"]["no"]
    clock[0] += 1
    told.tell()
    taken.take()
    assert 3 == taken.numbers["check"]["no"]


def test_without_a_filter_counts_are_kept_for_the_next(place):
    told = Counts(str(place / "map"))
    told.add("check", "yes")
    told.tell()
    taken = LookupCounts(str(place / "map"))
    told.add("check", "yes")
    told.tell(last=True)
    taken.take()
    assert 2 == taken.numbers["check"]["yes"]
    taken.close()
    assert not os.path.lexists(f"{place}/map.lookups")
    told.add("check", "yes")
    told.tell(last=True)
    Counts().tell(last=True)


def test_a_filter_that_takes_nothing_keeps_nobody_waiting(place, taken):
    told = Counts(str(place / "map"))
    for _ in range(5000):
        told.add("socketmap", "no")
        told.tell(last=True)
    taken.take()
    told.tell(last=True)
    taken.take()
    assert 5000 == taken.numbers["socketmap"]["no"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1",
        b"2 policy 1 1 1",
        b"1 policy 1 1",
        b"1 policy 1 1 1 1",
        b"1 policy -1 1 1",
        b"1 policy 1 1 x",
        b"1 policy 1 1 " + b"9" * 40,
        b"1 nonsense 1 1 1",
        b"1 policy  1 1",
        "1 policy ١ 1 1".encode(),
        b"\xff" * 200,
    ],
)
def test_what_is_not_a_count_is_passed_over(data, place, taken):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.sendto(data, str(place / "map.lookups"))
    taken.take()
    assert {} == taken.numbers


def test_no_datagram_is_longer_than_what_is_read():
    longest = f"1 {max(PROTOCOLS, key=len)} {' '.join(['9' * 9] * len(ANSWERS))}"
    assert len(longest) <= MAX_BYTES


def test_only_the_group_may_send_and_a_socket_that_was_left_is_replaced(place):
    (place / "map.lookups").write_text("left")
    taken = LookupCounts(str(place / "map"))
    status = os.stat(place / "map.lookups")
    assert (True, 0o620) == (stat.S_ISSOCK(status.st_mode), stat.S_IMODE(status.st_mode))
    taken.close()
    with pytest.raises(StoreBusy, match=r"map\.lookups"):
        LookupCounts("/nonexistent/map")


def test_status_and_metrics_have_the_answers_of_every_protocol(place):
    with Running(place, f"--metrics={place}/pbs.prom") as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7"))
        wait_for(pipeline.addresses)

        def ask(*words: str, text: str = "") -> None:
            subprocess.run(
                [sys.executable, "-m", "pbs_filter.lookup", words[0], f"--map={place}/map",
                 *words[1:]],
                input=text, env={**ENVIRONMENT, "TCPREMOTEIP": "192.0.2.7"}, text=True, check=False,
                capture_output=True,
            )  # fmt: skip

        ask("check", "192.0.2.7")
        ask("check", "192.0.2.8")
        ask("socketmap", text="13:pbs 192.0.2.7,13:pbs 192.0.2.8,")
        asked = "request=smtpd_access_policy\nclient_address=192.0.2.7\n\n"
        ask("policy", text=asked)
        ask("policy", "--trace=log", text=asked)
        ask("relaylock", "true")
        yes = {"yes": 1, "no": 0, "not_now": 0}
        both = {**yes, "no": 1}
        expected = {
            "check": both, "socketmap": both, "policy": yes, "trace": yes, "relaylock": yes
        }  # fmt: skip
        assert expected == wait_for(lambda: pipeline.status()["lookups"])
        text = pipeline.mode("--status").stdout.decode()
        assert "lookups          check 1 yes, 1 no, 0 not now; policy 1 yes" in text
        assert {f"{name}" for name in expected} <= set(PROTOCOLS)
        metrics = Path(place / "pbs.prom")
        wait_for(lambda: metrics.exists() and "lookups_total" in metrics.read_text())
