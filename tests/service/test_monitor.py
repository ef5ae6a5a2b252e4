"""Warnings of a running filter: once in the log, and in --status while their cause lasts."""

from __future__ import annotations

import json
import os
import time

import pytest

from ..running import Running, login, wait_for


@pytest.fixture
def place(tmp_path):
    os.chmod(tmp_path, 0o750)
    return tmp_path


def now_stamped(text: str, *, seconds_ago: int = 0) -> str:
    """A line of popa3d with the stamp of a moment ago, as the local zone has it."""
    stamp = time.strftime("%b %e %H:%M:%S", time.localtime(time.time() - seconds_ago))
    return f"{stamp} mx1 popa3d[9]: {text}\n"


def test_a_warning_is_logged_once_and_stays_in_the_status(place):
    with Running(place) as pipeline:
        pipeline.reply()
        forged = {
            "h": "mx1",
            "p": "popa3d",
            "pid": "9",
            "uid": 12345,
            "msg": "Session from 192.0.2.8",
        }
        for _ in range(7):
            pipeline.ask(now_stamped("brand new words"))
            pipeline.ask(json.dumps(forged) + "\n")
        wait_for(lambda: 2 == len(pipeline.status()["warnings"]), "both to be noticed")
        for _ in range(3):
            pipeline.ask(now_stamped("brand new words"))
            pipeline.ask(json.dumps(forged) + "\n")
        warnings = pipeline.status()["warnings"]
        assert ["forged", "unread"] == sorted(warned["kind"] for warned in warnings)
        log = pipeline.log.read_text()
        for warned in warnings:
            assert 1 == log.count(f"{warned['sentence']}; {warned['todo']}")
        assert "uid 12345" in pipeline.mode("--status").stdout.decode()


def test_the_lag_is_how_late_the_newest_line_came(place):
    with Running(place) as pipeline:
        pipeline.reply()
        assert None is pipeline.status()["lag_seconds"]
        pipeline.ask(now_stamped("Session from 192.0.2.8", seconds_ago=90))
        assert 90 <= pipeline.status()["lag_seconds"] <= 95
        pipeline.ask(login("192.0.2.8") + now_stamped("Session from 192.0.2.8"))
        found = pipeline.status()
        assert found["lag_seconds"] <= 5
        assert abs(found["newest_stamp"] - found["last_input"]) <= 5


def test_the_journal_of_a_running_filter_is_told(place):
    with Running(place) as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7"))
        first = pipeline.status()["journal"]
        pipeline.ask(login("192.0.2.8"))
        second = pipeline.status()["journal"]
        assert first["bytes"] < second["bytes"] <= (place / "map.journal").stat().st_size
        assert first["position"].partition("-")[0] == second["position"].partition("-")[0]
    with Running(place, "--nowrite", "--confirm=yes") as pipeline:
        pipeline.reply()
        assert pipeline.status()["journal"] is None
        assert b"nothing: --nowrite" in pipeline.mode("--status").stdout


def test_a_filter_that_writes_nothing_says_what_it_would_do_beside_one_that_writes(place):
    ran = place / "ran"
    table = f'[[hook]]\non = ["authorised"]\ncommand = "touch {ran}"\n'
    exports = f'[[export]]\nformat = "cidr"\npath = "{place}/list"\n'
    (place / "config.toml").write_text(table + exports)
    with Running(place) as writing:
        writing.reply()
        assert b"OK" == writing.ask(login("192.0.2.8"))
        log = place / "trial"
        options = ("--nowrite", f"--config={place}/config.toml", f"--logto={log}")
        with Running(place, *options) as trial:
            trial.reply()
            assert b"OK" == trial.ask(login("192.0.2.7"))
            assert 1 == json.loads(trial.mode("--status", "--json", "--nowrite").stdout)["lines"]
            assert writing.status()["journal"] is not None, "each is asked by its own socket"
            wait_for(lambda: "authorised nowrite=yes address=192.0.2.7" in log.read_text())
            assert 0 == trial.end()
        assert {"192.0.2.8"} == writing.addresses()
        assert not ran.exists()
        assert not (place / "list").exists()
        assert not (place / "map.nowrite.control").exists()


def test_trouble_with_the_metrics_does_not_stop_the_filter(place):
    with Running(place, f"--metrics={place}/missing/x.prom") as pipeline:
        pipeline.reply()
        wait_for(lambda: "cannot be written" in pipeline.log.read_text())
        assert b"OK" == pipeline.ask(login("192.0.2.7"))
    done = Running(place, "--metrics=/tmp/x.txt")
    with done:
        assert 78 == done.process.wait(20)
        assert b"does not end in .prom" in done.process.stderr.read()
