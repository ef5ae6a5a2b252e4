"""The message for a request that the filter could not do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pbs_filter.commands.request import request
from pbs_filter.config.options import Config
from pbs_filter.errors import EX_TEMPFAIL, PbsFilterError
from pbs_filter.service import control

from ..running import Running, login


@pytest.mark.parametrize(
    ("answer", "exit_status"),
    [
        ({"error": "the journal is full", "busy": True}, EX_TEMPFAIL),
        ({"error": "unknown request 'x'"}, 2),
    ],
)
def test_what_may_be_done_later_has_a_status_of_its_own(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], exit_status: int
) -> None:
    monkeypatch.setattr(control, "ask", lambda *_: answer)
    with pytest.raises(PbsFilterError, match=answer["error"]) as caught:
        request(Config(), {"do": "forget", "address": "192.0.2.7"})
    assert exit_status == caught.value.exit_status


@pytest.mark.parametrize("do", ["--authorise", "--forget"])
def test_who_asks_at_another_map_than_the_filters_is_told(tmp_path: Path, do: str) -> None:
    with Running(tmp_path) as filter_:
        filter_.ask(login("192.0.2.7"))
        told = filter_.mode(do, "192.0.2.7")
        assert (0, b"") == (told.returncode, told.stderr)
        other = filter_.mode("--dbfile", str(tmp_path / "other"), do, "192.0.2.7")
        assert f"no filter runs on '{tmp_path}/other'".encode() in other.stderr
