"""A memory keeps, within bounds, what the warnings and `--doctor` tell people. Pure."""

from __future__ import annotations

from typing import NamedTuple

from ..model import Record
from .authorisations import clean

MANY_USERS = 5
"""That many users from one address look like a proxy (or a proxy's backend) to an administrator."""

MAX_SHARED = 1000
"""Addresses whose users are remembered for that warning."""

TEST_PROGRAM = "pbs-filter-doctor"
"""The name under which `--doctor` writes lines of its own, to see whether they come through."""

MAX_TESTS = 8
"""Such lines that are remembered, the newest: anybody can write them."""

MAX_TOKEN = 64
"""Characters of a test line's token."""


class TestLine(NamedTuple):
    """A test line of `--doctor`, as the feed described it. It leads to nothing else."""

    at_epoch: float | None
    """When it was written, by the record; None: the feed cannot say."""
    seen_epoch: int
    uid: int | None
    peer: str


class Noticed:
    """The memory has shared addresses, users and servers that were refused, and test lines."""

    def __init__(self) -> None:
        self.shared: dict[str, set[str]] = {}
        """Users of the addresses that more than one user logged in from."""
        self.crowded: dict[str, set[str]] = {}
        """Those of them that `MANY_USERS` logged in from."""
        self.over_limit: dict[str, int] = {}
        """Users who have `max_addresses_per_user`, and how many further ones were refused."""
        self.cut_unseen: dict[str, str] = {}
        """Servers whose lines were refused with `Reason.CUT_UNSEEN`, and what to do."""
        self.tests: dict[str, TestLine] = {}
        """The newest lines of `--doctor`, by their tokens."""

    def another_user(self, address: str, known: str, user: str) -> None:
        """A login of `user` from `address` is about to be judged by the ledger, where `known` was
        the last one."""
        users = self.shared.get(address)
        if users is None:
            if len(self.shared) >= MAX_SHARED:
                del self.shared[next(iter(self.shared))]
            users = self.shared[address] = {known}
        if len(users) < MANY_USERS:
            users.add(user)
            if len(users) == MANY_USERS and len(self.crowded) < MAX_SHARED:
                self.crowded[address] = users

    def too_many_addresses(self, user: str) -> None:
        """A further address of `user` was refused."""
        if user in self.over_limit or len(self.over_limit) < MAX_SHARED:
            self.over_limit[user] = self.over_limit.get(user, 0) + 1

    def test_line(self, record: Record, now: int) -> None:
        """A line of `--doctor` came through."""
        token = clean(record.message)[:MAX_TOKEN]
        self.tests.pop(token, None)
        if len(self.tests) >= MAX_TESTS:
            del self.tests[next(iter(self.tests))]
        self.tests[token] = TestLine(record.time_epoch, now, record.uid, record.peer)
