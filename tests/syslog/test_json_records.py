"""The quick way of reading the JSON feed gives what the decoder gives."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pbs_filter.model import Record
from pbs_filter.syslog import json_records

STAMPS = [
    "2026-11-20T10:00:00.123456+01:00",
    "2026-11-20T10:00:00.123456+02:00",
    "2026-11-20T09:00:00Z",
    "2026-13-20T09:00:00+00:00",
]
ODD = ["", "-", " ", "p", '"p":', "\\u0070", "\\", "\x07", "\udcff", "\N{SNOWMAN}", "x" * 300, '"']


def texts(*usual: str) -> st.SearchStrategy[str]:
    return st.one_of(st.sampled_from(usual), st.sampled_from(ODD), st.text(max_size=8))


def quoted(key: str, *usual: str) -> st.SearchStrategy[str]:
    return texts(*usual).map(lambda text: f'"{key}":"{text}"')


def number(key: str) -> st.SearchStrategy[list[str]]:
    digits = st.sampled_from(
        ["0", "1000", "4294967295", "4294967296", "007", "-1", "1.0", "99999999999"]
    )
    return st.lists(st.tuples(st.sampled_from([":", ": ", ":  "]), digits), max_size=1).map(
        lambda some: [f'"{key}"{colon}{value}' for colon, value in some]
    )


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Objects as rsyslog writes them, some of their fields odd, some of their bytes changed."""
    fields = [
        draw(quoted("t", *STAMPS)),
        draw(quoted("s", *STAMPS)),
        draw(quoted("h", "mx1")),
        draw(quoted("p", "dovecot:", "cyrus/imap[7]:", "popa3d[4711]", "nginx")),
        draw(quoted("pid", "4711")),
        draw(quoted("in", "imuxsock")),
        draw(quoted("from", "127.0.0.1", "192.0.2.9", "fe80::1%eth0", "2001:DB8::1")),
        *draw(number("proto")),
        *draw(number("uid")),
        *draw(number("juid")),
        draw(quoted("msg", " Login: user=<bob>", "message repeated 2 times: [ x]")),
    ]
    line = "{" + draw(st.sampled_from([", ", ",", ",  "])).join(fields) + "}"
    if draw(st.booleans()):
        at = draw(st.integers(0, len(line)))
        gone = draw(st.integers(0, 3))
        line = (
            line[:at]
            + draw(st.sampled_from(["", " ", '"', "\\", "}", "\r", ',"p":"x"']))
            + line[at + gone :]
        )
    return line.encode("utf-8", "surrogateescape")


@given(lines())
@example(
    b'{"t":"2026-11-20T10:00:00.123456+01:00", "s":"2026-11-20T10:00:00.123456+01:00", "h":"mx1", '
    b'"p":"dovecot:", "pid":"1", "in":"imuxsock", "from":"127.0.0.1", "juid":4294967296, "msg":""}'
)
@example(
    b'{"t":"2026-13-20T10:00:00.123456+01:00", "s":"2026-13-20T10:00:00.123456+01:00", "h":"mx1", '
    b'"p":"dovecot:", "pid":"1", "in":"imuxsock", "from":"127.0.0.1", "msg":""}'
)
def test_both_ways_give_the_same(line: bytes) -> None:
    assert json_records.decoded(line, line.decode("utf-8", "surrogateescape")) == (
        json_records.read(line)
    )


def test_what_rsyslog_writes_is_read_the_quick_way(monkeypatch) -> None:
    monkeypatch.setattr(json_records, "decoded", None)
    line = (
        b'{"t":"2026-11-20T10:00:00.123456+01:00", "s":"2026-11-20T10:00:00.123456+01:00", '
        b'"h":"mx1", "p":"dovecot:", "pid":"-", "in":"imuxsock", "from":"127.0.0.1", "uid": 0, '
        b'"msg":" imap-login: Login: user=<bob>"}'
    )
    record = json_records.read(line)
    assert isinstance(record, Record)
    assert ("dovecot", "imap-login: Login: user=<bob>", 0) == (
        record.program,
        record.message,
        record.uid,
    )


def stamped(received: str, sent: str, **more: object) -> float | None:
    """The time of a line as syslog-ng writes it."""
    fields = {"from": "127.0.0.1", "p": "dovecot", "msg": "x", "t": received, "s": sent, **more}
    record = json_records.read(json.dumps(fields).encode())
    assert isinstance(record, Record)
    return record.time_epoch


def seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


@pytest.mark.parametrize(
    ("received", "sent", "more", "expected"),
    [
        # In the second hour from 2 to 3, with the zone of the first.
        ("2026-10-25T02:30:02+01:00", "2026-10-25T02:30:01+02:00", {"uid": 0},
         "2026-10-25T02:30:01+01:00"),
        # It may have waited all that time, as far as another feed says.
        ("2026-10-25T02:30:02+01:00", "2026-10-25T02:30:01+02:00", {},
         "2026-10-25T02:30:01+02:00"),
        ("2026-10-25T02:30:02+01:00", "2026-10-25T02:30:01+02:00", {"juid": 0},
         "2026-10-25T02:30:01+02:00"),
        ("2026-10-25T02:30:02+01:00", "2026-10-25T02:30:01+02:00", {"uid": 0, "proto": 514},
         "2026-10-25T02:30:01+02:00"),
        # Written in the first, read in the second; and that with the zone of the second.
        ("2026-10-25T02:00:00+01:00", "2026-10-25T02:59:59+02:00", {"uid": 0},
         "2026-10-25T02:59:59+02:00"),
        ("2026-10-25T02:00:00+01:00", "2026-10-25T02:59:59+01:00", {"uid": 0},
         "2026-10-25T02:00:00+01:00"),
        # It has waited, or its sender is in another zone.
        ("2026-10-25T02:32:02+01:00", "2026-10-25T02:30:01+02:00", {"uid": 0},
         "2026-10-25T02:30:01+02:00"),
        ("2026-10-25T10:30:02+01:00", "2026-10-25T10:30:01+03:00", {"uid": 0},
         "2026-10-25T10:30:01+03:00"),
        # When summer time begins.
        ("2026-03-29T03:00:01+02:00", "2026-03-29T01:59:59+01:00", {"uid": 0},
         "2026-03-29T01:59:59+01:00"),
    ],
)  # fmt: skip
def test_an_hour_that_is_repeated(
    received: str, sent: str, more: dict[str, object], expected: str
) -> None:
    assert seconds(expected) == stamped(received, sent, **more)


def test_the_last_hour_that_there_is_is_no_fault() -> None:
    received, sent = "9999-12-31T23:59:59+01:00", "9999-12-31T23:59:59+02:00"
    assert seconds(received) == stamped(received, sent, uid=0)


@pytest.mark.parametrize(
    ("received", "sent", "expected"),
    [
        ("2027-01-01T00:00:03Z", "2027-12-31T00:00:10Z", "2026-12-31T00:00:10Z"),
        ("2028-03-01T00:00:03Z", "2028-12-31T00:00:10Z", "2027-12-31T00:00:10Z"),
        # A clock that is ahead, and one of the year before.
        ("2027-01-01T00:00:03Z", "2027-01-02T00:00:03Z", "2027-01-01T00:00:03Z"),
        ("2026-12-31T23:59:57Z", "2026-01-01T00:00:02Z", "2026-01-01T00:00:02Z"),
    ],
)
def test_a_time_to_which_the_daemon_gave_the_wrong_year_is_no_later(
    received: str, sent: str, expected: str
) -> None:
    assert seconds(expected) == stamped(received, sent)
