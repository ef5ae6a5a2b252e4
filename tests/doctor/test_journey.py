"""The findings of --doctor on each step of a login."""

from __future__ import annotations

import pytest

from pbs_filter.doctor import journey
from pbs_filter.integrations.lookups import LookupConfig

LOGIN = {
    "line": "pop3-login: Login: user=<bob>", "program": "dovecot", "pid": "7", "host": "mx1",
    "uid": 0, "peer": "", "server": "dovecot", "rule": "login", "address": "192.0.2.7",
    "user": "bob", "reason": None, "detail": "", "written_epoch": 1000.25, "read_epoch": 1000.26,
    "journal_epoch": 1000.262, "map_epoch": 1001.762,
}  # fmt: skip
ASKED = LookupConfig(mta="postfix", kind="socketmap", where="/s", restart=("postfix reload",))


def steps(**changes: object) -> dict[str, tuple[str, str]]:
    found = journey.steps(LOGIN | changes, 2000)
    return {each.subject: (each.state, each.text) for each in found}


def test_a_login_that_went_the_whole_way() -> None:
    found = steps()
    assert ["line", "rule", "decision", "journal", "map"] == [*found]
    assert {"ok"} == {state for state, _ in found.values()}
    line = "dovecot[7] on mx1, uid 0 wrote 'pop3-login: Login: user=<bob>'; read 10.0 ms later"
    assert line == found["line"][1]
    assert "dovecot, login: bob from 192.0.2.7" == found["rule"][1]
    assert "192.0.2.7 may relay until 1970-01-01 " in found["decision"][1]
    assert "on the disk 2.0 ms after it was read" == found["journal"][1]
    assert "written 1.5 s later" == found["map"][1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"written_epoch": None}, "'; the feed does not say when"),
        ({"written_epoch": 1000}, "'; read within 1 s"),
        ({"written_epoch": 1000.5}, "'; read 0.0 ms later"),
        ({"pid": "", "host": "", "uid": None}, "dovecot wrote 'pop3-login"),
        ({"uid": None, "peer": "192.0.2.1"}, "on mx1, by way of 192.0.2.1 wrote"),
    ],
)
def test_a_line_is_told_as_far_as_the_feed_knows_it(changes: dict, words: str) -> None:
    assert words in steps(**changes)["line"][1]


def test_how_far_a_login_came() -> None:
    assert ("wrong", "the login is not in the map yet") == steps(map_epoch=None)["map"]
    found = steps(map_epoch=None, journal_epoch=None)
    assert "map" not in found
    assert "wrong" == found["journal"][0]
    (*_, decision) = journey.steps(LOGIN, None)[:3]
    assert "192.0.2.7 may relay" == decision.text


def test_a_login_that_the_site_does_not_want_is_no_fault() -> None:
    found = steps(reason="may relay anyway (local_networks)", detail="127.0.0.0/8", address=None)
    assert ["line", "rule", "decision"] == [*found]
    state, text = found["decision"]
    assert "note" == state
    assert text.endswith("is not authorised: may relay anyway (local_networks) (127.0.0.0/8)")
    assert steps(reason="x")["decision"][1].endswith("is not authorised: x")


def test_the_answer_of_the_lookups() -> None:
    well = journey.answer(ASKED, "192.0.2.7", "5:OK OK,", "", 0.0021)
    assert ("ok", "postfix is told yes at /s, after 2.1 ms") == (well.state, well.text)
    no = journey.answer(ASKED, "192.0.2.7", "9:NOTFOUND ,", "", 0.1)
    assert ("wrong", ("postfix reload",)) == (no.state, no.todo)
    assert no.text.endswith("about 192.0.2.7: '9:NOTFOUND ,'")
    assert journey.answer(ASKED, "192.0.2.7", "", "refused", 0.1).text.endswith(": refused")


def test_the_answer_of_the_mail_server() -> None:
    assert "ok" == journey.relayed("postfix", "192.0.2.7", "250 2.1.5 Ok").state
    assert "wrong" == journey.relayed("postfix", "192.0.2.7", "454 4.7.1 no").state


def test_what_comes_before_and_after() -> None:
    assert "note" == journey.none_came(60).state
    assert "within 10 s" in journey.not_seen("bob", 10).text
    assert journey.not_made("bob", ["a", "b"]).text.endswith(": a; b")
    made = journey.made("bob", "127.0.0.1:110 (POP3)", "192.0.2.1", "by TLS", 0.25)
    assert "bob logged in from 192.0.2.1 to 127.0.0.1:110 (POP3), by TLS, in 250.0 ms" == made.text
    assert journey.whole(1.0, 1.5, "the log line").text.startswith("500.0 ms from the log line")
