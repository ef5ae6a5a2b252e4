"""The modes of pbs-filter and the options that belong to them, as tables. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Mode(NamedTuple):
    """A mode: the program does this one thing, and ends."""

    name: str
    run: str
    """The module, below this package, and its function."""
    about: str
    metavar: str = ""
    nargs: str | None = None
    needs_config: bool = True
    """Whether it gets the configuration; else a function that reads it, since the mode also helps
    where the configuration is wrong."""


MODES = (
    Mode(
        "list",
        "commands.listing:run",
        "list the addresses that may relay, until when, and why; with an address: exit 0 if it "
        "may, 1 if not",
        "ADDRESS",
        "?",
    ),
    Mode("explain", "commands.explain:run", "tell what each line of stdin leads to, and why"),
    Mode(
        "check",
        "commands.check:run",
        "check the configuration and every grammar",
        needs_config=False,
    ),
    Mode(
        "reprocess",
        "commands.reprocess:run",
        "read mail logs (FILE..., plain or .gz; stdin without) by the stamps in their lines",
    ),
    Mode(
        "forget",
        "commands.forget:run",
        "end the authorisation of an address; with --user NAME instead: of a user, everywhere; "
        "with --all: of everybody",
        "ADDRESS",
        "?",
    ),
    Mode(
        "retire",
        "commands.retire:run",
        "with a map in Redis: the filter of that name is gone for good, lookups wait no longer for "
        "it",
        "NAME",
    ),
    Mode("authorise", "commands.authorise:run", "authorise an address by hand", "ADDRESS"),
    Mode(
        "status",
        "commands.status:run",
        "show counts, warnings and troubles of the running filter; exit 1 if its store takes "
        "nothing",
    ),
    Mode(
        "watch",
        "commands.watch:run",
        "show logins and authorisations live on a terminal, until q is pressed",
    ),
    Mode(
        "history",
        "commands.history:run",
        "show when and for which user ADDRESS was authorised, and by which line, as far as the "
        "journal has it",
        "ADDRESS",
    ),
    Mode(
        "report",
        "commands.report:run",
        "who still depends on POP-before-SMTP, from which device, when last: of the last "
        "history_days",
    ),
    Mode(
        "setup",
        "setup.run:run",
        "look at this machine, and print the files and settings that its syslog daemon and its MTA "
        "need; without names: for those that run here",
        "journal|rsyslog|syslog-ng|syslog-ng-confirmed|syslog-ng-program|courier|exim|opensmtpd|postfix|qmail|sendmail",
        "*",
        needs_config=False,
    ),
    Mode(
        "doctor",
        "doctor.run:run",
        "check the whole way from a log line to the MTA; exit 0 if all is well, 1 if not",
        needs_config=False,
    ),
)


class Extra(NamedTuple):
    """An option that belongs to some modes."""

    flag: str
    modes: tuple[str, ...]
    about: str
    metavar: str = ""
    choices: tuple[str, ...] | None = None

    @property
    def dest(self) -> str:
        """The attribute of the parsed options."""
        return {"--for": "for_"}.get(self.flag, self.flag.removeprefix("--"))


EXTRAS = (
    Extra("--all", ("list", "forget"), "list also what has ended; forget everybody"),
    Extra(
        "--erase",
        ("forget",),
        "forget a user or an address, and erase them at once from journal, map and history; log "
        "files are not touched",
        "USER|ADDRESS",
    ),
    Extra(
        "--json",
        ("list", "explain", "check", "status", "history", "report", "doctor", "dumpconfig"),
        "JSON (examples/json.md)",
    ),
    Extra("--plain", ("list",), "addresses only"),
    Extra(
        "--color",
        ("list", "status", "watch", "history", "report"),
        "colours; auto: on a terminal, unless NO_COLOR is set",
        "WHEN",
        ("auto", "always", "never"),
    ),
    Extra(
        "--html",
        ("report",),
        "write one page with plots, which needs nothing else; only you may read a new file",
        "FILE",
    ),
    Extra("--for", ("authorise",), "the time that it counts (default: the grace)", "TIME"),
    Extra("--note", ("authorise",), "the reason; --list shows it as the user", "TEXT"),
    Extra(
        "--login",
        ("doctor",),
        "log in as USER to the POP3 or IMAP server here, and follow that login; asks for the "
        "password",
        "USER",
    ),
    Extra(
        "--wait",
        ("doctor",),
        "wait so long for the next login of a client, and follow it (default: 60 on a terminal)",
        "TIME",
    ),
    Extra("--apply", ("setup",), "do it, after showing the difference"),
    Extra("--undo", ("setup",), "put back all that --apply did"),
)
GONE = {
    "--watchlog": "the syslog daemon pipes its lines into pbs-filter: see rsyslog/ and syslog-ng/; "
    "a file is read once with --reprocess",
    "--daemon": "the syslog daemon starts and stops pbs-filter: see rsyslog/ and syslog-ng/",
}
"""Options of pop-before-smtp that have no counterpart, and what to use instead."""
