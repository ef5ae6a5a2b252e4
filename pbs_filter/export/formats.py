"""The formats make the texts of exported files: the living addresses, as each MTA's own formats
want them. Pure.

Most readers of such files know no end: who is in the file may relay until the file is written
again. That makes them the fallback. The `timed` formats carry the end, and their readers compare it
with their own clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from struct import pack

from netaddr import IPAddress

Living = Sequence[tuple[str, int]]
"""(canonical address, its end in seconds since the epoch), in order. With an `ipv6_prefix` below
128 IPv6 "addresses" are networks, `2001:db8::/64`; formats that cannot say so leave them out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A file format."""

    render: Callable[[Living], bytes]
    """Return the file for the living addresses."""
    about: str
    timed: bool = False
    """The file carries the ends, so it changes when one does."""


def texthash(living: Living) -> bytes:
    """Return `ADDRESS OK` lines: Postfix's texthash, and the source of `postmap`.

    Single addresses only: Postfix also asks indexed files for the networks above a client, so that
    a prefix in here would let in all of it.
    """
    return _lines(f"{address} OK" for address in _hosts(living))


def cidr(living: Living) -> bytes:
    """Return `NETWORK OK` lines: Postfix's cidr_table(5), and a list for rspamd and OpenDKIM."""
    return _lines(f"{_with_length(address)} OK" for address, _ in living)


def tcprules(living: Living) -> bytes:
    """Return the source of tcprules(1), whose rules are IPv4's; the site's own rules go behind
    it."""
    return _lines(
        f'{address}:allow,RELAYCLIENT=""' for address in _hosts(living) if ":" not in address
    )


def sendmail(living: Living) -> bytes:
    """Return the source of makemap(8) for sendmail's access map, which spells IPv6 in full."""
    return _lines(f"Connect:{_in_full(address)}\tRELAY" for address in _hosts(living))


def cdb(living: Living) -> bytes:
    """D. J. Bernstein's constant database: address -> its end in decimal."""
    return constant_database(
        (address.encode("ascii"), b"%d" % until) for address, until in living if "/" not in address
    )


def constant_database(items: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the bytes of a cdb with `items` (format: https://cr.yp.to/cdb/cdb.txt).

    256 pairs of (position, slots) point to as many hash tables behind the records; a hash table has
    twice as many slots as entries, so that a search meets an empty slot soon.
    """
    records = bytearray(2048)
    tables: list[list[tuple[int, int]]] = [[] for _ in range(256)]
    for key, value in items:
        value_hash = 5381
        for byte in key:
            value_hash = (value_hash * 33 & 0xFFFFFFFF) ^ byte
        tables[value_hash & 255].append((value_hash, len(records)))
        records += pack("<II", len(key), len(value)) + key + value
    for number, entries in enumerate(tables):
        size = 2 * len(entries)
        slots = [(0, 0)] * size
        for value_hash, position in entries:
            slot = (value_hash >> 8) % size
            while slots[slot][1]:
                slot = (slot + 1) % size
            slots[slot] = (value_hash, position)
        records[number * 8 : number * 8 + 8] = pack("<II", len(records), size)
        for pair in slots:
            records += pack("<II", *pair)
    return bytes(records)


FORMATS = {
    "cdb": Format(render=cdb, timed=True, about="cdb for Exim: address -> end, compared by Exim"),
    "cidr": Format(
        render=cidr, about="networks: Postfix's cidr table (`postfix reload`), rspamd, OpenDKIM"
    ),
    "lmdb": Format(render=texthash, about="Postfix's lmdb, made by `postmap` from the file"),
    "sendmail": Format(render=sendmail, about="lines of sendmail's access map, for makemap"),
    "tcprules": Format(render=tcprules, about="lines for tcprules: IPv4 only"),
    "texthash": Format(render=texthash, about="Postfix's texthash; also input of `postmap`"),
}
"""All but `sqlite`, which is no file of bytes: `exporter` changes it in place."""


def sqlite_rows(living: Living) -> list[tuple[str, int]]:
    """Return rows (ip, exp) for OpenSMTPD's table-sqlite, which asks for IPv6 in brackets."""
    return [
        (f"[{address}]" if ":" in address else address, until)
        for address, until in living
        if "/" not in address
    ]


def _hosts(living: Living) -> list[str]:
    return [address for address, _ in living if "/" not in address]


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def _with_length(address: str) -> str:
    if "/" in address:
        return address
    return f"{address}/128" if ":" in address else f"{address}/32"


def _in_full(address: str) -> str:
    if ":" not in address:
        return address
    return "IPv6:" + ":".join(f"{word:x}" for word in IPAddress(address, 6).words)
