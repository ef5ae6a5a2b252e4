"""The filter as a process: its replies to the daemon, its files, and its failures."""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import stat
from types import SimpleNamespace

import pytest

from pbs_filter.clock import Clock
from pbs_filter.map_format.entry import MAX_USERS
from pbs_filter.service import control, feed, omprog
from pbs_filter.service.feed import Feed
from pbs_filter.store.gdbm_map import BYTES_PER_ADDRESS

from ..running import Running, login, logout, run, wait_for


@pytest.fixture
def place(tmp_path):
    os.chmod(tmp_path, 0o750)
    return tmp_path


def test_ok_when_ready_then_one_reply_for_each_line(place):
    with Running(place) as pipeline:
        assert b"OK" == pipeline.reply()
        for line in (login("192.0.2.7"), "\n", "nonsense\n", "\xff\x00\n", "{}\n"):
            assert b"OK" == pipeline.ask(line)
        assert b"" == pipeline.reply(0.1)
        assert 0 == pipeline.end()
        assert {"192.0.2.7"} == pipeline.addresses()


def test_a_line_in_pieces_gets_one_reply_and_nothing_is_parsed_before_its_end(place):
    with Running(place) as pipeline:
        pipeline.reply()
        line = login("192.0.2.7")
        pipeline.send(line[:60])
        assert b"" == pipeline.reply(0.1)
        pipeline.send(line[60:])
        assert b"OK" == pipeline.reply()
        pipeline.send(login("192.0.2.8").rstrip("\n"))
        assert 0 == pipeline.end()
        assert {"192.0.2.7"} == pipeline.addresses()
        assert "ended inside a line" in pipeline.log.read_text()


def test_an_overlong_line_is_acknowledged_and_counted(place):
    with Running(place) as pipeline:
        pipeline.reply()
        pipeline.send(b"x" * 200_000)
        pipeline.send(b"\n")
        assert b"OK" == pipeline.reply()
        assert 1 == pipeline.status()["reasons"]["too_long"]["count"]


def test_without_confirmation_nothing_is_said(place):
    with Running(place, confirm="no") as pipeline:
        pipeline.send(login("192.0.2.7"))
        wait_for(lambda: {"192.0.2.7"} == pipeline.addresses())
        assert 0 == pipeline.end()
        assert b"" == pipeline.process.stdout.read()


def test_with_confirm_lines_the_first_ok_is_the_one_for_the_first_line(place):
    with Running(place, confirm="lines") as pipeline:
        assert b"" == pipeline.reply(0.5)
        assert b"OK" == pipeline.ask(login("192.0.2.7"))
        assert b"" == pipeline.reply(0.1)


def test_confirmation_is_noticed_by_the_pipes(place):
    with Running(place, confirm="auto") as pipeline:
        assert b"OK" == pipeline.reply()


def test_an_address_is_gone_after_its_grace_without_a_new_line(place):
    with Running(place, "--grace=2") as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7"))
        # Not by --list, which a busy machine may start when the grace is over.
        wait_for(lambda: "authorised address=192.0.2.7" in pipeline.log.read_text())
        wait_for(lambda: not pipeline.addresses())
        wait_for(lambda: not pipeline.listed("--all"), "its entry to be removed")


def test_an_open_session_holds_its_address_until_it_ends(place):
    with Running(place, "--grace=2") as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7", session="abc"))
        pipeline.ask(login("192.0.2.8"))
        wait_for(lambda: "authorised address=192.0.2.8" in pipeline.log.read_text())
        wait_for(lambda: {"192.0.2.7"} == pipeline.addresses(), "the unheld one to end")
        first = pipeline.listed()[0]["until"]
        wait_for(lambda: pipeline.listed()[0]["until"] > first + 1, "the lease to be renewed")
        pipeline.ask(logout("abc"))
        wait_for(lambda: not pipeline.addresses())


