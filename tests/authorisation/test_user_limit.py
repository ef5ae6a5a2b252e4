"""The limit of addresses of one user, against an oracle that is told the whole history."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbs_filter.authorisation.ledger import Ledger
from pbs_filter.authorisation.user_names import user_key
from pbs_filter.model import Reason

GRACE = 100
MAX_SESSION = 450
START = 1_000_000
MOST = 2
ADDRESSES = ("192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1")
NAMES = ("bob", "BOB", "Bob*admin", "alice")
KEYS = ("mx dovecot a", "mx dovecot b", "mx dovecot c")


def new_ledger(most: int = MOST) -> Ledger:
    return Ledger(grace_seconds=GRACE, max_session_seconds=MAX_SESSION, max_addresses_per_user=most)


# ------------------------------------------------------------------ the limit


@dataclass
class Oracle:
    """Every permission that a user's own logins gave, recomputed from the whole history."""

    grants: list[tuple[str, str, int]] = field(default_factory=list)  # user, address, end
    spans: list[list] = field(default_factory=list)  # user, address, key, opened, ended or None

    def addresses(self, user: str, now: int) -> set[str]:
        living = {address for who, address, end in self.grants if who == user and now < end}
        for who, address, _, opened, ended in self.spans:
            end = min(now if ended is None else ended, opened + MAX_SESSION)
            if who == user and now < end + GRACE:
                living.add(address)
        return living


