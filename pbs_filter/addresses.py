"""Address text: one spelling for each address, and networks that know their members.

The canonical spelling is the one Postfix asks with: IPv4 as a dotted quad, IPv6 as RFC 5952 writes
it (lower case, compressed), an IPv4-mapped IPv6 address as the IPv4 address that it is. Text that
is not exactly one address is None, never a guess: `inet_aton` would read `192.0.2` as 192.0.0.2 and
`192.0.2.010` as 192.0.2.8, and either is somebody else's machine.

A function of its input only. IPv4 stays with a regular expression and integers, since every login
comes through here; IPv6 goes through netaddr, remembered for the last few thousand spellings.
netaddr is imported when the first IPv6 address is met: it takes as long as all the rest of a start.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from functools import cache, lru_cache

from .errors import ConfigError

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
QUAD = rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}"
"""A regular expression: an IPv4 address in its one spelling."""
_is_ipv4 = re.compile(QUAD).fullmatch
# No more than the shape: how many groups and where the "::" may stand is netaddr's business. But
# netaddr leaves the dotted tail to the C library, and not every one refuses leading zeros.
_may_be_ipv6 = re.compile(rf"(?:[0-9A-Fa-f]{{0,4}}:){{2,7}}(?:[0-9A-Fa-f]{{0,4}}|{QUAD})").fullmatch

MAPPED = "::ffff:"
"""How a server that listens on IPv6 writes IPv4 clients: too many to be remembered."""
_LENGTH = re.compile("[1-9]?[0-9]|1[01][0-9]|12[0-8]").fullmatch
_IPV6_REMEMBERED = 4096


def canonical(text: str) -> str | None:
    """Return the canonical text of the address `text`, or None if it is not exactly one address.

    Accepted: a dotted quad without leading zeros; IPv6 in any case, compressed or not, also with a
    dotted tail. `::ffff:192.0.2.7` in any spelling is `192.0.2.7`. Refused: fewer than four octets,
    leading zeros, a zone (`fe80::1%eth0`), brackets, a port, a prefix length, white space.
    """
    if _is_ipv4(text):
        return text
    if text.startswith(MAPPED) and _is_ipv4(text, len(MAPPED)):
        return text[len(MAPPED) :]
    if _may_be_ipv6(text):
        return _canonical_ipv6(text)
    return None


@lru_cache(_IPV6_REMEMBERED)
def _canonical_ipv6(text: str) -> str | None:
    from netaddr import AddrFormatError, IPAddress

    try:
        address = IPAddress(text, 6)
    except AddrFormatError:
        return None
    return str(address.ipv4() if address.is_ipv4_mapped() else address)


@lru_cache(_IPV6_REMEMBERED)
def _ipv6_number(address: str) -> int:
    from netaddr import IPAddress

    return int(IPAddress(address, 6))


class Networks:
    """A set of networks that can say which of them an address belongs to.

    `items`: addresses and CIDR networks as an administrator writes them (`192.0.2.0/24`,
    `2001:db8::/32`, `192.0.2.7`). A mapped network (`::ffff:192.0.2.0/120`) is the IPv4 network.
    IPv4 addresses are in IPv4 networks only: `::/0` is "all of IPv6".

    Raises ConfigError, naming the item, for anything else: a bad address or length, or bits set
    behind the length, since `192.0.2.7/24` may have been meant as the host or as the network.
    """

    def __init__(self, items: Iterable[str]) -> None:
        self.items = tuple(items)
        found: dict[int, list[tuple[int, int, str]]] = {4: [], 6: []}
        for item in self.items:
            version, first, last = _network(item)
            found[version].append((first, -last, item))
        # CIDR networks are disjoint or one within the other. Only the widest are kept, so that the
        # ranges are disjoint and one bisection finds the only one in question.
        self._ranges: dict[int, tuple[list[int], list[int], list[str]]] = {}
        for version, ranges in found.items():
            firsts: list[int] = []
            lasts: list[int] = []
            names: list[str] = []
            for first, minus_last, name in sorted(ranges):
                if not lasts or first > lasts[-1]:
                    firsts.append(first)
                    lasts.append(-minus_last)
                    names.append(name)
            self._ranges[version] = (firsts, lasts, names)
        firsts, lasts, _ = self._ranges[4]
        self.octets = {
            str(octet)
            for first, last in zip(firsts, lasts, strict=True)
            for octet in range(first >> 24, (last >> 24) + 1)
        }
        """What the IPv4 addresses begin with: most of those that are asked for do not."""

    def find(self, address: str) -> str | None:
        """Return the item (as it was given) that contains `address`, or None.

        `address` is canonical text. Where several contain it, the widest is named.
        """
        if ":" in address:
            firsts, lasts, names = self._ranges[6]
            number = _ipv6_number(address) if firsts else 0
        else:
            if address[: address.find(".")] not in self.octets:
                return None
            firsts, lasts, names = self._ranges[4]
            number = _ipv4_number(address)
        at = bisect_right(firsts, number) - 1
        return names[at] if at >= 0 and number <= lasts[at] else None


def _ipv4_number(address: str) -> int:
    a, b, c, d = address.split(".")
    return int(a) << 24 | int(b) << 16 | int(c) << 8 | int(d)


def _network(item: str) -> tuple[int, int, int]:
    """Return a network's version, first and last address (numbers), or raise ConfigError."""
    if item in _EACH_START_HAS:
        return 6, *_EACH_START_HAS[item]
    text, slash, length = item.partition("/")
    if _is_ipv4(text):
        version, bits, first = 4, 32, _ipv4_number(text)
    elif _may_be_ipv6(text):
        from netaddr import AddrFormatError

        version, bits = 6, 128
        try:
            first = _ipv6_number(text)
        except AddrFormatError as error:
            raise ConfigError(f"{item!r} is not a network: {error}") from None
    else:
        raise ConfigError(
            f"{item!r} is not a network; write it as '192.0.2.0/24' or '2001:db8::/32'"
        )
    if slash and not (_LENGTH(length) and int(length) <= bits):
        raise ConfigError(f"{item!r}: the prefix length is a number from 0 to {bits}")
    host_bits = bits - int(length) if slash else 0
    last = first | ((1 << host_bits) - 1)
    if first & ((1 << host_bits) - 1):
        from netaddr import IPAddress

        network = IPAddress(first >> host_bits << host_bits, version)
        raise ConfigError(f"{item!r} has bits set behind its length; write '{network}/{length}'")
    if version == 6 and first >> 32 == 0xFFFF and host_bits <= 32:
        return 4, first & 0xFFFFFFFF, last & 0xFFFFFFFF
    return version, first, last


