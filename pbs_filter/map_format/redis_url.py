"""Where a Redis map is, from one text: `map` in pbs-filter.toml and `pbs-lookup --map`.

    redis://[USER@]HOST[:PORT][/DB][?KEY=VALUE&...]              rediss:// with TLS
    redis://[USER@]HOST[:PORT],HOST[:PORT]...[?KEY=VALUE&...]    nodes of one cluster
    unix://[USER@]/PATH[?db=DB&KEY=VALUE...]
    redis+sentinel://[USER@]HOST[:PORT][,HOST[:PORT]...]/SERVICE[/DB][?...]      rediss+sentinel://

Passwords come from files, never from the text: `ps` and `--dumpconfig` would show them. Nothing is
percent-decoded. Pure, and without `urllib`, which would double the start-up time of a lookup.
"""

from __future__ import annotations

from ..errors import ConfigError

DEFAULT_PREFIX = "pbs:"
REDIS_PORT, SENTINEL_PORT = 6379, 26379

_KINDS = {
    "redis": ("tcp", False),
    "rediss": ("tcp", True),
    "unix": ("unix", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
}
_FILES = ("password_file",)
_TLS_FILES = ("ca_file", "cert_file", "key_file")
_SENTINEL_FILES = ("sentinel_password_file",)
_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_PREFIX = _NAME | {":"}
_SOCKET_BYTES = 107
"""The longest path of a unix socket, unix(7)."""


class Location:
    """One Redis, or one service that Sentinel watches. Texts that are not given are empty."""

    __slots__ = (
        "ca_file", "cert_file", "database", "hosts", "key_file", "kind", "password_file", "path",
        "prefix", "seeds", "sentinel_password_file", "sentinel_user", "service", "text", "tls",
        "user",
    )  # fmt: skip

    def __init__(self, text: str, kind: str, tls: bool) -> None:
        self.text = text
        """As it was given; it holds no secret."""
        self.kind = kind
        """`tcp`, `unix` or `sentinel`."""
        self.tls = tls
        self.hosts: tuple[tuple[str, int], ...] = ()
        """Host (a name, or an address without brackets) and port: one, or the sentinels, or several
        nodes of one cluster."""
        self.seeds: tuple[tuple[str, int], ...] = ()
        """Other nodes of a cluster, as they were known: not from the text."""
        self.path = ""
        """The unix socket."""
        self.service = ""
        """What Sentinel calls the master."""
        self.user = ""
        self.database = 0
        self.prefix = DEFAULT_PREFIX
        """What the keys begin with."""
        self.password_file = ""
        self.ca_file = self.cert_file = self.key_file = ""
        self.sentinel_user = self.sentinel_password_file = ""
        """Sentinels have accounts of their own."""


def is_redis(text: str) -> bool:
    """Whether `text` is the location of a Redis map and not the path of a file."""
    scheme, colon, _ = text.partition("://")
    return bool(colon) and scheme in _KINDS


def parse(text: str) -> Location:
    """The location that `text` names. Raises `ConfigError`."""
    scheme, _, rest = text.partition("://")
    if not is_redis(text):
        raise ConfigError(
            f"map {_hidden(text)}: {scheme!r} is no kind of map; give the path of a GDBM file, or "
            f"{', '.join(kind + '://' for kind in _KINDS)}"
        )
    kind, tls = _KINDS[scheme]
    location = Location(text, kind, tls)
    rest, _, query = rest.partition("?")
    location.user, at, place = rest.rpartition("@")
    if ":" in location.user:
        raise _wrong(
            text,
            "a password does not belong here, where ps and --dumpconfig show it; write USER@, and "
            "?password_file=/PATH of a file that holds it",
        )
    if at and not _is_name(location.user):
        raise _wrong(text, f"{location.user!r} is not the name of a user")
    if "%" in rest + query:
        raise _wrong(text, "'%' has no meaning here: write every character as it is")
    if kind == "unix":
        location.path = _socket_path(text, place)
    else:
        _network(location, place)
    _query(location, query)
    return location


def _network(location: Location, place: str) -> None:
    text = location.text
    sentinel = location.kind == "sentinel"
    hosts, *path = place.split("/")
    if sentinel:
        location.service = path.pop(0) if path else ""
        if not _is_name(location.service):
            raise _wrong(text, "behind the sentinels comes /SERVICE, the name of the master")
    if len(path) > 1:
        raise _wrong(text, f"{'/' + '/'.join(path)!r} is not /DB, the number of a database")
    if path and path != [""]:
        location.database = _database(text, path[0])
    port = SENTINEL_PORT if sentinel else REDIS_PORT
    location.hosts = tuple(_host(text, one, port) for one in hosts.split(","))


def _host(text: str, host: str, default: int) -> tuple[str, int]:
    if host[:1] == "[":
        name, bracket, behind = host[1:].partition("]")
        good = bracket and ":" in name and set("0123456789abcdefABCDEF:.").issuperset(name)
        colon, port = behind[:1], behind[1:]
    else:
        name, colon, port = host.partition(":")
        good = _is_name(name)
    if not good or colon not in ("", ":"):
        raise _wrong(text, f"{host!r} is not HOST or HOST:PORT (IPv6 addresses in brackets)")
    if not colon:
        return name, default
    if not (_is_number(port) and 0 < int(port) < 65536):
        raise _wrong(text, f"{port!r} is not a port")
    return name, int(port)


def _socket_path(text: str, path: str) -> str:
    if not path.startswith("/") or path.endswith("/"):
        raise _wrong(text, "unix:// needs the whole path of a socket: unix:///run/redis/redis.sock")
    if len(path.encode("utf-8", "surrogateescape")) > _SOCKET_BYTES:
        raise _wrong(text, f"the path of a socket has at most {_SOCKET_BYTES} bytes")
    return path


def _database(text: str, number: str) -> int:
    if not _is_number(number):
        raise _wrong(text, f"{number!r} is not the number of a database")
    return int(number)


def _query(location: Location, query: str) -> None:
    text = location.text
    files = _FILES + (_TLS_FILES if location.tls else ())
    known = ["prefix", *files]
    if location.kind == "unix":
        known.append("db")
    if location.kind == "sentinel":
        files += _SENTINEL_FILES
        known += ["sentinel_user", *_SENTINEL_FILES]
    seen = set()
    for item in query.split("&") if query else []:
        key, _, value = item.partition("=")
        if key not in known:
            raise _wrong(text, _unknown(key, known))
        if key in seen:
            raise _wrong(text, f"{key} is given twice")
        seen.add(key)
        if key == "db":
            location.database = _database(text, value)
            continue
        if key in files and not value.startswith("/"):
            raise _wrong(text, f"{key}={value!r} is not the whole path of a file")
        if key == "prefix" and not (value and _PREFIX.issuperset(value)):
            raise _wrong(
                text, f"prefix={value!r} is not made of letters, digits, '.', '_', '-', ':'"
            )
        if key == "sentinel_user" and not _is_name(value):
            raise _wrong(text, f"{value!r} is not the name of a user")
        setattr(location, key, value)
    if bool(location.cert_file) != bool(location.key_file):
        raise _wrong(text, "cert_file and key_file belong together")
    for user, file, key in (
        (location.user, location.password_file, "password_file"),
        (location.sentinel_user, location.sentinel_password_file, "sentinel_password_file"),
    ):
        if user and not file:
            raise _wrong(text, f"the user {user!r} needs {key}=/PATH of a file with the password")


def _is_name(text: str) -> bool:
    return text != "" and _NAME.issuperset(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6


def _unknown(key: str, known: list[str]) -> str:
    import difflib

    if key in _TLS_FILES:
        return f"{key} is for TLS: write rediss instead of redis"
    near = difflib.get_close_matches(key, known, 1)
    return f"unknown key {key!r}; " + (f"did you mean {near[0]}?" if near else ", ".join(known))


def _hidden(text: str) -> str:
    """`text` in quotes, without what may be a password in it."""
    scheme, colon, rest = text.partition("://")
    before, at, behind = rest.rpartition("@")
    if ":" in before:
        rest = before.partition(":")[0] + ":..." + at + behind
    shown, question, query = rest.partition("?")
    if "password=" in query:
        rest = shown + question + "..."
    return repr(scheme + colon + rest)


def _wrong(text: str, why: str) -> ConfigError:
    return ConfigError(f"map {_hidden(text)}: {why}")


def password(path: str, mode: int, content: bytes) -> str:
    """The password in the file at `path`, whose mode and content these are. Raises `ConfigError`.

    One line of UTF-8; nobody but the owner and the group may do anything with the file.
    """
    if mode & 0o007:
        raise ConfigError(f"password file {path!r}: everybody may use it; chmod o-rwx {path}")
    line = content[:-1] if content[-1:] == b"\n" else content
    try:
        text = line.decode("utf-8")
    except ValueError:
        text = ""
    if not text or "\n" in text or "\0" in text:
        raise ConfigError(f"password file {path!r}: it must hold the password, in one line of text")
    return text
