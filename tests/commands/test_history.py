"""--history: when and by whom an address was authorised, and by which line."""

from __future__ import annotations

import json
import os
import time

import pytest

from pbs_filter.authorisation.ledger import Ledger
from pbs_filter.commands import history
from pbs_filter.commands.history import History
from pbs_filter.store.journal import Journal

from ..running import Running, login, logout, run

GRACE = 1800
NOW = 1_800_000_000


def state(last: int, user: str = "bob", line: str = "Login", *, address: str = "192.0.2.7") -> str:
    """The payload that the ledger writes for a login."""
    ledger = Ledger(grace_seconds=GRACE, max_session_seconds=0)
    ledger.login(address, user, "dovecot", "imap", None, last, last, line)
    (payload,) = ledger.journal_payloads()
    return payload


def told(*payloads: str) -> list[dict]:
    history = History("192.0.2.7")
    history.take(filter(history.wants, payloads))
    return history.as_object()["logins"]


def test_each_login_has_its_time_its_end_who_and_the_line():
    assert [
        {
            "time": NOW,
            "until": NOW + GRACE,
            "user": "bob",
            "protocol": "imap",
            "server": "dovecot",
            "line": "Login one",
            "forgotten": False,
        },
        {
            "time": NOW + 60,
            "until": NOW + 60 + GRACE,
            "user": "alice",
            "protocol": "imap",
            "server": "dovecot",
            "line": "Login two",
            "forgotten": False,
        },
    ] == told(state(NOW, line="Login one"), state(NOW + 60, "alice", "Login two"))


def test_other_addresses_do_not_appear():
    others = [state(NOW, address=address) for address in ("192.0.2.70", "192.0.2.8", "2001:db8::7")]
    assert [] == told(*others, "d\t192.0.2.8", "c\tmx1 dovecot x")


def test_the_end_of_its_session_moves_the_end_of_a_login():
    ledger = Ledger(grace_seconds=GRACE, max_session_seconds=43200)
    ledger.login("192.0.2.7", "bob", "dovecot", "imap", "mx1 dovecot x", NOW, NOW, "Login")
    payloads = ledger.journal_payloads()
    ledger.journaled()
    ledger.logout("mx1 dovecot x", NOW + 500, NOW + 500)
    (found,) = told(*payloads, *ledger.journal_payloads())
    assert (NOW, NOW + 500 + GRACE, "Login") == (found["time"], found["until"], found["line"])


def test_what_both_journals_have_is_told_once_with_its_line():
    older = [state(NOW), state(NOW + 9, "alice")]
    assert 2 == len(told(*older, state(NOW + 9, "alice", ""), *older))


def test_a_login_whose_line_is_gone_is_still_told():
    (found,) = told(state(NOW, line=""))
    assert (NOW, None) == (found["time"], found["line"])


def test_what_was_ended_by_hand_is_told_so():
    first, second = told(state(NOW), "d\t192.0.2.7", state(NOW + 9))
    assert (True, False) == (first["forgotten"], second["forgotten"])
    assert [] == told("d\t192.0.2.7")
    first, second = told(state(NOW), "d\t192.0.2.7", state(NOW + 9), "d\t192.0.2.7", state(NOW + 9))
    assert (True, False) == (first["forgotten"], second["forgotten"]), "told again by a new journal"


@pytest.mark.parametrize(
    "payload", ["", "a", "a\t192.0.2.7\t", "a\t192.0.2.7" + "\tx" * 8, "t\t1.000\tboot", "z\t1"]
)
def test_what_is_not_a_state_of_an_address_is_passed_over(payload):
    assert [] == told(payload)


def test_the_text_is_aligned_and_safe():
    history = History("192.0.2.7")
    assert "192.0.2.7: 0 logins; the journal is empty\n" == history.as_text()
    history.take(
        [state(NOW, "王\u202e", "Login\x1b[31m"), state(NOW + 1, "bob", ""), "d\t192.0.2.7"]
    )
    said, head, first, why, second, gone = history.as_text().splitlines()
    assert said.startswith("192.0.2.7: 2 logins; the journal goes back to 20")
    assert head.index("USER") == first.index("王") == second.index("bob")
    assert ("王?", "    Login?[31m") == (first.split()[4], why)
    assert "ended by hand" in second
    assert "    (the journal no longer has the line)" == gone
    assert "\x1b[1mLOGIN" in history.as_text(colour=True)


# ---------------------------------------------------------------------- of a running filter


@pytest.fixture
def place(tmp_path):
    os.chmod(tmp_path, 0o750)
    return tmp_path


def test_the_history_of_a_running_filter_is_read_without_stopping_it(place):
    began = int(time.time())
    with Running(place) as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7", session="abc"))
        pipeline.ask(logout("abc"))
        pipeline.mode("--authorise", "192.0.2.7", "--for", "9000", "--note", "the scanner")
        pipeline.mode("--forget", "192.0.2.7")
        done = pipeline.mode("--history", "192.0.2.7", "--json")
        assert 0 == done.returncode
        value = json.loads(done.stdout)
        assert began <= value["journal_since"] <= time.time()
        first, second = value["logins"]
        assert ("bob", "imap", "dovecot", False) == (
            first["user"],
            first["protocol"],
            first["server"],
            first["forgotten"],
        )
        assert first["line"].startswith(
            "imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.7"
        )
        assert ("the scanner", None, "manual", True) == (
            second["user"],
            second["protocol"],
            second["server"],
            second["forgotten"],
        )
        assert b"OK" == pipeline.ask(login("192.0.2.8"))
        nobody = pipeline.mode("--history", "192.0.2.9")
        assert 1 == nobody.returncode
        assert nobody.stdout.startswith(b"192.0.2.9: 0 logins; the journal goes back to 20")


def test_the_older_journal_is_read_as_well(place):
    path = str(place / "j")
    journal = Journal(path)
    assert [] == list(journal.replay())
    journal.start()
    journal.append([state(NOW), state(NOW + 9, "alice")])
    journal.begin_rewrite()
    journal.rewrite_step([state(NOW + 9, "alice", "")])
    journal.append([state(NOW + 60, "carol")])
    journal.finish_rewrite()
    journal.close()
    assert [("bob", "Login"), ("alice", "Login"), ("carol", "Login")] == [
        (found.user, found.line) for found in history.history_of(path, "192.0.2.7").logins()
    ]


def test_without_a_journal_history_says_so(place):
    done = run("--config=/dev/null", f"--dbfile={place}/map", "--history", "192.0.2.7")
    assert 75 == done.returncode
    assert b"nothing was recorded yet" in done.stderr
    assert 1 == done.stderr.count(b"\n")
    bad = run("--config=/dev/null", f"--dbfile={place}/map", "--history", "192.0.2")
    assert 2 == bad.returncode
    assert bad.stderr.startswith(b"pbs-filter: --history: '192.0.2' is not an address")


def test_a_journal_that_is_renamed_between_two_looks_loses_nothing(place, monkeypatch):
    """The newer file is read first: what is renamed meanwhile is then read twice, not never."""
    order = []
    monkeypatch.setattr(history.journal_lines, "read", lambda path: order.append(path) or iter(()))
    (place / "j.1").touch()
    history.history_of(str(place / "j"), "192.0.2.7")
    assert [f"{place}/j", f"{place}/j.1"] == order
