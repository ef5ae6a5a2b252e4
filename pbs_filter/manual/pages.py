"""The three manual pages. Pure: options and texts in, roff out."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from ..config.declare import Option, options_of
from ..config.options import DEFAULT_PATH
from ..config.render import label, notes, toml
from ..config.tables import Export
from ..errors import EXIT_STATUSES
from . import roff
from .words import Flag, Group, Mode

DATE = "2026-11-20"
"""Of the pages' own words; the rest is as new as the program."""

_SEE = (("pbs-filter", 8), ("pbs-lookup", 8), ("pbs-filter.toml", 5))


def flag(one: Flag) -> str:
    """An option as it is typed, in roff."""
    if not one.names:
        return roff.italic(one.takes) + " ..." * one.optional
    # \\: is where a long line may be broken.
    value = "|\\:".join(map(roff.bold, one.choices)) if one.choices else roff.italic(one.takes)
    names = ", ".join(map(roff.bold, one.names))
    if not one.takes:
        return names
    return f"{names} [{value}]" if one.optional else f"{names}={value}"


def _flags(flags: Iterable[Flag]) -> str:
    return "".join(roff.item(flag(one), one.about) for one in flags)


def filter_page(groups: Sequence[Group], version: str) -> str:
    """pbs-filter(8)."""
    name = roff.bold("pbs-filter")
    return "".join(
        (
            roff.head("pbs-filter", 8, version=version, date=DATE),
            roff.section("name", "pbs\\-filter \\- POP\\-before\\-SMTP behind the syslog daemon\n"),
            roff.section(
                "synopsis", f"{name}\n[{roff.italic('MODE')}] [{roff.italic('OPTION')} ...]\n"
            ),
            roff.section(
                "description",
                roff.paragraphs(
                    "The syslog daemon pipes the lines of POP3 and IMAP servers into pbs-filter. "
                    "Whoever logged in may relay mail from the same address for a while: the "
                    "address is written into a map, which pbs-lookup reads when the mail server "
                    "asks.",
                    "Without a mode it does that until end of input. With a mode it does one thing "
                    "and ends.",
                    "SMTP AUTH is better: with POP-before-SMTP everybody behind the same address "
                    "may relay. It is for clients that cannot do better.",
                ),
            ),
            roff.section(
                "options", *(roff.subsection(group.title, _flags(group.flags)) for group in groups)
            ),
            roff.section(
                "exit status",
                *(roff.item(roff.bold(str(number)), about) for number, about in EXIT_STATUSES),
            ),
            roff.section(
                "signals",
                roff.item(
                    roff.bold("SIGHUP"),
                    "Open the log file again, and read networks and accounts of the configuration "
                    "again.",
                ),
                roff.item(
                    roff.bold("SIGTERM"),
                    "Nothing: the filter ends when its input ends, so that what the daemon has "
                    "written is read.",
                ),
            ),
            roff.section("files", _files()),
            roff.section(
                "examples",
                roff.paragraphs("Who may relay, until when, and why:"),
                roff.example("pbs-filter --list"),
                roff.paragraphs("How a line of the mail log was read:"),
                roff.example("grep dovecot /var/log/mail.log | tail -n 1 | pbs-filter --explain"),
                roff.paragraphs("Let an address relay for an hour:"),
                roff.example(
                    "pbs-filter --authorise 192.0.2.9 --for 3600 --note 'the new scanner'"
                ),
            ),
            roff.section(
                "see also",
                roff.references(
                    [*(p for p in _SEE if p[0] != "pbs-filter"), ("rsyslogd", 8), ("syslog-ng", 8)]
                ),
            ),
        )
    )


def _files() -> str:
    return "".join(
        roff.item(roff.italic(path), about)
        for path, about in (
            (DEFAULT_PATH, "The configuration, see pbs-filter.toml(5). It need not exist."),
            ("/var/lib/pbs-filter/map.gdbm", "The map that lookups read (option map)."),
            (
                "/var/lib/pbs-filter/map.gdbm.journal",
                "The truth that the map is made from. Both are made again if damaged; never remove "
                "them while a filter runs.",
            ),
            ("/var/log/pbs-filter.log", "The log, where the shipped configurations put it."),
            (
                "/var/lib/pbs-filter-setup",
                "What --setup --apply changed, and what was there before, for --undo.",
            ),
        )
    )


