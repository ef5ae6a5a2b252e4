"""The schedule says when the persister does what: the decisions about lag, rest, retry and slices.
Pure.

All times are seconds of one clock that nobody sets, and are told.
"""

from __future__ import annotations

from typing import Literal

MAP_LAG_SECONDS = 0.005
"""Under load the map may be this far behind the journal."""
QUIET_SECONDS = 0.0005
"""No line for this long is a pause: time to write the map. rsyslog sends the next line within 0.05
ms of an acknowledgement."""
MAP_SHARE = 5
"""While lines keep coming, at most one part in so many of the time goes into writing the map: a
busy disk makes a write take ten times as long."""
MAP_REST_SECONDS = 0.25
"""The longest that the map is left alone for that."""
SLICE_SECONDS = 0.001
"""Between two slices of a new journal or map."""
STAMP_SECONDS = 60
RETRY_SECONDS = 1.0

Step = Literal["rebuild", "retry", "write map", "rewrite"]


class Schedule:
    """Says what is due.

    Args:
        patient: the syslog daemon waits for each acknowledgement.
    """

    def __init__(self, *, patient: bool) -> None:
        self.patient = patient
        self.in_trouble = False
        self.rewriting = False
        """A new journal is being written."""
        self.rebuilding = False
        """A new map is being written."""
        self.given_up = False
        """A new map is needed."""
        self.dirty_since: float | None = None
        """When the map began to lack something."""
        self._rest_until = 0.0
        self._retry_at = 0.0
        self._rebuild_at = 0.0
        self._stamp: tuple[float, float] | None = None

    # ------------------------------------------------------------------ what happened

    def map_is_dirty(self, now: float) -> bool:
        """The map lacks something; whether that is news."""
        if self.dirty_since is not None:
            return False
        self.dirty_since = now
        return True

    def map_was_written(self, began: float, now: float, *, more: bool) -> None:
        """A batch went into the map; there is `more` of it."""
        self._rest_until = now + min((MAP_SHARE - 1) * (now - began), MAP_REST_SECONDS)
        self.dirty_since = now if more else None

    def failed(self, now: float) -> None:
        """The store is in trouble."""
        self.in_trouble = True
        self._retry_at = now + RETRY_SECONDS

    def rebuild_failed(self, now: float) -> None:
        """A new map could not be written."""
        self._rebuild_at = now + RETRY_SECONDS

    def must_stamp(self, offset: float, now: float) -> bool:
        """Return whether the journal needs the clock's stamp in front of what is told by it."""
        told, at = self._stamp or (None, 0.0)
        if told == offset and now - at < STAMP_SECONDS:
            return False
        self._stamp = offset, now
        return True

    def forget_stamp(self) -> None:
        """The journal has not taken it."""
        self._stamp = None

    # ------------------------------------------------------------------ what is due

    def may_try(self, now: float) -> bool:
        """Return whether a store in trouble is tried at a block of input: a daemon that waits for
        us asks seldom enough, another must not wait at each block."""
        return not self.in_trouble or self.patient or now >= self._retry_at

    def steps(self, now: float, *, quiet: bool) -> list[Step]:
        """Return the steps that are due now, in this order. `quiet`: no line is waiting."""
        due: list[Step] = []
        if (self.rebuilding or self.given_up) and now >= self._rebuild_at:
            due.append("rebuild")
        if self.in_trouble:
            return [*due, "retry"] if now >= self._retry_at else due
        since = self.dirty_since
        if since is not None and now >= self._rest_until:
            late = now - since >= MAP_LAG_SECONDS
            due += ["write map"] if quiet or late else []
        if self.rewriting:
            due.append("rewrite")
        return due

    def wait_seconds(self, now: float) -> float | None:
        """Return how soon `steps` should be asked although nothing happens; None: no matter."""
        if self.rewriting or self.rebuilding:
            return SLICE_SECONDS
        if self.dirty_since is not None and not self.in_trouble:
            return max(QUIET_SECONDS, self._rest_until - now)
        return None
