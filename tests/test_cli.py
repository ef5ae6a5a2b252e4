"""The command line: modes, options, exit statuses, and what is said."""

from __future__ import annotations

import gzip
import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pbs_filter.cli import GONE, main, parser
from pbs_filter.commands.reprocess import stamper
from pbs_filter.config.options import OPTIONS
from pbs_filter.model import Reason
from pbs_filter.syslog.timestamps import Stamps

from .running import COMMAND, ENVIRONMENT, Running, login, logout, run

NO_CONFIG = "--config=/dev/null"


@pytest.fixture
def place(tmp_path):
    os.chmod(tmp_path, 0o750)
    return tmp_path


def stamped(seconds_ago: int, line: str) -> str:
    """A line with the stamp of a moment ago in place of its own."""
    when = time.localtime(time.time() - seconds_ago)
    return time.strftime("%b %e %H:%M:%S", when) + line[15:]


# ---------------------------------------------------------------------- --explain


def test_explain_tells_how_each_line_was_read_and_what_it_led_to():
    lines = (
        login("192.0.2.7", session="abc")
        + logout("abc")
        + login("127.0.0.1")
        + "Nov 20 10:00:00 mx1 dovecot: imap-login: Login: user=<bob>, method=PLAIN, "
        "rip=192.0.2.7, lip=192.0.2.1, ?=1\n"
        + "Nov 20 10:00:00 mx1 postfix/smtpd[7]: connect\n"
        + "\n"
    )
    done = run(NO_CONFIG, "--explain", stdin=lines)
    text = done.stdout.decode()
    for words in (
        "line 1: Nov 20 10:00:00 mx1 dovecot: imap-login: Login:",
        "record       program 'dovecot' host 'mx1'",
        "server       dovecot, rule login",
        "observation  Accepted(user='bob', address='192.0.2.7'",
        "login: 192.0.2.7 may relay",
        "logout: a session of 192.0.2.7 ended",
        "nothing: may relay anyway (local_networks) (127.0.0.0/8)",
        "near miss    dovecot, rule login: read up to",
        "stopped at '?=1'",
        "nothing: no rule reads this line",
        "nothing: a program no server file claims",
        "nothing: empty line",
    ):
        assert words in text
    assert b"" == done.stderr
    assert 0 == done.returncode


def test_a_log_files_lines_are_explained_though_it_cannot_say_who_wrote_them():
    message = login("192.0.2.9").partition("dovecot: ")[2].rstrip("\n")
    of_a_feed = json.dumps({"p": "dovecot", "msg": message}) + "\n"
    lines = login("192.0.2.7") + login("127.0.0.1") + of_a_feed
    done = run(NO_CONFIG, "--require-vouched", "--explain", stdin=lines)
    said = [row for row in done.stdout.decode().splitlines() if "  decision  " in row]
    assert "login: 192.0.2.7 may relay, if the server itself or root wrote this" in said[0]
    assert "nothing: may relay anyway (local_networks)" in said[1]
    assert said[2].endswith("nothing: " + Reason.NOT_VOUCHED.value)
    done = run(NO_CONFIG, "--require-vouched", "--explain", "--json", stdin=lines)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert ("login", "192.0.2.7", Reason.NOT_VOUCHED.value) == (
        found[0]["event"],
        found[0]["address"],
        found[0]["reason"],
    )
    assert ("none", Reason.NOT_VOUCHED.value) == (found[2]["event"], found[2]["reason"])


