"""Sessions with a login of several lines: connection, login, and the ends of pending sessions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.authorisation.correlator import (
    EARLY_END_SECONDS,
    MAX_CLOSED,
    MAX_EARLY_ENDS,
    Correlator,
)
from pbs_filter.authorisation.ledger import Ledger

START = 1_000_000
PATIENCE = 60
ADDRESS = "192.0.2.7"
OTHER = "192.0.2.8"
SESSION = "mx popa3d 4711"


def new(**options: int) -> Correlator:
    ledger = Ledger(grace_seconds=100, max_session_seconds=1000)
    return Correlator(ledger, patience_seconds=PATIENCE, **options)


def login(correlator: Correlator, address: str, session: str | None, at: int, **options):
    return correlator.accepted(
        session, address, "bob", "popa3d", "pop3", at, at, "", **{"holds": True, **options}
    )


def test_a_login_finds_the_address_of_its_connection():
    correlator = new()
    correlator.connected(SESSION, ADDRESS, START, START)
    assert ADDRESS == correlator.address_of(SESSION, START + PATIENCE)
    assert correlator.address_of(SESSION, START + PATIENCE + 1) is None
    assert correlator.address_of("mx2 popa3d 4711", START) is None


def test_an_open_session_still_knows_its_address():
    correlator = new()
    correlator.connected(SESSION, ADDRESS, START, START)
    assert login(correlator, ADDRESS, SESSION, START + 1) is None
    assert {} == correlator.pending
    assert ADDRESS == correlator.open_address(SESSION, "bob")


def test_an_open_session_gives_its_address_to_nobody_else():
    """A pid is used again, and the first line of its connection may be lost."""
    correlator = new()
    correlator.connected(SESSION, ADDRESS, START, START)
    login(correlator, ADDRESS, SESSION, START + 1)
    assert correlator.address_of(SESSION, START + 2) is None
    assert correlator.open_address(SESSION, "alice") is None
    assert correlator.open_address("mx2 popa3d 4711", "bob") is None


def test_a_new_connection_replaces_an_older_one_with_its_pid():
    correlator = new()
    correlator.connected(SESSION, ADDRESS, START, START)
    correlator.connected(SESSION, OTHER, START + 1, START + 1)
    assert OTHER == correlator.address_of(SESSION, START + 2)


def test_a_new_connection_ends_the_session_that_had_its_pid():
    correlator = new()
    login(correlator, ADDRESS, SESSION, START)
    correlator.connected(SESSION, OTHER, START + 10, START + 10)
    assert {} == correlator.ledger.sessions
    assert START + 110 == correlator.ledger.authorisations[ADDRESS].until


def test_the_end_of_a_connection_without_login_forgets_it():
    correlator = new()
    correlator.connected(SESSION, ADDRESS, START, START)
    assert correlator.ended(SESSION, START, START) is None
    assert correlator.address_of(SESSION, START) is None


def test_the_end_of_a_session_names_the_address_it_held():
    correlator = new()
    login(correlator, ADDRESS, SESSION, START)
    assert ADDRESS == correlator.ended(SESSION, START + 5, START + 5)
    assert correlator.ended(SESSION, START + 5, START + 5) is None


def test_a_login_that_cannot_hold_opens_no_session():
    correlator = new()
    correlator.connected(SESSION, ADDRESS, START, START)
    assert login(correlator, ADDRESS, SESSION, START, holds=False) is None
    assert {} == correlator.ledger.sessions
    assert {} == correlator.pending


@pytest.mark.parametrize("wait", [0, EARLY_END_SECONDS])
def test_an_end_that_was_written_before_its_login_still_ends_it(wait):
    correlator = new()
    correlator.ended(SESSION, START, START)
    assert login(correlator, ADDRESS, SESSION, START + wait) is None
    assert {} == correlator.ledger.sessions
    assert {ADDRESS} == set(correlator.ledger.authorisations)


def test_an_end_long_before_a_login_is_somebody_elses():
    correlator = new()
    correlator.ended(SESSION, START, START)
    login(correlator, ADDRESS, SESSION, START + EARLY_END_SECONDS + 1)
    assert {SESSION} == set(correlator.ledger.sessions)


def test_a_login_that_comes_after_its_end_was_ended_however_late_it_is():
    correlator = new()
    assert correlator.ended(SESSION, START + 50, START + 50) is None
    for late in range(51, 90):
        correlator.tick(START + late)
    names = ("bob", "popa3d", "pop3")
    reason = correlator.accepted(SESSION, ADDRESS, *names, START, START + 90, "", holds=True)
    assert reason is None
    assert {} == correlator.ledger.sessions
    assert START + 100 == correlator.ledger.authorisations[ADDRESS].until


def test_an_end_by_user_ends_the_oldest_session_of_that_user():
    correlator = new()
    login(correlator, OTHER, "mx dovecot b", START + 1)
    login(correlator, ADDRESS, "mx dovecot a", START)
    assert ADDRESS == correlator.ended_by_user("mx dovecot ", "bob", "pop3", START, START)
    assert OTHER == correlator.ended_by_user("mx dovecot ", "bob", "pop3", START, START)
    assert correlator.ended_by_user("mx dovecot ", "bob", "pop3", START, START) is None


@pytest.mark.parametrize("by_user", [False, True])
def test_a_login_that_comes_twice_does_not_open_its_session_again(by_user: bool) -> None:
    """rsyslog sends the line that waited while the filter took none twice, once behind the rest."""
    correlator = new()
    session = "mx popa3d a"
    login(correlator, ADDRESS, session, START)
    if by_user:
        correlator.ended_by_user("mx popa3d ", "bob", "pop3", START + 5, START + 5)
    else:
        correlator.ended(session, START + 5, START + 5)
    correlator.shift(1000)
    for _ in range(2):
        assert login(correlator, ADDRESS, session, START + 1000) is None
        assert {} == correlator.ledger.sessions
    login(correlator, ADDRESS, session, START + 1001)
    assert {session} == set(correlator.ledger.sessions), "a new session with an old key"


def test_closed_sessions_are_forgotten_by_age_and_by_number() -> None:
    correlator = new()
    for i in range(MAX_CLOSED + 1):
        login(correlator, ADDRESS, f"mx dovecot {i}", START)
        correlator.ended(f"mx dovecot {i}", START, START)
    login(correlator, ADDRESS, "mx dovecot 0", START)
    assert {"mx dovecot 0"} == set(correlator.ledger.sessions)
    correlator.tick(START + 100)  # the grace
    assert MAX_CLOSED == len(correlator._closed)
    correlator.tick(START + 101)
    assert not correlator._closed


def test_an_end_by_user_before_its_login_still_ends_it():
    correlator = new()
    assert correlator.ended_by_user("mx dovecot ", "bob", "pop3", START, START) is None
    login(correlator, ADDRESS, "mx dovecot a", START)
    assert {} == correlator.ledger.sessions


def test_connections_are_forgotten_by_age_and_by_number():
    correlator = new(max_pending=3)
    for i in range(5):
        correlator.connected(f"mx popa3d {i}", ADDRESS, START + i, START + i)
    assert ["mx popa3d 2", "mx popa3d 3", "mx popa3d 4"] == list(correlator.pending)
    correlator.tick(START + PATIENCE + 3, limit=1)
    assert ["mx popa3d 3", "mx popa3d 4"] == list(correlator.pending)
    correlator.tick(START + PATIENCE + 9, limit=9)
    assert {} == correlator.pending


def test_early_ends_are_forgotten_by_age_and_by_number():
    correlator = new()
    for i in range(MAX_EARLY_ENDS + 5):
        correlator.ended(f"mx dovecot {i}", START, START)
    login(correlator, ADDRESS, "mx dovecot 0", START)
    assert {"mx dovecot 0"} == set(correlator.ledger.sessions)
    correlator.tick(START + 100)  # the grace
    login(correlator, ADDRESS, "mx dovecot 9", START + EARLY_END_SECONDS)
    assert {"mx dovecot 0"} == set(correlator.ledger.sessions)
    correlator.tick(START + 101)
    login(correlator, ADDRESS, "mx dovecot 10", START)
    assert "mx dovecot 10" in correlator.ledger.sessions


steps = st.lists(
    st.tuples(
        st.sampled_from(("connected", "accepted", "ended")),
        st.sampled_from(("a", "b")),
        st.sampled_from((ADDRESS, OTHER)),
        st.integers(0, 40),
    ),
    max_size=20,
)


@given(steps, st.integers(0, 100))
def test_replaying_the_journal_gives_the_same_half_sessions(history, pause):
    correlator, payloads, now = new(), [], START
    for what, session, address, wait in history:
        now += wait
        if what == "connected":
            correlator.connected(session + " s 1", address, now, now)
        elif what == "accepted":
            login(correlator, address, session + " s 1", now)
        else:
            correlator.ended(session + " s 1", now, now)
        payloads += correlator.journal_payloads()
        correlator.journaled()
    assert [] == correlator.journal_payloads()
    now += pause
    for source in (payloads, list(correlator.live_payloads())):
        again = new()
        for payload in source:
            assert again.apply(payload)
        again.restored(now)
        correlator.tick(now)
        assert dict(correlator.pending) == dict(again.pending)


def test_a_restored_correlator_keeps_its_limit_and_drops_the_future():
    again = new(max_pending=2)
    for i in range(4):
        again.apply(f"p\tk{i}\t{ADDRESS}\t{START}")
    again.apply(f"p\tfuture\t{ADDRESS}\t{START + 50}")
    again.restored(START)
    assert ["k2", "k3"] == list(again.pending)


def test_a_clock_that_was_set_moves_the_half_sessions_with_it():
    correlator = new()
    correlator.connected(SESSION, ADDRESS, START, START)
    correlator.journaled()
    correlator.shift(5000)
    assert ADDRESS == correlator.address_of(SESSION, START + 5000)
    assert [f"p\t{SESSION}\t{ADDRESS}\t{START + 5000}"] == list(correlator.live_payloads())


def test_payloads_of_others_are_left_to_them_and_broken_ones_raise():
    assert not new().apply("a\tx")
    with pytest.raises(ValueError):
        new().apply("p\tx")


def test_a_login_whose_line_stands_alone_has_no_session():
    correlator = new()
    assert login(correlator, ADDRESS, None, START) is None
    assert {} == correlator.ledger.sessions


def test_many_connections_are_bounded_and_the_newest_are_kept() -> None:
    """In parts, so that none takes long to grow."""
    most = 75_000
    correlator = new(max_pending=most)
    for number in range(2 * most):
        correlator.connected(f"mx popa3d {number}", "192.0.2.7", START, START)
    assert most * 0.95 < len(correlator.pending) <= most
    for number in range(2 * most - most // 2, 2 * most):
        assert "192.0.2.7" == correlator.address_of(f"mx popa3d {number}", START)
    correlator.tick(START + PATIENCE)
    assert len(correlator.pending) > most * 0.95
    while correlator.pending:
        correlator.tick(START + PATIENCE + 1)