def test_what_was_acknowledged_survives_kill_minus_nine(place):
    with Running(place) as pipeline:
        pipeline.reply()
        for i in range(20):
            assert b"OK" == pipeline.ask(login(f"192.0.2.{i}", session=f"s{i}"))
        assert b"OK" == pipeline.ask("Nov 20 10:00:00 mx1 popa3d[81]: Session from 198.51.100.8\n")
        pipeline.kill()
    with Running(place) as pipeline:
        assert b"OK" == pipeline.reply()
        passed = "Nov 20 10:00:01 mx1 popa3d[81]: Authentication passed for alice\n"
        assert b"OK" == pipeline.ask(passed)
        expected = {f"192.0.2.{i}" for i in range(20)} | {"198.51.100.8"}
        wait_for(lambda: expected == pipeline.addresses())
        assert 1 == {e["address"]: e for e in pipeline.listed()}["192.0.2.3"]["open_sessions"]
        pipeline.ask(logout("s3"))
        wait_for(lambda: 20 == pipeline.status()["open_sessions"])


def test_signals_of_the_daemon_do_not_end_it(place):
    with Running(place) as pipeline:
        pipeline.reply()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
            pipeline.signal(number)
            assert b"OK" == pipeline.ask(login("192.0.2.7"))
        assert 0 == pipeline.end()


def test_signals_while_it_starts_do_not_end_it(place):
    with Running(place) as pipeline:
        for _ in range(50):
            pipeline.signal(signal.SIGCONT)
        assert b"OK" == pipeline.reply()


def test_a_hangup_reopens_the_log_and_reads_networks_again(place):
    config = place / "pbs.toml"
    config.write_text('local_networks = ["127.0.0.0/8"]\n')
    with Running(place, f"--config={config}") as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7"))
        config.write_text('local_networks = ["192.0.2.0/24"]\n')
        pipeline.log.rename(place / "log.1")
        pipeline.signal(signal.SIGHUP)
        wait_for(pipeline.log.exists)
        wait_for(lambda: "networks" in pipeline.log.read_text())
        pipeline.ask(login("192.0.2.8"))
        assert 1 == pipeline.status()["reasons"]["local_network"]["count"]
        config.write_text("nonsense = 1\n")
        pipeline.signal(signal.SIGHUP)
        wait_for(lambda: "'nonsense'" in pipeline.log.read_text())
        assert b"OK" == pipeline.ask(login("192.0.2.9"))


def test_the_log_tells_who_was_let_in_by_which_login_and_who_changed_it_by_hand(place):
    with Running(place, "--log-format=json", "--deny-users=eve") as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7", session="a"))
        pipeline.ask(login("192.0.2.8", user="eve"))
        pipeline.ask(logout("a"))
        pipeline.mode("--authorise", "192.0.2.9", "--note", "the scanner")
        pipeline.mode("--forget", "192.0.2.7")
        pipeline.end()
    told = [json.loads(line) for line in pipeline.log.read_text().splitlines()]
    happened = [(each["event"], each.get("address"), each.get("uid")) for each in told]
    assert [
        ("authorised", "192.0.2.7", None),
        ("session", "192.0.2.7", None),
        ("refused", "192.0.2.8", None),
        ("session-ended", "192.0.2.7", None),
        ("authorised", "192.0.2.9", os.geteuid()),
        ("ended", "192.0.2.7", None),
        ("forgotten", "192.0.2.7", os.geteuid()),
    ] == [each for each in happened if each[0] != "message"]
    texts = [each["text"] for each in told if each["event"] == "message"]
    assert any(text.startswith("started: version ") for text in texts)
    assert "the input ended: stopping" in texts
    pipeline.mode("--forget", "192.0.2.9", f"--logto={pipeline.log}")
    assert f"forgotten address=192.0.2.9 uid={os.geteuid()}" in pipeline.log.read_text()