def test_explain_as_json_is_one_object_a_line_in_order_and_writes_nothing(place):
    lines = (
        "Nov 20 10:00:00 mx1 popa3d[81]: Session from 192.0.2.8\n"
        + login("192.0.2.7", session="abc")
        + "Nov 20 10:00:01 mx1 popa3d[81]: Authentication passed for alice\n"
        + logout("abc")
        + "nonsense"
    )
    done = run(NO_CONFIG, f"--dbfile={place}/map", "--explain", "--json", stdin=lines)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    nobody = {"event": "none", "address": None, "user": None, "protocol": None}
    nobody |= {"server": None, "detail": None}
    assert [
        {
            **nobody,
            "line": 1,
            "address": "192.0.2.8",
            "server": "popa3d",
            "reason": "connected, not logged in",
        },
        {
            "line": 2,
            "event": "login",
            "address": "192.0.2.7",
            "user": "bob",
            "protocol": "imap",
            "server": "dovecot",
            "reason": None,
            "detail": None,
        },
        {
            "line": 3,
            "event": "login",
            "address": "192.0.2.8",
            "user": "alice",
            "protocol": "pop3",
            "server": "popa3d",
            "reason": None,
            "detail": None,
        },
        {
            "line": 4,
            "event": "logout",
            "address": "192.0.2.7",
            "user": "bob",
            "protocol": "imap",
            "server": "dovecot",
            "reason": None,
            "detail": None,
        },
        {**nobody, "line": 5, "reason": "no syslog header we know"},
    ] == found
    assert [] == list(place.iterdir())


def test_a_login_that_the_policy_refuses_is_a_login_with_a_reason():
    lines = login("127.0.0.1") + login("0.0.0.0") + login("198.51.100.254")
    done = run(NO_CONFIG, "--explain", "--json", stdin=lines)
    assert [
        ("login", "127.0.0.1", "may relay anyway (local_networks)"),
        ("none", "0.0.0.0", Reason.SPECIAL_ADDRESS.value),
        ("login", "198.51.100.254", "the server's own address"),
    ] == [
        (found["event"], found["address"], found["reason"])
        for found in map(json.loads, done.stdout.splitlines())
    ]


def test_explain_names_the_pattern_that_denied_and_check_the_file_that_is_not_there(place):
    users = place / "users"
    users.write_text("*@example.org\n")
    done = run(
        NO_CONFIG,
        f"--deny-users={users}",
        "--explain",
        stdin=login("192.0.2.7", user="a@example.org"),
    )
    assert b"nothing: in deny_users (*@example.org)" in done.stdout
    done = run(NO_CONFIG, f"--allow-users={place}/none", "--check")
    assert 78 == done.returncode
    assert b"command line: allow_users: cannot read" in done.stderr


def test_explain_names_the_group_that_decided(place):
    config = place / "c.toml"
    config.write_text(
        '[[group]]\nname = "scanners"\nusers = ["scan*"]\nnetworks = ["192.0.2.0/24"]\n'
        'grace_seconds = "1d"\nmax_session_seconds = 0\n'
    )
    lines = login("192.0.2.7", user="Scan-1") + login("198.51.100.7", user="Scan-1")
    text = run(f"--config={config}", "--explain", stdin=lines).stdout.decode()
    assert "login: 192.0.2.7 may relay (group scanners)\n" in text
    assert "login: 198.51.100.7 may relay\n" in text
    with Running(place, f"--config={config}") as pipeline:
        pipeline.reply()
        pipeline.ask(lines.splitlines(keepends=True)[0])
        (row,) = pipeline.listed()
        assert 86000 < row["left_seconds"] <= 86400
    config.write_text('[[groups]]\nname = "x"\n')
    done = run(f"--config={config}", "--check")
    assert (78, f"pbs-filter: {config}: [[groups]] 'x': write users, networks, or both\n") == (
        done.returncode,
        done.stderr.decode(),
    )


def test_explain_names_the_user_who_has_too_many_addresses():
    lines = "".join(login(f"192.0.2.{number}") for number in (1, 2, 1, 3))
    options = (NO_CONFIG, "--max-addresses-per-user=2", "--explain")
    decisions = [
        row for row in run(*options, stdin=lines).stdout.decode().splitlines() if "decision" in row
    ]
    assert 3 == sum("may relay" in row for row in decisions)
    assert "the user has max_addresses_per_user already (bob)" in decisions[3]
    found = [json.loads(row) for row in run(*options, "--json", stdin=lines).stdout.splitlines()]
    assert ("login", "192.0.2.3", Reason.USER_HAS_TOO_MANY.value) == (
        found[3]["event"],
        found[3]["address"],
        found[3]["reason"],
    )


