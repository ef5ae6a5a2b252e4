"""Counts of answers go from lookups to the filter; no answer waits for them."""

from __future__ import annotations

import os
import pwd
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pbs_filter.config.options import Config
from pbs_filter.errors import StoreBusy
from pbs_filter.lookup import counts
from pbs_filter.lookup.counts import (
    MAX_BYTES,
    MTAS,
    PROTOCOLS,
    Counts,
    mta_of_process,
    mta_of_words,
)
from pbs_filter.lookup.protocols import sockets
from pbs_filter.lookup.protocols.sockets import Mtas
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
    told.add("socketmap", "yes", mta="exim")
    told.add("socketmap", "yes")
    told.tell()
    taken.take()
    yes = {"yes": 1, "no": 0, "not_now": 0}
    assert {
        "postfix": {"policy": {"yes": 1, "no": 2, "not_now": 1}},
        "exim": {"socketmap": yes},
        "other": {"socketmap": yes},
    } == taken.by_mta
    told.add("policy", "yes")
    told.tell(last=True)
    taken.take()
    assert 2 == taken.by_mta["postfix"]["policy"]["yes"]


def test_what_the_administrator_says_of_the_mta_counts_whatever_asks(place, taken):
    told = Counts(str(place / "map"), "sendmail")
    told.add("policy", "no", mta="exim")
    told.tell()
    taken.take()
    assert {"sendmail": {"policy": {"yes": 0, "no": 1, "not_now": 0}}} == taken.by_mta


def test_the_filter_hears_when_an_address_was_last_let_in(place, taken, monkeypatch):
    told, clock = Counts(str(place / "map")), [1000.0]
    monkeypatch.setattr(counts.time, "time", lambda: clock[0])
    told.add("policy", "yes", "192.0.2.7")
    told.add("policy", "yes", "2001:db8::/64")
    told.add("policy", "no", "192.0.2.8")
    told.add("trace", "yes", "192.0.2.9")
    told.add("policy", "not now", "192.0.2.10")
    clock[0] = 1001.5
    told.add("socketmap", "yes", "192.0.2.7")
    told.tell()
    assert {"192.0.2.7": 1001, "2001:db8::/64": 1000} == taken.take()
    assert {} == taken.take()


def test_many_addresses_are_told_in_several_datagrams_and_not_without_limit(place, monkeypatch):
    told = Counts(str(place / "map"))
    addresses = [f"2001:db8:1111:2222:3333:4444:{i:x}:7777" for i in range(1, 1001)]
    monkeypatch.setattr(counts, "MAX_USED", 1000)
    for address in [*addresses, "192.0.2.7", addresses[0]]:
        told.add("policy", "yes", address)
    told.tell()
    taken = LookupCounts(str(place / "map"))
    found: dict[str, int] = {}
    while len(found) < 1000:
        told.tell(last=True)
        more = taken.take()
        assert more, "the kernel's queue is not endless, what is taken makes room"
        found |= more
    told.tell(last=True)
    taken.take()
    assert set(addresses) == set(found)
    assert 1002 == taken.by_mta["postfix"]["policy"]["yes"]
    taken.close()


def test_it_is_told_once_a_second_and_at_the_end(place, taken, monkeypatch):
    told, clock = Counts(str(place / "map")), [100.0]
    monkeypatch.setattr(counts.time, "monotonic", lambda: clock[0])
    for _ in range(3):
        told.add("check", "no")
        told.tell()
        taken.take()
        assert 1 == taken.by_mta["other"]["check"]["no"]
    clock[0] += 1
    told.tell()
    taken.take()
    assert 3 == taken.by_mta["other"]["check"]["no"]


