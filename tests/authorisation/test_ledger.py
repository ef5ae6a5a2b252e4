"""The ledger's rules, held against an oracle that is told the whole history, slow and plain."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbs_filter.authorisation.authorisations import MANUAL, clean
from pbs_filter.authorisation.housekeeping import settle
from pbs_filter.authorisation.ledger import Ledger
from pbs_filter.map_format import check
from pbs_filter.map_format import entry as value
from pbs_filter.model import Reason

GRACE = 100
MAX_SESSION = 450
START = 1_000_000
ADDRESSES = ("192.0.2.1", "192.0.2.2", "2001:db8::1")
KEYS = ("mx dovecot a", "mx dovecot b", "mx dovecot c", "mx2 dovecot a")


def new_ledger(**limits: int) -> Ledger:
    return Ledger(grace_seconds=GRACE, max_session_seconds=MAX_SESSION, **limits)


@dataclass
class Oracle:
    """Everything that happened, and what follows from it by the rules, recomputed each time."""

    logins: list[tuple[str, int]] = field(default_factory=list)
    spans: list[list] = field(default_factory=list)  # address, key, opened, ended or None

    def login(self, address: str, key: str | None, at: int) -> None:
        self.logins.append((address, at))
        if key is None:
            return
        for span in self.spans:
            if span[1] == key and span[3] is None:
                if at >= span[2] + MAX_SESSION:
                    span[3] = span[2] + MAX_SESSION
                    continue
                if span[0] == address:
                    return
                span[3] = at
        self.spans.append([address, key, at, None])

    def logout(self, key: str, at: int) -> None:
        for span in self.spans:
            if span[1] == key and span[3] is None:
                span[3] = at

    def may_relay(self, address: str, now: int) -> bool:
        if any(a == address and at <= now < at + GRACE for a, at in self.logins):
            return True
        for a, _, opened, ended in self.spans:
            end = min(now if ended is None else ended, opened + MAX_SESSION)
            if a == address and now < end + GRACE:
                return True
        return False


login_ops = st.tuples(st.just("login"), st.sampled_from(ADDRESSES), st.sampled_from((None, *KEYS)))
logout_ops = st.tuples(st.just("logout"), st.just(""), st.sampled_from(KEYS))
histories = st.lists(
    st.tuples(st.integers(0, GRACE // 2), st.one_of(login_ops, logout_ops)), max_size=25
)


def play(ledger: Ledger, oracle: Oracle, history, payloads: list[str] | None = None) -> int:
    """Play a history on both; a living filter ticks at every step. The time afterwards."""
    now = START
    for wait, (kind, address, key) in history:
        now += wait
        ledger.tick(now)
        if kind == "login":
            oracle.login(address, key, now)
            assert ledger.login(address, "bob", "dovecot", "imap", key, now, now) is None
        else:
            oracle.logout(key, now)
            ledger.logout(key, now, now)
        if payloads is not None:
            payloads += ledger.journal_payloads()
        ledger.journaled()
    return now


def authorised(ledger: Ledger, now: int) -> set[str]:
    return {a for a, auth in ledger.authorisations.items() if auth.until > now}


@settings(max_examples=300)
@given(histories)
def test_an_address_may_relay_exactly_while_the_rules_say_so(history):
    ledger, oracle = new_ledger(), Oracle()
    now = play(ledger, oracle, history)
    for _ in range(16):
        expected = {a for a in ADDRESSES if oracle.may_relay(a, now)}
        assert expected == authorised(ledger, now)
        now += GRACE // 2
        ledger.tick(now)


def look_at_all(ledger: Ledger, now: int) -> None:
    """As `tick`, but also at addresses that are not due: a start looks at all of them."""
    ledger.tick(now, limit=10**6)
    for address, auth in list(ledger.authorisations.items()):
        settle(ledger, address, auth, now)


@settings(max_examples=200)
@given(histories, st.integers(0, 3 * GRACE))
def test_replaying_the_journal_gives_the_same_ledger(history, pause):
    ledger, payloads = new_ledger(), []
    now = play(ledger, Oracle(), history, payloads)
    again = new_ledger()
    for payload in payloads:
        assert again.apply(payload)
    now += pause
    again.restored(now)
    look_at_all(ledger, now)
    assert set(ledger.sessions) == set(again.sessions)
    assert authorised(ledger, now) == authorised(again, now)
    for address in authorised(ledger, now):
        ours, theirs = ledger.authorisations[address], again.authorisations[address]
        assert set(ours.session_keys()) == set(theirs.session_keys())
        assert (ours.since, ours.last, ours.user) == (theirs.since, theirs.last, theirs.user)
        if not ours.session_keys():
            assert ours.until == theirs.until


@settings(max_examples=100)
@given(histories)
def test_a_snapshot_replayed_gives_the_same_ledger(history):
    ledger = new_ledger()
    now = play(ledger, Oracle(), history)
    again = new_ledger()
    for payload in ledger.live_payloads():
        assert again.apply(payload)
    again.restored(now)
    look_at_all(ledger, now)
    assert authorised(ledger, now) == authorised(again, now)
    assert set(ledger.sessions) == set(again.sessions)


@settings(max_examples=100)
@given(histories)
def test_saying_every_line_twice_changes_nothing(history):
    once, twice = new_ledger(), new_ledger()
    doubled = [item for wait, op in history for item in ((wait, op), (0, op))]
    now = play(once, Oracle(), history)
    assert now == play(twice, Oracle(), doubled)
    assert authorised(once, now) == authorised(twice, now)
    assert {a: v.until for a, v in once.authorisations.items()} == {
        a: v.until for a, v in twice.authorisations.items()
    }
    assert set(once.sessions) == set(twice.sessions)


@settings(max_examples=100)
@given(histories, st.data())
def test_losing_lines_never_authorises_beyond_the_limits(history, data):
    kept = [item for item in history if data.draw(st.booleans())]
    ledger, oracle = new_ledger(), Oracle()
    now = play(ledger, oracle, kept)
    for address, auth in ledger.authorisations.items():
        last = max(at for a, at in oracle.logins if a == address)
        assert auth.until <= min(now, last + MAX_SESSION) + GRACE


@settings(max_examples=100)
@given(histories)
def test_what_the_map_was_told_is_what_the_ledger_says(history):
    ledger, told = new_ledger(), {}
    now = START
    for wait, op in history:
        now += wait
        ledger.tick(now)
        kind, address, key = op
        if kind == "login":
            ledger.login(address, "bob", "dovecot", "imap", key, now, now)
        else:
            ledger.logout(key, now, now)
        changes = ledger.map_changes()
        for a, v in changes.items():
            if v is None:
                told.pop(a, None)
            else:
                told[a] = v
        ledger.mapped(changes)
        assert ledger.map_dirty() == 0
    assert dict(ledger.map_values()) == told
    assert authorised(ledger, now) == {
        a for a, v in told.items() if check.is_current(a.encode(), v, now)
    }


def test_a_login_older_than_its_grace_on_arrival_authorises_nobody():
    ledger = new_ledger()
    assert Reason.TOO_LATE is ledger.login("192.0.2.1", "bob", "x", "", None, START, START + GRACE)
    assert {} == ledger.authorisations
    late = START + GRACE - 1
    assert ledger.login("192.0.2.1", "bob", "x", "", None, START, late) is None
    assert START + GRACE == ledger.authorisations["192.0.2.1"].until


def test_an_older_login_neither_shortens_nor_renames():
    ledger = new_ledger()
    ledger.login("192.0.2.1", "new", "x", "", None, START + 50, START + 50)
    ledger.login("192.0.2.1", "old", "x", "", None, START, START + 50)
    auth = ledger.authorisations["192.0.2.1"]
    assert (START + 50 + GRACE, "new", START + 50) == (auth.until, auth.user, auth.last)


def test_more_than_the_most_addresses_are_refused_and_the_known_ones_renewed():
    ledger = new_ledger(max_addresses=1)
    assert ledger.login("192.0.2.1", "a", "x", "", None, START, START) is None
    assert Reason.TOO_MANY is ledger.login("192.0.2.2", "b", "x", "", None, START, START)
    assert ledger.login("192.0.2.1", "a", "x", "", None, START + 1, START + 1) is None


def test_more_than_the_most_sessions_authorise_and_do_not_hold():
    ledger = new_ledger(max_sessions=1)
    ledger.login("192.0.2.1", "a", "x", "", KEYS[0], START, START)
    ledger.login("192.0.2.2", "b", "x", "", KEYS[1], START, START)
    ledger.tick(START + GRACE // 2)
    ledger.tick(START + GRACE)
    assert {"192.0.2.1"} == authorised(ledger, START + GRACE)


def test_an_address_held_by_two_sessions_waits_for_both_to_end():
    ledger = new_ledger()
    for key in KEYS[:3]:
        ledger.login("192.0.2.1", "a", "x", "", key, START, START)
    assert 3 == value.decode("192.0.2.1", ledger.map_changes()["192.0.2.1"]).sessions
    ledger.logout(KEYS[0], START + 1, START + 1)
    ledger.logout(KEYS[0], START + 2, START + 2)
    ledger.logout(KEYS[1], START + 3, START + 3)
    assert (KEYS[2],) == ledger.authorisations["192.0.2.1"].session_keys()
    ledger.tick(START + 60)
    assert START + 60 + GRACE == ledger.authorisations["192.0.2.1"].until
    assert "192.0.2.1" == ledger.logout(KEYS[2], START + 70, START + 70)
    assert START + 70 + GRACE == ledger.authorisations["192.0.2.1"].until


def test_the_end_of_an_unknown_session_changes_nothing():
    ledger = new_ledger()
    assert ledger.logout(KEYS[0], START, START) is None
    assert [] == ledger.journal_payloads()


def test_logouts_that_name_a_user_end_the_oldest_session_of_that_user():
    ledger = new_ledger()
    ledger.login("192.0.2.1", "bob", "dovecot", "imap", "mx dovecot a", START, START)
    assert "mx dovecot a" == ledger.oldest_session("mx dovecot ", "bob", "imap")
    ledger.login("192.0.2.2", "bob", "dovecot", "imap", "mx dovecot b", START, START)
    ledger.login("192.0.2.3", "bob", "dovecot", "pop3", "mx dovecot c", START, START)
    assert ledger.oldest_session("other dovecot ", "bob", "imap") is None
    ledger.logout("mx dovecot a", START, START)
    assert "mx dovecot b" == ledger.oldest_session("mx dovecot ", "bob", "imap")
    ledger.forget("192.0.2.2", START)
    assert ledger.oldest_session("mx dovecot ", "bob", "imap") is None


def test_forgetting_ends_the_authorisation_and_its_sessions_for_good():
    ledger = new_ledger()
    ledger.login("192.0.2.1", "bob", "dovecot", "imap", KEYS[0], START, START)
    payloads = ledger.journal_payloads()
    ledger.journaled()
    assert ledger.forget("192.0.2.1", START)
    assert not ledger.forget("192.0.2.1", START)
    assert {"192.0.2.1": None} == ledger.map_changes()
    again = new_ledger()
    for payload in payloads + ledger.journal_payloads():
        again.apply(payload)
    again.restored(START)
    assert {} == again.authorisations
    assert {} == again.sessions


def test_a_login_behind_a_forget_is_learned_from_the_map_where_its_line_was_damaged():
    ledger = new_ledger()
    ledger.login(ADDRESSES[0], "eve", "x", "", None, START, START)
    old = ledger.authorisations[ADDRESSES[0]].entry()
    payloads = ledger.journal_payloads()
    ledger.journaled()
    assert ledger.forget(ADDRESSES[0], START + 5)
    payloads += ledger.journal_payloads()
    ledger.journaled()
    ledger.login(ADDRESSES[0], "bob", "x", "", None, START + 6, START + 6)
    new = ledger.authorisations[ADDRESSES[0]].entry()  # and its line is lost
    for step in (0, 3600):
        again = new_ledger()
        for payload in payloads:
            assert again.apply(payload)
        again.shift(step)
        assert not again.learn(ADDRESSES[0], old.shifted(step), START + 9 + step)
        assert {} == again.authorisations
        assert again.learn(ADDRESSES[0], new.shifted(step), START + 9 + step)
        again.restored(START + 9 + step)
        assert "bob" == again.authorisations[ADDRESSES[0]].user


def test_an_authorisation_by_hand_says_so_and_ends():
    ledger = new_ledger()
    ledger.authorise("192.0.2.1", 500, "the scanner", START)
    auth = ledger.authorisations["192.0.2.1"]
    assert (MANUAL, "the scanner", START + 500) == (auth.server, auth.user, auth.until)
    ledger.authorise("192.0.2.1", 5, "again", START)
    assert START + 500 == auth.until
    ledger.tick(START + 500)
    assert {} == ledger.authorisations
    assert ledger.next_due() is None


def test_a_clock_that_was_set_moves_every_end_with_it():
    ledger = new_ledger()
    ledger.login("192.0.2.1", "bob", "dovecot", "imap", KEYS[0], START, START)
    ledger.login("192.0.2.2", "eve", "dovecot", "imap", None, START, START)
    ledger.shift(-3600)
    ledger.tick(START - 3600 + GRACE - 1)
    assert {"192.0.2.1", "192.0.2.2"} == authorised(ledger, START - 3600 + GRACE - 1)
    ledger.tick(START - 3600 + GRACE)
    assert {"192.0.2.1"} == authorised(ledger, START - 3600 + GRACE)


def test_what_was_written_in_the_future_is_dropped_at_start():
    ledger = new_ledger()
    ledger.login("192.0.2.1", "bob", "dovecot", "imap", KEYS[0], START, START)
    again = new_ledger()
    for payload in ledger.journal_payloads():
        again.apply(payload)
    again.restored(START - 3600)
    assert {} == again.authorisations
    assert {} == again.sessions


def test_one_tick_looks_at_a_bounded_number():
    ledger = new_ledger()
    for i in range(50):
        ledger.login(f"192.0.2.{i}", "bob", "x", "", None, START, START)
    ledger.tick(START + GRACE, limit=20)
    assert 30 == len(ledger.authorisations)
    assert set() == authorised(ledger, START + GRACE)
    assert START + GRACE == ledger.next_due()
    ledger.tick(START + GRACE, limit=30)
    assert {} == ledger.authorisations


def test_an_address_that_came_back_after_its_end_counts_from_the_new_login():
    ledger = new_ledger()
    ledger.login("192.0.2.1", "bob", "x", "", None, START, START)
    ledger.login("192.0.2.1", "bob", "x", "", None, START + 500, START + 500)
    assert START + 500 == ledger.authorisations["192.0.2.1"].since


def test_written_in_part_the_map_is_told_the_rest():
    ledger = new_ledger()
    ledger.login("192.0.2.1", "bob", "x", "", None, START, START)
    written = ledger.map_changes()
    ledger.login("192.0.2.2", "eve", "x", "", None, START, START)
    ledger.mapped(written)
    assert {"192.0.2.2"} == set(ledger.map_changes())


def test_the_map_is_told_the_oldest_changes_first_as_many_as_it_takes():
    ledger = new_ledger()
    for number in range(1, 6):
        ledger.login(f"192.0.2.{number}", "bob", "x", "", None, START, START)
    written = ledger.map_changes(2)
    assert ["192.0.2.1", "192.0.2.2"] == list(written)
    ledger.mapped(written)
    assert ["192.0.2.3"] == list(ledger.map_changes(1))
    ledger.map_forgotten()
    assert {} == ledger.map_changes()


def test_what_the_journal_lost_is_learned_from_the_map_and_told_again():
    before = new_ledger()
    before.login("192.0.2.1", "bob", "x", "imap", None, START, START)
    entry = before.authorisations["192.0.2.1"].entry()
    ledger = new_ledger()
    assert ledger.learn("192.0.2.1", entry, 9_999_999_999)
    assert not ledger.learn("192.0.2.1", entry, 9_999_999_999)
    ledger.restored(START)
    assert [] == ledger.journal_payloads()
    ledger.tell_again(["192.0.2.1"])
    assert before.journal_payloads() == ledger.journal_payloads()
    assert 1 == ledger.changes()


def test_what_the_map_says_of_the_future_takes_nothing():
    """It is a copy of before the clock was set back: `restored` would drop the login."""
    ledger, before = new_ledger(), new_ledger()
    ledger.login("192.0.2.1", "bob", "x", "", None, START, START)
    before.login("192.0.2.1", "bob", "x", "", None, START + 30, START + 30)
    entry = before.authorisations["192.0.2.1"].entry()
    for address in ("192.0.2.1", "192.0.2.1#0"):
        assert not ledger.learn(address, entry, START)
    assert ledger.learn("192.0.2.1", entry, START + 29)
    ledger.restored(START + 29)
    assert ["192.0.2.1"] == [*ledger.authorisations]


def test_a_login_of_another_brings_back_nobody_who_was_revoked_before_it():
    before = new_ledger()
    before.login(ADDRESSES[0], "eve", "x", "", None, START, START)
    old = before.authorisations[ADDRESSES[0]].entry()
    ledger = new_ledger()
    for payload in before.journal_payloads():
        ledger.apply(payload)
    ledger.apply(f"d\t{ADDRESSES[0]}\t{START + 10}")
    ledger.apply(
        f"a\t{ADDRESSES[0]}\t{START + 60}\t{START + 20}\t{START + 20}\t{START + 20}\tx\t\tbob\t"
    )
    assert not ledger.learn(ADDRESSES[0], old, START + 30)
    ledger.restored(START + 30)
    assert "bob" == ledger.authorisations[ADDRESSES[0]].user
    assert START + 60 == ledger.authorisations[ADDRESSES[0]].until


def test_what_the_map_says_of_a_later_end_counts():
    ledger, later = new_ledger(), new_ledger()
    ledger.login("192.0.2.1", "bob", "x", "", None, START, START)
    later.login("192.0.2.1", "eve", "y", "", None, START + 60, START + 60)
    assert ledger.learn("192.0.2.1", later.authorisations["192.0.2.1"].entry(), 9_999_999_999)
    assert START + 60 + GRACE == ledger.authorisations["192.0.2.1"].until


def test_an_address_holds_no_more_sessions_than_the_map_can_say():
    ledger = new_ledger()
    for number in range(value.MAX_SESSIONS + 3):
        ledger.login("192.0.2.1", "bob", "x", "", f"mx1 x {number}", START, START)
    assert value.MAX_SESSIONS == len(ledger.sessions)
    assert value.MAX_SESSIONS == ledger.authorisations["192.0.2.1"].entry().sessions


@pytest.mark.parametrize("payload", ["x\t1", "", "t\t1\t2\t3"])
def test_a_payload_that_is_not_ours_is_left_to_others(payload):
    assert not new_ledger().apply(payload)


@pytest.mark.parametrize("payload", ["a\t192.0.2.1", "o\tkey", "d", "a" + "\tx" * 9])
def test_a_payload_that_is_broken_raises(payload):
    with pytest.raises(ValueError):
        new_ledger().apply(payload)


def test_text_for_the_journal_is_printable():
    assert "a?b?c" == clean("a\tb\nc")
    assert "bob" == clean("bob")


def test_an_address_that_goes_while_a_new_map_is_made_is_left_out():
    ledger = new_ledger(max_addresses=len(ADDRESSES))
    for address in ADDRESSES:
        ledger.login(address, "bob", "x", "", None, START, START)
    values = ledger.map_values()
    first = next(values)[0]
    gone, *left = (address for address in ADDRESSES if address != first)
    ledger.forget(gone, START)
    assert sorted(left) == sorted(address for address, _ in values)


def test_exports_are_told_who_lives():
    ledger = new_ledger()
    ledger.login(ADDRESSES[0], "bob", "x", "", None, START, START)
    ledger.login(ADDRESSES[1], "eve", "x", "", None, START + 5, START + 5)
    assert [ADDRESSES[1]] == [address for address, _ in ledger.living(START + GRACE)]
    assert ["eve"] == [entry.user for _, entry in ledger.living(START + GRACE)]


def test_what_was_ended_by_hand_is_not_learned_from_an_old_map():
    ledger = new_ledger()
    ledger.login(ADDRESSES[0], "bob", "x", "", None, START, START)
    entry = ledger.authorisations[ADDRESSES[0]].entry()
    again = new_ledger()
    assert again.apply(f"d\t{ADDRESSES[0]}")  # as older versions wrote it
    assert not again.learn(ADDRESSES[0], entry, 9_999_999_999)
    assert again.learn(ADDRESSES[1], entry, 9_999_999_999)
    assert not again.learn(ADDRESSES[1], entry, 9_999_999_999)
    assert {ADDRESSES[1]} == set(again.authorisations)
