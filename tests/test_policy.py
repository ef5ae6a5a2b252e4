"""Who is never authorised, and whose word counts."""

from __future__ import annotations

import pytest

from pbs_filter.errors import ConfigError
from pbs_filter.model import Reason, Record
from pbs_filter.policy import CACHE_SIZE, Policy


def test_every_network_has_its_reason_and_is_named():
    policy = Policy.of(
        local_networks=["127.0.0.0/8", "2001:db8:1::/48"],
        proxy_networks=["198.51.100.0/24"],
        deny_networks=["192.0.2.128/25"],
        deny_users=["demo"],
    )
    cases = {
        "127.0.0.5": (Reason.LOCAL_NETWORK, "127.0.0.0/8"),
        "2001:db8:1::5": (Reason.LOCAL_NETWORK, "2001:db8:1::/48"),
        "198.51.100.9": (Reason.PROXY, "198.51.100.0/24"),
        "192.0.2.200": (Reason.DENIED_NETWORK, "192.0.2.128/25"),
        "0.0.0.0": (Reason.SPECIAL_ADDRESS, "0.0.0.0/8"),
        "::": (Reason.SPECIAL_ADDRESS, "::/128"),
        "fe80::1": (Reason.SPECIAL_ADDRESS, "fe80::/10"),
        "224.0.0.1": (Reason.SPECIAL_ADDRESS, "224.0.0.0/4"),
        "192.0.2.7": None,
        "2001:db8::7": None,
    }
    for address, expected in cases.items():
        assert expected == policy.refuses(address, "bob", None)
        assert expected == policy.refuses(address, "bob", None)  # remembered


def test_the_servers_own_address_and_denied_users():
    policy = Policy.of(deny_users=["demo"])
    assert (Reason.OWN_ADDRESS, "192.0.2.7") == policy.refuses("192.0.2.7", "bob", "192.0.2.7")
    assert policy.refuses("192.0.2.7", "bob", "192.0.2.1") is None
    assert (Reason.DENIED_USER, "demo") == policy.refuses("192.0.2.7", "demo", None)


def test_a_denied_network_is_denied_although_it_is_local():
    policy = Policy.of(local_networks=["192.0.2.0/24"], deny_networks=["192.0.2.0/25"])
    assert (Reason.DENIED_NETWORK, "192.0.2.0/25") == policy.refuses("192.0.2.7", "b", None)


def test_what_is_remembered_is_bounded():
    policy = Policy.of(deny_networks=["192.0.2.0/24"])
    for i in range(CACHE_SIZE + 10):
        policy.refuses(f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}", "bob", None)
    assert len(policy._verdicts) <= CACHE_SIZE
    assert (Reason.DENIED_NETWORK, "192.0.2.0/24") == policy.refuses("192.0.2.1", "b", None)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"uid": 0, "vouched": True}, None),
        ({"uid": 97, "vouched": True}, None),
        ({"uid": 1000, "vouched": True}, Reason.FORGED),
        ({"peer": "192.0.2.10", "vouched": True}, None),
        ({"peer": "192.0.2.10", "uid": 0, "vouched": True}, None),
        ({"peer": "203.0.113.66", "vouched": True}, Reason.UNTRUSTED_HOST),
        ({"peer": "203.0.113.66", "uid": 0, "vouched": True}, Reason.UNTRUSTED_HOST),
        ({"vouched": True}, None),
        ({}, None),
    ],
)
def test_whose_word_counts(record, expected):
    policy = Policy.of(trusted_hosts=["192.0.2.10"], trusted_uids={"dovecot": frozenset({97})})
    made = Record(program="dovecot", message="", **record)
    assert expected == policy.distrusts(made, "dovecot")


def test_where_vouching_is_required_a_line_without_credentials_does_not_count():
    policy = Policy.of(require_vouched=True, trusted_hosts=["192.0.2.10"])
    for record, expected in (
        (Record("dovecot", ""), Reason.NOT_VOUCHED),
        (Record("dovecot", "", vouched=True), Reason.NOT_VOUCHED),
        (Record("dovecot", "", uid=0, vouched=True), None),
        (Record("dovecot", "", peer="192.0.2.10", vouched=True), None),
    ):
        assert expected == policy.distrusts(record, "dovecot")


def test_another_servers_uid_does_not_count():
    policy = Policy.of(trusted_uids={"dovecot": frozenset({97})})
    record = Record("popa3d", "", uid=97, vouched=True)
    assert Reason.FORGED is policy.distrusts(record, "popa3d")


def test_a_server_that_writes_as_the_user_is_believed_only_as_that_user():
    policy = Policy.of(uid_of={"bob": 1000, "eve": 1001}.get, speaks_as_user=["uw"])
    record = Record("imapd", "", uid=1000, vouched=True)
    assert policy.distrusts(record, "uw", "bob") is None
    assert Reason.FORGED is policy.distrusts(record, "uw", "eve")
    assert Reason.FORGED is policy.distrusts(record, "uw", "nobody-here")
    assert Reason.FORGED is policy.distrusts(record, "uw", None)
    assert Reason.FORGED is policy.distrusts(record, "dovecot", "bob")
    assert Reason.FORGED is Policy.of(speaks_as_user=["uw"]).distrusts(record, "uw", "bob")


def test_a_bad_network_is_named():
    with pytest.raises(ConfigError, match=r"192\.0\.2\.7/24"):
        Policy.of(proxy_networks=["192.0.2.7/24"])
