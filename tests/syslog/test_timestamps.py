"""The time in a text line: year and zone inferred, nothing invented."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.syslog.timestamps import Stamps

from ..reading import OWN_LOGS

BERLIN = ZoneInfo("Europe/Berlin")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
"""Its summer time is half an hour."""


def epoch(text):
    """Return the epoch seconds of an RFC 3339 time."""
    return int(datetime.fromisoformat(text).timestamp())


def stamps(reference="2026-11-20T12:00:00Z", zone=BERLIN):
    return Stamps(zone=zone, reference_epoch=epoch(reference), own_logs=OWN_LOGS)


SHAPES = [
    ("2026-11-20T09:11:13+01:00", "Nov 20 09:11:13 mx1 dovecot: x"),
    ("2026-11-20T09:11:13+01:00", "<22>Nov 20 09:11:13 mx1 dovecot: x"),
    ("2026-11-20T09:11:13+01:00", "Nov 20 09:11:13.999 mx1 dovecot: x"),
    ("2026-11-20T09:11:13+01:00", "Nov 20 09:11:13,999 mx1 dovecot: x"),
    ("2026-11-02T09:11:13+01:00", "Nov  2 09:11:13 mx1 dovecot: x"),
    ("2026-11-02T09:11:13+01:00", "Nov 2 09:11:13 mx1 dovecot: x"),
    ("2026-11-02T09:11:13+01:00", "Nov 02 09:11:13 mx1 dovecot: x"),
    ("2024-07-20T09:11:13+02:00", "Jul 20 2024 09:11:13 mx1 dovecot: x"),
    ("2024-07-20T09:11:13+02:00", "2024 Jul 20 09:11:13 mx1 dovecot: x"),
    ("2024-07-20T09:11:13+02:00", "Sat Jul 20 09:11:13 2024 [4711]  Stats: x"),
    ("2024-07-20T09:11:13+02:00", "Jul 20 09:11:13 2024 [4711]  Stats: x"),
    ("2026-07-20T09:11:13+02:00", "Jul 20 09:11:13 2024 dovecot: a host named 2024"),
    ("2024-07-20T09:11:13+05:00", "2024-07-20T09:11:13+05:00 mx1 dovecot: x"),
    ("2024-07-20T09:11:13+05:00", "2024-07-20T09:11:13.999999+05:00 mx1 dovecot: x"),
    ("2024-07-20T09:11:13-05:30", "2024-07-20T09:11:13-0530 mx1 dovecot: x"),
    ("2024-07-20T09:11:13Z", "2024-07-20T09:11:13Z mx1 dovecot: x"),
    ("2024-07-20T09:11:13Z", "<22>1 2024-07-20T09:11:13Z mx1 dovecot - - - x"),
    ("2024-07-20T09:11:13Z", "1 2024-07-20T09:11:13.000Z mx1 dovecot - - - x"),
    ("2024-07-20T09:11:13+02:00", "2024-07-20T09:11:13 mx1 dovecot: x"),
    ("2024-07-20T09:11:13+02:00", "2024-07-20 09:11:13 imap-login: Info: x"),
    ("2024-07-20T09:11:13+02:00", "2024-07-20 09:11:13,500 INFO  [ImapServer-1] x"),
    ("2024-07-20T09:11:13+02:00", "2024/07/20 09:11:13 [info] 7#7: *9 x"),
    ("2024-07-20T09:11:13+02:00", "dovecot: 2024-07-20 09:11:13 Info: imap-login: x"),
    ("2026-07-20T09:11:13+02:00", "dovecot: Jul 20 09:11:13 Info: imap-login: x"),
    ("2026-07-20T09:11:13+02:00", "imap-login: Jul 20 09:11:13 Info: Login: x"),
    ("2026-11-20T08:11:13Z", "1795162273 mx1 dovecot: x"),
    ("2026-11-20T08:11:13Z", "1795162273.999 mx1 dovecot: x"),
    ("2026-11-20T08:11:13Z", "@400000006b0000ab075bcd15 tcpserver: x"),
    ("2026-11-20T08:11:13Z", "@400000006b0000ab tcpserver: x"),
]


@pytest.mark.parametrize(("expected", "line"), SHAPES)
def test_every_shape_of_stamp_is_read(expected, line):
    assert epoch(expected) == stamps().read(line.encode())


NO_STAMPS = [
    "",
    "x",
    "Foo 20 09:11:13 mx1 dovecot: x",
    "Feb 31 09:11:13 mx1 dovecot: x",
    "Feb 31 2026 09:11:13 mx1 dovecot: x",
    "Nov  0 09:11:13 mx1 dovecot: x",
    "Nov 20 24:11:13 mx1 dovecot: x",
    "Nov 20 09:60:13 mx1 dovecot: x",
    "Nov 20 09:11:60 mx1 dovecot: x",
    "Feb 29 2026 09:11:13 mx1 dovecot: x",
    "Nov 20 0000 09:11:13 mx1 dovecot: x",
    "2026-02-31T09:11:13Z mx1 dovecot: x",
    "2026-13-01T09:11:13Z mx1 dovecot: x",
    "2026-11-20T09:11:13+99:00 mx1 dovecot: x",
    "0001-01-01T00:00:00+01:00 mx1 dovecot: x",
    "9999-12-31T23:59:59Z mx1 dovecot: x",
    "1 - mx1 dovecot - - - x",
    "@0000000000000000 tcpserver: x",
    "@ffffffffffffffff tcpserver: x",
    "17951622730 mx1 dovecot: x",
    "dovecot: imap-login: Login: x",
    '{"t":"2026-11-20T09:11:13Z","p":"dovecot"}',
    "x Nov 20 09:11:13 mx1 dovecot: x",
]


@pytest.mark.parametrize("line", NO_STAMPS)
def test_a_stamp_that_no_calendar_has_is_none(line):
    assert None is stamps().read(line.encode())


YEARS = [
    # written, stamp, read at
    ("2026-12-31T23:59:59Z", "Dec 31 23:59:59", "2027-01-01T00:00:05Z"),
    ("2027-01-01T00:00:01Z", "Jan  1 00:00:01", "2027-01-01T00:00:05Z"),
    ("2026-01-02T00:00:00Z", "Jan  2 00:00:00", "2027-01-01T00:00:05Z"),
    ("2026-11-20T12:00:00Z", "Nov 20 12:00:00", "2026-11-20T12:00:00Z"),
    ("2026-11-20T12:01:00Z", "Nov 20 12:01:00", "2026-11-20T12:00:00Z"),
    ("2025-11-20T12:01:01Z", "Nov 20 12:01:01", "2026-11-20T12:00:00Z"),
    ("2027-01-01T00:00:30Z", "Jan  1 00:00:30", "2026-12-31T23:59:59Z"),
    ("2024-02-29T09:11:13Z", "Feb 29 09:11:13", "2026-11-20T12:00:00Z"),
    ("2028-02-29T09:11:13Z", "Feb 29 09:11:13", "2028-02-29T09:11:13Z"),
    ("2024-02-29T09:11:13Z", "Feb 29 09:11:13", "2028-02-29T09:00:00Z"),
    ("2096-02-29T09:11:13Z", "Feb 29 09:11:13", "2103-12-31T00:00:00Z"),
]


@pytest.mark.parametrize(("expected", "stamp", "reference"), YEARS)
def test_the_year_is_the_latest_that_is_not_in_the_future(expected, stamp, reference):
    line = f"{stamp} mx1 dovecot: x".encode()
    assert epoch(expected) == stamps(reference, UTC).read(line)


def test_the_repeated_hour_is_told_by_the_order_of_the_lines():
    reader = stamps()
    told = [reader.read(f"Oct 25 {time} mx1 dovecot: x".encode()) for time, _ in REPEATED_HOUR]
    assert [epoch(f"2026-10-25T{written}") for _, written in REPEATED_HOUR] == told


REPEATED_HOUR = [
    ("01:59:59", "01:59:59+02:00"),
    ("02:00:00", "02:00:00+02:00"),
    ("02:30:00", "02:30:00+02:00"),
    ("02:29:59", "02:29:59+02:00"),  # a line that was overtaken
    ("02:59:59", "02:59:59+02:00"),
    ("02:00:00", "02:00:00+01:00"),
    ("02:30:00", "02:30:00+01:00"),
    ("02:59:59", "02:59:59+01:00"),
    ("03:00:00", "03:00:00+01:00"),
]


def test_a_repeated_hour_nobody_can_tell_is_the_earlier():
    assert epoch("2026-10-25T02:30:00+02:00") == stamps().read(b"Oct 25 02:30:00 mx1 dovecot: x")


def test_a_repeated_half_hour_is_told_as_well():
    reader = stamps(zone=LORD_HOWE)
    assert epoch("2026-04-05T01:58:00+11:00") == reader.read(b"Apr  5 01:58:00 mx1 dovecot: x")
    assert epoch("2026-04-05T01:31:00+10:30") == reader.read(b"Apr  5 01:31:00 mx1 dovecot: x")


def test_an_hour_that_the_clocks_left_out_is_read_as_if_they_had_not():
    reader = stamps()
    assert epoch("2026-03-29T03:30:00+02:00") == reader.read(b"Mar 29 02:30:00 mx1 dovecot: x")


def test_lines_out_of_order_keep_their_own_time():
    reader = stamps()
    assert epoch("2026-07-20T09:11:13+02:00") == reader.read(b"Jul 20 09:11:13 mx1 dovecot: x")
    assert epoch("2026-07-20T07:00:00+02:00") == reader.read(b"Jul 20 07:00:00 mx1 dovecot: x")


def test_a_line_from_the_future_does_not_change_how_the_next_is_read():
    reader = stamps()
    assert epoch("2099-01-01T00:00:00Z") == reader.read(b"2099-01-01T00:00:00Z mx1 dovecot: x")
    assert epoch("2026-10-25T02:30:00+02:00") == reader.read(b"Oct 25 02:30:00 mx1 dovecot: x")


def test_a_bad_stamp_is_not_remembered_for_the_next_line():
    reader = stamps()
    assert None is reader.read(b"Feb 31 09:11:13 mx1 dovecot: x")
    assert None is reader.read(b"Feb 31 09:11:13 mx1 dovecot: y")
    assert epoch("2026-02-28T09:11:13+01:00") == reader.read(b"Feb 28 09:11:13 mx1 dovecot: x")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Nov 20 09:11:13 mx1 dovecot: x", "Nov 20 09:11:13 2024 [7] x"),
        ("Nov 20 09:11:13 2024 dovecot: x", "Nov 20 09:11:13 2024 [7] x"),
        ("2026-11-20T09:11:13 mx1 dovecot: x", "2026-11-20T09:11:13+05:00 mx1 dovecot: x"),
        ("2026-11-20T09:11:13+05:00 mx1 x", "2026-11-20T09:11:13+05:30 mx1 x"),
        ("2026-11-20T09:11:13.1 mx1 dovecot: x", "2026-11-20T09:11:13.1Z mx1 dovecot: x"),
        ("Nov 20 09:11:13", "Nov 20 09:11:13 2024 [7] x"),
        ("1795162273.1 x", "17951622730 x"),
    ],
)
def test_lines_that_begin_alike_have_their_own_times(first, second):
    for line, other in ((first, second), (second, first)):
        reader = stamps()
        reader.read(line.encode())
        assert stamps().read(other.encode()) == reader.read(other.encode())


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)),
    st.timedeltas(timedelta(), timedelta(days=364)),
    st.sampled_from([UTC, BERLIN, LORD_HOWE, timezone(timedelta(hours=-11, minutes=-30))]),
)
def test_a_stamp_without_year_read_within_a_year_is_when_it_was_written(written, later, zone):
    when = written.replace(microsecond=0, tzinfo=UTC)
    line = when.astimezone(zone).strftime("%b %d %H:%M:%S mx1 dovecot: x").encode()
    found = Stamps(zone=zone, reference_epoch=(when + later).timestamp()).read(line)
    # In a repeated hour one line alone is read as the earlier.
    assert found in (
        int(when.timestamp()),
        int(when.timestamp()) - 3600,
        int(when.timestamp()) - 1800,
    )
    assert found == int(when.timestamp()) or when.astimezone(zone).fold


@given(st.binary(max_size=60) | st.from_regex(rb"[0-9T:.,+@a-f JanFeb-]{10,60}", fullmatch=True))
def test_no_bytes_raise(line):
    assert isinstance(stamps().read(line), int | None)
