"""URLs of maps in Redis; wrong ones are refused without showing a password."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.errors import ConfigError
from pbs_filter.map_format.redis_url import Location, is_redis, parse, password

SECRET = "s3cret"


def told(location: Location) -> dict[str, object]:
    """What differs from a location that says nothing."""
    bare = Location(location.text, "tcp", False)
    return {
        name: getattr(location, name)
        for name in Location.__slots__
        if getattr(location, name) != getattr(bare, name)
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://r1.example", {"hosts": (("r1.example", 6379),)}),
        ("redis://192.0.2.1:7000/3", {"hosts": (("192.0.2.1", 7000),), "database": 3}),
        ("redis://r1,[2001:db8::1]:7", {"hosts": (("r1", 6379), ("2001:db8::1", 7))}),
        ("redis://[2001:db8::1]/", {"hosts": (("2001:db8::1", 6379),)}),
        ("redis://[::ffff:192.0.2.1]:1", {"hosts": (("::ffff:192.0.2.1", 1),)}),
        (
            "redis://pbs-lookup@r1?password_file=/etc/pbs.secret&prefix=mx-1:",
            {
                "hosts": (("r1", 6379),),
                "user": "pbs-lookup",
                "password_file": "/etc/pbs.secret",
                "prefix": "mx-1:",
            },
        ),
        ("redis://r1?password_file=/etc/a@b", {"hosts": (("r1", 6379),),
                                               "password_file": "/etc/a@b"}),
        (
            "rediss://r1:6380?ca_file=/ca.pem&cert_file=/c.pem&key_file=/k.pem",
            {
                "tls": True,
                "hosts": (("r1", 6380),),
                "ca_file": "/ca.pem",
                "cert_file": "/c.pem",
                "key_file": "/k.pem",
            },
        ),
        ("unix:///run/redis/redis.sock", {"kind": "unix", "path": "/run/redis/redis.sock"}),
        (
            "unix://pbs@/run/r.sock?db=15&password_file=/p",
            {"kind": "unix", "path": "/run/r.sock", "user": "pbs", "database": 15,
             "password_file": "/p"},
        ),
        (
            "redis+sentinel://s1,s2:5,[2001:db8::3]:6/pbs",
            {
                "kind": "sentinel",
                "hosts": (("s1", 26379), ("s2", 5), ("2001:db8::3", 6)),
                "service": "pbs",
            },
        ),
        (
            "rediss+sentinel://u@s1/my-master/2?password_file=/p&sentinel_user=w"
            "&sentinel_password_file=/w&ca_file=/ca",
            {
                "kind": "sentinel",
                "tls": True,
                "user": "u",
                "hosts": (("s1", 26379),),
                "service": "my-master",
                "database": 2,
                "password_file": "/p",
                "sentinel_user": "w",
                "sentinel_password_file": "/w",
                "ca_file": "/ca",
            },
        ),
    ],
)  # fmt: skip
def test_a_location_says_where_and_how(text: str, expected: dict[str, object]) -> None:
    assert expected == told(parse(text))
    assert text == parse(text).text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("/var/lib/map.gdbm", "no kind of map"),
        ("reddis://r1", "'reddis' is no kind of map; give the path of a GDBM file, or redis://"),
        ("redis://", "'' is not HOST"),
        ("redis://:6379", "':6379' is not HOST"),
        ("redis://r1,,r2", "'' is not HOST"),
        ("redis://2001:db8::1", "is not a port"),
        ("redis://[2001:db8::1", "is not HOST"),
        ("redis://[r1]", "is not HOST"),
        ("redis://[::1]6379", "is not HOST"),
        ("redis://r1:", "'' is not a port"),
        ("redis://r1:0", "'0' is not a port"),
        ("redis://r1:65536", "'65536' is not a port"),
        ("redis://r1:１", "is not a port"),
        ("redis://r 1", "is not HOST"),
        ("redis://r1/x", "'x' is not the number of a database"),
        ("redis://r1/0/1", "'/0/1' is not /DB"),
        ("redis://@r1", "'' is not the name of a user"),
        ("redis://a b@r1?password_file=/p", "'a b' is not the name of a user"),
        ("redis://a%40b@r1?password_file=/p", "'a%40b' is not the name of a user"),
        ("redis://r1?prefix=a%3A", "'%' has no meaning here"),
        ("redis://pbs@r1", "the user 'pbs' needs password_file=/PATH"),
        ("redis://r1?pasword_file=/p", "'pasword_file'; did you mean password_file?"),
        ("redis://r1?xyz=1", "unknown key 'xyz'; prefix, password_file"),
        ("redis://r1?db=1", "unknown key 'db'"),
        ("redis://r1?ca_file=/x", "ca_file is for TLS: write rediss instead of redis"),
        ("redis://r1?prefix=a:&prefix=b:", "prefix is given twice"),
        ("redis://r1?prefix=", "prefix='' is not made of letters"),
        ("redis://r1?prefix=*", r"prefix='\*' is not made of letters"),
        ("redis://r1?password_file=p", "password_file='p' is not the whole path of a file"),
        ("rediss://r1?cert_file=/x", "cert_file and key_file belong together"),
        ("rediss://r1?key_file=/x", "cert_file and key_file belong together"),
        ("unix://redis.sock", "needs the whole path of a socket"),
        ("unix:///run/", "needs the whole path of a socket"),
        ("unix:///" + "x" * 107, "at most 107 bytes"),
        ("unix:///s?db=-1", "'-1' is not the number of a database"),
        ("unix:///s?ca_file=/x", "ca_file is for TLS"),
        ("redis+sentinel://s1", "behind the sentinels comes /SERVICE"),
        ("redis+sentinel://s1/", "behind the sentinels comes /SERVICE"),
        ("redis+sentinel://s1,/pbs", "'' is not HOST"),
        ("redis+sentinel://s1/pbs?sentinel_user=", "'' is not the name of a user"),
        ("redis+sentinel://s1/pbs?sentinel_user=u", "needs sentinel_password_file=/PATH"),
    ],
)
def test_a_mistake_is_told(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        f"redis://pbs:{SECRET}@r1",
        f"redis://:{SECRET}@r1",
        f"redis://pbs:{SECRET}@r1?password_file=/p",
        f"redis://pbs:?{SECRET}@r1",
        f"redis://pbs:/{SECRET}@r1",
        f"redis://pbs:@{SECRET}@r1",
        f"unix://pbs:{SECRET}@/run/r.sock",
        f"redis+sentinel://pbs:{SECRET}@s1/pbs",
        f"redis://r1?password={SECRET}",
        f"postgres://pbs:{SECRET}@r1",
    ],
)
def test_a_password_in_it_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(text)
    assert SECRET not in str(raised.value)
    assert text.partition("://")[0] in str(raised.value)


def test_what_to_write_instead_of_a_password_is_told() -> None:
    with pytest.raises(ConfigError, match=r"'redis://pbs:...@r1'.*\?password_file=/PATH"):
        parse(f"redis://pbs:{SECRET}@r1")


@given(st.text(":/?&=@,[]%.abredisun1-_", max_size=40).map("redis://".__add__) | st.text())
def test_whatever_the_text_it_is_a_location_or_a_sentence(text: str) -> None:
    try:
        location = parse(text)
    except ConfigError:
        return
    assert is_redis(text)
    assert location.hosts or location.path


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (True, "redis://r1"),
        (True, "unix:///s"),
        (True, "rediss+sentinel://s/x"),
        (False, "/var/lib/pbs-filter/map.gdbm"),
        (False, "redis"),
        (False, "http://r1"),
    ],
)
def test_a_path_is_not_taken_for_a_location(expected: bool, text: str) -> None:
    assert expected == is_redis(text)


@pytest.mark.parametrize("content", ["s3cret\n", "s3cret"])
def test_a_password_file_holds_one_line(content: str) -> None:
    assert SECRET == password("/p", 0o100640, content.encode())


@pytest.mark.parametrize(
    ("mode", "content", "why"),
    [
        (0o100644, b"s3cret\n", "everybody may use it; chmod o-rwx /p"),
        (0o100602, b"s3cret\n", "everybody may use it"),
        (0o100600, b"", "must hold the password, in one line"),
        (0o100600, b"\n", "in one line"),
        (0o100600, b"s3cret\nmore\n", "in one line"),
        (0o100600, b"s3cret\xff", "in one line"),
        (0o100600, b"s3cret\0", "in one line"),
    ],
)
def test_a_password_file_that_cannot_be_one_is_refused(mode: int, content: bytes, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as raised:
        password("/p", mode, content)
    assert SECRET not in str(raised.value)
