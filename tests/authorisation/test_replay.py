"""A log that is read again leads to what its lines led to when they were written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbs_filter.authorisation.pipeline import Pipeline
from pbs_filter.model import Reason

from ..pipelines import NOW, new

HOUR = 3600
LOGIN = "imap-login: Login: user=<{}>, method=PLAIN, rip={}, lip=192.0.2.1, session=<{}>"
END = "imap({})<1><{}>: Disconnected: Logged out in=1 out=2"
FOR_EVER = 1 << 40

Line = tuple[int, str]


def login(at: int, user: str, address: str, key: str) -> Line:
    return at, LOGIN.format(user, address, key)


def replayed(made: Pipeline, lines: list[Line], wall: int) -> Pipeline:
    """`made` after a log of these lines, in one block."""
    block = "".join(f"{at} mx1 dovecot: {message}\n" for at, message in lines)
    made.replay(block.encode(), lambda line: int(line[:10]), wall)
    return settled(made, wall)


def lived(made: Pipeline, lines: list[Line], wall: int) -> Pipeline:
    """`made` after these lines, each when it was written."""
    for at, message in lines:
        settled(made, at)
        made.block(f"{at} mx1 dovecot: {message}\n".encode(), at)
    return settled(made, wall)


def settled(made: Pipeline, now: int) -> Pipeline:
    """`made` when everything that ends by `now` has ended, each at its time."""
    while (due := made.state.next_due()) is not None and due <= now:
        made.state.tick(due)
    made.state.tick(now)
    return made


def ends(made: Pipeline, wall: int) -> dict[str, int]:
    """Who may relay, and until when if nothing follows."""
    ledger = made.ledger
    latest = {
        address: max([auth.until, *ledger.leases(auth, FOR_EVER).values()])
        for address, auth in ledger.authorisations.items()
    }
    return {address: end for address, end in latest.items() if end > wall}


def test_the_limit_of_a_user_counts_who_is_held_by_a_session() -> None:
    lines = [
        login(NOW, "bob", "192.0.2.7", "A"),
        login(NOW + 2 * HOUR, "bob", "203.0.113.66", "B"),
    ]
    made = replayed(new(max_addresses_per_user=1), lines, NOW + 2 * HOUR)
    assert {"192.0.2.7"} == ends(made, NOW + 2 * HOUR).keys()
    assert 1 == made.counts.reasons[Reason.USER_HAS_TOO_MANY]


def test_the_limit_of_a_user_does_not_count_what_had_ended() -> None:
    wall = NOW + 24 * HOUR
    lines = [
        login(NOW, "bob", "192.0.2.7", "A"),
        login(NOW, "bob", "192.0.2.8", "B"),
        login(wall, "bob", "192.0.2.9", "C"),
    ]
    assert {"192.0.2.9"} == ends(replayed(new(max_addresses_per_user=2), lines, wall), wall).keys()


def test_a_stamp_from_the_future_ends_nothing() -> None:
    wall = NOW + 2 * HOUR
    lines = [
        login(NOW, "bob", "192.0.2.7", "A"),
        login(NOW + 24 * HOUR, "eve", "192.0.2.8", "B"),
        (NOW + HOUR, END.format("bob", "A")),
    ]
    made = replayed(new(), lines, wall)
    assert {"192.0.2.8"} == ends(made, wall).keys()
    assert 1 == made.counts.logouts


EVENTS = st.tuples(
    st.sampled_from([0, 1, 60, 900, 1799, 1800, HOUR, 13 * HOUR]),
    st.booleans(),
    st.sampled_from(["bob", "alice"]),
    st.integers(7, 10),
    st.sampled_from("ABC"),
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([0, 1, 2, 3]), st.lists(EVENTS, max_size=25), st.integers(0, HOUR))
def test_a_log_leads_to_what_it_led_to(most, events, rest) -> None:
    at, lines = NOW, []
    for seconds, is_login, user, last, key in events:
        at += seconds
        ending = at, END.format(user, key)
        lines.append(login(at, user, f"192.0.2.{last}", key) if is_login else ending)
    wall = at + rest
    left = lived(new(max_addresses_per_user=most), lines, wall)
    right = replayed(new(max_addresses_per_user=most), lines, wall)
    assert ends(left, wall) == ends(right, wall)
    assert left.counts.logins == right.counts.logins


@pytest.mark.parametrize(
    ("most", "hours", "expected"),
    [
        (1, 2, Reason.USER_HAS_TOO_MANY),
        (2, 2, Reason.USER_HAS_TOO_MANY),
        (1, 13, None),
        (2, 13, None),
    ],
)
def test_the_limit_of_a_user_does_not_wait_for_housekeeping(most, hours, expected) -> None:
    """Sessions hold for twelve hours."""
    ledger, at = new(max_addresses_per_user=most).ledger, NOW + hours * HOUR
    for last in range(most):
        ledger.login(f"192.0.2.{last}", "bob", "dovecot", "imap", f"mx1 dovecot {last}", NOW, NOW)
    assert expected is ledger.login("203.0.113.66", "bob", "dovecot", "imap", None, at, at)
