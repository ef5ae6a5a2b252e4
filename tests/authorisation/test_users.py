"""Several users of one address, each with an end of its own, compared with each user alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbs_filter.authorisation.authorisations import MANUAL
from pbs_filter.authorisation.ledger import Ledger
from pbs_filter.map_format.entry import MAX_USERS, Entry, decode
from pbs_filter.model import Reason

GRACE = 100
MAX_SESSION = 450
START = 1_000_000
ADDRESSES = ("192.0.2.1", "2001:db8::1")
USERS = ("alice", "bob", "carol")

Map = dict[str, bytes]

LATER = 9_999_999_999


def new_ledger(**limits: int) -> Ledger:
    return Ledger(grace_seconds=GRACE, max_session_seconds=MAX_SESSION, **limits)


def login(ledger: Ledger, user: str, now: int, *, address=ADDRESSES[0], session: str = "") -> None:
    key = f"mx dovecot {session}" if session else None
    assert ledger.login(address, user, "dovecot", "imap", key, now, now) is None


def write(ledger: Ledger, stored: Map) -> None:
    """Bring the map up to date, as the persister does."""
    changes = ledger.map_changes()
    for key, value in changes.items():
        if value is None:
            stored.pop(key, None)
        else:
            stored[key] = value
    ledger.mapped(changes)
    assert 0 == ledger.map_dirty()


def entries(stored: Map, address: str) -> list[Entry]:
    """What a lookup reads of the users of `address`."""
    if address not in stored:
        return []
    main = decode(address, stored[address])
    assert main is not None
    keys = [f"{address}#{number}" for number in range(1, main.users + 1)]
    found = [decode(key, stored[key]) for key in keys]
    assert None not in found
    assert main.until >= max((entry.until for entry in found if entry), default=0)
    return [entry for entry in found if entry] or [main]


def may_send(stored: Map, address: str, now: int) -> set[str]:
    """The users whose entries are current."""
    found = entries(stored, address)
    return {entry.user for entry in found if entry.renewed - 1 <= now < entry.until}


operations = st.lists(
    st.tuples(
        st.integers(0, GRACE // 2),
        st.sampled_from(("login", "login", "logout", "shift")),
        st.sampled_from(ADDRESSES),
        st.sampled_from(USERS),
        st.sampled_from(("", "a", "b")),
    ),
    max_size=25,
)


def play(ledger: Ledger, history, only: str = "", stored: Map | None = None,
         payloads: list[str] | None = None) -> int:  # fmt: skip
    """Play a history, of all users or of one; the time afterwards."""
    now = START
    for wait, kind, address, user, session in history:
        now += wait
        ledger.tick(now)
        key = f"mx dovecot {address}{user}{session}"
        if kind == "shift":
            ledger.shift(wait - GRACE // 4)
            now += wait - GRACE // 4
            if payloads is not None:
                payloads.append(f"shift {wait - GRACE // 4}")
        elif only in ("", user):
            if kind == "login":
                held = key if session else None
                assert ledger.login(address, user, "dovecot", "imap", held, now, now) is None
            else:
                ledger.logout(key, now, now)
        if payloads is not None:
            payloads += ledger.journal_payloads()
        ledger.journaled()
        if stored is not None and kind == "shift":
            # The persister makes the map anew, with every end moved.
            stored.clear()
            stored.update(ledger.map_values())
            ledger.map_forgotten()
        elif stored is not None:
            write(ledger, stored)
    return now


@settings(max_examples=300)
@given(operations)
def test_each_user_may_send_exactly_as_long_as_he_alone_could(history):
    """A user's end never lengthens another's, nor shortens it."""
    ledger, stored = new_ledger(), {}
    now = play(ledger, history, stored=stored)
    alone = {user: (new_ledger(), {}) for user in USERS}
    for user, (single, map_alone) in alone.items():
        assert now == play(single, history, user, map_alone)
    for _ in range(16):
        for address in ADDRESSES:
            expected = {u for u, (_, found) in alone.items() if may_send(found, address, now)}
            assert expected == may_send(stored, address, now)
        now += GRACE // 2
        ledger.tick(now)
        write(ledger, stored)
        for single, map_alone in alone.values():
            single.tick(now)
            write(single, map_alone)
    assert {} == stored, "no key of a user is left behind"


@settings(max_examples=200)
@given(operations)
def test_the_map_made_anew_has_what_the_changes_made(history):
    ledger, stored = new_ledger(), {}
    play(ledger, history, stored=stored)
    fresh = dict(ledger.map_values())
    assert set(fresh) == set(stored)
    for address in ADDRESSES:
        assert sorted(entries(fresh, address)) == sorted(entries(stored, address))


@settings(max_examples=300)
@given(operations, st.integers(0, 3 * GRACE), st.booleans())
def test_replaying_the_journal_gives_the_same_users(history, pause, rewritten):
    ledger, payloads, old_map = new_ledger(), [], {}
    now = play(ledger, history, payloads=payloads, stored=old_map)
    if rewritten:
        payloads = list(ledger.live_payloads())
    again = new_ledger()
    for payload in payloads:
        if payload.startswith("shift "):
            again.shift(int(payload.removeprefix("shift ")))
        else:
            assert again.apply(payload)
    now += pause
    again.restored(now)
    ledger.tick(now, limit=10**6)
    stored = dict(again.map_values())
    write(ledger, old_map)
    for address in ADDRESSES:
        assert may_send(old_map, address, now) == may_send(stored, address, now)
    # The map of an orderly end is taken as it is; what was in it and ended must go.
    kept = dict(old_map)
    write(again, kept)
    for later in range(now, now + 2 * GRACE + MAX_SESSION, GRACE // 3):
        again.tick(later, limit=10**6)
        write(again, kept)
        ledger.tick(later, limit=10**6)
        write(ledger, old_map)
        for address in ADDRESSES:
            assert may_send(old_map, address, later) == may_send(kept, address, later)


@settings(max_examples=100)
@given(operations, st.sampled_from(USERS))
def test_a_user_who_is_forgotten_may_send_from_nowhere_and_the_others_go_on(history, user):
    ledger, stored = new_ledger(), {}
    now = play(ledger, history, stored=stored)
    before = {address: may_send(stored, address, now) for address in ADDRESSES}
    payloads = list(ledger.live_payloads())
    count = ledger.forget_user(user.upper(), START)
    assert count >= sum(user in names for names in before.values())
    payloads += ledger.journal_payloads()
    write(ledger, stored)
    again = new_ledger()
    for payload in payloads:
        again.apply(payload)
    again.restored(now)
    replayed = dict(again.map_values())
    for address in ADDRESSES:
        assert before[address] - {user} == may_send(stored, address, now)
        assert before[address] - {user} == may_send(replayed, address, now)
    assert not any(session.user == user for session in ledger.sessions.values())
    ledger.tick(now + MAX_SESSION + 3 * GRACE, limit=10**6)
    write(ledger, stored)
    assert {} == stored


def test_alice_goes_on_while_bob_is_logged_in_behind_the_same_address():
    ledger, stored = new_ledger(), {}
    login(ledger, "alice", START, session="1")
    login(ledger, "bob", START + 10)
    write(ledger, stored)
    assert {"alice", "bob"} == may_send(stored, ADDRESSES[0], START + 10)
    ledger.logout("mx dovecot 1", START + 20, START + 20)
    write(ledger, stored)
    assert {"alice"} == may_send(stored, ADDRESSES[0], START + 115)


def test_one_user_has_no_key_of_his_own():
    ledger, stored = new_ledger(), {}
    login(ledger, "bob", START)
    login(ledger, "bob", START + 5)
    write(ledger, stored)
    assert [ADDRESSES[0]] == list(stored)


def test_only_so_many_users_are_kept_those_with_the_newest_logins():
    ledger, stored, payloads = new_ledger(), {}, []
    names = [f"u{number}" for number in range(MAX_USERS + 5)]
    for number, name in enumerate(names):
        login(ledger, name, START + number)
        payloads += ledger.journal_payloads()
        ledger.journaled()
        write(ledger, stored)
    now = START + len(names)
    assert set(names[5:]) == may_send(stored, ADDRESSES[0], now)
    assert MAX_USERS + 1 == len(stored)
    again = new_ledger()
    for payload in payloads:
        again.apply(payload)
    again.restored(now)
    assert set(names[5:]) == may_send(dict(again.map_values()), ADDRESSES[0], now)


def test_who_is_authorised_by_hand_is_one_of_the_users_and_renewals_go_on():
    ledger, stored = new_ledger(), {}
    login(ledger, "alice", START, session="1")
    ledger.authorise(ADDRESSES[0], 86400, "scanner", START + 1)
    login(ledger, "scanner", START + 2)
    now = START + 2
    for _ in range(6):
        now += GRACE // 2
        ledger.tick(now)
        write(ledger, stored)
        assert {"alice", "scanner"} == may_send(stored, ADDRESSES[0], now)
    servers = {entry.user: entry.server for entry in entries(stored, ADDRESSES[0])}
    assert {"alice": "dovecot", "scanner": MANUAL} == servers
    assert 1 == ledger.forget_user("alice", START)
    write(ledger, stored)
    assert {"scanner"} == may_send(stored, ADDRESSES[0], now)
    assert 0 == ledger.forget_user("scanner", START), "the note of a person is no user"
    ledger.authorise(ADDRESSES[0], 10, "scanner", now)
    ledger.authorise(ADDRESSES[1], 10, "scanner", now)
    assert 2 == ledger.forget_all(START)
    write(ledger, stored)
    assert {} == stored


def test_a_login_that_is_told_late_is_a_users_too():
    ledger, stored = new_ledger(), {}
    login(ledger, "bob", START + 50)
    assert ledger.login(ADDRESSES[0], "alice", "dovecot", "imap", None, START, START + 50) is None
    write(ledger, stored)
    assert {"alice", "bob"} == may_send(stored, ADDRESSES[0], START + 50)
    assert {"bob"} == may_send(stored, ADDRESSES[0], START + 100)


def test_what_the_journal_lost_is_learned_of_each_user():
    ledger, stored = new_ledger(), {}
    login(ledger, "alice", START)
    login(ledger, "bob", START + 10)
    write(ledger, stored)
    for keys in (sorted(stored), sorted(stored, reverse=True)):
        again = new_ledger()
        found = [key for key in keys if again.learn(key, decode(key, stored[key]), LATER)]
        again.tell_again(found)
        told = again.journal_payloads()
        again.restored(START + 10)
        assert {"alice", "bob"} == may_send(dict(again.map_values()), ADDRESSES[0], START + 10)
        replayed = new_ledger()
        for payload in told:
            replayed.apply(payload)
        replayed.restored(START + 10)
        assert {"alice", "bob"} == may_send(dict(replayed.map_values()), ADDRESSES[0], START + 10)
        assert not any(again.learn(key, decode(key, stored[key]), LATER) for key in keys)
    again = new_ledger()
    again.apply(f"d\t{ADDRESSES[0]}")
    assert not any(again.learn(key, decode(key, stored[key]), LATER) for key in stored)


def test_a_map_that_is_the_truth_ends_what_the_journal_lost_the_end_of():
    """A user, an address with an open session, and the later end that the user had."""
    ledger, stored = new_ledger(), {}
    login(ledger, "alice", START)
    login(ledger, "bob", START + 10)
    ledger.login(ADDRESSES[1], "eve", "dovecot", "imap", "h dovecot 1", START, START)
    told = ledger.journal_payloads()
    ledger.forget_user("bob", START + 11)
    ledger.forget(ADDRESSES[1], START + 11)
    login(ledger, "zoe", START + 12)
    write(ledger, stored)
    assert {"alice", "zoe"} == may_send(stored, ADDRESSES[0], START + 12)
    for more in ([], [f"d\t{ADDRESSES[0]}\t{START + 99}"]):
        again = new_ledger()
        for payload in told + more:
            again.apply(payload)
        for key in sorted(stored):
            assert again.learn(key, decode(key, stored[key]), LATER, surely=True)
        assert 1 == again.keep_only(set(stored))
        again.restored(START + 12)
        assert dict(again.map_values()) == stored
        assert [] == [text for text in again.live_payloads() if ADDRESSES[1] in text]


def test_more_users_than_are_kept_in_a_damaged_journal_and_an_old_map():
    """The filter could not start again: no map has room for a seventeenth."""
    ledger, stored = new_ledger(), {}
    number = 3 * MAX_USERS
    for at in range(number):
        login(ledger, f"u{at}", START + at)
        if at == MAX_USERS:
            write(ledger, stored)
    again = new_ledger()
    for payload in ledger.journal_payloads():
        if payload[0] != "v":  # the lines of those who had to go
            again.apply(payload)
    for key, value in stored.items():
        again.learn(key, decode(key, value), LATER)
    again.restored(START + number)
    found = dict(again.map_values())
    assert MAX_USERS + 1 >= len(found)
    assert f"u{number - 1}" in may_send(found, ADDRESSES[0], START + number)


def test_a_user_who_was_forgotten_is_not_learned_from_an_old_map_and_comes_back_by_a_login():
    ledger, stored = new_ledger(), {}
    for at, name in enumerate(("alice", "bob", "carol")):
        login(ledger, name, START + at)
    write(ledger, stored)
    payloads = ledger.journal_payloads()
    ledger.journaled()
    assert 1 == ledger.forget_user("bob", START + 20)
    payloads += ledger.journal_payloads()
    ledger.journaled()
    later = dict(stored)
    login(ledger, "bob", START + 21)
    write(ledger, later)  # and the lines of that login are lost
    for found, users in ((stored, {"alice", "carol"}), (later, {"alice", "bob", "carol"})):
        for keys in (sorted(found), sorted(found, reverse=True)):
            again = new_ledger()
            for payload in payloads:
                assert again.apply(payload)
            for key in keys:
                again.learn(key, decode(key, found[key]), LATER)
            again.restored(START + 30)
            assert users == may_send(dict(again.map_values()), ADDRESSES[0], START + 30)


@pytest.mark.parametrize(
    "payloads",
    [
        ["u\t192.0.2.1\tbob\t2000000\t1\t1\t1\tdovecot\timap", "v\t192.0.2.1\tbob\t"],
        ["a\t192.0.2.1\t1000050\t1\t1\t1\tdovecot\timap\tbob\t", "v\t192.0.2.1\tbob\t"],
    ],
)
def test_a_user_without_an_address_is_nobody(payloads):
    ledger = new_ledger()
    for payload in payloads:
        assert ledger.apply(payload)
    ledger.restored(START)
    assert {f"{ADDRESSES[0]}"} >= set(dict(ledger.map_values()))


def test_a_user_from_the_future_is_dropped():
    ledger = new_ledger()
    login(ledger, "bob", START)
    login(ledger, "alice", START + 90)
    again = new_ledger()
    for payload in ledger.live_payloads():
        again.apply(payload)
    for auth in again.authorisations.values():
        auth.renewed = START
    again.restored(START + 50)
    assert {"bob"} >= may_send(dict(again.map_values()), ADDRESSES[0], START + 50)


def test_a_session_of_a_user_who_is_no_longer_kept_still_ends():
    ledger, stored = new_ledger(), {}
    login(ledger, "first", START, session="1")
    for number in range(MAX_USERS):
        login(ledger, f"u{number}", START + 1)
    assert ADDRESSES[0] == ledger.logout("mx dovecot 1", START + 50, START + 50)
    write(ledger, stored)
    assert "first" not in may_send(stored, ADDRESSES[0], START + 50)
    assert START + 50 + GRACE == ledger.authorisations[ADDRESSES[0]].until


@pytest.mark.parametrize("others_stay", [True, False])
def test_a_session_of_a_user_who_is_no_longer_kept_is_forgotten_with_him(others_stay: bool):
    ledger, stored = new_ledger(), {}
    login(ledger, "first", START, session="1")
    for number in range(MAX_USERS):
        login(ledger, f"u{number}", START + 1)
    login(ledger, "u0", START + 2 if others_stay else START + GRACE)
    now = START + 1 + GRACE + GRACE // 2
    for at in (START + GRACE // 2, START + GRACE, now if others_stay else now - 1, now):
        ledger.tick(at)
    assert ADDRESSES[0] in ledger.authorisations
    assert others_stay == (ledger.authorisations[ADDRESSES[0]].users is not None)
    assert 1 == ledger.forget_user("FIRST", START)
    assert not ledger.sessions
    write(ledger, stored)
    last = decode(ADDRESSES[0], stored[ADDRESSES[0]])
    assert last is not None
    assert last.until == (START + 2 + GRACE if others_stay else START + 2 * GRACE)
    ledger.tick(START + 2 * GRACE)
    assert ADDRESSES[0] not in ledger.authorisations
    assert 0 == ledger.forget_user("first", START)


def test_every_spelling_of_a_user_is_forgotten():
    ledger, stored = new_ledger(), {}
    for name in ("bob", "BOB", "bob*admin"):
        login(ledger, name, START)
    assert 1 == ledger.forget_user("Bob", START)
    write(ledger, stored)
    assert {} == stored


def test_a_login_that_comes_after_a_newer_one_of_its_user_changes_nothing():
    ledger, stored = new_ledger(), {}
    login(ledger, "alice", START + 10)
    login(ledger, "bob", START + 20)
    write(ledger, stored)
    ledger.journaled()
    assert ledger.login(ADDRESSES[0], "bob", "dovecot", "imap", None, START, START + 20) is None
    assert [] == ledger.journal_payloads()


def test_the_users_of_an_address_count_for_the_limit_of_each_after_a_start():
    ledger = new_ledger(max_addresses_per_user=1)
    login(ledger, "alice", START)
    login(ledger, "bob", START)
    ledger.authorise(ADDRESSES[0], GRACE, "scanner", START)
    again = new_ledger(max_addresses_per_user=1)
    for payload in ledger.live_payloads():
        again.apply(payload)
    again.restored(START)
    for user in ("alice", "bob"):
        refused = again.login(ADDRESSES[1], user, "dovecot", "imap", None, START, START)
        assert refused is Reason.USER_HAS_TOO_MANY
    assert again.login(ADDRESSES[1], "scanner", "dovecot", "imap", None, START, START) is None


def test_of_three_users_the_newest_of_the_others_stays_when_one_is_forgotten():
    ledger, stored = new_ledger(), {}
    for number, name in enumerate(("alice", "bob", "carol")):
        login(ledger, name, START + number)
    assert 1 == ledger.forget_user("carol", START)
    write(ledger, stored)
    main = decode(ADDRESSES[0], stored[ADDRESSES[0]])
    assert main is not None
    assert ("bob", START + 1, START + 1 + GRACE) == (main.user, main.last, main.until)
    assert {"alice", "bob"} == may_send(stored, ADDRESSES[0], START + 3)
    assert not ledger.apply("x\tsomething else")
