"""Courier"""

from __future__ import annotations

from ..grammar import ADDRESS, USER, Rule, Server, no, yes
from ..model import Accepted

LOGIN = "LOGIN, user=" + USER("user") + ", ip=[" + ADDRESS("address") + "]"

SERVER = Server(
    name="courier",
    title="Courier",
    versions="0.3 - 1.4",
    programs={"pop3d": "pop3"},
    accounts=("root", "daemon"),
    rules=(
        Rule(
            name="login",
            kind=Accepted,
            expression=LOGIN,
            samples=(
                yes(
                    "pop3d: LOGIN, user=bob, ip=[::ffff:192.0.2.7]",
                    Accepted(user="bob", protocol="pop3", address="192.0.2.7"),
                ),
                no("pop3d: LOGIN, user=bob, ip=[203.0.113.66", "x"),
            ),
        ),
    ),
)
