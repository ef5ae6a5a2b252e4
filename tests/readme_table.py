"""Bring README.md's table of servers up to date: `python -m tests.readme_table`."""

from __future__ import annotations

from pathlib import Path

from pbs_filter.servers import SERVERS
from tests.server_table import updated

README = Path(__file__).parent.parent / "README.md"


def main() -> None:
    """Write README.md again, with the table the server files give."""
    text = README.read_text(encoding="utf-8")
    README.write_text(updated(text, SERVERS), encoding="utf-8")


if __name__ == "__main__":
    main()
