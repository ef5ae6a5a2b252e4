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
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbs_filter import cli
from pbs_filter.config.declare import Option, options_of
from pbs_filter.config.kinds import LISTS
from pbs_filter.config.options import OPTIONS
from pbs_filter.config.tables import Export, SiteServer
from pbs_filter.export import exporter
from pbs_filter.export.formats import FORMATS
from pbs_filter.lookup.options import MODES, USAGE
from pbs_filter.manual import completion, pages, roff, words
from pbs_filter.manual.__main__ import SHARE, main, texts

from .real.packages import install, launch, unpack
from .real.roots import PrivateRoot

needs_packages = pytest.mark.skipif(
    os.geteuid() != 0 and not os.environ.get("CI"), reason="needs root, to install or unpack"
)

FILTER, LOOKUP, TOML = (
    "man/man8/pbs-filter.8",
    "man/man8/pbs-lookup.8",
    "man/man5/pbs-filter.toml.5",
)
MAN = (FILTER, LOOKUP, TOML)


def path(name: str) -> Path:
    return SHARE / name


def plain(name: str) -> str:
    """A page's text without its roff, on one line."""
    text = re.sub(r"\\f[BIR]|\\&", "", texts()[name])
    text = re.sub(r"(?m)^\.(SH|SS|TP|IP|PP)\b *", "", text)
    for sign, roffed in (("-", r"\-"), ("'", r"\(aq"), ('"', r"\(dq"), ("\\", r"\e")):
        text = text.replace(roffed, sign)
    return " ".join(text.split())


# ------------------------------------------------------------------ one source


def test_what_is_shipped_is_what_would_be_written_today() -> None:
    written = {
        str(file.relative_to(SHARE)): file.read_text(encoding="utf-8")
        for file in SHARE.rglob("*")
        if file.is_file()
    }
    assert texts() == written, "run: python -m pbs_filter.manual"


def test_they_are_written_where_one_says(tmp_path: Path) -> None:
    main(tmp_path)
    assert texts()[FILTER] == (tmp_path / FILTER).read_text(encoding="utf-8")


def test_pbs_filter_8_has_each_option_and_its_help() -> None:
    page = plain(FILTER)
    shown = [a for a in cli.parser()._actions if a.help != argparse.SUPPRESS]
    assert len(shown) > 40
    for action in shown:
        assert (action.help or "").replace("%%", "%") in page
        assert all(name in page for name in action.option_strings)


@pytest.mark.parametrize("mode", MODES)
def test_pbs_lookup_8_has_each_option_of_each_mode(mode: str) -> None:
    page = plain(LOOKUP)
    usage = MODES[mode].partition("\n")[0].removeprefix("usage: ")
    assert usage in page
    for name, about in re.findall(r"(?m)^  (--[a-z-]+)\S* +(\S.*)$", MODES[mode]):
        if name != "--help":
            assert name in page
            assert about in page


def test_pbs_filter_toml_5_has_each_key_its_default_and_its_flag() -> None:
    page = plain(TOML)
    for option in OPTIONS.values():
        assert option.about in page
        if option.kind.table:
            assert f"[[{option.name}]]" in page
        elif option.flags:
            assert f"{option.name} = " in page
            assert f"Command line: {', '.join(option.flags)}" in page


def test_pbs_filter_toml_5_has_the_keys_of_the_tables() -> None:
    page = plain(TOML)
    for word in (*options_of(Export), *FORMATS, exporter.SQLITE, *options_of(SiteServer)):
        assert re.search(rf"\b{word}\b", page), word


def test_exit_statuses_are_in_help_and_manual() -> None:
    help_text = " ".join(cli.parser().format_help().split())
    page = plain(FILTER)
    for number, about in cli.EXIT_STATUSES:
        assert f"{number}: {about}" in help_text
        assert f"{number} {about}" in page