# ---------------------------------------------------------------------- --list


def test_list_has_a_plain_form_and_knows_the_ended(place):
    with Running(place, "--grace=3600") as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7"))
        pipeline.mode("--authorise", "192.0.2.9", "--for", "1")
        pipeline.kill()
    assert 0 == run(NO_CONFIG, f"--dbfile={place}/map", "--list", "192.0.2.7").returncode
    plain = run(NO_CONFIG, f"--dbfile={place}/map", "--list", "--plain")
    assert b"192.0.2.7\n" in plain.stdout
    everybody = json.loads(
        run(NO_CONFIG, f"--dbfile={place}/map", "--list", "--all", "--json").stdout
    )
    assert {"192.0.2.7", "192.0.2.9"} == {entry["address"] for entry in everybody}
    table = run(NO_CONFIG, f"--dbfile={place}/map", "--list").stdout.decode()
    assert table.startswith("ADDRESS")
    assert b"192.0.2.8: not authorised\n" == (
        run(NO_CONFIG, f"--dbfile={place}/map", "--list", "192.0.2.8").stdout
    )
    bad = run(NO_CONFIG, f"--dbfile={place}/map", "--list", "192.0.2")
    assert (2, b"pbs-filter: --list: '192.0.2' is not an address; give one, like 192.0.2.7\n") == (
        bad.returncode,
        bad.stderr,
    )


def test_without_a_map_list_says_so():
    done = run(NO_CONFIG, "--dbfile=/nonexistent/map", "--list")
    assert 75 == done.returncode
    assert b"'/nonexistent/map'" in done.stderr
    assert 1 == done.stderr.count(b"\n")


# ---------------------------------------------------------------------- --status


def test_status_for_people_names_what_happened(place):
    with Running(place) as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7", session="x"))
        pipeline.ask(login("127.0.0.1"))
        pipeline.ask("Nov 20 10:00:00 mx1 popa3d[9]: brand new words\n")
        pipeline.ask(
            '{"h":"mx1","p":"popa3d","pid":"9","uid":12345,"msg":"Session from 192.0.2.8"}\n'
        )
        text = pipeline.mode("--status").stdout.decode()
    for words in (
        "lines            4",
        "authorised now   1 address, 1 open session, 0 pending",
        "store            ok",
        "logins           dovecot 1",
        "1  may relay anyway (local_networks)",
        "popa3d: 'brand new words'",
        "uid 12345 as popa3d",
    ):
        assert words in text


# ---------------------------------------------------------------------- --reprocess


def test_reprocess_judges_each_line_at_its_own_time_and_keeps_who_may_relay_now(place):
    log = place / "mail.log"
    log.write_text(
        stamped(7200, login("192.0.2.1"))
        + stamped(60, login("192.0.2.7"))
        + stamped(50, "Nov 20 10:00:00 mx1 popa3d[9]: brand new words\n")
        + stamped(40, login("198.51.100.7", session="open"))
        + stamped(30, "Nov 20 10:00:00 mx1 postfix/smtpd[7]: connect\n")
        + "Xyz 41 10:00:00 mx1 dovecot: imap-login: Login: nothing\n"
        + "Feb 31 10:00:00"
        + login("203.0.113.66")[15:]
    )
    old = place / "mail.log.1.gz"
    old.write_bytes(gzip.compress(stamped(7300, login("192.0.2.2")).encode()))
    done = run(NO_CONFIG, f"--dbfile={place}/map", "--reprocess", str(old), str(log))
    text = done.stdout.decode()
    assert 0 == done.returncode, done.stderr
    for words in (
        "8  lines",
        "4  logins that authorised",
        "4  dovecot",
        "2  addresses that may relay now",
        "1  no rule reads this line",
        "2  no time stamp that can be read",
        "1  popa3d: 'brand new words'",
    ):
        assert words in text
    listed = json.loads(run(NO_CONFIG, f"--dbfile={place}/map", "--list", "--json").stdout)
    assert {"192.0.2.7": 0, "198.51.100.7": 1} == {
        entry["address"]: entry["open_sessions"] for entry in listed
    }
    unheld = next(entry for entry in listed if entry["address"] == "192.0.2.7")
    assert 1700 <= unheld["left_seconds"] <= 1740


