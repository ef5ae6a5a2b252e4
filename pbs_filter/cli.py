"""The command line (edge): words to one of the modes. `main(argv) -> exit status`.

`MODES` says which function does what; each is called as `run(config, options) -> exit status`.
Results go to stdout, everything else to stderr or the log.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

from . import __version__
from .config.declare import Option
from .config.files import read_files
from .config.kinds import YES_NO
from .config.load import build
from .config.options import DEFAULT_PATH, OPTIONS, Config
from .errors import EX_TEMPFAIL, EXIT_STATUSES, NoMemory, PbsFilterError, UsageError
from .modes import EXTRAS, GONE, MODES, Mode
from .text import nearest

_UNKNOWN = "unrecognized arguments: "


class Parser(argparse.ArgumentParser):
    """argparse's parser; a mistake is one line, without half a page of usage before it."""

    def error(self, message: str) -> NoReturn:
        """End with exit status 2."""
        if message.startswith(_UNKNOWN):
            word = message.removeprefix(_UNKNOWN).split()[0].partition("=")[0]
            message = f"{word!r} is not an option.{nearest(word, self._option_string_actions)}"
        raise UsageError(f"{message.removeprefix('argument ')} (see {self.prog} --help)")


class _Formatter(argparse.HelpFormatter):
    """Breaks no name at a hyphen, and names a value once for all names of its option."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        import textwrap

        return textwrap.wrap(text, width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        import textwrap

        return textwrap.fill(
            text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {value}"


class _Gone(argparse.Action):
    """Refuses an option that has no counterpart."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> NoReturn:
        name = (option_string or "").partition("=")[0]
        raise UsageError(f"{name} is no more: {GONE[name]}")


