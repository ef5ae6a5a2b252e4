"""The short form of the sizing figures: they are there, and not less than they can be."""

from __future__ import annotations

import os

import pytest

from . import sizing

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 and not os.environ.get("CI"), reason="needs root, to install or unpack"
)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in (("ADDRESSES", 1000), ("LOOKUPS", 100), ("LOGINS", 200), ("SINGLE", 5)):
        monkeypatch.setattr(sizing, name, number)


def test_what_an_address_costs_in_redis_is_more_than_its_text() -> None:
    figures = dict(sizing.redis())
    key_and_value = len("pbs:198.18.0.1") + 146
    assert figures["Redis: bytes of memory an address, pop1"] > key_and_value
    assert figures["Redis: bytes to it for a login, pop1"] > key_and_value
    assert figures["Redis: bytes to a replica for a login, pop1"] > key_and_value
    # Two values, each with its length.
    assert figures["Redis: bytes from it for a lookup"] > 2 * 146


def test_what_a_login_costs_on_the_wire_is_more_than_its_message() -> None:
    figures = dict(sizing.relp())
    message = figures["bytes of such a login's message"]
    assert figures["RELP: bytes from the POP host for a login, under load"] > message
    assert figures["RELP: bytes from it, one login at a time"] > message
