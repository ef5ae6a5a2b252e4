"""A scenario of clients of one server; their view is the truth to which the filter is compared."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from .clients import Client, Imap
from .daemons.server import Server
from .roots import ACCOUNTS, ODD_ACCOUNTS

CANARY = "203.0.113.66"
"""The address that hostile text tries to have authorised."""

ATTACKER = "127.0.0.66"
"""Where hostile text comes from; whoever is there has no account."""

ALICE, BOB, CAROL = ACCOUNTS

HOSTILE_NAMES = (
    b"x",
    b"alice, ip=[203.0.113.66]",
    b"alice, ip=[203.0.113.66], port=[110], protocol=IMAP",
    b"alice>, method=PLAIN, rip=203.0.113.66, lip=192.0.2.1, mpid=77, session=<abc",
    b'alice"server="127.0.0.1:1110"status="ok"',
    b'alice", upstream: 203.0.113.66:110',
    b"x\nimapd: LOGIN, user=alice, ip=[203.0.113.66], protocol=IMAP",
    b"x\r\n<22>Nov 20 10:00:00 mx1 dovecot: imap-login: Login: user=<alice>, rip=203.0.113.66",
    b"user alice authenticated - 203.0.113.66",
    b"alice' (203.0.113.66:1) on new sd [9]",
    b"Login user=alice host=evil [203.0.113.66]",
    b"[203.0.113.66] alice plaintext User logged in SESSIONID=<x>",
    b"Session from 203.0.113.66",
    "\u00fcml\u2028\x85x".encode(),
    b"\xff\xfe\x01\x1b[2J",
    b"A" * 300,
    b"",
)


@dataclass(slots=True)
class Seen:
    """What the clients saw."""

    accepted: set[tuple[str, str, str]] = field(default_factory=set)
    """Address, user and protocol of every login the server granted."""
    refused: set[str] = field(default_factory=set)
    """The addresses that were granted nothing."""


def play(server: Server) -> Seen:
    """Let clients do everything once by each protocol of `server`, from an address for each thing:

    logins by two ways and families, wrong passwords, unknown users, odd and hostile user names,
    mail programs' commands, a dropped session, sessions that overlap, and connections without a
    login.
    """
    seen = Seen()
    for protocol in server.protocols:
        _play(server, protocol, seen)
    seen.refused -= {address for address, _, _ in seen.accepted}
    return seen


def _play(server: Server, protocol: str, seen: Seen) -> None:
    def note(client: Client, user: str, granted: bool) -> bool:
        if granted:
            seen.accepted.add((client.source, user, protocol))
        else:
            seen.refused.add(client.source)
        return granted

    def connect(last: int) -> Client:
        return server.client(protocol, source=f"127.0.0.{last}")

    # A login, with and without a name for the address, by IPv4 and IPv6.
    for client in (connect(11), connect(12)):
        assert note(client, ALICE.name, client.login(ALICE.name, ALICE.password))
        client.logout()
    if server.ipv6:
        client = server.client(protocol, ipv6=True)
        assert note(client, ALICE.name, client.login(ALICE.name, ALICE.password))
        client.logout()
    # The same by SASL, where the server has it, from an address whose name is another address.
    client = connect(14)
    note(client, CAROL.name, client.login_sasl(CAROL.name, CAROL.password))
    client.logout()
    # A session that is not ended but lost; and one that never began.
    client = connect(13)
    assert note(client, CAROL.name, client.login(CAROL.name, CAROL.password))
    client.drop()
    connect(24).drop()
    client = connect(25)
    note(client, "", False)
    client.logout()
    # Two sessions at a time, the second over first.
    first, second = connect(31), connect(32)
    assert note(first, ALICE.name, first.login(ALICE.name, ALICE.password))
    assert note(second, BOB.name, second.login(BOB.name, BOB.password))
    second.logout()
    first.logout()

    if isinstance(client := connect(33), Imap):
        assert note(client, ALICE.name, client.login(ALICE.name, ALICE.password))
        client.leave_compressed()
    else:
        client.close()
    # Odd names, and what mail programs do; a server may not know such a user.
    for last, account in enumerate(ODD_ACCOUNTS, 41):
        client = connect(last)
        if note(client, account.name, client.login(account.name, account.password)):
            client.work()
        client.logout()

    def fail(last: int, user: str, then: str) -> None:
        """A wrong password, and then another try on the same connection where there is one."""
        client = connect(last)
        assert not note(client, user, client.login(user, "wrong"))
        if then:
            note(client, user, client.login(user, then))
        client.logout()

    def attack(name: bytes, how: Callable[[Client], Callable[[bytes, str], bool]]) -> bool:
        """Whether the server answered; a line break in the name may leave it waiting for more."""
        try:
            with server.client(protocol, source=ATTACKER) as client:
                assert not note(client, "", how(client)(name, "x"))
                client.logout()
        except TimeoutError:
            return False
        return True

    # Servers make those wait who have the wrong password, so several at a time.
    with ThreadPoolExecutor(server.at_once) as pool:
        failing = [
            pool.submit(fail, 21, BOB.name, ""),
            pool.submit(fail, 22, "mallory", ""),
            pool.submit(fail, 23, BOB.name, BOB.password),
        ]
        attacks = [
            pool.submit(attack, name, how)
            for name in HOSTILE_NAMES
            for how in (lambda client: client.login, lambda client: client.login_sasl)
        ]
        for done in failing:
            done.result()
        answered = sum(done.result() for done in attacks)
    assert answered > len(attacks) // 2, f"{server.name} answered {answered} of {len(attacks)}"
