"""Manual pages and completions: they say what --help says, and their readers take them."""

from __future__ import annotations

import argparse
import contextlib
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbs_filter import cli
from pbs_filter.authorisation.countries import Countries
from pbs_filter.config.options import OPTIONS, Config
from pbs_filter.config.tables import Export, SiteServer
from pbs_filter.errors import EXIT_STATUSES
from pbs_filter.export import exporter
from pbs_filter.export.formats import FORMATS
from pbs_filter.lookup.options import MODES, USAGE
from pbs_filter.service import build

from .real.packages import install, launch, unpack
from .real.roots import PrivateRoot

CHECKOUT = Path(__file__).resolve().parents[1]
COMPLETION = CHECKOUT / "examples" / "completion"
needs_packages = pytest.mark.skipif(
    os.geteuid() != 0 and not os.environ.get("CI"), reason="needs root, to install or unpack"
)
MAN = sorted((CHECKOUT / "examples" / "man").glob("*.[58]"))


def plain(name: str) -> str:
    """A page's text without its roff, on one line."""
    text = (CHECKOUT / "examples" / "man" / name).read_text("utf-8")
    text = re.sub(r"\\f[BIRP]|\\&|\\[,/]", "", text)
    text = re.sub(r"(?m)^\.(SH|SS|TP|HP|IP|PP|B|I)\b *", "", text)
    for sign, roffed in (
        ("-", r"\-"),
        ("'", r"\(aq"),
        ('"', r"\(dq"),
        ("\\", r"\e"),
        ("`", r"\(ga"),
    ):
        text = text.replace(roffed, sign)
    return " ".join(text.split())


def one_line(text: str) -> str:
    return " ".join(text.split())


# ------------------------------------------------------------------ one source


def test_pbs_filter_8_has_each_option_and_its_help() -> None:
    page = plain("pbs-filter.8")
    shown = [a for a in cli.parser()._actions if a.help != argparse.SUPPRESS]
    assert len(shown) > 40
    for action in shown:
        assert (action.help or "").replace("%%", "%") in page
        assert ", ".join(action.option_strings) in page


@pytest.mark.parametrize("mode", MODES)
def test_pbs_lookup_8_has_each_option_of_each_mode(mode: str) -> None:
    page = plain("pbs-lookup.8")
    usage = MODES[mode].partition("\n")[0].removeprefix("usage: ")
    assert usage in page
    for name, about in re.findall(r"(?m)^  (--[a-z-]+)\S* +(\S.*)$", MODES[mode]):
        assert name in page
        assert about in page


def test_pbs_filter_toml_5_has_each_key_its_default_and_its_flags() -> None:
    page = plain("pbs-filter.toml.5")
    for option in OPTIONS.values():
        assert option.about in page
        assert f"[[{option.name}]]" if option.kind.table else f"{option.name} = " in page
        if option.flags:
            assert f"Command line: {', '.join(option.flags)}" in page
    for word in (*Export.options, *FORMATS, exporter.SQLITE, *SiteServer.options):
        assert re.search(rf"\b{word}\b", page), word


def test_exit_statuses_are_in_help_and_manual() -> None:
    help_text = one_line(cli.parser().format_help())
    page = plain("pbs-filter.8")
    for number, about in EXIT_STATUSES:
        assert f"{number}: {about}" in help_text
        assert f"{number} {about}" in page


def test_an_option_is_one_declaration(tmp_path: Path) -> None:
    """The recipe of CONTRIBUTING.md: one field, and everything has it."""
    shutil.copytree(CHECKOUT / "pbs_filter", tmp_path / "pbs_filter")
    options = tmp_path / "pbs_filter/config/options.py"
    text = options.read_text("utf-8")
    field = '    new_key: int = option(whole(1, 9), 5, "A brand new number.")\n'
    assert 1 == text.count("    debug: bool = option(")
    options.write_text(text.replace("    debug: bool", f"{field}    debug: bool"), "utf-8")
    (tmp_path / "c.toml").write_text("new_key = 7\n")

    def run(*words: str) -> str:
        command = [sys.executable, *words]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout

    program = ("-m", "pbs_filter", f"--config={tmp_path}/c.toml")
    assert "A brand new number." in one_line(run(*program, "--help"))
    assert f"new_key = 7  # {tmp_path}/c.toml\n" in run(*program, "--dumpconfig")
    assert "new_key = 3  # command line\n" in run(*program, "--new-key=3", "--dumpconfig")
    large = shutil.ignore_patterns("real", "faults", "bench", "fuzz")
    shutil.copytree(CHECKOUT / "tests", tmp_path / "tests", ignore=large)
    shutil.copy(CHECKOUT / "CHANGELOG.md", tmp_path)
    shutil.copytree(CHECKOUT / "examples/man", tmp_path / "examples/man")
    made = "from tests.generated import options; print(options.FILES[{!r}]())"
    for path in ("examples/pbs-filter.toml", "examples/man/pbs-filter.toml.5"):
        page = one_line(run("-c", made.format(path)))
        assert "A brand new number. " in page
        assert "A whole number from 1 to 9." in page


