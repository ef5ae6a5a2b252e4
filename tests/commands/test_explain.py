"""The text and the objects of --explain; tests/test_cli.py has the mode itself."""

from __future__ import annotations

import pytest

from pbs_filter.authorisation.outcome import Outcome
from pbs_filter.commands import explain
from pbs_filter.config.load import build
from pbs_filter.errors import StoreBusy
from pbs_filter.model import Reason

from ..pipelines import NOW, as_json, new
from ..reading import read as read_line
from ..running import Running, login, logout

POPA3D = "Nov 20 10:00:00 mx1 popa3d[4711]: "


def told(line: str | bytes, made=None, *, near: bool = False) -> str:
    """The story of one line, read by a new filter."""
    made = made or new(local_networks=["10.0.0.0/8"])
    raw = line.rstrip("\n").encode() if isinstance(line, str) else line
    record = read_line(raw)
    outcome = made.read(record, NOW)
    if near:
        return explain.story(1, raw, record, *explain.closer(made.matcher, record, outcome))
    return explain.story(1, raw, record, outcome)


def test_a_login_and_its_end():
    made = new()
    story = told(login("192.0.2.7", session="abc"), made)
    assert "  record       program 'dovecot' host 'mx1'\n" in story
    assert "  server       dovecot, rule login\n" in story
    assert "  observation  Accepted(user='bob', address='192.0.2.7', protocol='imap'" in story
    assert story.endswith("  decision     login: 192.0.2.7 may relay\n")
    assert told(logout("abc"), made).endswith("logout: a session of 192.0.2.7 ended\n")


def test_what_decided_is_named():
    assert told(login("10.0.0.1")).endswith(
        "  decision     nothing: may relay anyway (local_networks) (10.0.0.0/8)\n"
    )


def test_what_the_daemon_vouches_for_is_shown():
    assert " uid 12345\n" in told(as_json("words", p="popa3d", uid=12345))


def test_a_near_miss_shows_where_reading_stopped():
    story = told(login("192.0.2.7").replace(", TLS", ", wip"), near=True)
    assert "  near miss    dovecot, rule login: read up to '" in story
    assert "stopped at 'wip'\n" in story
    assert story.endswith("nothing: no rule reads this line\n")


@pytest.mark.parametrize(
    ("held", "line"),
    [
        ("holds ' '", POPA3D + "Authentication passed for pat smith"),
        ("holds ' ' '('", POPA3D + "Authentication passed for pat (x"),
        ("has 300 characters", login("192.0.2.7").replace("bob", "b" * 300)),
        (None, POPA3D + "Authentication passed for pat, smith: " + "x" * 2000),
        (None, POPA3D + "Session from pat smith"),
        (None, login("192.0.2.7").replace(", TLS", ", wip")),
        (None, "Nov 20 10:00:00 mx1 dovecot: something else"),
    ],
)
def test_a_user_name_for_which_alone_no_rule_reads_a_line_is_named(held, line):
    story = told(line, near=True)
    if held is None:
        assert story.endswith("nothing: no rule reads this line\n")
    else:
        assert story.endswith(f"nothing: the user name {held}: no rule reads this line\n")


@pytest.mark.parametrize("line", [b"", b"nonsense", b"\xff\x00\x1b[31m", b"{broken"])
def test_what_is_no_record_is_shown_as_it_came_but_printable(line):
    story = told(line)
    assert "record  " not in story
    assert all(row.isprintable() for row in story.splitlines())


def test_a_login_that_the_policy_refuses_is_a_login_for_programs():
    outcome = Outcome("none", Reason.DENIED_USER, "dovecot", address="192.0.2.7", user="eve")
    assert ("login", Reason.DENIED_USER.value) == (
        explain.story_object(7, outcome)["event"],
        explain.story_object(7, outcome)["reason"],
    )
    assert None is explain.story_object(7, Outcome("login"))["reason"]


def test_a_story_of_bytes_that_are_no_text_is_printable():
    outcome = Outcome("none", Reason.EMPTY)
    story = explain.story(1, b"\xff\x00\x1b[31m", Reason.NOT_A_RECORD, outcome)
    assert all(line.isprintable() for line in story.splitlines())


def test_the_limits_of_the_running_filter_decide(tmp_path):
    tmp_path.chmod(0o750)
    with Running(tmp_path, "--max-addresses-per-user=2") as pipeline:
        pipeline.reply()
        for address in ("192.0.2.7", "192.0.2.8"):
            pipeline.ask(login(address, session=address))
        third = login("192.0.2.9", session="third")
        lines = third + login("192.0.2.9", user="alice") + login("192.0.2.7", session="192.0.2.7")
        told = pipeline.mode("--max-addresses-per-user=2", "--explain", stdin=lines)
        assert [
            f"nothing: {Reason.USER_HAS_TOO_MANY.value} (bob)",
            "login: 192.0.2.9 may relay",
            "login: 192.0.2.7 may relay",
        ] == [
            row.partition("decision     ")[2]
            for row in told.stdout.decode().splitlines()
            if "  decision " in row
        ]
        assert b"" == told.stderr
        pipeline.mode("--forget", "192.0.2.8")
        told = pipeline.mode("--max-addresses-per-user=2", "--explain", stdin=third)
        assert b"login: 192.0.2.9 may relay" in told.stdout
    damaged = tmp_path / "map.journal"
    damaged.write_bytes(b"nonsense")
    assert b"login: " in pipeline.mode("--explain", stdin=third).stdout


def test_a_journal_that_may_not_be_read_is_told(monkeypatch, capsys):
    def read(path: str):
        raise StoreBusy(f"cannot read {path!r}") from PermissionError()

    monkeypatch.setattr(explain.journal_lines, "read", read)
    made = new()
    explain.remember(build({}), made.state, NOW)
    assert "max_addresses_per_user" in capsys.readouterr().err