def test_a_hangup_reads_the_files_of_users_again(place):
    denied = place / "denied"
    denied.write_text("# nobody yet\n")
    with Running(place, f"--deny-users={denied},eve") as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.6", user="EVE"))
        pipeline.ask(login("192.0.2.7", user="bob@example.org"))
        denied.write_text("*@EXAMPLE.org\n")
        pipeline.signal(signal.SIGHUP)
        wait_for(lambda: "read again" in pipeline.log.read_text())
        pipeline.ask(login("192.0.2.8", user="bob@example.org"))
        assert 2 == pipeline.status()["reasons"]["denied_user"]["count"]
        denied.unlink()
        pipeline.signal(signal.SIGHUP)
        wait_for(lambda: "deny_users: cannot read" in pipeline.log.read_text())
        pipeline.ask(login("192.0.2.9", user="bob@example.org"))
        assert 3 == pipeline.status()["reasons"]["denied_user"]["count"]


def test_a_user_who_is_denied_by_a_hangup_or_a_start_is_out_with_his_sessions(place):
    denied = place / "denied"
    denied.write_text("")
    options = (f"--deny-users={denied}",)
    with Running(place, *options) as pipeline:
        pipeline.reply()
        for number, user in enumerate(("eve", "eve", "bob", "alice")):
            pipeline.ask(login(f"192.0.2.{number}", user=user, session=f"s{number}"))
        wait_for(lambda: 4 == len(pipeline.addresses()))
        denied.write_text("EVE\n")
        pipeline.signal(signal.SIGHUP)
        wait_for(lambda: {"192.0.2.2", "192.0.2.3"} == pipeline.addresses())
        assert 2 == pipeline.status()["open_sessions"]
        assert "2 addresses no longer authorised: deny_users" in pipeline.log.read_text()
    denied.write_text("eve\nbob\n")
    with Running(place, *options) as pipeline:
        pipeline.reply()
        wait_for(lambda: {"192.0.2.3"} == pipeline.addresses())
        assert 1 == pipeline.status()["open_sessions"]


def test_local_networks_can_be_asked_from_the_mta(place):
    script = place / "postconf"
    script.write_text("#!/bin/sh\necho '192.0.2.0/24 [2001:db8::]/32 /etc/x hash:/etc/y'\n")
    script.chmod(0o755)
    with Running(place, f"--local-networks-command={script} -hx mynetworks") as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.8"))
        pipeline.ask(login("198.51.100.8"))
        wait_for(lambda: {"198.51.100.8"} == pipeline.addresses())
        assert "'/etc/x', 'hash:/etc/y'" in pipeline.log.read_text()


def test_a_store_in_trouble_is_told_not_acknowledged_and_not_counted_twice(place):
    with Running(place) as pipeline:
        pipeline.reply()
        assert b"OK" == pipeline.ask(login("192.0.2.6"))
        wait_for(lambda: {"192.0.2.6"} == pipeline.addresses())
        hidden = place.parent / (place.name + "-hidden")
        shutil.move(place, hidden)
        try:
            line = login("192.0.2.7")
            for _ in range(3):
                reply = pipeline.ask(line)
                assert reply.startswith(b"Error: cannot append to the journal"), reply
        finally:
            shutil.move(hidden, place)
        assert b"OK" == pipeline.ask(line)
        wait_for(lambda: {"192.0.2.6", "192.0.2.7"} == pipeline.addresses())
        assert 2 == pipeline.status()["logins"]["dovecot"]
        assert 0 == pipeline.end()


def test_in_trouble_the_daemons_question_is_kept_open_until_that_is_over(place):
    with Running(place) as pipeline:
        pipeline.reply()
        assert b"OK" == pipeline.ask("\n")
        assert b"OK" == pipeline.ask(login("192.0.2.6"))
        hidden = place.parent / (place.name + "-hidden")
        shutil.move(place, hidden)
        try:
            assert pipeline.ask(login("192.0.2.7")).startswith(b"Error: ")
            pipeline.send("\n")
            assert b"." == os.read(pipeline.process.stdout.fileno(), 1)
        finally:
            shutil.move(hidden, place)
        assert b"OK" == pipeline.reply()
        assert b"OK" == pipeline.ask(login("192.0.2.7"))
        assert 2 == pipeline.status()["lines"], "a question is no line"


