"""The usage for --report: logins by device, addresses that were let in, sums by the day."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.authorisation import counters
from pbs_filter.authorisation.counters import Counts, Login
from pbs_filter.monitor import usage as module
from pbs_filter.monitor.usage import DAY_SECONDS, Device, Totals, Usage

NOW = 1_800_000_000
TODAY = "2027-01-15"
BOB = Login("192.0.2.7", "bob", "dovecot", "imap")
ALICE = Login("192.0.2.8", "Alice", "popa3d", "pop3")
NOTHING = Totals({}, {}, 0)


def taken(days_kept: int = 30, **what) -> Usage:
    usage = Usage(NOW, days_kept)
    usage.take(NOW, TODAY, what.get("logins", {}), what.get("used", {}), NOTHING)
    return usage


def test_logins_are_counted_by_device_and_day():
    usage = taken(logins={BOB: 2, ALICE: 1})
    usage.take(NOW + DAY_SECONDS, "2027-01-16", {BOB: 3}, {}, NOTHING)
    device = usage.devices[BOB]
    assert {TODAY: 2, "2027-01-16": 3} == device.days
    assert (NOW, NOW + DAY_SECONDS) == (device.first, device.last)
    assert (3, 3) == tuple(usage.days[day].logins for day in (TODAY, "2027-01-16"))


def test_a_clock_that_was_set_back_makes_nothing_older():
    usage = taken(logins={BOB: 1}, used={"192.0.2.7": NOW})
    usage.take(NOW - 10, TODAY, {BOB: 1}, {"192.0.2.7": NOW - 10}, NOTHING)
    assert NOW == usage.devices[BOB].last
    assert NOW == usage.used["192.0.2.7"]
    usage.take(NOW + 1, TODAY, {}, {"192.0.2.7": NOW + 99}, NOTHING)
    assert NOW + 1 == usage.used["192.0.2.7"], "and nobody is let in in the future"


def test_counters_since_the_start_become_sums_of_days():
    usage = Usage(NOW, 30)
    usage.take(NOW, TODAY, {}, {}, Totals({"refused": 2, "ignored": 9}, {"yes": 5, "no": 0}, 3))
    usage.take(NOW, TODAY, {}, {}, Totals({"refused": 3, "forged": 1}, {"yes": 6, "no": 1}, 7))
    usage.take(NOW, "2027-01-16", {}, {}, Totals({"refused": 4, "forged": 1}, {"yes": 6}, 1))
    first, second = usage.days[TODAY], usage.days["2027-01-16"]
    assert ({"refused": 3, "forged": 1}, {"yes": 6, "no": 1}, 7) == (
        first.reasons,
        first.answers,
        first.most,
    )
    assert ({"refused": 1}, {}, 1) == (second.reasons, second.answers, second.most)


def test_what_is_new_is_to_be_written_and_what_is_not_is_not():
    usage = taken()
    assert usage.changed, "a new day"
    for what, expected in (
        (({}, {}, NOTHING), False),
        (({}, {}, Totals({"ignored": 1}, {}, 0)), False),
        (({BOB: 1}, {}, NOTHING), True),
        (({}, {"192.0.2.7": NOW}, NOTHING), True),
        (({}, {}, Totals({}, {"no": 1}, 0)), True),
        (({}, {}, Totals({"refused": 1}, {}, 0)), True),
        (({}, {}, Totals({}, {}, 1)), True),
    ):
        usage.changed = False
        usage.take(NOW, TODAY, *what)
        assert expected == usage.changed, what


def test_what_is_older_than_the_history_is_forgotten_with_the_next_day():
    usage = taken(days_kept=2, logins={BOB: 1, ALICE: 1}, used={"192.0.2.7": NOW, "::1": NOW})
    for number in (1, 2):
        now = NOW + number * DAY_SECONDS
        usage.take(now, f"2027-01-{15 + number}", {BOB: 1}, {"192.0.2.7": now}, NOTHING)
    assert {BOB, ALICE} == set(usage.devices)
    later = NOW + 3 * DAY_SECONDS
    usage.take(later, "2027-01-18", {}, {}, NOTHING)
    assert {BOB} == set(usage.devices)
    assert {"2027-01-16": 1, "2027-01-17": 1} == usage.devices[BOB].days
    assert {"192.0.2.7": NOW + 2 * DAY_SECONDS} == usage.used
    assert ["2027-01-16", "2027-01-17", "2027-01-18"] == list(usage.days)


def test_only_the_newest_devices_are_kept(monkeypatch):
    monkeypatch.setattr(module, "MAX_DEVICES", 10)
    usage = taken()
    for number in range(11):
        login = BOB._replace(address=f"192.0.2.{number}")
        usage.take(NOW + number, TODAY, {login: 1}, {login.address: NOW + number}, NOTHING)
    assert 9 == len(usage.devices) == len(usage.used)
    assert "192.0.2.10" in usage.used
    assert "192.0.2.1" not in usage.used
    assert 11 == usage.days[TODAY].logins, "the sums have all"


def test_an_address_or_a_user_is_erased():
    logins = {BOB: 1, ALICE: 1, ALICE._replace(address="192.0.2.7", user="alice*admin"): 1}
    used = {"192.0.2.7": NOW, "192.0.2.8": NOW, "2001:db8::7": NOW}
    usage = taken(logins=logins, used=used)
    usage.erase(NOW, user="nobody")
    assert (3, 3) == (len(usage.devices), len(usage.used))
    usage.erase(NOW, user="ALICE")
    assert {BOB} == set(usage.devices)
    assert {"192.0.2.7", "2001:db8::7"} == set(usage.used), "bob was let in from there"
    usage.erase(NOW, address="2001:db8::7")
    usage.changed = False
    usage.erase(NOW, address="192.0.2.7")
    assert ({}, {}, True) == (usage.devices, usage.used, usage.changed)


def test_a_login_of_the_doctor_is_left_out():
    usage = taken(logins={BOB: 2, ALICE: 1}, used={"192.0.2.7": NOW, "192.0.2.8": NOW})
    usage.leave_out(BOB, NOW - 1, NOW)
    assert {TODAY: 1} == usage.devices[BOB].days
    assert {"192.0.2.7", "192.0.2.8"} == set(usage.used), "another one came from there"
    usage.leave_out(ALICE, NOW - 1, NOW)
    assert [BOB] == [*usage.devices]
    assert {"192.0.2.7"} == set(usage.used)
    usage.take(NOW, TODAY, {}, {"192.0.2.8": NOW}, NOTHING)
    assert {"192.0.2.7"} == set(usage.used), "its own lookup is told late"
    assert 1 == usage.days[TODAY].logins
    usage.leave_out(ALICE, NOW, NOW)
    assert {(BOB, NOW - 1), (ALICE, NOW - 1), (ALICE, NOW)} == set(usage.tried)
    again = Usage.of_object(json.loads(json.dumps(usage.as_object())), 30)
    assert usage.tried == again.tried
    usage.erase(NOW, user="ALICE")
    assert [(BOB, NOW - 1)] == [*usage.tried]
    usage.prune(NOW + 31 * DAY_SECONDS, "2027-02-15")
    assert {} == usage.tried


def test_a_login_of_the_doctor_that_was_counted_on_forgotten_days_is_left_out():
    usage = Usage(NOW, 30)
    usage.devices[BOB] = Device(NOW, NOW, {})
    usage.leave_out(BOB, NOW, NOW)
    assert [BOB] == [*usage.devices]


def test_a_login_of_the_doctor_on_a_day_that_the_file_lacks_is_left_out():
    usage = taken(logins={BOB: 2})
    usage.days.clear()
    usage.leave_out(BOB, NOW, NOW)
    assert {TODAY: 1} == usage.devices[BOB].days
    assert {} == usage.days


def test_an_other_device_of_the_address_keeps_its_use():
    other = BOB._replace(user="carol")
    usage = taken(logins={BOB: 1, other: 1}, used={"192.0.2.7": NOW})
    usage.leave_out(BOB, NOW, NOW)
    assert ([other], {"192.0.2.7": NOW}) == ([*usage.devices], usage.used)


def test_what_lookups_tell_late_of_an_erased_address_is_not_taken(monkeypatch):
    usage = taken(logins={BOB: 1})
    usage.erase(NOW, address=BOB.address)
    usage.take(NOW + 1, TODAY, {}, {BOB.address: NOW, "192.0.2.9": NOW}, NOTHING)
    assert {"192.0.2.9": NOW} == usage.used
    usage.take(NOW + 1, TODAY, {}, {BOB.address: NOW + 1}, NOTHING)
    assert BOB.address in usage.used
    monkeypatch.setattr(module, "MAX_DEVICES", 2)
    for number in range(4):
        usage.erase(NOW, address=f"192.0.2.{number}")
    assert ["192.0.2.2", "192.0.2.3"] == list(usage._erased)


def test_an_account_without_a_name_is_not_erased_with_an_address():
    nobody = BOB._replace(user="", address="192.0.2.9")
    usage = taken(logins={nobody: 1, BOB: 1})
    usage.erase(NOW, address=BOB.address)
    assert {nobody} == set(usage.devices)


@given(
    devices=st.dictionaries(
        st.builds(Login, *[st.text()] * 4),
        st.builds(Device, *[st.integers(0, 1 << 39)] * 2, st.just({TODAY: 4})),
    ),
    used=st.dictionaries(st.text(), st.integers(0, 1 << 39)),
)
def test_a_file_gives_back_what_was_written(devices, used):
    usage = taken(logins={BOB: 2}, used={"192.0.2.7": NOW})
    usage.take(NOW, TODAY, {}, {}, Totals({"refused": 1}, {"no": 2}, 3))
    usage.devices |= devices
    usage.used |= used
    value = json.loads(json.dumps(usage.as_object()))
    assert value == Usage.of_object(value, 30).as_object() == usage.as_object()


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"since": "x"},
        {"since": -1},
        {"devices": 1},
        {"devices": [1]},
        {"devices": [["192.0.2.7"]]},
        {"devices": [[1, "bob", "dovecot", "imap", 1, 2, {}]]},
        {"devices": [["192.0.2.7", "bob", "dovecot", "imap", 1, 2, {"x": 1}]]},
        {"devices": [["192.0.2.7", "bob", "dovecot", "imap", 1, 2, {"20270115": 1}]]},
        {"devices": [["192.0.2.7", "bob", "dovecot", "imap", 1, 1 << 50, {}]]},
        {"used": []},
        {"used": {"192.0.2.7": None}},
        {"days": {"<script>": [0, 0, {}, {}]}},
        {"days": {TODAY: [0, 0, {}]}},
        {"days": {TODAY: [0, 0, {}, {"yes": "1"}]}},
    ],
)
def test_a_file_of_something_else_is_refused(change):
    value = taken(logins={BOB: 1}).as_object()
    assert Usage.of_object(value, 30)
    for broken in (value | change, None, [], "x", {}):
        with pytest.raises(ValueError, match="not as pbs-filter writes it"):
            Usage.of_object(broken, 30)


def test_logins_wait_with_their_number_and_not_without_limit(monkeypatch):
    monkeypatch.setattr(counters, "MAX_WAITING", 2)
    counts = Counts()
    for login in (BOB, ALICE, BOB, BOB._replace(user="carol"), ALICE):
        counts.add_login(login.address, login.user, "cyrus", login.server, login.protocol)
    assert {"cyrus": 5} == counts.logins
    assert {BOB: 2, ALICE: 2} == counts.take_logins()
    assert {} == counts.take_logins()