def test_reprocess_reads_the_oldest_file_first(place):
    """`mail.log*` names the newest first."""
    end = "Nov 20 10:00:00 mx1 dovecot: imap(bob)<41><A>: Disconnected: Logged out in=1 out=2\n"
    log, old = place / "mail.log", place / "mail.log.1"
    log.write_text(stamped(7000, end))
    old.write_text(stamped(10_000, login("192.0.2.7", session="A")))
    os.utime(old, (time.time() - 8000,) * 2)
    done = run(NO_CONFIG, "--reprocess", "--nowrite", str(log), str(old))
    assert b"1  logins that authorised" in done.stdout
    assert b"1  logouts" in done.stdout
    assert b"0  addresses that may relay now" in done.stdout


def test_reprocess_reads_stdin_and_with_nowrite_keeps_nothing(place):
    done = run(
        NO_CONFIG,
        f"--dbfile={place}/map",
        "--reprocess",
        "--nowrite",
        stdin=stamped(5, login("192.0.2.7")),
    )
    assert b"1  logins that authorised" in done.stdout
    assert [] == list(place.iterdir())


def test_reprocess_says_which_file_it_could_not_read_and_goes_on(place):
    torn = place / "torn.gz"
    torn.write_bytes(gzip.compress(stamped(5, login("192.0.2.7")).encode() * 5000)[:-40])
    done = run(NO_CONFIG, "--reprocess", "--nowrite", "/nonexistent", str(torn))
    assert 1 == done.returncode
    assert b"'/nonexistent': No such file" in done.stderr
    assert b"torn.gz" in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"lines" in done.stdout


def test_reprocess_does_not_believe_a_log_file_where_lines_must_be_vouched_for(place):
    log = place / "mail.log"
    log.write_text(stamped(5, login("192.0.2.7")))
    to = (NO_CONFIG, f"--dbfile={place}/map", "--reprocess")
    done = run(*to, "--require-vouched", str(log))
    assert b"0  addresses that may relay now" in done.stdout
    assert b"--reprocess --norequire-vouched FILE" in done.stdout
    done = run(*to, "--norequire-vouched", str(log))
    assert b"1  addresses that may relay now" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another account: needs root")
def test_reprocess_reads_what_root_may_read_and_the_filters_account_not(place):
    for directory in Path(__file__).resolve().parents:
        if not directory.stat().st_mode & 0o001:
            pytest.skip(f"another account cannot enter {directory}, where this clone is")
    log = place / "mail.log"
    log.write_text(stamped(5, login("192.0.2.7")))
    log.chmod(0o600)
    done = run(NO_CONFIG, "--user=nobody", "--nowrite", "--reprocess", str(log))
    assert b"1  logins that authorised" in done.stdout, done.stderr
    assert 0 == done.returncode


def test_reprocess_refuses_a_map_that_a_running_filter_holds(place):
    with Running(place) as pipeline:
        pipeline.reply()
        done = pipeline.mode("--reprocess")
    assert 75 == done.returncode
    assert b"another pbs-filter" in done.stderr


def test_a_second_filter_by_hand_is_told_at_once_who_holds_the_map(place):
    with Running(place) as pipeline:
        pipeline.reply()
        terminal, stdin = pty.openpty()
        done = subprocess.run(
            [*COMMAND, NO_CONFIG, f"--map={pipeline.map}"],
            stdin=stdin,
            capture_output=True,
            env=ENVIRONMENT,
            timeout=60,
            check=False,
        )
        os.close(terminal)
        os.close(stdin)
    assert 75 == done.returncode
    assert f"another pbs-filter (pid {pipeline.process.pid}, since".encode() in done.stderr


def test_a_json_records_own_time_is_its_time():
    from datetime import UTC

    stamp = stamper(Stamps(zone=UTC, reference_epoch=2e9))
    assert 1_800_000_000 == stamp(b'{"t":"2027-01-15T08:00:00+00:00","p":"x","msg":"y"}')
    assert stamp(b'{"p":"x","msg":"y"}') is None
    assert stamp(b"{broken") is None


