"""Sessions of nginx as mail proxy."""

from __future__ import annotations

from .host import ALICES, BOBS, Host


def test_nginx_connection_numbers_belong_to_a_worker():
    def line(worker: int, what: str, address: str, user: str) -> str:
        return (
            f"nginx: 2026/11/20 10:00:00 [info] {worker}#{worker}: *42 {what}, client: {address}, "
            f'server: 0.0.0.0:143, login: "{user}", upstream: 10.0.0.5:143'
        )

    host = Host().logs(
        line(81, "client logged in", BOBS, "bob"),
        line(82, "client logged in", ALICES, "alice"),
        line(81, "proxied session done", BOBS, "bob"),
    )
    host.has(authorised={BOBS: "bob", ALICES: "alice"}, in_session={ALICES})