def test_without_a_filter_counts_are_kept_for_the_next(place):
    told = Counts(str(place / "map"))
    told.add("check", "yes", "192.0.2.7")
    told.tell()
    taken = LookupCounts(str(place / "map"))
    told.add("check", "yes")
    told.tell(last=True)
    assert ["192.0.2.7"] == list(taken.take())
    assert 2 == taken.by_mta["other"]["check"]["yes"]
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
    assert 5000 == taken.by_mta["other"]["socketmap"]["no"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"2",
        b"1 postfix policy 1 1 1",
        b"2 policy 1 1 1",
        b"2 postfix policy 1 1",
        b"2 postfix policy 1 1 1 1",
        b"2 postfix policy -1 1 1",
        b"2 postfix policy 1 1 x",
        b"2 postfix policy 1 1 " + b"9" * 40,
        b"2 postfix nonsense 1 1 1",
        b"2 nonsense policy 1 1 1",
        b"2 postfix policy  1 1",
        "2 postfix policy ١ 1 1".encode(),
        b"used 1000",
        b"used x 192.0.2.7",
        b"used 1000 192.0.2.7 more",
        b"used 1000 192.0.2.007",
        b"used 1000 <script>",
        b"used 1000 192.0.2.7/<script>",
        b"used 1000 2001:DB8::7",
        b"used 9999999999999 192.0.2.7",
        b"\xff" * 200,
    ],
)
def test_what_is_not_a_count_is_passed_over(data, place, taken):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.sendto(data, str(place / "map.lookups"))
    assert {} == taken.take()
    assert {} == taken.by_mta


def test_no_datagram_is_longer_than_what_is_read():
    longest = f"2 {max(MTAS, key=len)} {max(PROTOCOLS, key=len)} {' '.join(['9' * 9] * 3)}\n"
    assert len(longest) * len(MTAS) * len(PROTOCOLS) <= MAX_BYTES
    longest = f"used {'9' * 12} 2001:db8:1111:2222:3333:4444:5555:6666/128\n"
    assert len(longest) <= 64, "so many are put into one"


def test_the_mta_is_seen_by_its_program():
    assert "qmail" == mta_of_words(["setuidgid", "qmaild", "/var/qmail/bin/qmail-smtpd"])
    assert "courier" == mta_of_words(["/usr/lib/courier/courier/courieresmtpd"])
    assert "" == mta_of_words(["true"])
    with subprocess.Popen(["/bin/sh", "-c", "read x"], stdin=subprocess.PIPE) as shell:
        assert "" == mta_of_process(shell.pid)
        shell.communicate()
    assert "" == mta_of_process(shell.pid)


def test_the_mta_is_seen_by_its_account_and_for_root_by_its_process(monkeypatch):
    account = pwd.getpwuid(os.getuid()).pw_name
    asked = []
    monkeypatch.setattr(sockets, "mta_of_process", lambda pid: asked.append(pid) or "sendmail")
    monkeypatch.setattr(sockets, "MAX_PIDS", 1)
    mtas = Mtas()
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.socket() as tcp:
        assert "" == mtas.of_peer(tcp)
        of_root = "sendmail" if os.getuid() == 0 else ""
        assert [of_root] * 2 == [mtas.of_peer(ours) for _ in range(2)]
        assert len(asked) <= 1, "a process is looked at once"
        mtas._of_pid = {-5: "exim"}
        assert of_root == mtas.of_peer(ours)
        monkeypatch.setitem(sockets.ACCOUNTS, account, "exim")
        assert "exim" == Mtas().of_peer(ours)
        monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
        assert of_root == Mtas().of_peer(ours)


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
        by_mta = pipeline.status()["lookups_by_mta"]
        assert {"policy": yes, "trace": yes} == by_mta["postfix"]
        assert {"check": both, "socketmap": both, "relaylock": yes} == by_mta["other"]
        text = pipeline.mode("--status").stdout.decode()
        assert "lookups          other check 1 yes, 1 no, 0 not now; other relaylock 1 yes" in text
        assert "; postfix policy 1 yes, 0 no, 0 not now; " in text
        assert {f"{name}" for name in expected} <= set(PROTOCOLS)
        metrics = Path(place / "pbs.prom")
        wait_for(lambda: metrics.exists() and "lookups_total" in metrics.read_text())


def test_a_lookup_in_redis_tells_the_filter_on_its_host(place, taken):
    done = subprocess.run(
        [sys.executable, "-m", "pbs_filter.lookup", "check", f"--counts={place}/map",
         "--map=redis://127.0.0.1:1", "--mta=exim", "192.0.2.7"],
        env=ENVIRONMENT, check=False, capture_output=True,
    )  # fmt: skip
    assert 75 == done.returncode
    assert {} == taken.take()
    assert {"exim": {"check": {"yes": 0, "no": 0, "not_now": 1}}} == taken.by_mta
    assert counts.REDIS_PATH == Config().local_state