def test_in_lasting_trouble_the_daemons_question_is_refused_and_it_may_ask_again(
    place, monkeypatch
):
    monkeypatch.setattr(feed, "HOLD_SECONDS", 0.0)
    store = SimpleNamespace(troubles={"journal": "full"}, trouble="full", commit=lambda: False)
    replies, stdout = os.pipe()
    asked = Feed(
        pipeline=SimpleNamespace(state=None),
        persister=store,
        log=None,
        confirm=True,
        clock_=Clock(),
        stdout=stdout,
    )
    asked._input(omprog.QUESTION, None)
    assert b"Error: full\n" == os.read(replies, 100)
    store.commit = lambda: True
    asked._input(omprog.QUESTION, None)
    assert b"OK\n" == os.read(replies, 100)


def test_without_confirmation_changes_wait_until_the_trouble_is_over(place):
    with Running(place, confirm="no") as pipeline:
        pipeline.send(login("192.0.2.6"))
        wait_for(lambda: {"192.0.2.6"} == pipeline.addresses())
        hidden = place.parent / (place.name + "-hidden")
        shutil.move(place, hidden)
        try:
            pipeline.send(login("192.0.2.7"))
            wait_for(lambda: "cannot append" in (hidden / "log").read_text())
        finally:
            shutil.move(hidden, place)
        wait_for(lambda: {"192.0.2.6", "192.0.2.7"} == pipeline.addresses())
        assert "can be written again" in pipeline.log.read_text()


def test_a_locked_map_delays_acknowledgement_and_loses_nothing(place):
    import _gdbm

    with Running(place) as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.6"))
        wait_for(lambda: {"192.0.2.6"} == pipeline.addresses())
        with _gdbm.open(str(pipeline.map), "w"):
            pipeline.ask(login("192.0.2.7"))
            wait_for(lambda: "has been locked" in pipeline.log.read_text())
            assert pipeline.ask(login("192.0.2.8")).startswith(b"Error: the map")
        assert b"OK" == pipeline.ask(login("192.0.2.8"))
        wait_for(lambda: {"192.0.2.6", "192.0.2.7", "192.0.2.8"} == pipeline.addresses())


def test_who_asks_again_for_what_the_map_still_lacks_is_told_so_again(place):
    with Running(place) as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7"))
        wait_for(pipeline.addresses, "the login")
        with open(pipeline.map) as locked:
            fcntl.flock(locked, fcntl.LOCK_EX)
            for _ in range(2):  # the second finds nothing to forget any more
                assert b"has been locked" in pipeline.mode("--forget", "192.0.2.7").stderr
        wait_for(lambda: not pipeline.addresses(), "the map to be told")
        assert b"has been locked" not in pipeline.mode("--forget", "192.0.2.7").stderr


def test_a_map_that_is_broken_or_removed_is_made_again(place):
    with Running(place) as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.6"))
        wait_for(lambda: {"192.0.2.6"} == pipeline.addresses())
        pipeline.map.unlink()
        pipeline.ask(login("192.0.2.7"))
        wait_for(lambda: {"192.0.2.6", "192.0.2.7"} == pipeline.addresses())
        pipeline.map.write_bytes(b"")
        pipeline.ask(login("192.0.2.8"))
        wait_for(lambda: {"192.0.2.6", "192.0.2.7", "192.0.2.8"} == pipeline.addresses())
        assert b"OK" == pipeline.ask(login("192.0.2.9"))


def test_exported_files_follow_the_logins_and_the_ends_without_a_line(place):
    config = place / "pbs.toml"
    config.write_text(
        f'[[export]]\nformat = "cidr"\npath = "{place}/list"\ninterval_seconds = 1\n'
        f'command = "/bin/cp {place}/list {place}/copy"\n'
    )
    with Running(place, f"--config={config}", "--grace=3") as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7"))
        copy = place / "copy"
        wait_for(lambda: copy.exists() and "192.0.2.7" in copy.read_text())
        wait_for(lambda: "192.0.2.7" not in copy.read_text(), "the end to be exported")


