"""The mistakes an administrator makes first, and the whole of what he is told.

Each message has what is wrong, where, the text itself, and what to do; each ends with its exit
status and never with a traceback. The texts are kept in full: whoever changes one reads it here.
DIR stands for the test's directory.
"""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from pbs_filter.servers import SERVERS

from .running import run

KNOWN_SERVERS = ", ".join(sorted(server.name for server in SERVERS))
SITE = """\
[[server]]
name = "acme"
program = "acmepop"
login = "user {user} in from {ip}"
samples = [
    { line = "acmepop[1]: user bob in from 192.0.2.7", user = "bob", ip = "192.0.2.7" },
]
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory for everything, and in it one for the map, as it should be."""
    tmp_path.chmod(0o755)
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o750)
    return tmp_path


def said(place: Path, settings: str, *arguments: str) -> tuple[int, str]:
    """Exit status and stderr of pbs-filter with this configuration file."""
    config = place / "pbs-filter.toml"
    if settings:
        config.write_text(settings.replace("DIR", str(place)))
    words = [word.replace("DIR", str(place)) for word in arguments]
    done = run(f"--config={config}", *words)
    return done.returncode, done.stderr.decode().replace(str(place), "DIR")


MAP = 'map = "DIR/state/map.gdbm"\n'
TOML = "DIR/pbs-filter.toml"

# ------------------------------------------------------------------ the configuration file

CONFIGURATION = {
    "a misspelt key": (
        "grace_second = 900\n",
        f"{TOML}: unknown key 'grace_second'. Did you mean 'grace_seconds'? "
        "pbs-filter.toml(5) lists every key.",
    ),
    "half of a key": (
        "grace = 900\n",
        f"{TOML}: unknown key 'grace'. Did you mean 'grace_seconds'? "
        "pbs-filter.toml(5) lists every key.",
    ),
    "a text without quotes": (
        "grace_seconds = 900\nuser = mail\n",
        f"{TOML}: not TOML: Invalid value (at line 2, column 8): 'user = mail'; write KEY = VALUE, "
        'and a text in quotes: user = "mail"',
    ),
    "a list that is not closed": (
        'deny_users = ["guest"\n',
        f"{TOML}: not TOML: Unclosed array (at end of document): "
        '\'deny_users = ["guest"\'; write KEY = VALUE, and a text in quotes: user = "mail"',
    ),
    "a time that is none": (
        'grace_seconds = "30 min"\n',
        f"{TOML}: grace_seconds: '30 min' is not a time; write seconds as in 1800, or a number "
        'with its unit in quotes, as in "30m", "1h" or "2d"',
    ),
    "a number out of range": (
        "grace_seconds = 0\n",
        f"{TOML}: grace_seconds: 0 is not from 1 to 604800",
    ),
    "one text in place of a list": (
        'local_networks = "192.0.2.0/24"\n',
        f'{TOML}: local_networks: \'192.0.2.0/24\' is not a list of texts; write ["...", "..."]',
    ),
    "a network that is none": (
        'local_networks = ["192.0.2.0/33"]\n',
        f"{TOML}: local_networks: '192.0.2.0/33': the prefix length is a number from 0 to 32",
    ),
    "yes in place of true": (
        'require_vouched = "yes"\n',
        f"{TOML}: require_vouched: 'yes' is not true or false, without quotes",
    ),
    "a choice that is none": (
        'confirm = "maybe"\n',
        f"{TOML}: confirm: 'maybe' is not one of auto, yes, lines, no.",
    ),
    "a misspelt server": (
        'servers = ["dovcot"]\n',
        f"{TOML}: servers: unknown server 'dovcot'. Did you mean 'dovecot'? Known: {KNOWN_SERVERS}",
    ),
    "an account that is not there": (
        'user = "pbs-nobody"\n',
        "user: this machine has no account 'pbs-nobody'; make it (useradd --system --shell "
        "/usr/sbin/nologin pbs-nobody), or mend the name",
    ),
    "a group that is not there": (
        'group = "pbs-nobody"\n',
        "group: this machine has no group 'pbs-nobody'; make it (groupadd --system pbs-nobody), or "
        "mend the name",
    ),
    "a server's account that is not there": (
        'trusted_accounts = {dovecot = ["pbs-nobody"]}\n',
        f"{TOML}: trusted_accounts.dovecot: this machine has no account 'pbs-nobody'; write its "
        "uid as a number if it is another machine's",
    ),
    "an unknown format": (
        '[[export]]\nformat = "hash"\npath = "/x"\n',
        f"{TOML}: [[export]] 1: format: 'hash' is not one of cdb, cidr, lmdb, sendmail, "
        "tcprules, texthash, sqlite. Did you mean 'texthash'?",
    ),
    "a server without a line to be refused": (
        SITE,
        "[[server]] 'acme': samples: none is to be refused; add the line of a failed login with "
        "refuse = true",
    ),
}


