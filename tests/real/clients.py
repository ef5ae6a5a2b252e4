"""POP3 and IMAP clients which connect from a chosen loopback address and may send any bytes."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import struct
import zlib
from types import TracebackType
from typing import Self

SECONDS = 10.0


class Client:
    """A connection; subclasses speak. Every wait ends after SECONDS with TimeoutError."""

    def __init__(
        self,
        address: str,
        port: int,
        *,
        source: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._socket = socket.create_connection(
            (address, port), SECONDS, source_address=(source, 0) if source else None
        )
        if tls is not None:
            self._socket = tls.wrap_socket(self._socket)
        self._stream = self._socket.makefile("rb")
        self.source: str = self._socket.getsockname()[0]
        try:
            self.greeting = self.line()
        except TimeoutError:
            self.close()
            raise

    def line(self) -> bytes:
        """The next line without its end; empty when the server has closed."""
        with contextlib.suppress(ConnectionResetError):
            return self._stream.readline().rstrip(b"\r\n")
        return b""

    def send(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(data)

    def drop(self) -> None:
        """Break the connection (RST), as a client does that loses its network."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def until_closed(self) -> None:
        """Read until the server has closed its side: it has finished with us."""
        while self.line():
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Pop3(Client):
    """A POP3 client; each method returns whether the server said +OK."""

    protocol = "pop3"

    def command(self, data: bytes) -> bool:
        self.send(data + b"\r\n")
        return self.line().startswith(b"+OK")

    def login(self, user: str | bytes, password: str) -> bool:
        name = user if isinstance(user, bytes) else user.encode()
        return self.command(b"USER " + name) and self.command(b"PASS " + password.encode())

    def login_sasl(self, user: str | bytes, password: str) -> bool:
        """By AUTH PLAIN, where the name may hold any byte but NUL."""
        name = user if isinstance(user, bytes) else user.encode()
        secret = base64.b64encode(b"\0" + name + b"\0" + password.encode())
        self.send(b"AUTH PLAIN\r\n")
        if not self.line().startswith(b"+"):
            return False
        return self.command(secret)

    def work(self) -> None:
        """What mail programs do once they are in."""
        for command in (b"STAT", b"LIST", b"NOOP"):
            self.command(command)

    def logout(self) -> None:
        self.command(b"QUIT")
        self.until_closed()
        self.close()


class Imap(Client):
    """An IMAP client; each method returns whether the server said OK."""

    protocol = "imap"
    _tag = 0
    """Of the last command."""

    def command(self, *parts: bytes) -> bool:
        """Send the parts, waiting for a continuation between them; read up to the tagged answer."""
        self._tag += 1
        tag = b"a%d" % self._tag
        self.send(tag + b" " + parts[0] + b"\r\n")
        for part in parts[1:]:
            while (answer := self.line()) and not answer.startswith(b"+"):
                if answer.startswith(tag):
                    return answer.startswith(tag + b" OK")
            self.send(part + b"\r\n")
        while answer := self.line():
            if answer.startswith(tag):
                return answer.startswith(tag + b" OK")
        return False

    def login(self, user: str | bytes, password: str) -> bool:
        """By LOGIN with a literal, where the name may hold any byte but NUL."""
        name = user if isinstance(user, bytes) else user.encode()
        return self.command(
            b"LOGIN {%d}" % len(name), name + b" {%d}" % len(password), password.encode()
        )

    def login_quoted(self, user: str | bytes, password: str) -> bool:
        """By LOGIN with quoted strings."""
        name = user if isinstance(user, bytes) else user.encode()
        quoted = name.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        return self.command(b'LOGIN "%s" "%s"' % (quoted, password.encode()))

    def login_sasl(self, user: str | bytes, password: str) -> bool:
        """By AUTHENTICATE PLAIN."""
        name = user if isinstance(user, bytes) else user.encode()
        secret = base64.b64encode(b"\0" + name + b"\0" + password.encode())
        return self.command(b"AUTHENTICATE PLAIN", secret)

    def work(self) -> None:
        """What mail programs do once they are in; a server that has not some of it says so."""
        for command in (
            b'ID ("name" "Mail" "version" "1.0" "vendor" "Example")',
            b"ENABLE CONDSTORE QRESYNC",
            b"SELECT INBOX",
            b"UID SEARCH ALL",
        ):
            self.command(command)
        self.send(b"w IDLE\r\n")
        if self._until(b"+", b"w ").startswith(b"+"):
            self.send(b"DONE\r\n")
            self._until(b"w ")

    def _until(self, *starts: bytes) -> bytes:
        """The first line that begins with one of `starts`; empty when the server has closed."""
        while (answer := self.line()) and not answer.startswith(starts):
            pass
        return answer

    def leave_compressed(self) -> None:
        """LOGOUT in a compressed stream (RFC 4978), where the server has that."""
        if not self.command(b"COMPRESS DEFLATE"):
            self.logout()
            return
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        self.send(deflate.compress(b"z LOGOUT\r\n") + deflate.flush(zlib.Z_SYNC_FLUSH))
        self.until_closed()
        self.close()

    def logout(self) -> None:
        self.command(b"LOGOUT")
        self.until_closed()
        self.close()
