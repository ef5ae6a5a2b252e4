"""The quick way of reading the JSON feed gives what the decoder gives."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from pbs_filter.model import Record
from pbs_filter.syslog import json_records

STAMPS = ["2026-11-20T10:00:00.123456+01:00", "2026-11-20T09:00:00Z", "2026-13-20T09:00:00+00:00"]
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
