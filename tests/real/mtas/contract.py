"""The tests for every MTA, whatever its way to ask; test classes inherit them."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from pbs_filter.service.lookup_counts import LookupCounts

from ...lookup import maps
from ..daemons.process import wait_for
from . import CLIENT, IPV6_CLIENT, LOCAL, MAP, STRANGER, Mta

ANSWER_SECONDS = 2.0
"""Nobody waits longer for a RCPT, whatever is wrong with the store."""


class Contract:
    """Subclasses say which MTA runs, one for the class, and what it replies."""

    make: type[Mta]
    yes: str = "250 "
    no: str = "5"
    later: str = "4"
    """The beginnings of the replies, as far as they are sure."""
    inbound_goes_on: bool = True
    """Whether mail for us is taken even while the map cannot be read."""
    counted_as: tuple[str, str]
    """The MTA and the protocol under which its questions are counted."""

    @pytest.fixture(scope="class")
    @classmethod
    def mta(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mta]:
        with cls.make(tmp_path_factory.mktemp(cls.make.name)) as mta:
            yield mta

    @pytest.fixture(autouse=True)
    def _fresh_map(self, mta: Mta) -> None:
        mta.clear()

    # ------------------------------------------------------------------ in order

    def test_the_relay_is_closed_before_a_login_and_open_after(self, mta: Mta) -> None:
        self.closed_then_open(mta, CLIENT)

    def test_the_same_for_ipv6(self, mta: Mta) -> None:
        self.closed_then_open(mta, IPV6_CLIENT)

    def closed_then_open(self, mta: Mta, client: str) -> None:
        assert mta.rcpt(client).startswith(self.no)
        mta.allow(client)
        assert mta.rcpt(client).startswith(self.yes)
        assert mta.rcpt(STRANGER).startswith(self.no)

    def test_an_authorisation_that_has_ended_is_none_although_nobody_swept(self, mta: Mta) -> None:
        mta.allow(CLIENT, maps.EXPIRED)
        assert mta.rcpt(CLIENT).startswith(self.no)

    def test_it_ends_with_the_clock(self, mta: Mta) -> None:
        mta.allow(CLIENT, 3)
        assert mta.rcpt(CLIENT).startswith(self.yes)
        before = mta.map.read_bytes()
        wait_for(lambda: mta.rcpt(CLIENT).startswith(self.no), "the end of 3 s", 5)
        assert before == mta.map.read_bytes()

    def test_an_open_session_holds_it(self, mta: Mta) -> None:
        mta.allow(CLIENT, sessions=2)
        assert mta.rcpt(CLIENT).startswith(self.yes)

    def test_mail_for_us_needs_no_authorisation(self, mta: Mta) -> None:
        assert mta.rcpt(STRANGER, LOCAL).startswith(self.yes)

    def test_the_filter_hears_which_mta_let_which_address_in(self, mta: Mta) -> None:
        with closing(LookupCounts(str(mta.root.alias / MAP.lstrip("/")))) as counts:
            os.chown(f"{mta.map}.lookups", -1, mta.map_group)
            mta.allow(CLIENT)
            used: dict[str, int] = {}

            def heard() -> bool:
                assert mta.rcpt(CLIENT).startswith(self.yes)
                assert mta.rcpt(STRANGER).startswith(self.no)
                used.update(counts.take())
                asker, protocol = self.counted_as
                numbers = counts.by_mta.get(asker, {}).get(protocol, {"yes": 0, "no": 0})
                return numbers["yes"] > 0 < numbers["no"]

            wait_for(heard, f"{self.counted_as}: {counts.by_mta}", 20)
            assert [self.counted_as[0]] == list(counts.by_mta)
            assert CLIENT in used
            assert STRANGER not in used

    # ------------------------------------------------------------------ out of order

    def assert_not_now(self, mta: Mta, *, seconds: float = ANSWER_SECONDS) -> None:
        """In the trouble that the test has made: never yes, not a lasting no, and in time."""
        for source in (CLIENT, STRANGER):
            began = time.monotonic()
            reply = mta.rcpt(source)
            assert re.match(self.later, reply), reply
            assert time.monotonic() - began < seconds
        if self.inbound_goes_on:
            began = time.monotonic()
            assert mta.rcpt(STRANGER, LOCAL).startswith(self.yes)
            assert time.monotonic() - began < ANSWER_SECONDS

    def test_a_damaged_map_is_not_now(self, mta: Mta) -> None:
        mta.allow(CLIENT)
        maps.lose_a_bucket(mta.map)
        self.assert_not_now(mta)
        mta.clear()
        mta.allow(CLIENT)
        assert mta.rcpt(CLIENT).startswith(self.yes)

    def test_a_map_that_is_not_there_is_not_now(self, mta: Mta) -> None:
        mta.map.unlink()
        self.assert_not_now(mta)

    def test_a_map_that_may_not_be_read_is_not_now(self, mta: Mta) -> None:
        mta.allow(CLIENT)
        mta.map.chmod(0)
        self.assert_not_now(mta)

    def test_a_map_that_is_locked_for_seconds_is_not_now_and_then_yes(self, mta: Mta) -> None:
        mta.allow(CLIENT)
        with mta.locked():
            self.assert_not_now(mta)
        assert mta.rcpt(CLIENT).startswith(self.yes)


def logged(mta: Mta, text: str) -> None:
    """Wait until the log has `text`; the READMEs promise it."""
    wait_for(lambda: any(text in line for line in mta.log()), f"{text!r} in the log", 10)
