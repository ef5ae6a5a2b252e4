"""Warnings for the operator: one for each cause, and none without need."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.model import Reason
from pbs_filter.monitor.activity import (
    LEARNING_SECONDS,
    MAX_HOSTS,
    MINUTES,
    SILENT_SECONDS,
    UNKNOWN_SILENT_SECONDS,
    USUAL_LINES,
    ZONE_SAMPLES,
    ZONE_SECONDS,
    LoginRate,
    SilenceDetector,
    ZoneDetector,
    stamped,
)
from pbs_filter.monitor.warnings import (
    FADE_SECONDS,
    MAX_EACH,
    ONE_ADDRESS_LOGINS,
    UNREAD_LINES,
    Warnings,
)

from ..pipelines import NOW, as_json, feed, new
from ..running import login

DAY = 86_400


def logins(number: int, address: str = "192.0.2.7", users: int = 2) -> list[str]:
    """Lines of as many logins of `users` users."""
    return [login(address, user=f"user{i % users}").rstrip("\n") for i in range(number)]


# ---------------------------------------------------------------------- each warning


def test_lines_that_no_rule_reads_are_told_once_with_an_example_and_what_to_do():
    made, out = new(), Warnings()
    for number in range(1, UNREAD_LINES + 3):
        feed(made, "Nov 20 10:00:00 mx1 popa3d[9]: brand new words")
        said = out.look(made, NOW, number)
        if number != UNREAD_LINES:
            assert [] == said
        else:
            (text,) = said
            assert text.startswith("popa3d writes lines that no rule reads, like 'brand new words'")
            assert "pbs-filter --explain" in text
    (warned,) = out.warned.values()
    assert ("unread", NOW) == (warned.kind, warned.since)


def test_many_users_of_one_address_are_told_once_with_their_names():
    made, out = feed(new(), *logins(8, users=8)), Warnings()
    (text,) = out.look(made, NOW, 1)
    assert "5 users and more logged in from 192.0.2.7 (user0, user1, user2, user3, user4)" in text
    assert "proxy_networks" in text
    assert [] == out.look(made, NOW, 2)


def test_a_forged_line_is_told_once_for_each_uid_and_program():
    made, out = new(), Warnings()
    message = " LOGIN, user=bob, ip=[::ffff:203.0.113.66], port=[4711]"
    for second in (1, 2):
        made.block(as_json(message, uid=12345) + b"\n", NOW)
        said = out.look(made, NOW, second)
        assert (second == 1) == bool(said)
    made.block(as_json(message, uid=12346) + b"\n", NOW)
    (text,) = out.look(made, NOW, 3)
    assert text.startswith("forged: uid 12346 wrote lines as 'pop3d', refused; ")
    assert "trusted_accounts" in text


def test_a_user_over_the_limit_is_told_once_with_the_number():
    made, out = new(max_addresses_per_user=3), Warnings()
    lines = [login(f"192.0.2.{number}", user="bob").rstrip("\n") for number in range(1, 9)]
    (text,) = out.look(feed(made, *lines), NOW, 1)
    assert text.startswith("bob has 3 addresses that may relay, and logs in from more, refused; ")
    assert "max_addresses_per_user" in text
    assert {"bob": 5} == made.noticed.over_limit
    assert 5 == made.counts.reasons[Reason.USER_HAS_TOO_MANY]
    assert [] == out.look(feed(made, *lines), NOW, 2)


def test_when_all_logins_come_from_one_address_a_proxy_is_suspected():
    made, out = feed(new(), *logins(1)), Warnings()
    assert [] == out.look(made, NOW, 1)
    assert [] == out.look(feed(made, *logins(ONE_ADDRESS_LOGINS - 1)), NOW, 2)
    (text,) = out.look(feed(made, *logins(1)), NOW, 3)
    assert text.startswith("the last 50 logins, of several users, all came from 192.0.2.7; ")
    assert [] == out.look(feed(made, *logins(1)), NOW, 4)


def test_one_user_alone_at_one_address_is_no_proxy():
    made, out = feed(new(), *logins(1, users=1)), Warnings()
    for second in range(3):
        assert [] == out.look(feed(made, *logins(ONE_ADDRESS_LOGINS, users=1)), NOW, second)


def test_a_second_address_in_between_clears_the_suspicion():
    made, out = feed(new(), *logins(1)), Warnings()
    for second in range(5):
        feed(made, *logins(ONE_ADDRESS_LOGINS - 1))
        assert [] == out.look(made, NOW, second)
        feed(made, *logins(1, "192.0.2.8"))
        assert made.ledger.forget("192.0.2.8", NOW), "it is gone again before the next look"


def test_when_no_login_counts_because_all_are_local_a_proxy_is_suspected():
    made, out = feed(new(local_networks=["10.0.0.0/8"]), *logins(49, "10.0.0.1")), Warnings()
    assert [] == out.look(made, NOW, 1)
    (text,) = out.look(feed(made, *logins(1, "10.0.0.1")), NOW, 2)
    assert text.startswith("all of 50 logins came from addresses that are never authorised")
    assert [] == out.look(feed(made, *logins(1, "10.0.0.1")), NOW, 3)


def test_local_logins_beside_others_are_nothing_to_tell():
    made, out = feed(new(local_networks=["10.0.0.0/8"]), *logins(99, "10.0.0.1")), Warnings()
    assert [] == out.look(feed(made, *logins(1)), NOW, 1)


def test_what_has_not_happened_for_a_day_is_no_longer_warned_of() -> None:
    made, out = new(), Warnings()
    forged = as_json("LOGIN, user=bob, ip=[192.0.2.7], port=[1]", uid=7, **{"in": "imuxsock"})
    made.block(forged + b"\n", NOW)
    (text,) = out.look(made, NOW, 1)
    assert text.startswith("forged: uid 7")
    made.block(forged + b"\n", NOW)
    for uptime in (2, FADE_SECONDS, FADE_SECONDS + 1):
        assert [] == out.look(made, NOW, uptime)
        assert ["forged"] == [each.kind for each in out.warned.values()]
    assert [] == out.look(made, NOW, FADE_SECONDS + 2)
    assert {} == out.warned
    assert [] == out.look(made, NOW, FADE_SECONDS + 3)
    made.block(forged + b"\n", NOW)
    assert [text] == out.look(made, NOW, FADE_SECONDS + 4)


def test_texts_of_attackers_fill_neither_log_nor_memory():
    made, out = new(), Warnings()
    made.counts.forged = {(uid, "pop3d"): 1 for uid in range(10 * MAX_EACH)}
    assert MAX_EACH == len(out.look(made, NOW, 1))
    assert [] == out.look(made, NOW, 2)
    assert MAX_EACH == len(out.warned)
    assert out.look(feed(made, *logins(8, users=8)), NOW, 3), "other kinds still have room"


# ---------------------------------------------------------------------- a feed that stopped


def days_of(
    silence: SilenceDetector, nights: int = 3, *, night_seconds: int = 6 * 3600
) -> tuple[int, int]:
    """Lines every minute by day, none by night; the count and the uptime afterwards."""
    count, uptime = 0, 1000
    for night in range(nights):
        for _ in range((DAY - night_seconds) // 60):
            uptime += 60
            count += 1
            silence.look(count, uptime)
        if night < nights - 1:
            uptime += night_seconds
    return count, uptime


def test_a_night_as_quiet_as_the_others_is_no_news_and_a_longer_silence_is():
    silence = SilenceDetector()
    _, uptime = days_of(silence)
    usual = 6 * 3600 + 60
    assert usual == silence.longest()
    assert 0 == silence.lasts(uptime + 2 * usual - 1)
    assert 2 * usual == silence.lasts(uptime + 2 * usual)


def test_where_lines_never_pause_a_quarter_of_an_hour_is_told():
    silence = SilenceDetector()
    _, uptime = days_of(silence, night_seconds=0)
    assert 0 == silence.lasts(uptime + SILENT_SECONDS - 1)
    assert SILENT_SECONDS == silence.lasts(uptime + SILENT_SECONDS)


def test_before_a_day_was_watched_only_a_very_long_silence_is_told():
    silence = SilenceDetector()
    for count in range(1, 1000):
        silence.look(count, count)
    assert 0 == silence.lasts(1000 + SILENT_SECONDS)
    assert silence.lasts(1000 + UNKNOWN_SILENT_SECONDS)


def test_a_few_lines_are_no_custom():
    silence = SilenceDetector()
    for count in range(1, USUAL_LINES):
        silence.look(count, count * LEARNING_SECONDS)
    assert 0 == silence.lasts(100 * DAY)


def test_a_long_silence_of_last_month_is_forgotten():
    silence = SilenceDetector()
    count, uptime = days_of(silence, nights=2)
    assert 6 * 3600 + 60 == silence.longest()
    for _ in range(9 * DAY // 600):
        uptime += 600
        count += 1
        silence.look(count, uptime)
    assert 600 == silence.longest()


def test_a_feed_that_stops_is_told_once_and_again_only_after_it_came_back():
    made, out = new(), Warnings()
    said = []
    uptime = 0
    for uptime in range(0, 2 * DAY, 600):
        feed(made, "Nov 20 10:00:00 mx1 popa3d[9]: Session from 192.0.2.8")
        said += out.look(made, NOW + uptime, uptime)
    assert [] == said
    for more in range(600, 7200, 60):
        said += out.look(made, NOW + uptime + more, uptime + more)
    (text,) = said
    assert text.startswith("no line of a POP or IMAP server has arrived for 20 minutes; the ")
    assert "longest pause of the last days was 10 minutes; see whether" in text
    assert ["silence"] == [warned.kind for warned in out.warned.values()]
    feed(made, "Nov 20 10:00:00 mx1 popa3d[9]: Session from 192.0.2.8")
    back = out.look(made, NOW + uptime + 7200, uptime + 7200)
    assert ["lines of POP and IMAP servers arrive again"] == back
    assert {} == out.warned
    assert [] == out.look(made, NOW, uptime + 2 * 7199), "that pause is usual now"
    assert out.look(made, NOW, uptime + 3 * 7200)


# ---------------------------------------------------------------------- zones and stamps


def bsd(epoch: int, host: str = "mx1") -> bytes:
    """A line with the BSD stamp of a moment, as UTC has it."""
    stamp = datetime.fromtimestamp(epoch, UTC).strftime("%b %d %H:%M:%S")
    return f"{stamp} {host} popa3d[9]: Session from 192.0.2.8".encode()


@pytest.mark.parametrize(
    ("expected", "zone_hours"),
    [
        ("2:00 h behind", 2),
        ("5:30 h ahead of", -5.5),
        ("13:00 h ahead of", -13),
    ],
)
def test_stamps_that_are_always_whole_half_hours_off_are_another_zones(expected, zone_hours):
    out, zone = Warnings(), timezone(timedelta(hours=zone_hours))
    said = []
    for second in range(0, 2 * ZONE_SECONDS, 60):
        said += out.line(bsd(NOW + second), NOW + second, second, zone)
    (text,) = said
    assert text.startswith(f"the lines of mx1 are stamped {expected} this machine's clock")
    assert "restart" in text


def test_stamps_of_the_right_zone_tell_the_lag_and_nothing_else():
    out = Warnings()
    for second in range(0, 2 * ZONE_SECONDS, 60):
        assert [] == out.line(bsd(NOW + second - 7), NOW + second, second, UTC)
    assert 7 == out.lag_seconds
    assert out.newest is not None
    assert NOW + 2 * ZONE_SECONDS - 60 - 7 == out.newest.epoch


def test_old_lines_that_are_sent_late_are_not_another_zones():
    zones = ZoneDetector()
    for second in range(0, 10 * ZONE_SECONDS, 60):
        assert 0 == zones.look("mx1", -7200 + 0.1 * second, second)


def test_a_burst_of_lines_from_a_queue_is_not_another_zone():
    zones = ZoneDetector()
    seen = {zones.look("mx1", -3600, second) for second in range(ZONE_SECONDS)}
    assert {0} == seen
    assert -2 == zones.look("mx1", -3600, ZONE_SECONDS)


def test_each_host_has_its_own_zone_and_not_many_are_remembered():
    zones = ZoneDetector()
    for sample in range(ZONE_SAMPLES):
        at = sample * ZONE_SECONDS
        known = [zones.look("mx1", 3600, at), zones.look("mx2", 5, at)]
    assert [2, 0] == known
    for number in range(MAX_HOSTS):
        zones.look(f"other{number}", 3600, 0)
    assert 0 == zones.look("mx1", 3600, 10**6), "forgotten, so it starts anew"


def test_the_zone_that_the_stamps_are_off_by_may_change():
    zones = ZoneDetector()
    for sample in range(ZONE_SAMPLES):
        zones.look("mx1", 3600, sample * ZONE_SECONDS)
    assert 0 == zones.look("mx1", 7200, 10**6)


def test_a_line_of_the_json_feed_has_its_own_time():
    line = as_json("whatever", t="2027-01-15T08:00:00+00:00")
    assert ("mx1", 1_800_000_000.0) == stamped(line, NOW, UTC)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"nonsense",
        b"Feb 31 10:00:00 mx1 popa3d[9]: words",
        json.dumps({"h": "mx1", "p": "popa3d", "msg": "words"}).encode(),
    ],
)
def test_a_line_without_a_stamp_changes_nothing(line):
    out = Warnings()
    assert [] == out.line(line, NOW, 1, UTC)
    assert out.newest is None


YEARS = st.sampled_from(["0000", "0001", "1970", "2027", "9999"])
OFFSETS = st.sampled_from(["", "Z", "+14:00", "-23:59", "+0530"])


@given(
    st.one_of(
        st.binary(max_size=60),
        st.builds(
            lambda year, month, day, offset: (
                f"{year}-{month:02}-{day:02}T23:59:60{offset}".encode()
            ),
            YEARS,
            st.integers(0, 13),
            st.integers(0, 32),
            OFFSETS,
        ),
        st.builds(lambda day, year: f"Dec {day} {year} 23:59:59".encode(), st.integers(), YEARS),
    ),
    st.sampled_from([b" mx1 popa3d[9]: x", b"", b" nonsense"]),
    st.integers(-14, 14),
)
def test_no_line_stops_the_lookout(start, rest, hours):
    zone = timezone(timedelta(hours=hours))
    for line in (start + rest, as_json("x", t=start.decode("latin-1"))):
        Warnings().line(line, NOW, 1, zone)


def test_a_host_without_a_name_is_this_one():
    out = Warnings()
    said = []
    for second in range(0, 2 * ZONE_SECONDS, 60):
        line = bsd(NOW + second - 3600).replace(b" mx1", b"")
        said += out.line(line, NOW + second, second, UTC)
    (text,) = said
    assert text.startswith("the lines of this host are stamped 1:00 h behind")


# ---------------------------------------------------------------------- logins a minute


def test_logins_are_counted_by_the_minute():
    minutes = LoginRate()
    for total, uptime in ((1, 30), (3, 59), (3, 60), (7, 61), (7, 200), (8, 239)):
        minutes.look(total, uptime)
    assert [3, 4, 0, 1] == minutes.counts()
    minutes.look(9, 10**6)
    assert [0] * (MINUTES - 1) + [1] == minutes.counts()


def test_the_lookout_counts_logins():
    made, out = feed(new(), *logins(3)), Warnings()
    out.look(made, NOW, 1)
    assert [3] == out.logins.counts()


def test_logins_that_may_be_pieces_are_told_once_with_what_to_do():
    pipeline, warnings = new(), Warnings()
    pipeline.noticed.cut_unseen["courier"] = "start courierlogger in its one-argument form"
    (text,) = warnings.look(pipeline, 100, 1)
    assert text.startswith("logins of courier are refused: a piece of a long user name")
    assert "one-argument form" in text
    assert [] == warnings.look(pipeline, 101, 2)


def test_an_account_that_may_not_speak_is_told_with_its_server_and_what_to_set():
    pipeline, warnings = new(), Warnings()
    pipeline.counts.forged[33, "nginx"] = 1
    pipeline.counts.forged_servers[33, "nginx"] = "nginx"
    (text,) = warnings.look(pipeline, 100, 1)
    assert "trusted_accounts = {nginx = [33]}" in text
