"""The trace has each step of the newest logins, while a request runs."""

from __future__ import annotations

from itertools import count
from typing import Any

from pbs_filter.authorisation.pipeline import Pipeline
from pbs_filter.authorisation.trace import ASK_SECONDS, MAX_LOGINS
from pbs_filter.service import requests

from ..pipelines import new
from ..running import login, logout

NOW = 1_800_000_000


def traced(**policy: Any) -> Pipeline:
    pipeline = new(**policy)
    ticks = count(1)
    pipeline.trace.clock = lambda: float(next(ticks))
    assert [] == logins(pipeline)
    return pipeline


def logins(pipeline: Pipeline) -> list[dict]:
    return requests.handle(pipeline, {"do": "trace"}, NOW)["logins"]


def test_each_step_has_its_time() -> None:
    pipeline = traced()
    line = login("192.0.2.7")
    pipeline.block((line + logout("x")).encode(), NOW)
    (found,) = logins(pipeline)
    expected = {
        "program": "dovecot", "pid": "", "host": "mx1", "uid": None, "peer": "",
        "server": "dovecot", "rule": "login", "address": "192.0.2.7", "user": "bob",
        "reason": None, "detail": "", "written_epoch": None,
        "read_epoch": 1.0, "journal_epoch": None, "map_epoch": None,
    }  # fmt: skip
    assert expected == {name: found[name] for name in expected}
    assert found["line"] in line
    pipeline.trace.mapped({"192.0.2.8"})
    pipeline.trace.journaled()
    pipeline.state.mapped({"192.0.2.7": b""})
    pipeline.trace.journaled()
    pipeline.trace.mapped({"192.0.2.7"})
    (found,) = logins(pipeline)
    assert (2.0, 3.0) == (found["journal_epoch"], found["map_epoch"])


def test_a_refused_login_tells_why() -> None:
    pipeline = traced(local_networks=["127.0.0.0/8"])
    pipeline.block(login("127.0.0.1").encode(), NOW)
    (found,) = logins(pipeline)
    assert ("127.0.0.1", "bob") == (found["address"], found["user"])
    assert "local_networks" in found["reason"]


def test_it_keeps_the_newest_only_and_ends_when_nobody_asks() -> None:
    pipeline = traced()
    for number in range(MAX_LOGINS + 3):
        pipeline.block(login(f"192.0.2.{number}").encode(), NOW)
    assert [f"192.0.2.{3 + n}" for n in range(MAX_LOGINS)] == [
        each["address"] for each in logins(pipeline)
    ]
    pipeline.state.tick(NOW + ASK_SECONDS - 1)
    assert pipeline.trace.is_on
    pipeline.state.tick(NOW + ASK_SECONDS)
    assert not pipeline.trace.is_on
    pipeline.block(login("192.0.2.99").encode(), NOW)
    assert [] == logins(pipeline)