# ------------------------------------------------------------------ parts


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        (
            {"nargs": "?", "choices": ("rsyslog", "syslog-ng"), "help": "look"},
            words.Flag(
                names=("--x",),
                about="look",
                takes="rsyslog|syslog-ng",
                optional=True,
                choices=("rsyslog", "syslog-ng"),
            ),
        ),
        (
            {"nargs": 2, "metavar": ("A", "B")},
            words.Flag(names=("--x",), about="", takes="A B"),
        ),
        ({"type": int}, words.Flag(names=("--x",), about="", takes="X")),
        (
            {"metavar": "yes|no", "help": "100 %%"},
            words.Flag(names=("--x",), about="100 %", takes="yes|no", choices=("yes", "no")),
        ),
        ({"action": "store_true"}, words.Flag(names=("--x",), about="")),
    ],
)
def test_an_option_of_argparse(added: dict[str, object], expected: words.Flag) -> None:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--hidden", help=argparse.SUPPRESS)
    parser.add_argument("--x", **added)  # type: ignore[arg-type]
    assert (words.Group(title="options", flags=(expected,)),) == words.groups(parser)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("One", "One. Two."),
        ("One", "One."),
        ("a b...", "a b cdefghij"),
    ],
)
def test_the_beginning_of_a_text(expected: str, text: str) -> None:
    assert expected == words.first_sentence(text, 7)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (r"\&.PP", ".PP"),
        (r"a\e\-\(aqb", "a\\-'b"),
        ("One.\nTwo \\fBx\\fR.", "One. Two `x`."),
    ],
)
def test_text_stays_text_in_roff(expected: str, text: str) -> None:
    assert expected == roff.prose(text)


def test_a_mode_without_a_command_line_option_shows_none() -> None:
    made = pages.toml_page([Option(name="x", kind=LISTS, default={}, about="X.")], {}, "", "1")
    assert "Command line" not in made


# ------------------------------------------------------------------ manual pages