LOOPBACK = ("127.0.0.0/8", "::1/128")
"""The default of `local_networks`. Not part of `special`: a test's clients live on loopback."""

_EACH_START_HAS = {
    "::/128": (0, 0),
    "::1/128": (1, 1),
    "fe80::/10": (0xFE80 << 112, (0xFEC0 << 112) - 1),
    "ff00::/8": (0xFF00 << 112, (1 << 128) - 1),
}
"""IPv6 networks of `LOOPBACK` and `special`, with their first and last addresses: for these alone
netaddr would be imported at each start, and take a sixth of it."""

_SPECIAL = (
    "0.0.0.0/8",  # "this network"; 0.0.0.0 is what vm-pop3d writes for every IPv6 client
    "169.254.0.0/16",  # link-local: the same address is another machine on another link
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and the broadcast address
    "::/128",
    "fe80::/10",
    "ff00::/8",
)


@cache
def special() -> Networks:
    """Return the networks that no client is in (RFC 6890).

    Unspecified, link-local, multicast and reserved addresses.
    """
    return Networks(_SPECIAL)


def widen(address: str, ipv6_prefix: int) -> str:
    """Return the key under which canonical `address` is authorised.

    IPv4, and IPv6 with `ipv6_prefix` 128 (the default): the address itself. Shorter prefixes: the
    network's first address and the length, `2001:db8:0:1::/64`. The length belongs to the key so
    that it is not taken for the one host `2001:db8:0:1::`, by a lookup or by a reader of --list.
    """
    if ipv6_prefix == 128 or ":" not in address:
        return address
    from netaddr import IPAddress

    host_bits = 128 - ipv6_prefix
    return f"{IPAddress(_ipv6_number(address) >> host_bits << host_bits, 6)}/{ipv6_prefix}"


def parse_mynetworks(text: str) -> tuple[list[str], list[str]]:
    """Return what Postfix's `mynetworks` holds: networks for `Networks`, and what was skipped.

    `text` is what `postconf -hx mynetworks` prints: items between blanks, line ends or commas, IPv6
    as `[2001:db8::]/32`. Files (`/etc/...`), tables (`cidr:/etc/...`) and exclusions (`!192.0.2.7`)
    are skipped: an excluded address that counts as local all the same is only not authorised.
    """
    networks: list[str] = []
    skipped: list[str] = []
    for item in re.split(r"[\s,]+", text):
        plain = re.sub(r"\A\[([^\[\]]+)\]", r"\1", item)
        try:
            _network(plain)
        except ConfigError:
            if item:
                skipped.append(item)
        else:
            networks.append(plain)
    return networks, skipped
