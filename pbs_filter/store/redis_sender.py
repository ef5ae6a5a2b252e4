"""The sender is the thread that empties a `redis_queue` into Redis.

* **The whole state is sent again** to a server that may lack some of it: one that never had it, one
  that was restarted, and a replica that became the master (replication is asynchronous). All of
  these have another replication id.
* **A mark** (`redis_membership`) with the replication id is set when the server has everything, and
  each second when all earlier changes were sent. It lets lookups answer "no" for an address that
  is not there. After the whole state, fields of our name that are not in it are removed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import islice

from ..errors import PbsFilterError
from ..map_format.redis_fields import sealed
from ..map_format.redis_url import Location
from ..text import counted
from .redis_client import Link, Refused
from .redis_commands import BATCH
from .redis_membership import Membership, Predecessor
from .redis_nodes import KnownNodes, Nodes
from .redis_queue import SendQueue
from .redis_sweep import Sweep

RETRY_SECONDS = 1.0
RENEW_SECONDS = 1.0
"""The mark is renewed, and the server's identity asked for, this often."""
PREDECESSOR_SECONDS = 0.2
SAY_SECONDS = 60.0


class Sender:
    """The sending thread of a map.

    Args:
        queue: the changes to send.
        location: of the map.
        name: of this filter.
        say: logs a sentence for the operator; called by the thread.
        ends: returns the end of a value, seconds since the epoch.
        longest_seconds: the longest time for which one login authorises an address.
        known: the file with the nodes of a cluster; None: no cluster.
    """

    def __init__(
        self,
        queue: SendQueue,
        location: Location,
        name: str,
        *,
        say: Callable[[str], None],
        ends: Callable[[bytes], int],
        longest_seconds: int,
        known: KnownNodes | None = None,
    ) -> None:
        self._queue = queue
        self._location = location
        self._name = name
        self._say = say
        self._ends = ends
        self._thread: threading.Thread | None = None
        # The thread's own:
        self._known = known
        self._nodes: Nodes = known.nodes if known is not None else ()
        self._sweep = Sweep(queue, name, say)
        self._membership = Membership(queue, name, longest_seconds)
        self._renew_at = 0.0
        self._sign_ms = 0
        """The time (server's clock) of the next mark; 0: none is to be set."""
        self._sign_ahead = 0
        """Number of changes to send before that mark."""
        self._whole_ms = 0
        """The time (server's clock) of the mark behind a whole state."""
        self._refused = ""
        """Name of the job that the server refused last; "": it accepts commands."""
        self._said: dict[str, float] = {}
        """Key of a message -> when (monotonic) it was logged."""
        self._not_said: dict[str, int] = {}
        """Key of a message -> how often it was left out since."""

    def wake(self) -> None:
        """Wake the thread for new changes; the first call starts it."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="pbs-filter redis", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # no more threads for this account: the next call tries
                self._note(f"the map {self._location.text!r} cannot be written: {error}")
                return
            self._thread = thread
        self._queue.changed.notify_all()

    @property
    def has_started(self) -> bool:
        """Whether the thread was started: there was something to send."""
        return self._thread is not None

    def close(self) -> None:
        """End the thread."""
        with self._queue.changed:
            self._queue.closing = True
            self._queue.changed.notify_all()
        if self._thread is not None:
            # A thread that waits for a hung server is left to itself: it holds no lock, no file.
            self._thread.join(0 if self._queue.trouble else 1)

    def _run(self) -> None:
        while not self._queue.closing:
            link = job = None
            try:
                link = Link(self._location, f"pbs-filter-{self._name}", self._nodes)
                self._connected(link)
                while (job := self._next()) is not None:
                    job(link)
                    self._done(job.__name__)
                if self._queue.synced:
                    self._membership.leave(link)
            except Predecessor:
                self._rest(PREDECESSOR_SECONDS)
            except Exception as error:  # whatever redis-py does: the state is ours, begin again
                # Only our own text: a library's may hold a password.
                ours = isinstance(error, PbsFilterError)
                if job is not None and isinstance(error, Refused):
                    self._refused = job.__name__
                self._lost(str(error) if ours else f"redis-py failed with {type(error).__name__}")
            finally:
                if link is not None:
                    link.close()

    def _connected(self, link: Link) -> None:
        self._note_nodes(link)
        self._sweep.restart()
        self._renew_at = time.monotonic() + RENEW_SECONDS
        if link.warning:
            self._once("warning", link.warning)
        self._sign_ms = 0
        server = self._membership.look(link)
        with self._queue.changed:
            self._queue.trouble = ""
        self._see(server)
        if not self._refused:
            self._is_there_again()

    def _note_nodes(self, link: Link) -> None:
        self._nodes = link.nodes or self._nodes
        if self._known is not None:
            self._known.learn(link.nodes)

    def _is_there_again(self) -> None:
        self._refused = ""
        with self._queue.changed:
            self._queue.refused, self._queue.away_since = "", None
            waiting = len(self._queue.fresh)
        self._not_said.pop("away", None)
        if self._said.pop("away", None) is not None:
            self._say(
                f"the map {self._location.text!r} is there again; waiting: "
                f"{counted(waiting, 'change')}"
            )

    def _done(self, job: str) -> None:
        """Note that the server executed `job`. If it had refused that job, it is in order again;
        other jobs prove nothing, as a server that refuses writes can still be read."""
        if job == self._refused:
            self._is_there_again()

    def _see(self, server: str) -> None:
        """Note that the connected server has these ids; give up what belongs to another one."""
        with self._queue.changed:
            if self._queue.synced and self._queue.synced != server:
                same = self._queue.synced.rpartition(" ")[0] == server.rpartition(" ")[0]
                what = "was emptied" if same else "is on another server, or was restarted"
                self._say(f"the map {self._location.text!r} {what}: all of the state is sent again")
                self._queue.synced = ""
            self._queue.server = server
            whole = self._queue.whole
            if whole is not None and whole.server != server:
                if whole.server:
                    self._queue.void()
                else:
                    whole.server = server

    def _lost(self, why: str) -> None:
        self._note(why)
        self._rest(RETRY_SECONDS)

    def _rest(self, seconds: float) -> None:
        with self._queue.changed:
            self._queue.changed.wait_for(lambda: self._queue.closing, seconds)

    def _note(self, why: str) -> None:
        """Note that Redis is away for the reason `why`, and log it."""
        with self._queue.changed:
            self._queue.trouble = why
            if self._refused:
                self._queue.refused = why
            self._queue.server = ""
            if self._queue.away_since is None:
                self._queue.away_since = int(time.time())
            self._queue.bound()
            self._queue.changed.notify_all()
        self._once(
            "away", f"{why}; logins are kept and sent later, lookups elsewhere do not see them"
        )

    def _once(self, key: str, text: str) -> None:
        """Log `text`, or count it if a message with this key was logged within SAY_SECONDS."""
        now = time.monotonic()
        if now - self._said.get(key, -SAY_SECONDS) < SAY_SECONDS:
            self._not_said[key] = self._not_said.get(key, 0) + 1
            return
        self._said[key] = now
        count = self._not_said.pop(key, 0)
        self._say(f"{text} ({counted(count, 'more time')} since that was said)" if count else text)

    def _next(self) -> Callable[[Link], None] | None:
        """Wait for the next job and return it; None: the thread is to end."""
        with self._queue.changed:
            while not self._queue.closing:
                now = time.monotonic()
                whole = self._queue.whole
                if whole is not None and not whole.claimed:
                    return self._claim
                if now >= self._renew_at:
                    return self._renew
                if self._membership.must_gossip or self._queue.has_news:
                    return self._gossip
                if self._sign_ms and self._sign_ahead <= 0:
                    return self._sign
                if whole is not None and whole.complete and not self._queue.again:
                    # Only the changes of now are waited for: new ones may come without end.
                    if whole.ahead is None:
                        whole.ahead = len(self._queue.fresh)
                        self._whole_ms = self._membership.millis
                    if whole.ahead <= 0:
                        return self._finish
                if self._queue.fresh or self._queue.again:
                    return self._send
                if whole is None and self._queue.known is not None:
                    return self._sweep.step
                self._queue.changed.wait(self._renew_at - now)
            return None

    def _claim(self, link: Link) -> None:
        if self._membership.claim(link):
            self._sweep.spare()
        with self._queue.changed:
            if self._queue.whole is not None:
                self._queue.whole.server = self._queue.whole.server or self._queue.server
                self._queue.whole.claimed = True

    def _send(self, link: Link) -> None:
        with self._queue.changed:
            fresh = {a: self._queue.fresh.pop(a) for a in list(islice(self._queue.fresh, BATCH))}
            again: dict[str, bytes | None] = {}
            while self._queue.again and len(fresh) + len(again) < BATCH:
                # The newest: finding the first key of a dict that lost many is slow.
                address, value = self._queue.again.popitem()
                again[address] = value
            self._queue.sending = len(fresh) + len(again)
            whole = self._queue.whole
            if whole is not None and whole.ahead is not None:
                whole.ahead -= len(fresh)
            self._sign_ahead -= len(fresh)
            some = (*again.items(), *fresh.items())
            heard = {address: self._queue.revoked_at(address) for address, _ in some}
        now = time.time()
        values: dict[str, tuple[bytes, int] | None] = {}
        for address, value in some:
            end = 0 if value is None else self._ends(value)
            # A value that has ended must not let the key expire under other filters' fields.
            values[address] = None
            if value is not None and end > now:
                values[address] = sealed(address.encode("ascii"), value, heard[address]), end
            self._membership.lives_until(end)
        try:
            wrong = link.write(self._name, values)
        except BaseException:
            with self._queue.changed:
                self._queue.fresh = {**fresh, **self._queue.fresh}
                if whole is not None and whole is self._queue.whole:  # else it was dropped
                    whole.ahead = None
                    for address, value in again.items():
                        if address not in self._queue.fresh:
                            self._queue.again.setdefault(address, value)
            raise
        finally:
            with self._queue.changed:
                self._queue.sending = 0
                self._queue.changed.notify_all()
        if wrong:
            self._once(
                "wrong",
                f"the map {self._location.text!r}: the key of {wrong[0]} is not a hash, so it was "
                "not made by a filter; remove it, or choose another prefix",
            )

    def _finish(self, link: Link) -> None:
        """Set the mark that tells lookups that the server has everything."""
        whole = self._queue.whole
        server = self._membership.look(link)
        self._see(server)
        if self._queue.whole is not whole:
            return  # it went to another server
        self._membership.sign(link, self._whole_ms)
        with self._queue.changed:
            if self._queue.whole is not whole:
                return  # another one has been begun
            self._queue.whole = None
            self._queue.synced = server
            self._sweep.restart()
            self._queue.changed.notify_all()

    def _renew(self, link: Link) -> None:
        """Read identity and marks of the server; plan our next mark behind the changes of now."""
        self._renew_at = time.monotonic() + RENEW_SECONDS
        self._note_nodes(link)
        self._see(self._membership.look(link))
        with self._queue.changed:
            if self._queue.synced != self._queue.server:
                return
            if not self._membership.is_marked:
                self._say(
                    f"the map {self._location.text!r} was emptied: all of the state is sent again"
                )
                self._queue.void()
                return
            self._sign_ms = self._membership.millis
            self._sign_ahead = len(self._queue.fresh)

    def _sign(self, link: Link) -> None:
        millis, self._sign_ms = self._sign_ms, 0
        if self._queue.synced == self._queue.server:
            self._membership.sign(link, millis)

    def _gossip(self, link: Link) -> None:
        self._membership.gossip(link, self._queue.server)
