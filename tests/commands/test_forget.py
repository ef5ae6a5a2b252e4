"""--forget --user finds the user's entries in a map that other filters write, too."""

from __future__ import annotations

from argparse import Namespace

import pytest

from pbs_filter.commands import forget
from pbs_filter.commands.forget import _is_meant
from pbs_filter.commands.stored import Row
from pbs_filter.config.load import build
from pbs_filter.errors import StoreBusy, UsageError
from pbs_filter.map_format.entry import Entry, decode, encode

LONG = "firstname.lastname@department.of.long-names.example.org"
KEYS = ("192.0.2.7", "2001:db8:1111:2222:3333:4444:5555:6666", "2001:db8:1:2:3:4:5:6#16")


def is_meant(wanted: str, key: str, user: str) -> bool:
    value = encode(key, Entry(2, 1, 1, 1, 0, "dovecot", "imap", user))
    entry = decode(key, value)
    assert entry is not None
    return _is_meant(Namespace(forget_user=wanted))(key, entry)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("user", ["bob", LONG, LONG * 2, "\u20ac" * 30, "b\xfc" * 40])
def test_a_user_is_meant_however_long_the_name_and_whatever_the_map_cut_off(key: str, user: str):
    assert is_meant(user, key, user)
    assert is_meant(user.upper(), key, user)
    assert not is_meant("x" + user, key, user)


def test_a_name_that_was_not_cut_means_nobody_else():
    assert not is_meant("bobby", KEYS[0], "bob")
    assert not is_meant("bob", KEYS[0], "bobby")


def test_without_a_user_everybody_is_meant():
    assert _is_meant(Namespace(forget_user=""))("192.0.2.7", Entry(2, 1, 1, 1, 0, "", "", "bob"))


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("bob", ", but these users have addresses: bob@example.com, bob@example.org"),
        ("BOB@x.example", ", but these users have addresses: bob@example.com, bob@example.org"),
        ("alice", ""),
        ("", ""),
    ],
)
def test_a_user_who_is_not_known_under_that_name_alone_is_hinted_at(user, expected, monkeypatch):
    rows = [
        Row("192.0.2.7", Entry(2, 1, 1, 1, 0, "dovecot", "imap", "bob@example.org")),
        Row("192.0.2.8", Entry(2, 1, 1, 1, 0, "dovecot", "imap", "bob@example.com")),
        Row("192.0.2.9", Entry(2, 1, 1, 1, 0, "dovecot", "imap", "bobby@example.com")),
    ]
    monkeypatch.setattr(forget.stored, "rows", lambda *_: iter(rows))
    assert expected == forget._alike(build({}), user)


def test_no_hint_where_the_map_cannot_be_read(monkeypatch):
    def rows(*_: object):
        raise StoreBusy("locked")

    monkeypatch.setattr(forget.stored, "rows", rows)
    assert "" == forget._alike(build({}), "bob")


def test_a_user_in_place_of_an_address_is_told_how():
    options = Namespace(forget="bob", forget_user="", all=False, erase=None)
    with pytest.raises(UsageError, match=r"'bob' is not an address; .* --forget --user bob"):
        forget.run(build({}), options)
