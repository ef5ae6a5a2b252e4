"""A filter's words on the others outlive the loss of Redis."""

from __future__ import annotations

import pytest

from pbs_filter.map_format import redis_site
from pbs_filter.map_format.redis_site import FORGOTTEN, MEMBER, RETIRED, Site


def replayed(*payloads: str) -> Site:
    site = Site()
    for payload in payloads:
        assert site.apply(payload)
    return site


def test_the_journal_keeps_instance_and_words() -> None:
    site = Site()
    assert site.name("abc")
    assert not site.name("def")
    site.hear({FORGOTTEN + "192.0.2.7": (100, 200), MEMBER + "pop2": (5, 300)}, 50)
    assert 3 == site.changes()
    payloads = site.journal_payloads()
    assert payloads == site.journal_payloads(), "until it has been told"
    site.journaled()
    assert (0, []) == (site.changes(), site.journal_payloads())
    for again in (replayed(*payloads), replayed(*site.live_payloads())):
        assert ("abc", site.words) == (again.instance, again.words)
        assert 0 == again.changes()
        assert not again.name("def")
    assert [] == list(Site().live_payloads())


def test_another_instance_is_told_once() -> None:
    site = replayed("i\tabc")
    site.rename("abc")
    assert 0 == site.changes()
    site.rename("def")
    assert ["i\tdef"] == site.journal_payloads()
    assert "def" == replayed("i\tabc", "i\tdef").instance


def test_the_later_word_counts_and_only_news_are_told() -> None:
    site = Site()
    key = FORGOTTEN + "192.0.2.7"
    site.hear({key: (100, 200)})
    assert {} == site.news(), "it is not in the journal yet"
    site.journaled()
    assert {key: (100, 200)} == site.news()
    site.hear({key: (99, 900)})
    site.hear({key: (100, 900)})
    site.hear({RETIRED + "pop2": (1, 50)}, 50)
    assert 0 == site.changes()
    site.hear({key: (101, 201)})
    site.journaled()
    assert {key: (101, 201)} == site.news()
    assert {} == site.news()


def test_each_revocation_is_later_than_all_that_are_known() -> None:
    site = Site()
    told = [site.revoke("192.0.2.7", at, 900) for at in (100, 100, 99, 200)]
    assert [100, 101, 102, 200] == told
    site.hear({FORGOTTEN + "192.0.2.7": (300, 900)})
    assert 301 == site.revoke("192.0.2.7", 250, 900)
    assert {FORGOTTEN + "192.0.2.7": (301, 900)} == site.words


def test_a_word_that_means_nothing_any_more_goes() -> None:
    site = replayed("g\tf 192.0.2.7\t1\t100", "g\tm pop2\t1\t101")
    site.hear({RETIRED + "pop3": (1, 100)})
    site.expire(100)
    assert {MEMBER + "pop2": (1, 101)} == site.words
    assert 0 == site.changes()
    site.hear({RETIRED + "pop3": (1, 300)})
    site.journaled()
    site.expire(300)
    assert {} == site.news()


def test_members_are_bounded_and_revocations_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_site, "MAX_MEMBERS", 1)
    site = Site()
    site.hear({MEMBER + f"pop{number}": (1, 100) for number in range(9)})
    site.hear({FORGOTTEN + f"192.0.2.{number}": (1, 100) for number in range(9)})
    assert 11 == len(site.words)


@pytest.mark.parametrize("payload", ["i\ta\tb", "g\tx", "g\tf x\t1\tx", "g\tf x\t1\t2\t3"])
def test_what_is_none_of_ours_is_said(payload: str) -> None:
    with pytest.raises(ValueError):
        Site().apply(payload)
    assert not Site().apply("a\t192.0.2.7")