def test_many_users_from_one_address_are_told_once_with_the_address(place):
    with Running(place) as pipeline:
        pipeline.reply()
        for i in range(7):
            pipeline.ask(login("192.0.2.7", user=f"u{i}"))
        wait_for(lambda: "users and more logged in from 192.0.2.7" in pipeline.log.read_text())
        assert 1 == pipeline.log.read_text().count("proxy_networks")
        assert "192.0.2.7: u0, u1, u2" in pipeline.mode("--status").stdout.decode()


def test_a_second_filter_waits_for_the_first(place):
    with Running(place) as first:
        first.reply()
        first.ask(login("192.0.2.6"))
        with Running(place) as second:
            assert b"" == second.reply(0.5)
            second.send(login("192.0.2.7"))
            assert 0 == first.end()
            assert b"OK" == second.reply()
            assert b"OK" == second.reply()
            wait_for(lambda: {"192.0.2.6", "192.0.2.7"} == second.addresses())


def test_a_person_can_authorise_and_forget_while_it_runs_and_while_it_does_not(place):
    with Running(place) as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.6"))
        done = pipeline.mode("--authorise", "192.0.2.99", "--for", "500", "--note", "scanner")
        assert b"192.0.2.99: may relay until" in done.stdout
        assert {"192.0.2.6", "192.0.2.99"} == pipeline.addresses()
        assert "scanner" == pipeline.listed()[0]["user"]
        assert 0 == pipeline.mode("--list", "192.0.2.99").returncode
        assert 1 == pipeline.mode("--list", "192.0.2.98").returncode
        assert 0 == pipeline.mode("--forget", "192.0.2.99").returncode
        assert 1 == pipeline.mode("--forget", "192.0.2.99").returncode
        assert {"192.0.2.6"} == pipeline.addresses()
        pipeline.end()
        assert 75 == pipeline.mode("--status").returncode
        assert 0 == pipeline.mode("--forget", "192.0.2.6").returncode
        assert 0 == pipeline.mode("--authorise", "2001:db8::7").returncode
        assert {"2001:db8::7"} == pipeline.addresses()
        bad = pipeline.mode("--authorise", "mx.example.org")
        assert b"'mx.example.org' is not an address" in bad.stderr
        assert 2 == bad.returncode


def test_a_person_ends_a_user_or_everybody_and_others_go_on(place):
    with Running(place) as pipeline:
        pipeline.reply()
        for address in ("192.0.2.6", "192.0.2.7"):
            pipeline.ask(login(address, user="alice@example.org"))
        pipeline.ask(login("192.0.2.7", user="bob", session="open"))
        (shared,) = wait_for(lambda: [e for e in pipeline.listed() if len(e["users"]) > 1])
        assert {"alice@example.org", "bob"} == {user["user"] for user in shared["users"]}
        table = pipeline.mode("--list").stdout.decode()
        assert 2 == table.count("192.0.2.7  ")
        done = pipeline.mode("--forget", "--user", "Alice@example.org")
        assert b"Alice@example.org: forgotten (2 addresses)\n" == done.stdout
        assert 0 == done.returncode
        assert 1 == pipeline.mode("--forget", "--user=alice@example.org").returncode
        assert {"192.0.2.7"} == pipeline.addresses()
        pipeline.end()
        assert {"192.0.2.7"} == pipeline.addresses()
        done = pipeline.mode("--forget", "--all")
        assert (0, b"everybody: forgotten (1 address)\n") == (done.returncode, done.stdout)
        assert set() == pipeline.addresses()
        for words in ((), ("192.0.2.7", "--all"), ("--all", "--user=x")):
            bad = pipeline.mode("--forget", *words)
            assert (2, True) == (bad.returncode, b"only one of them" in bad.stderr)


def test_the_files_are_for_the_filter_and_its_group(place):
    with Running(place) as pipeline:
        pipeline.reply()
        modes = {
            path.name: stat.S_IMODE(path.lstat().st_mode)
            for path in place.iterdir()
            if path.name.startswith("map")
        }
        assert {
            "map": 0o640,
            "map.state": 0o640,
            "map.clock": 0o640,
            "map.journal": 0o640,
            "map.lock": 0o640,
            "map.control": 0o600,
            "map.lookups": 0o620,
        } == modes


