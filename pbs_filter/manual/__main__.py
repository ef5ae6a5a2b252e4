"""Write manual pages and completions: `python -m pbs_filter.manual [DIRECTORY]` (edge)."""

from __future__ import annotations

import sys
from pathlib import Path

from .. import __version__, cli
from ..config.options import OPTIONS
from ..export import exporter
from ..export import formats as export
from ..lookup.options import MODES, USAGE
from ..site_servers import table
from . import completion, pages, words

SHARE = Path(__file__).parent / "share"


def texts() -> dict[str, str]:
    """Each file's text, by its path below a `share` directory."""
    formats = {name: one.about for name, one in export.FORMATS.items()}
    formats[exporter.SQLITE] = "a database for table-sqlite of OpenSMTPD, which compares the ends"
    groups = words.groups(cli.parser())
    modes = words.modes(USAGE, MODES)
    found = {
        "man/man8/pbs-filter.8": pages.filter_page(groups, __version__),
        "man/man8/pbs-lookup.8": pages.lookup_page(USAGE, modes, __version__),
        "man/man5/pbs-filter.toml.5": pages.toml_page(
            OPTIONS.values(), formats, table.__doc__ or "", __version__
        ),
    }
    for name, text in completion.bash(groups, modes).items():
        found[f"bash-completion/completions/{name}"] = text
    for name, text in completion.zsh(groups, modes).items():
        found[f"zsh/site-functions/_{name}"] = text
    for name, text in completion.fish(groups, modes).items():
        found[f"fish/vendor_completions.d/{name}.fish"] = text
    return found


def main(directory: Path = SHARE) -> None:
    """Write the files below `directory`."""
    for name, text in texts().items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