# ---------------------------------------------------------------------- the rest


def test_check_passes_the_contract_for_every_server():
    done = run(NO_CONFIG, "--check")
    assert b"configuration: ok" in done.stdout, done.stdout[-2000:]
    assert b"dovecot: " in done.stdout
    assert 0 == done.returncode


OURS = """
[[server]]
name = "ours"
program = "ourd"
login = "user {user} in from {ip}"
samples = [
    {line = "ourd[1]: user bob in from 192.0.2.7", user = "bob", ip = "192.0.2.7"},
    {line = "ourd[1]: user bob in from 192.0.2.7 x", refuse = true},
]
"""
MINE = """
from pbs_filter.grammar import Rule, Server, line, samples
from pbs_filter.model import Accepted

LINES = samples('''
mined[3]: hello bob at 192.0.2.7
    -> accepted user=bob address=192.0.2.7 protocol=imap
mined[3]: hello bob at 192.0.2.7 x
    not: text behind the end
''')
SERVER = Server(
    name="mine", title="Mine", versions="1", programs={"mined": "imap"},
    rules=(Rule("login", Accepted, line("hello {user} at {address}"), LINES),),
)
"""


@pytest.fixture
def site(place):
    python = place / "mine.py"
    python.write_text(MINE)
    config = place / "c.toml"
    config.write_text(OURS + f'[[server]]\npython = "{python}"\n')
    return config


def test_a_sites_own_servers_can_be_named_with_the_others(site):
    site.write_text('servers = ["dovecot", "ours", "mine"]\n' + site.read_text())
    line = "Nov 20 10:00:00 mx1 ourd[7]: user eve in from 192.0.2.9\n"
    done = run(f"--config={site}", "--explain", "--json", stdin=line)
    assert (0, "192.0.2.9") == (done.returncode, json.loads(done.stdout)["address"])
    site.write_text(site.read_text().replace('"mine"', '"mined"'))
    done = run(f"--config={site}", "--explain")
    assert 78 == done.returncode
    assert b"unknown server 'mined'. Did you mean 'mine'? Known: " in done.stderr


def test_a_sites_own_servers_are_read_and_checked_with_the_others(site):
    lines = (
        "Nov 20 10:00:00 mx1 ourd[7]: user eve in from 192.0.2.9\n"
        "Nov 20 10:00:00 mx1 mined[7]: hello eve at 192.0.2.10\n"
        "Nov 20 10:00:00 mx1 mined[7]: hello eve at 203.0.113.66 at 192.0.2.10\n"
    )
    done = run(f"--config={site}", "--explain", "--json", stdin=lines)
    assert [
        ("login", "192.0.2.9", "ours"),
        ("login", "192.0.2.10", "mine"),
        ("none", None, None),
    ] == [
        (found["event"], found["address"], found["server"])
        for found in map(json.loads, done.stdout.splitlines())
    ]
    checked = run(f"--config={site}", "--check").stdout
    assert b"ours: 1 rule, 2 samples: ok\n" in checked
    assert b"mine: 1 rule, 2 samples: ok\n" in checked


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda site: (site.parent / "mine.py").chmod(0o666), b"mode 0666"),
        pytest.param(
            lambda site: os.chown(site.parent / "mine.py", 12345, -1),
            b"belongs to uid 12345",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="gives a file away: needs root"),
        ),
        (lambda site: (site.parent / "mine.py").unlink(), b"No such file"),
        (lambda site: (site.parent / "mine.py").write_text("1/0"), b"ZeroDivisionError"),
        (lambda site: site.write_text("[[server]]\npython = 5\n"), b"python: 5 is not a text"),
        (lambda site: site.write_text(OURS + OURS), b"'ours'"),
        (lambda site: site.write_text(OURS.replace("192.0.2.7 x", "192.0.2.7")), b"ourd[1]"),
    ],
)
def test_a_sites_own_server_that_cannot_be_trusted_stops_the_start(site, spoil, words):
    spoil(site)
    done = run(f"--config={site}", "--explain")
    assert 78 == done.returncode
    assert words in done.stderr
    assert b"Traceback" not in done.stderr


