"""`pbs-lookup` as MTAs start it: a process with descriptors, an environment and an exit status."""

from __future__ import annotations

import _gdbm
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbs_filter.errors import ConfigError
from pbs_filter.lookup import options
from pbs_filter.lookup.answer import Lookup, open_reader
from pbs_filter.lookup.protocols import sockets
from pbs_filter.lookup.senders import SendersFile

from .. import hang
from . import maps

PROGRAM = [sys.executable, "-m", "pbs_filter.lookup"]
OK, NOTFOUND = b"5:OK OK,", b"9:NOTFOUND ,"
ASK = b"13:pbs 192.0.2.7,"


@pytest.fixture
def map_path(tmp_path: Path) -> Path:
    path = tmp_path / "map.gdbm"
    maps.write(
        path,
        {
            "192.0.2.7": maps.value(),
            "192.0.2.8": maps.value(maps.EXPIRED),
            "2001:db8::7": maps.value(),
            "2001:db8:1::/64": maps.value(),
        },
    )
    return path


def run(*arguments: str | Path, **popen: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False,
        **popen,  # type: ignore[call-overload]
    )  # fmt: skip


# ------------------------------------------------------------------ check


@pytest.mark.parametrize(
    ("status", "address"),
    [
        (0, "192.0.2.7"),
        (0, "IPv6:2001:DB8::7"),
        (1, "192.0.2.8"),
        (1, "198.51.100.1"),
        (1, "mail.example.com"),
        (1, "192.0.2.7\udcff"),
        (1, ""),
    ],
)
def test_check_answers_with_its_exit_status(status: int, address: str, map_path: Path) -> None:
    done = run("check", "--map", map_path, address)
    assert (status, "", "") == (done.returncode, done.stdout, done.stderr)


def test_check_says_it_in_words_when_asked(map_path: Path) -> None:
    said = [
        run("check", f"--map={map_path}", "--verbose", address).stdout
        for address in ("192.0.2.7", "192.0.2.8")
    ]
    assert ["192.0.2.7 may relay\n", "192.0.2.8 may not relay\n"] == said


def test_check_knows_widened_addresses(map_path: Path) -> None:
    wide = [f"--map={map_path}", "--ipv6-prefix=64"]
    assert 0 == run("check", *wide, "2001:db8:1::99").returncode
    assert 1 == run("check", *wide, "2001:db8:2::99").returncode
    assert 0 == run("check", *wide, "192.0.2.7").returncode


def test_check_says_75_and_why_where_it_cannot_say(map_path: Path) -> None:
    maps.lose_a_bucket(map_path)
    done = run("check", f"--map={map_path}", "192.0.2.7")
    assert 75 == done.returncode
    assert "" == done.stdout
    assert f"pbs-lookup: cannot answer: map {map_path}: Database needs recovery" in done.stderr


# ------------------------------------------------------------------ words on the command line


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], ""),
        (["chekc"], "unknown mode 'chekc': give one of check, socketmap"),
        (["check"], "check needs one ADDRESS"),
        (["check", "192.0.2.7", "192.0.2.8"], "check needs one ADDRESS"),
        (["check", "--mapp=x", "192.0.2.7"], "unknown option '--mapp=x'; did you mean --map?"),
        (["check", "-v", "192.0.2.7"], "unknown option '-v'; see --help"),
        (["check", "--verbose=yes", "192.0.2.7"], "--verbose takes no value, but has 'yes'"),
        (["check", "--map"], "--map needs a value: --map=MAP"),
        (
            ["check", "--ipv6-prefix=129", "::1"],
            "--ipv6-prefix='129' is not a number from 1 to 128",
        ),
        (["check", "--ipv6-prefix=", "::1"], "--ipv6-prefix='' is not a number"),
        (["check", "--mta=x", "::1"], "--mta='x' is none of courier, exim, opensmtpd"),
        (["check", "--map=redis://x:y", "192.0.2.7"], "'y' is not a port"),
        (["check", "--map=redis://u:p@x", "192.0.2.7"], "map 'redis://u:...@x': a password"),
        (["check", "--map=redis://x", "--map=/m", "192.0.2.7"], "a map in a file is alone"),
        (["check", "--senders=x", "192.0.2.7"], "unknown option '--senders=x'"),
        (["socketmap", "x"], "unexpected argument 'x'"),
        (["policy", "--sender=x"], "--sender, line 1: 'x' is not a sender"),
        (["policy", "--sender={user}", "--senders=x"], "give --senders or --sender"),
        (["opensmtpd", "a", "b"], "unexpected argument 'b'"),
        (["relaylock"], "relaylock needs the SMTP server's PROGRAM"),
        (["relaylock", "--on-trouble=x", "true"], "neither 'refuse' nor 'continue'"),
    ],
)
def test_a_mistake_ends_with_2_and_a_sentence(arguments: list[str], why: str) -> None:
    done = run(*arguments, stdin=subprocess.DEVNULL)
    assert 2 == done.returncode
    assert why in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("mode", options.MODES)
