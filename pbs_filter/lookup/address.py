"""Spells the address that an MTA asks about as the map does."""

from __future__ import annotations

import _socket

_MAPPED = bytes(10) + b"\xff\xff"


def canonical(key: bytes, ipv6_prefix: int = 128) -> str | None:
    """Return the address text under which the map knows `key`; None where it is not an address.

    Every spelling in which an MTA sends the address is the same one: `::1`, `[::1]`,
    `IPv6:2001:DB8::1`, `ipv6:2001:db8:0:1:0:0:0:7`, `::ffff:192.0.2.7`. Names, networks, zones and
    numbers with leading zeros are not addresses. With an `ipv6_prefix` below 128 the map has
    networks, `2001:db8::/64`, as the filter's option of that name makes them.
    """
    if key[:1] == b"[" and key[-1:] == b"]":
        key = key[1:-1]
    if key[:5].lower() == b"ipv6:":
        key = key[5:]
        if b":" not in key:
            return None
    try:
        text = key.decode("ascii")
        if ":" not in text:
            return _socket.inet_ntop(_socket.AF_INET, _socket.inet_pton(_socket.AF_INET, text))
        packed = _socket.inet_pton(_socket.AF_INET6, text)
    except (OSError, ValueError):  # ValueError: not ASCII, or a NUL inside
        return None
    if packed[:12] == _MAPPED:
        return _socket.inet_ntop(_socket.AF_INET, packed[12:])
    if ipv6_prefix == 128:
        return _socket.inet_ntop(_socket.AF_INET6, packed)
    host_bits = 128 - ipv6_prefix
    network = (int.from_bytes(packed, "big") >> host_bits << host_bits).to_bytes(16, "big")
    return f"{_socket.inet_ntop(_socket.AF_INET6, network)}/{ipv6_prefix}"
