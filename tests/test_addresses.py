"""Address text: one spelling each, and networks."""

import ipaddress

import netaddr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter import addresses
from pbs_filter.addresses import LOOPBACK, Networks, canonical, parse_mynetworks, special, widen
from pbs_filter.errors import ConfigError

SPELLINGS = [
    ("192.0.2.7", "192.0.2.7"),
    ("0.0.0.0", "0.0.0.0"),
    ("255.255.255.255", "255.255.255.255"),
    ("192.0.2.7", "::ffff:192.0.2.7"),
    ("192.0.2.7", "::FFFF:192.0.2.7"),
    ("192.0.2.7", "::ffff:c000:207"),
    ("192.0.2.7", "0:0:0:0:0:ffff:192.0.2.7"),
    ("192.0.2.7", "0000:0000:0000:0000:0000:FFFF:C000:0207"),
    ("2001:db8::10", "2001:DB8:0:0:0:0:0:10"),
    ("2001:db8::10", "2001:0db8:0000:0000:0000:0000:0000:0010"),
    ("2001:db8:0:1:1:1:1:1", "2001:db8::1:1:1:1:1"),
    ("2001:db8::1:0:0:1", "2001:db8:0:0:1:0:0:1"),
    ("2001:db8::", "2001:db8::"),
    ("::1", "0:0:0:0:0:0:0:1"),
    ("::", "::"),
    ("2001:db8::c000:207", "2001:db8::192.0.2.7"),
]

NOT_ADDRESSES = [
    "",
    "192.0.2",
    "192.0.2.7.1",
    "192.0.2.07",
    "192.0.2.256",
    "192.0.2.1000",
    "192.0.2.",
    "3221225991",
    "0xc0000207",
    "192.0.2.7 ",
    " 192.0.2.7",
    "192.0.2.7\n",
    "192.0.2.7:110",
    "192.0.2.0/24",
    "[192.0.2.7]",
    "[2001:db8::7]",
    "2001:db8::7%eth0",
    "fe80::1%1",
    "2001:db8::7/64",
    "2001:db8:::7",
    "2001:db8::1::7",
    "2001:db8:1:2:3:4:5",
    "2001:db8:1:2:3:4:5:6:7",
    "2001:db8::12345",
    "2001:db8::g",
    "::ffff:192.0.2",
    "::ffff:192.0.2.07",
    "::ffff:192.0.2.256",
    ":",
    "::\n",
    "１９２.0.2.7",
    "192.0.2.７",
    "UNKNOWN",
    "localhost",
    "\udcff",
    ":" * 10_000,
    "1." * 10_000,
]


@pytest.mark.parametrize(("expected", "text"), SPELLINGS)
def test_every_spelling_of_an_address_has_one_text(expected, text):
    assert expected == canonical(text)
    assert expected == canonical(expected)


@pytest.mark.parametrize("text", NOT_ADDRESSES)
def test_what_is_not_exactly_one_address_is_none(text):
    assert None is canonical(text)


@given(st.ip_addresses(v=6))
def test_ipv6_text_is_that_of_the_standard_library(address):
    mapped = address.ipv4_mapped
    for spelling in (str(address), address.exploded, address.exploded.upper()):
        # For the deprecated ::/96 both spellings (hexadecimal or dotted tail) are in use.
        found = ipaddress.ip_address(canonical(spelling))
        assert (mapped or address) == found


@given(st.text(alphabet="0123456789abcdefF:.%[]/ \n", max_size=50) | st.text())
def test_any_text_is_one_address_or_none(text):
    found = canonical(text)
    if found is not None:
        assert ipaddress.ip_address(text) in (
            ipaddress.ip_address(found),
            ipaddress.ip_address(f"::ffff:{found}" if ":" not in found else found),
        )


CONTAINED = [
    ("192.0.2.0/24", "192.0.2.0"),
    ("192.0.2.0/24", "192.0.2.255"),
    (None, "192.0.1.255"),
    (None, "192.0.3.0"),
    (None, "0.0.0.1"),
    (None, "255.255.255.255"),
    ("198.51.100.7", "198.51.100.7"),
    (None, "198.51.100.8"),
    ("2001:db8::/32", "2001:db8:ffff::1"),
    (None, "2001:db9::"),
    (None, "2001:db7:ffff::"),
    ("::ffff:203.0.113.0/120", "203.0.113.9"),
    ("10.0.0.0/8", "10.255.0.1"),
]


@pytest.mark.parametrize(("expected", "address"), CONTAINED)
def test_an_address_is_found_in_the_network_that_contains_it(expected, address):
    networks = Networks(
        [
            "2001:db8::/32",
            "10.1.0.0/16",
            "192.0.2.0/24",
            "10.0.0.0/8",
            "192.0.2.128/25",
            "198.51.100.7",
            "::ffff:203.0.113.0/120",
        ]
    )
    assert expected == networks.find(address)


def test_the_whole_of_one_family_does_not_contain_the_other():
    assert "0.0.0.0/0" == Networks(["0.0.0.0/0"]).find("192.0.2.7")
    assert None is Networks(["0.0.0.0/0"]).find("2001:db8::7")
    assert "::/0" == Networks(["::/0"]).find("2001:db8::7")
    assert None is Networks(["::/0"]).find("192.0.2.7")