@pytest.mark.parametrize("settings", CONFIGURATION)
def test_check_finds_a_mistake_in_the_configuration(place: Path, settings: str) -> None:
    text, expected = CONFIGURATION[settings]
    assert (78, f"pbs-filter: {expected}\n") == said(place, text, "--check")


def test_a_relative_path_is_refused(place: Path) -> None:
    assert (
        78,
        f"pbs-filter: {TOML}: logto: 'filter.log' is not an absolute path; it must begin with /\n",
    ) == said(place, 'logto = "filter.log"\n', "--check")


def test_a_configuration_that_is_not_there(place: Path) -> None:
    assert (
        78,
        f"pbs-filter: cannot read '{TOML}': No such file or directory; mend the path, or leave "
        "--config away for /etc/pbs-filter.toml, which need not exist\n",
    ) == said(place, "", "--check")


def test_a_configuration_in_another_encoding(place: Path) -> None:
    (place / "pbs-filter.toml").write_bytes('deny_users = ["J\xfcrgen"]'.encode("latin-1"))
    assert (
        78,
        f"pbs-filter: '{TOML}' is not UTF-8: 'utf-8' codec can't decode byte 0xfc in position 16: "
        "invalid start byte; write it again as UTF-8\n",
    ) == said(place, "", "--check")


# ------------------------------------------------------------------ rights


def test_a_configuration_that_everybody_may_write(place: Path) -> None:
    config = place / "pbs-filter.toml"
    config.touch()
    config.chmod(0o666)
    assert (
        78,
        f"pbs-filter: '{TOML}' may be written by everybody (mode 0666): chmod o-w {TOML}, after a "
        "look at its text\n",
    ) == said(place, "", "--check")


def test_a_directory_that_others_may_write(place: Path) -> None:
    (place / "state").chmod(0o770)
    assert (
        78,
        "pbs-filter: the directory 'DIR/state' has mode 0770, so that others could swap the files "
        "in it; chmod 0750 DIR/state\n",
    ) == said(place, MAP)


def test_a_map_that_is_a_link(place: Path) -> None:
    (place / "state/map.gdbm").symlink_to("/dev/null")
    assert (
        78,
        "pbs-filter: 'DIR/state/map.gdbm' is a symbolic link; name the file it points to in the "
        "configuration instead\n",
    ) == said(place, MAP)


def test_a_map_in_the_place_of_another_file(place: Path) -> None:
    (place / "state/map.gdbm").write_text("somebody's letter")
    assert (
        78,
        "pbs-filter: 'DIR/state/map.gdbm' is no map, and none of our files is beside it: is that "
        "path what you mean? If so, move that file away first\n",
    ) == said(place, MAP)
    assert "somebody's letter" == (place / "state/map.gdbm").read_text()


def test_a_map_in_the_place_of_a_directory(place: Path) -> None:
    (place / "state/map.gdbm").mkdir()
    (place / "state/map.gdbm/letter").touch()
    assert (
        78,
        "pbs-filter: 'DIR/state/map.gdbm' is a directory, and none of our files is beside it: "
        "write the path of a file in it\n",
    ) == said(place, MAP)
    assert (place / "state/map.gdbm/letter").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_somebody_who_may_not_read_the_map(place: Path) -> None:
    said(place, MAP, "--authorise", "192.0.2.7")
    for parent in (place, *place.parents[:3]):  # pytest's own directories are for root alone
        parent.chmod(parent.stat().st_mode | 0o011)
    become = "os.setgroups([]); os.setgid(65534); os.setuid(65534)"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            # Imported first: the checkout may be closed to others, too.
            "import os, sys; from pbs_filter import cli; from pbs_filter.commands import listing; "
            f"{become}; sys.exit(cli.main(sys.argv[1:]))",
            f"--config={place}/pbs-filter.toml",
            "--list",
        ],
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (
        75,
        "pbs-filter: cannot read the map 'DIR/state/map.gdbm': Permission denied; run this as root,"
        " or as one of the group that may read it (group in pbs-filter.toml)\n",
    ) == (done.returncode, done.stderr.replace(str(place), "DIR"))