def lookup_page(usage: str, modes: Sequence[Mode], version: str) -> str:
    """pbs-lookup(8)."""
    return "".join(
        (
            roff.head("pbs-lookup", 8, version=version, date=DATE),
            roff.section(
                "name", "pbs\\-lookup \\- tell a mail server whether an address may relay\n"
            ),
            roff.section(
                "synopsis",
                ".br\n".join(f"{_usage(mode.usage)}\n" for mode in modes),
            ),
            roff.section(
                "description",
                roff.paragraphs(
                    usage.split("\n\n")[1],
                    "It only reads. Where it cannot look, it says so: the mail server is told "
                    '"not now", never "yes". Each entry of the map carries its end, which is '
                    "compared with the clock here: who may relay no longer may not, whether or not "
                    "a filter runs.",
                ),
            ),
            roff.section(
                "modes",
                *(
                    roff.subsection(
                        mode.name,
                        roff.paragraphs(mode.about),
                        _flags(one for one in mode.flags if one.names != ("--help",)),
                    )
                    for mode in modes
                ),
            ),
            roff.section(
                "files", roff.item(roff.italic("/var/lib/pbs-filter/map.gdbm"), "The map.")
            ),
            roff.section(
                "examples",
                roff.paragraphs("Ask as the mail server does, as its user:"),
                roff.example("runuser -u pbs-lookup -- pbs-lookup check --verbose 192.0.2.7"),
            ),
            roff.section("see also", roff.references(p for p in _SEE if p[0] != "pbs-lookup")),
        )
    )


def _usage(usage: str) -> str:
    program, mode, *rest = usage.split()
    return f"{roff.bold(f'{program} {mode}')} {roff.escape(' '.join(rest))}"


def toml_page(
    options: Iterable[Option],
    formats: Mapping[str, str],
    site: str,
    version: str,
) -> str:
    """pbs-filter.toml(5).

    Args:
        options: the keys.
        formats: what an export's format is for.
        site: the text about `[[server]]`: paragraphs, and indented lines as examples.
        version: the program's.
    """
    options = tuple(options)
    more = {
        "export": "".join(
            (
                *(
                    roff.item(roff.bold(roff.escape(label(key))), key.about, key.kind.accepts)
                    for key in options_of(Export).values()
                ),
                roff.paragraphs("Formats:"),
                *(roff.item(roff.bold(name), about) for name, about in formats.items()),
            )
        ),
        "server": _prose(site),
    }
    return "".join(
        (
            roff.head("pbs-filter.toml", 5, version=version, date=DATE),
            roff.section("name", "pbs\\-filter.toml \\- configuration of pbs\\-filter\n"),
            roff.section("synopsis", f"{roff.italic(DEFAULT_PATH)}\n"),
            roff.section(
                "description",
                roff.paragraphs(
                    "A file in TOML: one KEY = VALUE a line, # begins a comment. Set only what "
                    "should differ from the default; without the file all defaults hold. The "
                    "command line goes before the file.",
                    "It must belong to root or to the filter's account, and others may not write "
                    "it. An unknown key is an error, which names the nearest one.",
                ),
                roff.example(
                    "pbs-filter --check        # checks it\npbs-filter --dumpconfig   # "
                    "shows what holds, and why"
                ),
            ),
            roff.section("options", *(_option(option) for option in options if not _table(option))),
            roff.section(
                "tables",
                *(
                    roff.subsection(
                        f"[[{option.name}]]",
                        roff.paragraphs(option.about),
                        more.get(option.name, ""),
                    )
                    for option in options
                    if _table(option)
                ),
            ),
            roff.section(
                "example",
                roff.example(
                    'local_networks_command = "postconf -hx mynetworks"\n'
                    "grace_seconds = 900\n"
                    "require_vouched = true\n"
                    'deny_users = ["guest"]'
                ),
            ),
            roff.section("see also", roff.references(p for p in _SEE if p[0] != "pbs-filter.toml")),
        )
    )


def _prose(text: str) -> str:
    return "".join(
        roff.example(textwrap.dedent(part))
        if part.startswith("    ")
        else roff.paragraphs(part.replace("\n", " "))
        for part in text.strip("\n").split("\n\n")
    )


def _table(option: Option) -> bool:
    return option.kind.table is not None


def _option(option: Option) -> str:
    return roff.item(
        f"{roff.bold(option.name)} = {roff.escape(toml(option.default))}",
        option.about,
        *notes(option),
    )