def test_no_networks_contain_nothing():
    assert None is Networks([]).find("192.0.2.7")
    assert None is Networks([]).find("2001:db8::7")


@given(st.lists(st.ip_addresses(v=4), max_size=8), st.ip_addresses(v=4), st.data())
def test_find_agrees_with_asking_every_network(bases, address, data):
    networks = [
        ipaddress.ip_network((base, data.draw(st.integers(0, 32))), strict=False) for base in bases
    ]
    found = Networks(map(str, networks)).find(str(address))
    holding = [network for network in networks if address in network]
    widest = min(holding, key=lambda network: network.prefixlen, default=None)
    assert (None if widest is None else str(widest)) == found


@pytest.mark.parametrize(
    ("advice", "item"),
    [
        ("is not a network", "192.0.2"),
        ("is not a network", "mail.example.org"),
        ("is not a network", "2001:db8:::/32"),
        ("is not a network", ""),
        ("is not a network", "fe80::1%eth0"),
        ("from 0 to 32", "192.0.2.0/33"),
        ("from 0 to 32", "192.0.2.0/255.255.255.0"),
        ("from 0 to 32", "192.0.2.0/"),
        ("from 0 to 32", "192.0.2.0/+24"),
        ("from 0 to 32", "192.0.2.0/024"),
        ("from 0 to 128", "2001:db8::/129"),
        ("write '192.0.2.0/24'", "192.0.2.7/24"),
        ("write '2001:db8::/32'", "2001:db8::1/32"),
    ],
)
def test_a_bad_network_is_named_with_what_to_write(advice, item):
    with pytest.raises(ConfigError) as error:
        Networks(["192.0.2.0/24", item])
    assert repr(item) in str(error.value)
    assert advice in str(error.value)


def test_a_mapped_network_shorter_than_the_mapped_space_is_ipv6():
    assert "::/64" == Networks(["::/64"]).find("::2")
    assert None is Networks(["::/64"]).find("192.0.2.7")


@pytest.mark.parametrize(
    ("expected", "address"),
    [
        ("0.0.0.0/8", "0.0.0.0"),
        ("169.254.0.0/16", "169.254.1.1"),
        ("224.0.0.0/4", "239.255.255.250"),
        ("240.0.0.0/4", "255.255.255.255"),
        ("::/128", "::"),
        ("fe80::/10", "fe80::1"),
        ("ff00::/8", "ff02::1"),
        (None, "127.0.0.1"),
        (None, "::1"),
        (None, "10.1.2.3"),
        (None, "192.0.2.7"),
        (None, "2001:db8::7"),
    ],
)
def test_addresses_no_client_has_are_special_and_loopback_is_not(expected, address):
    assert expected == special().find(address)


def test_what_is_known_without_netaddr_is_what_netaddr_says():
    known = addresses._EACH_START_HAS
    assert set(known) == {item for item in (*LOOPBACK, *special().items) if ":" in item}
    for item, ends in known.items():
        network = netaddr.IPNetwork(item)
        assert (network.first, network.last) == ends


def test_loopback_is_the_default_of_the_local_networks():
    local = Networks(LOOPBACK)
    assert "127.0.0.0/8" == local.find("127.3.2.1")
    assert "::1/128" == local.find("::1")
    assert None is local.find("192.0.2.7")


@pytest.mark.parametrize(
    ("expected", "address", "ipv6_prefix"),
    [
        ("192.0.2.7", "192.0.2.7", 64),
        ("192.0.2.7", "192.0.2.7", 128),
        ("2001:db8:0:1::7", "2001:db8:0:1::7", 128),
        ("2001:db8:0:1::/64", "2001:db8:0:1::7", 64),
        ("2001:db8:0:1::/64", "2001:db8:0:1:ffff:ffff:ffff:ffff", 64),
        ("2001:db8::/56", "2001:db8:0:ff::7", 56),
        ("2001:db8::6/127", "2001:db8::7", 127),
    ],
)
def test_an_ipv6_key_is_widened_to_the_prefix_and_says_so(expected, address, ipv6_prefix):
    assert expected == widen(address, ipv6_prefix)


@pytest.mark.parametrize(
    ("networks", "skipped", "text"),
    [
        (
            ["127.0.0.0/8", "::ffff:127.0.0.0/104", "::1/128"],
            [],
            "127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128\n",
        ),
        (["192.0.2.7", "2001:db8::7"], [], "192.0.2.7,\t[2001:db8::7],"),
        (
            ["192.0.2.0/24"],
            ["!192.0.2.9", "/etc/postfix/networks", "cidr:/etc/postfix/x.cidr", "![2001:db8::]/32"],
            "!192.0.2.9, 192.0.2.0/24, /etc/postfix/networks\n cidr:/etc/postfix/x.cidr"
            " ![2001:db8::]/32",
        ),
        ([], ["192.0.2.7/24", "[192.0.2.7", "192.0.2"], "192.0.2.7/24 [192.0.2.7 192.0.2"),
        ([], [], ""),
    ],
)
def test_what_postconf_prints_is_read_and_the_rest_is_named(networks, skipped, text):
    assert (networks, skipped) == parse_mynetworks(text)
    Networks(networks)
