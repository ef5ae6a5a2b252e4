"""The record of --setup --apply: kept as it was made, and what it says of files changed since."""

from __future__ import annotations

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
    taken_out,
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
    "text", ["", "[]", "{}", '{"version": 2}', encoded(FIRST).replace('"mode"', '"mood"')]
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


BEFORE = "a = 1\nb = 2\nend\n"
AFTER = "a = 1\nb = 3\nend\n\n# ours\nc = 4\n"


@pytest.mark.parametrize(
    ("now", "left"),
    [
        (AFTER, BEFORE),
        ("new\n" + AFTER + "newer\n", "new\n" + BEFORE + "newer\n"),
        (AFTER.replace("a = 1", "a = 9"), BEFORE.replace("a = 1", "a = 9")),
        (AFTER.replace("b = 3\n", ""), None),
        (AFTER.replace("c = 4", "c = 5"), None),
        (AFTER + "b = 3\n", BEFORE + "b = 3\n"),
        ("b = 3\nb = 3\n\n# ours\nc = 4\n", None),
        ("", None),
    ],
)
def test_an_edit_is_taken_out_where_it_stands_as_it_was_written(now: str, left: str | None):
    assert left == taken_out(BEFORE, AFTER, now)


@pytest.mark.parametrize(
    ("now", "left"), [("new\na\nc\n", "new\na\nb\nc\n"), ("a\nnew\nc\n", None)]
)
def test_what_we_removed_is_put_back_between_the_same_lines(now: str, left: str | None):
    assert left == taken_out("a\nb\nc\n", "a\nc\n", now)