# ------------------------------------------------------------------ setting up


def test_nothing_was_fed_yet(place: Path) -> None:
    assert (
        75,
        "pbs-filter: there is no map 'DIR/state/map.gdbm': the filter makes it when it starts, and "
        "the syslog daemon starts the filter; pbs-filter --doctor looks for what is missing\n",
    ) == said(place, MAP, "--list")


def test_nothing_was_recorded_yet(place: Path) -> None:
    assert (
        75,
        "pbs-filter: nothing was recorded yet: there is no journal 'DIR/state/map.gdbm.journal', "
        "which the filter makes when it starts first; pbs-filter --doctor looks for what is "
        "missing\n",
    ) == said(place, MAP, "--history", "192.0.2.7")


def test_no_filter_is_running(place: Path) -> None:
    assert (
        75,
        "pbs-filter: no filter is running on 'DIR/state/map.gdbm': the syslog daemon starts it with"
        " itself; pbs-filter --doctor sends a line, and looks for what is missing\n",
    ) == said(place, MAP, "--status")


def test_a_filter_that_is_starting_or_whose_socket_was_removed(place: Path) -> None:
    with (place / "state/map.gdbm.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        expected = (
            f"pbs-filter: process {os.getpid()} (NAME) holds 'DIR/state/map.gdbm.lock' and has no "
            "socket 'DIR/state/map.gdbm.control': ask again in a few seconds, when a filter has "
            "started; if the socket was removed, restart the syslog daemon\n"
        )
        status, text = said(place, MAP, "--status")
        name = Path("/proc/self/comm").read_text().strip()
        assert (75, expected) == (status, text.replace(f"({name})", "(NAME)"))
        status, text = said(place, MAP, "--forget", "192.0.2.7")
    assert status == 75
    assert "if that one has just been started, try again in a few seconds" in text


def test_a_directory_in_the_place_of_the_new_journal_is_named(place: Path) -> None:
    (place / "state/map.gdbm.journal.new").mkdir()
    (place / "state/map.gdbm.journal.new/x").mkdir()
    status, text = said(place, f'{MAP}confirm = "no"\nservers = ["dovecot"]\n')
    assert status == 75
    assert "cannot open the journal 'DIR/state/map.gdbm.journal.new': Is a directory" in text


def test_the_log_in_the_way_of_the_answers(place: Path) -> None:
    assert (
        78,
        "pbs-filter: logto '-' is stdout, which belongs to the replies while confirming; log to a "
        "file\n",
    ) == said(place, f'{MAP}logto = "-"\nconfirm = "yes"\n')


def test_started_by_hand_at_a_terminal_it_says_what_it_waits_for(place: Path) -> None:
    program = [sys.executable, "-m", "pbs_filter", "--config=/dev/null"]
    program += [f"--dbfile={place}/state/map.gdbm", "--confirm=no"]
    ours, its = pty.openpty()
    with subprocess.Popen(
        program, stdin=its, stderr=subprocess.PIPE, cwd=Path(__file__).resolve().parents[1]
    ) as pipeline:
        assert pipeline.stderr is not None
        try:
            first = pipeline.stderr.readline().decode()
            # To a terminal, Ctrl-D at the start of a line is the end of input.
            os.write(ours, b"\x04")
            assert 0 == pipeline.wait(30)
        finally:
            pipeline.kill()
            os.close(ours)
            os.close(its)
    assert first.endswith(
        "reading mail log lines from this terminal, until Ctrl-D. A syslog daemon should pipe them "
        "in: see rsyslog/ and syslog-ng/; for one thing at a time see pbs-filter --help\n"
    )


# ------------------------------------------------------------------ the command line

