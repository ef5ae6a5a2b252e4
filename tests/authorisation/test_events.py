"""The log has a line for each authorisation and session, and a flood of them is bounded."""

from __future__ import annotations

from pbs_filter.authorisation.events import MAX_WAITING, Event, Events
from pbs_filter.model import Reason

from ..running import login, logout
from .test_pipeline import GRACE, NOW, feed, new


def names(made, **keywords) -> list[tuple[str, str]]:
    taken, _ = made.ledger.events.take()
    return [(name, fields.get("address", "")) for name, fields in taken]


def test_an_authorisation_begins_once_and_ends_once():
    made = feed(new(), login("192.0.2.7").rstrip("\n"), login("192.0.2.7").rstrip("\n"))
    taken, lost = made.ledger.events.take()
    assert ([("authorised", 0)], 0) == ([(name, lost) for name, _ in taken], lost)
    assert {
        "address": "192.0.2.7",
        "user": "bob",
        "server": "dovecot",
        "until": NOW + GRACE,
    } == taken[0][1]
    made.state.tick(NOW + GRACE)
    assert [("ended", "192.0.2.7")] == names(made)
    feed(made, login("192.0.2.7").rstrip("\n"), now=NOW + GRACE)
    assert [("authorised", "192.0.2.7")] == names(made)


def test_a_login_after_an_end_that_was_not_swept_begins_anew():
    made = feed(new(), login("192.0.2.7").rstrip("\n"))
    names(made)
    feed(made, login("192.0.2.7").rstrip("\n"), now=NOW + GRACE + 1)
    assert [("authorised", "192.0.2.7")] == names(made)


def test_sessions_are_told():
    made = feed(new(), login("192.0.2.7", session="a").rstrip("\n"), logout("a").rstrip("\n"))
    assert ["authorised", "session", "session-ended"] == [name for name, _ in names(made)]


def test_a_refusal_by_policy_is_told_with_what_decided_and_other_lines_only_when_debugging():
    lines = [
        login("192.0.2.7", user="eve").rstrip("\n"),
        login("127.0.0.1").rstrip("\n"),
        "Nov 20 10:00:00 mx1 popa3d[9]: brand new words",
    ]
    made = feed(new(deny_users=["EVE"], local_networks=["127.0.0.0/8"]), *lines)
    (refused,), _ = made.ledger.events.take()
    assert ("refused", f"{Reason.DENIED_USER.value}: EVE") == (refused[0], refused[1]["detail"])
    made.ledger.events.debugging = True
    feed(made, *lines, login("192.0.2.8").rstrip("\n"))
    taken, _ = made.ledger.events.take()
    assert ["refused", "decided", "decided", "authorised", "decided"] == [n for n, _ in taken]
    assert "login" == taken[-1][1]["detail"]


def test_what_ended_while_nobody_ran_is_no_news():
    made = feed(new(), login("192.0.2.7").rstrip("\n"))
    again = new()
    for payload in made.state.live_payloads():
        again.state.apply(payload)
    again.state.restored(NOW + 2 * GRACE)
    assert [] == names(again)


def test_more_than_the_log_takes_is_counted():
    events = Events()
    for number in range(MAX_WAITING + 7):
        events.add("authorised", f"address {number}")
    taken, lost = events.take()
    assert (MAX_WAITING, 7) == (len(taken), lost)
    assert ([], 0) == events.take()


def test_roots_uid_is_told_and_no_uid_is_not():
    assert {"uid": 0} == Event("forgotten", uid=0).fields()
    assert {} == Event("forgotten").fields()