def test_every_mode_has_its_help(mode: str) -> None:
    done = run(mode, "--help")
    assert (0, options.MODES[mode], "") == (done.returncode, done.stdout, done.stderr)
    assert mode in run("--help").stdout


def test_no_line_of_help_is_wider_than_a_terminal() -> None:
    for text in (options.USAGE, *options.MODES.values()):
        assert max(map(len, text.splitlines())) <= 100


def test_every_option_that_is_read_is_in_the_help_and_the_other_way_round() -> None:
    package = Path(options.__file__).parent
    code = "".join((package / name).read_text() for name in ("__main__.py", "serve.py"))
    read = set(re.findall(r'options\.(?:text|flag|all|number)\(\s*"([a-z0-9-]+)"', code))
    told = {name for text in options.MODES.values() for name in options._known(text)}
    assert told == read | set(sockets.KINDS)  # those by a loop over their names


def test_options_end_at_two_dashes() -> None:
    assert ["--map"] == options.Options("relaylock", ["--keep", "--", "--map"]).arguments
    assert ["true", "--keep"] == options.Options("relaylock", ["true", "--keep"]).arguments


# ------------------------------------------------------------------ stdin and stdout


def test_socketmap_on_pipes(map_path: Path) -> None:
    done = subprocess.run(
        [*PROGRAM, "socketmap", f"--map={map_path}"],
        input=ASK + b"11:pbs unknown,",
        capture_output=True,
        timeout=300,
        check=True,
    )
    assert (OK + NOTFOUND, b"") == (done.stdout, done.stderr)


def test_policy_with_bound_senders(map_path: Path, tmp_path: Path) -> None:
    (tmp_path / "senders").write_text("bob@example.org bob@example.org @bob.example\n")
    asked = "".join(
        f"request=smtpd_access_policy\nclient_address=192.0.2.7\nsender={sender}\n\n"
        for sender in ("bob@example.org", "eve@example.org", "x@bob.example", "")
    )
    may, may_not = "action=OK\n\n", "action=DUNNO\n\n"
    for option in (f"--senders={tmp_path}/senders", "--sender={user} @bob.example"):
        done = run("policy", f"--map={map_path}", option, input=asked)
        assert may + may_not + may + may_not == done.stdout
        assert "" == done.stderr


@contextlib.contextmanager
def spawned(*arguments: str | Path) -> Iterator[tuple[socket.socket, subprocess.Popen[bytes]]]:
    """As spawn(8) and inetd do it: one socket as stdin, stdout and stderr."""
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    with (
        ours,
        theirs,
        subprocess.Popen(
            [*PROGRAM, *map(str, arguments)], stdin=theirs, stdout=theirs, stderr=theirs
        ) as process,
    ):
        theirs.close()
        try:
            yield ours, process
        finally:
            process.kill()