TYPED = {
    "a misspelt option": (
        ("--lst",),
        (2, "'--lst' is not an option. Did you mean '--list'? (see pbs-filter --help)"),
    ),
    "a time that is none": (
        ("--grace=30min", "--list"),
        (
            2,
            "--grace-seconds: '30min' is not a time; write seconds as in 1800, or a number with "
            'its unit in quotes, as in "30m", "1h" or "2d"',
        ),
    ),
    "a mode that is near": (
        ("lst",),
        (
            2,
            "'lst' is no mode; to look at a file: pbs-filter --explain < FILE, to take its logins: "
            "--reprocess FILE. Did you mean 'list'?",
        ),
    ),
    "an option without its mode": (
        ("--status", "--plain"),
        (2, "--plain belongs to --list"),
    ),
    "two modes": (
        ("--list", "--status"),
        (2, "--status: not allowed with argument --list (see pbs-filter --help)"),
    ),
    "a file without --reprocess": (
        ("/var/log/mail.log",),
        (
            2,
            "'/var/log/mail.log' is no mode; to look at a file: pbs-filter --explain < FILE, to "
            "take its logins: --reprocess FILE.",
        ),
    ),
    "an address that is none": (
        ("--list", "192.0.2.300"),
        (2, "--list: '192.0.2.300' is not an address; give one, like 192.0.2.7"),
    ),
    "a time without end": (
        ("--authorise", "192.0.2.7", "--for", "99999999999999"),
        (
            2,
            "99999999999999 is not a number of seconds from 1 to 31622400 (a year); an address "
            "that may always relay belongs into the mail server's own networks",
        ),
    ),
    "no path": (
        ("--dbfile=", "--list"),
        (2, "--map: '' is not an absolute path; it must begin with /"),
    ),
    "a directory for the map": (
        ("--dbfile=DIR/state/", "--list"),
        (
            2,
            "--map: 'DIR/state/' names a directory; write the path of a file in it, as in "
            "DIR/state/pbs-filter",
        ),
    ),
    "a relative path": (
        ("--dbfile=map.gdbm", "--list"),
        (2, "--map: 'map.gdbm' is not an absolute path; it must begin with /"),
    ),
}


@pytest.mark.parametrize("mistake", TYPED)
def test_a_mistake_on_the_command_line(place: Path, mistake: str) -> None:
    words, (status, expected) = TYPED[mistake]
    assert (status, f"pbs-filter: {expected}\n") == said(place, MAP, *words)


# ------------------------------------------------------------------ lookups

LOOKUPS = {
    "a misspelt mode": (
        ("chek", "192.0.2.7"),
        (
            2,
            "unknown mode 'chek': give one of check, socketmap, policy, serve, opensmtpd, "
            "relaylock",
        ),
    ),
    "a misspelt option": (
        ("check", "--maap=/x", "192.0.2.7"),
        (2, "check: unknown option '--maap=/x'; did you mean --map?"),
    ),
    "no map": (
        ("check", "--map=DIR/none", "192.0.2.7"),
        (
            75,
            "cannot answer: map DIR/none: No such file or directory (pbs-filter --doctor looks for "
            "the cause)",
        ),
    ),
    "a file that is no map": (
        ("check", "--map=DIR/garbage", "192.0.2.7"),
        (
            75,
            "cannot answer: map DIR/garbage: Unexpected end of file (pbs-filter --doctor looks for "
            "the cause)",
        ),
    ),
    "nothing to serve": (
        ("serve", "--user=nobody"),
        (2, "serve has nothing to serve: give --socketmap=unix:/PATH or --policy=..."),
    ),
    "a port without its kind": (
        ("serve", "--user=nobody", "--socketmap=25"),
        (2, "cannot listen at '25': write unix:/PATH or inet:127.0.0.1:PORT"),
    ),
    "a program that is not there": (
        ("relaylock", "--map=DIR/none", "--on-trouble=continue", "DIR/smtpd"),
        (
            2,
            "cannot answer: map DIR/none: No such file or directory\n"
            "pbs-lookup: relaylock cannot start 'DIR/smtpd': No such file or directory; give the "
            "SMTP server's program and its arguments after relaylock's options",
        ),
    ),
}


@pytest.mark.parametrize("mistake", LOOKUPS)
def test_a_mistake_with_lookups(place: Path, mistake: str) -> None:
    words, (status, expected) = LOOKUPS[mistake]
    (place / "garbage").write_text("garbage")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pbs_filter.lookup",
            *(word.replace("DIR", str(place)) for word in words),
        ],
        cwd=Path(__file__).resolve().parents[1],
        env={**os.environ, "TCPREMOTEIP": "192.0.2.7"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (status, f"pbs-lookup: {expected}\n") == (
        done.returncode,
        done.stderr.replace(str(place), "DIR"),
    )


# ------------------------------------------------------------------ more of the same


def test_lines_to_explain_from_nowhere() -> None:
    command = f"exec '{sys.executable}' -m pbs_filter --config=/dev/null --explain <&-"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


def test_a_log_that_is_not_there(place: Path) -> None:
    status, text = said(place, MAP, "--reprocess", "DIR/mail.log")
    assert 1 == status
    assert text.startswith("pbs-filter: 'DIR/mail.log': No such file or directory")
    assert "Traceback" not in text
