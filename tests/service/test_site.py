"""What other filters revoked ends here, too, whatever the clocks show."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pbs_filter.map_format.redis_site import FORGOTTEN, MEMBER
from pbs_filter.service import site

from ..pipelines import NOW, new

HERE = "192.0.2.7"


@pytest.mark.parametrize(
    ("at", "server", "stays"),
    [
        (NOW - 1, NOW, True),
        (NOW, NOW, False),
        (NOW - 3, NOW - 3, True),  # clocks that agree
        (NOW - 86401, NOW - 86400, True),  # ours is a day ahead: the login was a second later
        (NOW - 86400, NOW - 86400, False),
        (NOW + 300, NOW + 301, True),
        (NOW + 306, NOW + 306, False),
    ],
)
def test_a_login_that_was_revoked_elsewhere_is_forgotten(at: int, server: int, stays: bool) -> None:
    state = new().state
    state.ledger.authorise(HERE, 60, "", NOW)
    told: list[Any] = []
    words = {FORGOTTEN + HERE: (at, NOW + 99999), MEMBER + HERE: (NOW * 1000, NOW + 99999)}
    shared: Any = SimpleNamespace(
        instance="abc", heard=lambda: (server, words), tell=lambda news: told.append(news)
    )

    def commit() -> bool:
        state.journaled()
        return True

    site.exchange(state, shared, commit, NOW)
    assert stays == (HERE in state.ledger.authorisations)
    assert "abc" == state.site.instance
    assert [words] == told
    site.exchange(state, SimpleNamespace(instance="abc", heard=lambda: (0, {})), lambda: False, NOW)  # type: ignore[arg-type]
