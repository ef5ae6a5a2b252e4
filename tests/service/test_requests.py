"""Requests that all filters of a site must know."""

from __future__ import annotations

import pytest

from pbs_filter.map_format.redis_site import FORGOTTEN, RETIRED
from pbs_filter.service import requests

from ..pipelines import NOW, new
from ..running import login


def test_what_is_for_all_filters_is_told_the_journal() -> None:
    pipeline = new()
    revoked = {"do": "revoke", "addresses": {"192.0.2.7": 100}, "until": 200}
    retired = {"do": "retire", "name": "pop2", "at": 5000, "until": 300}
    answer = requests.handle(pipeline, revoked, NOW)
    assert {"changed": True, "addresses": {"192.0.2.7": 100}} == answer
    assert {"changed": True} == requests.handle(pipeline, retired, NOW)
    expected = {FORGOTTEN + "192.0.2.7": (100, 200), RETIRED + "pop2": (5000, 300)}
    assert expected == pipeline.state.site.words
    assert 2 == pipeline.state.changes()
    assert 2 == len(pipeline.state.journal_payloads())
    assert 2 == pipeline.state.live()
    pipeline.state.journaled()
    assert 0 == pipeline.state.changes()
    again = new()
    for payload in pipeline.state.live_payloads():
        assert again.state.apply(payload)
    assert expected == again.state.site.words


def test_a_revocation_ends_what_this_host_knows_and_is_later_than_the_last_one() -> None:
    pipeline = new()
    for expected in (100, 101):
        pipeline.block(login("192.0.2.7").encode(), NOW)
        request = {"do": "revoke", "addresses": {"192.0.2.7": 100}, "until": 200}
        answer = requests.handle(pipeline, request, NOW)
        assert {"192.0.2.7": expected} == answer["addresses"]
        assert "192.0.2.7" not in pipeline.ledger.authorisations


@pytest.mark.parametrize("ahead", [-300, 86400])
def test_without_redis_a_revocation_has_the_time_that_redis_would_have(ahead: int) -> None:
    pipeline = new()
    pipeline.state.site.ahead = ahead
    for own_clock, expected in (
        (True, (NOW - ahead + 1, NOW + 10 - ahead)),
        (False, (NOW, NOW + 9)),
    ):
        pipeline.state.site.words.clear()
        addresses = {"192.0.2.7": NOW}
        request = {"do": "revoke", "addresses": addresses, "until": NOW + 9, "own_clock": own_clock}
        answer = requests.handle(pipeline, request, NOW)
        assert {"192.0.2.7": expected[0]} == answer["addresses"]
        assert {FORGOTTEN + "192.0.2.7": expected} == pipeline.state.site.words


def test_a_login_of_the_doctor_is_told_the_report() -> None:
    pipeline = new()
    request = {"do": "tried", "address": "192.0.2.7"}
    assert {"error": "192.0.2.7 is not authorised"} == requests.handle(pipeline, request, NOW)
    pipeline.block(login("192.0.2.7").encode(), NOW)
    (counted,) = pipeline.counts.take_logins()
    assert {"changed": True} == requests.handle(pipeline, request, NOW)
    assert [(counted, NOW)] == pipeline.counts.tried


@pytest.mark.parametrize(
    "more",
    [
        {"do": "retire", "name": "pop2"},
        {"do": "retire", "name": "pop\t2", "at": 1, "until": 2},
        {"do": "revoke", "addresses": {"192.0.2.7": "x"}, "until": 2},
        {"do": "revoke", "addresses": {"192.0.2.7": True}, "until": 2},
        {"do": "revoke", "addresses": {"192.0.2.7": 0}, "until": 2},
    ],
)
def test_what_makes_no_sense_is_not_kept(more: dict) -> None:
    pipeline = new()
    assert "are not two times" in requests.handle(pipeline, more, NOW)["error"]
    assert {} == pipeline.state.site.words


def test_no_address_is_none() -> None:
    pipeline = new()
    requests.handle(pipeline, {"do": "revoke", "addresses": [], "until": 2}, NOW)
    assert {} == pipeline.state.site.words
