"""What other filters revoked ends here, too, whatever the clocks show."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from pbs_filter.authorisation.state import State
from pbs_filter.map_format.redis_site import FORGOTTEN, MEMBER
from pbs_filter.service import site

from ..pipelines import NOW, new

HERE = "192.0.2.7"


class Told(NamedTuple):
    """What a map was told."""

    words: dict[str, Any]
    values: dict[str, bytes | None]


def exchanged(
    state: State, words: dict[str, Any], server: int, offset: int = 0, ours: int = 0
) -> Told | None:
    """Let the site exchange words; `offset` is that of Redis's clock, `ours` of our own."""
    told: list[Told] = []
    shared: Any = SimpleNamespace(
        instance="abc",
        heard=lambda: (server, offset, words),
        tell=lambda *more: told.append(Told(*more)),
    )
    clock: Any = SimpleNamespace(now=lambda: NOW, offset=ours)

    def commit() -> bool:
        state.journaled()
        return server > 0

    site.exchange(state, shared, commit, clock)
    return told[0] if told else None


@pytest.mark.parametrize(
    ("at", "server", "stays"),
    [
        (NOW - 1, NOW, True),
        (NOW, NOW, False),
        (NOW - 3, NOW, True),
        (NOW - 86401, NOW - 86400, True),  # ours is a day ahead: the login was a second later
        (NOW - 86400, NOW - 86400, False),
        (NOW + 2, NOW + 3, True),  # ours is behind
        (NOW + 300, NOW + 301, True),
        (NOW + 306, NOW + 306, False),
    ],
)
def test_a_login_that_was_revoked_elsewhere_is_forgotten(at: int, server: int, stays: bool) -> None:
    state = new().state
    state.ledger.authorise(HERE, 60, "", NOW)
    words = {FORGOTTEN + HERE: (at, NOW + 99999), MEMBER + HERE: (NOW * 1000, NOW + 99999)}
    told = exchanged(state, words, server, server - NOW)
    assert stays == (HERE in state.ledger.authorisations)
    assert NOW - server == state.site.ahead
    assert "abc" == state.site.instance
    assert told is not None
    assert words == told.words
    assert {HERE} == told.values.keys()
    assert stays == (told.values[HERE] is not None), "what is left is written again"
    assert exchanged(state, {}, 0) is None


def test_a_login_counts_that_came_when_the_revocation_was_known_whatever_clocks_show() -> None:
    state = new().state
    words = {FORGOTTEN + HERE: (NOW + 500, NOW + 99999)}
    exchanged(state, words, NOW)
    state.ledger.authorise(HERE, 60, "", NOW)
    exchanged(state, words, NOW)
    assert HERE in state.ledger.authorisations
