"""Filters of one site, with a map in a real Redis, and what lookups answer from it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pbs_filter.errors import StoreBusy
from pbs_filter.lookup import redis_connection, redis_reader
from pbs_filter.lookup.redis_reader import RedisReader

from ..running import Running, wait_for
from ..store.store_tools import memory_directory
from .daemons.redis import KINDS, RedisServer

YES, NO, NOT_NOW = "yes", "no", "not now"
QUESTIONS = 300
"""So many answers in a row show that one of them lasts."""


@pytest.fixture(autouse=True)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which server the test's are; Debian 12's where nothing is said."""
    monkeypatch.setattr(RedisServer, "kind", getattr(request, "param", KINDS["Redis 7"]))


each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys(), indirect=True)


def started(place: Path, name: str, location: str, *options: str, **more: Path) -> Running:
    """A filter called `name`, ready; its files are in a directory of that name."""
    directory = place / name
    directory.mkdir(mode=0o750, exist_ok=True)
    pipeline = Running(directory, *options, location=location, **more)  # type: ignore[arg-type]
    assert b"OK" == pipeline.reply()
    return pipeline


class Asks:
    """Lookups in one server."""

    def __init__(self, server: RedisServer) -> None:
        self.reader = RedisReader([server.url])
        self.trouble = ""

    def __call__(self, address: str) -> str:
        try:
            return NO if self.reader.get(address) is None else YES
        except StoreBusy as error:
            self.trouble = str(error)
            return NOT_NOW

    def until(self, address: str, answer: str) -> set[str]:
        """Ask until `answer` comes; the other answers."""
        others = set()

        def comes() -> bool:
            said = self(address)
            if said != answer:
                others.add(said)
            return said == answer

        wait_for(comes, f"{answer!r} for {address}")
        return others

    def lasting(self, address: str) -> set[str]:
        """The answers to many questions."""
        found = {self(address) for _ in range(QUESTIONS)}
        print(found, self.trouble)
        return found


@contextlib.contextmanager
def asking() -> Iterator[Callable[[RedisServer], Asks]]:
    """Makes lookups whose connections end with this."""
    made: list[Asks] = []
    seconds = redis_connection.ANSWER_SECONDS, redis_reader.TOTAL_SECONDS
    # On a busy machine a server that is well may be slow.
    redis_connection.ANSWER_SECONDS, redis_reader.TOTAL_SECONDS = 5.0, 10.0

    def ask(server: RedisServer) -> Asks:
        made.append(Asks(server))
        return made[-1]

    try:
        yield ask
    finally:
        redis_connection.ANSWER_SECONDS, redis_reader.TOTAL_SECONDS = seconds
    for asks in made:
        for target in asks.reader._places:
            for connected in target._servers.values():
                connected.close()


@pytest.fixture
def place() -> Iterator[Path]:
    # Not in pytest's directory, whose name is too long for a socket; nor where a journal is slow.
    with memory_directory() as directory:
        yield directory