def test_dumpconfig_shows_each_value_and_where_it_came_from(place):
    config = place / "c.toml"
    config.write_text("patience_seconds = 9\n")
    text = run(f"--config={config}", "--grace=77", "--dumpconfig").stdout.decode()
    assert "grace_seconds = 77  # command line\n" in text
    assert f"patience_seconds = 9  # {config}\n" in text
    assert "flock = true  # default\n" in text


@pytest.mark.parametrize("name", sorted(GONE))
def test_what_is_gone_says_what_to_use_instead(name):
    for words in ([name], [f"{name}=/var/log/mail.log"]):
        done = run(*words)
        assert 2 == done.returncode
        assert done.stderr.startswith(f"pbs-filter: {name} is no more: ".encode())
        assert 1 == done.stderr.count(b"\n")


def test_every_option_of_the_configuration_has_its_option_on_the_command_line():
    known = parser().format_help()
    for option in OPTIONS.values():
        assert all(flag in known for flag in option.flags)


@pytest.mark.parametrize(
    ("options", "attribute", "expected"),
    [
        (["--write"], "write", True),
        (["--nowrite"], "write", False),
        (["--debug"], "debug", True),
        (["--nodebug"], "debug", False),
        (["--noflock"], "flock", False),
        (["--no-flock"], "flock", False),
        (["--map=/x"], "map", "/x"),
        (["--dbfile=/x"], "map", "/x"),
        (["--grace=30m"], "grace_seconds", "30m"),
        (["--grace-seconds=30m"], "grace_seconds", "30m"),
    ],
)
def test_options_of_pop_before_smtp_keep_their_names(options, attribute, expected):
    assert expected == getattr(parser().parse_args(options), f"option_{attribute}")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--config=/nonexistent.toml", "--list"], b"cannot read '/nonexistent.toml'"),
        (["--local-networks=192.0.2.300", "--check"], b"--local-networks: '192.0.2.300'"),
        (["--servers=dovecott", "--explain"], b"unknown server 'dovecott'. Did you mean"),
        (["--user=nosuchuser", NO_CONFIG], b"nosuchuser"),
        (["--logto=-", "--confirm=yes", NO_CONFIG], b"stdout, which belongs to the replies"),
        (["--logto=log", NO_CONFIG], b"--logto: 'log' is not an absolute path"),
        (["some.log"], b"--reprocess FILE"),
        (["--frobnicate"], b"--frobnicate"),
    ],
)
def test_mistakes_are_named_without_a_traceback(options, words):
    done = run(*options)
    assert done.returncode in (2, 78)
    assert words in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_configuration_that_anybody_may_write_is_refused(place):
    config = place / "c.toml"
    config.write_text("")
    config.chmod(0o666)
    done = run(f"--config={config}", "--check")
    assert 78 == done.returncode
    assert b"may be written by everybody" in done.stderr
    config.write_bytes(b"\xff")
    config.chmod(0o600)
    assert b"not UTF-8" in run(f"--config={config}", "--check").stderr


def test_a_reader_that_leaves_early_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -m pbs_filter --config=/dev/null --dumpconfig | head -c 1",
        shell=True,
        capture_output=True,
        cwd=Path(__file__).parent.parent,
        check=True,
    )
    assert b"" == done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="--setup says first that it is not root")
