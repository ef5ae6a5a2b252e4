"""The events keep what happened to authorisations and sessions until the log takes it. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

MAX_WAITING = 500
"""The log takes them once a second: a flood is counted, not written."""


class Event(NamedTuple):
    """One thing that happened."""

    name: str
    """authorised, ended, session, session-ended, refused, forgotten, or (debugging) decided."""
    address: str = ""
    user: str = ""
    server: str = ""
    until: int = 0
    """The end, seconds since the epoch; 0: none is told."""
    detail: str = ""
    """The reason of a refusal, and the network, user or group that decided."""
    uid: int | None = None
    """Who asked for it, by the kernel; None: a line of the log led to it."""

    def fields(self) -> dict[str, Any]:
        """Return the fields that are told of the event, by name."""
        values = self._asdict()
        uid = values.pop("uid")
        told = {key: value for key, value in values.items() if value and key != "name"}
        return told if uid is None else told | {"uid": uid}


class Events:
    """The events that wait for the log; more than `MAX_WAITING` are counted only."""

    __slots__ = ("_waiting", "debugging", "lost")

    def __init__(self) -> None:
        self._waiting: list[Event] = []
        self.lost = 0
        self.debugging = False
        """Whether every decision is wanted."""

    def add(
        self,
        name: str,
        address: str = "",
        user: str = "",
        server: str = "",
        until: int = 0,
        detail: str = "",
        uid: int | None = None,
    ) -> None:
        """Keep what happened for the log. The arguments are the fields of `Event`."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(Event(name, address, user, server, until, detail, uid))
        else:
            self.lost += 1

    def take(self) -> tuple[list[tuple[str, dict[str, Any]]], int]:
        """Take the events that wait, by name; return them and how many found no room."""
        taken = [(event.name, event.fields()) for event in self._waiting], self.lost
        self._waiting, self.lost = [], 0
        return taken
