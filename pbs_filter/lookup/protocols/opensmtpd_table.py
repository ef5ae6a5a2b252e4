"""OpenSMTPD's table program: the loop around `opensmtpd`, and a child process that reads the map.

smtpd ends when its table program does, and waits for it while it hangs. A damaged map can crash the
GDBM library, and a file system can hang for ever; both happen in the child, and the question is
answered NOT_NOW.
"""

from __future__ import annotations

import os
import select
import signal
import socket

from ...errors import ProtocolError
from ..answer import HANG_SECONDS, NO, NOT_NOW, YES
from . import opensmtpd, socketmap, stdio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...log import LookupLog
    from ..answer import Lookup

ANSWER_SECONDS = HANG_SECONDS + 0.3
"""After it the child is given up. It should have ended itself before."""
MAX_STUCK = 4
"""Children that could not even be killed (their file system hangs); no more are started."""


class Isolated:
    """Answers like `lookup`, from a child process that is started when there is a question."""

    def __init__(self, lookup: Lookup, log: LookupLog) -> None:
        self._lookup = lookup
        self._log = log
        self._child: tuple[int, socket.socket] | None = None
        self._given_up: list[int] = []

    def ask(self, address: bytes) -> str:
        """YES, NO or NOT_NOW, within ANSWER_SECONDS."""
        try:
            if self._child is None:
                self._start()
            reply = self._exchange(socketmap.netstring(b"pbs " + address))
        except Exception as error:  # whatever it is: smtpd would end with us
            self.stop()
            self._log.trouble(str(error) or repr(error))
            return NOT_NOW
        for answer in (YES, NO):
            if reply == socketmap.reply(answer):
                return answer
        return NOT_NOW  # the child has said why

    def stop(self) -> None:
        """End the child, if there is one."""
        if self._child is not None:
            pid, sock = self._child
            self._child = None
            sock.close()
            os.kill(pid, signal.SIGKILL)
            self._given_up.append(pid)
        # WNOHANG: a child within a file system that hangs does not even die.
        self._given_up = [p for p in self._given_up if os.waitpid(p, os.WNOHANG)[0] == 0]

    def _start(self) -> None:
        self.stop()
        if len(self._given_up) >= MAX_STUCK:
            raise OSError(f"{MAX_STUCK} children hang in the map's file system")
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            try:
                ours.close()
                fd = theirs.fileno()
                stdio.converse(socketmap.Conversation("opensmtpd"), self._lookup, self._log, fd, fd)
            finally:
                os._exit(0)
        theirs.close()
        self._child = pid, ours

    def _exchange(self, request: bytes) -> bytes:
        assert self._child is not None
        _, sock = self._child
        sock.sendall(request)
        if not select.select([sock], [], [], ANSWER_SECONDS)[0]:
            raise TimeoutError(f"no answer from the map within {ANSWER_SECONDS} s")
        reply = sock.recv(1024)
        if not reply:
            raise EOFError("the process that reads the map has ended: the map is damaged or hangs")
        return reply


def run(lookup: Lookup, log: LookupLog, source: int = 0, sink: int = 1) -> None:
    """Answer smtpd until it closes the descriptor `source`."""
    lines = opensmtpd.Lines()
    isolated = Isolated(lookup, log)
    while data := os.read(source, stdio.BLOCK):
        for line in lines.feed(data):
            try:
                asked = opensmtpd.read(line)
            except ProtocolError as error:
                log.trouble(f"protocol error: {error}")
                continue
            if isinstance(asked, tuple):
                address, request_id = asked
                asked = opensmtpd.reply(isolated.ask(address), request_id)
            stdio.write_all(sink, asked)
    isolated.stop()
