"""The record of --setup --apply: kept as it was made, and what it says of files changed since."""

from __future__ import annotations

import json

import pytest

from pbs_filter.errors import ConfigError
from pbs_filter.setup.record import (
    Owned,
    Record,
    Written,
    added,
    backwards,
    changed_since,
    decoded,
    encoded,
    lines_left,
    new_lines,
)


def written(path: str, before: str | None, after: str) -> Written:
    return Written(path=path, before=before, after=after, backup="" if before is None else "0-x")


FIRST = Record(
    written=(written("/a", "1", "2"), written("/b", None, "5")),
    then=("reload",),
    group="pbs-filter",
    accounts=("pbs-filter",),
)
SECOND = Record(
    written=(written("/a", "2", "3"),),
    then=("reload", "restart"),
    directories=("/d",),
    owned=(Owned(path="/o", mode=0o640, uid=1, gid=2),),
)
BOTH = added(FIRST, SECOND)


def test_a_record_is_read_as_it_was_written():
    assert BOTH == decoded(encoded(BOTH), "x")
    assert ("reload", "restart") == BOTH.then
    assert "pbs-filter" == BOTH.group


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 3}', encoded(FIRST).replace('"mode"', '"mood"')]
)
def test_what_is_no_record_is_refused(text: str):
    with pytest.raises(ConfigError, match="'/x' is not a record of --setup --apply"):
        decoded(text, "/x")


@pytest.mark.parametrize(
    ("now", "changed"),
    [
        ({"/a": "3", "/b": "5"}, []),
        ({"/a": "3", "/b": None}, []),
        ({"/a": "2", "/b": "5"}, []),
        ({"/a": "9", "/b": "5"}, ["/a"]),
        ({"/a": None, "/b": "7"}, ["/a", "/b"]),
    ],
    ids=["as written", "not yet written", "one step back", "edited", "removed and edited"],
)
def test_files_that_somebody_changed_since_are_known(now: dict[str, str | None], changed: list):
    assert changed == changed_since(BOTH, now)


def test_an_edit_between_two_runs_is_known():
    between = added(FIRST, Record(written=(written("/a", "edited", "3"),)))
    assert ["/a"] == changed_since(between, {"/a": "3", "/b": "5"})


def test_each_file_goes_back_to_its_first_state_the_last_one_first():
    assert [FIRST.written[1], FIRST.written[0]] == backwards(BOTH.written)


def test_the_lines_of_ours_that_are_still_in_a_file_are_known():
    before, after = "a = 1\nb = 2\n", "a = 1\nb = 3\n\n# ours\nc = 4\n"
    assert ("b = 3", "c = 4") == new_lines(before, after)
    item = Written(path="/a", before="1", after="2", backup="0-a", lines=new_lines(before, after))
    record = Record(written=(written("/b", "1", "2"), item))
    assert ["b = 3", "c = 4"] == list(lines_left(record, "/a", "x\nb = 3\nc = 4\n"))
    assert [] == list(lines_left(record, "/a", before))


def test_the_units_that_were_to_be_enabled_are_known():
    then = ("systemctl daemon-reload", "systemctl enable --now a.socket", "postfix reload")
    assert ("a.socket",) == Record(then=then).units


def test_what_lets_the_daemons_read_it_again_starts_no_unit_that_undo_has_stopped():
    then = (
        "systemctl enable --now a-journal.service",
        "systemctl restart a-journal",
        "postfix reload",
    )
    assert ("postfix reload",) == Record(then=then).then_without_units


def test_a_record_of_version_1_is_read():
    old = json.loads(encoded(BOTH))
    old["version"] = 1
    for item in old["written"]:
        del item["lines"]
    for item in old["owned"]:
        del item["device"], item["inode"], item["account"]
    assert BOTH == decoded(json.dumps(old), "x")
