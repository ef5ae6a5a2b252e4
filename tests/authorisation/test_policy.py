"""The policy: addresses and users that are never authorised, and trusted senders."""

from __future__ import annotations

import pytest

from pbs_filter.authorisation.policy import Policy
from pbs_filter.errors import ConfigError
from pbs_filter.model import Accepted, Connected, Ended, Ignored, Reason, Record, Refused
from pbs_filter.servers import SERVERS

LOGIN = Accepted(user="bob", address="192.0.2.7")


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


@pytest.mark.parametrize(
    ("address", "user", "expected"),
    [
        ("192.0.2.7", "bob@example.org", None),
        ("192.0.2.7", "BOB@Example.Org", None),
        ("192.0.2.7", "Demo@example.org", (Reason.DENIED_USER, "demo@EXAMPLE.org")),
        ("192.0.2.7", "demo@example.org*root", (Reason.DENIED_USER, "demo@EXAMPLE.org")),
        ("192.0.2.7", "bob", (Reason.NOT_AN_ALLOWED_USER, "bob")),
        ("192.0.2.7", "bob@example.org*root", None),
        (
            "198.51.100.7",
            "bob@example.org",
            (Reason.NOT_AN_ALLOWED_NETWORK, "198.51.100.7"),
        ),
        ("0.0.0.0", "bob@example.org", (Reason.SPECIAL_ADDRESS, "0.0.0.0/8")),
    ],
)
def test_only_the_allowed_users_from_the_allowed_networks(address, user, expected):
    policy = Policy.of(
        allow_networks=["192.0.2.0/24"],
        allow_users=["*@example.org"],
        deny_users=["demo@EXAMPLE.org"],
    )
    assert expected == policy.refuses(address, user, None)


def test_an_empty_list_of_allowed_users_allows_nobody():
    assert (Reason.NOT_AN_ALLOWED_USER, "bob") == (
        Policy.of(allow_users=[]).refuses("192.0.2.7", "bob", None)
    )


def test_a_denied_network_is_denied_although_it_is_local():
    policy = Policy.of(local_networks=["192.0.2.0/24"], deny_networks=["192.0.2.0/25"])
    assert (Reason.DENIED_NETWORK, "192.0.2.0/25") == policy.refuses("192.0.2.7", "b", None)


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
    assert expected == policy.distrusts(made, "dovecot", LOGIN)


def test_where_vouching_is_required_a_line_without_credentials_does_not_count():
    policy = Policy.of(require_vouched=True, trusted_hosts=["192.0.2.10"])
    for record, expected in (
        (Record("dovecot", ""), Reason.NOT_VOUCHED),
        (Record("dovecot", "", vouched=True), Reason.NOT_VOUCHED),
        (Record("dovecot", "", uid=0, vouched=True), None),
        (Record("dovecot", "", peer="192.0.2.10", vouched=True), None),
    ):
        assert expected == policy.distrusts(record, "dovecot", LOGIN)


def test_another_servers_uid_does_not_count():
    policy = Policy.of(trusted_uids={"dovecot": frozenset({97})})
    record = Record("popa3d", "", uid=97, vouched=True)
    assert Reason.FORGED is policy.distrusts(record, "popa3d", LOGIN)


UIDS = {"bob": 1000, "eve": 1001}.get
AS_BOB = Record("imapd", "", uid=1000, vouched=True)


def test_a_server_that_speaks_as_the_user_is_believed_only_as_that_user():
    policy = Policy.of(uid_of=UIDS, speaks_as_user=["uw"])
    assert policy.distrusts(AS_BOB, "uw", LOGIN) is None
    for user in ("eve", "nobody-here", ""):
        login = Accepted(user=user, address="192.0.2.7")
        assert Reason.FORGED is policy.distrusts(AS_BOB, "uw", login)
    assert Reason.FORGED is policy.distrusts(AS_BOB, "dovecot", LOGIN)
    unknown = Policy.of(speaks_as_user=["uw"])
    assert Reason.FORGED is unknown.distrusts(AS_BOB, "uw", LOGIN)


def test_a_server_that_writes_as_the_user_names_no_address_of_its_own():
    policy = Policy.of(uid_of=UIDS, writes_as_user=["popa3d"])
    assert Reason.FORGED is policy.distrusts(AS_BOB, "popa3d", LOGIN)
    assert policy.distrusts(AS_BOB, "popa3d", Accepted(user="bob", session="81")) is None
    assert Reason.FORGED is policy.distrusts(AS_BOB, "popa3d", Accepted(user="eve", session="81"))
    connected = Connected(address="203.0.113.66", session="81")
    assert Reason.FORGED is policy.distrusts(AS_BOB, "popa3d", connected)
    for harmless in (Refused(), Ignored()):
        assert policy.distrusts(AS_BOB, "popa3d", harmless) is None
        assert Reason.FORGED is policy.distrusts(AS_BOB, "dovecot", harmless)


def test_who_writes_as_the_user_ends_only_his_own_session():
    policy = Policy.of(uid_of=UIDS, writes_as_user=["popa3d"])
    end = Ended(session="81")
    assert policy.distrusts(AS_BOB, "popa3d", end, "bob") is None
    for holder in ("alice", "eve", None):
        assert Reason.FORGED is policy.distrusts(AS_BOB, "popa3d", end, holder)
    assert Reason.FORGED is policy.distrusts(AS_BOB, "popa3d", Refused(session="81"))
    assert Reason.FORGED is policy.distrusts(AS_BOB, "dovecot", end, "bob")


def test_a_bad_network_is_named():
    with pytest.raises(ConfigError, match=r"192\.0\.2\.7/24"):
        Policy.of(proxy_networks=["192.0.2.7/24"])


def _server(name: str):
    return next(server for server in SERVERS if server.name == name)


@pytest.mark.parametrize(
    ("name", "named", "words"),
    [
        ("dovecot", (), ""),
        ("mailutils", (), "not read unless servers names it: "),
        ("mailutils", ("mailutils",), "read although a piece of a line can look like a login; "),
        ("courier", (), "read where the feed shows pieces of lines (a socket); else: "),
        ("nginx", (), "its own log is read; "),
    ],
)
def test_what_an_operator_should_know_of_pieces_is_one_sentence(name, named, words):
    note = Policy.of(named=named).pieces_note(_server(name))
    assert note.startswith(words)
    assert bool(words) == bool(note)


def test_where_tls_is_required_a_server_whose_lines_cannot_say_is_named():
    by_name = {server.name: server for server in SERVERS}
    notes = {
        name: Policy.of(require_tls=True).tls_note(by_name[name]) for name in ("popa3d", "dovecot")
    }
    assert "cannot say whether there was TLS" in notes["popa3d"]
    assert "" == notes["dovecot"] == Policy.of().tls_note(by_name["popa3d"])
