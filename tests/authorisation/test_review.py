"""What the site's lists exclude by now is over."""

from __future__ import annotations

import pytest

from pbs_filter.authorisation.ledger import Ledger
from pbs_filter.authorisation.policy import Policy
from pbs_filter.authorisation.review import review

NOW = 1_800_000_000
ALICES, BOBS, EVES, SHARED, BY_HAND = (f"192.0.2.{number}" for number in range(1, 6))
NETWORK = "2001:db8:0:7::/64"
ALL = {ALICES, BOBS, EVES, SHARED, BY_HAND, NETWORK}


def made() -> Ledger:
    ledger = Ledger(grace_seconds=1800, max_session_seconds=43200)
    logins = (
        (ALICES, "alice@example.org"),
        (BOBS, "bob"),
        (EVES, "eve"),
        (SHARED, "bob"),
        (SHARED, "eve"),
        (NETWORK, "carol"),
    )
    for number, (address, user) in enumerate(logins):
        ledger.login(address, user, "dovecot", "imap", f"mx1 dovecot {number}", NOW, NOW, "x")
    ledger.authorise(BY_HAND, 3600, "eve", NOW)
    return ledger


@pytest.mark.parametrize(
    ("policy", "left", "sessions"),
    [
        ({}, ALL, 6),
        ({"deny_users": ["Eve"]}, ALL - {EVES}, 4),
        ({"deny_users": ["*@example.org"]}, ALL - {ALICES}, 5),
        ({"deny_users": ["bob", "eve"]}, ALL - {BOBS, EVES, SHARED}, 2),
        ({"allow_users": ["bob"]}, {BOBS, SHARED, BY_HAND}, 2),
        ({"allow_users": []}, {BY_HAND}, 0),
        ({"deny_networks": ["192.0.2.0/30"]}, {SHARED, BY_HAND, NETWORK}, 3),
        ({"deny_networks": ["192.0.2.0/24"]}, {BY_HAND, NETWORK}, 1),
        ({"proxy_networks": ["2001:db8::/32"]}, ALL - {NETWORK}, 5),
        ({"allow_networks": ["2001:db8::/32"]}, {BY_HAND, NETWORK}, 1),
    ],
)
def test_what_is_excluded_ends_with_its_sessions(policy, left, sessions):
    ledger = made()
    count = review(ledger, Policy.of(**policy), NOW)
    assert left == set(ledger.authorisations)
    assert sessions == len(ledger.sessions)
    assert (count > 0) == (sessions < 6)
    assert 0 == review(ledger, Policy.of(**policy), NOW)


def test_a_user_who_is_denied_has_room_again_when_he_is_no_longer():
    ledger = Ledger(grace_seconds=1800, max_session_seconds=43200, max_addresses_per_user=1)
    for address, user in ((SHARED, "alice"), (SHARED, "Eve")):
        ledger.login(address, user, "dovecot", "imap", None, NOW, NOW, "x")
    assert 1 == review(ledger, Policy.of(deny_users=["eve"]), NOW)
    assert ledger.login(EVES, "eve", "dovecot", "imap", None, NOW, NOW, "x") is None


def test_lists_are_compared_by_what_they_hold():
    lists = Policy.of(deny_users=["eve"], allow_networks=["192.0.2.0/24"]).lists
    assert lists == Policy.of(deny_users=["eve"], allow_networks=["192.0.2.0/24"]).lists
    assert lists != Policy.of(deny_users=["eve"]).lists
    assert Policy.of().lists != Policy.of(allow_users=[]).lists
