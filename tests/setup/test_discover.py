"""What --setup finds on a machine beside its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pbs_filter.config.load import build
from pbs_filter.monitor.usage import FORMAT
from pbs_filter.setup import discover


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (
            {"dovecot", "uw"},
            json.dumps(
                {
                    "format": FORMAT,
                    "since": 1,
                    "devices": [
                        [f"192.0.2.{number}", "bob", server, "imap", 1, 1, {}]
                        for number, server in enumerate(("dovecot", "uw", "gone", "manual", "uw"))
                    ],
                    "used": {},
                    "days": {},
                }
            ),
        ),
        (set(), "nonsense"),
        (set(), None),
    ],
)
def test_servers_that_had_logins_are_those_of_the_report(
    expected: set[str], text: str | None, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "map.usage").write_text(text)
    assert expected == discover.servers_counted(build({}, {"map": f"{tmp_path}/map"}))
