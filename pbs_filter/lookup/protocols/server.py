"""Many conversations at once, on unix sockets and loopback TCP: for Exim, sendmail, and for speed.

One loop, one process, no thread: a question takes 30 µs, so the loop is never away for long. Three
things could keep a peer waiting, and each has its limit:

* a writer holds the map: the question waits aside (`_waiting`) and is tried again, all together, so
  that 200 connections wait 0.2 s in sum and not in turn;
* a peer that sends half a request, or does not take its replies, has REQUEST_SECONDS;
* a crowd: above `max_connections` the one that was idle for longest must go. Postfix connects again
  without anybody noticing; to be left in the listen queue would cost it 100 seconds.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque

from ...errors import ProtocolError, StoreLocked
from ...map_format.gdbm_reader import PATIENCE_SECONDS
from ...text import counted
from ..answer import NOT_NOW
from . import policy, socketmap, sockets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ...log import LookupLog
    from ..answer import Lookup

    Conversation = socketmap.Conversation | policy.Conversation

CONVERSATIONS: dict[str, Callable[[], Conversation]] = {
    "socketmap": socketmap.Conversation,
    "policy": policy.Conversation,
    "trace-header": lambda: policy.Conversation("header"),
    "trace-log": lambda: policy.Conversation("log"),
}

IDLE_SECONDS = 300
"""A connection without a question. Postfix's own limit on it is lower."""
REQUEST_SECONDS = 10
"""From a request's first byte to its last, or without a byte of our replies being taken."""
STOP_SECONDS = 2.0
"""How long a stop waits for replies to be taken."""
RETRY_SECONDS = 0.002
"""Between two attempts at a locked map."""
MAX_CONNECTIONS = 1000
TURN = 16
"""Questions answered for one connection before the others have their turn."""
MAX_OUTBOX = 16384
"""Bytes of replies not taken, above which nothing more is read."""
BLOCK = 16384
"""Bytes of one read."""


class Connection:
    """One peer."""

    __slots__ = ("buffered", "conversation", "events", "finished", "kind", "mta", "outbox",
                 "patience", "pending", "since", "sock")  # fmt: skip

    def __init__(self, sock: socket.socket, kind: str, now: float, mta: str = "") -> None:
        self.sock = sock
        self.kind = kind
        self.mta = mta
        """The MTA that asks, as far as that can be seen."""
        self.conversation: Conversation = CONVERSATIONS[kind]()
        self.outbox = b""
        self.pending: tuple[bytes, bytes | None] | None = None
        """The question that waits for the map."""
        self.patience = 0.0
        """Until when it waits."""
        self.since = now
        """The last progress: a question answered, replies taken, a request begun."""
        self.finished = False
        """The peer sends nothing more, or must not."""
        self.buffered = False
        """There may be complete requests left in the conversation."""
        self.events = selectors.EVENT_READ

    @property
    def idle(self) -> bool:
        """Return whether nothing is asked, half asked, or waiting for its answer."""
        return not (self.outbox or self.pending or self.buffered or self.conversation.started)


