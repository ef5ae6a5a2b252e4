"""Sessions of Stalwart."""

from __future__ import annotations

import json

import pytest

from pbs_filter.model import Reason

from ..pipelines import NOW, feed, new
from ..reading import read
from .host import BOBS, Host


def test_stalwart_session_is_the_clients_address_and_port():
    def span(port: int) -> str:
        return f'listenerId = "imaptls", localPort = 993, remoteIp = {BOBS}, remotePort = {port}'

    def login(port: int) -> str:
        return (
            f"stalwart: 2026-11-20T10:00:00Z INFO Authentication successful (auth.success) "
            f'{span(port)}, accountName = "bob", accountId = 9'
        )

    def end(port: int) -> str:
        return (
            "stalwart: 2026-11-20T10:00:00Z INFO IMAP connection ended (imap.connection-end) "
            f"{span(port)}, elapsed = 618ms"
        )

    host = Host().logs(login(50001), login(50002), end(50001))
    host.has(authorised={BOBS: "bob"}, in_session={BOBS})
    host.logs(end(50002))
    host.has(authorised={BOBS: "bob"}, in_session=set())


def entry(message: str, **changes: object) -> bytes:
    """Returns an entry of systemd's journal as the journal tracer sends it; ... leaves one out."""
    fields = {
        "__REALTIME_TIMESTAMP": f"{NOW}000000",
        "_HOSTNAME": "mx1",
        "_UID": "0",
        "_PID": "12",
        "SYSLOG_IDENTIFIER": "stalwart",
        "MESSAGE": message,
        "LISTENERID": "imaps",
        "LOCALPORT": "993",
        "REMOTEIP": BOBS,
        "REMOTEPORT": "50001",
        **changes,
    }
    return json.dumps({key: value for key, value in fields.items() if value is not ...}).encode()


def test_the_journal_tracers_fields_are_read_and_its_sessions_end():
    pipeline = feed(new(), entry("Authentication successful", ACCOUNTNAME="bob").decode())
    assert [BOBS] == [session.address for session in pipeline.ledger.sessions.values()]
    feed(pipeline, entry("IMAP connection ended", ELAPSED="618ms").decode())
    assert [BOBS] == [*pipeline.ledger.authorisations]
    assert not pipeline.ledger.sessions


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("x LISTENERID=imaps REMOTEIP=192.0.2.7 REMOTEPORT=50001", {}),
        ("x LISTENERID=imaps REMOTEIP=192.0.2.7 REMOTEPORT=50001 ACCOUNTNAME=b b",
         {"ACCOUNTNAME": "b b"}),
        ("x LISTENERID=imaps REMOTEIP=192.0.2.7 REMOTEPORT=50001 ACCOUNTNAME=\udce9",
         {"ACCOUNTNAME": [0xE9]}),
    ],
)  # fmt: skip
def test_the_name_comes_behind_all_other_fields(message, changes):
    record = read(entry("x", **changes))
    assert ("stalwart-journal", message) == (record.program, record.message)


@pytest.mark.parametrize("field", ["LISTENERID", "REMOTEIP", "REMOTEPORT"])
@pytest.mark.parametrize("value", [..., None, [BOBS, "203.0.113.66"]])
def test_an_entry_without_one_clear_value_is_its_message_alone(field, value):
    record = read(entry("Authentication successful", ACCOUNTNAME="bob", **{field: value}))
    assert ("stalwart", "Authentication successful") == (record.program, record.message)


@pytest.mark.parametrize("name", [["bob", "eve"], 5])
def test_a_name_that_was_sent_twice_makes_no_record(name):
    assert Reason.BAD_JSON == read(entry("x", ACCOUNTNAME=name))