def test_with_nowrite_nothing_is_written(place):
    done = run("--config=/dev/null", f"--dbfile={place}/map", "--nowrite", stdin=login("192.0.2.7"))
    assert 0 == done.returncode
    assert [] == list(place.iterdir())


def test_a_start_that_fails_says_why_once_and_leaves(place):
    done = run(f"--dbfile={place}/missing/map", "--config=/dev/null", "--grace=0")
    assert 2 == done.returncode
    assert b"pbs-filter: --grace-seconds: 0 is not from 1 to 604800\n" == done.stderr
    assert b"" == done.stdout


def test_a_forged_line_is_in_the_log_with_uid_and_program(place):
    line = (
        '{"p": "dovecot", "uid": 65534, "msg": "imap-login: Login: user=<eve>, method=PLAIN, '
        'rip=203.0.113.66, lip=192.0.2.1, mpid=7, TLS"}\n'
    )
    with Running(place) as pipeline:
        pipeline.reply()
        for _ in range(3):
            pipeline.ask(line)
        wait_for(lambda: "forged: uid 65534" in pipeline.log.read_text(), "the log")
        assert 1 == pipeline.log.read_text().count("forged: uid"), "once a minute"
        assert "as 'dovecot'" in pipeline.log.read_text()
        assert set() == pipeline.addresses()


def test_at_the_start_it_says_what_a_feed_without_credentials_means(place):
    with Running(place) as pipeline:
        pipeline.reply()
        assert "anybody who can write to the log" in pipeline.log.read_text()
        assert 0 == pipeline.end()
    pipeline.log.unlink()
    config = place / "pbs.toml"
    config.write_text("require_vouched = true\n")
    with Running(place, f"--config={config}") as pipeline:
        pipeline.reply()
        assert "anybody" not in pipeline.log.read_text()


def test_without_confirmation_little_is_in_the_pipe_when_it_is_killed(place):
    with Running(place, confirm="no") as pipeline:
        pipeline.send(login("192.0.2.7"))
        wait_for(lambda: {"192.0.2.7"} == pipeline.addresses())
        size = fcntl.fcntl(pipeline.process.stdin.fileno(), fcntl.F_GETPIPE_SZ)
        assert 16_384 == size


def test_with_confirmation_the_pipe_stays_as_it_is(place):
    with Running(place) as pipeline:
        before = fcntl.fcntl(pipeline.process.stdin.fileno(), fcntl.F_GETPIPE_SZ)
        pipeline.reply()
        pipeline.ask(login("192.0.2.7"))
        assert before == fcntl.fcntl(pipeline.process.stdin.fileno(), fcntl.F_GETPIPE_SZ)


def test_with_retry_start_it_waits_inside_until_the_input_ends(place):
    config = place / "pbs.toml"
    config.write_text("nonsense = 1\n")
    with Running(place, f"--config={config}", "--retry-start", confirm="no") as pipeline:
        pipeline.send(login("192.0.2.7"))
        wait_for(lambda: pipeline.log.exists() and "'nonsense'" in pipeline.log.read_text())
        assert pipeline.process.poll() is None
        config.write_text("")
        wait_for(lambda: {"192.0.2.7"} == pipeline.addresses())
        assert 0 == pipeline.end()


def test_while_a_confirmed_start_is_tried_again_the_daemon_is_kept_waiting(place):
    config = place / "pbs.toml"
    config.write_text("nonsense = 1\n")
    with Running(place, f"--config={config}", "--retry-start", confirm="lines") as pipeline:
        pipeline.send(login("192.0.2.7"))
        wait_for(lambda: select.select([pipeline.process.stdout], [], [], 0)[0], "a keep-alive")
        assert b"." == os.read(pipeline.process.stdout.fileno(), 1)
        config.write_text("")
        assert b"OK" == pipeline.reply()