def test_what_sighup_reads_again_is_declared_so() -> None:
    """What the policy is made of; all else takes effect with the next start."""
    read: set[str] = set()

    class Reads(Config):
        def __getattribute__(self, name: str) -> object:
            read.add(name)
            return super().__getattribute__(name)

    config = Reads(sources=dict.fromkeys(OPTIONS, "default"))
    policy = build.policy_of(config, (), build.ask_networks(config, lambda _text: None))
    build.borders_of(config, policy, Countries(), lambda _text: None)
    # Which lines are read is decided at the start; that a server is named counts at once.
    assert {o.name for o in OPTIONS.values() if o.reload} | {"servers"} == read & set(OPTIONS)


# ------------------------------------------------------------------ manual pages


@needs_packages
@pytest.mark.parametrize("path", MAN, ids=lambda path: path.name)
def test_man_has_no_warning(path: Path) -> None:
    install("man-db", "groff-base")
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", path],
        env={**os.environ, "LC_ALL": "C.UTF-8", "MANROFFSEQ": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "" == done.stderr


@needs_packages
@pytest.mark.parametrize("path", MAN, ids=lambda path: path.name)
def test_mandoc_has_nothing_to_say(path: Path) -> None:
    done = subprocess.run(
        [*launch(unpack("mandoc"), "/usr/bin/mandoc"), "-T", "lint", "-W", "warning", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "" == done.stdout


# ------------------------------------------------------------------ completion


def bash_offers(*typed: str, script: str = "") -> set[str]:
    """What bash would offer for the last of the words that were typed."""
    quoted = " ".join(f"'{word}'" for word in typed)
    before = typed[-2] if len(typed) > 1 else ""
    programs = "".join(
        f"{name}() {{ '{sys.executable}' -m {module} \"$@\"; }}; "
        for name, module in (("pbs-filter", "pbs_filter"), ("pbs-lookup", "pbs_filter.lookup"))
    )
    done = subprocess.run(
        [
            "bash",
            "-c",
            f"{programs} {script}\n. '{COMPLETION}/bash/{typed[0]}'; "
            f"COMP_WORDS=({quoted}); COMP_CWORD={len(typed) - 1}; "
            f"_pbs '{typed[0]}' '{typed[-1]}' '{before}'; "
            'printf "%s\\n" "${COMPREPLY[@]}"; complete -p pbs-filter pbs-lookup',
        ],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "" == done.stderr
    assert f"complete -o default -F _pbs {typed[0]}" in done.stdout
    return {line for line in done.stdout.splitlines() if line and not line.startswith("complete ")}


@pytest.mark.parametrize(
    ("expected", "typed"),
    [
        ({"--authorise"}, ("pbs-filter", "--au")),
        ({"list"}, ("pbs-filter", "li")),
        ({"setup", "status"}, ("pbs-filter", "s")),
        ({"rsyslog"}, ("pbs-filter", "setup", "rs")),
        ({"auto", "yes", "lines", "no"}, ("pbs-filter", "--confirm", "=")),
        ({"lines"}, ("pbs-filter", "--confirm", "=", "l")),
        ({"lines"}, ("pbs-filter", "--confirm", "l")),
        ({"rsyslog"}, ("pbs-filter", "--setup", "rs")),
        (set(), ("pbs-filter", "--grace", "=", "")),
        ({"--plain"}, ("pbs-filter", "--list", "--pl")),
        ({"check"}, ("pbs-lookup", "c")),
        ({"--on-trouble"}, ("pbs-lookup", "relaylock", "--on")),
        (set(), ("pbs-lookup", "check", "--on")),
        ({"refuse", "continue"}, ("pbs-lookup", "relaylock", "--on-trouble", "=")),
        (set(), ("pbs-lookup", "opensmtpd", "m")),
    ],
)
def test_bash_completes(expected: set[str], typed: tuple[str, ...]) -> None:
    assert expected == bash_offers(*typed)


def test_bash_completes_the_addresses_that_may_relay() -> None:
    listing = "pbs-filter() { printf '192.0.2.7\\n192.0.2.8\\n2001:db8::7\\n'; }"
    typed = ("pbs-filter", "--forget", "19")
    assert {"192.0.2.7", "192.0.2.8"} == bash_offers(*typed, script=listing)


def test_what_is_gone_is_not_offered() -> None:
    assert set() == bash_offers("pbs-filter", "--watchl")


class Terminal:
    """A shell at a terminal, typed into."""

    def __init__(self, *command: str) -> None:
        self.said = b""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            environment = {"TERM": "dumb", "PS1": "$ ", "HOME": "/nonexistent"}
            os.execvpe(command[0], command, {"PATH": "/usr/sbin:/usr/bin:/bin"} | environment)

    def type(self, text: str, expected: str) -> None:
        """Return when `expected` has been shown after `text` was typed."""
        self.said = b""
        os.write(self.terminal, text.encode())
        deadline = time.monotonic() + 120
        while expected.encode() not in self.said:
            left = max(deadline - time.monotonic(), 0)
            assert select.select([self.terminal], [], [], left)[0], self.said
            self.said += os.read(self.terminal, 4096)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


CLEAR = "\x15"
"""Ctrl-U: what was typed is gone."""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Both programs, as commands for a shell."""
    for name, module in (("pbs-filter", "pbs_filter"), ("pbs-lookup", "pbs_filter.lookup")):
        path = tmp_path / name
        path.write_text(
            f'#!/bin/sh\nPYTHONPATH={CHECKOUT} exec {sys.executable} -m {module} "$@"\n'
        )
        path.chmod(0o755)
    return tmp_path


def test_bash_completes_at_a_terminal(programs: Path) -> None:
    with Terminal("bash", "--norc", "--noprofile", "-i") as bash:
        script = COMPLETION / "bash/pbs-filter"
        bash.type(f"PATH={programs}:$PATH; . '{script}'; echo rea''dy\n", "ready\r\n")
        bash.type("pbs-filter --autho\t", "pbs-filter --authorise ")


TOOLS = ("coreutils", "dash", "grep", "sed")


def stubs(directory: Path) -> None:
    """Programs that print the helps and two addresses, for a root that has no Python."""
    (directory / "filter").write_text(cli.parser().format_help())
    (directory / "lookup").write_text(USAGE)
    for mode, text in MODES.items():
        (directory / f"lookup-{mode}").write_text(text)
    for name, script in (
        ("pbs-filter", "*--list*) printf '192.0.2.7\\n2001:db8::7\\n' ;; *) cat /stubs/filter ;;"),
        ("pbs-lookup", '--help) cat /stubs/lookup ;; *) cat "/stubs/lookup-$1" ;;'),
    ):
        path = directory / name
        path.write_text(f'#!/bin/sh\ncase "$*" in {script} esac\n')
        path.chmod(0o755)


@needs_packages
def test_zsh_completes_at_a_terminal() -> None:
    with contextlib.closing(PrivateRoot("zsh", *TOOLS)) as root:
        shutil.copy(COMPLETION / "zsh/_pbs-filter", root.directory("/functions"))
        stubs(root.directory("/stubs"))
        with Terminal(*root.command("/bin/zsh", "-f", "-i")) as zsh:
            zsh.type(
                "PATH=/stubs:/usr/bin:/bin; fpath=(/functions $fpath); autoload -Uz compinit; "
                "compinit -u -D; echo rea''dy\n",
                "ready\r\n",
            )
            for typed, completed in (
                ("pbs-filter --autho", "--authorise"),
                ("pbs-filter --forget 19", "192.0.2.7"),
                ("pbs-lookup rel", "relaylock"),
                ("pbs-lookup relaylock --on-tr", "--on-trouble"),
            ):
                zsh.type(f"{CLEAR}{typed}\t", completed)


@pytest.fixture(scope="module")
def fish() -> Iterator[list[str]]:
    """The command of a fish that sees nothing of this machine."""
    with contextlib.closing(PrivateRoot("fish", *TOOLS)) as root:
        stubs(root.directory("/stubs"))
        for path in (COMPLETION / "fish").iterdir():
            shutil.copy(path, root.directory("/stubs"))
        yield root.command("/usr/bin/fish", "--no-config")


@needs_packages
@pytest.mark.parametrize(
    ("expected", "typed"),
    [
        ({"--authorise"}, "pbs-filter --au"),
        (set(MODES), "pbs-lookup "),
        ({"--on-trouble"}, "pbs-lookup relaylock --on"),
        (set(), "pbs-lookup check --on-t"),
        ({"192.0.2.7", "2001:db8::7"}, "pbs-filter --forget "),
    ],
)
def test_fish_completes(fish: list[str], expected: set[str], typed: str) -> None:
    program = typed.partition(" ")[0]
    done = subprocess.run(
        fish,
        env={"PATH": "/stubs:/usr/sbin:/usr/bin:/bin", "HOME": "/nonexistent"},
        input=f'source /stubs/{program}.fish\ncomplete -C "{typed}"\n',
        capture_output=True,
        text=True,
        check=False,
    )
    assert "" == done.stderr
    offered = {line.partition("\t")[0] for line in done.stdout.splitlines()}
    assert expected == {word for word in offered if not word.endswith("/")}