@pytest.mark.parametrize(("mode", "status"), [("--check", 78), ("--setup", 0), ("--doctor", 1)])
def test_python_without_gdbm_is_the_first_that_is_said(place, mode, status):
    """One learns it before the syslog daemon starts a filter that cannot work."""
    hide = "import sys; sys.modules['_gdbm'] = None; from pbs_filter.cli import main; "
    done = subprocess.run(
        [sys.executable, "-c", hide + f"sys.exit(main(['--dbfile={place}/map', '{mode}']))"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
        check=False,
    )
    assert status == done.returncode, done.stderr
    lines = (done.stderr if mode == "--check" else done.stdout).splitlines()
    first = 1 if mode == "--doctor" else 0  # behind "configuration"
    assert "python3-gdbm" in lines[first]
    assert "configuration: ok" not in done.stdout


def test_python_without_gdbm_gets_one_sentence_with_the_package(place):
    (place / "dbm.py").write_text("")
    hide = "import sys; sys.modules['_gdbm'] = None; from pbs_filter.cli import main; "
    done = subprocess.run(
        [sys.executable, "-c", hide + f"sys.exit(main(['--dbfile={place}/map', '--list']))"],
        capture_output=True,
        cwd=Path(__file__).parent.parent,
        check=False,
    )
    assert 78 == done.returncode
    assert b"python3-gdbm" in done.stderr
    assert 1 == done.stderr.count(b"\n")


def test_the_version_is_told(capsys):
    assert 0 == main(["--version"])
    assert capsys.readouterr().out.startswith("pbs-filter 0.")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["--version", "--dumpconfig", "--list", "--plain"],
            ["pbs-filter ", "# conf", "192.0.2.7"],
        ),
        (["--version", "--list", "--plain"], ["pbs-filter ", "192.0.2.7"]),
        (["list", "--plain"], ["192.0.2.7"]),
        (["--plain", "list", "192.0.2.7"], ["192.0.2.7"]),
        (["authorise", "192.0.2.9", "--for=2h"], ["192.0.2.9: may relay until"]),
        (["forget", "192.0.2.7"], ["192.0.2.7: forgotten"]),
        (["version"], ["pbs-filter "]),
        (["dumpconfig"], ["# configuration files: /dev/null"]),
    ],
)
def test_modes_that_show_something_combine_and_a_mode_may_be_a_bare_word(place, words, expected):
    options = ("--config=/dev/null", f"--map={place}/map")
    run(*options, "--authorise=192.0.2.7")
    done = run(*options, *words)
    assert 0 == done.returncode, done.stderr
    text = done.stdout.decode()
    at = [text.index(beginning) for beginning in expected]
    assert sorted(at) == at


def test_dumpconfig_as_json(place):
    done = run("--config=/dev/null", "--dumpconfig", "--json", "--grace=1h")
    shown = json.loads(done.stdout)
    assert {"value": 3600, "source": "command line"} == shown["options"]["grace_seconds"]


def test_dumpconfig_shows_the_drop_ins(place):
    config = place / "c.toml"
    config.write_text("patience_seconds = 9\ngrace_seconds = 8\n")
    (place / "c.d").mkdir()
    drop_in = place / "c.d/50-setup.toml"
    drop_in.write_text("grace_seconds = 7\n")
    text = run(f"--config={config}", "--dumpconfig").stdout.decode()
    assert f"grace_seconds = 7  # {drop_in}\n" in text
    assert f"patience_seconds = 9  # {config}\n" in text


# ---------------------------------------------------------------------- --setup


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--apply"], "--apply belongs to --setup"),
        (["--list", "--undo"], "--undo belongs to --setup"),
        (["--setup", "--apply", "--undo"], "--apply or --undo, not both"),
        (["--setup", "rsyslog", "--doctor"], "not allowed with argument --setup"),
    ],
)
def test_what_changes_the_system_is_asked_for_clearly(options: list[str], words: str):
    done = run(*options)
    assert 2 == done.returncode
    assert words in done.stderr.decode()


def test_a_name_that_setup_does_not_know_is_told_with_the_nearest():
    done = run("--config=/dev/null", "--setup", "posfix")
    assert 2 == done.returncode
    assert "unknown name 'posfix'. Did you mean 'postfix'?" in done.stderr.decode()


def test_too_little_memory_is_a_sentence(monkeypatch, capsys):
    def fails(*_):
        raise MemoryError

    monkeypatch.setattr("pbs_filter.cli._run", fails)
    assert 75 == main(["--list"])
    assert "pbs-filter: there is not enough memory: what may relay" in capsys.readouterr().err