def everything(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def test_under_spawn_nothing_but_replies_reaches_the_socket(map_path: Path) -> None:
    map_path.unlink()
    with spawned("policy", f"--map={map_path}") as (sock, process):
        sock.sendall(b"request=smtpd_access_policy\nclient_address=192.0.2.7\n\njunk\n\n")
        later = b"action=451 4.3.0 Cannot check now whether you may relay, try again later\n\n"
        assert later * 2 == everything(sock)
        assert 0 == process.wait(20)


def test_under_spawn_a_mistake_closes_the_socket_without_a_word() -> None:
    with spawned("policy", "--sender=x") as (sock, process):
        assert b"" == everything(sock)
        assert 2 == process.wait(20)


def test_under_spawn_a_vanished_mta_ends_it_quietly(map_path: Path) -> None:
    with spawned("socketmap", f"--map={map_path}") as (sock, process):
        sock.sendall(ASK)
        assert OK == sock.recv(100)
        sock.close()
        assert 0 == process.wait(20)


def test_a_process_that_answers_sees_what_happens_to_the_map(map_path: Path) -> None:
    with spawned("socketmap", f"--map={map_path}") as (sock, _):
        sock.sendall(ASK)
        assert OK == sock.recv(100)
        maps.write(map_path, {"192.0.2.7": maps.value(maps.EXPIRED)})
        sock.sendall(ASK)
        assert NOTFOUND == sock.recv(100)
        maps.lose_a_bucket(map_path)
        sock.sendall(ASK)
        assert b"TEMP map" in sock.recv(200)
        map_path.unlink()
        maps.write(map_path, {"192.0.2.7": maps.value()})
        sock.sendall(ASK)
        assert OK == sock.recv(100)


# ------------------------------------------------------------------ senders in a file


def test_a_senders_file_is_read_again_when_it_changes(map_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "senders"
    path.write_text("bob@example.org bob@example.org\n")
    lookup = Lookup(open_reader(str(map_path)), owns=SendersFile(str(path)).owns)
    assert "yes" == lookup.ask(b"192.0.2.7", b"bob@example.org")
    path.write_text("bob@example.org robert@example.org\n")
    assert "no" == lookup.ask(b"192.0.2.7", b"bob@example.org")
    path.write_text("bob@example.org\n")
    for _ in range(2):
        assert "not now" == lookup.ask(b"192.0.2.7", b"bob@example.org")
        assert f"{path}, line 1" in lookup.trouble
    path.unlink()
    assert "not now" == lookup.ask(b"192.0.2.7", b"bob@example.org")
    assert f"senders {path}: No such file or directory" == lookup.trouble
    path.write_text("bob@example.org bob@example.org\n")
    assert "yes" == lookup.ask(b"192.0.2.7", b"bob@example.org")


def test_a_senders_file_that_everybody_may_write_is_refused(map_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "senders"
    path.write_text("bob@example.org bob@example.org\n")
    lookup = Lookup(open_reader(str(map_path)), owns=SendersFile(str(path)).owns)
    path.chmod(0o666)
    assert "not now" == lookup.ask(b"192.0.2.7", b"bob@example.org")
    assert f"senders {path}: everybody may write to it; chmod o-w {path}" == lookup.trouble
    with pytest.raises(ConfigError, match="everybody may write"):
        SendersFile(str(path))


def test_a_senders_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "senders").write_bytes(b"bob \xff@example.org\n")
    with pytest.raises(ConfigError, match="senders: not UTF-8 text"):
        SendersFile(str(tmp_path / "senders"))


# ------------------------------------------------------------------ relaylock

SHOW = [sys.executable, "-c", "import os; print(os.environ.get('RELAYCLIENT'))"]


def relaylock(
    *arguments: str | Path, address: str | None, command: list[str] = SHOW
) -> subprocess.CompletedProcess[str]:
    environ = {k: v for k, v in os.environ.items() if k != "TCPREMOTEIP"} | {"RELAYCLIENT": "@old"}
    if address is not None:
        environ["TCPREMOTEIP"] = address
    return run("relaylock", *arguments, *command, env=environ)


@pytest.mark.parametrize(
    ("expected", "address"),
    [
        ("\n", "192.0.2.7"),
        ("\n", "::ffff:192.0.2.7"),
        ("\n", "2001:db8::7"),
        ("None\n", "192.0.2.8"),
        ("None\n", "198.51.100.1"),
        ("None\n", "unknown"),
        ("None\n", ""),
        ("None\n", None),
    ],
)
def test_relaylock_sets_relayclient_for_the_client(
    expected: str, address: str | None, map_path: Path
) -> None:
    done = relaylock(f"--map={map_path}", address=address)
    assert (0, expected, "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("address", ["192.0.2.8", "192.0.2.7"])
def test_relaylock_keeps_what_tcprules_set_if_asked(address: str, map_path: Path) -> None:
    assert "@old\n" == relaylock(f"--map={map_path}", "--keep", address=address).stdout


def test_relaylock_tells_the_server_who_logged_in(map_path: Path) -> None:
    names = ("RELAYCLIENT", "PBS_USER", "PBS_SERVER")
    show = [sys.executable, "-c", f"import os; print(*map(os.environ.get, {names}))"]
    to = (f"--map={map_path}", "--relayclient=@fixup")
    told = relaylock(*to, address="192.0.2.7", command=show).stdout
    assert "@fixup bob@example.org dovecot\n" == told
    assert "None None None\n" == relaylock(*to, address="192.0.2.8", command=show).stdout


# ------------------------------------------------------------------ shadow, version


def test_the_version_is_told() -> None:
    assert re.fullmatch(r"pbs-lookup \d+\.\d+\.\d+\S*\n", run("--version").stdout)


def test_a_shadow_lets_nobody_relay_and_logs_who_would(map_path: Path) -> None:
    asked = "".join(
        f"request=smtpd_access_policy\nclient_address={address}\n\n"
        for address in ("192.0.2.7", "192.0.2.8", "192.0.2.7")
    )
    done = run("policy", f"--map={map_path}", "--shadow", input=asked)
    assert 3 * "action=DUNNO\n\n" == done.stdout
    would = "pbs-lookup: shadow: 192.0.2.7: would have allowed it (user 'bob@example.org')\n"
    assert would == done.stderr
    map_path.unlink()
    done = run("socketmap", f"--map={map_path}", "--shadow", input="13:pbs 192.0.2.7,")
    assert "9:NOTFOUND ," == done.stdout
    assert 'would have answered "not now": map ' in done.stderr
    assert "@old\n" == relaylock(f"--map={map_path}", "--shadow", address="192.0.2.7").stdout


def test_a_shadow_waits_for_a_writer_and_then_says_no(map_path: Path) -> None:
    with _gdbm.open(str(map_path), "w"):
        done = run("socketmap", f"--map={map_path}", "--shadow", input="13:pbs 192.0.2.7,")
    assert "9:NOTFOUND ," == done.stdout
    assert "locked by a writer" in done.stderr


def test_a_trace_names_the_login(map_path: Path) -> None:
    asked = "request=smtpd_access_policy\nclient_address=192.0.2.7\n\n"
    done = run("policy", f"--map={map_path}", "--trace=header", input=asked)
    header = "action=PREPEND X-Pop-Before-Smtp: user=bob@example.org server=dovecot until="
    assert done.stdout.startswith(header)
    done = run("policy", f"--map={map_path}", "--trace=x", input=asked)
    assert (2, True) == (done.returncode, "neither 'header' nor 'log'" in done.stderr)


def test_relaylock_refuses_or_goes_on_where_it_cannot_say(map_path: Path) -> None:
    map_path.unlink()
    refused = relaylock(f"--map={map_path}", address="192.0.2.7")
    assert refused.stdout.startswith("451 4.3.0 ")
    assert refused.stdout.count("\n") == 1
    went_on = relaylock(f"--map={map_path}", "--on-trouble=continue", address="192.0.2.7")
    assert "None\n" == went_on.stdout
    for done in (refused, went_on):
        assert f"map {map_path}: No such file or directory" in done.stderr


def test_relaylock_names_a_program_it_cannot_start(map_path: Path) -> None:
    done = relaylock(f"--map={map_path}", address="192.0.2.8", command=["/nonexistent"])
    assert 2 == done.returncode
    assert "cannot start '/nonexistent': No such file" in done.stderr


def test_relaylock_leaves_no_timer_behind_that_would_end_the_server(map_path: Path) -> None:
    """The guard against a hanging map is an interval timer, and those outlive exec."""
    ask = "import signal; print(signal.getitimer(signal.ITIMER_REAL)[0])"
    done = relaylock(f"--map={map_path}", address="192.0.2.7", command=[sys.executable, "-c", ask])
    assert "0.0\n" == done.stdout


# ------------------------------------------------------------------ OpenSMTPD

HANDSHAKE = b"config|smtpd-version|7.6.0\nconfig|protocol|0.1\nconfig|tablename|pbs\nconfig|ready\n"


class Table:
    """smtpd's end of the conversation."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lines = sock.makefile("rb")
        self._id = 0
        sock.sendall(HANDSHAKE)
        assert b"register|netaddr\n" == self._lines.readline()
        assert b"register|ready\n" == self._lines.readline()

    def check(self, address: str) -> bytes:
        self._id += 1
        self._sock.sendall(
            b"table|0.1|1.2|pbs|check|netaddr|%d|%b\n" % (self._id, address.encode())
        )
        start = b"check-result|%d|" % self._id
        line = self._lines.readline()
        assert line.startswith(start)
        return line[len(start) : -1]


def child_of(pid: int) -> int:
    """The process that reads the map for the table program."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def test_a_table_answers(map_path: Path) -> None:
    with spawned("opensmtpd", map_path) as (sock, process):
        table = Table(sock)
        assert b"found" == table.check("192.0.2.7")
        assert b"found" == table.check("[2001:db8::7]")
        assert b"not-found" == table.check("192.0.2.8")
        assert b"not-found" == table.check("local")
        map_path.rename(map_path.with_name("away"))
        assert b"error" == table.check("192.0.2.7")
        map_path.with_name("away").rename(map_path)
        assert b"found" == table.check("192.0.2.7")
        with _gdbm.open(str(map_path), "w"):
            assert b"error" == table.check("192.0.2.7")
        assert b"found" == table.check("192.0.2.7")
        sock.shutdown(socket.SHUT_WR)
        assert 0 == process.wait(20)


def test_a_table_survives_what_a_damaged_map_does_to_the_library(map_path: Path) -> None:
    with spawned("opensmtpd", map_path) as (sock, process):
        table = Table(sock)
        assert b"found" == table.check("192.0.2.7")
        os.kill(child_of(process.pid), signal.SIGSEGV)
        assert b"error" == table.check("192.0.2.7")
        assert b"found" == table.check("192.0.2.7")


def test_a_table_answers_in_time_where_the_map_hangs(map_path: Path) -> None:
    with spawned("opensmtpd", map_path) as (sock, process):
        table = Table(sock)
        assert b"found" == table.check("192.0.2.7")
        os.kill(child_of(process.pid), signal.SIGSTOP)
        with hang.ends():
            assert b"error" == table.check("192.0.2.7")
        assert b"found" == table.check("192.0.2.7")


def test_a_table_goes_on_after_a_line_it_cannot_read(map_path: Path) -> None:
    with spawned("opensmtpd", f"--map={map_path}") as (sock, _):
        table = Table(sock)
        sock.sendall(b"table|9.9|nonsense\n" + b"x" * 10_000 + b"\n")
        assert b"found" == table.check("192.0.2.7")