logins = st.tuples(
    st.just("login"),
    st.sampled_from(NAMES),
    st.sampled_from(ADDRESSES),
    st.sampled_from((None, *KEYS)),
)
others = st.one_of(
    st.tuples(st.just("logout"), st.just(""), st.just(""), st.sampled_from(KEYS)),
    st.tuples(st.just("forget"), st.just(""), st.sampled_from(ADDRESSES), st.none()),
    st.tuples(st.just("shift"), st.just(""), st.just(""), st.none()),
    st.tuples(st.just("restart"), st.just(""), st.just(""), st.none()),
)
histories = st.lists(
    st.tuples(st.integers(0, GRACE // 2), st.one_of(logins, logins, logins, others)), max_size=40
)


@settings(max_examples=400)
@given(histories)
def test_no_history_of_logins_gives_one_user_more_than_so_many_addresses(history):
    ledger, oracle = new_ledger(), Oracle()
    now = START
    for wait, (kind, user, address, key) in history:
        now += wait
        ledger.tick(now)
        if kind == "forget":
            ledger.forget(address, now)
            oracle.grants = [each for each in oracle.grants if each[1] != address]
            oracle.spans = [each for each in oracle.spans if each[1] != address]
        elif kind == "logout":
            ledger.logout(key, now, now)
            for span in oracle.spans:
                if span[2] == key and span[4] is None:
                    span[4] = now
        elif kind == "restart":
            written, ledger = [*ledger.live_payloads()], new_ledger()
            for payload in written:
                assert ledger.apply(payload)
            ledger.restored(now)
        elif kind == "shift":
            ledger.shift(1000)
            now += 1000
            oracle.grants = [(u, a, end + 1000) for u, a, end in oracle.grants]
            oracle.spans = [
                [u, a, k, opened + 1000, None if ended is None else ended + 1000]
                for u, a, k, opened, ended in oracle.spans
            ]
        else:
            who = user_key(user)
            before = oracle.addresses(who, now)
            reason = ledger.login(address, user, "dovecot", "imap", key, now, now)
            if reason is None:
                oracle.grants.append((who, address, now + GRACE))
                opened = ledger.sessions.get(key) if key else None
                if opened is not None and opened.opened == now and opened.address == address:
                    for span in oracle.spans:
                        if span[2] == key and span[4] is None:
                            span[4] = now
                    oracle.spans.append([who, address, key, now, None])
            else:
                assert reason is Reason.USER_HAS_TOO_MANY
                assert address not in before, "a known address goes on"
        for name in NAMES:
            assert len(oracle.addresses(user_key(name), now)) <= MOST


def test_at_the_limit_a_further_address_is_refused_and_the_known_ones_go_on():
    ledger = new_ledger()
    for address in ADDRESSES[:2]:
        assert ledger.login(address, "bob", "x", "", None, START, START) is None
    refused = [
        ledger.login(ADDRESSES[2], name, "x", "", None, START, START)
        for name in ("bob", "BOB", "bob*master")
    ]
    assert [Reason.USER_HAS_TOO_MANY] * 3 == refused
    assert ledger.login(ADDRESSES[0], "bob", "x", "", None, START + 1, START + 1) is None
    assert ledger.login(ADDRESSES[2], "alice", "x", "", None, START, START) is None


def test_a_full_map_is_named_before_the_limit_of_a_new_user():
    ledger = Ledger(
        grace_seconds=GRACE,
        max_session_seconds=MAX_SESSION,
        max_addresses=1,
        max_addresses_per_user=MOST,
    )
    taken = [ledger.login(each, "bob", "x", "", None, START, START) for each in ADDRESSES[:1]]
    assert [None] == taken
    refused = ledger.login("192.0.2.200", "alice", "x", "", None, START, START)
    assert Reason.TOO_MANY is refused


def test_there_is_room_again_when_an_address_has_ended():
    ledger = new_ledger()
    for wait, address in enumerate(ADDRESSES[:2]):
        ledger.login(address, "bob", "x", "", None, START + wait, START + wait)
    now = START + GRACE
    assert ledger.login(ADDRESSES[2], "bob", "x", "", None, now, now) is None
    assert Reason.USER_HAS_TOO_MANY is (ledger.login(ADDRESSES[3], "bob", "x", "", None, now, now))


def test_an_address_that_another_user_keeps_alive_does_not_count_for_ever():
    ledger = new_ledger()
    for address in ADDRESSES[:2]:
        ledger.login(address, "bob", "x", "", None, START, START)
    later = START + GRACE - 1
    ledger.login(ADDRESSES[0], "alice", "x", "", None, later, later)
    now = START + GRACE
    ledger.tick(now)
    assert ledger.login(ADDRESSES[2], "bob", "x", "", None, now, now) is None
    assert ledger.login(ADDRESSES[3], "bob", "x", "", None, now, now) is None
    assert Reason.USER_HAS_TOO_MANY is (ledger.login(ADDRESSES[0], "bob", "x", "", None, now, now))


@pytest.mark.parametrize("most", [1, 2])
def test_one_address_alone_counts_until_its_end(most: int):
    ledger = new_ledger(most)
    for address in ADDRESSES[:most]:
        ledger.login(address, "bob", "x", "", None, START, START)
    further = ADDRESSES[most]
    now = START + GRACE - 1
    assert Reason.USER_HAS_TOO_MANY is ledger.login(further, "bob", "x", "", None, now, now)
    assert ledger.login(further, "bob", "x", "", None, now + 1, now + 1) is None


def test_by_hand_there_is_no_limit_and_a_note_is_no_user():
    ledger = new_ledger(1)
    for address in ADDRESSES:
        ledger.authorise(address, 60, "bob", START)
    assert ledger.login("192.0.2.9", "bob", "x", "", None, START, START) is None
    ledger.authorise("192.0.2.9", 60, "a note", START)
    ledger.forget("192.0.2.9", START)
    assert ledger.login("192.0.2.10", "bob", "x", "", None, START, START) is None


def test_without_a_limit_or_a_name_nobody_is_counted():
    for most, user in ((0, "bob"), (1, "")):
        ledger = new_ledger(most)
        for number in range(50):
            address = f"192.0.2.{number}"
            key = f"mx x {number}"
            assert ledger.login(address, user, "x", "", key, START, START) is None
            ledger.logout(key, START, START)
        assert 0 == ledger.user_limit.count(user)
        ledger.restored(START)


def test_after_a_start_the_users_are_counted_anew():
    ledger = new_ledger()
    ledger.login(ADDRESSES[0], "bob", "x", "", "mx x 1", START, START)
    ledger.login(ADDRESSES[0], "alice", "x", "", "mx x 2", START, START)
    ledger.login(ADDRESSES[1], "bob", "x", "", None, START, START)
    ledger.authorise(ADDRESSES[3], 60, "alice", START)
    again = new_ledger()
    for payload in ledger.live_payloads():
        again.apply(payload)
    again.restored(START)
    assert (2, 1) == (again.user_limit.count("bob"), again.user_limit.count("alice"))
    assert Reason.USER_HAS_TOO_MANY is (
        again.login(ADDRESSES[2], "bob", "x", "", None, START, START)
    )
    assert again.login(ADDRESSES[2], "alice", "x", "", None, START, START) is None
    for address in ADDRESSES:
        again.forget(address, START)
    assert (0, 0) == (again.user_limit.count("bob"), again.user_limit.count("alice"))