class _YesNo(argparse.Action):
    """Stores whether the flag was one of those without "no"."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, not (option_string or "").startswith("--no"))


def parser() -> argparse.ArgumentParser:
    """Return the parser. Modes first, then one option for each key of the configuration."""
    statuses = ". ".join(f"{number}: {about}" for number, about in EXIT_STATUSES)
    made = Parser(
        prog="pbs-filter",
        usage="pbs-filter [MODE] [OPTION ...]",
        allow_abbrev=False,
        # Each argument is tried with it, and it would ask for the terminal's width: that imports
        # shutil, and takes 3 ms.
        formatter_class=partial(_Formatter, width=80),
        description="Filter the mail log on stdin: an address that logged in by POP3 or IMAP may "
        "relay for a while. Without a mode: read until end of input.",
        epilog="The configuration file has the same options and more: see pbs-filter.toml(5). A "
        "change in it takes effect when the filter starts again; networks, users and accounts are "
        f"also read again on SIGHUP. Exit status {statuses}.",
    )
    made.add_argument(
        "--config", metavar="FILE", help=f"the configuration file (default: {DEFAULT_PATH})"
    )
    made.add_argument("--version", action="store_true", help="print the version")
    made.add_argument(
        "--dumpconfig", action="store_true", help="print each option's value and its source"
    )
    for name in GONE:
        made.add_argument(name, nargs="?", action=_Gone, help=argparse.SUPPRESS)
    modes = made.add_argument_group("modes").add_mutually_exclusive_group()
    for mode in MODES:
        value: dict[str, Any] = {"action": "store_true"}
        if mode.metavar:
            value = {"metavar": mode.metavar, "nargs": mode.nargs}
        if mode.nargs == "?":
            value["const"] = ""
        modes.add_argument(f"--{mode.name}", help=mode.about, **value)
    made.add_argument("files", nargs="*", metavar="FILE", help="for --reprocess")
    extras = made.add_argument_group("with modes")
    for extra in EXTRAS:
        about = f"{extra.about} (--{', --'.join(extra.modes)})"
        value = {"action": "store_true"}
        if extra.metavar:
            value = {"metavar": extra.metavar, "choices": extra.choices}
        extras.add_argument(extra.flag, dest=extra.dest, help=about, **value)
    running = made.add_argument_group("running")
    running.add_argument(
        "--retry-start",
        action="store_true",
        help="wait inside and try again when the start fails: for syslog-ng, which would start the "
        "program again 200 times a second",
    )
    running.add_argument(
        "--journal-cursor",
        metavar="FILE",
        default="",
        help="keep in FILE how far systemd's journal (journalctl -o json) has been taken",
    )
    configuration = made.add_argument_group("configuration")
    for option in OPTIONS.values():
        if option.flags:
            _add(configuration, option)
    made.formatter_class = _Formatter
    return made


def _add(group: argparse._ArgumentGroup, option: Option) -> None:
    about = option.about + (" Read again on SIGHUP." if option.reload else "")
    common: dict[str, Any] = {
        "dest": f"option_{option.name}",
        "help": about.replace("%", "%%"),  # argparse formats it
    }
    if option.kind is YES_NO:
        group.add_argument(*option.flags, action=_YesNo, nargs=0, **common)
    else:
        group.add_argument(*option.flags, metavar=option.kind.metavar, **common)


def parse(words: Sequence[str]) -> tuple[Mode | None, argparse.Namespace]:
    """Return the mode and the options of a command line.

    Raises:
        UsageError: it is wrong.
    """
    made = parser()
    options = made.parse_args(words)
    mode = next((m for m in MODES if getattr(options, m.name) not in (None, False)), None)
    if options.files and (mode is None or mode.name != "reprocess"):
        return _parse_word(list(words), options.files[0], mode)
    chosen = {mode.name if mode else "", "dumpconfig" if options.dumpconfig else ""}
    for extra in EXTRAS:
        if getattr(options, extra.dest) not in (None, False) and not chosen & set(extra.modes):
            raise UsageError(f"{extra.flag} belongs to --{' or --'.join(extra.modes)}")
    if options.apply and options.undo:
        raise UsageError("--apply or --undo, not both")
    options.color = options.color or "auto"
    # `--forget --user NAME` without an address names a user, not the account to become.
    options.forget_user = ""
    if options.forget == "" and options.option_user is not None:
        options.forget_user, options.option_user = options.option_user, None
    return mode, options


def _parse_word(
    words: list[str], word: str, mode: Mode | None
) -> tuple[Mode | None, argparse.Namespace]:
    """Take `pbs-filter list 192.0.2.7` as `pbs-filter --list 192.0.2.7`.

    Raises:
        UsageError: `word` is no mode, or a second one.
    """
    names = [*(each.name for each in MODES), "dumpconfig", "version", "help"]
    if mode is not None or word not in names:
        guess = nearest(word, names) if mode is None else ""
        raise UsageError(
            f"{word!r} is no mode; to look at a file: pbs-filter --explain < FILE, to take its "
            f"logins: --reprocess FILE.{guess}"
        )
    at = words.index(word)
    return parse([*words[:at], f"--{word}", *words[at + 1 :]])


def configuration(options: argparse.Namespace) -> Config:
    """Return the configuration: command line over files over defaults.

    Raises:
        ConfigError: a file cannot be read, or something in it is wrong.
    """
    given = {
        name: value
        for name in OPTIONS
        if (value := getattr(options, f"option_{name}", None)) is not None
    }
    return build(read_files(options.config), given)


def main(argv: Sequence[str] | None = None) -> int:
    """Run; the exit status."""
    try:
        return _run(*parse(sys.argv[1:] if argv is None else argv))
    except (PbsFilterError, MemoryError) as caught:
        error = NoMemory() if isinstance(caught, MemoryError) else caught
        print(f"pbs-filter: {error}", file=sys.stderr)
        return error.exit_status
    except PermissionError as error:
        print(
            f"pbs-filter: {error.filename or error}: {error.strerror}; run it as root or as the "
            "filter's account",
            file=sys.stderr,
        )
        return EX_TEMPFAIL
    except BrokenPipeError:
        # `pbs-filter --list | head`: nobody reads on. Keep Python from saying so at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        return 130


def _run(mode: Mode | None, options: argparse.Namespace) -> int:
    def make_config() -> Config:
        return configuration(options)

    if options.version:
        print(f"pbs-filter {__version__}")
    if options.dumpconfig:
        from .config import render

        config = make_config()
        as_json = options.json and mode is None
        sys.stdout.write(render.dump_json(config) if as_json else render.dump(config))
    if mode is None:
        if options.version or options.dumpconfig:
            return 0
        from .service import run

        return run.run(
            make_config,
            retry=options.retry_start,
            confirm=options.option_confirm or "auto",
            logto=options.option_logto or "",
            cursor_path=options.journal_cursor,
        )
    module, _, function = mode.run.partition(":")
    command = getattr(importlib.import_module(f".{module}", __package__), function)
    return int(command(make_config() if mode.needs_config else make_config, options))


if __name__ == "__main__":
    sys.exit(main())
