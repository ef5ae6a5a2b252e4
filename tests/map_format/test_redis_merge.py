"""The entries of several filters for one address, merged for people."""

from __future__ import annotations

import pytest

from pbs_filter.errors import StoreBusy, StoreDamaged
from pbs_filter.map_format.entry import Entry, encode
from pbs_filter.map_format.redis_fields import FORGET, forgetting, sealed
from pbs_filter.map_format.redis_merge import merge, users_of

ADDRESS = "192.0.2.7"
NOW = 1000


def value(until, *, last=900, renewed=900, since=800, sessions=0, user="alice") -> bytes:
    entry = Entry(until, renewed, since, last, sessions, "dovecot", "imap", user)
    return encode(ADDRESS, entry)


def test_the_latest_end_the_latest_logins_user_and_all_sessions_count():
    fields = {
        "mx2": value(3000, last=700, since=600, sessions=2, user="bob"),
        "mx1": value(2000, last=950, sessions=1),
    }
    shared = merge(ADDRESS, fields, NOW)
    assert ("mx1", "mx2") == shared.filters
    assert Entry(3000, 900, 600, 950, 3, "dovecot", "imap", "alice") == shared.entry


def test_what_has_ended_counts_only_where_nothing_lives():
    ended = value(NOW, user="bob", last=999)
    shared = merge(ADDRESS, {"mx1": value(2000), "mx2": ended}, NOW)
    assert (("mx1",), "alice", 2000) == (shared.filters, shared.entry.user, shared.entry.until)
    assert ("mx2",) == merge(ADDRESS, {"mx2": ended}, NOW).filters


def test_an_entry_from_the_future_does_not_live():
    fields = {"mx1": value(2000), "mx2": value(9000, renewed=NOW + 2)}
    assert ("mx1",) == merge(ADDRESS, fields, NOW).filters
    del fields["mx1"]
    with pytest.raises(StoreBusy, match="written in the future"):
        merge(ADDRESS, fields, NOW)


@pytest.mark.parametrize("until", [2000, NOW], ids=["current", "ended"])
def test_an_entry_of_a_filter_that_had_not_heard_of_the_revocation_counts_no_more(until):
    later = sealed(ADDRESS.encode(), value(until, last=1), 900)
    fields = {FORGET: forgetting(900, 2000), "mx1": value(2000, last=999), "mx2": later}
    assert ("mx2",) == merge(ADDRESS, fields, NOW).filters
    del fields["mx2"]
    assert merge(ADDRESS, fields, NOW) is None


def test_damage_counts_only_where_nothing_is_current():
    with pytest.raises(StoreDamaged, match="the entry of"):
        merge(ADDRESS, {"mx1": b"x", FORGET: b"?"}, NOW)
    with pytest.raises(StoreDamaged, match="the entry of"):
        merge(ADDRESS, {"mx1": b"x", "mx2": value(NOW)}, NOW)
    assert ("mx2",) == merge(ADDRESS, {"mx1": b"x", "mx2": value(2000)}, NOW).filters


def user_value(number: int, user: str, until: int = 2000) -> bytes:
    key = f"{ADDRESS}#{number}"
    return encode(key, Entry(until, 900, 800, 900, 0, "dovecot", "imap", user))


def test_each_filters_users_count_each_with_the_latest_end():
    several = encode(ADDRESS, Entry(3000, 900, 800, 900, 0, "dovecot", "imap", "bob", 2))
    keys = {
        f"{ADDRESS}#1": {"mx1": user_value(1, "bob"), "mx2": b"x"},
        f"{ADDRESS}#2": {"mx1": user_value(2, "carol", 3000), "mx3": user_value(2, "bob", 2500)},
    }
    fields = {"mx1": several, "mx2": value(2000)}
    found = users_of(ADDRESS, fields, NOW, lambda key: {key: keys[key]})
    ends = {entry.user: entry.until for entry in found}
    assert {"alice": 2000, "bob": 2500, "carol": 3000} == ends
    assert () == users_of(ADDRESS, {"mx2": value(2000), "mx3": value(1500)}, NOW, {}.get)
    forgotten = {**fields, FORGET: b"0000000899"}  # by version 0.1.0
    assert 3 == len(users_of(ADDRESS, forgotten, NOW, lambda key: {key: keys[key]}))
    with pytest.raises(StoreDamaged):
        users_of(ADDRESS, {"mx1": several}, NOW, lambda key: {key: {"mx1": b"x"}})