class SocketServer:
    """Serves `listeners` (socket, kind) with answers from `lookup`, until `stop`."""

    def __init__(
        self,
        listeners: Iterable[tuple[socket.socket, str]],
        lookup: Lookup,
        log: LookupLog,
        *,
        idle_seconds: float = IDLE_SECONDS,
        request_seconds: float = REQUEST_SECONDS,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._lookup = lookup
        self._log = log
        self._idle_seconds = idle_seconds
        self._request_seconds = request_seconds
        self._max_connections = max_connections
        self._selector = selectors.DefaultSelector()
        self._listeners = dict(listeners)
        self._mtas = sockets.Mtas()
        self._connections: set[Connection] = set()
        self._busy: deque[Connection] = deque()
        self._waiting: deque[Connection] = deque()
        self._stop_at: float | None = None
        self._next_check = 0.0
        # A byte here ends select(): signals arrive between any two instructions, and one that came
        # just before select() must not wait for the next connection.
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        for listener in self._listeners:
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ)

    def stop(self, *_: object) -> None:
        """Take no more connections, answer what has been asked, return from `run`.

        May be called from a signal handler.
        """
        if self._stop_at is None:
            self._stop_at = time.monotonic() + STOP_SECONDS
            try:
                self._wake.send(b"!")
            except OSError:
                pass  # from another thread: it has seen the line above, and is gone already

    def run(self) -> None:
        """Serve until `stop` has been called and everything asked is answered (or STOP_SECONDS)."""
        while True:
            now = time.monotonic()
            if now >= self._next_check:
                self._drop_late(now)
                self._next_check = now + min(1.0, self._request_seconds / 2)
            for key, events in self._selector.select(self._timeout(now)):
                if isinstance(key.data, Connection):
                    if events & selectors.EVENT_READ:
                        self._read(key.data)
                    else:
                        self._flush(key.data)
                elif key.fileobj in self._listeners:
                    self._accept(key.fileobj)
                else:
                    self._woken.recv(BLOCK)
            for _ in range(len(self._busy)):
                self._turn(self._busy.popleft())
            self._retry()
            self._lookup.counts.tell()
            if self._stop_at is not None:
                self._close_listeners()
                for connection in [c for c in self._connections if c.idle]:
                    self._close(connection)
                if not self._connections or now >= self._stop_at:
                    break
        self._lookup.counts.tell(last=True)
        for connection in list(self._connections):
            self._close(connection)
        self._selector.close()
        self._wake.close()
        self._woken.close()

    def _timeout(self, now: float) -> float | None:
        """Return how long select() may sleep, in seconds; None: until something comes."""
        if self._busy:
            return 0.0
        if self._waiting or self._stop_at is not None:
            return RETRY_SECONDS
        return max(0.0, self._next_check - now) if self._connections else None

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            self._selector.unregister(listener)
            listener.close()
        self._listeners.clear()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(sockets.BACKLOG):
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue  # gone while it waited
            except OSError as error:  # no descriptors left, above all
                self._log.trouble(f"cannot accept a connection: {error.strerror}")
                if not self._make_room():
                    time.sleep(RETRY_SECONDS)  # the queue stays readable: do not spin
                return
            if len(self._connections) >= self._max_connections and not self._make_room():
                self._log.trouble(
                    f"{counted(self._max_connections, 'connection')}, all of them busy"
                )
                sock.close()
                continue
            sock.setblocking(False)
            mta = self._mtas.of_peer(sock)
            connection = Connection(sock, self._listeners[listener], time.monotonic(), mta)
            self._connections.add(connection)
            self._selector.register(sock, selectors.EVENT_READ, connection)

    def _make_room(self) -> bool:
        """Close the connection that has been idle for longest; False where none is."""
        idle = [c for c in self._connections if c.idle]
        if idle:
            self._close(min(idle, key=lambda c: c.since))
        return bool(idle)

    def _close(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
            if connection.events:
                self._selector.unregister(connection.sock)
            connection.sock.close()

    def _drop_late(self, now: float) -> None:
        for connection in list(self._connections):
            limit = self._idle_seconds if connection.idle else self._request_seconds
            if now - connection.since >= limit:
                if not connection.idle:
                    self._log.trouble(f"a peer took more than {limit:g} s for a request or a reply")
                self._close(connection)

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(BLOCK)
        except BlockingIOError:
            return
        except OSError:
            self._close(connection)
            return
        if not connection.conversation.started:
            connection.since = time.monotonic()
        if data:
            connection.conversation.feed(data)
        else:
            connection.finished = True
        self._turn(connection)

    def _turn(self, connection: Connection) -> None:
        """Answer a few questions of one connection."""
        if connection not in self._connections or connection.pending:
            return
        replies = b""
        connection.buffered = False
        try:
            for _ in range(TURN):
                question = connection.conversation.question()
                if question is None:
                    break
                try:
                    answer = self._lookup.attempt(*question)
                except StoreLocked:
                    connection.pending = question
                    connection.buffered = True
                    connection.patience = time.monotonic() + PATIENCE_SECONDS
                    self._waiting.append(connection)
                    break
                replies += self._reply(connection, answer)
            else:
                connection.buffered = True
                self._busy.append(connection)
        except ProtocolError as error:
            self._log.trouble(f"protocol error: {error}")
            replies += error.reply
            connection.conversation = CONVERSATIONS[connection.kind]()
            connection.finished = True
        self._send(connection, replies)

    def _reply(self, connection: Connection, answer: str) -> bytes:
        self._lookup.count(connection.conversation.protocol, answer, connection.mta)
        if answer == NOT_NOW:
            self._log.trouble(self._lookup.trouble)
        return connection.conversation.reply(answer, self._lookup.trouble, self._lookup.grant)

    def _retry(self) -> None:
        """Try the waiting questions again, in order; those that waited enough are NOT_NOW."""
        while self._waiting:
            connection = self._waiting[0]
            question = connection.pending
            if question is None or connection not in self._connections:
                self._waiting.popleft()
                continue
            try:
                answer = self._lookup.attempt(*question)
            except StoreLocked as error:
                if time.monotonic() < connection.patience:
                    return
                answer = self._lookup.give_up(question[0], error)
            self._waiting.popleft()
            connection.pending = None
            self._send(connection, self._reply(connection, answer))
            self._turn(connection)

    def _send(self, connection: Connection, replies: bytes) -> None:
        if replies:
            if not connection.outbox:
                connection.since = time.monotonic()
            connection.outbox += replies
        self._flush(connection)

    def _flush(self, connection: Connection) -> None:
        """Send what the peer takes; then wait for what can come next."""
        if connection not in self._connections:
            return
        if connection.outbox:
            try:
                sent = connection.sock.send(connection.outbox)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._close(connection)
                return
            if sent:
                connection.outbox = connection.outbox[sent:]
                connection.since = time.monotonic()
        if connection.finished and not (
            connection.outbox or connection.pending or connection.buffered
        ):
            self._close(connection)
            return
        events = selectors.EVENT_WRITE if connection.outbox else 0
        reading = not (connection.finished or connection.pending or connection.buffered)
        if reading and len(connection.outbox) <= MAX_OUTBOX:
            events |= selectors.EVENT_READ
        if events != connection.events:
            if not connection.events:
                self._selector.register(connection.sock, events, connection)
            elif not events:
                self._selector.unregister(connection.sock)
            else:
                self._selector.modify(connection.sock, events, connection)
            connection.events = events
