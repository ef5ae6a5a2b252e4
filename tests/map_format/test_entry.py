"""The map's value: one length with its address, readable, and worthless when damaged."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pbs_filter.map_format import check
from pbs_filter.map_format import entry as value
from pbs_filter.map_format.entry import MAX_USERS, Entry

ADDRESS = "192.0.2.7"
ENTRY = Entry(1800, 900, 800, 850, 2, "dovecot", "imap", "bob@example.org")
addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
entries = st.builds(
    Entry,
    users=st.integers(0, MAX_USERS),
    until=st.integers(0, value.MAX_EPOCH),
    renewed=st.integers(0, value.MAX_EPOCH),
    since=st.integers(0, value.MAX_EPOCH),
    last=st.integers(0, value.MAX_EPOCH),
    sessions=st.integers(0, value.MAX_SESSIONS),
    server=st.sampled_from(("dovecot", "solid-pop3d", "manual")),
    protocol=st.sampled_from(("pop3", "imap", "")),
    user=st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), max_size=11),
)


@given(addresses, entries)
def test_what_is_encoded_comes_back_and_address_and_value_have_one_length(address, entry):
    raw = value.encode(address, entry)
    assert entry == value.decode(address, raw)
    assert check.TOTAL_BYTES == len(address) + len(raw)
    assert raw[:10].isdigit()


NOW = 1_795_167_000
times = st.one_of(st.integers(NOW - 9, NOW), st.integers(-1, value.MAX_EPOCH + 1))


@given(
    address=addresses,
    entry=st.builds(
        Entry,
        until=times,
        renewed=times,
        since=times,
        last=times,
        sessions=st.integers(0, value.MAX_SESSIONS + 1),
        server=st.sampled_from(("dovecot", "manual", "a-very-long-name", "courriel-à-nous")),
        protocol=st.sampled_from(("pop3", "imap", "", "submission")),
        user=st.one_of(st.just("bob@example.org"), st.text(max_size=90)),
        users=st.just(0),
    ),
)
@example(address=ADDRESS, entry=ENTRY._replace(until=NOW, renewed=NOW, since=NOW, last=NOW))
@example(address=ADDRESS, entry=ENTRY._replace(server="courriel-à"))
def test_the_short_way_of_one_user_gives_the_same(address, entry):
    assert value.encode(address, entry) == value.encode_usual(address, *entry[:-1])


def test_the_layout_can_be_read_by_people():
    assert (b"0000001800 0000000900 0000000800 0000000850 0002 dovecot      imap ") == value.encode(
        ADDRESS, ENTRY
    )[:67]
    assert b"bob@example.org " == value.encode(ADDRESS, ENTRY)[76:92]


@pytest.mark.parametrize("at", range(len(value.encode(ADDRESS, ENTRY))))
def test_no_flipped_bit_authorises(at):
    raw = bytearray(value.encode(ADDRESS, ENTRY))
    for bit in range(8):
        raw[at] ^= 1 << bit
        assert not check.is_current(ADDRESS.encode(), bytes(raw), 1000)
        assert value.decode(ADDRESS, bytes(raw)) is None
        raw[at] ^= 1 << bit
    assert check.is_current(ADDRESS.encode(), bytes(raw), 1000)


def test_a_value_authorises_no_other_address():
    raw = value.encode(ADDRESS, ENTRY)
    assert not check.is_current(b"192.0.2.8", raw, 1000)
    assert value.decode("192.0.2.8", raw) is None


@pytest.mark.parametrize(
    ("expected", "now"),
    [(False, 898.9), (True, 899), (True, 1799.9), (False, 1800), (False, 2000)],
)
def test_an_entry_lives_from_when_it_was_written_to_its_end(expected, now):
    assert expected == check.is_current(ADDRESS.encode(), value.encode(ADDRESS, ENTRY), now)


def test_what_is_too_long_is_cut_between_characters_and_what_is_too_large_is_capped():
    entry = Entry(10**12, -5, 0, 0, 10**6, "a-very-long-server-name", "protocol", "ü" * 80)
    found = value.decode(ADDRESS, value.encode(ADDRESS, entry))
    assert (value.MAX_EPOCH, 0, value.MAX_SESSIONS) == (found.until, found.renewed, found.sessions)
    assert ("a-very-long-", "prot", "ü" * 37 + "?") == (found.server, found.protocol, found.user)


def test_what_cannot_be_printed_is_not_stored():
    entry = ENTRY._replace(user="bob\n\t\x1b\ud800")
    assert "bob????" == value.decode(ADDRESS, value.encode(ADDRESS, entry)).user


def test_a_user_whose_name_fills_the_field_may_be_another():
    grant = check.Grant(value.encode(ADDRESS, ENTRY))
    assert ("bob@example.org", ENTRY.server, ENTRY.until) == (
        grant.user,
        grant.server,
        grant.until,
    )
    assert not grant.is_cut
    assert check.Grant(value.encode(ADDRESS, ENTRY._replace(user="x" * 200))).is_cut


@pytest.mark.parametrize("character", ["x", "ü", "€", "\U0001f4a9"])
@pytest.mark.parametrize("missing", range(5))
def test_no_name_that_was_cut_looks_like_a_whole_one(character: str, missing: int):
    """`WHOLE` + a character that does not fit: it must not become the name of the user WHOLE."""
    whole = "w" * (check.TOTAL_BYTES - check.USER_AT - len(ADDRESS) - missing)
    grant = check.Grant(value.encode(ADDRESS, ENTRY._replace(user=whole + character * 5)))
    assert grant.is_cut
