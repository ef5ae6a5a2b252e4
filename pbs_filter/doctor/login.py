"""A login at the POP3 or IMAP server of this machine, as a mail client makes it (edge)."""

from __future__ import annotations

import imaplib
import itertools
import poplib
import socket
import ssl
import time
from typing import NamedTuple

PORTS = ((110, "POP3"), (143, "IMAP"), (995, "POP3"), (993, "IMAP"))
"""The ports that are tried, in this order."""
TLS_PORTS = frozenset({995, 993})
LOGIN_SECONDS = 30.0
"""A server may wait some seconds before it says no."""


class Made(NamedTuple):
    """A login that succeeded."""

    place: str
    """The server's address, port and protocol."""
    protection: str
    began_epoch: float
    """When the password was sent, in seconds of the epoch."""
    took_seconds: float


class _Unprotected(Exception):
    """The server offers no TLS there."""


class Failure(Exception):
    """No server let the user in. The arguments are what each of them said."""


def any_certificate() -> ssl.SSLContext:
    """Return TLS without a look at the certificate: it is of this machine, by whatever name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _connection(target: str, port: int, source: str) -> socket.socket:
    connection = socket.create_connection((target, port), LOGIN_SECONDS, (source, 0))
    return any_certificate().wrap_socket(connection) if port in TLS_PORTS else connection


class _Pop(poplib.POP3):
    """A POP3 client at the address `source`."""

    def __init__(self, target: str, port: int, source: str) -> None:
        self._source = source
        super().__init__(target, port, LOGIN_SECONDS)

    def _create_socket(self, _timeout: float) -> socket.socket:
        return _connection(self.host, self.port, self._source)


class _Imap(imaplib.IMAP4):
    """An IMAP client at the address `source`."""

    def __init__(self, target: str, port: int, source: str) -> None:
        self._source = source
        super().__init__(target, port, LOGIN_SECONDS)

    def _create_socket(self, _timeout: float | None) -> socket.socket:
        return _connection(self.host, self.port, self._source)


def log_in(user: str, password: str, source: str) -> Made:
    """Log in from `source`, an address of this machine, at the first server that answers.

    By TLS where one of its ports offers that. The connection goes to the loopback address: so the
    server sees `source` as a client's address, and not as its own.

    Raises:
        Failure: no server is there, or the one that is does not let the user in.
    """
    problems: dict[str, str] = {}
    targets = dict.fromkeys(("::1" if ":" in source else "127.0.0.1", source))
    for tls_only, target, (port, protocol) in itertools.product((True, False), targets, PORTS):
        place = f"{f'[{target}]' if ':' in target else target}:{port} ({protocol})"
        if not tls_only and problems.get(place):
            continue  # nobody is there
        try:
            return _log_in(place, (target, port), (user, password, source), tls_only)
        except _Unprotected:
            problems[place] = ""
        except (ConnectionRefusedError, TimeoutError) as error:
            problems[place] = f"{place}: {error.strerror or error}"
        except (OSError, EOFError, poplib.error_proto, imaplib.IMAP4.error) as error:
            said = error.args[0] if error.args else error
            text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
            raise Failure(f"{place} said {text!r}") from None
    raise Failure(*filter(None, problems.values()))


def _log_in(
    place: str, where: tuple[str, int], credentials: tuple[str, str, str], tls_only: bool
) -> Made:
    target, port = where
    user, password, source = credentials
    is_protected = port in TLS_PORTS
    if dict(PORTS)[port] == "POP3":
        pop = _Pop(target, port, source)
        try:
            if not is_protected and "STLS" in _capabilities(pop):
                pop.stls(any_certificate())
                is_protected = True
            if tls_only and not is_protected:
                raise _Unprotected
            began, timer = time.time(), time.monotonic()
            pop.user(user)
            pop.pass_(password)
            took = time.monotonic() - timer
            pop.quit()
        finally:
            pop.close()
    else:
        imap = _Imap(target, port, source)
        try:
            if not is_protected and "STARTTLS" in imap.capabilities:
                imap.starttls(any_certificate())
                is_protected = True
            if tls_only and not is_protected:
                raise _Unprotected
            began, timer = time.time(), time.monotonic()
            imap.login(user, password)
            took = time.monotonic() - timer
            imap.logout()
        finally:
            imap.shutdown()
    protection = "by TLS" if is_protected else "without TLS, which no port offers"
    return Made(place, protection, began, took)


def _capabilities(pop: _Pop) -> dict[str, list[str]]:
    """Return the server's capabilities; nothing where it knows no CAPA (RFC 2449)."""
    try:
        return pop.capa()
    except poplib.error_proto:
        return {}
