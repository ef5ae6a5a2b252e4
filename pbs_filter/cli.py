"""The command line (edge): options to one of the modes. `main(argv) -> exit status`.

Results go to stdout, everything else to stderr or the log.
"""

from __future__ import annotations

import argparse
import importlib
import os
import stat
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from . import __version__
from .config.options import DEFAULT_PATH, OPTIONS, Config, Option, build, dump, flag_of
from .errors import EX_TEMPFAIL, EXIT_STATUSES, ConfigError, PbsFilterError
from .usage import Parser, whole

GONE = {
    "--watchlog": "the syslog daemon pipes its lines into pbs-filter: see rsyslog/ and syslog-ng/; "
    "a file is read once with --reprocess",
    "--daemon": "the syslog daemon starts and stops pbs-filter: see rsyslog/ and syslog-ng/",
}
"""Options of pop-before-smtp whose thing no longer exists, and what to use instead."""


class _Gone(argparse.Action):
    """Answers an option that is no more."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> NoReturn:
        name = (option_string or "").partition("=")[0]
        parser.exit(2, f"pbs-filter: {name} is no more: {GONE[name]}\n")


def parser() -> argparse.ArgumentParser:
    """The parser. Modes first, then one option for each key of the configuration."""
    made = Parser(
        prog="pbs-filter",
        allow_abbrev=False,
        description="Filter the mail log on stdin: who logged in by POP3 or IMAP may relay for a "
        "while. Without a mode: read until end of input.",
        epilog="The configuration file has the same options and more: see pbs-filter.toml. Exit "
        f"status {'. '.join(f'{number}: {about}' for number, about in EXIT_STATUSES)}.",
    )
    made.add_argument(
        "--config", metavar="FILE", help=f"the configuration file (default: {DEFAULT_PATH})"
    )
    made.add_argument("--version", action="version", version=f"pbs-filter {__version__}")
    for name in GONE:
        made.add_argument(name, nargs="?", action=_Gone, help=argparse.SUPPRESS)
    modes = made.add_argument_group("modes").add_mutually_exclusive_group()
    modes.add_argument(
        "--list",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="who may relay, until when, and why; with an address: exit 0 if it may, 1 if not",
    )
    modes.add_argument(
        "--explain", action="store_true", help="tell what each line of stdin leads to, and why"
    )
    modes.add_argument(
        "--check", action="store_true", help="check the configuration and every grammar"
    )
    modes.add_argument(
        "--reprocess",
        action="store_true",
        help="read mail logs (FILE..., plain or .gz; stdin without) by the stamps in their lines",
    )
    modes.add_argument("--forget", metavar="ADDRESS", help="end the authorisation of an address")
    modes.add_argument("--authorise", metavar="ADDRESS", help="authorise an address by hand")
    modes.add_argument("--status", action="store_true", help="what the running filter did so far")
    modes.add_argument(
        "--watch", action="store_true", help="the same on a terminal, live, until q is pressed"
    )
    modes.add_argument(
        "--history",
        metavar="ADDRESS",
        help="when and by whom it was authorised, and by which line, as far as the journal knows",
    )
    modes.add_argument(
        "--dumpconfig", action="store_true", help="show each option's value and its source"
    )
    modes.add_argument(
        "--setup",
        nargs="*",
        metavar="rsyslog|syslog-ng|postfix|exim|sendmail|opensmtpd|courier|qmail",
        help="look at this machine, and print what to put where for its syslog daemon and its MTA; "
        "without names: for those that run here",
    )
    modes.add_argument(
        "--doctor",
        action="store_true",
        help="check the whole way from a log line to the MTA; exit 0 if all is well, 1 if not",
    )
    made.add_argument("files", nargs="*", metavar="FILE", help="for --reprocess")
    with_modes = made.add_argument_group("with modes")
    with_modes.add_argument(
        "--all", action="store_true", help="--list: also what has ended and is not yet removed"
    )
    with_modes.add_argument(
        "--json", action="store_true", help="--list, --explain, --status, --history, --doctor: JSON"
    )
    with_modes.add_argument("--plain", action="store_true", help="--list: addresses only")
    with_modes.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colours: auto is on a terminal, unless NO_COLOR is set",
    )
    with_modes.add_argument(
        "--for",
        dest="seconds",
        type=whole,
        metavar="SECONDS",
        help="--authorise: for how long (default: the grace)",
    )
    with_modes.add_argument(
        "--note", default="", metavar="TEXT", help="--authorise: why; --list shows it as the user"
    )
    with_modes.add_argument(
        "--apply", action="store_true", help="--setup: do it, after showing the difference"
    )
    with_modes.add_argument(
        "--undo", action="store_true", help="--setup: put back all that --apply did"
    )
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
    options = made.add_argument_group("configuration")
    for option in OPTIONS:
        _add(options, option)
    return made


def _add(group: argparse._ArgumentGroup, option: Option) -> None:
    flag = flag_of(option)
    common: dict[str, Any] = {"dest": f"option_{option.name}", "default": None}
    # argparse formats help with %
    about = option.about.replace("%", "%%")
    if option.kind == "yes-no":
        group.add_argument(flag, action="store_const", const=True, help=about, **common)
        group.add_argument(
            f"--no{option.name.replace('_', '-')}",
            action="store_const",
            const=False,
            help=argparse.SUPPRESS,
            **common,
        )
    elif option.kind == "number":
        metavar = option.metavar or "N"
        group.add_argument(flag, type=whole, metavar=metavar, help=about, **common)
    elif option.kind in ("text", "path", "map", "name", "choice"):
        metavar = option.metavar or "TEXT"
        group.add_argument(flag, metavar=metavar, help=about, **common)
    elif option.kind in ("texts", "networks"):
        group.add_argument(flag, type=_items, metavar="A,B,...", help=about, **common)


def _items(text: str) -> list[str]:
    return [item for item in text.replace(",", " ").split() if item]


def configuration(arguments: argparse.Namespace) -> Config:
    """The configuration: command line over file over defaults.

    Raises:
        ConfigError: the file cannot be read, or something in it is wrong.
    """
    given = {
        option.name: value
        for option in OPTIONS
        if (value := getattr(arguments, f"option_{option.name}", None)) is not None
    }
    path = arguments.config or DEFAULT_PATH
    text = None
    if arguments.config or os.path.exists(path):
        try:
            with open(path, encoding="utf-8") as file:
                refuse_writable(file.fileno(), path)
                text = file.read()
        except OSError as error:
            todo = (
                "run this as root, or as one who may read it"
                if isinstance(error, PermissionError)
                else f"mend the path, or leave --config away for {DEFAULT_PATH}, which need not "
                "exist"
            )
            raise ConfigError(f"cannot read {path!r}: {error.strerror}; {todo}") from None
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path!r} is not UTF-8: {error}; write it again as UTF-8") from None
    return build(text, path, given)


def refuse_writable(descriptor: int, path: str) -> None:
    """Refuse a configuration that somebody else could have written.

    Raises:
        ConfigError: it is another account's, or others may write it.
    """
    status = os.fstat(descriptor)
    mode = status.st_mode
    if status.st_uid not in (0, os.geteuid()):
        raise ConfigError(
            f"{path!r} belongs to uid {status.st_uid}, who could write what he likes: "
            f"chown root {path}, after a look at what it says"
        )
    if stat.S_ISREG(mode) and mode & 0o002:
        raise ConfigError(
            f"{path!r} may be written by everybody (mode {mode & 0o7777:04o}): "
            f"chmod o-w {path}, after a look at what it says"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run; the exit status."""
    made = parser()
    arguments = made.parse_args(argv)
    if arguments.files and not arguments.reprocess:
        made.error(f"{arguments.files[0]!r}: a file is read with --reprocess")
    if (arguments.apply or arguments.undo) and arguments.setup is None:
        made.error("--apply and --undo belong to --setup")
    if arguments.apply and arguments.undo:
        made.error("--apply or --undo, not both")
    try:
        return _run(arguments)
    except PbsFilterError as error:
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


