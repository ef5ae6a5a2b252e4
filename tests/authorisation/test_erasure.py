"""Erasure: the texts that name a user or an address, and the memory beside the ledger."""

from __future__ import annotations

import pytest

from pbs_filter.authorisation.erasure import mentions
from pbs_filter.service.requests import handle

from ..pipelines import NOW, feed, new
from ..running import login


@pytest.mark.parametrize(
    ("user", "text", "expected"),
    [
        ("bob", "a\t192.0.2.7\t1\t1\t1\t1\tdovecot\timap\tbob\tline", True),
        ("BOB*root", "user=<Bob*admin>", True),
        ("bob", "c\tmx1 courier bob,192.0.2.7,40612", True),
        ("bob smith", "c\tmx1 courier bob\u2423smith,192.0.2.7,40612", True),
        ("bob", "bob@example.org", False),
        ("bob@example.org", "BOB@example.org", True),
        ("bob", "bobby", False),
        ("bob", "jim-bob", False),
        ("straße", "a\tSTRASSE\t", True),
        ("STRASSE", "user=<Straße>", True),
        ("İvan", "İvan", True),
        ("bob@example.org", "user=<Bób@example.org.>, rip", True),
        ("bob", "login bob.", True),
        ("bob", "bob.smith", False),
        ("bob", "login: [192.0.2.7] bob+INBOX.a plaintext", True),
        ("bob", "a\tbob+x\t", True),
        ("bob@example.org", "bob@example.org+a b plaintext", True),
        ("bob@example.org", "user=<bob+a@example.org>", True),
        ("bob", "bob+a@example.org", False),
        ("+49301234@example.org", "user=<+49301234+a@example.org>", True),
        ("+49301234@example.org", "user=<+49309999@example.org>", False),
    ],
)
def test_a_text_speaks_of_a_user_in_any_spelling_and_of_no_longer_name(user, text, expected):
    assert expected == mentions(user=user)(text)


@pytest.mark.parametrize(
    ("address", "text", "expected"),
    [
        ("192.0.2.7", "rip=192.0.2.7, lip=192.0.2.1", True),
        ("192.0.2.7", "ip=[::ffff:192.0.2.7]", True),
        ("192.0.2.7", "192.0.2.77", False),
        ("192.0.2.7", "192.0.2.7.9", False),
        ("192.0.2.7", "1192.0.2.7", False),
        ("2001:db8::7", "a\t2001:DB8::7\t", True),
        ("2001:db8::7", "2001:db8::7:1", False),
        ("2001:db8::/64", "d\t2001:db8::/64", True),
    ],
)
def test_a_text_speaks_of_an_address_and_of_no_longer_one(address, text, expected):
    assert expected == mentions(address=address)(text)


LINES = (
    login("192.0.2.7", user="bob").rstrip("\n"),
    *(login("192.0.2.7", user=f"user{number}").rstrip("\n") for number in range(6)),
    login("192.0.2.8", user="bob").rstrip("\n"),
    login("10.0.0.1", user="bob").rstrip("\n"),
    "Nov 20 10:00:00 mx1 popa3d[9]: Session from 192.0.2.9",
    "Nov 20 10:00:00 mx1 popa3d[10]: Session from 192.0.2.10",
    "Nov 20 10:00:00 mx1 popa3d[11]: brand new words about bob",
    "Nov 20 10:00:00 mx1 dovecot: imap-login: brand new words about eve",
)


def filled():
    return feed(new(max_addresses_per_user=1, local_networks=["10.0.0.0/8"]), *LINES)


def test_what_people_are_shown_of_an_erased_user_is_gone():
    pipeline = filled()
    assert {"bob": 1} == pipeline.noticed.over_limit
    answer = handle(pipeline, {"do": "forget", "user": "BOB", "erase": True, "uid": 0}, NOW)
    assert {"changed": True, "count": 1, "erased": True} == answer
    assert {} == pipeline.noticed.over_limit
    assert not any("bob" in users for users in pipeline.noticed.shared.values())
    assert b"bob" not in b"".join(pipeline.counts.examples.values())
    assert "bob" not in "".join(pipeline.counts.unread_examples.values())
    assert 2 == len(pipeline.correlator.pending)
    (event,) = [fields for name, fields in pipeline.ledger.events.take()[0] if name == "forgotten"]
    assert ("BOB", "erased", 0) == (event["user"], event["detail"], event["uid"])


def test_an_erased_address_is_forgotten_with_its_users_and_connections():
    pipeline = filled()
    assert "192.0.2.7" in pipeline.noticed.crowded
    for address in ("192.0.2.7", "192.0.2.9"):
        assert handle(pipeline, {"do": "forget", "address": address, "erase": True}, NOW)["erased"]
    assert {} == pipeline.noticed.shared == pipeline.noticed.crowded
    assert ["192.0.2.10"] == [address for address, _ in pipeline.correlator.pending.values()]
    assert [] == [*pipeline.ledger.authorisations]


@pytest.mark.parametrize(
    "words", [{"all": True}, {"address": "mx"}, {}], ids=["all", "no address", "nobody"]
)
def test_only_a_user_or_an_address_is_erased(words):
    assert "error" in handle(filled(), {"do": "forget", "erase": True, **words}, NOW)