def test_with_retry_start_and_no_more_input_it_leaves(place):
    done = run("--config=/dev/null", "--grace=0", "--retry-start")
    assert 2 == done.returncode
    assert b"trying again" in done.stderr


@pytest.mark.parametrize("confirm", ["no", "lines"])
def test_a_filter_that_waits_for_anothers_store_leaves_when_the_input_ends(place, confirm):
    with Running(place, confirm="no") as first:
        first.send(login("192.0.2.7"))
        wait_for(lambda: {"192.0.2.7"} == first.addresses())
        with Running(place, "--retry-start", confirm=confirm) as second:
            wait_for(lambda: second.log.exists() and "waiting: " in second.log.read_text())
            assert 75 == second.end()
        assert first.process.poll() is None


def test_what_was_sent_to_a_filter_that_waits_for_anothers_store_is_taken_by_it(place):
    with Running(place, confirm="no") as first:
        first.send(login("192.0.2.7"))
        wait_for(lambda: {"192.0.2.7"} == first.addresses())
        with Running(place, "--retry-start", confirm="no") as second:
            second.send(login("192.0.2.8"))
            second.process.stdin.close()
            wait_for(lambda: second.log.exists() and "waiting: " in second.log.read_text())
            assert 0 == first.end()
            wait_for(lambda: second.process.poll() is not None, "the second to end")
        assert {"192.0.2.7", "192.0.2.8"} == second.addresses()


def test_journal_and_map_stay_small(place):
    with Running(place, "--max-session-seconds=0") as pipeline:
        pipeline.reply()
        for i in range(300):
            block = "".join(login(f"192.0.2.{j}", user=f"u{i}-{j}") for j in range(100))
            pipeline.send(block)
            for _ in range(100):
                assert b"OK" == pipeline.reply()
        wait_for(lambda: (place / "map.journal").stat().st_size < 3_000_000)
        # Each address has its own key, and one for each of its newest users.
        assert pipeline.map.stat().st_size < 100 * (1 + MAX_USERS) * BYTES_PER_ADDRESS
        assert 100 == len(pipeline.addresses())
        assert (place / "map.journal.1").exists()
        pipeline.kill()
    with Running(place) as pipeline:
        pipeline.reply()
        assert 100 == len(wait_for(pipeline.addresses))


def test_a_poison_line_is_taken_logged_once_and_followed_by_others(place):
    """A fault of ours on one line, in a real filter: the code is broken on purpose."""
    broken = place / "sitecustomize.py"
    broken.write_text(
        "from pbs_filter.authorisation.ledger import Ledger\n"
        "from pbs_filter.service import requests\n"
        "login, tick = Ledger.login, Ledger.tick\n"
        "def fails(self, address, *rest):\n"
        "    if address == '192.0.2.66':\n"
        "        raise KeyError(address)\n"
        "    return login(self, address, *rest)\n"
        "def fails_too(self, now):\n"
        "    tick(self, now)\n"
        "    raise ZeroDivisionError('housekeeping')\n"
        "def never(*_):\n"
        "    raise AttributeError('request')\n"
        "Ledger.login, Ledger.tick, requests.handle = fails, fails_too, never\n"
    )
    with Running(place, python_path=place) as pipeline:
        pipeline.reply()
        for address in ("192.0.2.66", "192.0.2.66", "192.0.2.7"):
            assert b"OK" == pipeline.ask(login(address))
        assert {"192.0.2.7"} == wait_for(pipeline.addresses)
        answer = control.ask(str(place / "map.control"), {"do": "status"})
        assert "AttributeError('request')" in answer["error"]
        wait_for(lambda: "ZeroDivisionError" in pipeline.log.read_text())
        assert b"OK" == pipeline.ask(login("192.0.2.8"))
        assert 0 == pipeline.end()
        log = pipeline.log.read_text()
        assert 1 == log.count("failed on a line (KeyError('192.0.2.66')")
        assert "rip=192.0.2.66" in log
        assert 1 == log.count("housekeeping failed")
        assert "Traceback" not in log
