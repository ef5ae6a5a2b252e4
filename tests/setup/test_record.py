"""The record of --setup --apply: kept as it was made, and compared with files changed since."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pbs_filter.errors import ConfigError
from pbs_filter.setup.record import (
    Owned,
    Piece,
    Record,
    Written,
    added,
    backwards,
    changed_since,
    decoded,
    encoded,
    lines_left,
    new_lines,
    pieces_of,
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
    "text", ["", "[]", "{}", '{"version": 4}', encoded(FIRST).replace('"mode"', '"mood"')]
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
    assert ["b = 3", "c = 4"] == list(lines_left(record, "/a", "x\nb = 3\nc = 4\n", before))
    assert [] == list(lines_left(record, "/a", before, before))


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


@pytest.mark.parametrize("version", [1, 2])
def test_a_record_of_an_older_version_is_read(version: int):
    old = json.loads(encoded(BOTH))
    old["version"] = version
    for item in old["written"]:
        del item["pieces"]
        if version == 1:
            del item["lines"]
    for item in old["owned"] if version == 1 else ():
        del item["device"], item["inode"], item["account"]
    assert BOTH == decoded(json.dumps(old), "x")


# ------------------------------------------------------------------ files that were changed since

MAIN = """\
# Debian's
myhostname = mx1
smtpd_relay_restrictions = permit_mynetworks defer_unauth_destination
mydestination = lab.test
"""
OURS = """\
# Debian's
myhostname = mx1
smtpd_relay_restrictions = permit_mynetworks check_pbs, defer_unauth_destination
mydestination = lab.test

# How long
pbs_time_limit = 3600
"""


def edit(before: str, after: str) -> Written:
    return Written(
        path="/main.cf",
        before="1",
        after="2",
        backup="0-main.cf",
        lines=new_lines(before, after),
        pieces=pieces_of(before, after),
    )


ONE = Record(written=(written("/other", None, "3"), edit(MAIN, OURS)))


def test_pieces_are_kept_with_what_they_took_the_place_of():
    restrictions, end = pieces_of(MAIN, OURS)
    rows = OURS.splitlines()
    assert Piece(old=(MAIN.splitlines()[2],), new=(rows[2],)) == restrictions
    assert Piece(old=(), new=("", "# How long", "pbs_time_limit = 3600")) == end
    assert ONE == decoded(encoded(ONE), "x")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mx1", "mx2"),
        ("# Debian's\n", ""),
        ("mydestination", "smtpd_tls_security_level = may\nmydestination"),
        ("lab.test\n", "lab.test\n\n\n"),
    ],
)
def test_from_a_file_that_was_changed_elsewhere_ours_is_taken_and_the_rest_stays(
    old: str, new: str
):
    assert MAIN.replace(old, new) == taken_out(ONE, "/main.cf", OURS.replace(old, new), MAIN)


def test_what_was_added_at_the_end_stays():
    added_line = "compatibility_level = 3.10\n"
    assert MAIN + added_line == taken_out(ONE, "/main.cf", OURS + added_line, MAIN)


def test_a_changed_comment_of_ours_keeps_nothing_from_being_taken_out():
    assert f"{MAIN}\n# Mine\n" == taken_out(
        ONE, "/main.cf", OURS.replace("# How long", "# Mine"), MAIN
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("check_pbs,", "check_pbs, permit_sasl_authenticated,"),
        ("pbs_time_limit = 3600\n", "pbs_time_limit = 3600\npbs_time_limit = 3600\n"),
    ],
    ids=["the line that names us was changed", "doubled"],
)
def test_what_is_not_certainly_ours_is_left_to_a_person(old: str, new: str):
    changed = OURS.replace(old, new)
    assert changed != OURS
    assert taken_out(ONE, "/main.cf", changed, MAIN) is None


def test_what_named_us_before_is_no_hindrance():
    before = MAIN + "# x\ngroup = pbs-filter\n"
    item = edit(before, before + "user = pbs-filter\n")
    changed = before + "user = pbs-filter\nx = 1\n"
    assert before + "x = 1\n" == taken_out(Record(written=(item,)), "/main.cf", changed, before)


def test_what_a_person_has_taken_out_already_is_no_trouble():
    assert MAIN == taken_out(ONE, "/main.cf", MAIN, MAIN)
    assert "" == taken_out(ONE, "/main.cf", "", MAIN)


def test_two_edits_of_one_file_are_taken_out_the_last_one_first():
    later = OURS.replace("3600", "7200")
    both = added(ONE, Record(written=(edit(OURS, later),)))
    changed = "x = 1\n" + later
    assert "x = 1\n" + MAIN == taken_out(both, "/main.cf", changed, MAIN)


def test_of_an_older_record_nobody_knows_what_was_replaced():
    item = replace(edit(MAIN, OURS), pieces=())
    changed = OURS.replace("mx1", "mx2")
    assert taken_out(Record(written=(item,)), "/main.cf", changed, MAIN) is None
    assert taken_out(Record(written=(replace(item, lines=()),)), "/main.cf", changed, MAIN) is None


def test_a_file_without_a_newline_at_its_end_gets_no_two_lines_joined():
    record = Record(written=(edit("a", "a\nours\n"),))
    assert "a\nb\n" == taken_out(record, "/main.cf", "a\nours\nb\n", MAIN)
