"""Lines count of root, and of the accounts that the configuration names."""

from __future__ import annotations

import pwd
from types import SimpleNamespace

import pytest

from pbs_filter.config.load import build
from pbs_filter.service.build import servers_of, trusted_uids

UIDS = {"cyrus": 101, "nginx": 102, "www-data": 33, "nobody": 65534, "daemon": 1, "courier": 103}


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr(pwd, "getpwnam", lambda name: SimpleNamespace(pw_uid=UIDS[name]))


def uids(text: str) -> dict[str, frozenset[int]]:
    config = build({"test.toml": text})
    return trusted_uids(config, servers_of(config))


def test_without_names_only_roots_word_counts():
    assert set() == set().union(*uids("").values())


def test_a_server_that_is_named_speaks_by_its_own_accounts_but_no_shared_one():
    found = uids('servers = ["cyrus", "nginx", "imapproxy", "courier"]')
    assert (frozenset({101}), frozenset({102}), frozenset(), frozenset({103})) == (
        found["cyrus"], found["nginx"], found["imapproxy"], found["courier"],
    )  # fmt: skip


def test_a_shared_account_speaks_where_the_operator_says_so():
    found = uids('trusted_accounts = {nginx = ["www-data"], imapproxy = [65534]}')
    assert (frozenset({33}), frozenset({65534})) == (found["nginx"], found["imapproxy"])