COMMANDS = {
    "list": "listing",
    "explain": "explain",
    "check": "check",
    "reprocess": "reprocess",
    "forget": "forget",
    "authorise": "authorise",
    "status": "status",
    "watch": "watch",
    "history": "history",
}
"""The mode options whose module in `commands` has run(config, options), imported when needed."""


def _run(arguments: argparse.Namespace) -> int:
    for mode, module in COMMANDS.items():
        if getattr(arguments, mode) not in (None, False):
            command = importlib.import_module(f".commands.{module}", __package__)
            status: int = command.run(configuration(arguments), arguments)
            return status
    if arguments.dumpconfig:
        sys.stdout.write(dump(configuration(arguments)))
        return 0
    # These two also help where the configuration is wrong.
    if arguments.setup is not None:
        return _setup(arguments)
    if arguments.doctor:
        return _doctor(arguments)
    from .service import run as service

    return service.run(
        lambda: configuration(arguments),
        retry=arguments.retry_start,
        logto=arguments.option_logto or "",
        cursor_path=arguments.journal_cursor,
    )


def _setup(arguments: argparse.Namespace) -> int:
    from .setup import run

    return run.run(
        arguments.setup,
        lambda: configuration(arguments),
        apply=arguments.apply,
        undo=arguments.undo,
    )


def _doctor(arguments: argparse.Namespace) -> int:
    from .doctor import run

    return run.run(lambda: configuration(arguments), json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