@needs_packages
@pytest.mark.parametrize("name", MAN)
def test_man_has_no_warning(name: str) -> None:
    install("man-db", "groff-base")
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", path(name)],
        env={**os.environ, "LC_ALL": "C.UTF-8", "MANROFFSEQ": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "" == done.stderr


@needs_packages
@pytest.mark.parametrize("name", MAN)
def test_mandoc_has_nothing_to_say(name: str) -> None:
    done = subprocess.run(
        [*launch(unpack("mandoc"), "/usr/bin/mandoc"), "-T", "lint", "-W", "style", path(name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "" == done.stdout


# ------------------------------------------------------------------ completion

BASH, ZSH, FISH = (
    "bash-completion/completions/",
    "zsh/site-functions/_",
    "fish/vendor_completions.d/",
)


def bash_offers(*typed: str, script: str = "") -> set[str]:
    """What bash would offer for the last of the words that were typed."""
    quoted = " ".join(f"'{word}'" for word in typed)
    function = "_" + typed[0].replace("-", "_")
    done = subprocess.run(
        [
            "bash",
            "-c",
            # compopt works only below readline; the test with a terminal has that
            f"compopt() {{ :; }}; {script}\n. '{path(BASH + typed[0])}'; "
            f"COMP_WORDS=({quoted}); COMP_CWORD={len(typed) - 1}; {function}; "
            'printf "%s\\n" "${COMPREPLY[@]}"; complete -p pbs-filter pbs-lookup 2>/dev/null',
        ],
        cwd=SHARE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "" == done.stderr
    assert f"complete -F {function} {typed[0]}" in done.stdout
    return {line for line in done.stdout.splitlines() if line and not line.startswith("complete ")}


@pytest.mark.parametrize(
    ("expected", "typed"),
    [
        ({"--authorise"}, ("pbs-filter", "--au")),
        ({"auto", "yes", "lines", "no"}, ("pbs-filter", "--confirm", "=")),
        ({"lines"}, ("pbs-filter", "--confirm", "=", "l")),
        ({"lines"}, ("pbs-filter", "--confirm", "l")),
        ({"man"}, ("pbs-filter", "--config", "=", "m")),
        ({"man"}, ("pbs-filter", "--reprocess", "m")),
        (set(), ("pbs-filter", "--grace", "=", "")),
        ({"--plain"}, ("pbs-filter", "--list", "--pl")),
        ({"check"}, ("pbs-lookup", "c")),
        ({"--on-trouble"}, ("pbs-lookup", "relaylock", "--on")),
        (set(), ("pbs-lookup", "check", "--on")),
        ({"refuse", "continue"}, ("pbs-lookup", "relaylock", "--on-trouble", "=")),
        ({"man"}, ("pbs-lookup", "opensmtpd", "m")),
        ({"man"}, ("pbs-lookup", "policy", "--senders", "=", "m")),
        (set(), ("pbs-lookup", "serve", "--user", "=", "m")),
    ],
)
def test_bash_completes(expected: set[str], typed: tuple[str, ...]) -> None:
    assert expected == bash_offers(*typed)


def test_bash_completes_the_addresses_that_may_relay() -> None:
    list_ = "pbs-filter() { printf '192.0.2.7\\n192.0.2.8\\n2001:db8::7\\n'; }"
    assert {"192.0.2.7", "192.0.2.8"} == bash_offers("pbs-filter", "--forget", "", script=list_)


def test_what_is_gone_is_not_offered() -> None:
    for name, text in texts().items():
        if not name.startswith("man/"):
            assert "watchlog" not in text


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
        deadline = time.monotonic() + 30
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


def test_bash_completes_at_a_terminal() -> None:
    with Terminal("bash", "--norc", "--noprofile", "-i") as bash:
        bash.type(f". '{path(BASH + 'pbs-filter')}'; echo rea''dy\n", "ready\r\n")
        bash.type("pbs-filter --autho\t", "pbs-filter --authorise ")


@needs_packages
def test_zsh_completes_at_a_terminal() -> None:
    with contextlib.closing(PrivateRoot("zsh")) as root:
        functions = root.directory("/functions")
        for program in ("pbs-filter", "pbs-lookup"):
            shutil.copy(path(ZSH + program), functions)
        with Terminal(*root.command("/bin/zsh", "-f", "-i")) as zsh:
            zsh.type(
                "fpath=(/functions $fpath); autoload -Uz compinit; compinit -u -D; "
                "pbs-filter() { echo 192.0.2.7 }; pbs-lookup() { : }; echo rea''dy\n",
                "ready\r\n",
            )
            for typed, completed in (
                ("pbs-filter --autho", "--authorise"),
                ("pbs-filter --confirm=l", "--confirm=lines"),
                ("pbs-filter --forget=19", "--forget=192.0.2.7"),
                ("pbs-lookup rel", "relaylock"),
                ("pbs-lookup relaylock --on-trouble=", "continue"),
            ):
                zsh.type(f"{CLEAR}{typed}\t", completed)


@needs_packages
@pytest.mark.parametrize("program", ["pbs-filter", "pbs-lookup"])
def test_zsh_takes_the_script(program: str) -> None:
    command = [*launch(unpack("zsh"), "/bin/zsh"), "--no-rcs", "-n", path(ZSH + program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)


@pytest.fixture(scope="module")
def fish() -> Iterator[list[str]]:
    """The command of a fish that sees nothing of this machine."""
    with contextlib.closing(PrivateRoot("fish")) as root:
        yield root.command("/usr/bin/fish", "--no-config")


@needs_packages
@pytest.mark.parametrize(
    ("expected", "typed"),
    [
        ({"--authorise"}, "pbs-filter --au"),
        ({"--confirm=lines"}, "pbs-filter --confirm=l"),
        (set(MODES), "pbs-lookup "),
        ({"--on-trouble=refuse", "--on-trouble=continue"}, "pbs-lookup relaylock --on-trouble="),
        (set(), "pbs-lookup check --on-trouble="),
        ({"192.0.2.7", "2001:db8::7"}, "pbs-filter --forget "),
    ],
)
def test_fish_completes(fish: list[str], expected: set[str], typed: str) -> None:
    program = typed.partition(" ")[0]
    script = (
        "function pbs-filter; printf '192.0.2.7\\n2001:db8::7\\n'; end\n"
        + path(f"{FISH}{program}.fish").read_text()
        + f'\ncomplete -C "{typed}"\n'
    )
    done = subprocess.run(
        fish,
        env={"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": "/nonexistent"},
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "" == done.stderr
    assert expected == {line.partition("\t")[0] for line in done.stdout.splitlines()}


def test_a_description_is_quoted_for_each_shell() -> None:
    odd = words.Flag(names=("--odd",), about="it's a [b]: c\\d")
    group = [words.Group(title="", flags=(odd,))]
    assert "'--odd[it'\\''s a \\[b\\]\\: c\\\\d]'" in completion.zsh(group, [])["pbs-filter"]
    assert "-d 'it\\'s a [b]: c\\\\d'" in completion.fish(group, [])["pbs-filter"]


def test_each_mode_of_pbs_lookup_has_its_line_of_the_overview() -> None:
    for mode in words.modes(USAGE, MODES):
        (line,) = re.findall(rf"(?m)^  {mode.name} .*$", USAGE)
        assert line.endswith(mode.brief)
        assert mode.brief[0].islower()
        assert len(mode.brief.split()) > 2
