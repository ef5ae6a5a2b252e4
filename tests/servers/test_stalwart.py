"""Sessions of Stalwart."""

from __future__ import annotations

from .host import BOBS, Host


def test_stalwart_session_is_the_clients_address_and_port():
    def span(port: int) -> str:
        return f'listenerId = "imaptls", localPort = 993, remoteIp = {BOBS}, remotePort = {port}'

    def login(port: int) -> str:
        return (
            f"stalwart: 2026-11-20T10:00:00Z INFO Authentication successful (auth.success) "
            f'{span(port)}, accountName = "bob", accountId = 9'
        )

    def end(port: int) -> str:
        return (
            "stalwart: 2026-11-20T10:00:00Z INFO IMAP connection ended (imap.connection-end) "
            f"{span(port)}, elapsed = 618ms"
        )

    host = Host().logs(login(50001), login(50002), end(50001))
    host.has(authorised={BOBS: "bob"}, in_session={BOBS})
    host.logs(end(50002))
    host.has(authorised={BOBS: "bob"}, in_session=set())
