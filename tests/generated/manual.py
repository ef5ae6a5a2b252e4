"""The manual pages: section 8 by help2man from --help, section 5 from the options' declarations.

What --help does not say stands in examples/man/NAME.h2m.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import textwrap
from collections.abc import Iterable
from pathlib import Path

from pbs_filter import __version__, cli
from pbs_filter.config.declare import Option
from pbs_filter.config.options import DEFAULT_PATH, OPTIONS
from pbs_filter.config.render import label, notes, toml
from pbs_filter.errors import EXIT_STATUSES
from pbs_filter.export import exporter, formats
from pbs_filter.lookup.options import MODES, USAGE
from pbs_filter.site_servers import table

ROOT = Path(__file__).resolve().parents[2]
MAN = ROOT / "examples" / "man"
WIDTH = 100


def date() -> str:
    """The day of the newest release in the changelog; empty before the first."""
    match = re.search(r"(?m)^## \[.*\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"))
    return match[1] if match else ""


# ---------------------------------------------------------------------- section 8


def filter_page() -> str:
    """pbs-filter(8)."""
    return help2man("pbs-filter", filter_help())


def lookup_page() -> str:
    """pbs-lookup(8)."""
    return help2man("pbs-lookup", lookup_help())


def filter_help() -> str:
    """`pbs-filter --help`, the same at any width of the terminal."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(WIDTH)
    try:
        return _headed(cli.parser().format_help())
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)


def _headed(text: str) -> str:
    """A help text with headings as help2man knows them."""
    text = text.replace("usage:", "Usage:", 1).replace("positional arguments:", "Options:")
    text = text.replace("\n\noptions:\n", "\n")
    statuses = "".join(f"  {number:<4}  {about}\n" for number, about in EXIT_STATUSES)
    return re.sub(r"(?s)\s+Exit status.*", f"\n\n*Exit status*\n{statuses}", text)


def lookup_help() -> str:
    """`pbs-lookup --help` and that of each mode, one after the other."""
    parts = [USAGE.replace("usage:", "Usage:", 1)]
    for name, text in MODES.items():
        usage, _, rest = text.removeprefix("usage: ").partition("\n")
        parts.append(f"\n*{name}*\n\n{usage}\n{rest}")
    return "".join(parts)


def help2man(name: str, help_text: str) -> str:
    """The page of a program that prints this help.

    Raises:
        FileNotFoundError: help2man is not there.
    """
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "help").write_text(help_text, "utf-8")
        program = Path(directory) / name
        program.write_text(
            f'#!/bin/sh\ncase $1 in --help) cat "{directory}/help" ;; *) echo {name} ;; esac\n'
        )
        program.chmod(0o755)
        command = ["help2man", "--no-info", "--section=8", f"--version-string={__version__}"]
        command += [f"--include={MAN / name}.h2m", "--manual=POP-before-SMTP", str(program)]
        page = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = page.splitlines(keepends=True)[1:]  # the first one names help2man's version
    lines[0] = re.sub(r'" "[^"]*" "', f'" "{date()}" "', lines[0], count=1)
    return NOTICE + "".join(lines)


NOTICE = '.\\" Made by "python -m tests.generated": change its sources, not this.\n'

# ---------------------------------------------------------------------- section 5

_SIGNS = str.maketrans(
    # All of it may be pasted into a file: no typographer's quotes and dashes.
    {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti", '"': "\\(dq"}
)


def escape(text: str) -> str:
    """`text` as roff prints it."""
    lines = text.translate(_SIGNS).split("\n")
    return "\n".join("\\&" + line if line.startswith(".") else line for line in lines)


def prose(text: str) -> str:
    """Sentences, each on a line of its own as roff wants it."""
    sentences = re.split(r"(?<=[.:]) +(?=[A-Z])", text)
    lines = [
        line
        for sentence in sentences
        for line in textwrap.wrap(sentence, 66, break_on_hyphens=False)
    ]
    return escape("\n".join(lines)) + "\n"


def item(tag: str, *paragraphs: str) -> str:
    """A tag and the paragraphs that hang below it."""
    return f".TP\n\\fB{escape(tag)}\\fR\n" + ".IP\n".join(map(prose, paragraphs))


def verbatim(text: str) -> str:
    """Lines as they are."""
    return f".PP\n.nf\n.RS 4\n{escape(textwrap.dedent(text))}\n.RE\n.fi\n"


def toml_page() -> str:
    """pbs-filter.toml(5)."""
    plain = [option for option in OPTIONS.values() if option.kind.table is None]
    tables = [option for option in OPTIONS.values() if option.kind.table is not None]
    return "".join(
        (
            NOTICE,
            f'.TH PBS-FILTER.TOML "5" "{date()}" "pbs-filter {__version__}" "POP-before-SMTP"\n',
            ".SH NAME\npbs\\-filter.toml \\- configuration of pbs\\-filter\n",
            f".SH SYNOPSIS\n\\fI{escape(DEFAULT_PATH)}\\fR\n.br\n",
            f"\\fI{escape('/etc/pbs-filter.d/*.toml')}\\fR\n.SH DESCRIPTION\n",
            prose(
                "Files in TOML: one KEY = VALUE a line, # begins a comment. Set only what should "
                "differ from the default; without any file all defaults hold. The drop-ins are "
                "read after the main file, in the order of their names: a later value replaces an "
                "earlier one, [[tables]] are added, and so are the keys of a table such as "
                "trusted_accounts. The command line goes before the files."
            ),
            ".PP\n",
            prose(
                "The files must belong to root or to the filter's account, and others may not "
                "write them. An unknown key is an error, which names the nearest one. A change "
                "takes effect when the filter starts again, or, where it says so, on SIGHUP."
            ),
            verbatim(
                "pbs-filter --check        # checks them\n"
                "pbs-filter --dumpconfig   # shows each value and its source"
            ),
            ".SH OPTIONS\n",
            *(item(f"{o.name} = {toml(o.default)}", o.about, *notes(o)) for o in plain),
            ".SH TABLES\n",
            *(table_of(option) for option in tables),
            ".SH EXAMPLE\n",
            verbatim(
                'local_networks_command = "postconf -hx mynetworks"\n'
                'grace_seconds = "15m"\nrequire_vouched = true\ndeny_users = ["guest"]'
            ).removeprefix(".PP\n"),
            '.SH "SEE ALSO"\n\\fBpbs\\-filter\\fR(8),\n\\fBpbs\\-lookup\\fR(8)\n',
        )
    )


def table_of(option: Option) -> str:
    """The part of one [[table]]: its keys, and what else there is to say of them."""
    assert option.kind.table is not None
    keys = option.kind.table.options.values()
    return "".join(
        (
            f'.SS "[[{option.name}]]"\n{prose(option.about)}',
            *(item(label(key), " ".join((key.about, key.kind.accepts)).strip()) for key in keys),
            *more(option.name),
        )
    )


def more(name: str) -> Iterable[str]:
    """The text behind the keys of a table."""
    if name == "export":
        abouts = {each: one.about for each, one in formats.FORMATS.items()}
        abouts[exporter.SQLITE] = (
            "a database for table-sqlite of OpenSMTPD, which compares the ends"
        )
        yield ".PP\nFormats:\n"
        yield from (item(each, f"{about}.") for each, about in abouts.items())
    if name == "server":
        for part in (table.__doc__ or "").strip("\n").split("\n\n"):
            is_example = part.startswith("    ")
            yield verbatim(part) if is_example else ".PP\n" + prose(part.replace("\n", " "))
