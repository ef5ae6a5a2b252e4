"""Sessions of UW's imapd."""

from __future__ import annotations

import pytest

from pbs_filter.model import Reason

from .host import BOBS, CANARY, Host, read

UW_LOGIN = "imapd[4711]: Login user=bob host=client.example.org [192.0.2.7]"


def test_uws_session_is_held_until_its_process_ends():
    host = Host().logs(UW_LOGIN, "imapd[4712]: Logout user=bob host=[192.0.2.7]")
    host.has(authorised={BOBS: "bob"}, in_session={BOBS})
    host.logs("imapd[4711]: Logout user=bob host=client.example.org [192.0.2.7]")
    host.has(authorised={BOBS: "bob"}, in_session=set())


def test_uws_logout_after_a_refused_login_proves_nothing():
    host = Host().logs(
        "imapd[4711]: Login failed user=bob auth=bob host=[203.0.113.66]",
        "imapd[4711]: Logout user=bob host=[203.0.113.66]",
    )
    host.has(authorised={}, in_session=set())


@pytest.mark.parametrize(
    "end",
    [
        "Autologout",
        "Killed",
        "Killed (lost mailbox lock)",
        "Hangup",
        "Mailbox closed (no more mail)",
        "Command stream end of file, while reading line",
        "Command stream end of file while reading line",
        "Connection reset by peer, while reading line",
        "Connection timed out, while reading auth char",
        "Unexpected client disconnect, while reading line",
        "Broken pipe, while reading line",
        "No route to host, while reading line",
        "-ERR Can't get lock.  Mailbox in use",
    ],
)
def test_every_way_out_of_a_uw_session_ends_it(end):
    host = Host().logs(UW_LOGIN, f"imapd[4711]: {end} user=bob host=[192.0.2.7]")
    host.has(authorised={BOBS: "bob"}, in_session=set())


@pytest.mark.parametrize("host", [CANARY, f"{CANARY}.evil.example", "UNKNOWN", f"[{CANARY}"])
def test_a_host_name_is_never_taken_for_uws_address(host):
    assert Reason.NO_RULE is read("imapd", f"Login user=bob host={host}")
